"""The figures of a model of JUND binding, beside those of something trivial."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqtile.models.card import Baseline, Metric

from ...lab.baselines import KmerLogistic, consensus_score
from ...lab.metrics import best_threshold, bootstrap, pr_auc, roc_auc, weighted_accuracy
from .data import Segments

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Cuts:
    """Thresholds on the probability, chosen on validation."""

    accuracy: float  # the largest weighted accuracy
    peak: float  # reached by 1 % of the unbound segments


def figures(part: Segments, scores: Floats, split: str, cuts: Cuts) -> list[Metric]:
    """Those of probabilities on a split, with bootstrap intervals."""
    labels, weights = part.bound, part.weight

    def accuracy(rows_labels: Floats, rows_scores: Floats) -> float:
        # Of the classes apart, as the bootstrap draws them: the book's weights do just that.
        positive = rows_labels > 0.5
        right = (rows_scores >= cuts.accuracy) == positive
        return float(0.5 * right[positive].mean() + 0.5 * right[~positive].mean())

    def recall(rows_labels: Floats, rows_scores: Floats) -> float:
        return float((rows_scores[rows_labels > 0.5] >= cuts.peak).mean())

    weighted = weighted_accuracy(labels, scores, weights, cuts.accuracy)
    rows: list[tuple[str, Callable[[Floats, Floats], float], float, str]] = [
        ("roc_auc", roc_auc, roc_auc(labels, scores), ""),
        ("pr_auc", pr_auc, pr_auc(labels, scores), f"chance {labels.mean():.4f}"),
        ("weighted_accuracy", accuracy, weighted, f"at {cuts.accuracy:.4f}, chosen on validation"),
        ("recall_at_peak", recall, recall(labels, scores), f"at the threshold {cuts.peak:.4f}"),
    ]
    return [
        Metric(
            name,
            split,
            len(part),
            round(value, 4),
            _rounded(bootstrap(score, labels, scores)),
            note,
        )
        for name, score, value, note in rows
    ]


def _rounded(interval: tuple[float, float]) -> tuple[float, float]:
    return round(interval[0], 4), round(interval[1], 4)


def baselines(train: Segments, parts: dict[str, Segments]) -> list[Baseline]:
    """ROC AUC and PR AUC of the AP-1 consensus and of k-mer logistic regression."""
    model = KmerLogistic(k=7).fit(train.letters, train.bound)
    rows = []
    for split, part in parts.items():
        for method, scores in (
            ("best match to TGASTCA", consensus_score(part.letters, "TGASTCA")),
            ("logistic regression on 7-mers", model.predict(part.letters)),
        ):
            for name, score in (("roc_auc", roc_auc), ("pr_auc", pr_auc)):
                interval = _rounded(bootstrap(score, part.bound, scores, rounds=300))
                value = round(score(part.bound, scores), 4)
                rows.append(Baseline(name, split, len(part), value, interval, method=method))
    return rows


def choose_cuts(valid: Segments, scores: Floats) -> Cuts:
    """Both thresholds, from validation."""
    return Cuts(
        accuracy=round(best_threshold(valid.bound, scores, valid.weight), 4),
        peak=round(float(np.quantile(scores[valid.bound < 0.5], 0.99)), 4),
    )


def golden_inputs(valid: Segments, *, accessibility: bool = False) -> dict[str, NDArray[Any]]:
    """Real segments: 12 bound and 12 not, some in lower case, some with unknown letters."""
    rows = np.concatenate(
        [np.flatnonzero(valid.bound > 0.5)[:12], np.flatnonzero(valid.bound < 0.5)[:12]]
    )
    letters = valid.letters[rows].copy()
    letters[::4] |= 0x20
    letters[1::6, 40:45] = ord("N")
    inputs: dict[str, NDArray[Any]] = {"sequence": letters}
    if accessibility:
        inputs["accessibility"] = valid.accessibility[rows, None]
    return inputs


def confusion_note(counts: NDArray[np.int64]) -> str:
    """Counts of true class by predicted class, in words."""
    (right, wrong), (missed, found) = counts.tolist()
    return (
        f"of {right + wrong:,} unbound {right:,} called unbound, {wrong:,} bound; "
        f"of {missed + found:,} bound {found:,} called bound, {missed:,} unbound"
    )


def strand_note(row: dict[str, float]) -> str:
    """What the card says beside a figure of one strand."""
    return f"one strand; larger of both {row['max']:.4f}"
