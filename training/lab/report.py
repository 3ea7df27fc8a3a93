"""Figures of a model with bootstrap intervals, and the same of something trivial."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from seqtile.models.card import Baseline, Metric

from . import metrics as figures
from .metrics import Score, bootstrap

Floats = NDArray[np.floating]


def binary(
    labels: Floats,
    scores: Floats,
    split: str,
    *,
    threshold: float | None = None,
    weights: Floats | None = None,
    rounds: int = 1000,
) -> list[Metric]:
    """Figures of a classifier of two classes.

    Parameters
    ----------
    labels, scores
        Shape (n,): 1 or 0, and larger where 1 is likelier.
    split
        Name of the rows.
    threshold
        From which score on a row counts as positive, chosen elsewhere; None leaves out the figures
        that need one.
    weights
        Shape (n,): of rows, equal within a class. With them accuracy is ``weighted_accuracy``: the
        weight of right decisions over the whole.
    rounds
        Of the bootstrap, in which each class is resampled apart.

    Returns
    -------
    ``roc_auc``, ``pr_auc``; with a threshold ``accuracy`` or ``weighted_accuracy``, ``precision``,
    ``recall``, ``f1``.
    """
    chance = f"chance {labels.mean():.4f}"
    chosen: list[tuple[str, Score, str]] = [
        ("roc_auc", figures.roc_auc, ""),
        ("pr_auc", figures.pr_auc, chance),
    ]
    if threshold is not None:
        note = f"at {threshold:.4f}"
        chosen += [
            (_accuracy_name(weights), _accuracy(labels, threshold, weights), note),
            ("precision", lambda y, s: figures.precision(y, s, threshold), note),
            ("recall", lambda y, s: figures.recall(y, s, threshold), note),
            ("f1", lambda y, s: figures.f1(y, s, threshold), note),
        ]
    return [
        metric(name, split, score, labels, scores, rounds, note) for name, score, note in chosen
    ]


def _accuracy_name(weights: Floats | None) -> str:
    return "accuracy" if weights is None else "weighted_accuracy"


def _accuracy(labels: Floats, threshold: float, weights: Floats | None) -> Score:
    # The weight of a class, not of a row: the bootstrap draws rows without their weights.
    positive = labels > 0.5
    of = np.ones(len(labels)) if weights is None else weights
    one, zero = float(of[positive].mean()), float(of[~positive].mean())

    def score(drawn: Floats, scores: Floats) -> float:
        return figures.weighted_accuracy(drawn, scores, np.where(drawn > 0.5, one, zero), threshold)

    return score


def regression(
    targets: Floats, predictions: Floats, split: str, *, rounds: int = 1000
) -> list[Metric]:
    """``pearson``, ``spearman`` and ``mse`` of predictions, shape (n,); rows are resampled."""
    chosen: list[tuple[str, Score]] = [
        ("pearson", figures.pearson),
        ("spearman", figures.spearman),
        ("mse", figures.mse),
    ]
    return [
        metric(name, split, score, targets, predictions, rounds, "", by_class=False)
        for name, score in chosen
    ]


def metric(
    name: str,
    split: str,
    score: Score,
    truth: NDArray[Any],
    given: NDArray[Any],
    rounds: int = 1000,
    note: str = "",
    *,
    by_class: bool = True,
) -> Metric:
    """A figure of rows, ``score(truth, given)``, and the interval of resampling these."""
    low, high = bootstrap(score, truth, given, rounds=rounds, by_class=by_class)
    value = round(score(truth, given), 4)
    # Rounded outward to the value, should a small sample's percentiles miss it.
    interval = (min(round(low, 4), value), max(round(high, 4), value))
    return Metric(name, split, len(truth), value, interval, note)


def as_baselines(rows: Sequence[Metric], method: str) -> list[Baseline]:
    """The figures of something trivial."""
    return [Baseline(**msgspec.structs.asdict(row), method=method) for row in rows]


def show(rows: Sequence[Metric], base: Sequence[Baseline] = ()) -> None:
    """Print the figures, a line each."""
    for m in [*rows, *base]:
        interval = f"[{m.ci95[0]:.4f}, {m.ci95[1]:.4f}]" if m.ci95 else ""
        note = f"baseline: {m.method}" if isinstance(m, Baseline) else m.note
        print(f"{m.split:<17}{m.name:<20}{m.value:.4f} {interval}  n={m.n:,}  {note}".rstrip())


def write(path: Path, rows: Sequence[Metric], base: Sequence[Baseline], **further: Any) -> None:
    """The figures as ``{"metrics": [...], ...}``, JSON."""
    content = {"metrics": [msgspec.to_builtins(m) for m in [*rows, *base]], **further}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
