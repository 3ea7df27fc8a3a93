"""Sequences as arrays: one-hot, codes, letters, reverse complement, windows.

A sequence is ``str``, ``bytes`` or a ``uint8`` array of ASCII letters; a batch is a list of them or
a ``uint8`` array of shape (N, L). Case is ignored; in DNA ``U`` counts as ``T``, in RNA ``T`` as
``U``. ``N`` and the other IUPAC ambiguity letters (protein: B J O U X Z) are *unknown*; any other
byte is an `AlphabetError`. In a custom alphabet every further letter is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np

from . import _core
from .errors import AlphabetError, ShapeError

if TYPE_CHECKING:  # numpy.typing is a third of the time this module takes to import
    from numpy.typing import NDArray

__all__ = ["decode", "encode", "one_hot", "reverse_complement", "windows"]

Letters: TypeAlias = "str | bytes | bytearray | NDArray[np.uint8]"
Batch: TypeAlias = "Letters | Sequence[Letters]"
Layout: TypeAlias = Literal["NCL", "NLC"]
Unknown: TypeAlias = Literal["zero", "uniform", "raise"]

_ALPHABETS = {
    "dna": (_core.DNA, "ACGT", "N", "a nucleotide letter (ACGTU or IUPAC)"),
    "rna": (_core.RNA, "ACGU", "N", "a nucleotide letter (ACGUT or IUPAC)"),
    "protein": (_core.PROTEIN, "ACDEFGHIKLMNPQRSTVWY*", "X", "an amino acid letter or '*'"),
}
_LAYOUTS = {"NCL": _core.Layout.NCL, "NLC": _core.Layout.NLC}


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
    """The letters of a batch one after another, and where each sequence begins.

    Attributes
    ----------
    data
        uint8, all letters.
    offsets
        int64, N + 1: sequence i is ``data[offsets[i]:offsets[i + 1]]``.
    single
        True if the input was one sequence, not a batch.
    width
        L of an (N, L) array, else 0: the length of an empty batch's sequences.
    """

    def __init__(self, sequences: Batch) -> None:
        self.single = False
        self.width = 0
        if isinstance(sequences, np.ndarray):
            self._from_array(sequences)
        elif isinstance(sequences, (str, bytes, bytearray)):
            self.single = True
            self.data = _to_bytes(sequences, 0)
            self.offsets = np.array([0, len(self.data)], dtype=np.int64)
        elif isinstance(sequences, Sequence):
            self._from_list(sequences)
        else:
            raise TypeError(
                "expected str, bytes, a uint8 array or a list of them, "
                f"not {type(sequences).__name__}"
            )

    def _from_array(self, array: NDArray[Any]) -> None:
        if array.dtype != np.uint8 or array.ndim not in (1, 2):
            raise ShapeError(
                "an array of sequences must be uint8 of shape (L,) or (N, L), "
                f"not {array.dtype} of shape {array.shape}"
            )
        self.single = array.ndim == 1
        rows, length = (1, len(array)) if self.single else array.shape
        self.width = length
        self.data = np.ascontiguousarray(array).reshape(-1)
        self.offsets = np.arange(rows + 1, dtype=np.int64) * length

    def _from_list(self, sequences: Sequence[Any]) -> None:
        lengths = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
        self.offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        if sequences and all(type(s) is str for s in sequences):
            joined = "".join(sequences)
            if joined.isascii():
                self.data = np.frombuffer(joined.encode("ascii"), dtype=np.uint8)
                return
        parts = [_to_bytes(s, i) for i, s in enumerate(sequences)]
        self.data = np.concatenate(parts) if parts else np.empty(0, np.uint8)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each sequence."""
        return np.diff(self.offsets)

    def error(
        self, flat: int, alphabet: Alphabet, *, raised_unknown: bool = False
    ) -> AlphabetError:
        """The error for the byte at ``data[flat]``."""
        index = int(np.searchsorted(self.offsets, flat, side="right")) - 1
        expected = f"one of {alphabet.letters}" if raised_unknown else alphabet.expected
        position = flat - int(self.offsets[index])
        return AlphabetError(position, int(self.data[flat]), expected=expected, index=index)


