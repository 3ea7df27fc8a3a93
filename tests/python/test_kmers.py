"""k-mers; the oracles are collections.Counter over slices, and Biopython's reverse complement."""

from __future__ import annotations

import pickle
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from Bio.Seq import reverse_complement as bio_reverse_complement
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import seqtile
from seqtile import (
    KmerCounter,
    KmerTable,
    canonical_kmers,
    kmer_codes,
    kmer_counts,
    kmer_matrix,
    kmer_strings,
    minimizers,
)
from seqtile.errors import AlphabetError, ShapeError

LETTERS = "ACGTACGTACGTacgtUuNRynX-*."

sequence = st.text(alphabet=LETTERS, max_size=120) | st.text(alphabet="Aa", max_size=90)
known = st.text(alphabet="ACGTu", max_size=200)
batch = st.lists(sequence, max_size=6)
canonical = st.booleans()


def text_of(window: str) -> str | None:
    """A window in capitals with T for U; None if a letter is unknown."""
    window = window.upper().replace("U", "T")
    return window if set(window) <= set("ACGT") else None


def kmers_of(text: str, k: int, canonical: bool) -> list[str | None]:
    windows = [text_of(text[i : i + k]) for i in range(len(text) - k + 1)]
    if canonical:
        windows = [w and min(w, bio_reverse_complement(w)) for w in windows]
    return windows


def count(texts: Sequence[str], k: int, canonical: bool) -> dict[str, int]:
    return Counter(w for text in texts for w in kmers_of(text, k, canonical) if w)


def code_of(kmer: str) -> int:
    return int("0" + "".join(str("ACGT".index(letter)) for letter in kmer), 4)


def as_dict(result: NDArray[np.uint64] | KmerTable, k: int) -> dict[str, int]:
    """Checks the form of a result and gives its counts by name."""
    if isinstance(result, KmerTable):
        assert (result.k, result.codes.dtype, result.counts.dtype) == (k, np.uint64, np.uint64)
        assert (np.diff(result.codes.astype(object)) > 0).all()
        return dict(zip(result.strings(), result.counts.tolist(), strict=True))
    assert (result.shape, result.dtype) == ((4**k,), np.uint64)
    codes = np.flatnonzero(result)
    return dict(zip(kmer_strings(codes, k), result[codes].tolist(), strict=True))


# unit


def test_counts_of_a_few_letters() -> None:
    assert kmer_counts("GATTACA", 1).tolist() == [3, 1, 1, 2]
    dimers = kmer_counts(b"AAnACauT", 2)
    assert {int(code): int(dimers[code]) for code in np.flatnonzero(dimers)} == {
        0b0000: 1,
        0b0001: 1,
        0b0100: 1,
        0b0011: 1,
        0b1111: 1,
    }
    both = kmer_counts(["AC", "GT", "ac", "AT"], 2, canonical=True)
    assert np.flatnonzero(both).tolist() == [0b0001, 0b0011]
    assert both[[0b0001, 0b0011]].tolist() == [3, 1]


def test_a_table_of_long_kmers() -> None:
    table = kmer_counts(["T" * 33, "A" * 32, "c" * 32], 32)
    assert isinstance(table, KmerTable)
    assert table.codes.tolist() == [0, int("1" * 32, 4), 2**64 - 1]
    assert table.counts.tolist() == [1, 1, 2]
    assert table.strings() == ["A" * 32, "C" * 32, "T" * 32]
    assert (len(table), table.distinct, table.total, table.canonical) == (3, 3, 4, False)
    folded = kmer_counts(["T" * 33, "A" * 32, "c" * 32], 32, canonical=True)
    assert isinstance(folded, KmerTable)
    assert (folded.codes[0], folded.counts.tolist(), folded.canonical) == (0, [3, 1], True)


def test_codes_of_a_few_letters() -> None:
    codes, valid = kmer_codes("ACGNTT", 2)
    assert codes.tolist() == [1, 6, 0, 0, 15]
    assert valid.tolist() == [True, True, False, False, True]
    assert (codes.dtype, valid.dtype) == (np.uint64, np.bool_)
    folded, _ = kmer_codes("ACGNTT", 2, canonical=True)
    assert folded.tolist() == [1, 6, 0, 0, 0]
    rows, known = kmer_codes(np.array([[65, 67, 71], [84, 84, 78]], np.uint8), 2)
    assert rows.tolist() == [[1, 6], [15, 0]]
    assert known.tolist() == [[True, True], [True, False]]


