"""Random access to FASTA files, plain or bgzip, through a ``.fai`` index.

Coordinates are 0-based and half-open. Letters are kept as they stand in the file, in their case.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from operator import index
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeAlias, cast, overload

import numpy as np
from numpy.typing import NDArray

from . import _core
from .errors import (
    AlphabetError,
    ContigNotFoundError,
    FastaIndexError,
    FastaParseError,
    IntervalError,
    ShapeError,
)
from .fai import Contig, build_fai, open_reader, read_fai, stale, write_fai
from .fasta import FastaInput
from .sequence import reverse_complement

__all__ = ["Fasta", "FastaContig", "Interval", "Strand"]

Strand: TypeAlias = Literal["+", "-"]
Interval: TypeAlias = tuple[str, int, int] | tuple[str, int, int, Strand]


class FastaContig:
    """One record of a `Fasta`: slices like a string, gives uint8 arrays."""

    def __init__(self, fasta: Fasta, name: str) -> None:
        self._fasta = fasta
        self.name = name

    def __len__(self) -> int:
        return self._fasta.lengths[self.name]

    def __getitem__(self, key: slice | int) -> NDArray[np.uint8]:
        """``[start:end]`` (0-based, half-open, negative from the end, any step), or a position."""
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1:
                return self._fasta.fetch(self.name, start, max(start, stop))
            return self._fasta.fetch(self.name, 0, len(self))[key].copy()
        position = key + len(self) if key < 0 else key
        if not 0 <= position < len(self):
            raise IndexError(f"position {key} is outside {self.name!r} of length {len(self)}")
        return self._fasta.fetch(self.name, position, position + 1)


class Fasta:
    """Random access to a FASTA file, plain or bgzip, through its ``.fai`` index.

    Parameters
    ----------
    path
        FASTA, plain or compressed by ``bgzip``; the lines of a record are equally long, but for
        the last.
    rebuild_index
        Build the index anew even if there is one.
    write_index
        Write a built index to ``<path>.fai``, as ``samtools faidx`` does, and that of a bgzip
        file's blocks to ``<path>.gzi``, as ``bgzip -r`` does; if the folder is not writable they
        stay in memory.

    Raises
    ------
    FileNotFoundError
        No such file.
    FastaParseError
        Not FASTA (see `read_fasta`); FASTQ has no random access.
    FastaIndexError
        Duplicate names, unevenly wrapped lines, ordinary gzip, a malformed index, or a
        stale one: its records are not where it says. Staleness is judged by the file's size and
        by each record's header when it is first read, not by dates.

    Notes
    -----
    Safe to share between threads and across ``fork``, for no position in the file is shared;
    pickles by its path. A file that changes or shrinks while it is open gives `FastaIndexError`.
    The last blocks that `fetch` inflated are kept, 4 MiB at most.

    Examples
    --------
    >>> fasta = Fasta("genome.fa.gz")  # doctest: +SKIP
    >>> fasta["chr1"][100:200]  # doctest: +SKIP
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        rebuild_index: bool = False,
        write_index: bool = True,
    ) -> None:
        self._path: str | None = str(Path(path).absolute())
        self.name = os.fspath(path)
        fai = Path(f"{self._path}.fai")
        built = rebuild_index or not fai.exists()
        with FastaInput(self._path) as file:
            if file.compression not in (None, "bgzip"):
                kind = "ordinary gzip" if file.compression == "gzip" else file.compression
                raise FastaIndexError(
                    path, f"{kind} has no random access: compress the file with bgzip instead"
                )
            self._reader = open_reader(path, rebuild=rebuild_index, write=write_index)
            if self._reader.read(0, 1) == b"@":
                raise FastaParseError(
                    self.name,
                    "expected '>' at the start of a FASTA file, found '@': this looks like FASTQ, "
                    "which has no random access",
                    line=1,
                )
            contigs = build_fai(file) if built else read_fai(fai)
        if built and write_index:
            write_fai(fai, contigs)
        self._set_contigs(contigs)
        if not built:
            self._check_size()

    def _set_contigs(self, contigs: dict[str, Contig], verified: bool = False) -> None:
        self._contigs = contigs
        self.lengths: Mapping[str, int] = {name: c.length for name, c in contigs.items()}
        geometry = np.array(list(contigs.values()), np.int64).reshape(-1)
        try:
            self._reader.set_records(list(contigs), geometry, verified)
        except IndexError as error:
            raise self._stale(f"{error.args[0]!r} does not end where it says") from None
        self._quick = _core.fetcher(self._reader)

    @classmethod
    def _opened(cls, path: str, contigs: dict[str, Contig]) -> Fasta:
        fasta = cls.__new__(cls)
        fasta._path, fasta.name = str(Path(path).absolute()), path
        fasta._reader = open_reader(path)
        fasta._set_contigs(contigs)
        return fasta

    @classmethod
    def _spooled(cls, descriptor: int, contigs: dict[str, Contig], name: str) -> Fasta:
        fasta = cls.__new__(cls)
        fasta._path, fasta.name = None, name
        fasta._reader = _core.FastaReader(descriptor, False, None)
        fasta._set_contigs(contigs, verified=True)
        return fasta

    def __getitem__(self, chrom: str) -> FastaContig:
        self._contig(chrom)
        return FastaContig(self, chrom)

    def __contains__(self, chrom: object) -> bool:
        return chrom in self._contigs

    def __iter__(self) -> Iterator[str]:
        return iter(self._contigs)

    def __len__(self) -> int:
        return len(self._contigs)

    def fetch(self, chrom: str, start: int, end: int, strand: Strand = "+") -> NDArray[np.uint8]:
        """Letters ``[start, end)`` of a record; with ``strand="-"`` their reverse complement.

        Returns
        -------
        uint8 array of shape (end - start,).

        Raises
        ------
        ContigNotFoundError
            No record of this name.
        IntervalError
            Not ``0 <= start <= end <= length``.
        AlphabetError
            ``strand="-"`` of letters that are no nucleotides.
        FastaIndexError
            The file is not what its index says, or a block of it is damaged.
        """
        if strand == "+":
            letters = self._quick(chrom, start, end)
            if letters is not None:
                return letters
        return self._fetch_carefully(chrom, start, end, strand)

    def _fetch_carefully(
        self, chrom: str, start: int, end: int, strand: Strand
    ) -> NDArray[np.uint8]:
        self._check_interval(chrom, start, end, strand)
        letters = np.empty(int(end) - int(start), dtype=np.uint8)
        number = self._reader.numbers[chrom]
        with self._damage():
            if start < end:
                self._check_header(chrom)
            if not self._reader.fetch_into(number, start, end, letters):
                raise self._stale(f"the lines of {chrom!r} are not where it says")
        return reverse_complement(letters) if strand == "-" else letters

    @overload
    def fetch_many(
        self, intervals: Iterable[Interval], *, stack: Literal[False] = ..., threads: int = ...
    ) -> list[NDArray[np.uint8]]: ...
    @overload
    def fetch_many(
        self,
        intervals: Iterable[Interval],
        *,
        stack: Literal[True],
        out: NDArray[np.uint8] | None = ...,
        threads: int = ...,
    ) -> NDArray[np.uint8]: ...
    def fetch_many(
        self,
        intervals: Iterable[Interval],
        *,
        stack: bool = False,
        out: NDArray[np.uint8] | None = None,
        threads: int = 1,
    ) -> list[NDArray[np.uint8]] | NDArray[np.uint8]:
        """Letters of many intervals at once, in their order; several times as fast as `fetch`.

        Parameters
        ----------
        intervals
            N tuples ``(chrom, start, end)`` or ``(chrom, start, end, strand)``, as those of a BED
            file; columns of a table come as ``zip(chroms, starts, ends)``. They may overlap and
            stand in any order; of a bgzip file each block is inflated once.
        stack
            The intervals are equally long, L letters: give one array of shape (N, L), ready for
            `one_hot` and `Predictor.predict`.
        out
            With ``stack``: C-contiguous uint8 array of shape (N, L) to fill and return.
        threads
            Threads to work with, at least 1.

        Returns
        -------
        List of N uint8 arrays, views of one buffer; with ``stack`` one uint8 array of shape (N, L).

        Raises
        ------
        ContigNotFoundError, IntervalError, AlphabetError, FastaIndexError
            As `fetch`; the message names the interval by its 0-based number.
        ShapeError
            With ``stack``: intervals of different lengths, or an ``out`` of another shape.

        Examples
        --------
        >>> fasta = Fasta("genome.fa")  # doctest: +SKIP
        >>> peaks = [("chr1", 100, 200), ("chr2", 40, 140, "-")]  # doctest: +SKIP
        >>> fasta.fetch_many(peaks, stack=True).shape  # doctest: +SKIP
        (2, 100)
        """
        if threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        if out is not None and not stack:
            raise ValueError("out needs stack=True")
        items = intervals if isinstance(intervals, (list, tuple)) else list(intervals)
        plan = self._reader.plan(items)
        if isinstance(plan, int):  # the first that is no interval of this file, or a list
            self._check_item(-1 - plan, items[-1 - plan])
            items = [(i, self._check_item(i, item))[1] for i, item in enumerate(items)]
            plan = self._reader.plan(items)
        assert not isinstance(plan, int)
        if stack:
            out = _room(out, self._stacked_shape(items, plan))
        letters = np.empty(plan.letters, np.uint8) if out is None else out.reshape(-1)
        with self._damage():
            names = list(self._contigs) if plan.unverified else []
            for number in plan.unverified:
                self._check_header(names[number])
            failure = self._reader.fetch_many(plan, letters, threads)
        if failure is not None:
            self._explain(*failure, items[failure[0]])
        if out is not None:
            return out
        bounds = plan.offsets().tolist()
        return [letters[a:b] for a, b in pairwise(bounds)]

    def close(self) -> None:
        """Close the file; further fetches fail."""
        if hasattr(self, "_reader"):
            self._reader.close()

    def __enter__(self) -> Fasta:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[..., Fasta], tuple[str, dict[str, Contig]]]:
        if self._path is None:
            raise TypeError(f"{self.name}: a FASTA read from a stream cannot be pickled")
        return Fasta._opened, (self._path, self._contigs)

    def _stacked_shape(self, items: Sequence[Interval], plan: _core.FetchPlan) -> tuple[int, int]:
        if plan.odd_one >= 0:
            (_, a, b, *_), (_, c, d, *_) = items[0], items[plan.odd_one]
            raise ShapeError(
                f"{self.name}: stack=True needs intervals of one length: interval 0 has {b - a} "
                f"letters, interval {plan.odd_one} has {d - c}"
            )
        return len(items), plan.letters // max(len(items), 1)

    def _explain(self, number: int, position: int, byte: int, item: Interval) -> NoReturn:
        if position < 0:
            raise self._stale(f"interval {number}: the lines of {item[0]!r} are not where it says")
        try:
            reverse_complement(np.array([byte], np.uint8))
        except AlphabetError as error:
            what = error.expected
        raise AlphabetError(position, byte, expected=what, index=number, record=item[0])

    def _check_item(self, number: int, item: Any) -> Interval:
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
        length = self._contig(chrom, where).length
        if strand not in ("+", "-"):
            raise ValueError(f"{where}strand must be '+' or '-', not {strand!r}")
        try:
            sound = 0 <= index(start) <= index(end) <= length
        except TypeError as error:
            raise TypeError(f"{self.name}: {where}start and end: {error}") from None
        if not sound:
            raise IntervalError(
                f"{self.name}: {where}expected 0 <= start <= end <= {length} in {chrom!r}, "
                f"not [{start}, {end})"
            )

    def _contig(self, chrom: str, where: str = "") -> Contig:
        try:
            return self._contigs[chrom]
        except KeyError:
            near = difflib.get_close_matches(chrom, self._contigs, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ContigNotFoundError(f"{self.name}: {where}no record {chrom!r}{hint}") from None

    def _check_size(self) -> None:
        last = max(self._contigs.values(), key=lambda c: c.offset)
        if self._reader.read(last.end, 1 << 16).strip():
            raise self._stale("the last record does not end where it says")

    def _check_header(self, chrom: str) -> None:
        number = self._reader.numbers[chrom]
        if self._reader.verified(number):
            return
        begin = offset = self._contigs[chrom].offset
        before = newline = line = b""
        while begin > 0 and not newline:  # back to the start of the line that ends at offset
            begin = max(0, offset - 256 - 2 * (offset - begin))
            before = self._reader.read(begin, offset - begin)
            _, newline, line = before.rstrip(b"\r\n").rpartition(b"\n")
        name = line[1:].split(None, 1)[:1]
        ends = before.endswith(b"\n")
        if not ends or line[:1] != b">" or name != [chrom.encode("utf-8", "surrogateescape")]:
            raise self._stale(f"there is no header of {chrom!r} where it says")
        self._reader.verify(number)

    @contextmanager
    def _damage(self) -> Iterator[None]:
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


def _room(out: NDArray[np.uint8] | None, shape: tuple[int, int]) -> NDArray[np.uint8]:
    if out is None:
        return np.empty(shape, np.uint8)
    if out.dtype != np.uint8 or out.shape != shape or not out.flags.carray:
        raise ShapeError(
            f"out must be a writable C-contiguous uint8 array of shape {shape}, "
            f"not {out.dtype} of shape {out.shape}"
        )
    return out
