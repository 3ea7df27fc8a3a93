"""Trivial predictors of binding, for the figures beside a model's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge

from seqtile import kmer_matrix, one_hot, reverse_complement
from seqtile.sequences.batch import Batch

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


def kmer_features(letters: Batch, k: int, *, canonical: bool = True) -> sparse.csr_matrix:
    """Square roots of k-mer counts, which spread evenly where counts do not.

    Parameters
    ----------
    letters
        N sequences: uint8 of shape (N, L), or a list of any lengths.
    k
        Length of the k-mers; those with an unknown letter are left out.
    canonical
        A k-mer and its reverse complement count as one: for DNA, not for RNA.

    Returns
    -------
    float32, shape (N, columns of `seqtile.kmer_matrix`).
    """
    blocks = [
        sparse.csr_matrix(np.sqrt(kmer_matrix(letters[i : i + 4096], k, canonical=canonical)))
        for i in range(0, len(letters), 4096)
    ]
    return sparse.csr_matrix(sparse.vstack(blocks))


class KmerLogistic:
    """Logistic regression on `kmer_features`, classes of equal weight.

    The defaults are the best on JUND's validation part of k = 6, 7 and C = 3e-6 to 1e-4.
    """

    def __init__(self, k: int = 7, *, c: float = 1e-4, canonical: bool = True) -> None:
        self.k, self.canonical = k, canonical
        self._model = LogisticRegression(C=c, class_weight="balanced", max_iter=300)

    def fit(self, letters: Batch, positive: Floats) -> KmerLogistic:
        """Fit on N sequences and labels, shape (N,)."""
        features = kmer_features(letters, self.k, canonical=self.canonical)
        self._model.fit(features, positive > 0.5)
        return self

    def predict(self, letters: Batch) -> Floats:
        """Log odds, shape (N,)."""
        features = kmer_features(letters, self.k, canonical=self.canonical)
        return np.asarray(self._model.decision_function(features))


class KmerRidge:
    """Ridge regression on `kmer_features`."""

    def __init__(self, k: int = 5, *, alpha: float = 1.0, canonical: bool = True) -> None:
        self.k, self.canonical = k, canonical
        self._model = Ridge(alpha=alpha, solver="sparse_cg")

    def fit(self, letters: Batch, targets: Floats) -> KmerRidge:
        """Fit on N sequences and targets, shape (N,) or (N, T)."""
        self._model.fit(kmer_features(letters, self.k, canonical=self.canonical), targets)
        return self

    def predict(self, letters: Batch) -> Floats:
        """Shape (N,) or (N, T)."""
        features = kmer_features(letters, self.k, canonical=self.canonical)
        return np.asarray(self._model.predict(features))
