"""FASTA and FASTQ files, one record after another.

Letters are kept as they stand in the file, in their case. Format: FASTA as NCBI describes it, FASTQ
as Cock et al. 2010 (Sanger) do; plain, gzip (bgzip included), bzip2, xz or zstandard. Random access
is in `seqtile.fasta.faidx`.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, TypeAlias, TypeVar, cast

from numpy import uint8
from numpy.typing import NDArray

from .. import _core, interrupts
from .._core import Record
from ..compression import compression_of, refuse_archive, unpacked
from ..errors import FastaParseError
from ..sequences.batch import Alphabet, RecordBatch

__all__ = ["FastaInput", "FastaSource", "Record", "read_fasta"]

FastaSource: TypeAlias = str | os.PathLike[str] | BinaryIO
Geometry: TypeAlias = tuple[int, ...]
Piece: TypeAlias = tuple[str | None, int, NDArray[uint8], Geometry | None]
T = TypeVar("T")

_SIGNS = ">@+"  # each begins a line that holds no letters


def read_fasta(source: FastaSource, *, encode: str | None = None) -> Iterator[Record]:
    r"""Iterate over the records of a FASTA or FASTQ file, in their order.

    Parameters
    ----------
    source
        Path, ``"-"`` for standard input, or an open binary file. FASTA or FASTQ; plain, gzip,
        bgzip, bzip2, xz or zstandard: told apart by their first bytes. Lines may end in LF or CRLF,
        be wrapped or not; the last line may lack its end; records may be empty. A record's name is
        the first word after ``>``; there may be none. Blanks among letters are left out, as are
        comments (``;`` or ``#``) before the first record. Memory is that of one record.
    encode
        An alphabet (see `one_hot`): sequences are then codes, as `seqtile.encode` gives them,
        looked up while the file is parsed.

    Yields
    ------
    `Record`, with ``quality`` in FASTQ.

    Raises
    ------
    FileNotFoundError
        No such file.
    FastaParseError
        Neither FASTA nor FASTQ (HTML, binary, empty), a byte that is no letter (with ``encode``: of
        that alphabet), qualities that are not as many as the letters, a truncated or damaged file;
        carries ``path``, ``line`` and ``record``.
    ImportError
        A zstandard file, and no library for it.
    TypeError
        A file opened in text mode, a path of bytes.
    ValueError
        An alphabet that holds ``>``, ``@`` or ``+``.

    Examples
    --------
    >>> import io
    >>> for record in read_fasta(io.BytesIO(b">a first\nACG\nT\n>b\n")):
    ...     print(record.name, record.description, record.sequence.tobytes())
    a first b'ACGT'
    b  b''
    >>> next(read_fasta(io.BytesIO(b"@r\nACN\n+\nIF#\n"), encode="dna")).sequence.tolist()
    [0, 1, 4]
    """
    alphabet = None if encode is None else Alphabet(encode)
    if alphabet is not None and any(sign in alphabet.letters for sign in _SIGNS):
        raise ValueError(f"no letter of an alphabet in a file may be one of {_SIGNS}: {encode!r}")
    return chain.from_iterable(_lists(source, alphabet))


def _lists(source: FastaSource, alphabet: Alphabet | None) -> Iterator[list[Record]]:
    with FastaInput(source) as file:
        yield from file.records(alphabet)


class FastaInput:
    """An open FASTA or FASTQ file: knows its name for errors, unpacks it, feeds the parser."""

    def __init__(self, source: FastaSource) -> None:
        self.observe: Callable[[bytes], object] | None = None
        self._owned = False
        _check_source(source)
        if isinstance(source, (str, os.PathLike)) and os.fspath(source) != "-":
            self.name = os.fspath(source)
            if Path(source).is_dir():
                raise FastaParseError(self.name, "expected a FASTA file, found a folder")
            with interrupts.reading():  # a pipe waits for who writes to it
                self._raw: BinaryIO = open(source, "rb")  # noqa: SIM115, PTH123
            self._owned = True
        elif isinstance(source, (str, os.PathLike)):
            self.name = "<stdin>"
            if sys.stdin is None:
                raise FastaParseError(self.name, "standard input is closed")
            self._raw = sys.stdin.buffer
        else:
            self.name, self._raw = str(getattr(source, "name", "<stream>")), source
        self._wrapped = not hasattr(self._raw, "peek")
        if self._wrapped:
            self._raw = cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, self._raw)))
        try:
            with interrupts.reading():
                start = cast(io.BufferedReader, self._raw).peek(512)[:512]
            refuse_archive(start, self.name, FastaParseError)
            self.compression = compression_of(start)
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __enter__(self) -> FastaInput:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._owned:
            self._raw.close()
        elif self._wrapped:
            cast(io.BufferedReader, self._raw).detach()

    @property
    def on_disk(self) -> bool:
        """A plain or bgzip regular file of a known path, which can be read in place."""
        in_place = self.compression in (None, "bgzip")
        return self._owned and in_place and Path(self.name).is_file()

    def rewind(self) -> None:
        """Back to the first byte, of a file on disk."""
        self._raw.seek(0)

    def records(self, alphabet: Alphabet | None = None) -> Iterator[list[Record]]:
        """Whole records, as many at a time as a block of the file holds.

        Raises
        ------
        FastaParseError
            As `read_fasta`.
        """
        return self._parse(alphabet, _core.RecordReader.records)

    def batches(self, least: int = 1, most: int = sys.maxsize) -> Iterator[RecordBatch]:
        """Whole records by the block, of which no Python object is made.

        Parameters
        ----------
        least
            Blocks of the file (about 1 MB) are merged until there are so many records, or 16 MB.
        most
            They are cut where there are more records than this.

        Yields
        ------
        Batches of at least one record, in the file's order.

        Raises
        ------
        FastaParseError
            As `read_fasta`, after the batch of the records before the error.
        ValueError
            ``most`` below 1.
        """
        if most < 1:
            raise ValueError(f"most must be at least 1, not {most}")

        def take(reader: _core.RecordReader) -> RecordBatch | None:
            found = reader.batch(least, most)
            return None if found is None else RecordBatch(*found)

        return self._parse(None, take)

    def pieces(self) -> Iterator[list[Piece]]:
        """Pieces of FASTA records, for which memory is that of a block.

        Yields
        ------
        Lists of (name, header's line, letters, geometry). The name is None but in a record's first
        piece, the geometry (length, offset, line_bases, line_width, and the lines, 0 for none, that
        break the even wrapping and that hold a blank among letters) but in its last.

        Raises
        ------
        FastaParseError
            As `read_fasta`; FASTQ is one.
        """
        return self._parse(None, _core.RecordReader.pieces, pieces=True)

    def _parse(
        self,
        alphabet: Alphabet | None,
        take: Callable[[_core.RecordReader], T | None],
        *,
        pieces: bool = False,
    ) -> Iterator[T]:
        core, expected = (alphabet.core, alphabet.expected) if alphabet else (None, "")
        form = _core.Format.FASTA if pieces else _core.Format.ANY
        in_place = self.on_disk and self.observe is None
        blocks = unpacked(self._raw, self.compression, self.name, self.observe)
        try:
            if in_place:
                threads = _inflaters() if self.compression else 0
                reader = _core.RecordReader(
                    self._raw.fileno(), threads, core, expected, form, pieces
                )
            else:
                reader = _core.RecordReader(blocks, core, expected, form, pieces)
            while True:
                with interrupts.reading():
                    found = take(reader)
                if not found:
                    break
                yield found
        except _core.ParseError as error:
            message, line, record = error.args
            raise FastaParseError(self.name, message, line=line, record=record) from None
        finally:
            blocks.close()


def check_path(path: object) -> None:
    """Raise `TypeError` for what is no path of str."""
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
        hint = ": os.fsdecode makes a str of it" if isinstance(path, bytes) else ""
        raise TypeError(f"a path is a str or PathLike, not {type(path).__name__}{hint}")


def _check_source(source: object) -> None:
    """Raise `TypeError` for what is neither a path nor an open file of bytes."""
    read = getattr(source, "read", None)
    if read is None:
        check_path(source)
    elif isinstance(read(0), str):
        raise TypeError(
            f"{getattr(source, 'name', type(source).__name__)}: expected bytes, this gives str: "
            "open the file in binary mode ('rb'), or make io.BytesIO of text in memory"
        )


def _inflaters() -> int:
    """Threads that inflate bgzip: those this process may use; more than 8 outrun the parser."""
    return min(len(os.sched_getaffinity(0)), 8)
