"""Random access to FASTA files through a ``.fai`` index, as ``samtools faidx`` writes it.

Coordinates are 0-based and half-open. Letters are kept as they stand in the file, in their case.
"""

from __future__ import annotations

import difflib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _core
from .errors import ContigNotFoundError, FastaIndexError, IntervalError
from .fasta import FastaInput, FastaSource
from .outputs import output_errors
from .sequence import reverse_complement

__all__ = ["Fasta", "FastaContig", "open_contigs"]

log = logging.getLogger(__name__)


class _Contig(NamedTuple):
    """A line of a ``.fai`` index."""

    length: int
    offset: int
    line_bases: int
    line_width: int


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
    """Random access to a plain FASTA file through its ``.fai`` index.

    Parameters
    ----------
    path
        Plain FASTA; the lines of a record are equally long, but for the last.
    rebuild_index
        Build the index anew even if there is one.
    write_index
        Write a built index to ``<path>.fai``, as ``samtools faidx`` does; if its folder is not
        writable the index stays in memory.

    Raises
    ------
    FileNotFoundError
        No such file.
    FastaParseError
        Not FASTA (see `read_fasta`).
    FastaIndexError
        Duplicate names, unevenly wrapped lines, gzip, a malformed index, or a stale one: its
        records are not where it says. Staleness is judged by the file's size and by each record's
        header when it is first read, not by dates.

    Notes
    -----
    Reads by ``pread``: safe to share between threads and across ``fork``; pickles by its path.

    Examples
    --------
    >>> fasta = Fasta("genome.fa")  # doctest: +SKIP
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
        index = Path(f"{self._path}.fai")
        built = rebuild_index or not index.exists()
        with FastaInput(self._path) as file:
            if file.compression is not None:
                raise FastaIndexError(path, "gzip has no random access: decompress the file first")
            contigs = _build_index(file) if built else _read_index(index)
        if built and write_index:
            _write_index(index, contigs)
        self._open(os.open(self._path, os.O_RDONLY), contigs)
        if not built:
            self._check_size(index)

    def _open(self, descriptor: int, contigs: dict[str, _Contig]) -> None:
        self._descriptor = descriptor
        self._contigs = contigs
        self._verified: set[str] = set()
        self.lengths: Mapping[str, int] = {name: c.length for name, c in contigs.items()}

    @classmethod
    def _opened(cls, path: str, contigs: dict[str, _Contig]) -> Fasta:
        fasta = cls.__new__(cls)
        fasta._path, fasta.name = str(Path(path).absolute()), path
        fasta._open(os.open(path, os.O_RDONLY), contigs)
        return fasta

    @classmethod
    def _spooled(cls, descriptor: int, contigs: dict[str, _Contig], name: str) -> Fasta:
        fasta = cls.__new__(cls)
        fasta._path, fasta.name = None, name
        fasta._open(descriptor, contigs)
        fasta._verified = set(contigs)
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

    def fetch(
        self, chrom: str, start: int, end: int, strand: Literal["+", "-"] = "+"
    ) -> NDArray[np.uint8]:
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
        FastaIndexError
            The file is not what its index says.
        """
        contig = self._contig(chrom)
        if strand not in ("+", "-"):
            raise ValueError(f"strand must be '+' or '-', not {strand!r}")
        if not 0 <= start <= end <= contig.length:
            raise IntervalError(
                f"{self.name}: expected 0 <= start <= end <= {contig.length} in {chrom!r}, "
                f"not [{start}, {end})"
            )
        letters = np.empty(end - start, dtype=np.uint8)
        if start == end:
            return letters
        if chrom not in self._verified:
            self._check_header(chrom)
        offset, size = _core.line_span(start, end, contig.line_bases, contig.line_width)
        raw = _pread(self._descriptor, size, contig.offset + offset)
        column = start % contig.line_bases
        if not _core.unwrap(raw, column, contig.line_bases, contig.line_width, letters):
            raise self._stale(f"the lines of {chrom!r} are not where it says")
        return reverse_complement(letters) if strand == "-" else letters

    def close(self) -> None:
        """Close the file; further fetches fail."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Fasta:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            self.close()

    def __reduce__(self) -> tuple[Callable[..., Fasta], tuple[str, dict[str, _Contig]]]:
        if self._path is None:
            raise TypeError(f"{self.name}: a FASTA read from a stream cannot be pickled")
        return Fasta._opened, (self._path, self._contigs)

    def _contig(self, chrom: str) -> _Contig:
        try:
            return self._contigs[chrom]
        except KeyError:
            near = difflib.get_close_matches(chrom, self._contigs, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ContigNotFoundError(f"{self.name}: no record {chrom!r}{hint}") from None

    def _check_size(self, index: Path) -> None:
        if not self._contigs:
            raise FastaIndexError(index, "the index is empty")
        size = os.fstat(self._descriptor).st_size
        last = max(self._contigs.values(), key=lambda c: c.offset)
        tail = _pread(self._descriptor, 1 << 16, min(_end(last), size))
        if _end(last) > size or tail.strip():
            raise self._stale("the last record does not end where it says")

    def _check_header(self, chrom: str) -> None:
        begin = offset = self._contigs[chrom].offset
        before = newline = line = b""
        while begin > 0 and not newline:  # back to the start of the line that ends at offset
            begin = max(0, offset - 256 - 2 * (offset - begin))
            before = _pread(self._descriptor, offset - begin, begin)
            _, newline, line = before.rstrip(b"\r\n").rpartition(b"\n")
        name = line[1:].split(None, 1)[:1]
        ends = before.endswith(b"\n")
        if not ends or line[:1] != b">" or name != [chrom.encode("utf-8", "surrogateescape")]:
            raise self._stale(f"there is no header of {chrom!r} where it says")
        self._verified.add(chrom)

    def _stale(self, what: str) -> FastaIndexError:
        return FastaIndexError(
            f"{self.name}.fai",
            f"the index is not that of {self.name}: {what}. Delete it, or open with "
            "Fasta(path, rebuild_index=True)",
        )


def _end(contig: _Contig) -> int:
    """Offset of the byte after a record's last letter."""
    if contig.length == 0:
        return contig.offset
    offset, size = _core.line_span(0, contig.length, contig.line_bases, contig.line_width)
    return contig.offset + offset + size


