"""Every error that seqtile raises on purpose; each is also the builtin a caller would expect.

Facts are attributes, not only words.
"""

from __future__ import annotations

from os import PathLike, fspath
from typing import Any, SupportsIndex

from .escaping import escaped

__all__ = [
    "AlphabetError",
    "BedParseError",
    "BenchFileError",
    "ContigNotFoundError",
    "EngineMismatchError",
    "FastaIndexError",
    "FastaParseError",
    "ImageError",
    "IntervalError",
    "ModelCardError",
    "ModelIntegrityError",
    "ModelNotFoundError",
    "MotifParseError",
    "OutOfMemoryError",
    "OutputError",
    "PrecisionError",
    "ProviderError",
    "SeqtileError",
    "ShapeError",
    "TableError",
]


class SeqtileError(Exception):
    """Root of all errors of this package; each pickles with its attributes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args), self.__dict__


def _restore(kind: type[SeqtileError], args: tuple[Any, ...]) -> SeqtileError:
    return kind.__new__(kind, *args)


def shown(name: str) -> str:
    """A record's name as messages have it: a broken file's may be as long as the file."""
    return repr(name if len(name) <= 80 else f"{name[:77]}...")


def not_a_name(chrom: object) -> str:
    """What to say of a record's name that is no str: a table's column of 1, 2, ... gives those."""
    text = chrom.decode("utf-8", "replace") if isinstance(chrom, bytes) else str(chrom)
    hint = f"; did you mean {shown(text)}?" if isinstance(chrom, (bytes, SupportsIndex)) else ""
    return f"chrom must be a str, not {type(chrom).__name__} {text[:80]}{hint}"


def one_line(error: Exception) -> str:
    """An error's text on one line; the system's errors as file and reason."""
    if isinstance(error, OSError) and error.strerror:
        return escaped(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
    return escaped(" ".join(str(error).split())) or type(error).__name__


class AlphabetError(SeqtileError, ValueError):
    """A byte that may not stand in a sequence of this alphabet.

    Attributes
    ----------
    position
        0-based position in the sequence.
    byte
        The byte's value, or the code point of a character outside ASCII.
    index
        0-based index of the sequence in its batch; 0 for a single sequence.
    record
        Name of the FASTA record, where there is one.
    """

    def __init__(
        self, position: int, byte: int, *, expected: str, index: int = 0, record: str = ""
    ) -> None:
        self.position = position
        self.byte = byte
        self.expected = expected
        self.index = index
        self.record = record
        where = f"record {shown(record)}" if record else f"sequence {index}"
        what = repr(chr(byte)) if 32 < byte < 127 else f"byte 0x{byte:02X}"
        super().__init__(f"{where}, position {position}: expected {expected}, found {what}")


class BedParseError(SeqtileError, ValueError):
    """A file that is no BED file, or a broken one.

    Attributes
    ----------
    path
        The file.
    line
        1-based number of the line, 0 where no line is to blame.
    """

    def __init__(self, path: str, message: str, *, line: int = 0) -> None:
        self.path = path
        self.line = line
        where = path + (f", line {line}" if line else "")
        super().__init__(f"{where}: {message}")


class BenchFileError(SeqtileError, ValueError):
    """A file that holds no benchmark that this version can compare with.

    Attributes
    ----------
    path
        The file.
    """

    def __init__(self, path: str | PathLike[str], message: str) -> None:
        self.path = fspath(path)
        super().__init__(f"{self.path}: {message}")


class EngineMismatchError(SeqtileError, RuntimeError):
    """An engine whose outputs are not those of onnxruntime: its speed means nothing."""


class FastaParseError(SeqtileError, ValueError):
    """A file that is no FASTA, or a broken one.

    Attributes
    ----------
    path
        The file, ``"<stdin>"`` for standard input.
    line
        1-based number of the line, 0 where no line is to blame.
    record
        Name of the record, empty before the first.
    """

    def __init__(self, path: str, message: str, *, line: int = 0, record: str = "") -> None:
        self.path = path
        self.line = line
        self.record = record
        where = path + (f", line {line}" if line else "")
        where += f", record {shown(record)}" if record else ""
        super().__init__(f"{where}: {message}")


class FastaIndexError(SeqtileError, ValueError):
    """A ``.fai`` index that is malformed or does not belong to its FASTA file.

    Attributes
    ----------
    path
        The index or the FASTA file.
    """

    def __init__(self, path: str | PathLike[str], message: str) -> None:
        self.path = fspath(path)
        super().__init__(f"{self.path}: {message}")


class ImageError(SeqtileError, ValueError):
    """A file that is no image, a broken one, or one whose pixels are of no supported kind.

    Attributes
    ----------
    path
        The file.
    """

    def __init__(self, path: str | PathLike[str], message: str) -> None:
        self.path = fspath(path)
        super().__init__(f"{self.path}: {message}")


# What one image's file can raise; the others go on.
IMAGE_FAILURES = (ImageError, FileNotFoundError, IsADirectoryError, PermissionError)


class IntervalError(SeqtileError, ValueError):
    """An interval that does not lie in its sequence: ``0 <= start <= end <= length`` is broken."""


class ContigNotFoundError(SeqtileError, KeyError):
    """No record of this name in the FASTA file."""

    def __str__(self) -> str:
        return str(self.args[0])


class ShapeError(SeqtileError, ValueError):
    """An array or a sequence of the wrong length, rank or dtype."""


class ModelCardError(SeqtileError, ValueError):
    """A contract or a card that lacks a field, or contradicts itself or its model."""


class ModelIntegrityError(SeqtileError, ValueError):
    """A model file whose checksum or golden outputs are not those of its contract."""


class ModelNotFoundError(SeqtileError, FileNotFoundError):
    """No model of this name or path."""

    def __str__(self) -> str:
        return str(self.args[0])


class MotifParseError(SeqtileError, ValueError):
    """A file that is no MEME file, or a broken one.

    Attributes
    ----------
    path
        The file.
    line
        1-based number of the line, 0 where no line is to blame.
    """

    def __init__(self, path: str, line: int, problem: str) -> None:
        self.path = path
        self.line = line
        where = f"{path}, line {line}" if line else path
        super().__init__(f"{where}: {problem}")


class PrecisionError(SeqtileError, ValueError):
    """A precision that the model's certificate does not vouch for."""


class ProviderError(SeqtileError, RuntimeError):
    """The device asked for cannot run here; the message says what is missing and the mend."""


class OutOfMemoryError(ProviderError, MemoryError):
    """The device has not the memory for a batch."""


class TableError(SeqtileError, ValueError):
    """A malformed table of a model's further inputs; names file and line."""


class OutputError(SeqtileError, OSError):
    """An output file that cannot be written, or was not written whole."""