def _to_bytes(sequence: Letters, index: int) -> NDArray[np.uint8]:
    if isinstance(sequence, str):
        if not sequence.isascii():
            position = next(i for i, c in enumerate(sequence) if ord(c) > 127)
            raise AlphabetError(
                position, ord(sequence[position]), expected="an ASCII letter", index=index
            )
        return np.frombuffer(sequence.encode("ascii"), dtype=np.uint8)
    if isinstance(sequence, (bytes, bytearray)):
        return np.frombuffer(bytes(sequence), dtype=np.uint8)
    if isinstance(sequence, np.ndarray) and sequence.dtype == np.uint8 and sequence.ndim == 1:
        return np.ascontiguousarray(sequence)
    raise TypeError(
        f"sequence {index}: expected str, bytes or a 1-D uint8 array, not {type(sequence).__name__}"
    )


def one_hot(
    seqs: Batch,
    *,
    alphabet: str = "dna",
    layout: Layout = "NCL",
    dtype: str | np.dtype[Any] | type[Any] = "float32",
    length: int | None = None,
    unknown: Unknown = "zero",
    out: NDArray[Any] | None = None,
    threads: int = 1,
) -> NDArray[Any]:
    """One-hot encode one sequence or a batch.

    Parameters
    ----------
    seqs
        A sequence of L letters, or a batch of N.
    alphabet
        ``"dna"`` (channels A C G T), ``"rna"`` (A C G U), ``"protein"`` (the 20 amino acids in
        alphabetical order of their letters, then ``*``), or the letters of a custom alphabet.
    layout
        ``"NCL"``: channels before positions; ``"NLC"``: positions before channels.
    dtype
        float32, float16 or uint8.
    length
        Length L of the result: shorter sequences are padded with zeros on the right, a longer one
        is an error. Without it all sequences must have the same length.
    unknown
        Column of an unknown letter: all ``"zero"``, ``"uniform"`` (1 / number of channels; not for
        uint8), or ``"raise"``.
    out
        Array to write to and return: C-contiguous, of the result's shape and dtype.
    threads
        Threads that share the sequences of a batch.

    Returns
    -------
    array of shape (N, C, L) or (N, L, C), for one sequence without the first axis.

    Raises
    ------
    AlphabetError
        A byte outside the alphabet, or with ``unknown="raise"`` an unknown letter.
    ShapeError
        Sequences of different lengths without ``length``, or longer than it; ``out`` of another
        shape, dtype or memory order.

    Examples
    --------
    >>> one_hot("AcN").tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    letters = Alphabet(alphabet)
    kind = np.dtype(dtype)
    if kind not in (np.float32, np.float16, np.uint8):
        raise TypeError(f"dtype must be float32, float16 or uint8, not {kind}")
    if unknown not in ("zero", "uniform", "raise"):
        raise ValueError(f"unknown must be 'zero', 'uniform' or 'raise', not {unknown!r}")
    if unknown == "uniform" and kind == np.uint8:
        raise ValueError("unknown='uniform' needs a floating-point dtype, not uint8")
    if threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")
    batch = SequenceBatch(seqs)
    columns = _common_length(batch, length)
    channels = len(letters.letters)
    axes = (channels, columns) if _layout(layout) is _core.Layout.NCL else (columns, channels)
    shape = axes if batch.single else (len(batch), *axes)
    if out is None:
        out = np.empty(shape, dtype=kind)
    elif out.shape != shape or out.dtype != kind or not out.flags.c_contiguous:
        raise ShapeError(
            f"out must be C-contiguous {kind} of shape {shape}, not {out.dtype} of shape "
            f"{out.shape}" + ("" if out.flags.c_contiguous else " (not contiguous)")
        )
    bits = np.dtype(np.uint16) if kind == np.float16 else kind
    fill = 1 / channels if unknown == "uniform" else 0
    off, on, other = np.array([0, 1, fill], dtype=kind).view(bits).tolist()
    refused = _core.one_hot(
        batch.data,
        batch.offsets,
        letters.core,
        _layout(layout),
        unknown == "raise",
        off,
        on,
        other,
        columns,
        out.view(bits),
        threads,
    )
    if refused >= 0:
        raise batch.error(refused, letters, raised_unknown=unknown == "raise")
    return out


def _layout(layout: str) -> _core.Layout:
    try:
        return _LAYOUTS[layout]
    except KeyError:
        raise ValueError(f"layout must be 'NCL' or 'NLC', not {layout!r}") from None


def _common_length(batch: SequenceBatch, length: int | None) -> int:
    lengths = batch.lengths
    if length is None:
        if len(batch) == 0:
            return batch.width
        odd = np.flatnonzero(lengths != lengths[0])
        if len(odd):
            raise ShapeError(
                f"sequence {odd[0]} has {lengths[odd[0]]} letters, sequence 0 has {lengths[0]}: "
                "give length= to pad"
            )
        return int(lengths[0])
    if length < 0:
        raise ValueError(f"length must not be negative, not {length}")
    odd = np.flatnonzero(lengths > length)
    if len(odd):
        raise ShapeError(
            f"sequence {odd[0]} has {lengths[odd[0]]} letters, more than length={length}"
        )
    return length


def decode(
    array: NDArray[Any], *, alphabet: str = "dna", layout: Layout = "NCL"
) -> str | list[str]:
    """Letters of one-hot columns, or of probability distributions: the largest channel.

    Parameters
    ----------
    array
        Shape (C, L) or (N, C, L) with ``layout="NCL"``, (L, C) or (N, L, C) with ``"NLC"``;
        float16, float32, float64, uint8 or bool.
    alphabet, layout
        As for `one_hot`.

    Returns
    -------
    str, or a list of N strings. A column whose channels are all equal (all zero, or uniform) gives
    ``N`` (protein: ``X``); padding therefore decodes to ``N``.

    Raises
    ------
    ShapeError
        Another rank, or another number of channels than the alphabet has.

    Examples
    --------
    >>> decode(one_hot("gatNaca"))
    'GATNACA'
    """
    letters = Alphabet(alphabet)
    array = np.asarray(array)
    channels = len(letters.letters)
    axis = -2 if _layout(layout) is _core.Layout.NCL else -1
    if array.ndim not in (2, 3) or array.shape[axis] != channels:
        raise ShapeError(
            f"expected {channels} channels on axis {axis} of a 2-D or 3-D array, "
            f"not shape {array.shape}"
        )
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    elif array.dtype == np.bool_:
        array = array.view(np.uint8)
    if array.dtype not in (np.float32, np.float64, np.uint8):
        raise TypeError(f"expected a floating-point, uint8 or bool array, not {array.dtype}")
    length = array.shape[-1] if axis == -2 else array.shape[-2]
    rows = 1 if array.ndim == 2 else len(array)
    out = np.empty((rows, length), dtype=np.uint8)
    scores = np.ascontiguousarray(array)
    _core.decode(scores, letters.letters, letters.unknown, _layout(layout), length, out)
    text = [row.tobytes().decode("ascii") for row in out]
    return text[0] if array.ndim == 2 else text


@overload
def encode(
    seqs: Letters, *, alphabet: str = ..., unknown: Literal["code", "raise"] = ...
) -> NDArray[np.uint8]: ...
@overload
def encode(
    seqs: Sequence[Letters], *, alphabet: str = ..., unknown: Literal["code", "raise"] = ...
) -> NDArray[np.uint8] | list[NDArray[np.uint8]]: ...
def encode(
    seqs: Batch, *, alphabet: str = "dna", unknown: Literal["code", "raise"] = "code"
) -> NDArray[np.uint8] | list[NDArray[np.uint8]]:
    """Letters to codes: 0..n-1 in the alphabet's order, unknown letters n.

    Parameters
    ----------
    seqs, alphabet
        As for `one_hot`.
    unknown
        ``"code"`` gives unknown letters the code n; ``"raise"`` makes them an error.

    Returns
    -------
    uint8 array of shape (L,) for one sequence, (N, L) for an (N, L) array, a list of arrays for a
    list.

    Raises
    ------
    AlphabetError
        A byte outside the alphabet, or with ``unknown="raise"`` an unknown letter.

    Examples
    --------
    >>> encode("ACGTUn").tolist()
    [0, 1, 2, 3, 3, 4]
    """
    if unknown not in ("code", "raise"):
        raise ValueError(f"unknown must be 'code' or 'raise', not {unknown!r}")
    letters = Alphabet(alphabet)
    batch = SequenceBatch(seqs)
    out = np.empty_like(batch.data)
    refused = _core.encode(batch.data, letters.core, unknown == "raise", out)
    if refused >= 0:
        raise batch.error(refused, letters, raised_unknown=unknown == "raise")
    if isinstance(seqs, np.ndarray):
        return out.reshape(seqs.shape)
    return out if batch.single else np.split(out, batch.offsets[1:-1])[: len(batch)]


@overload
def reverse_complement(  # type: ignore[overload-overlap]
    seqs: str, *, alphabet: Literal["dna", "rna"] = ...
) -> str: ...
@overload
def reverse_complement(seqs: bytes, *, alphabet: Literal["dna", "rna"] = ...) -> bytes: ...
@overload
def reverse_complement(seqs: bytearray, *, alphabet: Literal["dna", "rna"] = ...) -> bytearray: ...
@overload
def reverse_complement(
    seqs: NDArray[np.uint8], *, alphabet: Literal["dna", "rna"] = ...
) -> NDArray[np.uint8]: ...
@overload
def reverse_complement(
    seqs: Sequence[Letters], *, alphabet: Literal["dna", "rna"] = ...
) -> list[Letters]: ...
def reverse_complement(
    seqs: Batch, *, alphabet: Literal["dna", "rna"] = "dna"
) -> Letters | list[Letters]:
    """Reverse complement of each sequence, in the type it came in.

    Parameters
    ----------
    seqs
        A sequence or a batch. Case and IUPAC letters are kept (``R`` becomes ``Y``).
    alphabet
        ``"dna"``: the complement of A is T; ``"rna"``: it is U.

    Returns
    -------
    str, bytes or array of the input's shape; a list for a list, item by item.

    Raises
    ------
    AlphabetError
        A byte that is no nucleotide letter.

    Examples
    --------
    >>> reverse_complement("AACGTNr")
    'yNACGTT'
    """
    if alphabet not in ("dna", "rna"):
        raise ValueError(f"alphabet must be 'dna' or 'rna', not {alphabet!r}")
    batch = SequenceBatch(seqs)
    out = np.empty_like(batch.data)
    refused = _core.reverse_complement(batch.data, batch.offsets, alphabet == "rna", out)
    if refused >= 0:
        raise batch.error(refused, Alphabet(alphabet))
    if isinstance(seqs, np.ndarray):
        return out.reshape(seqs.shape)
    if batch.single:
        return _as_type(out, seqs)  # type: ignore[arg-type]
    parts = np.split(out, batch.offsets[1:-1])
    return [_as_type(part, item) for part, item in zip(parts, seqs, strict=False)]  # type: ignore[arg-type]


def _as_type(letters: NDArray[np.uint8], like: Letters) -> Letters:
    if isinstance(like, str):
        return letters.tobytes().decode("ascii")
    if isinstance(like, np.ndarray):
        return letters
    return type(like)(letters.tobytes())


def windows(seq: Letters, size: int, stride: int = 1) -> NDArray[np.uint8]:
    """All whole windows of a sequence, without copying it.

    Parameters
    ----------
    seq
        L letters. A uint8 array is viewed, str is encoded once.
    size, stride
        Window i covers the positions ``[i * stride, i * stride + size)``; both at least 1.

    Returns
    -------
    read-only uint8 view of shape (n, size), ``n = (L - size) // stride + 1``, or 0 if L < size.

    Raises
    ------
    ValueError
        ``size`` or ``stride`` below 1.

    Examples
    --------
    >>> [w.tobytes() for w in windows("ACGTA", 3, 2)]
    [b'ACG', b'GTA']
    """
    if size < 1 or stride < 1:
        raise ValueError(f"size and stride must be at least 1, not {size} and {stride}")
    letters = _to_bytes(seq, 0)
    if len(letters) < size:
        return np.empty((0, size), dtype=np.uint8)
    return np.lib.stride_tricks.sliding_window_view(letters, size)[::stride]
