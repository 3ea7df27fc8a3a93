"""Letters to arrays and back; the oracles are numpy and Biopython."""

from __future__ import annotations

import pickle
from itertools import product
from typing import Any

import numpy as np
import pytest
from Bio.Seq import reverse_complement as bio_reverse_complement
from Bio.Seq import reverse_complement_rna as bio_reverse_complement_rna
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seqtile import _core, decode, encode, one_hot, reverse_complement, windows
from seqtile.errors import AlphabetError, SeqtileError, ShapeError

IUPAC = "ACGTURYSWKMBDHVNacgturyswkmbdhvn" + "Xx-*."  # and what counts as unknown too
AMINO = "ACDEFGHIKLMNPQRSTVWY*"
CHANNELS = {"dna": "ACGT", "rna": "ACGU", "protein": AMINO, "HP-": "HP-"}
LETTERS = {"dna": IUPAC, "rna": IUPAC, "protein": AMINO + "acdxBZ", "HP-": "HPhp-Xz"}
LAYOUTS = ("NCL", "NLC")
DTYPES = ("float32", "float16", "uint8")
POLICIES = [
    (dtype, unknown)
    for dtype, unknown in product(DTYPES, ("zero", "uniform"))
    if (dtype, unknown) != ("uint8", "uniform")
]

dna = st.text(alphabet=IUPAC, max_size=70)


def letters(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(), dtype=np.uint8)


def compare(
    sequences: list[str], alphabet: str, layout: str, dtype: str, fill: float, length: int
) -> NDArray[Any]:
    """One-hot by comparison of characters."""
    channels = CHANNELS[alphabet]
    out = np.zeros((len(sequences), length, len(channels)), dtype=dtype)
    same = {"dna": {"U": "T"}, "rna": {"T": "U"}}.get(alphabet, {})
    for row, sequence in zip(out, sequences, strict=True):
        for column, letter in zip(row, sequence.upper(), strict=False):
            letter = same.get(letter, letter)
            column[:] = [letter == c for c in channels] if letter in channels else fill
    return out if layout == "NLC" else out.transpose(0, 2, 1)


# unit


def test_one_hot_of_dna() -> None:
    a, c, g, t, none = [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]
    got = one_hot("aCgTuN", layout="NLC")
    assert got.tolist() == [a, c, g, t, t, none]
    assert got.dtype == np.float32
    assert one_hot("aCgTuN").tolist() == [
        [1, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0],
        [0, 0, 0, 1, 1, 0],
    ]


def test_one_hot_of_the_other_alphabets() -> None:
    assert one_hot("UTN", alphabet="rna", layout="NLC").tolist() == [[0, 0, 0, 1]] * 2 + [[0] * 4]
    protein = one_hot("AY*x", alphabet="protein", layout="NLC")
    assert protein.shape == (4, 21)
    assert protein.argmax(axis=1).tolist() == [0, 19, 20, 0]
    assert protein.sum(axis=1).tolist() == [1, 1, 1, 0]
    assert one_hot("Ph-A", alphabet="HP-", layout="NLC").tolist() == [
        [0, 1, 0],
        [1, 0, 0],
        [0, 0, 1],
        [0, 0, 0],
    ]


@pytest.mark.parametrize("name", ["DNA", "Rna", "PROTEIN"])
def test_alphabet_names_in_any_case(name: str) -> None:
    assert np.array_equal(one_hot("ACG", alphabet=name), one_hot("ACG", alphabet=name.lower()))


def test_float16_bits() -> None:
    got = one_hot("AN", dtype=np.float16, unknown="uniform")
    assert got.dtype == np.float16
    assert got.view(np.uint16).tolist() == [[0x3C00, 0x3400], [0, 0x3400], [0, 0x3400], [0, 0x3400]]


