"""Overlays read back: what is drawn, where, and that strips do not show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from seqtile import ShapeError
from seqtile.segmenting.overlay import Overlay

YELLOW, CYAN, GREEN = (255, 225, 0), (0, 240, 255), (70, 255, 50)


def drawn(
    path: Path, image: NDArray[Any], labels: NDArray[np.uint32], step: int = 10**6, **options: Any
) -> NDArray[np.uint8]:
    """The PNG as RGB."""
    overlay = Overlay(labels.shape, **options)
    for top in range(0, len(labels), step):
        rows = image[top : top + step].copy()
        overlay.add(rows, labels[top : top + step])
        rows[:] = 0  # the caller's own again
    with path.open("wb") as file:
        overlay.write(file)
    read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert read is not None
    assert read.dtype == np.uint8
    return np.ascontiguousarray(read[..., ::-1])


def coloured(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (image != image[..., :1]).any(axis=-1)


def test_outlines_are_the_object_s_own_border(tmp_path: Path) -> None:
    labels = np.zeros((512, 20), np.uint32)
    labels[3:7, 2:8] = 1  # 4 x 6
    labels[7:10, 2:8] = 2  # touches it
    labels[20, 5] = 3
    labels[500:, :] = 4  # at the border of the image there is no outline
    image = np.full(labels.shape, 50, np.uint8)
    out = drawn(tmp_path / "a.png", image, labels)
    assert out.shape == (512, 20, 3)
    expected = np.full((512, 20, 3), 50, np.uint8)
    expected[3:7, 2:8] = CYAN
    expected[4:6, 3:7] = 50
    expected[7:10, 2:8] = GREEN
    expected[8, 3:7] = 50
    expected[20, 5] = YELLOW
    expected[500] = CYAN
    np.testing.assert_array_equal(out, expected)


def test_small_images_are_shown_twice_as_large(tmp_path: Path) -> None:
    labels = np.zeros((4, 5), np.uint32)
    labels[1:3, 1:4] = 1
    image = np.arange(20, dtype=np.uint8).reshape(4, 5)
    out = drawn(tmp_path / "a.png", image, labels)
    expected = np.repeat(image.repeat(2, axis=0).repeat(2, axis=1)[..., None], 3, axis=2)
    expected[2:6, 2:8] = CYAN
    expected[3:5, 3:7, :] = image.repeat(2, axis=0).repeat(2, axis=1)[3:5, 3:7, None]
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("step", [1, 2, 5, 7, 300])
def test_large_images_are_reduced_to_means(tmp_path: Path, step: int, channels: int) -> None:
    rng = np.random.default_rng(0)
    shape = (304, 401)
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    image = image if channels == 3 else image[..., 0]
    labels = np.zeros(shape, np.uint32)
    labels[31:91, 61:121] = 1
    out = drawn(tmp_path / "a.png", image, labels, step, longest=200, shortest=100)
    assert out.shape == (102, 134, 3)  # by 3: the longer side at most 200
    wide = np.pad(image.reshape(*shape, -1), ((0, 2), (0, 1), (0, 0)), mode="edge")
    means = wide.reshape(102, 3, 134, 3, channels).mean(axis=(1, 3))
    square = np.zeros((102, 134), bool)
    square[10:30, 20:40] = True
    inner = np.zeros_like(square)
    inner[11:29, 21:39] = True
    np.testing.assert_array_equal(out[square & ~inner], [CYAN] * (20 * 20 - 18 * 18))
    plain = ~square | inner
    assert np.abs(out[plain] - np.broadcast_to(means, out.shape)[plain]).max() <= 1


def test_grey_levels_become_black_and_white(tmp_path: Path) -> None:
    labels = np.zeros((1, 4), np.uint32)
    image = np.array([[100, 200, 304, 1000]], np.uint16)
    out = drawn(tmp_path / "a.png", image, labels, levels=(200, 400))
    assert out[0, ::2].tolist() == [[0] * 3, [0] * 3, [133] * 3, [255] * 3]
    out = drawn(tmp_path / "a.png", (image // 4).astype(np.uint8), labels, levels=(50, 100))
    assert out[0, ::2, 0].tolist() == [0, 0, 133, 255]
    # One level for all: black up to it, white above.
    out = drawn(tmp_path / "a.png", image, labels, levels=(200, 200))
    assert out[0, ::2, 0].tolist() == [0, 0, 255, 255]
    # The whole range of 16 bits.
    assert drawn(tmp_path / "a.png", image * 60, labels)[0, ::2, 0].tolist() == [23, 47, 71, 233]


def test_colours_of_8_bits_are_shown_as_they_are(tmp_path: Path) -> None:
    labels = np.zeros((1, 2), np.uint32)
    image = np.array([[[1, 2, 3], [200, 100, 0]]], np.uint8)
    out = drawn(tmp_path / "a.png", image, labels, levels=(50, 60))
    assert out[0, ::2].tolist() == image[0].tolist()


def test_rows_must_fit() -> None:
    labels, image = np.zeros((2, 3), np.uint32), np.zeros((2, 3), np.uint8)
    with pytest.raises(ShapeError, match=r"3 columns and at most 2 rows, not the shape \(2, 4\)"):
        Overlay((2, 3)).add(np.zeros((2, 4), np.uint8), np.zeros((2, 4), np.uint32))
    overlay = Overlay((3, 3))
    overlay.add(image, labels)
    with pytest.raises(ShapeError, match="at most 1 rows"):
        overlay.add(image, labels)
    with pytest.raises(ShapeError, match=r"image_rows must have shape \(2, 3\) or \(2, 3, 3\)"):
        Overlay((2, 3)).add(np.zeros((2, 3, 4), np.uint8), labels)
    with pytest.raises(ShapeError, match="uint8 or uint16, not float32"):
        Overlay((2, 3)).add(image.astype(np.float32), labels)
