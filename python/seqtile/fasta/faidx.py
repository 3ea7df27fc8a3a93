"""Random access to FASTA files, plain or bgzip, through a ``.fai`` index.

Coordinates are 0-based and half-open. Letters are kept as they stand in the file, in their case.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..errors import FastaIndexError, FastaParseError, shown
from .access import Access, Interval, Strand, damage, room_for
from .fai import Contig, build_fai, index_beside, open_reader, read_fai, refuse_stream, write_fai
from .reader import FastaInput, check_path

__all__ = ["Fasta", "FastaContig", "Interval", "Strand"]


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
            raise IndexError(f"position {key} is outside {shown(self.name)} of length {len(self)}")
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
        stay in memory, as those of ``/dev/stdin``.

    Raises
    ------
    FileNotFoundError
        No such file.
    TypeError
        A path that is no str and gives none: of bytes, an open file.
    FastaParseError
        Not FASTA (see `read_fasta`); FASTQ has no random access.
    FastaIndexError
        Duplicate names, unevenly wrapped lines, ordinary gzip, a pipe, a malformed index, or a
        stale one: its records are not where it says, or are not all. Staleness is judged by what
        stands before the first and after the last record, and, when a record is first read, by
        what stands between it and its neighbours; not by dates.

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
        check_path(path)
        self._path: str | None = str(Path(path).absolute())
        self.name = os.fspath(path)
        refuse_stream(path)
        fai = index_beside(path)
        found = fai is not None and not rebuild_index and fai.exists()
        with FastaInput(self._path) as file:
            if file.compression not in (None, "bgzip"):
                kind = "ordinary gzip" if file.compression == "gzip" else file.compression
                raise FastaIndexError(
                    path, f"{kind} has no random access: compress the file with bgzip instead"
                )
            reader = open_reader(path, rebuild=rebuild_index, write=write_index)
            try:
                with damage(self.name):
                    first = reader.read(0, 1)
                if first == b"@":
                    raise FastaParseError(
                        self.name,
                        "expected '>' at the start of a FASTA file, found '@': this looks like "
                        "FASTQ, which has no random access",
                        line=1,
                    )
                contigs = read_fai(fai) if fai and found else build_fai(file)
            except BaseException:
                del reader  # the error's traceback would keep the file open
                raise
        if fai and write_index and not found:
            write_fai(fai, contigs)
        self._set(reader, contigs, False)
        if found:
            self._access.check_ends()

    def _set(self, reader: _core.FastaReader, contigs: dict[str, Contig], seen: bool) -> None:
        self._reader, self._contigs = reader, contigs
        self._access = Access(self.name, reader, contigs, verified=seen)
        self.lengths: Mapping[str, int] = {name: c.length for name, c in contigs.items()}
        if type(self).fetch is Fasta.fetch:
            # The same with less of Python in the way: the call is a good part of a small fetch.
            self.__dict__["fetch"] = _core.fetcher(reader, self._access.fetch)

    @classmethod
    def _opened(cls, path: str, contigs: dict[str, Contig]) -> Fasta:
        fasta = cls.__new__(cls)
        fasta._path, fasta.name = str(Path(path).absolute()), path
        fasta._set(open_reader(path), contigs, False)
        return fasta

    @classmethod
    def _spooled(cls, descriptor: int, contigs: dict[str, Contig], name: str) -> Fasta:
        fasta = cls.__new__(cls)
        fasta._path, fasta.name = None, name
        fasta._set(_core.FastaReader(descriptor, False, None), contigs, True)
        return fasta

    def __getitem__(self, chrom: str) -> FastaContig:
        self._access.contig(chrom)
        return FastaContig(self, chrom)

    def __contains__(self, chrom: object) -> bool:
        return chrom in self._contigs

    def __iter__(self) -> Iterator[str]:
        return iter(self._contigs)

    def __len__(self) -> int:
        return len(self._contigs)

    def fetch(self, chrom: str, start: int, end: int, strand: Strand = "+") -> NDArray[np.uint8]:
        """Letters ``[start, end)`` of a record; with ``strand="-"`` their reverse complement.

        The complement of A is U in a file of RNA (U and no T in its first 64 KiB), else T.

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
        TypeError
            A chrom that is no str, a place that is no integer.
        ValueError
            A strand that is neither ``"+"`` nor ``"-"``.
        FastaIndexError
            The file is not what its index says, or a block of it is damaged.
        """
        return self._access.fetch(chrom, start, end, strand)

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
        plan = self._reader.plan(items, self._access.is_rna)
        if isinstance(plan, int):  # the first that is no interval of this file, or a list
            self._access.check_item(-1 - plan, items[-1 - plan])
            items = [(i, self._access.check_item(i, item))[1] for i, item in enumerate(items)]
            plan = self._reader.plan(items, self._access.is_rna)
        assert not isinstance(plan, int)
        if stack:
            out = room_for(out, self._access.stacked_shape(items, plan))
        letters = np.empty(plan.letters, np.uint8) if out is None else out.reshape(-1)
        with damage(self.name):
            for number in plan.unverified:
                self._access.check_place(number)
            failure = self._reader.fetch_many(plan, letters, threads)
        if failure is not None:
            self._access.explain(*failure, items[failure[0]])
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
