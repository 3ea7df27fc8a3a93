"""Intervals of sequences: 0-based and half-open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from operator import index
from typing import Any, NamedTuple, Protocol

from ..errors import ContigNotFoundError, IntervalError, not_a_name

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


def joined(
    intervals: Iterable[tuple[str, int, int]],
    sequences: Sequences,
    place: Callable[[int], str],
) -> list[Interval]:
    """Intervals in the order of the sequences; those that overlap or touch become one.

    Parameters
    ----------
    intervals
        (chrom, start, end), in any order.
    sequences
        Where the intervals lie; of each its length is looked at.
    place
        What errors call the interval of a number, from 0.

    Raises
    ------
    TypeError
        An item of another form, a name that is no str, a place that is no integer.
    IntervalError
        An interval that is empty or does not lie in its sequence.
    ContigNotFoundError
        A `Fasta` has no such sequence; a dict says `KeyError`.
    """
    places = {name: i for i, name in enumerate(sequences)}
    checked = []
    for number, item in enumerate(intervals):
        try:
            checked.append(_checked(item, sequences))
        except (IntervalError, ContigNotFoundError, TypeError) as error:
            raise type(error)(f"{place(number)}: {error}") from None
    found: list[Interval] = []
    for interval in sorted(checked, key=lambda i: (places[i.chrom], i.start, i.end)):
        last = found[-1] if found else None
        if last is not None and last.chrom == interval.chrom and interval.start <= last.end:
            found[-1] = last._replace(end=max(last.end, interval.end))
        else:
            found.append(interval)
    return found


def _checked(item: Any, sequences: Sequences) -> Interval:
    if not isinstance(item, (tuple, list)) or len(item) != 3:
        four = isinstance(item, (tuple, list)) and len(item) == 4
        strand = "; strand= says which strand is scanned" if four else ""
        raise TypeError(f"expected (chrom, start, end), not {item!r}{strand}")
    chrom, start, end = item
    if not isinstance(chrom, str):
        raise TypeError(not_a_name(chrom))
    try:
        start, end = index(start), index(end)
    except TypeError:
        raise TypeError(f"start and end must be integers, not {start!r} and {end!r}") from None
    length = len(sequences[chrom])
    if 0 <= start < end <= length:
        return Interval(chrom, start, end)
    fault = f"is outside the sequence of {length} bases"
    if 0 <= start == end <= length:
        fault = "is empty"
    elif end < start:
        fault = "ends before it starts"
    raise IntervalError(f"region {chrom}:{start}-{end} {fault}")