@pytest.mark.parametrize(
    "sequence",
    [
        "ACGTN",
        b"ACGTN",
        bytearray(b"ACGTN"),
        letters("ACGTN"),
        letters("NTGCA")[::-1],
        letters("A.C.G.T.N")[::2],
    ],
    ids=["str", "bytes", "bytearray", "array", "reversed", "strided"],
)
def test_kinds_of_one_sequence(sequence: Any) -> None:
    assert one_hot(sequence, layout="NLC").argmax(axis=1).tolist() == [0, 1, 2, 3, 0]
    assert encode(sequence).tolist() == [0, 1, 2, 3, 4]


GRID = letters("ACGTTTNACCGG").reshape(3, 4)


@pytest.mark.parametrize(
    "batch",
    [
        ["ACGT", "TTNA", "CCGG"],
        ("ACGT", "TTNA", "CCGG"),
        [b"ACGT", bytearray(b"TTNA"), letters("CCGG")],
        ["ACGT", b"TTNA", letters("GGCC")[::-1]],
        GRID,
        np.asfortranarray(GRID),
        np.repeat(GRID, 2, axis=1)[:, ::2],
    ],
    ids=["list", "tuple", "bytes-like", "mixed", "2-D", "fortran", "strided"],
)
def test_kinds_of_batches(batch: Any) -> None:
    codes = [[0, 1, 2, 3], [3, 3, 4, 0], [1, 1, 2, 2]]
    assert [row.tolist() for row in encode(batch)] == codes
    expected = compare(["ACGT", "TTNA", "CCGG"], "dna", "NCL", "float32", 0, 4)
    assert np.array_equal(one_hot(batch), expected)


@pytest.mark.parametrize(
    ("sequences", "length", "ncl", "nlc"),
    [
        ("", None, (4, 0), (0, 4)),
        ("", 3, (4, 3), (3, 4)),
        ([], None, (0, 4, 0), (0, 0, 4)),
        ([], 5, (0, 4, 5), (0, 5, 4)),
        (["", ""], None, (2, 4, 0), (2, 0, 4)),
        (["", ""], 2, (2, 4, 2), (2, 2, 4)),
        (np.empty((0, 7), np.uint8), None, (0, 4, 7), (0, 7, 4)),
        (np.empty((3, 0), np.uint8), None, (3, 4, 0), (3, 0, 4)),
        (np.empty(0, np.uint8), None, (4, 0), (0, 4)),
    ],
)
def test_empty_inputs(sequences: Any, length: int | None, ncl: Any, nlc: Any) -> None:
    for layout, shape in (("NCL", ncl), ("NLC", nlc)):
        got = one_hot(sequences, length=length, layout=layout)
        assert got.shape == shape
        assert not got.any()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_length_pads_with_zeros_even_where_unknown_is_uniform(layout: str) -> None:
    got = one_hot(["ACG", "N", ""], length=4, layout=layout, unknown="uniform")
    columns = got if layout == "NLC" else got.transpose(0, 2, 1)
    assert columns.sum(axis=2).tolist() == [[1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert columns[1, 0].tolist() == [0.25] * 4


@pytest.mark.parametrize(
    ("sequences", "length", "message"),
    [
        (["ACG", "AC"], None, "sequence 1 has 2 letters, sequence 0 has 3: give length="),
        (["AC", "ACG"], 2, "sequence 1 has 3 letters, more than length=2"),
        ("A", 0, "sequence 0 has 1 letters, more than length=0"),
    ],
)
def test_lengths_that_do_not_fit(sequences: Any, length: int | None, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        one_hot(sequences, length=length)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_out_is_filled_and_returned(layout: str, dtype: str) -> None:
    batch = ["ACNT", "GG"]
    expected = one_hot(batch, length=5, layout=layout, dtype=dtype)
    out = np.full(expected.shape, 7, dtype=dtype)
    for _ in range(2):
        assert one_hot(batch, length=5, layout=layout, dtype=dtype, out=out) is out
        assert np.array_equal(out, expected)


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((2, 3, 4), np.float32),
        np.zeros((1, 4, 3), np.float32),
        np.zeros((4, 3), np.float32),
        np.zeros((2, 4, 3), np.float64),
        np.zeros((2, 4, 3), np.uint8),
        np.zeros((2, 4, 3), ">f4"),
        np.zeros((2, 4, 6), np.float32)[:, :, ::2],
        np.zeros((3, 4, 2), np.float32).T,
    ],
    ids=["layout", "batch", "rank", "float64", "uint8", "byte order", "strided", "fortran"],
)
def test_out_of_another_kind(out: NDArray[Any]) -> None:
    with pytest.raises(ShapeError, match=r"out must be C-contiguous float32 of shape \(2, 4, 3\)"):
        one_hot(["ACG", "TTT"], out=out)
    assert not out.any()


def test_out_that_is_read_only() -> None:
    out = np.zeros((4, 1), np.float32)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="not writeable"):
        one_hot("A", out=out)
    assert not out.any()