def test_matrix_of_a_few_letters() -> None:
    rows = kmer_matrix(["ACGT", "", "nAA"], 1)
    assert (rows.dtype, rows.tolist()) == (np.float32, [[1, 1, 1, 1], [0] * 4, [2, 0, 0, 0]])
    shares = kmer_matrix(["ACGT", "", "nAA"], 1, normalize=True, dtype="float64")
    assert shares.dtype == np.float64
    assert shares.tolist() == [[0.25] * 4, [0] * 4, [1, 0, 0, 0]]
    assert kmer_matrix("AC", 2, canonical=True).tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert kmer_matrix([], 3).shape == (0, 64)


@pytest.mark.parametrize(
    ("k", "columns"), [(1, 2), (2, 10), (3, 32), (4, 136), (5, 512), (6, 2080)]
)
def test_canonical_kmers(k: int, columns: int) -> None:
    codes = canonical_kmers(k)
    assert (codes.dtype, len(codes)) == (np.uint64, columns)
    strings = kmer_strings(codes, k)
    assert strings == sorted(strings)
    assert all(kmer <= bio_reverse_complement(kmer) for kmer in strings)
    assert kmer_matrix(["ACGT"], k, canonical=True).shape == (1, columns)


def test_strings() -> None:
    assert kmer_strings([0, 27, 63], 3) == ["AAA", "CGT", "TTT"]
    assert kmer_strings(np.array([2**64 - 1], np.uint64), 32) == ["T" * 32]
    assert kmer_strings([], 5) == []


def test_minimizers_of_a_run_of_one_letter() -> None:
    positions, codes = minimizers("A" * 12, 3, 4)
    assert (positions.dtype, codes.dtype) == (np.int64, np.uint64)
    assert (positions.tolist(), codes.tolist()) == ([3, 7], [0, 0])


def test_top_and_histogram() -> None:
    table = kmer_counts(["A" * 15, "C" * 13, "G" * 14, "T" * 13], 13)
    assert isinstance(table, KmerTable)
    best = table.top(3)
    assert best.strings() == ["A" * 13, "G" * 13, "C" * 13]
    assert best.counts.tolist() == [3, 2, 1]
    assert table.top(0).codes.tolist() == []
    assert table.top(99).counts.tolist() == [3, 2, 1, 1]
    counts, sizes = table.histogram()
    assert (counts.tolist(), sizes.tolist()) == ([1, 2, 3], [2, 1, 1])
    assert (counts.dtype, sizes.dtype) == (np.uint64, np.uint64)
    codes = np.arange(3, dtype=np.uint64)
    large = KmerTable(13, False, codes, np.array([2**40, 5, 2**40], np.uint64))
    assert [part.tolist() for part in large.histogram()] == [[5, 2**40], [1, 2]]
    with pytest.raises(ValueError, match="n must not be negative, not -1"):
        table.top(-1)


# edges


@pytest.mark.parametrize("k", [1, 5, 12, 13, 32])
@pytest.mark.parametrize(
    "empty",
    ["", b"", [], [""], "N" * 40, ["ACGT"[:k] for k in range(1)], np.empty((3, 0), np.uint8)],
)
def test_nothing_to_count(empty: Any, k: int) -> None:
    assert as_dict(kmer_counts(empty, k, threads=3), k) == {}
    assert KmerCounter(k).table().total == 0


def test_shorter_than_k() -> None:
    assert as_dict(kmer_counts(["ACG", "ACGT"], 4), 4) == {"ACGT": 1}
    codes, valid = kmer_codes("ACG", 4)
    assert (codes.shape, valid.shape) == ((0,), (0,))
    assert kmer_codes(["ACG", "ACG"], 4)[0].shape == (2, 0)
    assert kmer_codes([], 4)[0].shape == (0, 0)
    assert len(minimizers("ACG", 4, 1)[0]) == 0


