"""Matching of objects, Dice and IoU; what networks of nuclei learn, and their crops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("cv2", reason="crops need OpenCV")
pytest.importorskip("scipy", reason="matching needs SciPy")

from training.tasks.nuclei import crops as nuclei_crops
from training.tasks.nuclei import instances


def square(labels: np.ndarray, number: int, top: int, left: int, size: int) -> None:
    labels[top : top + size, left : left + size] = number


def test_counts_by_hand() -> None:
    truth, found = np.zeros((2, 30, 30), np.uint16)
    square(truth, 3, 0, 0, 4)  # found exactly
    square(found, 9, 0, 0, 4)
    square(truth, 5, 10, 10, 6)  # found, but for a row of six: IoU 30 / 36
    square(found, 2, 10, 10, 6)
    found[10, 10:16] = 0
    square(truth, 6, 20, 20, 4)  # missed
    found[0, 29] = 1  # of nothing
    counts = instances.count(truth, found, (0.5, 0.9))
    np.testing.assert_allclose(counts, [[2, 3, 3, 1 + 30 / 36], [1, 3, 3, 1]])
    np.testing.assert_allclose(instances.average_precision(counts), [2 / 4, 1 / 5])
    np.testing.assert_allclose(instances.panoptic_quality(counts)[0], (1 + 30 / 36) / 3)
    # Pooled over images: counts are added before dividing.
    empty = instances.count(found * 0, found, (0.5, 0.9))
    assert instances.average_precision(counts + empty)[0] == pytest.approx(2 / 7)


def test_empty_images() -> None:
    empty = np.zeros((5, 5), np.uint16)
    one = empty.copy()
    one[2, 2] = 4
    for truth, found, expected in ((empty, empty, 1), (one, empty, 0), (empty, one, 0)):
        counts = instances.count(truth, found, (0.5,))
        assert instances.average_precision(counts).tolist() == [expected]
        assert instances.panoptic_quality(counts).tolist() == [expected]
        areas = instances.pixels(truth > 0, found > 0)
        assert instances.dice(areas) == instances.iou(areas) == expected
    with pytest.raises(ValueError, match=r"\(5, 5\), prediction \(4, 5\)"):
        instances.count(empty, empty[1:], (0.5,))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.2, 0.4, 0.5, 0.75]))
def test_matching_against_all_assignments(seed: int, threshold: float) -> None:
    """As many pairs as any one-to-one assignment gives, tried one by one."""
    rng = np.random.default_rng(seed)
    truth, found = rng.integers(0, 4, (2, 5, 5))
    iou = instances.overlaps(truth, found)
    for i, a in enumerate(np.unique(truth[truth > 0])):
        for j, b in enumerate(np.unique(found[found > 0])):
            both = ((truth == a) & (found == b)).sum()
            assert iou[i, j] == pytest.approx(both / ((truth == a) | (found == b)).sum())
    rows, columns = iou.shape
    size = max(rows, columns)
    square = np.zeros((size, size))
    square[:rows, :columns] = iou
    best = (0, 0.0)
    for order in itertools.permutations(range(size)):
        values = square[np.arange(size), order]
        values = values[values >= threshold]
        best = max(best, (len(values), round(values.sum(), 9)))
    matches = instances.matched(iou, threshold)
    assert (len(matches), round(matches.sum(), 9)) == pytest.approx(best)


def test_dice_and_iou_by_hand() -> None:
    a = np.array([[1, 1, 1, 0]], bool)
    b = np.array([[0, 1, 1, 1]], bool)
    areas = instances.pixels(a, b)
    assert areas.tolist() == [2, 3, 3]
    assert instances.dice(areas) == pytest.approx(2 / 3)
    assert instances.iou(areas) == pytest.approx(1 / 2)


def touching() -> np.ndarray:
    """Two large nuclei side by side, one of a single pixel, one cut by the edge."""
    labels = np.zeros((48, 64), np.uint16)
    square(labels, 7, 4, 4, 20)
    square(labels, 2, 4, 24, 20)
    labels[40, 40] = 5
    square(labels, 9, 30, 0, 14)
    return labels


def test_cores_are_apart_and_none_is_lost() -> None:
    import cv2

    labels = touching()
    cores = nuclei_crops.cores(labels)
    assert not (cores & (labels == 0)).any()
    assert set(np.unique(labels[cores])) == {2, 5, 7, 9}
    assert cv2.connectedComponents(cores.astype(np.uint8), connectivity=4)[0] - 1 == 4
    # The rim is 4 pixels wide: a square of 20 keeps 12.
    assert (cores & (labels == 7)).sum() == 144
    # The nucleus at the edge goes on beyond it: its core reaches the edge.
    assert cores[37, 0]
    assert not cores[30, 0]


def test_the_gap_between_two() -> None:
    labels = touching()
    gap = nuclei_crops.between(labels)
    assert gap[10, 22:26].all()
    assert not gap[10, :21].any()
    assert not gap[10, 27:].any()
    assert not gap[38:].any()  # single nuclei have none


def test_crops_keep_image_and_targets_together() -> None:
    rng = np.random.default_rng(5)
    labels = np.zeros((90, 120), np.uint16)
    square(labels, 1, 20, 30, 30)
    square(labels, 2, 55, 70, 25)
    image = np.where(labels > 0, 200, 20).astype(np.uint8)
    example = nuclei_crops.Example.of(image, labels)
    crops = nuclei_crops.Crops([example], [1.0], 64)
    images, targets = crops(rng, 40)
    assert images.shape == (40, 64, 64)
    assert targets.shape == (40, 64, 64, 3)
    assert set(np.unique(targets)) == {0, 255}
    agree = []
    for crop, target in zip(images.astype(float), targets, strict=True):
        if 0.05 < (target[..., 0] > 0).mean() < 0.95:
            bright = crop > (crop.min() + crop.max()) / 2
            agree.append((bright == (target[..., 0] > 0)).mean())
    assert len(agree) > 20
    assert np.mean(agree) > 0.95
    assert not np.array_equal(images[0], images[1])
    again = crops(np.random.default_rng(5), 40)
    np.testing.assert_array_equal(again[0], images)


def test_which_images_are_drawn() -> None:
    blank = [
        nuclei_crops.Example.of(np.full((s, s), 10, np.uint8), np.zeros((s, s), np.uint16))
        for s in (50, 100, 100)
    ]
    crops = nuclei_crops.Crops(blank, [1.0, 1.0, 0.5], 16)
    np.testing.assert_allclose(crops.chances, [0.25, 0.5, 0.25])


def test_half_of_the_crops_are_the_images_own_pixels() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 50), np.uint8)
    whole, turned = 0, 0
    for _ in range(100):
        matrix = nuclei_crops._view(image.shape, 24, rng)
        near = np.abs(matrix - np.round(matrix)).max() < 1e-9
        whole += near
        turned += bool(near and abs(matrix[0, 0]) < 0.5)
        scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
        assert 1 / 1.4 <= scale <= 1 / 0.7
        if near:  # all of the crop lies in the image
            corners = matrix @ np.array([[0, 23, 0, 23], [0, 0, 23, 23], [1, 1, 1, 1]])
            assert corners.min() > -0.01
            assert (corners.max(1) < [49.01, 39.01]).all()
    assert 30 < whole < 70
    assert 5 < turned < whole
