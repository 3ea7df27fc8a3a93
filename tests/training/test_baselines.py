"""Trivial predictors against loops over every place, with Biopython's reverse complement."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="training needs scikit-learn")

from Bio.Seq import reverse_complement

from training.baselines import KmerLogistic, consensus_score, kmer_counts
from training.metrics import roc_auc


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
def test_kmer_counts_are_of_the_smaller_strand_and_known_letters(k) -> None:
    letters = random_letters(30, 25, b"ACGTacgtN")
    expected = np.zeros((30, 4**k), np.float32)
    for row, text in enumerate(texts(letters)):
        for i in range(len(text) - k + 1):
            word = text[i : i + k]
            if "N" not in word:
                smaller = min(word, reverse_complement(word))  # the letters' order is the codes'
                expected[row, int(smaller.translate(str.maketrans("ACGT", "0123")), 4)] += 1
    found = kmer_counts(letters, k)
    assert found.dtype == np.float32
    assert found.shape == (30, 4**k)
    np.testing.assert_array_equal(found.toarray(), expected)
    np.testing.assert_array_equal(found.sqrt().toarray(), np.sqrt(expected))


def test_kmer_counts_by_hand() -> None:
    letters = np.array([list(b"ACGTT"), list(b"NNNNN")], np.uint8)
    # AC and GT are one; so are AA and TT; CG is its own reverse complement.
    found = kmer_counts(letters, 2).toarray()
    assert {i: n for i, n in enumerate(found[0].tolist()) if n} == {0b0000: 1, 0b0001: 2, 0b0110: 1}
    assert found[1].sum() == 0


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
