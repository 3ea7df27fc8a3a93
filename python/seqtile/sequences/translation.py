"""Nucleotides to amino acids: any genetic code of NCBI, ambiguous letters, six frames."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np

from .. import _core
from ..errors import ShapeError
from .batch import Alphabet, SequenceBatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .batch import Batch, Letters

__all__ = ["translate"]

Frame: TypeAlias = Literal[0, 1, 2, -1, -2, -3]

_FRAMES: tuple[Frame, ...] = (0, 1, 2, -1, -2, -3)
_DUAL_STOPS = dict(_core.GENETIC_CODES)


@overload
def translate(  # type: ignore[overload-overlap]
    seqs: str,
    *,
    frame: Frame = ...,
    table: int = ...,
    to_stop: bool = ...,
    threads: int = ...,
) -> str: ...
@overload
def translate(
    seqs: bytes,
    *,
    frame: Frame = ...,
    table: int = ...,
    to_stop: bool = ...,
    threads: int = ...,
) -> bytes: ...
@overload
def translate(
    seqs: bytearray,
    *,
    frame: Frame = ...,
    table: int = ...,
    to_stop: bool = ...,
    threads: int = ...,
) -> bytearray: ...
@overload
def translate(
    seqs: NDArray[np.uint8],
    *,
    frame: Frame = ...,
    table: int = ...,
    to_stop: bool = ...,
    threads: int = ...,
) -> NDArray[np.uint8]: ...
@overload
def translate(
    seqs: Sequence[Letters],
    *,
    frame: Frame = ...,
    table: int = ...,
    to_stop: bool = ...,
    threads: int = ...,
) -> list[Letters]: ...
@overload
def translate(
    seqs: Batch,
    *,
    frame: Literal["all"],
    table: int = ...,
    to_stop: bool = ...,
    threads: int = ...,
) -> tuple[Any, ...]: ...
def translate(
    seqs: Batch,
    *,
    frame: Frame | Literal["all"] = 0,
    table: int = 1,
    to_stop: bool = False,
    threads: int = 1,
) -> Letters | list[Letters] | tuple[Any, ...]:
    """Translate DNA or RNA into protein.

    Parameters
    ----------
    seqs
        A sequence of L letters, or a batch. Case is ignored; ``U`` counts as ``T``.
    frame
        0, 1, 2: the letter of the given strand that the first codon begins with. -1, -2, -3: the
        letters 0, 1, 2 of the reverse complement. ``"all"``: these six, in this order.
    table
        NCBI's number of the genetic code: 1 to 6, 9 to 16, 21 to 33.
    to_stop
        End each protein before its first stop. Not for an (N, L) array, and not for the codes 27,
        28 and 31, whose stop codons also code for amino acids.
    threads
        Threads that share the sequences of a batch.

    Returns
    -------
    str, bytes or array, as it came in; a list for a list, item by item; for an (N, L) array one of
    shape (N, n). n is the number of whole codons: letters left at the end are dropped. A stop is
    ``*``; a codon that is both stop and amino acid gives the amino acid. A codon with ambiguous
    letters gives what all its readings give, ``B`` for D or N, ``Z`` for E or Q, ``J`` for I or L,
    otherwise ``X``; the codon ``---`` gives ``-``. This is what Biopython's ``Seq.translate``
    gives. With ``frame="all"`` a tuple of six such results.

    Raises
    ------
    AlphabetError
        A byte in one of the codons that is no nucleotide letter, or a gap that does not fill its
        codon; carries ``index`` and ``position``.
    ValueError
        An unknown frame or table; ``to_stop`` where it cannot be.

    Examples
    --------
    >>> translate("ATGGCNTAYTARG")
    'MAY*'
    >>> translate("ATGGCC", frame="all")
    ('MA', 'W', 'G', 'GH', 'A', 'P')
    """
    if table not in _DUAL_STOPS:
        raise ValueError(f"table must be one of {sorted(_DUAL_STOPS)}, not {table!r}")
    if isinstance(frame, bool) or (frame != "all" and frame not in _FRAMES):
        raise ValueError(f"frame must be one of {_FRAMES} or 'all', not {frame!r}")
    if threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")
    if to_stop and _DUAL_STOPS[table]:
        raise ValueError(f"to_stop is not possible with table {table}: its stops also code")
    if to_stop and isinstance(seqs, np.ndarray) and seqs.ndim == 2:
        raise ShapeError("to_stop gives proteins of different lengths: pass a list of sequences")
    batch = SequenceBatch(seqs)
    if frame == "all":
        return tuple(_translate(batch, seqs, one, table, to_stop, threads) for one in _FRAMES)
    return _translate(batch, seqs, frame, table, to_stop, threads)


@cache
def _codon_table(number: int) -> _core.CodonTable:
    return _core.CodonTable(number)


def _translate(
    batch: SequenceBatch, seqs: Batch, frame: Frame, table: int, to_stop: bool, threads: int
) -> Letters | list[Letters]:
    reverse, offset = frame < 0, frame if frame >= 0 else -frame - 1
    ends = np.cumsum(np.maximum(batch.lengths - offset, 0) // 3)
    out = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
    refused = _core.translate(batch.core, _codon_table(table), offset, reverse, ends, out, threads)
    if refused is not None:
        raise batch.error(refused, Alphabet("dna"))
    if isinstance(seqs, np.ndarray) and seqs.ndim == 2:
        return out.reshape(len(seqs), max(seqs.shape[1] - offset, 0) // 3)
    if batch.single:
        return _as_type(out, seqs, to_stop)  # type: ignore[arg-type]
    parts = [out[begin:end] for begin, end in pairwise([0, *ends.tolist()])]
    return [_as_type(part, item, to_stop) for part, item in zip(parts, seqs, strict=True)]


def _as_type(protein: NDArray[np.uint8], like: Letters, to_stop: bool) -> Letters:
    if to_stop:
        stops = np.flatnonzero(protein == ord("*"))
        protein = protein[: stops[0]] if len(stops) else protein
    if isinstance(like, np.ndarray):
        return protein
    if isinstance(like, str):
        return str(protein.data, "ascii")
    return type(like)(protein.data)
