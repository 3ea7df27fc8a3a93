"""Outputs: files that appear under their name when they are whole, and streams that are written to.

A stream is standard output (``-``), a descriptor of this process under its name (``/dev/stdout``,
``/dev/stderr``, ``/dev/fd/3``), a named pipe or a device.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from .errors import OutputError
from .unfinished import Unfinished, locked, uninterrupted

__all__ = [
    "Outputs",
    "check_suffix",
    "check_target",
    "check_targets",
    "is_stdout",
    "is_stream",
    "output_errors",
    "refuse_overwrite",
    "require",
]

_SEEKING = {".bw", ".bigwig", ".npz", ".parquet", ".tif", ".tiff"}  # their writers go back


class Outputs:
    """Several outputs, of which the files take their names together when all are whole.

    Inside ``with``, write to what `open` gives, and leave it open. A file is written beside its
    final place, under a name that no other process has. When the block ends well all are renamed;
    when it ends in an exception (Ctrl-C too) they are removed. What was written to a stream cannot
    be taken back.

    Raises
    ------
    OutputError
        At the end: a disk that is full, a rename that fails.
    """

    def __init__(self) -> None:
        self._files: dict[Path, tuple[Unfinished, BinaryIO, str]] = {}
        self._streams: dict[Path | int, tuple[BinaryIO, str]] = {}

    def open(self, target: str | os.PathLike[str]) -> BinaryIO:
        """What to write an output to; not to be closed.

        Raises
        ------
        OutputError
            A folder that is missing or not writable, a target that is a folder or given twice, a
            stream for a format whose writer goes back, standard output that is closed.
        """
        check_target(target)
        name = os.fspath(target)
        place = _place(name)  # of a link, what it points to is written
        if place in self._files or place in self._streams:
            raise OutputError(f"{name}: given twice")
        with output_errors(name):
            if isinstance(place, int) or is_stream(name):
                stream = _stream(name, place)
                self._streams[place] = stream, name
                return stream
            unfinished = Unfinished(place)
            try:
                file = open(  # noqa: SIM115
                    unfinished.path, "wb", opener=lambda *_: os.dup(unfinished.descriptor)
                )
            except BaseException:
                unfinished.remove()
                raise
            self._files[place] = unfinished, file, name
        return file

    def __enter__(self) -> Outputs:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            with uninterrupted():
                self._end()

    def _finish(self) -> None:
        for stream, name in self._streams.values():
            with output_errors(name):
                stream.flush()
        for unfinished, file, name in self._files.values():
            with output_errors(name):
                file.close()
                unfinished.sync()
        together = self._files if len(self._files) > 1 else ()
        with locked(together), uninterrupted():
            for unfinished, _, name in self._files.values():
                with output_errors(name, "finish the output"):
                    unfinished.finish()

    def _end(self) -> None:
        for unfinished, file, _ in self._files.values():
            unfinished.remove()
            with suppress(OSError):  # what it still held cannot be written
                file.close()
        for stream, _ in self._streams.values():
            if stream not in (
                getattr(sys.stdout, "buffer", None),
                getattr(sys.stderr, "buffer", None),
            ):
                with suppress(OSError):
                    stream.close()


def is_stdout(target: str | os.PathLike[str]) -> bool:
    """Whether an output's name stands for standard output: ``-``, ``/dev/stdout``, a link to it."""
    return _descriptor(os.fspath(target)) == 1


def is_stream(target: str | os.PathLike[str]) -> bool:
    """Whether an output is written to and not replaced: it is neither a file nor one to be made."""
    if _descriptor(os.fspath(target)) is not None:
        return True
    try:
        mode = os.stat(target).st_mode  # noqa: PTH116
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _descriptor(name: str) -> int | None:
    """The descriptor of this process that a name stands for."""
    if name == "-":
        return 1
    for _ in range(40):  # links, as many as the system follows
        folder, last = os.path.split(os.path.abspath(name))  # noqa: PTH100
        folder = os.path.realpath(folder)
        if last.isdecimal() and folder in ("/dev/fd", f"/proc/{os.getpid()}/fd"):
            return int(last)
        try:
            name = os.path.join(folder, os.readlink(os.path.join(folder, last)))  # noqa: PTH115, PTH118
        except (OSError, ValueError):
            return None
    return None