@pytest.mark.parametrize("k", [0, -1, 33])
def test_bad_k(k: int) -> None:
    calls: list[Callable[[], object]] = [
        lambda: kmer_counts("ACGT", k),
        lambda: kmer_codes("ACGT", k),
        lambda: KmerCounter(k),
        lambda: minimizers("ACGT", k, 3),
        lambda: kmer_strings([0], k),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=f"k must be between 1 and 32, not {k}"):
            call()
    for call in (lambda: kmer_matrix("ACGT", 13), lambda: canonical_kmers(13)):
        with pytest.raises(ValueError, match="k must be between 1 and 12, not 13"):
            call()


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="threads must be at least 1, not 0"):
        kmer_counts("ACGT", 2, threads=0)
    with pytest.raises(ValueError, match="threads must be at least 1, not 0"):
        kmer_matrix("ACGT", 2, threads=0)
    with pytest.raises(TypeError, match="dtype must be float32 or float64, not int32"):
        kmer_matrix("ACGT", 2, dtype="int32")
    with pytest.raises(ValueError, match="w must be at least 1, not 0"):
        minimizers("ACGT", 2, 0)
    with pytest.raises(TypeError, match="one sequence, not a batch"):
        minimizers(["ACGT"], 2, 2)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="sequence 1 has 2 letters, sequence 0 has 3"):
        kmer_codes(["ACG", "AC"], 2)
    for codes in ([16], [-1], np.array([2**64 - 1], np.uint64)):
        with pytest.raises(ValueError, match=r"a code of k=2 letters lies in \[0, 4\*\*2\)"):
            kmer_strings(codes, 2)
    with pytest.raises(ValueError, match="codes must be integers, not float64"):
        kmer_strings([0.5], 2)
    with pytest.raises(ValueError, match="one dimension"):
        kmer_strings([[0]], 2)


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("k", [1, 4, 12, 13, 21])
def test_a_byte_that_is_no_letter(k: int, threads: int) -> None:
    for bad in (["ACGT" * 9, "A", "ACGE", "!"], ["ACGT" * 9, "", "ACGé"]):
        with pytest.raises(AlphabetError, match="expected") as caught:
            kmer_counts(bad, k, threads=threads)
        assert (caught.value.index, caught.value.position) == (2, 3)
    long = "ACGT" * 5000 + "E" + "A" * 30 + "!"
    for call in (kmer_counts, kmer_codes, lambda s, k: minimizers(s, k, 5)):
        with pytest.raises(AlphabetError) as caught:
            call(long, k)
        assert (caught.value.position, caught.value.byte) == (20000, ord("E"))
    if k <= 12:
        with pytest.raises(AlphabetError) as caught:
            kmer_matrix(["AC", "A!", "!"], k, threads=threads)
        assert (caught.value.index, caught.value.position) == (1, 1)


@pytest.mark.parametrize("k", [3, 15])
def test_a_refused_batch_is_not_counted(k: int) -> None:
    counter = KmerCounter(k, threads=2)
    good = "ACGTTGCAACGTTGCAT"
    counter.add(good)
    with pytest.raises(AlphabetError):
        counter.add([good * 1000, "AC!"])
    counter.add([good])
    assert as_dict(counter.result(), k) == count([good, good], k, False)


def test_a_table_pickles_and_its_arrays_outlive_it() -> None:
    table = kmer_counts("GATTACA" * 4, 13)
    assert isinstance(table, KmerTable)
    again = pickle.loads(pickle.dumps(table))
    assert as_dict(again, 13) == as_dict(table, 13)
    codes = table.codes
    expected = codes.tolist()
    del table
    assert codes.tolist() == expected


def test_results_do_not_change_later() -> None:
    for k in (2, 14):
        counter = KmerCounter(k)
        counter.add("ACGTACGTACGTACGT")
        first = as_dict(counter.result(), k)
        result = counter.result()
        counter.add("ACGTACGTACGTACGT")
        assert as_dict(result, k) == first
        assert as_dict(counter.result(), k) == {kmer: 2 * n for kmer, n in first.items()}


@pytest.mark.parametrize("k", [6, 19])
def test_python_threads_share_a_counter(k: int) -> None:
    counter = KmerCounter(k, canonical=True)
    text = "".join(np.random.default_rng(1).choice(list("ACGTN"), 20000, p=[0.24] * 4 + [0.04]))

    def work() -> None:
        for _ in range(5):
            counter.add(text)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    expected = {kmer: 20 * n for kmer, n in count([text], k, True).items()}
    assert as_dict(counter.result(), k) == expected


