"""One-hot and codes of every kind of batch, into any memory, by any number of threads."""

from __future__ import annotations

import ctypes
import mmap
import sys
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seqtile import _core, encode, one_hot, reverse_complement
from seqtile.errors import AlphabetError, ShapeError

ALPHABETS = {
    "dna": ("ACGT", "NRYn", str.maketrans("Uu", "Tt")),
    "rna": ("ACGU", "NRYn", str.maketrans("Tt", "Uu")),
    "protein": ("ACDEFGHIKLMNPQRSTVWY*", "XBzj", {}),
    "HP": ("HP", "ACx", {}),
    "ABCDEFGHI": ("ABCDEFGHI", "XYz", {}),
}
KINDS = (
    str,
    str.encode,
    lambda text: bytearray(text, "ascii"),
    lambda text: np.frombuffer(text.encode(), np.uint8),
    lambda text: np.frombuffer(text[::-1].encode(), np.uint8)[::-1],
)


def expected(
    batch: list[str], alphabet: str, layout: str, dtype: str, fill: float, length: int
) -> NDArray[Any]:
    """By comparison of bytes."""
    channels, _, same = ALPHABETS[alphabet]
    letters = np.zeros((len(batch), length), np.uint8)
    for row, text in zip(letters, batch, strict=True):
        row[: len(text)] = np.frombuffer(text.translate(same).upper().encode(), np.uint8)
    out = letters[..., None] == np.frombuffer(channels.encode(), np.uint8)
    hot = out.astype(dtype)
    hot[(letters != 0) & ~out.any(axis=2)] = fill
    return hot if layout == "NLC" else hot.transpose(0, 2, 1)


@st.composite
def batches(draw: st.DrawFn) -> tuple[str, list[str]]:
    alphabet = draw(st.sampled_from(list(ALPHABETS)))
    channels, unknown, same = ALPHABETS[alphabet]
    letters = channels + channels.lower() + unknown + "".join(map(chr, same))
    sizes = draw(st.lists(st.one_of(st.integers(0, 150), st.integers(4000, 4300)), max_size=6))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    return alphabet, ["".join(random.choice(list(letters), size)) for size in sizes]


@given(
    batches(),
    st.sampled_from(("NCL", "NLC")),
    st.sampled_from(("float32", "float16", "uint8")),
    st.sampled_from(("zero", "uniform")),
    st.integers(1, 3),
    st.integers(0, 3),
    st.integers(0, 40),
    st.lists(st.sampled_from(KINDS), min_size=6, max_size=6),
)
@settings(max_examples=150, deadline=None)
def test_every_kind_of_batch_as_numpy_compares(
    batch: Any,
    layout: Any,
    dtype: str,
    unknown: Any,
    threads: int,
    pad: int,
    shift: int,
    kinds: Any,
) -> None:
    alphabet, texts = batch
    unknown = "zero" if dtype == "uint8" else unknown
    length = max(map(len, texts), default=0) + pad
    channels = len(ALPHABETS[alphabet][0])
    fill = 1 / channels if unknown == "uniform" else 0
    wanted = expected(texts, alphabet, layout, dtype, fill, length)
    memory = np.full(wanted.size + 64, np.nan if dtype != "uint8" else 255, dtype)
    out = memory[shift : shift + wanted.size].reshape(wanted.shape)
    mixed = [kind(text) for kind, text in zip(kinds, texts, strict=False)]
    got = one_hot(
        mixed,
        alphabet=alphabet,
        layout=layout,
        dtype=dtype,
        length=length,
        unknown=unknown,
        out=out,
        threads=threads,
    )
    assert got is out
    np.testing.assert_array_equal(got, wanted)
    around = np.concatenate([memory[:shift], memory[shift + wanted.size :]])
    assert (np.isnan(around) if dtype != "uint8" else around == 255).all()


def letters(size: int, seed: int = 0, among: bytes = b"ACGTN") -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    return np.frombuffer(among, np.uint8)[random.integers(0, len(among), size)]


@pytest.mark.parametrize("layout", ["NCL", "NLC"])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_threads_share_a_long_sequence(layout: Any, dtype: str) -> None:
    """Also one that is large enough to be written past the caches."""
    sequence = letters(2_500_003)
    alone = one_hot(sequence, layout=layout, dtype=dtype)
    for threads in (2, 5):
        shared = one_hot(sequence, layout=layout, dtype=dtype, threads=threads)
        np.testing.assert_array_equal(shared, alone)
    for i in (0, 4095, 4096, 2_499_999, 2_500_002):
        column = alone[i] if layout == "NLC" else alone[:, i]
        assert column.tolist() == [float(sequence[i] == base) for base in b"ACGT"]
    counts = [np.count_nonzero(sequence == base) for base in b"ACGT"]
    axis = 0 if layout == "NLC" else 1
    np.testing.assert_array_equal(alone.sum(axis=axis, dtype=np.float64), counts)


