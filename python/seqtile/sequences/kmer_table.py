"""k-mers as text and as tables of counts.

A code has 2 bits per letter (A 0, C 1, G 2, T 3), the first letter in the highest bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import _core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["KmerTable", "canonical_kmers", "kmer_letters", "kmer_strings"]

MAX_K = 32
MAX_DENSE_K = 12

_BINCOUNT = 1 << 20  # counts below this are counted in an array, larger ones by sorting


@dataclass(frozen=True, eq=False)
class KmerTable:
    """The k-mers that occur, and how often each.

    Attributes
    ----------
    k
        Letters of a k-mer, 1 to 32.
    canonical
        Whether a k-mer and its reverse complement were counted as one.
    codes
        uint64 of shape (D,): the different k-mers, rising (in `top`: by falling count).
    counts
        uint64 of shape (D,): how often each occurs, at least 1.
    """

    k: int
    canonical: bool
    codes: NDArray[np.uint64]
    counts: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def distinct(self) -> int:
        """Number of different k-mers D."""
        return len(self.codes)

    @property
    def total(self) -> int:
        """Number of windows counted."""
        return int(self.counts.sum())

    def strings(self) -> list[str]:
        """The k-mers as text."""
        return kmer_strings(self.codes, self.k)

    def top(self, n: int) -> KmerTable:
        """The ``n`` most frequent k-mers, most frequent first; of equal ones the smaller code."""
        if n < 0:
            raise ValueError(f"n must not be negative, not {n}")
        n = min(n, len(self))
        if n == 0:
            return KmerTable(self.k, self.canonical, self.codes[:0], self.counts[:0])
        least = np.partition(self.counts, len(self) - n)[len(self) - n]
        above = np.flatnonzero(self.counts > least)
        equal = np.flatnonzero(self.counts == least)[: n - len(above)]
        chosen = np.concatenate([above, equal])
        chosen = chosen[np.lexsort((chosen, self.counts[chosen].max() - self.counts[chosen]))]
        return KmerTable(self.k, self.canonical, self.codes[chosen], self.counts[chosen])

    def histogram(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """The abundance histogram.

        Returns
        -------
        uint64 arrays: the counts that occur, rising, and how many different k-mers have each.
        """
        small = self.counts < _BINCOUNT
        sizes = np.bincount(self.counts[small].view(np.int64))
        counts = np.flatnonzero(sizes)
        large, large_sizes = np.unique(self.counts[~small], return_counts=True)
        return (
            np.concatenate([counts.astype(np.uint64), large]),
            np.concatenate([sizes[counts], large_sizes]).astype(np.uint64),
        )

    @classmethod
    def from_dense(
        cls, counts: NDArray[np.uint64], k: int, *, canonical: bool = False
    ) -> KmerTable:
        """The table of an array of 4**k counts."""
        codes = np.flatnonzero(counts)
        return cls(k, canonical, codes.astype(np.uint64), counts[codes])


def canonical_kmers(k: int) -> NDArray[np.uint64]:
    """Codes of the k-mers that are not larger than their reverse complement, rising.

    Parameters
    ----------
    k
        Letters of a k-mer, 1 to 12.

    Examples
    --------
    >>> kmer_strings(canonical_kmers(2), 2)
    ['AA', 'AC', 'AG', 'AT', 'CA', 'CC', 'CG', 'GA', 'GC', 'TA']
    """
    check_k(k, MAX_DENSE_K)
    codes = np.arange(4**k, dtype=np.uint64)
    return codes[codes <= reverse_complement_codes(codes, k)]


def reverse_complement_codes(codes: NDArray[np.uint64], k: int) -> NDArray[np.uint64]:
    """Code of each k-mer's reverse complement."""
    result = np.zeros_like(codes)
    for letter in range(k):
        result = result << np.uint64(2) | (~(codes >> np.uint64(2 * letter)) & np.uint64(3))
    return result


def kmer_strings(codes: ArrayLike, k: int) -> list[str]:
    """k-mers as text.

    Parameters
    ----------
    codes
        Integers of shape (D,), each below 4**k.
    k
        Letters of a k-mer, 1 to 32.

    Raises
    ------
    ValueError
        ``k`` out of range, or a code that is no code of k letters.

    Examples
    --------
    >>> kmer_strings([0, 27], 3)
    ['AAA', 'CGT']
    """
    check_k(k, MAX_K)
    array = np.asarray(codes)
    if array.size and array.dtype.kind not in "ui":
        raise ValueError(f"codes must be integers, not {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"codes must have one dimension, not shape {array.shape}")
    if array.size and (array.min() < 0 or int(array.max()) >= 4**k):
        raise ValueError(f"a code of k={k} letters lies in [0, 4**{k})")
    text = kmer_letters(array.astype(np.uint64), k).tobytes().decode("ascii")
    return [text[i : i + k] for i in range(0, len(text), k)]


def kmer_letters(codes: NDArray[np.uint64], k: int) -> NDArray[np.uint8]:
    """The letters of each code: uint8 of shape (D, k)."""
    letters = np.empty((len(codes), k), dtype=np.uint8)
    _core.kmer_letters(np.ascontiguousarray(codes), k, letters)
    return letters


def check_k(k: int, highest: int) -> int:
    """Refuse a k outside [1, highest]."""
    if not 1 <= k <= highest:
        raise ValueError(f"k must be between 1 and {highest}, not {k}")
    return k
