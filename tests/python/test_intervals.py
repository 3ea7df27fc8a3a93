"""Intervals: checked against their sequences, in their order, overlapping ones joined."""

from __future__ import annotations

import pytest

from seqtile import IntervalError
from seqtile.regions.intervals import joined

SEQUENCES = {"b": range(10), "a": range(5)}


def test_joined() -> None:
    intervals = [("a", 1, 3), ("b", 6, 8), ("b", 0, 2), ("b", 1, 4), ("b", 4, 5), ("a", 1, 2)]
    assert joined(intervals, SEQUENCES) == [("b", 0, 5), ("b", 6, 8), ("a", 1, 3)]
    assert joined([], SEQUENCES) == []


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (2, 2), (3, 2), (4, 6)])
def test_outside(start: int, end: int) -> None:
    with pytest.raises(IntervalError, match=f"^region a:{start}-{end} is outside .* of 5 bases$"):
        joined([("a", start, end)], SEQUENCES)


def test_no_such_sequence() -> None:
    with pytest.raises(KeyError):
        joined([("c", 0, 1)], SEQUENCES)
