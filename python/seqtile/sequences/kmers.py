"""k-mers of DNA and RNA: counts, codes, features, minimizers.

A k-mer's *code* has 2 bits per letter (A 0, C 1, G 2, T and U 3), the first letter in the highest
bits: codes sort as their letters do. Case is ignored. A window with an unknown letter (N and the
other IUPAC letters, X - * .) is skipped, any other byte is an `AlphabetError`; no window reaches
from one sequence of a batch to the next. *Canonical*: a k-mer and its reverse complement count as
one, as the one with the smaller code. Sequences are given as for `seqtile.one_hot`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from ..errors import ShapeError
from .batch import Alphabet, Batch, Letters, SequenceBatch
from .kmer_table import (
    MAX_DENSE_K,
    MAX_K,
    KmerTable,
    canonical_kmers,
    check_k,
    kmer_strings,
    reverse_complement_codes,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "KmerCounter",
    "KmerTable",
    "canonical_kmers",
    "kmer_codes",
    "kmer_counts",
    "kmer_matrix",
    "kmer_strings",
    "minimizers",
]


class KmerCounter:
    """Counts k-mers of sequences that come one after another.

    Memory does not grow with the input, only with the table: for k <= 12 the 4**k counts (8 bytes
    each, 128 MB for k = 12) and at most 16 MB per thread; above, 16 bytes per different k-mer, 32
    while sequences are merged into the table and while `result` copies it. Besides, once there is
    that much to count, about 400 MB of buffers, or where that is more a byte per different k-mer
    and one per letter of a call to `add`.

    Parameters
    ----------
    k
        Letters of a k-mer, 1 to 32.
    canonical
        Count a k-mer and its reverse complement as one.
    threads
        Threads that share the windows of a batch. Few, large batches are faster than many small
        ones. Several Python threads may call one counter; they take turns.

    Raises
    ------
    ValueError
        ``k`` or ``threads`` out of range.

    Examples
    --------
    >>> counter = KmerCounter(2, canonical=True)
    >>> counter.add("GATTACA")
    >>> counter.add(["acg", "NNT"])
    >>> table = counter.table()
    >>> dict(zip(table.strings(), table.counts.tolist()))
    {'AA': 1, 'AC': 2, 'AT': 1, 'CA': 1, 'CG': 1, 'GA': 1, 'TA': 1}
    """

    def __init__(self, k: int, *, canonical: bool = False, threads: int = 1) -> None:
        self.k = check_k(k, MAX_K)
        self.canonical = bool(canonical)
        self.threads = _check_threads(threads)
        self._counts: NDArray[np.uint64] | None = None
        if k <= MAX_DENSE_K:
            self._counts = np.zeros(4**k, dtype=np.uint64)
            self._dense = _core.DenseKmers(k, self._counts)
        else:
            self._sparse = _core.SparseKmers(k, self.canonical)

    def add(self, seqs: Batch) -> None:
        """Count the k-mers of one sequence or a batch.

        Raises
        ------
        AlphabetError
            A byte that is no nucleotide letter; nothing of this call is then counted.
        """
        self._add(seqs, check=True)

    def _add(self, seqs: Batch, *, check: bool) -> None:
        batch = SequenceBatch(seqs)
        if self._counts is not None:
            refused = self._dense.add(batch.core, check, self.threads)
        else:
            refused = self._sparse.add(batch.core, self.threads)
        if refused is not None:
            raise batch.error(refused, Alphabet("dna"))

    def result(self) -> NDArray[np.uint64] | KmerTable:
        """What was counted so far, in the form that `kmer_counts` gives; counting may go on."""
        return self._result(release=False)

    def _result(self, *, release: bool) -> NDArray[np.uint64] | KmerTable:
        """With ``release`` without a copy; the counter is then of no more use."""
        if self._counts is None:
            return KmerTable(self.k, self.canonical, *self._sparse.table(release, self.threads))
        self._dense.flush()
        counts = self._counts if release else self._counts.copy()
        if self.canonical:
            _core.fold_canonical(self.k, counts)
        return counts

    def table(self) -> KmerTable:
        """What was counted so far, as a table for any k."""
        return self._table(release=False)

    def _table(self, *, release: bool) -> KmerTable:
        result = self._result(release=release)
        if isinstance(result, KmerTable):
            return result
        return KmerTable.from_dense(result, self.k, canonical=self.canonical)


def kmer_counts(
    seqs: Batch, k: int, *, canonical: bool = False, threads: int = 1
) -> NDArray[np.uint64] | KmerTable:
    """Count the k-mers of one sequence or a batch, all sequences together.

    Parameters
    ----------
    seqs
        A sequence, or a batch.
    k
        Letters of a k-mer, 1 to 32.
    canonical
        Count a k-mer and its reverse complement as one, under the smaller code; the other counts
        of the array are 0.
    threads
        Threads that share the windows.

    Returns
    -------
    k <= 12: uint64 array of shape (4**k,), the count of each code. k > 12: `KmerTable`. (For the
    table of a small k, see `KmerCounter.table`.)

    Raises
    ------
    AlphabetError
        A byte that is no nucleotide letter; carries ``index`` and ``position``.
    ValueError
        ``k`` or ``threads`` out of range.

    Examples
    --------
    >>> kmer_counts("GATTACAN", 1).tolist()
    [3, 1, 1, 2]
    >>> table = kmer_counts("GATTACAGATTACAG", 13, canonical=True)
    >>> table.strings(), table.counts.tolist()
    (['ATTACAGATTACA', 'CTGTAATCTGTAA', 'GATTACAGATTAC'], [1, 1, 1])
    """
    counter = KmerCounter(k, canonical=canonical, threads=threads)
    counter._add(seqs, check=False)
    return counter._result(release=True)


def kmer_codes(
    seq: Batch, k: int, *, canonical: bool = False
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Code of every window of k letters.

    Parameters
    ----------
    seq
        A sequence of L letters, or N of them.
    k
        Letters of a k-mer, 1 to 32.
    canonical
        Give the smaller code of the k-mer and its reverse complement.

    Returns
    -------
    codes
        uint64 of shape (L - k + 1,), or (N, L - k + 1); no window if k > L. 0 where not valid.
    valid
        bool of the same shape: whether all letters of the window are known.

    Raises
    ------
    AlphabetError
        A byte that is no nucleotide letter.
    ShapeError
        Sequences of different lengths.
    ValueError
        ``k`` out of range.

    Examples
    --------
    >>> codes, valid = kmer_codes("ACGTNA", 2)
    >>> codes.tolist(), valid.tolist()
    ([1, 6, 11, 0, 0], [True, True, True, False, False])
    """
    check_k(k, MAX_K)
    batch = SequenceBatch(seq)
    lengths = batch.lengths
    length = int(lengths[0]) if len(lengths) else batch.width
    if (lengths != length).any():
        odd = int(np.flatnonzero(lengths != length)[0])
        raise ShapeError(
            f"sequence {odd} has {lengths[odd]} letters, sequence 0 has {length}: "
            "expected sequences of one length"
        )
    windows = max(0, length - k + 1)
    shape = (windows,) if batch.single else (len(batch), windows)
    codes = np.empty(shape, dtype=np.uint64)
    valid = np.empty(shape, dtype=np.bool_)
    refused = _core.kmer_codes(batch.core, k, bool(canonical), codes, valid)
    if refused is not None:
        raise batch.error(refused, Alphabet("dna"))
    return codes, valid


