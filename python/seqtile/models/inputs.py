"""What a model takes, sequences or images, and how a third-party model wants its sequences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import AlphabetError, ShapeError
from ..sequences.batch import Alphabet, Layout, SequenceBatch
from ..sequences.sequence import one_hot
from .contract import Contract, Input

__all__ = [
    "ImageInput",
    "InputSpec",
    "Labels",
    "ModelInput",
    "SequenceInput",
    "input_of",
    "listed",
]

# Items of one shape: their places in what was given, and an array.
Part: TypeAlias = "tuple[NDArray[np.int64], NDArray[np.uint8]]"
# How many items of a shape make a part at most.
Limit: TypeAlias = "Callable[[tuple[int, ...]], int]"


@dataclass(frozen=True)
class InputSpec:
    """How a third-party model wants its sequences.

    Attributes
    ----------
    layout
        ``"NCL"`` or ``"NLC"``: float32 one-hot of shape (batch, channels, length) or
        (batch, length, channels); ``"bytes"``: uint8 letters of shape (batch, length).
    alphabet
        Channel order, as in `seqtile.one_hot`.
    unknown
        Column of an unknown letter: ``"zero"``, ``"uniform"`` or ``"raise"``.
    name
        Name of the graph's sequence input; default its first.
    length
        Sequence length where the graph leaves it open but the model does not.
    """

    layout: Layout | Literal["bytes"] = "NCL"
    alphabet: str = "dna"
    unknown: Literal["zero", "uniform", "raise"] = "zero"
    name: str | None = None
    length: int | None = None

    def __post_init__(self) -> None:
        if self.layout not in ("NCL", "NLC", "bytes"):
            raise ValueError(f"layout must be 'NCL', 'NLC' or 'bytes', not {self.layout!r}")
        if self.unknown not in ("zero", "uniform", "raise"):
            raise ValueError(f"unknown must be 'zero', 'uniform' or 'raise', not {self.unknown!r}")


@dataclass(frozen=True)
class Labels:
    """What errors call the items of a batch."""

    first: int = 0
    names: Sequence[str] = ()

    def __call__(self, index: int, kind: str = "sequence") -> str:
        """What to call the item at this place of the batch."""
        if not self.names:
            return f"{kind} {self.first + index}"
        return f"record {self.names[index]!r}" if kind == "sequence" else self.names[index]

    def at(self, index: int) -> Labels:
        """Of a batch that holds this item alone."""
        return Labels(self.first + index, self.names[index : index + 1])

    def of(self, error: AlphabetError) -> AlphabetError:
        """The error of a batch, which counts from its first item, with what its item is called."""
        return AlphabetError(
            error.position,
            error.byte,
            expected=error.expected,
            index=self.first + error.index,
            record=self.names[error.index] if self.names else "",
        )


class ModelInput(Protocol):
    """The first input of a graph: checks what it is given, and cuts it into arrays of one shape."""

    name: str
    takes: Literal["sequences", "images"]
    batch: int | None

    def batch_of(self, items: Any) -> Any:
        """What was given as a batch that has a length."""

    def check(self, batch: Any, labels: Labels) -> None:
        """Raise `ShapeError` or `AlphabetError` for an item that the model does not take."""

    def refused(self, batch: Any, labels: Labels) -> Iterator[tuple[int, Exception]]:
        """Places of the items that `check` refuses, in order, and the error of each."""

    def parts(self, batch: Any, limit: Limit, labels: Labels) -> Iterator[Part]:
        """Arrays of one shape, of at most as many items as ``limit`` says; after `check`."""

    def feed(self, items: NDArray[np.uint8]) -> NDArray[Any]:
        """The graph's input for an array of items."""


