"""Figures of several classes, against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest

sklearn_metrics = pytest.importorskip("sklearn.metrics", reason="the figures need scikit-learn")

from training.lab import multiclass  # noqa: E402

LABELS = np.array([0, 0, 1, 1, 2, 2])
PROBABILITY = np.array(
    [
        [0.8, 0.1, 0.1],
        [0.3, 0.4, 0.3],
        [0.1, 0.8, 0.1],
        [0.1, 0.6, 0.3],
        [0.2, 0.2, 0.6],
        [0.5, 0.2, 0.3],
    ]
)


def test_by_hand() -> None:
    assert multiclass.accuracy(LABELS, PROBABILITY) == pytest.approx(4 / 6)
    assert multiclass.recalls(LABELS, PROBABILITY).tolist() == [0.5, 1.0, 0.5]
    # said: 0 1 1 1 2 0; precision 1/2, 2/3, 1; F1 1/2, 4/5, 2/3
    assert multiclass.f1(LABELS, PROBABILITY) == pytest.approx((1 / 2 + 4 / 5 + 2 / 3) / 3)
    # Class 0: positives 0.8, 0.3 against 0.1 0.1 0.2 0.5: 7 of 8. Class 1: 8 of 8.
    # Class 2: 0.6, 0.3 against 0.1 0.3 0.1 0.3: 4 + 2 + 2 halves = 7 of 8.
    assert multiclass.roc_auc(LABELS, PROBABILITY) == pytest.approx((7 + 8 + 7) / 24)


def test_against_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 8, 500)
    probability = rng.dirichlet(np.ones(8), 500)
    probability[np.arange(500), labels] += 0.3
    probability /= probability.sum(1, keepdims=True)
    said = probability.argmax(1)
    assert multiclass.accuracy(labels, probability) == pytest.approx(
        sklearn_metrics.accuracy_score(labels, said)
    )
    assert multiclass.f1(labels, probability) == pytest.approx(
        sklearn_metrics.f1_score(labels, said, average="macro")
    )
    assert multiclass.roc_auc(labels, probability) == pytest.approx(
        sklearn_metrics.roc_auc_score(labels, probability, multi_class="ovr", average="macro")
    )
    np.testing.assert_allclose(
        multiclass.recalls(labels, probability),
        sklearn_metrics.recall_score(labels, said, average=None),
    )


def test_a_class_that_is_never_said_or_absent() -> None:
    labels = np.array([0, 0, 1])
    probability = np.array([[1.0, 0, 0], [1.0, 0, 0], [1.0, 0, 0]])
    assert multiclass.recalls(labels, probability).tolist() == [1.0, 0.0, 0.0]
    assert multiclass.f1(labels, probability) == pytest.approx((4 / 5) / 3)
    with pytest.raises(ValueError, match="both classes"):
        multiclass.roc_auc(labels, probability)


def test_intervals_hold_the_value() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 300)
    probability = rng.dirichlet(np.ones(3), 300)
    found = multiclass.figures(labels, probability, "valid", note="x", rounds=50)
    assert [(m.name, m.split, m.n) for m in found] == [
        ("accuracy", "valid", 300),
        ("roc_auc", "valid", 300),
        ("f1", "valid", 300),
    ]
    assert found[0].note == "x"
    for metric in found:
        assert metric.ci95 is not None
        assert metric.ci95[0] < metric.value < metric.ci95[1]
        assert metric.ci95[1] - metric.ci95[0] < 0.2
