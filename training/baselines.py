"""Trivial predictors of binding, for the figures beside a model's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from seqtile import encode, one_hot, reverse_complement

Floats = NDArray[np.floating]


def consensus_score(letters: NDArray[np.uint8], consensus: str) -> Floats:
    """Most letters of a consensus matched at any place, on either strand.

    Parameters
    ----------
    letters
        uint8, shape (n, L).
    consensus
        Nucleotide letters; ``S`` stands for C or G.
    """
    allowed = np.stack([one_hot(consensus.replace("S", base)) for base in "CG"]).max(0)
    scores = []
    for strand in (letters, reverse_complement(letters)):
        hot = one_hot(strand)
        count = hot.shape[2] - allowed.shape[1] + 1
        matches = sum(
            np.einsum("ncp,c->np", hot[:, :, i : i + count], allowed[:, i])
            for i in range(allowed.shape[1])
        )
        scores.append(np.asarray(matches).max(1))
    return np.maximum(*scores)


def kmer_counts(letters: NDArray[np.uint8], k: int) -> sparse.csr_matrix:
    """Counts of canonical k-mers: a k-mer and its reverse complement count as one.

    Parameters
    ----------
    letters
        uint8, shape (n, L).
    k
        Length of the k-mers; those with an unknown letter are left out.

    Returns
    -------
    float32, shape (n, 4**k), in the column of the smaller of the two codes.
    """
    codes = np.asarray(encode(letters)).astype(np.int64)
    power = 4 ** np.arange(k - 1, -1, -1)
    views = np.lib.stride_tricks.sliding_window_view(codes, k, axis=1)
    known = (views < 4).all(2)
    canonical = np.minimum(views @ power, (3 - views[:, :, ::-1]) @ power)
    rows, places = np.nonzero(known)
    ones = np.ones(len(rows), np.float32)
    shape = (len(letters), 4**k)
    return sparse.csr_matrix((ones, (rows, canonical[rows, places])), shape=shape)


class KmerLogistic:
    """Logistic regression on square roots of canonical k-mer counts, classes of equal weight.

    The defaults are the best on JUND's validation part of k = 6, 7 and C = 3e-6 to 1e-4.
    """

    def __init__(self, k: int = 7, *, c: float = 1e-4) -> None:
        self.k = k
        self._model = LogisticRegression(C=c, class_weight="balanced", max_iter=300)

    def fit(self, letters: NDArray[np.uint8], bound: Floats) -> KmerLogistic:
        """Fit on uint8 letters (n, L) and labels (n,)."""
        self._model.fit(kmer_counts(letters, self.k).sqrt(), bound > 0.5)
        return self

    def predict(self, letters: NDArray[np.uint8]) -> Floats:
        """Log odds, shape (n,)."""
        return np.asarray(self._model.decision_function(kmer_counts(letters, self.k).sqrt()))
