"""Intervals: checked against their sequences, in their order, overlapping ones joined."""

from __future__ import annotations

import numpy as np
import pytest

from seqtile import IntervalError
from seqtile.regions.intervals import joined

SEQUENCES = {"b": range(10), "a": range(5)}
NUMBER = "interval {}".format


def test_joined() -> None:
    intervals = [("a", 1, 3), ("b", 6, 8), ("b", 0, 2), ("b", 1, 4), ("b", 4, 5), ["a", 1, 2]]
    assert joined(intervals, SEQUENCES, NUMBER) == [("b", 0, 5), ("b", 6, 8), ("a", 1, 3)]
    assert joined([], SEQUENCES, NUMBER) == []
    numbers = np.array([1, 3])
    assert joined([("a", *numbers)], SEQUENCES, NUMBER) == [("a", 1, 3)]


@pytest.mark.parametrize(
    ("start", "end", "fault"),
    [
        (-1, 2, "is outside the sequence of 5 bases"),
        (4, 6, "is outside the sequence of 5 bases"),
        (6, 6, "is outside the sequence of 5 bases"),
        (2, 2, "is empty"),
        (3, 2, "ends before it starts"),
    ],
)
def test_outside(start: int, end: int, fault: str) -> None:
    with pytest.raises(IntervalError, match=f"^interval 1: region a:{start}-{end} {fault}$"):
        joined([("a", 0, 1), ("a", start, end)], SEQUENCES, NUMBER)


@pytest.mark.parametrize(
    ("item", "fault"),
    [
        ((1, 0, 2), "chrom must be a str, not int 1; did you mean '1'[?]"),
        ((np.int64(1), 0, 2), "chrom must be a str, not int64 1; did you mean '1'[?]"),
        ((b"a", 0, 2), "chrom must be a str, not bytes a; did you mean 'a'[?]"),
        ((None, 0, 2), "chrom must be a str, not NoneType None$"),
        (("a", 0.0, 2), "start and end must be integers, not 0.0 and 2"),
        (("a", "0", "2"), "start and end must be integers, not '0' and '2'"),
        (("a", 0, 2, "-"), "expected .chrom, start, end., not .*; strand= says which strand"),
        (("a", 0), "expected .chrom, start, end., not .'a', 0.$"),
        ("a", "expected .chrom, start, end., not 'a'$"),
        (7, "expected .chrom, start, end., not 7$"),
    ],
)
def test_no_intervals(item: object, fault: str) -> None:
    with pytest.raises(TypeError, match=f"^interval 1: {fault}"):
        joined([("a", 0, 1), item], SEQUENCES, NUMBER)


def test_no_such_sequence() -> None:
    with pytest.raises(KeyError):
        joined([("c", 0, 1)], SEQUENCES, NUMBER)
