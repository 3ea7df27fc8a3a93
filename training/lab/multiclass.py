"""Figures of a classifier of several classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqtile.models.card import Metric

from . import metrics, report

Floats = NDArray[np.floating]


def accuracy(labels: NDArray[Any], probability: Floats) -> float:
    """Share of rows whose class has the largest probability."""
    return float((probability.argmax(1) == labels).mean())


def roc_auc(labels: NDArray[Any], probability: Floats) -> float:
    """Area under the ROC curve of each class against the rest, the mean over the classes.

    As MedMNIST's evaluator has it: each class counts alike.

    Parameters
    ----------
    labels
        Class numbers, shape (n,); each class occurs, and none is alone.
    probability
        Shape (n, classes).
    """
    return float(
        np.mean(
            [metrics.roc_auc(labels == c, probability[:, c]) for c in range(probability.shape[1])]
        )
    )


def recalls(labels: NDArray[Any], probability: Floats) -> Floats:
    """Share of each class's rows that are told as such, shape (classes,); 0 for an absent class."""
    right, _, truth = _counts(labels, probability)
    return right / np.maximum(truth, 1)


def f1(labels: NDArray[Any], probability: Floats) -> float:
    """Harmonic mean of precision and recall of each class, the mean over the classes."""
    right, said, truth = _counts(labels, probability)
    return float(np.mean(2 * right / np.maximum(said + truth, 1)))


def _counts(labels: NDArray[Any], probability: Floats) -> tuple[Floats, Floats, Floats]:
    """Rows of each class that are right, said to be of it, of it."""
    classes, said = probability.shape[1], probability.argmax(1)
    truth = np.asarray(labels, np.int64)
    right = np.bincount(truth[said == truth], minlength=classes)
    return (
        right.astype(np.float64),
        np.bincount(said, minlength=classes).astype(np.float64),
        np.bincount(truth, minlength=classes).astype(np.float64),
    )


def figures(
    labels: NDArray[Any], probability: Floats, split: str, *, note: str = "", rounds: int = 1000
) -> list[Metric]:
    """``accuracy``, ``roc_auc`` (`roc_auc`) and ``f1`` (`f1`) with 95 % bootstrap intervals.

    Parameters
    ----------
    labels
        Class numbers, shape (n,).
    probability
        Shape (n, classes).
    split
        Name of the rows, which are resampled.
    note
        Of the accuracy.
    """
    chosen = (
        ("accuracy", accuracy, note),
        ("roc_auc", roc_auc, "mean over the classes, each against the rest"),
        ("f1", f1, "mean over the classes"),
    )
    return [
        report.metric(name, split, score, labels, probability, rounds, further, by_class=False)
        for name, score, further in chosen
    ]
