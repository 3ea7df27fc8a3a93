"""A model's file with the weights beside it, as one graph that needs no other file.

ONNX lets a tensor name a file, and a place in it, that holds its numbers. onnxruntime looks for
that file in the folder in which the process happens to be when it is given a graph as bytes. Here
it is looked for beside the graph alone, and its bytes are put into the graph, so that onnxruntime
opens no file, and the checksum speaks of all weights.

Formats: `onnx.proto <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>`_, in the `encoding
<https://protobuf.dev/programming-guides/encoding/>`_ of Protocol Buffers.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

from ..errors import ModelIntegrityError, ModelNotFoundError

__all__ = ["MOST_BYTES", "GraphFile", "graph_files", "read_file", "read_graph", "refuse_outside"]

MOST_BYTES = (1 << 31) - 1  # of a message of Protocol Buffers
_DEEPEST = 100  # messages in messages, as Protocol Buffers has it

# The messages in which tensors may be: by the number of a field the message that it holds.
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_RAW, _OUTSIDE, _LOCATION = 9, 13, 14  # fields of a tensor

_Parts: TypeAlias = list[bytes | memoryview]


class GraphFile(NamedTuple):
    """A graph with all its weights.

    Attributes
    ----------
    model
        What onnxruntime is given.
    sha256
        Of the file; where weights lie beside it, of the file and of theirs in the order of their
        names, one after another, as ``cat model.onnx model.onnx.data | sha256sum`` says.
    """

    model: bytes
    sha256: str


class _Field(NamedTuple):
    number: int
    begin: int  # of the field, with its tag
    value: int | memoryview
    end: int


def read_file(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file; a pipe or a device is not waited for.

    Raises
    ------
    FileNotFoundError, OSError
        As `open`.
    ModelIntegrityError
        No regular file; more than ``most`` bytes.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(21, "is a folder", str(path))
            raise ModelIntegrityError(f"{path}: expected a file, found a pipe or a device")
        if status.st_size > most:
            raise ModelIntegrityError(
                f"{path}: expected at most {most:,} bytes, found {status.st_size:,}"
            )
        return file.read(most + 1)


def read_graph(path: Path) -> GraphFile:
    """A model's file, and the weights beside it.

    Parameters
    ----------
    path
        The ``.onnx`` file. Files that it names must be in its folder or below, also after links.

    Raises
    ------
    ModelNotFoundError
        There is no such file.
    ModelIntegrityError
        No regular file; weights that are missing, cut short or outside of the folder; more than
        2 GB in all.
    """
    try:
        model = read_file(path)
    except (FileNotFoundError, IsADirectoryError):
        raise ModelNotFoundError(f"no model file {path}") from None
    digest = hashlib.sha256(model)
    if not _may_have_outside(model):
        return GraphFile(model, digest.hexdigest())
    weights = _Weights(path, len(model))
    whole, _ = _rewritten(memoryview(model), "model", weights, str(path), 0)
    for name in sorted(weights.files):
        digest.update(weights.files[name])
    if not weights.files:
        return GraphFile(model, digest.hexdigest())
    return GraphFile(b"".join(whole), digest.hexdigest())


def refuse_outside(model: bytes, source: str) -> None:
    """Raise `ModelIntegrityError` if a graph's weights are not all in it."""
    if _may_have_outside(model):
        _rewritten(memoryview(model), "model", None, source, 0)


def _may_have_outside(model: bytes) -> bool:
    """Whether a walk through the graph is due; onnxruntime's own format has no such weights."""
    return b"location" in model and model[4:8] != b"ORTM"


def graph_files(path: Path) -> list[Path]:
    """The files that `read_graph` would read, whether those of the weights are there or not.

    A file that is no graph, or that cannot be read, is that file alone.
    """
    names = _Names(path, 0)
    try:
        model = read_file(path)
        if _may_have_outside(model):
            _rewritten(memoryview(model), "model", names, str(path), 0)
    except (OSError, ModelIntegrityError):
        pass
    return [path, *(path.parent / name for name in names.files)]


