"""What stands behind `seqtile.Fasta`: checks of intervals, and of a file against its index."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import index
from typing import Any, Literal, NoReturn, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..errors import (
    AlphabetError,
    ContigNotFoundError,
    FastaIndexError,
    IntervalError,
    ShapeError,
    shown,
)
from ..sequences.sequence import reverse_complement
from .fai import Contig, stale

__all__ = ["Access", "Interval", "Strand", "room_for"]

Strand: TypeAlias = Literal["+", "-"]
Interval: TypeAlias = tuple[str, int, int] | tuple[str, int, int, Strand]


class Access:
    """An open reader and its index; all that `Fasta.fetch` does when something is out of order."""

    def __init__(
        self,
        name: str,
        reader: _core.FastaReader,
        contigs: Mapping[str, Contig],
        *,
        verified: bool,
    ) -> None:
        self.name, self.reader, self.contigs = name, reader, contigs
        geometry = np.array(list(contigs.values()), np.int64).reshape(-1)
        try:
            reader.set_records(list(contigs), geometry, verified)
        except IndexError as error:
            raise self._stale(f"{error.args[0]!r} does not end where it says") from None

    def fetch(self, chrom: str, start: int, end: int, strand: Strand = "+") -> NDArray[np.uint8]:
        """One interval, with every check; see `Fasta.fetch`."""
        self._check_interval(chrom, start, end, strand)
        letters = np.empty(int(end) - int(start), dtype=np.uint8)
        number = self.reader.numbers[chrom]
        with self.damage():
            if start < end:
                self.check_header(chrom)
            if not self.reader.fetch_into(number, start, end, letters):
                raise self._stale(f"the lines of {shown(chrom)} are not where it says")
        return reverse_complement(letters) if strand == "-" else letters

    def stacked_shape(self, items: Sequence[Interval], plan: _core.FetchPlan) -> tuple[int, int]:
        """Shape of the intervals as one array; `ShapeError` if their lengths differ."""
        if plan.odd_one >= 0:
            (_, a, b, *_), (_, c, d, *_) = items[0], items[plan.odd_one]
            raise ShapeError(
                f"{self.name}: stack=True needs intervals of one length: interval 0 has {b - a} "
                f"letters, interval {plan.odd_one} has {d - c}"
            )
        return len(items), plan.letters // max(len(items), 1)

    def explain(self, number: int, position: int, byte: int, item: Interval) -> NoReturn:
        """Raise the error of an interval whose letters could not be had."""
        if position < 0:
            raise self._stale(f"interval {number}: the lines of {item[0]!r} are not where it says")
        try:
            reverse_complement(np.array([byte], np.uint8))
        except AlphabetError as error:
            what = error.expected
        raise AlphabetError(position, byte, expected=what, index=number, record=item[0])

    def check_item(self, number: int, item: Any) -> Interval:
        """The interval as a tuple; the error that says what is wrong with it."""
        where = f"interval {number}: "
        if not isinstance(item, (tuple, list)) or len(item) not in (3, 4):
            raise TypeError(
                f"{self.name}: {where}expected (chrom, start, end) or (chrom, start, end, strand), "
                f"not {item!r}"
            )
        chrom, start, end, *strand = item
        self._check_interval(chrom, start, end, *strand, where=where)
        return cast(Interval, tuple(item))

    def _check_interval(
        self, chrom: str, start: int, end: int, strand: str = "+", *, where: str = ""
    ) -> None:
        length = self.contig(chrom, where).length
        if strand not in ("+", "-"):
            raise ValueError(f"{where}strand must be '+' or '-', not {strand!r}")
        try:
            sound = 0 <= index(start) <= index(end) <= length
        except TypeError as error:
            raise TypeError(f"{self.name}: {where}start and end: {error}") from None
        if not sound:
            raise IntervalError(
                f"{self.name}: {where}expected 0 <= start <= end <= {length} in {shown(chrom)}, "
                f"not [{start}, {end})"
            )

    def contig(self, chrom: str, where: str = "") -> Contig:
        """A record by its name; `ContigNotFoundError` if there is none."""
        try:
            return self.contigs[chrom]
        except KeyError:
            near = difflib.get_close_matches(chrom, self.contigs, n=1)
            hint = f"; did you mean {shown(near[0])}?" if near else ""
            raise ContigNotFoundError(
                f"{self.name}: {where}no record {shown(chrom)}{hint}"
            ) from None

    def check_size(self) -> None:
        """Whether the file ends where the index ends; `FastaIndexError` if not."""
        last = max(self.contigs.values(), key=lambda c: c.offset)
        if self.reader.read(last.end, 1 << 16).strip():
            raise self._stale("the last record does not end where it says")

    def check_header(self, chrom: str) -> None:
        """Whether a record stands where the index says, found out once for each."""
        number = self.reader.numbers[chrom]
        if self.reader.verified(number):
            return
        begin = offset = self.contigs[chrom].offset
        before = newline = line = b""
        while begin > 0 and not newline:  # back to the start of the line that ends at offset
            begin = max(0, offset - 256 - 2 * (offset - begin))
            before = self.reader.read(begin, offset - begin)
            _, newline, line = before.rstrip(b"\r\n").rpartition(b"\n")
        name = line[1:].split(None, 1)[:1]
        ends = before.endswith(b"\n")
        if not ends or line[:1] != b">" or name != [chrom.encode("utf-8", "surrogateescape")]:
            raise self._stale(f"there is no header of {shown(chrom)} where it says")
        self.reader.verify(number)

    @contextmanager
    def damage(self) -> Iterator[None]:
        """A bgzip block that is damaged, or not where the index says."""
        try:
            yield
        except _core.ParseError as error:
            raise FastaIndexError(
                self.name,
                f"{error.args[0]}: the file is damaged, has changed, or its .gzi index is that of "
                "another file",
            ) from None

    def _stale(self, what: str) -> FastaIndexError:
        return stale(f"{self.name}.fai", self.name, what)


def room_for(out: NDArray[np.uint8] | None, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """``out`` if it is an array of this shape to write to, or a new one; else `ShapeError`."""
    if out is None:
        return np.empty(shape, np.uint8)
    if out.dtype != np.uint8 or out.shape != shape or not out.flags.carray:
        raise ShapeError(
            f"out must be a writable C-contiguous uint8 array of shape {shape}, "
            f"not {out.dtype} of shape {out.shape}"
        )
    return out
