"""Figures of merit, each with a bootstrap interval.

An interval asks a figure a thousand times. scikit-learn's are the same numbers, but for 4,000 rows
its ROC AUC takes 2.7 ms and not 0.1, its average precision 1.3 and not 0.1, its F1 2.2 and not
0.04.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import rankdata

Floats = NDArray[np.floating]
Score = Callable[[Floats, Floats], float]


def sigmoid(logits: Floats) -> Floats:
    """Probabilities of logits, float64."""
    return np.asarray(expit(logits.astype(np.float64)))


def roc_auc(labels: Floats, scores: Floats) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative.

    Mann-Whitney form (Hanley and McNeil, 1982); ties count half. Not a number where a score is.
    """
    positive = labels > 0.5
    above, below = np.sort(scores[positive]), np.sort(scores[~positive])
    if not len(above) or not len(below):
        raise ValueError("ROC AUC needs both classes")
    if np.isnan(above[-1]) or np.isnan(below[-1]):  # sorting puts them last
        return float("nan")
    ordered = np.searchsorted(below, above, "left") + np.searchsorted(below, above, "right")
    return float(ordered.sum() / 2 / (len(above) * len(below)))


def pr_auc(labels: Floats, scores: Floats) -> float:
    """Average precision, the area under the precision-recall curve as steps."""
    if not np.isfinite(scores).all():
        raise ValueError("PR AUC needs finite scores")
    order = np.argsort(scores)[::-1]
    values = scores[order]
    cuts = np.append(np.flatnonzero(values[1:] != values[:-1]), len(values) - 1)
    found = np.cumsum(labels[order] > 0.5)[cuts]  # positives that score a cut or more
    if found[-1] == 0:
        raise ValueError("PR AUC needs positives")
    steps = np.diff(found / found[-1], prepend=0.0) * (found / (cuts + 1))
    return float(np.flip(steps).copy().sum())  # scikit-learn's order, to the last bit


def weighted_accuracy(labels: Floats, scores: Floats, weights: Floats, threshold: float) -> float:
    """Weight of the right decisions over the whole weight; a score of ``threshold`` is positive."""
    right = (scores >= threshold) == (labels > 0.5)
    return float(weights[right].sum() / weights.sum())


def best_threshold(labels: Floats, scores: Floats, weights: Floats) -> float:
    """The threshold of the largest weighted accuracy: half way between two scores."""
    order = np.argsort(scores)
    signs = np.where(labels[order] > 0.5, -weights[order], weights[order])
    gain = np.concatenate([[0.0], np.cumsum(signs)])  # negatives below the cut, less positives
    values = scores[order]
    distinct = np.concatenate([[True], values[1:] > values[:-1], [True]])
    cut = int(np.flatnonzero(distinct)[np.argmax(gain[distinct])])
    if cut in (0, len(values)):
        return float(values[0] if cut == 0 else np.nextafter(values[-1], np.inf))
    below, above = values[cut - 1], values[cut]
    middle = (below + above) / 2
    return float(middle if middle > below else above)  # no number lies between neighbours


def precision(labels: Floats, scores: Floats, threshold: float) -> float:
    """Share of positives among the rows that score ``threshold`` or more; 0 where none does."""
    called = scores >= threshold
    return float((labels[called] > 0.5).mean()) if called.any() else 0.0


def recall(labels: Floats, scores: Floats, threshold: float) -> float:
    """Share of the positives that score ``threshold`` or more."""
    return float((scores[labels > 0.5] >= threshold).mean())


def f1(labels: Floats, scores: Floats, threshold: float) -> float:
    """Harmonic mean of precision and recall; 0 where both are."""
    p, r = precision(labels, scores, threshold), recall(labels, scores, threshold)
    return 2 * p * r / (p + r) if p + r else 0.0


def pearson(targets: Floats, predictions: Floats) -> float:
    """Pearson's correlation; not a number where one of the two is constant."""
    a, b = (
        targets - targets.mean(dtype=np.float64),
        predictions - predictions.mean(dtype=np.float64),
    )
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale else float("nan")


def spearman(targets: Floats, predictions: Floats) -> float:
    """Spearman's rank correlation; ties take their mean rank."""
    return pearson(rankdata(targets), rankdata(predictions))


def mse(targets: Floats, predictions: Floats) -> float:
    """Mean squared error."""
    return float(((targets - predictions).astype(np.float64) ** 2).mean())


def bootstrap(
    score: Score,
    labels: Floats,
    scores: Floats,
    *,
    rounds: int = 1000,
    seed: int = 0,
    by_class: bool = True,
) -> tuple[float, float]:
    """95 % interval of a figure: percentiles over resamplings of the rows.

    With ``by_class`` the rows above 0.5 and the others are resampled apart, because a rare class
    would otherwise vary in number.
    """
    rng = np.random.default_rng(seed)
    groups = [np.arange(len(labels))]
    if by_class:
        groups = [np.flatnonzero(labels > 0.5), np.flatnonzero(labels <= 0.5)]
    values = []
    for _ in range(rounds):
        rows = np.concatenate([rng.choice(group, len(group)) for group in groups])
        values.append(score(labels[rows], scores[rows]))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
