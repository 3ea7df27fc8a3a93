"""Labels against scipy's components and growth step by step in NumPy; strips against the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from seqtile import OutputError, ShapeError
from seqtile.execution.limits import Limits
from seqtile.models.contract import Segmentation
from seqtile.segmenting.label_rows import LabelRows, runs_of
from seqtile.segmenting.labelling import LabelMap, StripLabeller, label_objects

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


def rows_in_any_order(labels: LabelMap) -> None:
    whole = labels.rows(0, labels.shape[0])
    for begin, stop in [(3, 9), (0, 1), (8, 12), (11, 12)]:
        np.testing.assert_array_equal(labels.rows(begin, stop), whole[begin:stop])
        np.testing.assert_array_equal(labels.runs(begin, stop).pixels(), whole[begin:stop])
    assert list(labels.spans()) == [(0, 5), (5, 10), (10, 12)]
    for begin, stop in [(-1, 2), (2, 2), (3, 13), (5, 4)]:
        with pytest.raises(IndexError, match=r"must lie in \[0, 12\)"):
            labels.rows(begin, stop)


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
    rows = data.draw(st.integers(1, 12))  # that are grown at a time, or reach
    limits = Limits(strip_pixels=rows * mask.shape[1])
    threads = data.draw(st.integers(1, 3))
    labels = in_strips(mask, marker, settings, cuts, threads=threads, limits=limits)
    np.testing.assert_array_equal(labels, whole)


@pytest.mark.parametrize("reach", [0, 2])
def test_a_label_map_gives_its_rows_in_any_order(reach: int) -> None:
    mask = smooth((12, 30), 1, 0)
    limits = Limits(strip_pixels=5 * 30)
    with StripLabeller(30, Segmentation(reach=reach), limits=limits) as labeller:
        labeller.add(mask, mask)
        rows_in_any_order(labeller.finish())


def test_label_files_spill_to_the_folder_and_are_removed(tmp_path: Path) -> None:
    limits = Limits(label_bytes=100)
    mask, marker = smooth((40, 40), 0, 1), smooth((40, 40), 0, 2)
    settings = Segmentation(reach=3)
    expected = label_objects(mask, marker, settings)
    labels = in_strips(mask, marker, settings, [10, 20, 30], folder=tmp_path, limits=limits)
    np.testing.assert_array_equal(labels, expected)
    assert list(tmp_path.iterdir()) == []
    # That it goes there: where there is no such folder, it cannot.
    with (
        pytest.raises(
            OutputError,
            match=r"temporary file in .*gone \(see TMPDIR\): cannot write: No such file",
        ),
        StripLabeller(40, settings, folder=tmp_path / "gone", limits=limits) as labeller,
    ):
        labeller.add(mask, marker)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(0, 99))
def test_runs_are_the_rows(height: int, width: int, step: int, seed: int) -> None:
    rows = np.random.default_rng(seed).integers(0, 3, (height, width)).astype(np.uint32)
    with LabelRows(width) as file:
        for top in range(0, height, step):
            file.append(runs_of(rows[top : top + step]))
        assert len(file) == height
        runs = file.read(0, height)
        assert (runs.labels[1:] != runs.labels[:-1])[runs.starts[1:] % width > 0].all()
        for begin in range(height):
            for stop in range(begin + 1, height + 1):
                np.testing.assert_array_equal(file.read(begin, stop).pixels(), rows[begin:stop])


def test_arrays_must_fit() -> None:
    good = np.ones((2, 3), np.float32)
    settings = Segmentation()
    for shape in ((3,), (0, 3), (3, 0), (1, 2, 3)):
        with pytest.raises(ShapeError, match=r"mask must have shape \(H, W\) with H, W >= 1"):
            label_objects(np.ones(shape, np.float32), None, settings)
    with pytest.raises(ShapeError, match="mask_rows must be float32, not float64"):
        label_objects(good.astype(np.float64), None, settings)
    with pytest.raises(ShapeError, match=r"marker_rows must have shape \(2, 3\), not \(3, 2\)"):
        label_objects(good, good.reshape(3, 2), settings)
    with pytest.raises(ShapeError, match="width must be at least 1, not 0"):
        StripLabeller(0, settings)
    with StripLabeller(4, settings) as labeller:
        with pytest.raises(ShapeError, match=r"mask_rows must have shape \(2, 4\), not \(2, 3\)"):
            labeller.add(good, None)
        with pytest.raises(ShapeError, match="at least one row"):
            labeller.finish()
    with StripLabeller(3, settings) as labeller:
        labeller.add(good, None)
        with pytest.raises(ShapeError, match="with every strip or with none"):
            labeller.add(good, good)