def _stream(name: str, place: Path | int) -> BinaryIO:
    if place in (1, 2):
        text = sys.stdout if place == 1 else sys.stderr
        if text is None:
            raise OutputError(f"standard {'output' if place == 1 else 'error'} is closed")
        text.flush()
        return text.buffer
    if isinstance(place, int):
        return os.fdopen(os.dup(place), "wb")
    return os.fdopen(os.open(name, os.O_WRONLY | os.O_CLOEXEC), "wb")


def check_target(target: str | os.PathLike[str]) -> None:
    """Raise `OutputError` if nothing can be written there: no folder, a read-only one, a folder."""
    name = os.fspath(target)
    path = Path(name)
    if is_stream(name):
        if path.suffix.lower() in _SEEKING:
            raise OutputError(
                f"{name}: is a device or a pipe, expected a file name: a {path.suffix} file is not "
                "written from beginning to end"
            )
        return
    with output_errors(name):
        for place in (path, Path(os.path.realpath(name))):
            folder = place.parent
            if not folder.is_dir():
                raise OutputError(f"{name}: the folder {folder} does not exist")
            try:
                mode = place.stat().st_mode
            except FileNotFoundError:
                pass
            else:
                if stat.S_ISDIR(mode):
                    raise OutputError(f"{name}: is a folder, expected a file name")
                if not os.access(place, os.W_OK):
                    raise OutputError(f"{name}: is write-protected")
            if not os.access(folder, os.W_OK):
                raise OutputError(f"{name}: the folder {folder} is not writable")


def check_targets(targets: Iterable[str | os.PathLike[str]]) -> None:
    """Raise `OutputError` if one of several outputs cannot be written, or two are one."""
    seen = set()
    for target in targets:
        check_target(target)
        if (place := _place(target)) in seen:
            raise OutputError(f"{os.fspath(target)}: given twice")
        seen.add(place)


def _place(target: str | os.PathLike[str]) -> Path | int:
    """What is written: a descriptor, or a path without links."""
    number = _descriptor(os.fspath(target))
    return Path(os.path.realpath(target)) if number is None else number


def refuse_overwrite(
    inputs: Iterable[str | os.PathLike[str]], outputs: Iterable[str | os.PathLike[str]]
) -> None:
    """Raise `ValueError` if an output is an input, whatever they are called.

    An input ``"-"`` is standard input, an output ``"-"`` standard output; either may be a file.
    """
    files: dict[tuple[int, int], str] = {}
    for name in (os.fspath(given) for given in inputs):
        if (identity := _identity(0 if name == "-" else name)) is not None:
            files.setdefault(identity, name)
    for name in (os.fspath(given) for given in outputs):
        if (identity := _identity(1 if name == "-" else name)) in files:
            same = files[identity]
            other = "" if same == name else " (standard input)" if same == "-" else f" {same}"
            shown = "standard output: it" if name == "-" else f"{name}: the output"
            raise ValueError(f"{shown} would overwrite the input{other}")


def _identity(file: str | int) -> tuple[int, int] | None:
    """Device and inode of a regular file."""
    try:
        status = os.stat(file)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


@contextmanager
def output_errors(name: object, what: str = "write") -> Iterator[None]:
    """Turn an `OSError` into an `OutputError` that names the file; a closed pipe is no failure."""
    try:
        yield
    except (OutputError, BrokenPipeError):
        raise
    except OSError as error:
        shown = "standard output" if name == "-" else name
        raise OutputError(f"{shown}: cannot {what}: {error.strerror or error}") from error


def require(module: str, purpose: str, *, package: str = "") -> None:
    """Raise `ImportError` with the command that mends it if an optional library is missing.

    ``package`` is what pip calls it, where that is not the module's name.
    """
    if find_spec(module) is None:
        raise ImportError(f"{purpose} needs {module}: pip install {package or module}")


def check_suffix(
    target: str | os.PathLike[str], suffixes: Collection[str], *, stream: str = ""
) -> str:
    """The format of an output: its suffix, in small letters.

    Parameters
    ----------
    stream
        The format of a stream whose name has none of the suffixes.

    Raises
    ------
    ValueError
        A suffix that is none of these.
    ImportError
        ``.parquet`` without pyarrow.
    """
    name = os.fspath(target)
    suffix = Path(name).suffix.lower()
    if suffix not in suffixes:
        if stream and is_stream(name):
            return stream
        raise ValueError(f"{name}: expected one of {', '.join(suffixes)}, found {suffix!r}")
    if suffix == ".parquet":
        require("pyarrow", f"{name}: {suffix}")
    return suffix
