"""What a model takes: the sequence input of its graph, and how a third-party model wants it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .batch import Alphabet, Layout, SequenceBatch
from .errors import AlphabetError, ShapeError
from .sequence import one_hot

__all__ = ["InputSpec", "Labels", "SequenceInput"]


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
    """What errors call the sequences of a batch."""

    first: int = 0
    names: Sequence[str] = ()

    def __call__(self, index: int) -> str:
        """What to call the sequence at this place of the batch."""
        return f"record {self.names[index]!r}" if self.names else f"sequence {self.first + index}"


class SequenceInput:
    """The sequence input of a graph: checks lengths and letters, turns bytes into feeds."""

    def __init__(self, name: str, spec: InputSpec, batch: int | None, length: int | None) -> None:
        self.name = name
        self.spec = spec
        self.alphabet = Alphabet(spec.alphabet)
        self.batch = batch
        self.length = length
        self.min_length = 1
        self.multiple = 1

    def check_letters(self, batch: SequenceBatch, labels: Labels) -> None:
        """Raise `AlphabetError` for a letter the model does not know."""
        strict = self.spec.unknown == "raise"
        refused = batch.core.find_above(self.alphabet.core, strict)
        if refused is not None:
            error = batch.error(refused, self.alphabet, raised_unknown=strict)
            raise AlphabetError(
                error.position,
                error.byte,
                expected=error.expected,
                index=labels.first + error.index,
                record=labels.names[error.index] if labels.names else "",
            )

    def check_lengths(self, lengths: NDArray[np.int64], labels: Labels) -> None:
        """Raise `ShapeError` for a length the model does not take."""
        if self.length is None:
            wrong = (lengths < self.min_length) | (lengths % self.multiple != 0)
        else:
            wrong = lengths != self.length
        if wrong.any():
            index = int(np.flatnonzero(wrong)[0])
            wanted = str(self.length or f"at least {self.min_length}")
            if self.multiple > 1:
                wanted += f" and a multiple of {self.multiple}"
            raise ShapeError(
                f"{labels(index)} has {lengths[index]} letters, the model takes {wanted}"
            )

    def feed(self, letters: NDArray[np.uint8]) -> NDArray[Any]:
        """The graph's input for uint8 letters of shape (n, L)."""
        if self.spec.layout == "bytes":
            return letters
        return one_hot(
            letters,
            alphabet=self.spec.alphabet,
            layout=self.spec.layout,
            unknown=self.spec.unknown,
        )
