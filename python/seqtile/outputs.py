"""Output files that appear under their name only when they are whole."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from .errors import OutputError

__all__ = [
    "AtomicOutputs",
    "check_suffix",
    "check_target",
    "output_errors",
    "refuse_overwrite",
    "require",
]


class AtomicOutputs:
    """Several files, written beside their final names and renamed together at the end.

    Inside ``with``, write to the path `path_for` gives for each final path. When the block ends
    well all of them are renamed; when it ends in an exception (Ctrl-C too) they are removed.

    Raises
    ------
    OutputError
        A folder that is missing or not writable, a target that is a folder, a device or a pipe,
        two targets of one name; a rename that fails.
    """

    def __init__(self) -> None:
        self._files: dict[Path, Path] = {}

    def path_for(self, target: Path) -> Path:
        """The temporary path to write for a final path."""
        check_target(target)
        final = Path(os.path.realpath(target))  # of a link, what it points to is written
        check_target(final)
        temporary = final.with_name(f".{final.name}.{os.getpid()}.part")
        if final in self._files:
            raise OutputError(f"{target}: given twice")
        self._files[final] = temporary
        return temporary

    def __enter__(self) -> AtomicOutputs:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            try:
                for target, temporary in self._files.items():
                    temporary.replace(target)
            except BaseException as failure:  # Ctrl-C too
                self._remove()
                if isinstance(failure, OSError):
                    raise OutputError(f"cannot finish the output: {failure}") from failure
                raise
        else:
            self._remove()

    def _remove(self) -> None:
        for temporary in self._files.values():
            temporary.unlink(missing_ok=True)


def check_target(target: Path) -> None:
    """Raise `OutputError` if no file can be made there: no folder, a read-only one, a device."""
    folder = target.parent
    if not folder.is_dir():
        raise OutputError(f"{target}: the folder {folder} does not exist")
    if target.is_dir():
        raise OutputError(f"{target}: is a folder, expected a file name")
    if target.exists() and not target.is_file():  # a new file would take the place of /dev/null
        raise OutputError(f"{target}: is a device or a pipe, expected a file name")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{target}: the folder {folder} is not writable")


def refuse_overwrite(source: str, targets: Iterable[str]) -> None:
    """Raise `ValueError` if one of the targets is the input; ``"-"`` and no name are not."""
    for target in targets:
        if target not in ("", "-") and os.path.realpath(target) == os.path.realpath(source):
            raise ValueError(f"{target}: the output would overwrite the input")


@contextmanager
def output_errors(name: object) -> Iterator[None]:
    """Turn an `OSError` into an `OutputError` that names the file; a closed pipe is no failure."""
    try:
        yield
    except (OutputError, BrokenPipeError):
        raise
    except OSError as error:
        raise OutputError(f"{name}: cannot write: {error.strerror or error}") from error


def require(module: str, purpose: str, *, package: str = "") -> None:
    """Raise `ImportError` with the command that mends it if an optional library is missing.

    ``package`` is what pip calls it, where that is not the module's name.
    """
    if find_spec(module) is None:
        raise ImportError(f"{purpose} needs {module}: pip install {package or module}")


def check_suffix(path: Path, suffixes: Collection[str]) -> str:
    """The format of an output path: its suffix, in small letters.

    Raises
    ------
    ValueError
        A suffix that is none of these.
    ImportError
        ``.parquet`` without pyarrow.
    """
    suffix = path.suffix.lower()
    if suffix not in suffixes:
        raise ValueError(f"{path}: expected one of {', '.join(suffixes)}, found {suffix!r}")
    if suffix == ".parquet":
        require("pyarrow", f"{path}: {suffix}")
    return suffix