class SequenceInput:
    """The sequence input of a graph: checks lengths and letters, turns bytes into feeds.

    Parameters
    ----------
    tensor
        What the contract says of it.
    length
        Of every sequence, None for any.
    batch
        Rows of every batch, None for any.
    """

    takes: Literal["sequences", "images"] = "sequences"

    def __init__(self, tensor: Input, length: int | None = None, batch: int | None = None) -> None:
        self.name = tensor.name
        self.tensor = tensor
        self.alphabet = Alphabet(tensor.alphabet)
        self.batch = batch
        self.length = length
        self.min_length = max(1, tensor.min_length)
        self.multiple = tensor.length_multiple

    def batch_of(self, items: Any) -> SequenceBatch:
        """One sequence or several as a batch; see `listed`."""
        return items if isinstance(items, SequenceBatch) else SequenceBatch(listed(items))

    def parts(self, batch: SequenceBatch, limit: Limit, labels: Labels) -> Iterator[Part]:
        """Letters of one length, uint8, shape (n, L); see `ModelInput`."""
        self.check(batch, labels)
        for length in np.unique(batch.lengths).tolist():
            rows = np.flatnonzero(batch.lengths == length)
            letters, size = batch.letters(rows, length), limit((length,))
            for begin in range(0, len(rows), size):
                yield rows[begin : begin + size], letters[begin : begin + size]

    def check(self, batch: SequenceBatch, labels: Labels) -> None:
        """Raise `ShapeError` for a length, `AlphabetError` for a letter it does not take."""
        self.check_lengths(batch.lengths, labels)
        self.check_letters(batch, labels)

    def refused(self, batch: SequenceBatch, labels: Labels) -> Iterator[tuple[int, Exception]]:
        """Places and errors of those that `check` refuses."""
        suspect = self._wrong(batch.lengths)
        if (place := self._refused_letter(batch)) is not None:
            suspect[place[0] :] = True
        for i in np.flatnonzero(suspect).tolist():
            try:
                self.check(SequenceBatch([batch[i]]), labels.at(i))
            except (ShapeError, AlphabetError) as error:
                yield i, error.with_traceback(None)  # which would hold the batch

    def _refused_letter(self, batch: SequenceBatch) -> tuple[int, int, int] | None:
        return batch.core.find_above(self.alphabet.core, self.tensor.unknown == "raise")

    def check_letters(self, batch: SequenceBatch, labels: Labels) -> None:
        """Raise `AlphabetError` for a letter the model does not know."""
        if (place := self._refused_letter(batch)) is not None:
            strict = self.tensor.unknown == "raise"
            raise labels.of(batch.error(place, self.alphabet, raised_unknown=strict))

    def _wrong(self, lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
        if self.length is not None:
            return np.asarray(lengths != self.length)
        most = self.tensor.max_length or np.iinfo(lengths.dtype).max
        steps = lengths % self.multiple != 0
        return np.asarray((lengths < self.min_length) | (lengths > most) | steps)

    def check_lengths(self, lengths: NDArray[np.int64], labels: Labels) -> None:
        """Raise `ShapeError` for a length the model does not take."""
        if len(wrong := np.flatnonzero(self._wrong(lengths))):
            index = int(wrong[0])
            wanted = str(self.length or f"at least {self.min_length}")
            if self.length is None and self.tensor.max_length:
                wanted = f"{self.min_length} to {self.tensor.max_length}"
            if self.multiple > 1:
                wanted += f" and a multiple of {self.multiple}"
            longest = self.length or self.tensor.max_length
            long = longest and lengths[index] >= 2 * longest
            scans = long and self.alphabet.letters in ("ACGT", "ACGU")
            raise ShapeError(
                f"{labels(index)} has {lengths[index]} letters, the model takes {wanted}"
                + (": use scan, which scores each window of longer ones" if scans else "")
            )

    def feed(self, letters: NDArray[np.uint8]) -> NDArray[Any]:
        """The graph's input for uint8 letters of shape (n, L)."""
        tensor = self.tensor
        if tensor.layout == "bytes":
            return letters
        return one_hot(
            letters,
            alphabet=tensor.alphabet,
            layout=tensor.layout,
            unknown=tensor.unknown or "zero",
        )


def listed(items: Any) -> Any:
    """Sequences that other libraries keep, as those that `SequenceBatch` reads: others as they are.

    Parameters
    ----------
    items
        A numpy array of str, bytes or objects, or of single letters, shape (N, L); an Arrow array;
        a column of a table; any other iterable.

    Raises
    ------
    TypeError
        What has no order, or no sequences: a set, a dict, a table, a path.
    """
    if isinstance(items, np.ndarray):
        if items.ndim == 2 and items.dtype.str[1:] in ("S1", "U1"):
            return ["".join(row) for row in items.astype("U1").tolist()]
        return items if items.dtype.kind in "uifbc" else items.tolist()
    if isinstance(items, (str, bytes, bytearray, list, tuple)):
        return items
    if isinstance(items, PathLike):
        raise TypeError(f"expected sequences, not the path {fspath(items)}: use predict_fasta")
    if isinstance(items, (Mapping, set, frozenset)) or getattr(items, "ndim", 1) != 1:
        raise TypeError(
            f"expected sequences in their order, not a {type(items).__name__}: give a list of "
            "them, or a column"
        )
    if hasattr(items, "to_pylist"):  # Arrow's, which gives scalars of its own one by one
        return items.to_pylist()
    return list(items) if isinstance(items, Iterable) else items


class ImageInput:
    """The image input of a graph: checks kind and size.

    Parameters
    ----------
    tensor
        What the contract says of it.
    batch
        Images of every batch, None for any.

    Attributes
    ----------
    shape
        Height and width, None where any that is a multiple of ``multiple`` and at least ``least``.
    channels
        1 for grey, shape (H, W); 3 for RGB, shape (H, W, 3).
    """

    takes: Literal["sequences", "images"] = "images"

    def __init__(self, tensor: Input, batch: int | None = None) -> None:
        self.name = tensor.name
        self.batch = batch
        height, width = tensor.size
        self.shape = (height, width)
        self.channels = 3 if len(tensor.shape) == 4 else 1
        self.least = max(1, tensor.min_length)
        self.most = tensor.max_length or None
        self.multiple = tensor.length_multiple
        self._rank = len(tensor.shape) - 1

    def batch_of(self, items: Any) -> list[NDArray[np.uint8]] | NDArray[np.uint8]:
        """One image or several as a batch: an array with a first axis for them, or a list."""
        if isinstance(items, np.ndarray) and items.ndim == self._rank + 1:
            return items
        return [items] if isinstance(items, np.ndarray) else list(items)

    def parts(
        self, batch: list[NDArray[np.uint8]] | NDArray[np.uint8], limit: Limit, labels: Labels
    ) -> Iterator[Part]:
        """Images of one size, uint8, shape (n, H, W) or (n, H, W, 3); see `ModelInput`."""
        self.check(batch, labels)
        whole = isinstance(batch, np.ndarray)
        shapes = np.array([image.shape[:2] for image in batch]).reshape(-1, 2)
        for shape in np.unique(shapes, axis=0):
            rows = np.flatnonzero((shapes == shape).all(1))
            size = limit(tuple(shape.tolist()))
            for begin in range(0, len(rows), size):
                chosen = rows[begin : begin + size]
                if whole:
                    yield chosen, batch[begin : begin + size]  # type: ignore[misc]
                else:
                    yield chosen, np.stack([batch[i] for i in chosen.tolist()])

    def check(self, batch: list[NDArray[np.uint8]] | NDArray[np.uint8], labels: Labels) -> None:
        """Raise `ShapeError` for an image of a kind or size that it does not take."""
        whole = isinstance(batch, np.ndarray)
        for i in range(min(len(batch), 1) if whole else len(batch)):
            self._check(batch[i], i, labels)

    def refused(
        self, batch: list[NDArray[np.uint8]] | NDArray[np.uint8], labels: Labels
    ) -> Iterator[tuple[int, Exception]]:
        """Places and errors of those that `check` refuses."""
        for i, image in enumerate(batch):
            try:
                self._check(image, i, labels)
            except ShapeError as error:
                yield i, error.with_traceback(None)

    def _check(self, image: Any, index: int, labels: Labels) -> None:
        what = labels(index, "image")
        kind = "grey, shape (H, W)" if self.channels == 1 else "RGB, shape (H, W, 3)"
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            found = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
            raise ShapeError(
                f"{what}: expected an array of uint8, {kind}, not {found} "
                "(seqtile.scale makes uint8 of uint16)"
            )
        if image.ndim != self._rank or image.shape[2:] not in ((), (3,)):
            raise ShapeError(f"{what} has the shape {image.shape}, the model takes {kind}")
        for axis, size, wanted in zip(("high", "wide"), image.shape, self.shape, strict=False):
            if wanted is not None and size != wanted:
                raise ShapeError(
                    f"{what} is {image.shape[0]} x {image.shape[1]} pixels (height x width), the "
                    f"model takes {self.shape[0]} x {self.shape[1]}"
                )
            if wanted is None and (
                size < self.least or size % self.multiple or size > (self.most or size)
            ):
                sizes = f"from {self.least} " + (f"to {self.most}" if self.most else "on")
                raise ShapeError(
                    f"{what} is {size} pixels {axis}, the model takes multiples of "
                    f"{self.multiple} {sizes} (segment takes any size)"
                )

    def feed(self, items: NDArray[np.uint8]) -> NDArray[Any]:
        """The array itself."""
        return items


def input_of(contract: Contract, batch: int | None = None) -> ModelInput:
    """The input that a model predicts from; ``batch`` is its graph's, where that is fixed."""
    if contract.first.kind == "image":
        return ImageInput(contract.first, batch)
    return SequenceInput(contract.first, contract.window, batch)
