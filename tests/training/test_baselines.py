"""Trivial predictors against loops over every place, with Biopython's reverse complement."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="training needs scikit-learn")

from Bio.Seq import reverse_complement
from sklearn.linear_model import Ridge

from seqtile import canonical_kmers, kmer_matrix, kmer_strings
from training.lab.baselines import KmerLogistic, KmerRidge, consensus_score, kmer_features
from training.lab.metrics import roc_auc


def random_letters(n: int, length: int, alphabet: bytes = b"ACGT", seed: int = 0) -> np.ndarray:
    table = np.frombuffer(alphabet, np.uint8)
    return table[np.random.default_rng(seed).integers(0, len(table), (n, length))]


def texts(letters: np.ndarray) -> list[str]:
    return [row.tobytes().decode().upper() for row in letters]


@pytest.mark.parametrize("consensus", ["TGASTCA", "S", "GGGS", "ACSSTA"])
def test_consensus_score_is_the_best_place_of_both_strands(consensus) -> None:
    letters = random_letters(40, 23, b"ACGTacgtN")
    allowed = [{"S": "CG"}.get(letter, letter) for letter in consensus]
    expected = [
        max(
            sum(strand[i + j] in allowed[j] for j in range(len(allowed)))
            for strand in (text, reverse_complement(text))
            for i in range(len(text) - len(allowed) + 1)
        )
        for text in texts(letters)
    ]
    assert consensus_score(letters, consensus).tolist() == expected


def test_consensus_score_by_hand() -> None:
    rows = [
        b"AAATGAGTCAAAA",
        b"AAATGACTCAAAA",
        b"AAATGATTCAAAA",
        b"NNNNNNNNNNNNN",
        b"GTTGGAACCAAGG",
    ]
    letters = np.array([list(row) for row in rows], np.uint8)
    assert consensus_score(letters, "TGASTCA")[:4].tolist() == [7, 7, 6, 0]
    # On the other strand alone: CCTTGG is the reverse complement of CCAAGG.
    assert consensus_score(letters, "CCTTGG")[4] == 6


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("canonical", [False, True])
def test_kmer_features_are_roots_of_counts_of_known_letters(k, canonical) -> None:
    letters = random_letters(30, 25, b"ACGTacgtN")
    columns = kmer_strings(canonical_kmers(k) if canonical else range(4**k), k)
    expected = np.zeros((30, len(columns)), np.float32)
    for row, text in enumerate(texts(letters)):
        for i in range(len(text) - k + 1):
            word = text[i : i + k]
            if "N" not in word:
                smaller = min(word, reverse_complement(word)) if canonical else word
                expected[row, columns.index(smaller)] += 1
    found = kmer_features(letters, k, canonical=canonical)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.toarray(), np.sqrt(expected), rtol=1e-6)


def test_kmer_features_of_many_rows_and_of_a_list() -> None:
    letters = random_letters(5000, 12)
    whole = kmer_features(letters, 3)
    assert whole.shape == (5000, 32)
    np.testing.assert_array_equal(
        whole[4990:].toarray(), kmer_features(letters[4990:], 3).toarray()
    )
    ragged = kmer_features(["ACGUACGU", b"acg", "N"], 3, canonical=False)
    assert np.asarray(ragged.power(2).sum(1)).ravel().round().tolist() == [6, 1, 0]


def planted(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Every twentieth row holds TGACTCA at a random place of a random strand."""
    letters = random_letters(n, 60, seed=seed)
    rng = np.random.default_rng(seed + 100)
    bound = (np.arange(n) % 20 == 0).astype(np.float32)
    for row in np.flatnonzero(bound):
        place, word = rng.integers(0, 53), (b"TGACTCA", b"TGAGTCA")[rng.integers(0, 2)]
        letters[row, place : place + 7] = list(word)
    return letters, bound


def test_kmer_logistic_learns_a_planted_kmer() -> None:
    model = KmerLogistic(k=4, c=0.1).fit(*planted(6000, 1))
    letters, bound = planted(1000, 2)
    odds = model.predict(letters)
    assert odds.shape == (1000,)
    assert roc_auc(bound, odds) > 0.9
    # Classes of equal weight: the odds are as if they were equally frequent.
    assert (odds[bound < 0.5] < 0).mean() > 0.6
    assert (odds[bound > 0.5] > 0).mean() > 0.6
    turned = np.array([list(reverse_complement(t).encode()) for t in texts(letters)], np.uint8)
    np.testing.assert_allclose(model.predict(turned), odds, atol=1e-9)


def test_kmer_logistic_finds_nothing_in_labels_at_random() -> None:
    letters, bound = planted(3000, 1)
    model = KmerLogistic(k=4).fit(letters, np.random.default_rng(0).permutation(bound))
    letters, bound = planted(1000, 2)
    assert abs(roc_auc(bound, model.predict(letters)) - 0.5) < 0.15


@pytest.mark.parametrize("k", [2, 3])
def test_kmer_ridge_is_scikit_learns_on_dense_counts(k) -> None:
    letters = random_letters(400, 30)
    targets = np.random.default_rng(3).normal(size=(400, 2))
    model = KmerRidge(k, alpha=2.0, canonical=False).fit(letters, targets)
    oracle = Ridge(alpha=2.0).fit(np.sqrt(kmer_matrix(letters, k)), targets)
    other = random_letters(50, 30, seed=9)
    expected = oracle.predict(np.sqrt(kmer_matrix(other, k)))
    np.testing.assert_allclose(model.predict(other), expected, atol=2e-3)