@pytest.mark.parametrize(
    ("sequences", "unknown", "facts"),
    [
        ("ACET", "zero", (2, ord("E"), 0)),
        ("AC-T", "raise", (2, ord("-"), 0)),
        ("AxCT", "raise", (1, ord("x"), 0)),
        (["ACGT", "AC T"], "zero", (2, ord(" "), 1)),
        (["AC", "N", "NN!"], "zero", (2, ord("!"), 2)),
        (["AC", "AN"], "raise", (1, ord("N"), 1)),
        (letters("AC\x00"), "zero", (2, 0, 0)),
        ("ACé", "zero", (2, 0xE9, 0)),
        (["AC", "A\N{SNOWMAN}"], "zero", (1, 0x2603, 1)),
        ([b"AC", "é"], "zero", (0, 0xE9, 1)),
    ],
)
def test_refused_letters_carry_their_place(sequences: Any, unknown: Any, facts: Any) -> None:
    with pytest.raises(AlphabetError) as caught:
        one_hot(sequences, length=4, unknown=unknown)
    error = caught.value
    assert (error.position, error.byte, error.index) == facts
    assert isinstance(error, ValueError)
    assert isinstance(error, SeqtileError)
    assert f"sequence {facts[2]}, position {facts[0]}: expected {error.expected}" in str(error)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (AlphabetError, str(error), vars(error))


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_refused_letter_is_reported(threads: int) -> None:
    batch = ["ACGT"] * 30
    batch[11], batch[28] = "AC!T", "!CGT"
    with pytest.raises(AlphabetError) as caught:
        one_hot(batch, threads=threads)
    assert (caught.value.index, caught.value.position) == (11, 2)


