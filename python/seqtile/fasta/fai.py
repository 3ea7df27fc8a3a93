"""Index files: ``.fai`` of FASTA, as ``samtools faidx`` writes it, and ``.gzi`` of bgzip."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..errors import FastaIndexError, OutputError, shown
from ..outputs import Outputs, output_errors
from .reader import FastaInput

__all__ = [
    "Contig",
    "build_fai",
    "index_beside",
    "is_bgzf",
    "open_reader",
    "read_fai",
    "refuse_stream",
    "stale",
    "survey",
    "with_indices",
    "write_fai",
]

log = logging.getLogger(__name__)


class Contig(NamedTuple):
    """A line of a ``.fai`` index.

    Attributes
    ----------
    length
        Letters.
    offset
        Byte of the first letter; of a bgzip file, in what it inflates to.
    line_bases, line_width
        Letters and bytes of each line but the last.
    """

    length: int
    offset: int
    line_bases: int
    line_width: int


def with_indices(*paths: str) -> list[str]:
    """Files, and where indices may stand beside them."""
    return [f"{path}{suffix}" for path in paths for suffix in ("", ".fai", ".gzi")]


def refuse_stream(path: str | os.PathLike[str]) -> None:
    """Raise `FastaIndexError` for a pipe, whose opening would wait for a writer, or a device."""
    mode = Path(path).stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISBLK(mode)):
        kind = "a pipe" if stat.S_ISFIFO(mode) else "a device"
        raise FastaIndexError(path, f"{kind} has no random access: write it to a file")


def index_beside(path: str | os.PathLike[str], suffix: str = ".fai") -> Path | None:
    """Where the index of a file stands; None where none does: of ``/dev/stdin``, ``/dev/fd/3``."""
    absolute = Path(path).absolute()
    folder = str(absolute.parent)
    if folder in ("/dev", "/dev/fd") or folder.startswith("/proc/"):
        return None
    return Path(f"{absolute}{suffix}")


def is_bgzf(path: str | os.PathLike[str]) -> bool:
    """Whether a regular file is bgzip, told by its first bytes."""
    if not Path(path).is_file():
        return False
    with open(path, "rb") as file:  # noqa: PTH123
        return _core.is_bgzf(file.read(512))


def stale(
    index: str | os.PathLike[str], path: str | os.PathLike[str], what: str
) -> FastaIndexError:
    """The error of an index that is not that of its file."""
    return FastaIndexError(
        index,
        f"the index is not that of {os.fspath(path)}: {what}. Delete it, or open with "
        "Fasta(path, rebuild_index=True)",
    )


def open_reader(
    path: str | os.PathLike[str], *, rebuild: bool = False, write: bool = False
) -> _core.FastaReader:
    """Open a plain or bgzip file for random access to its bytes.

    Parameters
    ----------
    rebuild
        Of a bgzip file: find its blocks anew, though there is a ``.gzi``.
    write
        Write the ``.gzi``, if it was not there or is built anew.

    Raises
    ------
    FastaIndexError
        A ``.gzi`` that is malformed or of another file; a damaged bgzip file.
    """
    bgzf = is_bgzf(path)
    gzi = index_beside(path, ".gzi")
    stored = gzi.read_bytes() if bgzf and gzi and not rebuild and gzi.exists() else None
    descriptor = _open(path)
    try:
        reader = _core.FastaReader(descriptor, bgzf, stored)
    except _core.ParseError as error:
        if stored is None:
            raise FastaIndexError(path, error.args[0]) from None
        raise stale(f"{os.fspath(path)}.gzi", path, error.args[0]) from None
    finally:
        os.close(descriptor)
    if bgzf and gzi and write and stored is None:
        _write_index(gzi, reader.gzi() or b"")
    return reader


def _open(path: str | os.PathLike[str]) -> int:
    """A descriptor whose reads leave the time of access alone if they may: 5 % faster."""
    try:
        return os.open(path, os.O_RDONLY | getattr(os, "O_NOATIME", 0))
    except PermissionError:
        return os.open(path, os.O_RDONLY)


def read_fai(path: Path) -> dict[str, Contig]:
    """Read a ``.fai`` index.

    Raises
    ------
    FastaIndexError
        Empty, a line that is not a name and four numbers, impossible numbers, a name twice.
    """
    contigs: dict[str, Contig] = {}
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else [], 1):
        try:
            name, *numbers = line.split("\t")
            contig = Contig(*map(int, numbers[:4]))
        except (TypeError, ValueError):
            raise FastaIndexError(
                path, f"line {number}: expected a name and four numbers, found {line[:80]!r}"
            ) from None
        sound = 0 < contig.line_bases <= contig.line_width or contig.length == 0
        if min(contig) < 0 or max(contig) >> 63 or not sound:
            raise FastaIndexError(path, f"line {number}: impossible numbers: {line[:80]!r}")
        if name in contigs:
            raise FastaIndexError(path, f"line {number}: duplicate record name {shown(name)}")
        contigs[name] = contig
    if not contigs:
        raise FastaIndexError(path, "the index is empty: delete it, it is made anew")
    return contigs


def write_fai(path: Path, contigs: Mapping[str, Contig]) -> None:
    """Write a ``.fai`` as ``samtools faidx`` does, byte for byte, if its folder is writable."""
    text = "".join("\t".join(map(str, (name, *c))) + "\n" for name, c in contigs.items())
    _write_index(path, text.encode("utf-8", "surrogateescape"))


def _write_index(path: Path, content: bytes) -> None:
    """Write an index file whole or not at all; where it cannot be written, not."""
    try:
        with Outputs() as files, output_errors(path):
            files.open(path).write(content)
    except OutputError as error:
        log.info("index kept in memory: %s", error)


def build_fai(file: FastaInput) -> dict[str, Contig]:
    """The index of an open FASTA file, which is read through.

    Raises
    ------
    FastaParseError
        Not FASTA.
    FastaIndexError
        A name twice, unevenly wrapped lines, blanks among letters.
    """
    contigs, uneven = survey(file)
    if uneven:
        name, (line, blank) = next(iter(uneven.items()))
        fault = "hold blanks: remove them" if blank else "are not equally long: wrap them anew"
        raise FastaIndexError(
            file.name, f"line {line}: the lines of record {shown(name)} {fault}, for random access"
        )
    return contigs


def survey(
    file: FastaInput, keep: Callable[[NDArray[np.uint8]], object] | None = None
) -> tuple[dict[str, Contig], dict[str, tuple[int, bool]]]:
    """Read a whole file: its records' geometry, and what breaks an even wrapping.

    That is, for a record, the first such line, and whether a blank among its letters does it.

    Parameters
    ----------
    keep
        Called with every block of letters.
    """
    seen: dict[str, int] = {}
    contigs: dict[str, Contig] = {}
    uneven: dict[str, tuple[int, bool]] = {}
    name = ""
    for pieces in file.pieces():
        for begun, line, letters, geometry in pieces:
            if begun is not None:
                name = begun
                if name in seen:
                    raise FastaIndexError(
                        file.name,
                        f"line {line}: record {shown(name)} stands on line {seen[name]} already",
                    )
                seen[name] = line
            if keep is not None:
                keep(letters)
            if geometry is not None:
                *numbers, uneven_line, blank_line = geometry
                contigs[name] = Contig(*numbers)
                if uneven_line:
                    uneven[name] = uneven_line, uneven_line == blank_line
    return contigs, uneven
