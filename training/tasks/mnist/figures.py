"""What the digits' network is worth: figures, baselines, pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from seqtile.models.card import Baseline, Metric

from ...lab import report
from ...lab.pictures import canvas, confusion_matrix
from . import data as mnist
from .data import Digits

Probability = NDArray[np.floating]
Parts = Mapping[str, Digits]
COLUMNS = 10  # of the picture of misread digits
SHOWN = 60  # digits at most in it
DOCUMENT = "the document's network"


def accuracy(labels: NDArray[np.integer], answers: NDArray[np.integer], split: str) -> Metric:
    """Share of right answers, its interval by resampling rows, and the number of errors."""
    return report.metric(
        "accuracy",
        split,
        lambda truth, given: float((truth == given).mean()),
        labels,
        answers,
        note=f"{(labels != answers).sum()} errors",
        by_class=False,
    )


def metrics(parts: Parts, scores: Mapping[str, Probability]) -> list[Metric]:
    """Accuracy of each part, by probabilities of shape (n, 10)."""
    return [accuracy(part.labels, scores[name].argmax(1), name) for name, part in parts.items()]


def baselines(train: Digits, parts: Parts) -> list[Baseline]:
    """The commonest digit of train; multinomial logistic regression on grey levels."""
    common = int(np.argmax(train.per_class()))
    model = LogisticRegression(C=0.02, max_iter=300, tol=1e-3)
    model.fit(_pixels(train), train.labels)
    rows = []
    for name, part in parts.items():
        said = np.asarray(model.predict(_pixels(part)))
        rows += report.as_baselines(
            [accuracy(part.labels, said, name)], "logistic regression on pixels"
        )
        same = np.full(len(part), common)
        rows += report.as_baselines(
            [accuracy(part.labels, same, name)], f"always {common}, the commonest of train"
        )
    return rows


def _pixels(digits: Digits) -> NDArray[np.float32]:
    return digits.images.reshape(len(digits), -1).astype(np.float32) / np.float32(255)


def draw_confusion(path: Path, part: Digits, probability: Probability, title: str) -> None:
    """Counts of truth against answer, as PNG."""
    confusion_matrix(path, part.labels, probability.argmax(1), mnist.LABELS, title)


def draw_misread(path: Path, part: Digits, probability: Probability, title: str) -> None:
    """The misread digits, surest answer first, with truth and answer, as PNG."""
    said = probability.argmax(1)
    wrong = np.flatnonzero(said != part.labels)
    wrong = wrong[np.argsort(-probability[wrong, said[wrong]], kind="stable")][:SHOWN]
    lines = max(1, math.ceil(len(wrong) / COLUMNS))
    figure, paper = canvas(COLUMNS * 0.95, 0.7 + 1.3 * lines)
    for axis in figure.subplots(lines, COLUMNS, squeeze=False).flat:
        axis.set_axis_off()
    for row, axis in zip(wrong, figure.axes, strict=False):
        axis.imshow(part.images[row], cmap="gray", vmin=0, vmax=255)
        axis.set_title(
            f"{part.labels[row]} read as {said[row]}\np {probability[row, said[row]]:.2f}",
            fontsize=8,
        )
    figure.suptitle(title, fontsize=10)
    paper.print_figure(path, format="png")
