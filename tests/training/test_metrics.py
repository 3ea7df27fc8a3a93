"""Figures of merit against scikit-learn and against loops over every pair, cut and row."""

from __future__ import annotations

import numpy as np
import pytest

sklearn_metrics = pytest.importorskip("sklearn.metrics", reason="training needs scikit-learn")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from training.lab.metrics import best_threshold, bootstrap, pr_auc, roc_auc, weighted_accuracy  # noqa: E402

# Few values, so that ties are the rule, or any.
SCORES = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6))
WEIGHTS = st.integers(1, 64).map(lambda eighths: eighths / 8)
ROWS = st.lists(st.tuples(st.booleans(), SCORES, WEIGHTS), min_size=2, max_size=40).filter(
    lambda rows: len({label for label, _, _ in rows}) == 2
)


def columns(rows, dtype: type = np.float64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels, scores, weights = zip(*rows, strict=True)
    return np.array(labels, np.float32), np.array(scores, dtype), np.array(weights)


@given(ROWS)
def test_roc_auc_is_sklearns_and_the_share_of_ordered_pairs(rows) -> None:
    labels, scores, _ = columns(rows)
    pairs = [
        1.0 if p > n else 0.5 if p == n else 0.0
        for p in scores[labels == 1]
        for n in scores[labels == 0]
    ]
    assert roc_auc(labels, scores) == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)
    assert roc_auc(labels, scores) == pytest.approx(
        sklearn_metrics.roc_auc_score(labels, scores), abs=1e-12
    )


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        ([0, 0, 1, 1], [1, 2, 3, 4], 1.0),
        ([1, 1, 0, 0], [1, 2, 3, 4], 0.0),
        ([0, 1, 0, 1], [5, 5, 5, 5], 0.5),
        ([0, 1, 1], [2, 2, 3], 0.75),
    ],
)
def test_roc_auc_by_hand(labels, scores, expected) -> None:
    assert roc_auc(np.array(labels, np.float32), np.array(scores, np.float32)) == expected


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_roc_auc_of_one_class_is_an_error(label) -> None:
    with pytest.raises(ValueError, match="needs both classes"):
        roc_auc(np.full(3, label), np.arange(3.0))


@given(ROWS)
def test_pr_auc_is_the_sum_of_precision_steps(rows) -> None:
    labels, scores, _ = columns(rows)
    area, before = 0.0, 0.0
    for cut in sorted(set(scores), reverse=True):
        chosen = labels[scores >= cut]
        recall = chosen.sum() / labels.sum()
        area += (recall - before) * chosen.mean()
        before = recall
    assert pr_auc(labels, scores) == pytest.approx(area, abs=1e-6)


def test_pr_auc_by_hand() -> None:
    # Positives at ranks 1 and 3 of 4: (1/1 + 2/3) / 2.
    assert pr_auc(np.array([1, 0, 1, 0]), np.array([4.0, 3, 2, 1])) == pytest.approx(5 / 6)


@given(ROWS, st.integers(-3, 3))
def test_weighted_accuracy_is_a_sum_over_rows(rows, threshold) -> None:
    right = sum(w for label, score, w in rows if (score >= threshold) == label)
    expected = right / sum(w for _, _, w in rows)
    assert weighted_accuracy(*columns(rows), threshold) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=300)
@given(ROWS, st.sampled_from([np.float32, np.float64]))
def test_best_threshold_is_the_best_of_all_cuts(rows, dtype) -> None:
    labels, scores, weights = columns(rows, dtype)
    cuts = [*map(float, scores), float(np.nextafter(scores.max(), dtype(np.inf)))]
    best = max(weighted_accuracy(labels, scores, weights, cut) for cut in cuts)
    threshold = best_threshold(labels, scores, weights)
    assert weighted_accuracy(labels, scores, weights, threshold) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize(
    ("labels", "scores", "weights", "expected"),
    [
        ([0, 0, 1, 1], [0.125, 0.25, 0.75, 1.0], [1, 1, 1, 1], 0.5),
        ([1, 1], [3.0, 2.0], [1, 1], 2.0),
        ([0, 0], [3.0, 2.0], [1, 1], np.nextafter(3.0, np.inf)),
        ([0, 1, 0, 1], [1.0, 2.0, 3.0, 4.0], [1, 1, 5, 1], 3.5),  # the heavy negative is kept out
        ([0, 1, 0, 1], [1.0, 2.0, 3.0, 4.0], [1, 5, 1, 1], 1.5),  # the heavy positive is kept in
    ],
)
def test_best_threshold_by_hand(labels, scores, weights, expected) -> None:
    arrays = np.array(labels), np.array(scores), np.array(weights, np.float64)
    assert best_threshold(*arrays) == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("start", [1.0, 0.3, -7.5, 0.0])
@pytest.mark.parametrize("steps", [0, 1])  # half way rounds down for one of them
def test_best_threshold_between_neighbouring_numbers(dtype, start, steps) -> None:
    low = dtype(start)
    for _ in range(steps):
        low = np.nextafter(low, dtype(np.inf))
    scores = np.array([low, np.nextafter(low, dtype(np.inf))])
    threshold = best_threshold(np.array([0, 1]), scores, np.ones(2))
    assert weighted_accuracy(np.array([0, 1]), scores, np.ones(2), threshold) == 1.0


def sample() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    labels = (rng.random(400) < 0.05).astype(np.float32)
    return labels, (rng.normal(size=400) + labels).astype(np.float32)


@pytest.mark.parametrize("score", [roc_auc, pr_auc])
def test_bootstrap_is_deterministic_and_contains_the_point(score) -> None:
    labels, scores = sample()
    low, high = bootstrap(score, labels, scores, rounds=200)
    assert (low, high) == bootstrap(score, labels, scores, rounds=200)
    assert (low, high) != bootstrap(score, labels, scores, rounds=200, seed=1)
    assert low < score(labels, scores) < high


def test_bootstrap_draws_rows_with_replacement_each_class_apart() -> None:
    labels, scores = sample()
    classes = dict(zip(scores.tolist(), labels.tolist(), strict=True))
    assert len(classes) == 400  # a score names its row
    values = []

    def score(drawn_labels, drawn_scores) -> float:
        assert drawn_labels.sum() == labels.sum()
        assert len(drawn_labels) == 400
        assert [classes[s] for s in drawn_scores.tolist()] == drawn_labels.tolist()
        assert len(set(drawn_scores.tolist())) < 300  # 63 % of 400 is 253
        values.append(float(drawn_scores.mean()))
        return values[-1]

    interval = bootstrap(score, labels, scores, rounds=101)
    assert len(values) == 101
    # 2.5 % of the 100 steps between 101 sorted values: half way from the third to the fourth.
    ordered = sorted(values)
    assert interval[0] == pytest.approx((ordered[2] + ordered[3]) / 2)
    assert interval[1] == pytest.approx((ordered[97] + ordered[98]) / 2)


def test_bootstrap_covers_the_truth() -> None:
    """Of 100 samples of one kind about 95 intervals hold the true AUC."""
    rng = np.random.default_rng(8)
    truth = 0.7602  # two unit normals a distance of 1 apart: Phi(1 / sqrt(2))
    labels = np.repeat([0.0, 1.0], [150, 50])
    held = 0
    for _ in range(100):
        low, high = bootstrap(roc_auc, labels, rng.normal(size=200) + labels, rounds=100)
        held += low < truth < high
    assert 86 <= held <= 100
