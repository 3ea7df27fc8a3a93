"""The shipped classifier on photographs, as `seqtile predict --crop 200 --resize` takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import seqtile
from seqtile import Predictor, example_path


@pytest.fixture(scope="module")
def cells() -> Predictor:
    return seqtile.load("bloodmnist-best", device="cpu")


def classes(cells: Predictor, paths: list[Path]) -> list[str]:
    names = cells.card.outputs[0].labels
    rows = cells.predict_images(paths, crop=200, resize=True)
    return [names[int(row.outputs["probability"].argmax())] for row in rows]


def test_the_example_is_a_lymphocyte(cells: Predictor) -> None:
    assert classes(cells, [example_path("blood_cell")]) == ["lymphocyte"]


def test_photographs_of_test_are_told_apart(cells: Predictor, data_root: Path) -> None:
    """80 originals, named by their class, resized by OpenCV and not as in training."""
    paths = sorted((data_root / "pbc_bloodmnist28" / "original_size_samples").glob("*.jpg"))
    truth = [path.name.partition("__")[0] for path in paths]
    truth = ["immature granulocyte" if name == "ig" else name for name in truth]
    right = np.mean([a == b for a, b in zip(truth, classes(cells, paths), strict=True)])
    assert len(paths) == 80
    assert right >= 0.95
