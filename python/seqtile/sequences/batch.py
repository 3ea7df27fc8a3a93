"""What the functions over sequences take: alphabets, and batches read where Python keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias, overload

import numpy as np

from .. import _core
from ..errors import AlphabetError, ShapeError

if TYPE_CHECKING:  # numpy.typing is a third of the time this module takes to import
    from numpy.typing import NDArray

__all__ = [
    "Alphabet",
    "Batch",
    "Layout",
    "Letters",
    "Names",
    "RecordBatch",
    "SequenceBatch",
    "Unknown",
]

Letters: TypeAlias = "str | bytes | bytearray | NDArray[np.uint8]"
Batch: TypeAlias = "Letters | Sequence[Letters]"
Layout: TypeAlias = Literal["NCL", "NLC"]
Unknown: TypeAlias = Literal["zero", "uniform", "raise"]

_ALPHABETS = {
    "dna": (_core.DNA, "ACGT", "N", "a nucleotide letter (ACGTU or IUPAC)"),
    "rna": (_core.RNA, "ACGU", "N", "a nucleotide letter (ACGUT or IUPAC)"),
    "protein": (_core.PROTEIN, "ACDEFGHIKLMNPQRSTVWY*", "X", "an amino acid letter or '*'"),
}


class Alphabet:
    """A named alphabet, or a custom one given by its letters."""

    def __init__(self, name: str) -> None:
        if name.lower() in _ALPHABETS:
            self.core, self.letters, self.unknown, self.expected = _ALPHABETS[name.lower()]
            return
        letters = name.upper()
        if len(letters) < 2 or len(set(letters)) != len(letters) or not _is_printable(letters):
            known = ", ".join(map(repr, _ALPHABETS))
            raise ValueError(
                f"alphabet must be {known} or at least two different ASCII letters, not {name!r}"
            )
        self.letters = letters
        others = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        self.core = _core.Alphabet(letters, "".join(c for c in others if c not in letters))
        self.unknown = "N" if "N" not in letters else ("X" if "X" not in letters else "?")
        self.expected = f"a letter of {letters!r}, or an unknown letter"


def _is_printable(letters: str) -> bool:
    return letters.isascii() and letters.isprintable() and " " not in letters


class SequenceBatch:
    """One sequence or several, whose letters stay where they are.

    Only a bytearray and an array with strides are copied. What it holds must not change while it
    is in use.

    Attributes
    ----------
    core
        What the kernels take.
    single
        True if the input was one sequence, not a batch.
    width
        L of an (N, L) array, else 0: the length of an empty batch's sequences.

    Raises
    ------
    AlphabetError
        A character that is not ASCII.
    ShapeError
        An array that is not uint8, or of another rank than 1 or 2.
    TypeError
        No sequence, and no list of them.
    """

    def __init__(self, sequences: Batch) -> None:
        self._grid: NDArray[np.uint8] | None = None
        if isinstance(sequences, np.ndarray):
            if sequences.dtype != np.uint8 or sequences.ndim not in (1, 2):
                raise ShapeError(
                    "an array of sequences must be uint8 of shape (L,) or (N, L), "
                    f"not {sequences.dtype} of shape {sequences.shape}"
                )
            sequences = np.ascontiguousarray(sequences)
            self._grid = sequences if sequences.ndim == 2 else None
        elif isinstance(sequences, Sequence) and not isinstance(
            sequences, (str, bytes, bytearray, list, tuple)
        ):
            sequences = list(sequences)
        self.core = _core.Batch(sequences)
        if self.core.not_ascii is not None:
            index, position, character = self.core.not_ascii
            raise AlphabetError(position, character, expected="an ASCII letter", index=index)
        self.single = self.core.single
        self.width = self.core.width

    def __len__(self) -> int:
        return len(self.core)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """A copy of the letters of a sequence."""
        letters = self.letters(np.array([index]), int(self.lengths[index]))
        return letters.reshape(-1)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each sequence."""
        return self.core.lengths()

    def letters(self, rows: NDArray[np.int64], length: int) -> NDArray[np.uint8]:
        """Letters of these sequences, which are all ``length`` long, of shape (n, length)."""
        if self._grid is not None and len(rows) == len(self):
            return self._grid
        return self.core.letters(rows, length)

    def error(
        self,
        place: tuple[int, int, int],
        alphabet: Alphabet,
        *,
        raised_unknown: bool = False,
    ) -> AlphabetError:
        """The error for a refused byte: its sequence, its position and what it is."""
        index, position, byte = place
        expected = f"one of {alphabet.letters}" if raised_unknown else alphabet.expected
        return AlphabetError(position, byte, expected=expected, index=index)


class Names(Sequence[str]):
    """Names of records, as bytes in the memory of their file's block: a str is made when asked for.

    A slice shares the memory.

    Attributes
    ----------
    core
        What the writer of rows takes.
    """

    def __init__(self, core: _core.Texts) -> None:
        self.core = core

    def __len__(self) -> int:
        return len(self.core)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if not isinstance(index, slice):
            return self.core.text(range(len(self))[index])
        begin, end, step = index.indices(len(self))
        if step == 1:
            return Names(self.core.slice(begin, max(begin, end)))
        return [self.core.text(i) for i in range(begin, end, step)]


class RecordBatch(SequenceBatch):
    """Records of a file, whose letters and names stay where the parser left them.

    It keeps the memory of its blocks (about 1 MB each) for as long as it lives.

    Attributes
    ----------
    names
        Headers up to the first blank.
    """

    def __init__(self, letters: _core.Batch, names: _core.Texts) -> None:
        self._grid = None
        self.core = letters
        self.single = False
        self.width = 0
        self.names = Names(names)
