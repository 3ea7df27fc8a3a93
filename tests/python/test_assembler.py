"""Answers for tiles, however many come at a time, give what the whole image gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtile import TilePlan, tile
from seqtile.errors import ShapeError
from seqtile.models.contract import Segmentation
from seqtile.segmenting.assembler import Assembler
from seqtile.segmenting.labelling import label_objects
from tests.python.test_segmentation import blobs

SETTINGS = Segmentation(mask="mask", marker="core", mask_threshold=0.4, reach=3)


def answers(height: int, width: int, seed: int = 0) -> dict[str, np.ndarray]:
    mask = blobs(height, width, seed).astype(np.float32) / 255
    return {"mask": mask, "core": mask * mask, "other": 1 - mask}


@settings(deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    step=st.integers(1, 5),
    keep=st.booleans(),
    threads=st.integers(1, 3),
)
def test_the_labels_are_those_of_the_whole(
    height: int, width: int, step: int, keep: bool, threads: int
) -> None:
    whole = answers(height, width)
    plan = TilePlan((height, width), 12, overlap=4)
    tiles = {name: tile(values, 12, overlap=4).array for name, values in whole.items()}
    down, across = plan.grid
    with Assembler(plan, SETTINGS, keep=keep, threads=threads) as assembler:
        for first in range(0, down * across, across):
            for begin in range(first, first + across, step):
                assert not assembler.is_whole
                stop = min(begin + step, first + across)
                assembler.add({name: values[begin:stop] for name, values in tiles.items()})
        assert assembler.is_whole
        kept = assembler.probabilities
        labels = assembler.finish()
        found = labels.rows(0, height)
    np.testing.assert_array_equal(found, label_objects(whole["mask"], whole["core"], SETTINGS))
    assert set(kept) == (set(whole) if keep else set())
    for name, values in kept.items():
        np.testing.assert_array_equal(values, whole[name])


def test_the_labels_outlive_the_assembler_until_they_are_closed() -> None:
    whole = answers(8, 8)
    assembler = Assembler(TilePlan((8, 8), 8), SETTINGS)
    assembler.add({name: values[None] for name, values in whole.items()})
    labels = assembler.finish()
    del assembler
    np.testing.assert_array_equal(
        labels.rows(0, 8), label_objects(whole["mask"], whole["core"], SETTINGS)
    )
    labels.close()
    with pytest.raises(ValueError, match="closed"):
        labels.rows(0, 8)


def test_answers_of_another_shape() -> None:
    whole = answers(8, 8)
    with (
        Assembler(TilePlan((8, 8), 8), SETTINGS) as assembler,
        pytest.raises(ShapeError, match="tiles must have"),
    ):
        assembler.add({name: values[None, 1:] for name, values in whole.items()})
