"""The standard streams of the command line, whatever state they are handed over in."""

from __future__ import annotations

import codecs
import io
import os
import sys

from .errors import OutputError

__all__ = ["prepare", "require_output"]


def prepare() -> None:
    """Make the standard streams fit to be used.

    A descriptor that is closed is opened on the null device: a file that is opened later would
    take its number, and what a library prints would land in it. What standard output cannot
    encode is written with backslashes; names of files that are no text, as their bytes.
    """
    for _ in range(3):
        number = os.open(os.devnull, os.O_RDWR)  # the first that is closed
        if number > 2:
            os.close(number)
            break
        os.set_inheritable(number, True)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error("seqtile", _encoded)
        sys.stdout.reconfigure(errors="seqtile")


def require_output() -> None:
    """Raise `OutputError` if standard output was closed when the process began."""
    if sys.stdout is None:
        raise OutputError("standard output is closed; send it to /dev/null to do without")


def _encoded(error: UnicodeError) -> tuple[str | bytes, int]:
    """What `codecs` writes for characters that an encoding has not."""
    assert isinstance(error, UnicodeEncodeError)
    character = error.object[error.start]
    if "\udc80" <= character <= "\udcff":
        return bytes([ord(character) - 0xDC00]), error.start + 1
    return ascii(character)[1:-1], error.start + 1
