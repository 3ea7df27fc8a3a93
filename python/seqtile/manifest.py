"""Manifests: JSON beside an output that says which model made it, of what, how, and where."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import stat
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from .errors import FastaParseError, OutputError
from .versions import installed

__all__ = [
    "Checksum",
    "Ran",
    "Unchanged",
    "check_manifest",
    "manifest",
    "manifest_beside",
    "model_entry",
    "read_manifest",
    "sha256_of",
    "write_manifest",
]

_RUNTIMES = ("onnxruntime", "onnxruntime-gpu")


class Ran(Protocol):
    """The model that ran, and where: a `Predictor`."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def sha256(self) -> str: ...  # noqa: D102
    @property
    def device(self) -> str: ...  # noqa: D102
    @property
    def precision(self) -> str: ...  # noqa: D102
    @property
    def providers(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def threads(self) -> int: ...  # noqa: D102


def manifest(
    model: Ran,
    *,
    source: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any],
    profile: Mapping[str, Any] | None,
    results: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of a manifest, in its order.

    Parameters
    ----------
    model
        What ran.
    source
        What it was run on, where that is one thing for all results.
    parameters
        Everything that was asked for.
    profile
        Time of each stage.
    results
        What came of it.
    """
    from . import __version__

    return {
        "seqtile": __version__,
        "model": model_entry(model),
        **(source or {}),
        "parameters": parameters,
        "device": model.device,
        "precision": model.precision,
        "providers": list(model.providers),
        "threads": model.threads,
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            **installed(_RUNTIMES),
        },
        "profile": profile,
        **results,
    }


def model_entry(model: Ran) -> dict[str, str]:
    """How a manifest names a model."""
    return {"name": model.name, "sha256": model.sha256}


def manifest_beside(output: Path) -> Path:
    """Where the manifest of an output stands."""
    return output.with_name(f"{output.name}.manifest.json")


def check_manifest(path: Path) -> None:
    """Raise `OutputError` if a manifest would take the place of a file that is none."""
    if path.is_symlink() or path.exists():
        try:
            ours = read_manifest(path).keys() >= {"seqtile", "model", "parameters"}
        except (OSError, ValueError):
            ours = False
        if not ours:
            raise OutputError(
                f"{path}: is no manifest of seqtile, and one would take its place: move it, or "
                "give the output another name"
            )


def write_manifest(file: BinaryIO, content: Mapping[str, Any]) -> None:
    """Write a manifest as JSON."""
    file.write(json.dumps(content, indent=2).encode() + b"\n")


def read_manifest(path: Path) -> dict[str, Any]:
    """The content of a manifest.

    Raises
    ------
    ValueError
        A file that is no JSON object in UTF-8.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path}: not a manifest")
    return content


def sha256_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Unchanged:
    """Tells whether a file is what it was when this was made; of a stream nothing is known."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._before = self._state()

    def _state(self) -> tuple[int, ...] | None:
        try:
            found = os.stat(self._path)  # noqa: PTH116
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def check(self) -> None:
        """Raise `FastaParseError` if it has changed, or another file has its name."""
        now = self._state()
        if self._before is not None and now is not None and now != self._before:
            raise FastaParseError(
                self._path, "the file was changed while it was read: nothing is written, run again"
            )


class Checksum:
    """SHA-256 of a long input: of a file beside the work on it, of a stream while it is read.

    Attributes
    ----------
    observe
        To be called with every block of a stream; None for a file.
    """

    def __init__(self, source: str) -> None:
        self._unchanged = Unchanged(source)
        self._digest = hashlib.sha256()
        self._thread: threading.Thread | None = None
        self._file = ""
        self.observe: Callable[[bytes], object] | None = None
        if Path(source).is_file():
            self._thread = threading.Thread(target=self._read, args=(source,), daemon=True)
            self._thread.start()
        else:
            self.observe = self._digest.update

    def _read(self, path: str) -> None:
        try:
            self._file = sha256_of(path)
        except OSError:  # who reads the file says why it cannot
            self._file = ""

    def hexdigest(self) -> str:
        """The checksum; waits for it.

        Raises
        ------
        FastaParseError
            The file was changed meanwhile: what was read is not what was hashed.
        """
        if self._thread is not None:
            self._thread.join()
            self._unchanged.check()
            return self._file
        return self._digest.hexdigest()