def kmer_matrix(
    seqs: Batch,
    k: int,
    *,
    canonical: bool = False,
    normalize: bool = False,
    dtype: str | np.dtype[Any] | type[Any] = "float32",
    threads: int = 1,
) -> NDArray[Any]:
    """k-mer counts of each sequence, as features for a model.

    Parameters
    ----------
    seqs
        A batch of N sequences of any lengths, or one.
    k
        Letters of a k-mer, 1 to 12.
    canonical
        A column per canonical k-mer: those of `canonical_kmers`. Else column i is the code i.
        `kmer_strings` names the columns.
    normalize
        Divide each row by its sum; a row without windows stays 0.
    dtype
        float32 or float64.
    threads
        Threads that share the sequences.

    Returns
    -------
    array of shape (N, columns), for one sequence (columns,). There are 4**k columns, or with
    ``canonical`` (4**k + 4**(k/2)) / 2 for even and 4**k / 2 for odd k.

    Raises
    ------
    AlphabetError
        A byte that is no nucleotide letter.
    ValueError
        ``k`` or ``threads`` out of range.
    TypeError
        Another dtype.

    Examples
    --------
    >>> kmer_matrix(["ACGT", "AAAA"], 1, normalize=True).tolist()
    [[0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0]]
    >>> kmer_strings(canonical_kmers(1), 1), kmer_matrix("ACGT", 1, canonical=True).tolist()
    (['A', 'C'], [2.0, 2.0])
    """
    check_k(k, MAX_DENSE_K)
    _check_threads(threads)
    kind = np.dtype(dtype)
    if kind not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, not {kind}")
    batch = SequenceBatch(seqs)
    columns = np.arange(4**k, dtype=np.uint64)
    width = 4**k
    if canonical:
        codes = canonical_kmers(k)
        width = len(codes)
        columns = np.searchsorted(codes, np.minimum(columns, reverse_complement_codes(columns, k)))
    out = np.empty((len(batch), width), dtype=kind)
    refused = _core.kmer_rows(
        batch.core,
        k,
        columns.astype(np.uint32),
        width,
        bool(normalize),
        out,
        threads,
    )
    if refused is not None:
        raise batch.error(refused, Alphabet("dna"))
    return out[0] if batch.single else out


