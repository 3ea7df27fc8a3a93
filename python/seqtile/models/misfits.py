"""What a file is that is given as a model and is none, and how to mend that."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from ..errors import ModelIntegrityError

__all__ = ["refuse_misfit", "refuse_no_model", "refuse_pointer"]

_POINTER = b"version https://git-lfs"

_TORCH = "a PyTorch file: export the network to ONNX (torch.onnx.export), and give the .onnx file"
_KERAS = "a Keras or TensorFlow file: convert it to ONNX (tf2onnx), and give the .onnx file"
_ARCHIVE = "an archive: unpack it, and give the model's folder or its .onnx file"
_SEQUENCES = "a FASTA file: the model comes first, then the file"
_IMAGE = "an image: the model comes first, then the file"
_BEGINNINGS = {
    _POINTER: "a Git LFS pointer, not the file itself: get it with git lfs pull",
    b"\x89HDF\r\n\x1a\n": _KERAS,
    b"\x1f\x8b": _ARCHIVE,
    b"BZh": _ARCHIVE,
    b"\xfd7zXZ\x00": _ARCHIVE,
    b"\x28\xb5\x2f\xfd": _ARCHIVE,
    b"7z\xbc\xaf\x27\x1c": _ARCHIVE,
    b">": _SEQUENCES,
    b"@": "a FASTQ file: the model comes first, then the file",
    b"\x89PNG": _IMAGE,
    b"\xff\xd8\xff": _IMAGE,
    b"II*\x00": _IMAGE,
    b"MM\x00*": _IMAGE,
    b"<": "a web page or XML, not the file itself: download it again",
    b"{": "JSON: give the model's folder, or its .onnx file",
}
_SUFFIXES = {
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".safetensors", ".pt2"), _TORCH),
    **dict.fromkeys((".keras", ".h5", ".hdf5", ".pb", ".tflite"), _KERAS),
}


def refuse_pointer(content: bytes, path: str | PathLike[str]) -> None:
    """Raise `ModelIntegrityError` for what Git LFS leaves in the place of a file."""
    if content.startswith(_POINTER):
        raise ModelIntegrityError(f"{os.fspath(path)}: found {_BEGINNINGS[_POINTER]}")


def refuse_misfit(content: bytes, path: str | PathLike[str]) -> None:
    """Raise `ModelIntegrityError` for what begins as another kind of file does."""
    if what := _kind(content):
        raise ModelIntegrityError(f"{os.fspath(path)}: expected a model, found {what}")


def refuse_no_model(path: Path) -> None:
    """Raise `ModelIntegrityError` for a file that is given as a model, and is no ``.onnx`` file."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        start = file.read(512)
    packed = start.startswith(b"PK\x03\x04")
    what = (_names_kind(path) if packed else _kind(start)) or _SUFFIXES.get(path.suffix.lower())
    raise ModelIntegrityError(
        f"{path}: expected a model, found "
        + (what or "another file: give a shipped model's name, a model folder or an .onnx file")
    )


def _kind(content: bytes) -> str | None:
    """What begins with, or is, this content; None for what may be a model."""
    if not content:
        return "an empty file"
    if content.startswith(b"PK\x03\x04"):
        return _names_kind(io.BytesIO(content))
    if content[257:262] == b"ustar":
        return _ARCHIVE
    if content[:1] == b"\x80" and content[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return _TORCH  # a pickle
    if content[4:8] == b"TFL3":
        return _KERAS
    if content[8:10] == b'{"':  # of safetensors, after the length of its header
        return _TORCH
    return next((what for begin, what in _BEGINNINGS.items() if content.startswith(begin)), None)


def _names_kind(archive: Path | io.BytesIO) -> str:
    """What a zip archive is by the names in it."""
    try:
        with ZipFile(archive) as file:
            names: Iterable[str] = [Path(name).name for name in file.namelist()]
    except BadZipFile:
        return _ARCHIVE
    if "data.pkl" in names:
        return _TORCH
    return _KERAS if "model.weights.h5" in names else _ARCHIVE