class _Weights:
    """The files beside a graph that hold its weights, each read once."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._left = self._room = MOST_BYTES - size
        self.files: dict[str, bytes] = {}

    def numbers(self, tensor: memoryview) -> memoryview:
        """The bytes that a tensor's entries name."""
        entries = _entries(tensor, str(self._path))
        location = entries.get("location", "")
        content = self._content(location)
        try:
            offset = int(entries.get("offset", "0"))
            length = int(entries.get("length", str(len(content) - offset)))
        except ValueError:
            offset = length = -1
        if offset < 0 or not 0 <= length <= len(content) - offset:
            raise ModelIntegrityError(
                f"{self._path}: expected weights at bytes {offset:,} to {offset + length:,} of "
                f"{location!r}, which has {len(content):,}: it is cut short or another model's"
            )
        self._room -= length
        if self._room < 0:
            raise ModelIntegrityError(f"{self._path}: expected weights of less than 2 GB in all")
        return memoryview(content)[offset : offset + length]

    def _content(self, location: str) -> bytes:
        if location not in self.files:
            self.files[location] = self._read(location)
            self._left -= len(self.files[location])
        return self.files[location]

    def _read(self, location: str) -> bytes:
        here = f"{self._path}: its weights are in {location!r}"
        mend = "copy that file beside the model, or export it with external_data=False"
        parts = Path(location).parts
        if not parts or "\0" in location or Path(location).is_absolute() or ".." in parts:
            raise ModelIntegrityError(f"{here}, expected a file beside the model: {mend}")
        folder = os.path.realpath(self._path.parent)
        place = os.path.realpath(Path(folder, location))
        if os.path.commonpath([folder, place]) != folder:
            raise ModelIntegrityError(
                f"{here}, which is a link to outside of the model's folder: {mend}"
            )
        try:
            return read_file(Path(place), self._left)
        except FileNotFoundError:
            raise ModelIntegrityError(f"{here}, which is not beside it: {mend}") from None
        except OSError as error:
            raise ModelIntegrityError(f"{here}, which cannot be read: {error.strerror}") from None


class _Names(_Weights):
    """Their names alone."""

    def numbers(self, tensor: memoryview) -> memoryview:
        self.files[_entries(tensor, str(self._path)).get("location", "")] = b""
        return memoryview(b"")


def _rewritten(
    message: memoryview, kind: str, weights: _Weights | None, source: str, depth: int
) -> tuple[_Parts, bool]:
    """A message with its weights inside, in parts, and whether that changed it."""
    if depth > _DEEPEST:
        raise _malformed(source, f"more than {_DEEPEST} messages in each other")
    if kind == "tensor":
        return _tensor(message, weights, source)
    parts: _Parts = []
    changed, kept = False, 0
    for field in _fields(message, source):
        child = _CHILDREN[kind].get(field.number)
        if child is None or isinstance(field.value, int):
            continue
        made, differs = _rewritten(field.value, child, weights, source, depth + 1)
        if differs:
            parts.append(message[kept : field.begin])
            parts += _delimited(field.number, made)
            kept, changed = field.end, True
    parts.append(message[kept:])
    return parts, changed


def _tensor(message: memoryview, weights: _Weights | None, source: str) -> tuple[_Parts, bool]:
    outside = False
    for field in _fields(message, source):
        if field.number == _LOCATION and isinstance(field.value, int):
            outside = field.value & 0xFFFFFFFF == 1
    if not outside:
        return [message], False
    if weights is None:
        raise ModelIntegrityError(
            f"{source}: its weights are in another file: load the model by its path"
        )
    parts: _Parts = [
        message[field.begin : field.end]
        for field in _fields(message, source)
        if field.number not in (_RAW, _OUTSIDE, _LOCATION)
    ]
    return parts + _delimited(_RAW, [weights.numbers(message)]), True


def _entries(tensor: memoryview, source: str) -> dict[str, str]:
    """Where a tensor's numbers are."""
    return dict(
        _entry(field.value, source)
        for field in _fields(tensor, source)
        if field.number == _OUTSIDE and not isinstance(field.value, int)
    )


def _entry(entry: memoryview, source: str) -> tuple[str, str]:
    """Key and value."""
    found = {1: "", 2: ""}
    for field in _fields(entry, source):
        if not isinstance(field.value, int):
            found[field.number] = bytes(field.value).decode("utf-8", "surrogateescape")
    return found[1], found[2]


def _fields(message: memoryview, source: str) -> Iterator[_Field]:
    """The fields of a message in their order: a number, or bytes."""
    place, size = 0, len(message)
    while place < size:
        begin = place
        tag, place = _varint(message, place, source)
        value: int | memoryview
        wire = tag & 7
        if wire == 0:
            value, place = _varint(message, place, source)
        elif wire in (1, 2, 5):
            length = {1: 8, 5: 4}.get(wire, 0)
            if wire == 2:
                length, place = _varint(message, place, source)
            value = message[place : place + length]
            place += length
        else:
            raise _malformed(source, f"a field of the type {wire}")
        if place > size:
            raise _malformed(source, "a field that is longer than its message")
        yield _Field(tag >> 3, begin, value if wire in (0, 2) else 0, place)


def _varint(message: memoryview, place: int, source: str) -> tuple[int, int]:
    value = shift = 0
    for byte in message[place : place + 10]:
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, place
    raise _malformed(source, "a number that does not end")


def _delimited(number: int, parts: _Parts) -> _Parts:
    """A field that holds bytes."""
    header = bytearray()
    for value in (number << 3 | 2, sum(map(len, parts))):
        while value > 0x7F:
            header.append(value & 0x7F | 0x80)
            value >>= 7
        header.append(value)
    return [bytes(header), *parts]


def _malformed(source: str, what: str) -> ModelIntegrityError:
    return ModelIntegrityError(f"{source}: not an ONNX model: {what}")