# property


@given(batch, st.integers(1, 32), canonical, st.integers(1, 4))
def test_counts_agree_with_a_counter(
    texts: list[str], k: int, canonical: bool, threads: int
) -> None:
    expected = count(texts, k, canonical)
    assert as_dict(kmer_counts(texts, k, canonical=canonical, threads=threads), k) == expected
    counter = KmerCounter(k, canonical=canonical, threads=threads)
    for text in texts:
        counter.add(text)
    assert as_dict(counter.result(), k) == expected
    table = counter.table()
    assert as_dict(table, k) == expected
    assert table.total == sum(expected.values())


@given(known, st.integers(1, 32))
@settings(deadline=None)
def test_counts_sum_to_the_number_of_windows(text: str, k: int) -> None:
    assert sum(as_dict(kmer_counts(text, k), k).values()) == max(0, len(text) - k + 1)


@given(known, st.integers(1, 32))
@settings(deadline=None)
def test_both_strands_have_the_same_canonical_counts(text: str, k: int) -> None:
    one, other = (
        as_dict(kmer_counts(strand, k, canonical=True), k)
        for strand in (text, seqtile.reverse_complement(text))
    )
    assert one == other


@given(sequence, st.integers(1, 32), canonical)
def test_codes_agree(text: str, k: int, canonical: bool) -> None:
    codes, valid = kmer_codes(text, k, canonical=canonical)
    expected = kmers_of(text, k, canonical)
    assert valid.tolist() == [kmer is not None for kmer in expected]
    assert codes.tolist() == [code_of(kmer) if kmer else 0 for kmer in expected]


@given(batch, st.integers(1, 5), canonical, st.booleans(), st.integers(1, 4))
def test_matrix_agrees(
    texts: list[str], k: int, canonical: bool, normalize: bool, threads: int
) -> None:
    rows = kmer_matrix(
        texts, k, canonical=canonical, normalize=normalize, dtype=np.float64, threads=threads
    )
    codes = canonical_kmers(k) if canonical else np.arange(4**k)
    assert rows.shape == (len(texts), len(codes))
    for row, text in zip(rows, texts, strict=True):
        expected = count([text], k, canonical)
        total = sum(expected.values()) if normalize and expected else 1
        found = dict(zip(kmer_strings(codes, k), row.tolist(), strict=True))
        assert {kmer: n for kmer, n in found.items() if n} == {
            kmer: n / total for kmer, n in expected.items()
        }


@given(st.lists(st.integers(0, 2**64 - 1), max_size=20), st.integers(1, 32))
def test_strings_agree(codes: list[int], k: int) -> None:
    codes = [code % 4**k for code in codes]
    strings = kmer_strings(np.array(codes, np.uint64), k)
    assert [code_of(kmer) for kmer in strings] == codes
    assert all(len(kmer) == k for kmer in strings)


def hash_of(code: int, k: int) -> int:
    """minimap2's hash64."""
    mask = 4**k - 1
    code = (~code + (code << 21)) & mask
    code ^= code >> 24
    code = (code + (code << 3) + (code << 8)) & mask
    code ^= code >> 14
    code = (code + (code << 2) + (code << 4)) & mask
    code ^= code >> 28
    return (code + (code << 31)) & mask


@given(sequence | known, st.integers(1, 32), st.integers(1, 20), canonical)
def test_minimizers_agree(text: str, k: int, w: int, canonical: bool) -> None:
    kmers = kmers_of(text, k, canonical)
    expected: list[int] = []
    last = -1  # of the window before, if that had one
    for begin in range(len(kmers) - w + 1):
        window = kmers[begin : begin + w]
        if None in window:
            last = -1
            continue
        hashes = [hash_of(code_of(kmer or ""), k) for kmer in window]
        if last >= begin and hashes[last - begin] == min(hashes):
            continue
        last = begin + max(i for i, value in enumerate(hashes) if value == min(hashes))
        expected.append(last)
    positions, codes = minimizers(text, k, w, canonical=canonical)
    assert positions.tolist() == expected
    assert codes.tolist() == [code_of(kmers[i] or "") for i in expected]
