"""Peaks, by hand: what is merged, and across blocks."""

from __future__ import annotations

import io
from dataclasses import astuple

import numpy as np
import pytest

from seqtile import ScanBlock
from seqtile.scanning.peaks import Peak, PeakCaller
from seqtile.scanning.tracks.bed import PeakTrack

NAN = float("nan")


def call(*blocks: tuple[object, ...], gap: int = 0) -> list[tuple[object, ...]]:
    """Peaks at 0.5 and above, of blocks (chrom, start, end, first, step, scores, strands)."""
    caller = PeakCaller(0.5, gap)
    found = []
    for chrom, start, end, first, step, scores, strands in blocks:
        signs = None if strands is None else np.array(strands, np.int8)
        block = ScanBlock(chrom, start, end, first, step, np.array(scores, np.float32), signs)
        found += caller.add(block)
    return [astuple(peak) for peak in found + caller.finish()]


def bed_scores(scores: list[float], *, narrow: bool, probability: bool) -> list[int]:
    """Of BED, of a peak of each score, written one by one."""
    file = io.BytesIO()
    track = PeakTrack(file, narrow=narrow, probability=probability)
    empty = ScanBlock("a", 0, 0, 0, 1, np.empty(0, np.float32), None)
    for i, score in enumerate(scores[:-1]):
        track.write(empty, [Peak("a\tb", i, i + 1, i, score, "+")])
    track.close([Peak("a\tb", 9, 10, 9, scores[-1], "-")])
    lines = [
        line.rsplit("\t", 9 if narrow else 5) for line in file.getvalue().decode().splitlines()
    ]
    assert [line[3] for line in lines] == [f"peak_{i + 1}" for i in range(len(scores))]
    assert {line[0] for line in lines} == {"a\tb"}
    assert [line[5] for line in lines] == ["+"] * (len(scores) - 1) + ["-"]
    if narrow:
        assert [float(line[6]) for line in lines] == pytest.approx(scores, rel=1e-5)
    return [int(line[4]) for line in lines]


@pytest.mark.parametrize("narrow", [True, False])
def test_scores_of_bed(narrow: bool) -> None:
    share = [0.0, 0.25, 1.0, 0.9999]
    for probability in (True, False):
        assert bed_scores(share, narrow=narrow, probability=probability) == [0, 250, 1000, 999]
    logits = [-3.0, 12.5, 0.5, 12.5, 7.0]
    ranks = [200, 1000, 400, 1000, 600]
    assert bed_scores(logits, narrow=narrow, probability=False) == ranks
    assert bed_scores([5.0], narrow=narrow, probability=False) == [1000]


def test_neighbours_are_merged() -> None:
    scores = [0.25, 0.5, 0.75, 0.25, 0.5]
    assert call(("a", 0, 20, 0, 4, scores, [1, 1, -1, 1, -1])) == [
        ("a", 4, 12, 10, 0.75, "-"),
        ("a", 16, 20, 18, 0.5, "-"),
    ]


def test_the_threshold_is_part_of_a_peak() -> None:
    below = float(np.nextafter(np.float32(0.5), np.float32(0)))
    assert call(("a", 0, 8, 0, 4, [0.5, below], [1, 1])) == [("a", 0, 4, 2, 0.5, "+")]


def test_the_first_of_equals_is_the_summit() -> None:
    assert call(("a", 0, 12, 0, 4, [0.5, 0.75, 0.75], [1, 1, -1])) == [("a", 0, 12, 6, 0.75, "+")]


@pytest.mark.parametrize(("second", "summit"), [(0.75, 6), (0.875, 10)])
def test_a_peak_spans_blocks(second: float, summit: int) -> None:
    blocks = [("a", 4, 8, 4, 4, [0.75], [1]), ("a", 8, 12, 8, 4, [second], [-1])]
    strand = "+" if second == 0.75 else "-"
    assert call(*blocks) == [("a", 4, 12, summit, second, strand)]


def test_a_gap_or_another_sequence_ends_a_peak() -> None:
    blocks = [
        ("a", 0, 8, 0, 4, [0.5, 0.5], [1, 1]),
        ("a", 9, 13, 9, 4, [0.5], [1]),
        ("b", 13, 17, 13, 4, [0.5], [1]),
    ]
    assert [peak[:3] for peak in call(*blocks)] == [("a", 0, 8), ("a", 9, 13), ("b", 13, 17)]


def test_a_window_without_score_ends_a_peak() -> None:
    peaks = call(("a", 0, 12, 0, 4, [0.5, NAN, 0.5], [1, 1, 1]))
    assert [peak[:3] for peak in peaks] == [("a", 0, 4), ("a", 8, 12)]


def test_clipped_ends() -> None:
    assert call(("a", 2, 7, 0, 4, [0.5, 0.75], [1, 1])) == [("a", 2, 7, 5, 0.75, "+")]


def test_reduced_scores_have_no_strand() -> None:
    assert call(("a", 5, 8, 5, 1, [0.5, 0.5, 0.75], None)) == [("a", 5, 8, 7, 0.75, ".")]


def test_nothing() -> None:
    assert call() == []
    assert call(("a", 0, 0, 0, 4, [], [])) == []


def test_near_runs_are_one_peak() -> None:
    """Also across blocks and unscored windows, with the summit of the best run."""
    blocks = [
        ("a", 0, 12, 0, 4, [0.625, 0.25, NAN], [1, 1, 1]),
        ("a", 12, 20, 12, 4, [0.75, 0.25], [-1, 1]),
        ("b", 0, 4, 0, 4, [0.5], [1]),
    ]
    apart = [("a", 0, 4, 2, 0.625, "+"), ("a", 12, 16, 14, 0.75, "-"), ("b", 0, 4, 2, 0.5, "+")]
    assert call(*blocks, gap=7) == apart
    assert call(*blocks, gap=8) == [("a", 0, 16, 14, 0.75, "-"), apart[2]]


def test_negative_gap() -> None:
    with pytest.raises(ValueError, match="^merge_gap must not be negative, not -1$"):
        PeakCaller(0.5, -1)


def test_a_peak_ends_where_the_blocks_do_not_touch() -> None:
    """Bases between two regions are not written, however near."""
    blocks = [("a", 0, 4, 0, 4, [0.5], [1]), ("a", 8, 12, 8, 4, [0.75], [1])]
    expected = [("a", 0, 4, 2, 0.5, "+"), ("a", 8, 12, 10, 0.75, "+")]
    assert call(*blocks, gap=100) == expected
