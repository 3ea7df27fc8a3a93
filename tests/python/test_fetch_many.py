"""Many intervals at once, against `Fasta.fetch` and literal letters."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from seqtile import Fasta
from seqtile.errors import (
    AlphabetError,
    ContigNotFoundError,
    FastaIndexError,
    IntervalError,
    ShapeError,
)

DATA = Path(__file__).parents[1] / "data"


def write(folder: Path, content: bytes, name: str = "genome.fa") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    """A copy of ``wrapped.fa`` without index."""
    return write(tmp_path, (DATA / "wrapped.fa").read_bytes())


def test_fetch_many() -> None:
    fasta = Fasta(DATA / "wrapped.fa", write_index=False)
    intervals = [("chrM", 0, 7, "-"), ("chr1", 8, 13), ("chr1", 8, 13, "-"), ("chr2", 3, 3)]
    expected = [b"TGTAATC", b"ACGTN", b"NACGT", b""]
    for given_as in (intervals, tuple(intervals), iter(intervals), map(list, intervals)):
        got = fasta.fetch_many(given_as)
        assert [letters.tobytes() for letters in got] == expected
        assert {letters.dtype for letters in got} == {np.dtype(np.uint8)}
    starts = np.array([8, 20])
    columns = zip(["chr1", np.str_("chr1")], starts, starts + 3, strict=True)
    assert [letters.tobytes() for letters in fasta.fetch_many(columns)] == [b"ACG", b"ACG"]
    assert fasta.fetch_many([]) == []


def test_fetch_many_stacked() -> None:
    fasta = Fasta(DATA / "wrapped.fa", write_index=False)
    windows = [("chr1", 0, 4), ("chr2", 2, 6, "-"), ("chrM", 3, 7)]
    stacked = fasta.fetch_many(windows, stack=True)
    assert (stacked.shape, stacked.dtype) == ((3, 4), np.uint8)
    assert stacked.tobytes() == b"ACGTCCAATACA"
    out = np.zeros((3, 4), np.uint8)
    assert fasta.fetch_many(windows, stack=True, out=out, threads=2) is out
    assert np.array_equal(out, stacked)
    assert fasta.fetch_many([], stack=True).shape == (0, 0)
    with pytest.raises(ShapeError, match="interval 0 has 4 letters, interval 2 has 3"):
        fasta.fetch_many([*windows[:2], ("chrM", 4, 7)], stack=True)
    for wrong in (np.zeros((3, 5), np.uint8), np.zeros((3, 4)), np.zeros((4, 3), np.uint8).T):
        with pytest.raises(ShapeError, match=r"C-contiguous uint8 array of shape \(3, 4\), not"):
            fasta.fetch_many(windows, stack=True, out=wrong)
    with pytest.raises(ValueError, match="out needs stack=True"):
        fasta.fetch_many(windows, out=out)
    with pytest.raises(ValueError, match="threads must be at least 1, not 0"):
        fasta.fetch_many(windows, threads=0)


@pytest.mark.parametrize(
    ("interval", "kind", "message"),
    [
        (("chrX", 0, 1), ContigNotFoundError, "interval 1: no record 'chrX'; did you mean"),
        (("chr1", 0, 24), IntervalError, r"interval 1: .* <= 23 in 'chr1', not \[0, 24\)"),
        (("chr1", -1, 2), IntervalError, r"interval 1: .* <= 23 in 'chr1', not \[-1, 2\)"),
        (("chr1", 5, 2), IntervalError, r"interval 1: .*not \[5, 2\)"),
        (("chr1", 0, 1 << 70), IntervalError, "interval 1: .*not"),
        (("chr1", 0, 1, "."), ValueError, r"interval 1: strand must be '\+' or '-', not '\.'"),
        (("chr1", 0, 1.0), TypeError, "interval 1: start and end must be integers, not 0 and 1.0"),
        (("chr1", 0), TypeError, "interval 1: expected .chrom, start, end.*not .'chr1', 0."),
        ("chr1:0-5", TypeError, "interval 1: expected"),
    ],
)
def test_fetch_many_names_the_interval(
    interval: object, kind: type[Exception], message: str
) -> None:
    fasta = Fasta(DATA / "wrapped.fa", write_index=False)
    with pytest.raises(kind, match=message):
        fasta.fetch_many([("chr1", 0, 1), interval])
    assert fasta.fetch_many([("chr1", 0, 1)])[0].tobytes() == b"A"


def test_fetch_many_minus_strand_of_a_protein(tmp_path: Path) -> None:
    fasta = Fasta(write(tmp_path, b">p\nACGTEQ\n"))
    with pytest.raises(AlphabetError, match="record 'p', position 1: expected .*, found 'E'") as e:
        fasta.fetch_many([("p", 0, 6), ("p", 3, 6, "-")])
    assert (e.value.index, e.value.position, e.value.record) == (1, 1, "p")
    with pytest.raises(AlphabetError):
        fasta.fetch("p", 3, 6, "-")


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_fetch_many_as_fetch(threads: int, tmp_path: Path) -> None:
    random = np.random.default_rng(6)
    letters = random.choice(np.frombuffer(b"ACGTN", np.uint8), 400_000).tobytes()
    lines = b"\n".join(letters[i : i + 70] for i in range(0, len(letters), 70))
    fasta = Fasta(write(tmp_path, b">a\n" + lines + b"\n>b\nACGT\n"))
    starts = random.integers(0, 390_000, 3000)
    ends = starts + random.choice([0, 1, 100, 1000, 10_000], 3000, p=[0.1, 0.1, 0.4, 0.35, 0.05])
    intervals = [("a", s, e, "+-"[s % 2]) for s, e in zip(starts, ends, strict=True)]
    intervals += [("b", 0, 4), ("a", 0, 400_000)]
    got = fasta.fetch_many(intervals, threads=threads)
    for interval, part in zip(intervals, got, strict=True):
        assert np.array_equal(part, fasta.fetch(*interval))


def test_fetch_many_of_a_file_that_shrinks(tmp_path: Path) -> None:
    path = write(tmp_path, b">a\n" + b"ACGTACGTAC\n" * 40_000)
    fasta = Fasta(path)
    intervals = [("a", start, start + 100) for start in range(0, 399_000, 300)]
    assert len(fasta.fetch_many(intervals)) == len(intervals)
    os.truncate(path, 300_000)
    expected = next(i for i, (_, _, end) in enumerate(intervals) if 3 + end // 10 * 11 > 300_000)
    for threads in (1, 3):
        with pytest.raises(FastaIndexError, match=f"interval {expected}: the lines of 'a' are"):
            fasta.fetch_many(intervals, threads=threads)
    assert fasta.fetch("a", 0, 4).tobytes() == b"ACGT"
    os.truncate(path, 0)
    with pytest.raises(FastaIndexError, match="interval 0: the lines of 'a' are not where it says"):
        fasta.fetch_many(intervals, threads=2)


def test_fetch_many_verifies_headers(genome: Path) -> None:
    Fasta(genome)
    genome.write_bytes(genome.read_bytes().replace(b">chr2\n", b">chrX\n"))
    with pytest.raises(FastaIndexError, match="there is no header of 'chr2'"):
        Fasta(genome).fetch_many([("chr1", 0, 3), ("chr2", 0, 2)])
