"""Sequences as arrays: one-hot, codes, letters, reverse complement, windows.

A sequence is ``str``, ``bytes`` or a ``uint8`` array of ASCII letters; a batch is a list of them or
a ``uint8`` array of shape (N, L). Case is ignored; in DNA ``U`` counts as ``T``, in RNA ``T`` as
``U``. ``N`` and the other IUPAC ambiguity letters are *unknown*, as are ``X`` (a masked letter) and
the ``-``, ``*`` and ``.`` of alignments; in proteins B J O U X Z are. Any other byte is an
`AlphabetError`. In a custom alphabet every further letter is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import numpy as np

from .. import _core
from ..errors import ShapeError
from .batch import Alphabet, Batch, Layout, Letters, SequenceBatch, Unknown

if TYPE_CHECKING:  # numpy.typing is a third of the time this module takes to import
    from numpy.typing import NDArray

__all__ = ["decode", "encode", "one_hot", "reverse_complement", "windows"]

_LAYOUTS = {"NCL": _core.Layout.NCL, "NLC": _core.Layout.NLC}


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
        Array to write to and return: C-contiguous and aligned, of the result's shape and dtype. Its
        memory may be anybody's (pinned, shared, mapped). Encoding into memory that was written
        before is two to three times faster than into a fresh array. After an error it is partly
        written.
    threads
        Threads that share the batch, and a long sequence.

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
    else:
        _check_out(out, shape, kind)
    bits = np.dtype(np.uint16) if kind == np.float16 else kind
    fill = 1 / channels if unknown == "uniform" else 0
    on, other = np.array([1, fill], dtype=kind).view(bits).tolist()
    refused = _core.one_hot(
        batch.core,
        letters.core,
        _layout(layout),
        unknown == "raise",
        on,
        other,
        columns,
        out.view(bits),
        threads,
    )
    if refused is not None:
        raise batch.error(refused, letters, raised_unknown=unknown == "raise")
    return out


def _check_out(out: NDArray[Any], shape: tuple[int, ...], kind: np.dtype[Any]) -> None:
    flags = out.flags
    if out.shape == shape and out.dtype == kind and flags.c_contiguous and flags.aligned:
        return
    fault = "" if flags.aligned else " (not aligned)"
    fault = fault if flags.c_contiguous else " (not contiguous)"
    raise ShapeError(
        f"out must be C-contiguous {kind} of shape {shape}, not {out.dtype} of shape "
        f"{out.shape}{fault}"
    )


def _layout(layout: str) -> _core.Layout:
    try:
        return _LAYOUTS[layout]
    except KeyError:
        raise ValueError(f"layout must be 'NCL' or 'NLC', not {layout!r}") from None


def _common_length(batch: SequenceBatch, length: int | None) -> int:
    core = batch.core
    if length is None:
        if len(batch) == 0:
            return batch.width
        if core.shortest == core.longest:
            return core.longest
        lengths = batch.lengths
        odd = np.flatnonzero(lengths != lengths[0])[0]
        raise ShapeError(
            f"sequence {odd} has {lengths[odd]} letters, sequence 0 has {lengths[0]}: "
            "give length= to pad"
        )
    if length < 0:
        raise ValueError(f"length must not be negative, not {length}")
    if core.longest > length and len(batch):
        odd = np.flatnonzero(batch.lengths > length)[0]
        raise ShapeError(
            f"sequence {odd} has {batch.lengths[odd]} letters, more than length={length}"
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
    str, or a list of N strings. A column whose channels are all equal (all zero, or uniform), or
    one of which is NaN, gives ``N`` (protein: ``X``); padding therefore decodes to ``N``.

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
    seqs: Letters,
    *,
    alphabet: str = ...,
    unknown: Literal["code", "raise"] = ...,
    out: NDArray[np.uint8] | None = ...,
    threads: int = ...,
) -> NDArray[np.uint8]: ...
@overload
def encode(
    seqs: Sequence[Letters],
    *,
    alphabet: str = ...,
    unknown: Literal["code", "raise"] = ...,
    out: NDArray[np.uint8] | None = ...,
    threads: int = ...,
) -> NDArray[np.uint8] | list[NDArray[np.uint8]]: ...
def encode(
    seqs: Batch,
    *,
    alphabet: str = "dna",
    unknown: Literal["code", "raise"] = "code",
    out: NDArray[np.uint8] | None = None,
    threads: int = 1,
) -> NDArray[np.uint8] | list[NDArray[np.uint8]]:
    """Letters to codes: 0..n-1 in the alphabet's order, unknown letters n.

    Parameters
    ----------
    seqs, alphabet
        As for `one_hot`.
    unknown
        ``"code"`` gives unknown letters the code n; ``"raise"`` makes them an error.
    out
        Array to write to: C-contiguous uint8 of the result's shape; for a list of shape (sum of the
        lengths,), of which the results are views. It may be the sequence itself. After an error it
        is partly written.
    threads
        Threads that share the letters.

    Returns
    -------
    uint8 array of shape (L,) for one sequence, (N, L) for an (N, L) array, a list of arrays for a
    list.

    Raises
    ------
    AlphabetError
        A byte outside the alphabet, or with ``unknown="raise"`` an unknown letter.
    ShapeError
        ``out`` of another shape, dtype or memory order.

    Examples
    --------
    >>> encode("ACGTUn").tolist()
    [0, 1, 2, 3, 3, 4]
    """
    if unknown not in ("code", "raise"):
        raise ValueError(f"unknown must be 'code' or 'raise', not {unknown!r}")
    if threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")
    letters = Alphabet(alphabet)
    batch = SequenceBatch(seqs)
    shape = seqs.shape if isinstance(seqs, np.ndarray) else (int(batch.lengths.sum()),)
    if out is None:
        out = np.empty(shape, dtype=np.uint8)
    else:
        _check_out(out, shape, np.dtype(np.uint8))
    refused = _core.encode(batch.core, letters.core, unknown == "raise", out, threads)
    if refused is not None:
        raise batch.error(refused, letters, raised_unknown=unknown == "raise")
    if batch.single or isinstance(seqs, np.ndarray):
        return out
    ends = np.cumsum(batch.lengths)
    starts = ends - batch.lengths
    return [out[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]


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
        A sequence or a batch. Case and IUPAC letters are kept (``R`` becomes ``Y``), ``X``, ``-``,
        ``*`` and ``.`` stay.
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
    refused, results = _core.reverse_complement(batch.core, alphabet == "rna")
    if refused is not None:
        raise batch.error(refused, Alphabet(alphabet))
    if batch.single or isinstance(seqs, np.ndarray):
        [result] = results
        return cast("Letters", result)
    return results


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
    letters = _to_array(seq)
    if len(letters) < size:
        return np.empty((0, size), dtype=np.uint8)
    return np.lib.stride_tricks.sliding_window_view(letters, size)[::stride]


def _to_array(seq: Letters) -> NDArray[np.uint8]:
    if isinstance(seq, np.ndarray) and seq.dtype == np.uint8 and seq.ndim == 1:
        return np.ascontiguousarray(seq)
    batch = SequenceBatch(seq)
    if not batch.single:
        raise TypeError(f"expected one sequence, not {type(seq).__name__}")
    [letters] = batch.letters(np.zeros(1, np.int64), len(seq))
    return cast("NDArray[np.uint8]", letters)