def test_messages_say_what_was_expected() -> None:
    with pytest.raises(AlphabetError, match=r"expected one of ACGT, found 'R'"):
        one_hot("ACR", unknown="raise")
    with pytest.raises(AlphabetError, match=r"expected a nucleotide letter .*, found 'E'"):
        one_hot("ACE")
    with pytest.raises(AlphabetError, match=r"expected an amino acid letter or '\*', found '-'"):
        one_hot("AC-", alphabet="protein")
    with pytest.raises(AlphabetError, match=r"expected a letter of 'HP', .*, found byte 0x20"):
        one_hot("H P", alphabet="HP")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dtype": "float64"}, TypeError, "dtype must be float32, float16 or uint8, not float64"),
        ({"layout": "LNC"}, ValueError, "layout must be 'NCL' or 'NLC', not 'LNC'"),
        ({"unknown": "skip"}, ValueError, "unknown must be 'zero', 'uniform' or 'raise'"),
        ({"unknown": "uniform", "dtype": "uint8"}, ValueError, "needs a floating-point dtype"),
        ({"threads": 0}, ValueError, "threads must be at least 1, not 0"),
        ({"length": -1}, ValueError, "length must not be negative, not -1"),
        ({"alphabet": "A"}, ValueError, "at least two different ASCII letters, not 'A'"),
        ({"alphabet": "AaC"}, ValueError, "at least two different ASCII letters, not 'AaC'"),
        ({"alphabet": "AÉ"}, ValueError, "at least two different ASCII letters"),
        ({"alphabet": "A C"}, ValueError, "at least two different ASCII letters"),
        ({"alphabet": ""}, ValueError, "at least two different ASCII letters"),
    ],
)
def test_options_out_of_range(options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        one_hot("ACGT", **options)


@pytest.mark.parametrize(
    ("sequences", "error", "message"),
    [
        (7, TypeError, "expected str, bytes, a uint8 array or a list of them, not int"),
        (["A", None], TypeError, "NoneType"),
        ([GRID, GRID], TypeError, "sequence 0: expected str, bytes or a 1-D uint8 array"),
        ([np.zeros(3)], TypeError, "sequence 0: expected str, bytes or a 1-D uint8 array"),
        (np.zeros(3), ShapeError, r"uint8 of shape \(L,\) or \(N, L\), not float64"),
        (np.zeros((2, 2, 2), np.uint8), ShapeError, r"not uint8 of shape \(2, 2, 2\)"),
        (np.array(["ACGT"]), ShapeError, "not <U4"),
    ],
)
def test_inputs_that_are_no_sequences(sequences: Any, error: type[Exception], message: str) -> None:
    for function in (one_hot, encode, reverse_complement):
        with pytest.raises(error, match=message):
            function(sequences)


def test_decode() -> None:
    probabilities = np.array([[0.1, 0.7, 0.25, 0.4], [0.2, 0.1, 0.25, 0.4]])
    rest = np.array([[0.3, 0.1, 0.25, 0.1], [0.4, 0.1, 0.25, 0.1]])
    scores = np.concatenate([probabilities, rest])  # T, A, uniform, the first of two equals
    for dtype in (np.float64, np.float32, np.float16):
        assert decode(scores.astype(dtype)) == "TANA"
        assert decode(scores.T.astype(dtype), layout="NLC") == "TANA"
        assert decode(np.stack([scores, scores[:, ::-1]]).astype(dtype)) == ["TANA", "ANAT"]
    assert decode(scores, alphabet="rna") == "UANA"
    assert decode(np.eye(4, dtype=bool)) == "ACGT"
    assert decode(np.zeros((4, 2), np.uint8)) == "NN"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_decode_of_what_is_no_number(dtype: type[np.floating]) -> None:
    scores = np.eye(4, dtype=dtype)
    for channel, position in ((0, 0), (2, 1), (3, 3)):
        scores[channel, position] = np.nan
    assert decode(scores) == "NNGN"


def test_decode_of_the_other_alphabets() -> None:
    assert decode(np.eye(21), alphabet="protein") == AMINO
    assert decode(np.zeros((2, 1)), alphabet="HP") == "N"
    assert decode(np.zeros((3, 1)), alphabet="NHP") == "X"
    assert decode(np.zeros((3, 1)), alphabet="NXP") == "?"


def test_decode_of_nothing() -> None:
    assert decode(np.zeros((4, 0))) == ""
    assert decode(np.zeros((0, 4)), layout="NLC") == ""
    assert decode(np.zeros((0, 4, 9))) == []
    assert decode(np.zeros((2, 4, 0))) == ["", ""]


@pytest.mark.parametrize("shape", [(4,), (3, 4), (1, 1, 4, 4), (4, 5, 3)])
def test_decode_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"expected 4 channels on axis -2 of a 2-D or 3-D array"):
        decode(np.zeros(shape))


def test_decode_of_another_dtype() -> None:
    with pytest.raises(TypeError, match="not int64"):
        decode(np.zeros((4, 1), np.int64))


