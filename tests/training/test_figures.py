"""Histories and pictures: files that hold what they should."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the pictures need matplotlib")

from matplotlib import image

from training.lab.pictures import compare_histories, confusion_matrix, plot_history, write_history

HISTORY = [
    {"epoch": 1, "step": 10, "train_loss": 0.71234567, "valid_loss": 0.7, "roc_auc": 0.5},
    {"epoch": 2, "step": 20, "train_loss": 0.5, "valid_loss": 1 / 3, "roc_auc": 0.75},
]


def test_history_as_csv(tmp_path: Path) -> None:
    path = tmp_path / "new" / "history.csv"
    write_history(path, HISTORY)
    with path.open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["epoch", "step", "train_loss", "valid_loss", "roc_auc"],
            ["1", "10", "0.712346", "0.7", "0.5"],
            ["2", "20", "0.5", "0.333333", "0.75"],
        ]


def test_history_as_picture(tmp_path: Path) -> None:
    pictures = []
    for name, history in (("a", HISTORY), ("b", HISTORY), ("c", HISTORY[:1])):
        plot_history(tmp_path / f"{name}.png", history, "a toy")
        pictures.append(image.imread(tmp_path / f"{name}.png"))
    assert pictures[0].shape == (384, 1080, 4)  # 9 x 3.2 inches of 120 dots
    assert np.array_equal(pictures[0], pictures[1])
    halves = pictures[0][:, :540], pictures[0][:, 540:]
    for half, count in zip(halves, (2, 1), strict=True):  # two losses, one figure
        pixels = (half[..., :3] * 255).round().astype(int)
        for i, colour in enumerate([(31, 119, 180), (255, 127, 14), (44, 160, 44)]):
            columns = np.flatnonzero((pixels == colour).all(2).any(0))
            assert (np.ptp(columns) > 350) if i < count else len(columns) == 0  # from side to side
    assert not np.array_equal(pictures[0], pictures[2])


def test_compared_histories(tmp_path: Path) -> None:
    path = tmp_path / "both.png"
    compare_histories(path, {"one": HISTORY, "two": HISTORY[:1]}, ["train_loss", "roc_auc"], "toys")
    assert image.imread(path).shape == (384, 1080, 4)


def test_confusion_matrix_counts(tmp_path: Path) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 3, 200), rng.integers(0, 3, 200)
    found = confusion_matrix(tmp_path / "c.png", labels, predicted, ["a", "b", "c"], "toy")
    np.testing.assert_array_equal(found, sklearn.confusion_matrix(labels, predicted))
    pixels = image.imread(tmp_path / "c.png")
    assert pixels.shape[0] > 300
    assert len(np.unique(pixels.reshape(-1, 4), axis=0)) > 10