def _pread(descriptor: int, size: int, offset: int) -> bytes:
    parts = []
    while size > 0 and (part := os.pread(descriptor, size, offset)):
        parts.append(part)
        size -= len(part)
        offset += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _read_index(path: Path) -> dict[str, _Contig]:
    contigs: dict[str, _Contig] = {}
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else [], 1):
        try:
            name, *numbers = line.split("\t")
            contig = _Contig(*map(int, numbers[:4]))
        except (TypeError, ValueError):
            raise FastaIndexError(
                path, f"line {number}: expected a name and four numbers, found {line[:80]!r}"
            ) from None
        sound = 0 < contig.line_bases <= contig.line_width or contig.length == 0
        if min(contig) < 0 or max(contig) >> 63 or not sound:
            raise FastaIndexError(path, f"line {number}: impossible numbers: {line[:80]!r}")
        if name in contigs:
            raise FastaIndexError(path, f"line {number}: duplicate record name {name!r}")
        contigs[name] = contig
    return contigs


def _write_index(path: Path, contigs: dict[str, _Contig]) -> None:
    text = "".join("\t".join(map(str, (name, *c))) + "\n" for name, c in contigs.items())
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        log.info("index kept in memory, %s cannot be written: %s", path, error)
        return
    part = Path(temporary)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        part.chmod(0o644)
        part.replace(path)
    except BaseException:
        part.unlink()
        raise


def _build_index(file: FastaInput) -> dict[str, _Contig]:
    contigs, uneven = _survey(file)
    if uneven:
        name, line = next(iter(uneven.items()))
        raise FastaIndexError(
            file.name, f"line {line}: the lines of record {name!r} are not equally long"
        )
    return contigs


def _survey(
    file: FastaInput, keep: Callable[[NDArray[np.uint8]], object] | None = None
) -> tuple[dict[str, _Contig], dict[str, int]]:
    """Read a whole file: its records' geometry, and the lines that break an even wrapping."""
    seen: dict[str, int] = {}
    contigs: dict[str, _Contig] = {}
    uneven: dict[str, int] = {}
    name = ""
    for pieces in file.pieces():
        for begun, line, letters, geometry in pieces:
            if begun is not None:
                name = begun
                if name in seen:
                    raise FastaIndexError(
                        file.name,
                        f"line {line}: record {name!r} stands on line {seen[name]} already",
                    )
                seen[name] = line
            if keep is not None:
                keep(letters)
            if geometry is not None:
                *numbers, uneven_line = geometry
                contigs[name] = _Contig(*numbers)
                if uneven_line:
                    uneven[name] = uneven_line
    return contigs, uneven


def open_contigs(source: FastaSource, observe: Callable[[bytes], object] | None = None) -> Fasta:
    """Random access to any FASTA input, for readers that need lengths before letters.

    A plain file with even lines is read in place, by its ``.fai`` where there is one. Gzip,
    standard input and uneven lines are first unpacked to an unnamed temporary file (in ``TMPDIR``)
    of one byte per base, which goes with the returned object.

    Parameters
    ----------
    source
        As for `read_fasta`.
    observe
        Called with every block of an input that is unpacked, as it is on disk.

    Raises
    ------
    FastaParseError, FastaIndexError
        As `read_fasta` and `Fasta`.
    """
    with FastaInput(source) as file, tempfile.TemporaryFile() as spool:
        if file.on_disk:
            if Path(f"{file.name}.fai").exists():
                return Fasta(file.name, write_index=False)
            contigs, uneven = _survey(file)
            if not uneven:
                return Fasta._opened(file.name, contigs)
            log.info("%s: lines are not equally long, unpacking to a temporary file", file.name)
            file.rewind()
        file.observe = observe
        with output_errors(f"temporary file in {tempfile.gettempdir()}"):
            contigs, _ = _survey(file, lambda letters: spool.write(letters.data))
            spool.flush()
        packed, offset = {}, 0
        for name, contig in contigs.items():
            packed[name] = _Contig(contig.length, offset, contig.length, contig.length)
            offset += contig.length
        return Fasta._spooled(os.dup(spool.fileno()), packed, file.name)