def minimizers(
    seq: Letters, k: int, w: int, *, canonical: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """The k-mer with the smallest hash among each w consecutive ones.

    Two sequences that have w + k - 1 letters in common share a minimizer. The hash is the
    invertible 64-bit one of minimap2 (Li 2018, doi:10.1093/bioinformatics/bty191). Of k-mers with
    equal hash (they are equal) the one of the window before is kept while it lasts, else the last
    in the window is taken, so that repeats give few ("robust winnowing", Schleimer et al. 2003,
    doi:10.1145/872757.872770).

    Parameters
    ----------
    seq
        One sequence.
    k
        Letters of a k-mer, 1 to 32.
    w
        k-mers in a window, at least 1. Windows with an unknown letter are skipped.
    canonical
        Take the smaller code of a k-mer and its reverse complement, so that both strands have the
        same minimizers (but where a tie was broken).

    Returns
    -------
    positions
        int64: the first letter of each minimizer, rising.
    codes
        uint64: their codes.

    Raises
    ------
    AlphabetError
        A byte that is no nucleotide letter.
    ValueError
        ``k`` or ``w`` out of range.
    TypeError
        A batch.

    Examples
    --------
    >>> positions, codes = minimizers("GATTACAGATTACA", 5, 4)
    >>> positions.tolist(), kmer_strings(codes, 5)
    ([2, 4, 5, 9], ['TGTAA', 'ACAGA', 'ATCTG', 'TGTAA'])
    """
    check_k(k, MAX_K)
    if w < 1:
        raise ValueError(f"w must be at least 1, not {w}")
    batch = SequenceBatch(seq)
    if not batch.single:
        raise TypeError("minimizers takes one sequence, not a batch")
    refused, positions, codes = _core.minimizers(batch.core, k, w, bool(canonical))
    if refused is not None:
        raise batch.error(refused, Alphabet("dna"))
    return positions, codes


def _check_threads(threads: int) -> int:
    if threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")
    return threads