@pytest.mark.parametrize("layout", ["NCL", "NLC"])
def test_threads_of_python_fill_slices_of_one_array(layout: Any) -> None:
    grid = letters(8 * 50 * 333, 1).reshape(400, 333)
    wanted = one_hot(grid, layout=layout, dtype="uint8")
    for _ in range(5):
        out = np.full_like(wanted, 7)
        workers = [
            threading.Thread(
                target=one_hot,
                args=(grid[i : i + 50],),
                kwargs={"layout": layout, "dtype": "uint8", "out": out[i : i + 50], "threads": 2},
            )
            for i in range(0, 400, 50)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        np.testing.assert_array_equal(out, wanted)


def buffers(nbytes: int) -> dict[str, Any]:
    return {
        "ctypes": (ctypes.c_char * nbytes)(),
        "mmap": mmap.mmap(-1, nbytes),
        "bytearray": bytearray(nbytes),
        "memoryview": memoryview(bytearray(nbytes)),
    }


@pytest.mark.parametrize("kind", ["ctypes", "mmap", "bytearray", "memoryview"])
def test_out_in_memory_of_others(kind: str) -> None:
    """As pinned and shared memory come."""
    wanted = one_hot("ACGTN" * 200)
    memory = buffers(wanted.nbytes)[kind]
    out = np.frombuffer(memory, np.float32).reshape(wanted.shape)
    assert one_hot("ACGTN" * 200, out=out) is out
    assert bytes(memory) == wanted.tobytes()


def test_out_that_is_not_aligned() -> None:
    memory = bytearray(4 * 12 + 1)
    out = np.frombuffer(memory, np.float32, offset=1).reshape(4, 3)
    with pytest.raises(ShapeError, match=r"of shape \(4, 3\) \(not aligned\)"):
        one_hot("ACG", out=out)
    assert not any(memory)


def test_strings_are_not_copied() -> None:
    """Of any kind of string object that Python has."""

    class Text(str):
        __slots__ = ()

    wide = "ACGT\N{SNOWMAN}"[:4]
    for text in (Text("ACGT"), wide, sys.intern("ACGT"), "".join("ACGT")):
        assert one_hot([text, "TTTT"], layout="NLC")[0].argmax(axis=1).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("function", [one_hot, encode, reverse_complement])
@pytest.mark.parametrize("kind", ["é", "\N{SNOWMAN}", "\N{DNA DOUBLE HELIX}"])
def test_letters_that_are_not_ascii(function: Any, kind: str) -> None:
    batch = ["ACGT", b"ACGT", "AC" + kind + "T", "!!!!"]
    with pytest.raises(AlphabetError) as caught:
        function(batch)
    error = caught.value
    assert (error.index, error.position, error.byte) == (2, 2, ord(kind))
    assert error.expected == "an ASCII letter"


@pytest.mark.parametrize("layout", ["NCL", "NLC"])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_the_first_refused_letter_of_a_long_sequence(layout: Any, threads: int) -> None:
    batch = [letters(9000, i) for i in range(5)]
    for index, position in ((4, 0), (3, 8999), (3, 8191), (3, 12)):
        batch[index][position] = ord("!")
        with pytest.raises(AlphabetError) as caught:
            one_hot(batch, layout=layout, threads=threads)
        assert (caught.value.index, caught.value.position) == (index, position)


def test_a_batch_holds_its_items() -> None:
    """The list may be emptied while its letters are read."""
    items = [letters(1000, i).tobytes() for i in range(20)]
    items += [letters(1000, 20), letters(2000, 21)[::2], bytearray(letters(1000, 22))]
    wanted = encode(np.stack([np.frombuffer(bytes(item), np.uint8) for item in items]))
    batch = _core.Batch(items)
    items.clear()
    out = np.empty_like(wanted)
    assert _core.encode(batch, _core.DNA, False, out, 1) is None
    np.testing.assert_array_equal(out, wanted)


@pytest.mark.parametrize("threads", [1, 3])
def test_encode_into_an_array(threads: int) -> None:
    sequence = letters(200_000)
    wanted = np.full(256, 4, np.uint8)
    wanted[list(b"ACGT")] = range(4)
    out = np.full(200_000, 9, np.uint8)
    assert encode(sequence, out=out, threads=threads) is out
    np.testing.assert_array_equal(out, wanted[sequence])
    assert encode(sequence, out=sequence, threads=threads) is sequence  # in place
    np.testing.assert_array_equal(sequence, out)


def test_encode_a_list_into_an_array() -> None:
    out = np.full(5, 9, np.uint8)
    parts = encode(["AC", "", b"GTN"], out=out)
    assert [part.tolist() for part in parts] == [[0, 1], [], [2, 3, 4]]
    assert all(np.shares_memory(part, out) for part in (parts[0], parts[2]))
    grid = encode(np.frombuffer(b"ACGT", np.uint8).reshape(2, 2), out=np.empty((2, 2), np.uint8))
    assert grid.tolist() == [[0, 1], [2, 3]]


def test_encode_refuses_arrays_and_threads() -> None:
    for out in (np.zeros(3, np.uint8), np.zeros(4, np.int8), np.zeros(8, np.uint8)[::2]):
        with pytest.raises(ShapeError, match=r"out must be C-contiguous uint8 of shape \(4,\)"):
            encode("ACGT", out=out)
    with pytest.raises(ValueError, match="threads must be at least 1, not 0"):
        encode("ACGT", threads=0)
