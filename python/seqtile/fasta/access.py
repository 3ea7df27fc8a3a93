"""What stands behind `seqtile.Fasta`: checks of intervals, and of a file against its index."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import dropwhile
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
    not_a_name,
    shown,
)
from ..sequences.sequence import reverse_complement
from .fai import Contig, stale

__all__ = ["Access", "Interval", "Strand", "damage", "room_for"]

Strand: TypeAlias = Literal["+", "-"]
Interval: TypeAlias = tuple[str, int, int] | tuple[str, int, int, Strand]

_LONGEST_GAP = 1 << 24  # bytes between records; longer ones are letters


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
        self._names = list(contigs)
        geometry = np.array(list(contigs.values()), np.int64).reshape(-1, 4)
        try:
            reader.set_records(self._names, geometry.reshape(-1), verified)
        except IndexError as error:
            raise self._stale(f"{error.args[0]!r} does not end where it says") from None
        # The file's gaps: gap k stands before the k-th record in the file, the last after all.
        length, self._offsets, bases, width = geometry.T
        lines = np.maximum(length - 1, 0) // np.maximum(bases, 1)
        self._ends = self._offsets + length + lines * (width - bases)
        self._order = np.argsort(self._offsets, kind="stable")
        self._ranks = np.empty_like(self._order)
        self._ranks[self._order] = np.arange(len(self._order))
        self._sound: set[int] = set()  # gaps that hold what they should

    def fetch(self, chrom: str, start: int, end: int, strand: Strand = "+") -> NDArray[np.uint8]:
        """One interval, with every check; see `Fasta.fetch`."""
        self._check_interval(chrom, start, end, strand)
        letters = np.empty(int(end) - int(start), dtype=np.uint8)
        number = self.reader.numbers[chrom]
        with damage(self.name):
            if start < end:
                self.check_place(number)
            if not self.reader.fetch_into(number, start, end, letters):
                raise self._stale(f"the lines of {shown(chrom)} are not where it says")
        if strand == "+":
            return letters
        return reverse_complement(letters, alphabet="rna" if self.is_rna else "dna")

    @cached_property
    def is_rna(self) -> bool:
        """Whether the file's first letters hold U and no T."""
        with damage(self.name):
            lines = self.reader.read(0, 1 << 16).upper().split(b"\n")
        letters = b"".join(line for line in lines if line[:1] not in (b">", b";", b"#"))
        return b"U" in letters and b"T" not in letters

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
        except TypeError:
            raise TypeError(
                f"{self.name}: {where}start and end must be integers, not {start!r} and {end!r}"
            ) from None
        if not sound:
            raise IntervalError(
                f"{self.name}: {where}expected 0 <= start <= end <= {length} in {shown(chrom)}, "
                f"not [{start}, {end})"
            )

    def contig(self, chrom: str, where: str = "") -> Contig:
        """A record by its name; `ContigNotFoundError` if there is none."""
        if not isinstance(chrom, str):
            raise TypeError(f"{self.name}: {where}{not_a_name(chrom)}")
        try:
            return self.contigs[chrom]
        except KeyError:
            raise ContigNotFoundError(
                f"{self.name}: {where}no record {shown(chrom)}{self._hint(chrom)}"
            ) from None

    def _hint(self, chrom: str) -> str:
        """A name that may be meant: as other genomes' providers write it, or a near one."""
        bare = chrom.removeprefix("chr")
        names = [bare if bare != chrom else f"chr{chrom}"]
        names += {"chrM": ["MT"], "M": ["chrM", "MT"], "MT": ["chrM", "M"]}.get(chrom, [])
        found = [name for name in names if name in self.contigs]
        found = found or difflib.get_close_matches(chrom, self.contigs, n=1)
        return f"; did you mean {shown(found[0])}?" if found else ""

    def check_ends(self) -> None:
        """Whether the index tells of the file's begin and end; `FastaIndexError` if not."""
        with damage(self.name):
            if self.reader.read(int(self._ends[self._order[-1]]), 1 << 16).strip():
                raise self._stale("the last record does not end where it says")
            self._check_gap(0)

    def check_place(self, number: int) -> None:
        """Whether a record stands where the index says, found out once for each.

        Before it stands its header alone, after its last letter a line's end and the header of the
        next record, or nothing.
        """
        if self.reader.verified(number):
            return
        rank = int(self._ranks[number])
        self._check_gap(rank)
        if rank + 1 < len(self._order):
            self._check_gap(rank + 1)
        self.reader.verify(number)

    def _check_gap(self, rank: int) -> None:
        """Whether there is a header alone between the records before and at this place in the file.

        Records without letters may stand there too: samtools leaves them out of its index.
        """
        if rank in self._sound:
            return
        here = self._order[rank]
        before = self._order[rank - 1] if rank else None
        begin = 0 if before is None else int(self._ends[before])
        end, name = int(self._offsets[here]), shown(self._names[here])
        text = self.reader.read(begin, min(end - begin, _LONGEST_GAP)) if begin < end else b""
        rest, newline, after = text.partition(b"\n")
        if before is None or begin == self._offsets[before]:
            after = text  # at a line's start
        elif rest.strip() or not newline:
            raise self._stale(f"{shown(self._names[before])} does not end where it says")
        lines = [line.strip() for line in after.split(b"\n") if line.strip()]
        if before is None:
            lines = list(dropwhile(lambda line: line[:1] in (b";", b"#"), lines))
        if not all(line.startswith(b">") for line in lines):
            what = "a record that it lacks, or letters," if rank else "another first record"
            raise self._stale(f"{what} stands before {name}")
        whole = len(text) == end - begin and (text.endswith(b"\n") or end == self.reader.size)
        found = lines[-1][1:].split(None, 1)[:1] or [b""] if lines else None
        if not whole or found != [self._names[here].encode("utf-8", "surrogateescape")]:
            raise self._stale(f"there is no header of {name} where it says")
        self._sound.add(rank)

    def _stale(self, what: str) -> FastaIndexError:
        return stale(f"{self.name}.fai", self.name, what)


@contextmanager
def damage(name: str) -> Iterator[None]:
    """A bgzip block that is damaged, or not where the index says."""
    try:
        yield
    except _core.ParseError as error:
        raise FastaIndexError(
            name,
            f"{error.args[0]}: the file is damaged, has changed, or its .gzi index is that of "
            "another file. Delete it, or open with Fasta(path, rebuild_index=True)",
        ) from None


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
