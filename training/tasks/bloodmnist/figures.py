"""What the networks of blood cells are worth: figures, baselines, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from seqtile.models.card import Baseline, Metric
from seqtile.models.zoo import read_card

from ...lab import multiclass, report
from ...lab.loop import Fit
from ...lab.pictures import canvas, confusion_matrix, plot_history, write_history
from .data import CLASSES, Cells

SHRINKAGE = 1e-2  # of the logistic regression: the best of 1e-4 to 1e-1 on validation
# Class names that fit under a square.
BROKEN = (
    "basophil",
    "eosinophil",
    "erythro-\nblast",
    "immature\ngranul.",
    "lympho-\ncyte",
    "monocyte",
    "neutrophil",
    "platelet",
)


@dataclass(frozen=True)
class Answers:
    """What a network says of the images of a split: probabilities float32, shape (n, 8)."""

    split: str
    cells: Cells
    probability: NDArray[np.float32]


def figures(train: Cells, answers: Sequence[Answers]) -> tuple[list[Metric], list[Baseline]]:
    """Figures of the network, and of the largest class and a regression on the pixels."""
    metrics: list[Metric] = []
    base: list[Baseline] = []
    counts = np.bincount(train.labels, minlength=len(CLASSES))
    regression = PixelLogistic().fit(train)
    for each in answers:
        split, cells, probability = each.split, each.cells, each.probability
        of = multiclass.recalls(cells.labels, probability)
        note = "recall: " + ", ".join(f"{c} {r:.3f}" for c, r in zip(CLASSES, of, strict=True))
        metrics += multiclass.figures(cells.labels, probability, split, note=note)
        constant = np.tile(counts / counts.sum(), (len(cells), 1))
        base.append(
            Baseline(
                "accuracy",
                split,
                len(cells),
                round(multiclass.accuracy(cells.labels, constant), 4),
                method=f"always {CLASSES[counts.argmax()]}, the largest class",
            )
        )
        base += report.as_baselines(
            multiclass.figures(cells.labels, regression.predict(cells), split),
            "logistic regression on the pixels",
        )
    return metrics, base


def pooled(answers: Sequence[Answers], exported: Path) -> list[Baseline]:
    """The figures of the document's pooled network, from its card, where it is of the same rows."""
    folder = exported / "bloodmnist-cnn-pool"
    if not folder.exists():
        print(f"no {folder}: the document's network is not among the baselines")
        return []
    splits = {(each.split, len(each.cells)) for each in answers}
    found = [m for m in read_card(folder).metrics if (m.split, m.n) in splits]
    return report.as_baselines(found, "the document's network, bloodmnist-cnn-pool")


class PixelLogistic:
    """Multinomial logistic regression on the standardised pixels."""

    def __init__(self) -> None:
        self._model = make_pipeline(
            StandardScaler(), LogisticRegression(C=SHRINKAGE, max_iter=500, tol=3e-3)
        )

    def fit(self, cells: Cells) -> PixelLogistic:
        """Fit on images and their classes."""
        self._model.fit(self._pixels(cells), cells.labels)
        return self

    def predict(self, cells: Cells) -> NDArray[np.float64]:
        """Probabilities, shape (n, 8)."""
        return np.asarray(self._model.predict_proba(self._pixels(cells)))

    @staticmethod
    def _pixels(cells: Cells) -> NDArray[np.float32]:
        return cells.images.reshape(len(cells), -1).astype(np.float32)


def pictures(result: Fit, name: str, folder: Path, answers: Answers) -> list[Path]:
    """Write history and pictures into the run's folder; the files to ship."""
    files = [folder / f for f in ("history.csv", "training.png", "confusion.png", "misread.png")]
    write_history(files[0], result.history)
    plot_history(files[1], result.history, name)
    split, cells, probability = answers.split, answers.cells, answers.probability
    said = probability.argmax(1)
    confusion_matrix(files[2], cells.labels, said, BROKEN, f"{name}, {split}")
    misread(files[3], cells, probability, f"{name}, {split}")
    return files


def misread(path: Path, cells: Cells, probability: NDArray[Any], title: str) -> None:
    """The misread images of which the network is surest, with truth and answer, as PNG."""
    said = probability.argmax(1)
    wrong = np.flatnonzero(said != cells.labels)
    wrong = wrong[np.argsort(-probability[wrong].max(1), kind="stable")][:32]
    figure, paper = canvas(9.6, 6.4)
    axes = list(figure.subplots(4, 8).flat)
    for axis in axes:
        axis.set_axis_off()
    for axis, row in zip(axes, wrong, strict=False):
        axis.imshow(cells.images[row])
        truth, answer = CLASSES[cells.labels[row]], CLASSES[said[row]]
        axis.set_title(
            f"{_short(truth)}\n→ {_short(answer)} {probability[row].max():.2f}", fontsize=7
        )
    count = int((said != cells.labels).sum())
    figure.suptitle(
        f"{title}: {count} of {len(cells)} misread, the {len(wrong)} it is surest of", fontsize=10
    )
    paper.print_figure(path, format="png")


def _short(name: str) -> str:
    return name.replace("immature granulocyte", "immature gran.")
