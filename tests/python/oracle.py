"""What a scan must give, in plain Python: windows cut one by one, strands by Biopython."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from Bio.Seq import Seq
from numpy.typing import NDArray

from seqtile import ScanBlock

Score = Callable[[str], float]


@dataclass(frozen=True)
class Row:
    """The score of one window, on the bases it is written at."""

    chrom: str
    start: int
    end: int
    score: float
    strand: str


def window_score(letters: str, strand: str, max_n: int, score: Score) -> tuple[float, str]:
    """Score and strand of one window; NaN for too many unknown letters."""
    if sum(letter not in "ACGTU" for letter in letters.upper()) > max_n:
        return math.nan, "-" if strand == "-" else "+"
    plus = score(letters)
    minus = score(str(Seq(letters).reverse_complement()))
    if strand == "both":
        return (minus, "-") if minus > plus else (plus, "+")
    return (plus, "+") if strand == "+" else (minus, "-")


def scan_rows(
    genome: Mapping[str, str],
    score: Score,
    *,
    window: int,
    stride: int,
    strand: str = "both",
    max_n: int = 0,
) -> Iterator[Row]:
    """Every window, those without a score too."""
    for chrom, letters in genome.items():
        for begin in range(0, len(letters) - window + 1, stride):
            value, sign = window_score(letters[begin : begin + window], strand, max_n, score)
            first = begin + (window - stride) // 2
            yield Row(chrom, max(0, first), min(len(letters), first + stride), value, sign)


def block_rows(blocks: Iterable[ScanBlock]) -> Iterator[Row]:
    """The rows of a scan's blocks."""
    for block in blocks:
        count = len(block.scores)
        signs = [0] * count if block.strands is None else block.strands.tolist()
        fields = zip(block.starts, block.ends, block.scores, signs, strict=True)
        for start, end, score, sign in fields:
            yield Row(block.chrom, int(start), int(end), float(score), ".+-"[sign])


def check_rows(actual: Iterable[Row], expected: Iterable[Row]) -> None:
    """Same rows in the same order, scores to 1e-6."""
    actual, expected = list(actual), list(expected)
    assert [(r.chrom, r.start, r.end, r.strand) for r in actual] == [
        (r.chrom, r.start, r.end, r.strand) for r in expected
    ]
    np.testing.assert_allclose(
        [r.score for r in actual], [r.score for r in expected], rtol=0, atol=1e-6
    )


Tracks = dict[str, NDArray[np.float64]]


def per_base(genome: Mapping[str, str], rows: Iterable[Row]) -> Tracks:
    """Scores painted on their bases, NaN elsewhere; no base may be painted twice."""
    tracks = {chrom: np.full(len(letters), np.nan) for chrom, letters in genome.items()}
    painted = {chrom: np.zeros(len(letters), np.int64) for chrom, letters in genome.items()}
    for row in rows:
        assert 0 <= row.start < row.end <= len(genome[row.chrom])
        tracks[row.chrom][row.start : row.end] = row.score
        painted[row.chrom][row.start : row.end] += 1
    assert all(counts.max(initial=0) <= 1 for counts in painted.values())
    return tracks


def check_tracks(actual: Tracks, expected: Tracks) -> None:
    """Same sequences, scores of each base to 1e-6."""
    assert list(actual) == list(expected)
    for chrom, values in expected.items():
        np.testing.assert_allclose(actual[chrom], values, rtol=0, atol=1e-6, err_msg=chrom)


def reduced(
    genome: Mapping[str, str],
    score: Score,
    how: Callable[[list[float]], float],
    *,
    window: int,
    stride: int,
    strand: str = "both",
    max_n: int = 0,
) -> Tracks:
    """Per base: ``how`` over the scores of all windows that cover it, NaN if none has one."""
    tracks = {}
    for chrom, letters in genome.items():
        over: list[list[float]] = [[] for _ in letters]
        for begin in range(0, len(letters) - window + 1, stride):
            value, _ = window_score(letters[begin : begin + window], strand, max_n, score)
            for base in range(begin, begin + window):
                if not math.isnan(value):
                    over[base].append(value)
        tracks[chrom] = np.array([how(values) if values else math.nan for values in over])
    return tracks


def peaks(
    rows: Iterable[Row], threshold: float, gap: int
) -> list[tuple[str, int, int, int, float, str]]:
    """Rows at or above a threshold, near ones joined: chrom, start, end, summit, score, strand.

    The summit is the middle of the first of the best windows' bases.
    """
    runs: list[list[Row]] = []
    for row in rows:
        if row.score >= threshold:
            last = runs[-1][-1] if runs else None
            if last and last.chrom == row.chrom and row.start - last.end <= gap:
                runs[-1].append(row)
            else:
                runs.append([row])
    found = []
    for run in runs:
        best = max(run, key=lambda row: row.score)
        summit = (best.start + best.end) // 2
        found.append((best.chrom, run[0].start, run[-1].end, summit, best.score, best.strand))
    return found


def write_fasta(path: Path, genome: Mapping[str, str], *, width: int = 50) -> Path:
    """A FASTA file of wrapped lines."""
    with path.open("w") as file:
        for name, letters in genome.items():
            file.write(f">{name} made up\n")
            file.writelines(letters[i : i + width] + "\n" for i in range(0, len(letters), width))
    return path
