"""Intervals of sequences: 0-based and half-open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import NamedTuple, Protocol

from ..errors import IntervalError

__all__ = ["Interval", "Sequences", "joined"]


class Interval(NamedTuple):
    """The bases ``[start, end)`` of the sequence ``chrom``, 0-based."""

    chrom: str
    start: int
    end: int


class Sequences(Protocol):
    """Sequences by name, in order: a `Fasta`, or a dict."""

    def __iter__(self) -> Iterator[str]: ...
    def __getitem__(self, chrom: str, /) -> Sized: ...


def joined(intervals: Iterable[tuple[str, int, int]], sequences: Sequences) -> list[Interval]:
    """Intervals in the order of the sequences; those that overlap or touch become one.

    Parameters
    ----------
    intervals
        (chrom, start, end), in any order.
    sequences
        Where the intervals lie; of each its length is looked at.

    Raises
    ------
    IntervalError
        An interval that is empty or does not lie in its sequence.
    ContigNotFoundError
        A `Fasta` has no such sequence; a dict says `KeyError`.
    """
    places = {name: i for i, name in enumerate(sequences)}
    checked = []
    for chrom, start, end in intervals:
        length = len(sequences[chrom])
        if not 0 <= start < end <= length:
            raise IntervalError(
                f"region {chrom}:{start}-{end} is outside the sequence of {length} bases"
            )
        checked.append(Interval(chrom, start, end))
    found: list[Interval] = []
    for interval in sorted(checked, key=lambda i: (places[i.chrom], i.start, i.end)):
        last = found[-1] if found else None
        if last is not None and last.chrom == interval.chrom and interval.start <= last.end:
            found[-1] = last._replace(end=max(last.end, interval.end))
        else:
            found.append(interval)
    return found