def test_encode() -> None:
    assert encode("AcGTun").tolist() == [0, 1, 2, 3, 3, 4]
    assert encode("").dtype == np.uint8
    assert encode("").shape == (0,)
    assert encode([]) == []
    assert [codes.tolist() for codes in encode(["AC", "", "N"])] == [[0, 1], [], [4]]
    grid = encode(GRID)
    assert isinstance(grid, np.ndarray)
    assert grid.shape == (3, 4)
    assert encode("AY*X", alphabet="protein").tolist() == [0, 19, 20, 21]
    assert encode("ACGU", alphabet="rna", unknown="raise").tolist() == [0, 1, 2, 3]


def test_encode_refuses() -> None:
    with pytest.raises(AlphabetError) as caught:
        encode(["ACGT", "ACN"], unknown="raise")
    assert (caught.value.index, caught.value.position, caught.value.byte) == (1, 2, ord("N"))
    with pytest.raises(AlphabetError, match="sequence 0, position 1"):
        encode("A!")
    with pytest.raises(ValueError, match="unknown must be 'code' or 'raise', not 'zero'"):
        encode("A", unknown="zero")


def test_reverse_complement_keeps_the_type() -> None:
    assert reverse_complement("AACGTNr") == "yNACGTT"
    assert reverse_complement(b"aac") == b"gtt"
    assert reverse_complement(bytearray(b"AAC")) == bytearray(b"GTT")
    assert reverse_complement("AAUT", alphabet="rna") == "AAUU"
    assert reverse_complement("") == ""
    assert reverse_complement([]) == []
    assert reverse_complement(letters("AACG")[::-1]).tobytes() == b"TTGC"
    assert reverse_complement(GRID).tobytes() == b"ACGTTNAACCGG"
    mixed = reverse_complement(["AC", b"GG", letters("TTA"), ""])
    assert [type(item) for item in mixed] == [str, bytes, np.ndarray, str]
    assert [mixed[0], mixed[1], mixed[2].tobytes(), mixed[3]] == ["GT", b"CC", b"TAA", ""]


def test_reverse_complement_refuses() -> None:
    with pytest.raises(AlphabetError) as caught:
        reverse_complement(["ACGT", "AC!"])
    assert (caught.value.index, caught.value.position, caught.value.byte) == (1, 2, ord("!"))
    with pytest.raises(ValueError, match="alphabet must be 'dna' or 'rna', not 'protein'"):
        reverse_complement("A", alphabet="protein")


def test_windows_view_the_array() -> None:
    sequence = letters("ACGTAC").copy()
    view = windows(sequence, 3, 2)
    assert [row.tobytes() for row in view] == [b"ACG", b"GTA"]
    assert np.shares_memory(view, sequence)
    assert not view.flags.writeable
    sequence[2] = ord("N")
    assert [row.tobytes() for row in view] == [b"ACN", b"NTA"]


def test_windows_at_the_ends() -> None:
    assert [row.tobytes() for row in windows("ACGT", 4)] == [b"ACGT"]
    assert [row.tobytes() for row in windows(b"ACG", 1, 5)] == [b"A"]
    assert windows("ACG", 4).shape == (0, 4)
    assert windows("", 1).shape == (0, 1)


@pytest.mark.parametrize(("size", "stride"), [(0, 1), (1, 0), (-1, 1), (2, -1)])
def test_windows_out_of_range(size: int, stride: int) -> None:
    with pytest.raises(ValueError, match=f"must be at least 1, not {size} and {stride}"):
        windows("ACGT", size, stride)


def test_the_core_converts_nothing() -> None:
    batch = _core.Batch("ACGT")
    for out in (np.zeros(8, np.uint8)[::2], np.zeros(4, np.int64)):
        with pytest.raises(TypeError, match="incompatible function arguments"):
            _core.encode(batch, _core.DNA, False, out, 1)
    with pytest.raises(ValueError, match="out has 2 elements, expected 4"):
        _core.encode(batch, _core.DNA, False, np.zeros(2, np.uint8), 1)
    with pytest.raises(TypeError, match="incompatible function arguments"):
        _core.one_hot("ACGT", _core.DNA, _core.Layout.NCL, False, 1, 0, 4, np.zeros(16), 1)
    for window, stride in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="window and stride must be positive"):
            _core.unknown_counts(letters("ACGT"), window, stride, np.zeros(4, np.uint32))


