"""FASTA files, one record after another.

Letters are kept as they stand in the file, in their case. Format: FASTA as NCBI describes it, plain
or gzip (bgzip included). Random access is in `seqtile.faidx`.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from . import _core
from .errors import FastaParseError

__all__ = ["FastaInput", "FastaSource", "Record", "read_fasta"]

FastaSource: TypeAlias = str | os.PathLike[str] | BinaryIO

_BLOCK = 1 << 20
_COMPRESSED = {
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"PK\x03\x04": "zip",
}


@dataclass(frozen=True, slots=True)
class Record:
    """One FASTA record.

    Attributes
    ----------
    name
        The header up to the first blank.
    description
        The rest of the header, without the blank; may be empty.
    sequence
        uint8 array of the letters, shape (L,); L may be 0.
    """

    name: str
    description: str
    sequence: NDArray[np.uint8]

    @classmethod
    def from_header(cls, header: bytes, sequence: NDArray[np.uint8]) -> Record:
        """Split a header line (without ``>``) at its first blank."""
        name, *rest = header.split(None, 1)
        description = rest[0].strip() if rest else b""
        return cls(_to_text(name), _to_text(description), sequence)


def _to_text(header: bytes) -> str:
    return header.decode("utf-8", "surrogateescape")


def read_fasta(source: FastaSource) -> Iterator[Record]:
    r"""Iterate over the records of a FASTA file, in their order.

    Parameters
    ----------
    source
        Path, ``"-"`` for standard input, or an open binary file. Plain or gzip, told apart by
        their first bytes. Lines may end in LF or CRLF, be wrapped or not; the last line may lack
        its end; records may be empty. Memory is that of one record.

    Yields
    ------
    `Record`

    Raises
    ------
    FileNotFoundError
        No such file.
    FastaParseError
        Not FASTA (FASTQ, HTML, binary, empty), a byte that is no letter, a truncated gzip file;
        carries ``path``, ``line`` and ``record``.

    Examples
    --------
    >>> import io
    >>> for record in read_fasta(io.BytesIO(b">a first\nACG\nT\n>b\n")):
    ...     print(record.name, record.description, record.sequence.tobytes())
    a first b'ACGT'
    b  b''
    """
    header: bytes | None = None
    parts: list[NDArray[np.uint8]] = []
    with FastaInput(source) as file:
        for letters, headers, _ in file.parse():
            begin = 0
            for position, text, _line in headers:
                parts.append(letters[begin:position])
                if header is not None:
                    yield Record.from_header(header, _join(parts))
                header, parts, begin = text, [], position
            parts.append(letters[begin:])
    if header is not None:
        yield Record.from_header(header, _join(parts))


def _join(parts: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    parts = [part for part in parts if len(part)]
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.uint8), *parts])


class FastaInput:
    """An open FASTA file: knows its name for errors, unpacks gzip, feeds the parser."""

    def __init__(self, source: FastaSource) -> None:
        self.observe: Callable[[bytes], object] | None = None
        self._owned = False
        if isinstance(source, (str, os.PathLike)) and os.fspath(source) != "-":
            self.name = os.fspath(source)
            if Path(source).is_dir():
                raise FastaParseError(self.name, "expected a FASTA file, found a folder")
            self._raw: BinaryIO = open(source, "rb")  # noqa: SIM115, PTH123
            self._owned = True
        elif isinstance(source, (str, os.PathLike)):
            self.name, self._raw = "<stdin>", sys.stdin.buffer
        else:
            self.name, self._raw = str(getattr(source, "name", "<stream>")), source
        self._wrapped = not hasattr(self._raw, "peek")
        if self._wrapped:
            self._raw = cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, self._raw)))
        start = cast(io.BufferedReader, self._raw).peek(8)[:8]
        self.compressed = start.startswith(b"\x1f\x8b")
        for magic, kind in _COMPRESSED.items():
            if start.startswith(magic):
                self.__exit__()
                raise FastaParseError(
                    self.name, f"expected plain or gzip FASTA, found a {kind} file"
                )

    def __enter__(self) -> FastaInput:
        return self

    def __exit__(self, *_: object) -> None:
        if self._owned:
            self._raw.close()
        elif self._wrapped:
            cast(io.BufferedReader, self._raw).detach()

    @property
    def on_disk(self) -> bool:
        """A plain regular file of a known path, which can be read in place."""
        return self._owned and not self.compressed and Path(self.name).is_file()

    def rewind(self) -> None:
        """Back to the first byte, of a file on disk."""
        self._raw.seek(0)

    def _blocks(self) -> Iterator[bytes]:
        raw = cast(BinaryIO, _Observed(self._raw, self.observe)) if self.observe else self._raw
        file = gzip.GzipFile(fileobj=raw, mode="rb") if self.compressed else raw
        try:
            while block := file.read(_BLOCK):
                yield block
        except EOFError:
            raise FastaParseError(self.name, "truncated gzip file: it ends too early") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise FastaParseError(self.name, f"damaged gzip file: {error}") from None

    def parse(
        self,
    ) -> Iterator[
        tuple[NDArray[np.uint8], list[tuple[int, bytes, int]], list[tuple[int, int, int, int, int]]]
    ]:
        """Blocks of letters, the headers and the geometry of records in them (see `_core.pyi`).

        Raises
        ------
        FastaParseError
            Not FASTA, or a broken gzip file.
        """
        parser = _core.FastaParser()
        try:
            for block in self._blocks():
                yield parser.feed(block)
            yield parser.finish()
        except _core.ParseError as error:
            message, line, record = error.args
            raise FastaParseError(self.name, message, line=line, record=record) from None


class _Observed(io.RawIOBase):
    """Shows every byte read to an observer: the checksum of an input that is read only once."""

    def __init__(self, file: BinaryIO, observe: Callable[[bytes], object]) -> None:
        self._file, self._observe = file, observe

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        self._observe(block)
        return block
