"""Unnamed temporary files, whose errors say where they are."""

from __future__ import annotations

import os
import tempfile
from contextlib import AbstractContextManager, suppress

from .closing import Closing
from .outputs import output_errors

__all__ = ["Spool", "spool_errors"]


def spool_errors(folder: str | os.PathLike[str] | None = None) -> AbstractContextManager[None]:
    """`output_errors` for temporary files of a folder, by default the system's for such files."""
    return output_errors(f"temporary file in {folder or tempfile.gettempdir()} (see TMPDIR)")


class Spool(Closing):
    """A file without a name, in ``TMPDIR``: it is gone when it is closed.

    Raises
    ------
    OutputError
        By any method: the folder takes no file, or is full; names the folder.
    """

    def __init__(self) -> None:
        with spool_errors():
            self._file = tempfile.TemporaryFile()  # noqa: SIM115

    def write(self, content: bytes | bytearray | memoryview) -> int:
        """Append; number of bytes."""
        with spool_errors():
            return self._file.write(content)

    def tell(self) -> int:
        """Where the next byte goes, or comes from."""
        return self._file.tell()

    def rewind(self) -> None:
        """Go to the first byte, to read."""
        with spool_errors():
            self._file.seek(0)

    def read(self, most: int) -> bytes:
        """The next bytes."""
        return self._file.read(most)

    def descriptor(self) -> int:
        """One of its own for who reads it, when everything is written."""
        with spool_errors():
            self._file.flush()
            return os.dup(self._file.fileno())

    def close(self) -> None:
        """Remove it."""
        with suppress(OSError):  # what it still held cannot be written
            self._file.close()