def test_the_core_checks_sizes() -> None:
    batch = _core.Batch(["ACGT", "AC"])
    options = (_core.DNA, _core.Layout.NCL, False, 1, 0)
    with pytest.raises(ValueError, match="a sequence is longer than length"):
        _core.one_hot(batch, *options, 3, np.zeros(24, np.uint8), 1)
    with pytest.raises(ValueError, match="out has 5 elements, expected 32"):
        _core.one_hot(batch, *options, 4, np.zeros(5, np.uint8), 1)
    for row in (1, 2, -1):
        with pytest.raises(ValueError, match="a row is not of this length"):
            batch.letters(np.array([0, row]), 4)
    assert batch.letters(np.array([0, 0]), 4).tobytes() == b"ACGTACGT"
    assert batch.lengths().tolist() == [4, 2]


# property


@given(st.lists(dna, max_size=5), st.sampled_from(LAYOUTS), st.sampled_from(POLICIES))
@settings(max_examples=80, deadline=None)
def test_decode_undoes_one_hot(batch: list[str], layout: str, policy: tuple[str, str]) -> None:
    length = max(map(len, batch), default=0)
    array = one_hot(batch, length=length, layout=layout, dtype=policy[0], unknown=policy[1])
    plain = ["".join(c if c in "ACGT" else "N" for c in s.upper().replace("U", "T")) for s in batch]
    assert decode(array, layout=layout) == [text.ljust(length, "N") for text in plain]


@given(dna)
@settings(max_examples=60, deadline=None)
def test_reverse_complement_twice(sequence: str) -> None:
    thymine = sequence.replace("U", "T").replace("u", "t")
    assert reverse_complement(reverse_complement(sequence)) == thymine


@given(dna, st.integers(1, 20), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_windows_are_slices(sequence: str, size: int, stride: int) -> None:
    starts = range(0, len(sequence) - size + 1, stride)
    slices = [sequence[i : i + size].encode() for i in starts]
    assert [row.tobytes() for row in windows(sequence, size, stride)] == slices


# agreement


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("dtype", "unknown"), POLICIES)
@pytest.mark.parametrize("alphabet", CHANNELS)
def test_one_hot_as_numpy_compares(alphabet: str, layout: str, dtype: str, unknown: str) -> None:
    random = np.random.default_rng(1)
    choice = list(LETTERS[alphabet])
    batch = ["".join(random.choice(choice, size)) for size in (0, 1, 40, 5000)]
    fill = 1 / len(CHANNELS[alphabet]) if unknown == "uniform" else 0
    options: Any = {"alphabet": alphabet, "layout": layout, "dtype": dtype, "unknown": unknown}
    got = one_hot(batch, length=5003, **options)
    assert np.array_equal(got, compare(batch, alphabet, layout, dtype, fill, 5003))
    assert got.dtype == dtype
    assert got.flags.c_contiguous
    assert np.array_equal(one_hot(batch, length=5003, threads=4, **options), got)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_hot_with_unknown_raise_as_numpy_compares(layout: str, dtype: str) -> None:
    batch = ["ACGTacgtUu", "TTTTTTTTTT"]
    got = one_hot(batch, layout=layout, dtype=dtype, unknown="raise")
    assert np.array_equal(got, compare(batch, "dna", layout, dtype, 0, 10))
    with pytest.raises(AlphabetError):
        one_hot(["ACGTacgtUn"], layout=layout, dtype=dtype, unknown="raise")


@given(dna)
@settings(max_examples=60, deadline=None)
def test_reverse_complement_as_biopython(sequence: str) -> None:
    assert reverse_complement(sequence, alphabet="rna") == bio_reverse_complement_rna(sequence)
    thymine = sequence.replace("U", "T").replace("u", "t")
    assert reverse_complement(thymine) == bio_reverse_complement(thymine)
