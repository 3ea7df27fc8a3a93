"""Labels against scipy's components and growth step by step in NumPy; strips against the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from seqtile.cards import Segmentation
from seqtile.labelling import StripLabeller, label_objects

FOUR = ndimage.generate_binary_structure(2, 1)


def oracle(
    mask: NDArray[np.float32], marker: NDArray[np.float32] | None, settings: Segmentation
) -> NDArray[np.uint32]:
    """As the module says, the slow way."""
    inside = mask > settings.mask_threshold
    core = inside if marker is None else inside & (marker > settings.marker_threshold)
    labels = np.asarray(ndimage.label(core, FOUR)[0], np.int64)
    first = [np.flatnonzero(labels == k)[0] for k in range(1, labels.max() + 1)]
    rank = np.zeros(labels.max() + 1, np.int64)
    rank[1:][np.argsort(first)] = np.arange(1, len(rank))
    labels = rank[labels]
    none = np.iinfo(np.int64).max
    for _ in range(settings.reach):
        around = np.pad(np.where(labels > 0, labels, none), 1, constant_values=none)
        best = np.minimum.reduce(
            [around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:]]
        )
        labels = np.where(inside & (labels == 0) & (best < none), best, labels)
    out = np.zeros(mask.shape, np.uint32)
    number = 0
    for k in range(1, labels.max() + 1):
        if (labels == k).sum() >= settings.min_area:
            number += 1
            out[labels == k] = number
    return out


def in_strips(
    mask: NDArray[np.float32],
    marker: NDArray[np.float32] | None,
    settings: Segmentation,
    cuts: list[int],
    **options: object,
) -> NDArray[np.uint32]:
    with StripLabeller(mask.shape[1], settings, **options) as labeller:  # type: ignore[arg-type]
        for begin, stop in zip([0, *cuts], [*cuts, len(mask)], strict=True):
            labeller.add(mask[begin:stop], None if marker is None else marker[begin:stop])
        labels = labeller.finish()
        assert labels.shape == mask.shape
        out = labels.rows(0, len(mask))
        assert labels.count == out.max()
    return out


def smooth(shape: tuple[int, int], sigma: float, seed: int) -> NDArray[np.float32]:
    """Blobs: noise, blurred, spread over 0 to 1."""
    noise = np.random.default_rng(seed).random(shape)
    blurred = ndimage.gaussian_filter(noise, sigma) if sigma else noise
    ranks = blurred.reshape(-1).argsort().argsort().reshape(shape)
    return (ranks / max(1, ranks.max())).astype(np.float32)


@st.composite
def scenes(
    draw: st.DrawFn,
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, Segmentation]:
    shape = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    seed = draw(st.integers(0, 1000))
    mask = smooth(shape, draw(st.sampled_from([0, 0.5, 1, 2])), seed)
    marker = None
    if draw(st.booleans()):
        marker = smooth(shape, draw(st.sampled_from([0, 0.7, 1.5])), seed + 1)
    settings = Segmentation(
        mask_threshold=draw(st.sampled_from([0.1, 0.4, 0.7])),
        marker_threshold=draw(st.sampled_from([0.5, 0.8, 0.95])),
        reach=draw(st.sampled_from([0, 1, 2, 5, 100])),
        min_area=draw(st.sampled_from([0, 1, 2, 6, 30])),
    )
    return mask, marker, settings


def test_cores_grow_step_by_step_inside_the_mask() -> None:
    mask = np.array(
        [
            [0, 1, 1, 1, 1, 0, 1],
            [0, 1, 0, 0, 1, 0, 1],
            [1, 1, 0, 1, 1, 1, 0],
        ],
        np.float32,
    )
    marker = np.zeros_like(mask)
    marker[0, 4] = marker[2, 0] = 1
    marker[1, 2] = 1  # outside the mask: no core
    expected = [
        # Either core is 3 steps from (0, 1): the smaller number has it.
        [[0, 1, 1, 1, 1, 0, 0], [0, 2, 0, 0, 1, 0, 0], [2, 2, 0, 1, 1, 1, 0]],
        [[0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 0, 0], [2, 2, 0, 0, 0, 0, 0]],
    ]
    for reach, labels in zip((9, 1), expected, strict=True):
        found = label_objects(mask, marker, Segmentation(marker="core", reach=reach))
        assert (found.dtype, found.tolist()) == (np.uint32, labels)


def test_small_objects_are_dropped_after_growth() -> None:
    mask = np.array([[1, 1, 0, 1, 0, 1, 1, 1]], np.float32)
    marker = np.array([[1, 0, 0, 1, 0, 0, 1, 0]], np.float32)
    settings = Segmentation(reach=1, min_area=2)
    assert label_objects(mask, marker, settings).tolist() == [[1, 1, 0, 0, 0, 2, 2, 2]]
    assert label_objects(mask, None, settings).tolist() == [[1, 1, 0, 0, 0, 2, 2, 2]]


def test_nan_is_background() -> None:
    mask = np.array([[1, np.nan, 1, 1]], np.float32)
    marker = np.array([[1, 1, np.nan, 1]], np.float32)
    assert label_objects(mask, None, Segmentation()).tolist() == [[1, 0, 2, 2]]
    assert label_objects(mask, marker, Segmentation()).tolist() == [[1, 0, 0, 2]]


@given(scenes())
def test_labels_are_the_oracle_s(
    scene: tuple[NDArray[np.float32], NDArray[np.float32] | None, Segmentation],
) -> None:
    np.testing.assert_array_equal(label_objects(*scene), oracle(*scene))


@given(scenes(), st.data())
def test_any_strips_give_the_labels_of_the_whole(
    scene: tuple[NDArray[np.float32], NDArray[np.float32] | None, Segmentation], data: st.DataObject
) -> None:
    mask, marker, settings = scene
    cuts = sorted(data.draw(st.lists(st.integers(0, len(mask)), max_size=8)))
    whole = label_objects(mask, marker, settings)
    rows = data.draw(st.integers(1, 12))
    with pytest.MonkeyPatch.context() as patch:  # pixels grown at a time: these rows, or reach
        patch.setattr("seqtile.labelling._STRIP_PIXELS", rows * mask.shape[1])
        threads = data.draw(st.integers(1, 3))
        labels = in_strips(mask, marker, settings, cuts, threads=threads)
    np.testing.assert_array_equal(labels, whole)
