"""Contrast by percentiles, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seqtile.errors import ShapeError
from seqtile.images.scaling import GreyLevels, scale

images = st.sampled_from([np.uint8, np.uint16]).flatmap(
    lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=2, max_dims=3, max_side=9))
)
shares = st.tuples(st.floats(0, 100), st.floats(0, 100)).filter(lambda pair: pair[0] < pair[1])


@given(images, shares)
def test_percentiles_are_numpys(image: np.ndarray, pair: tuple[float, float]) -> None:
    levels = GreyLevels(image.dtype)
    for row in image:  # in parts
        levels.add(row)
    np.testing.assert_allclose(levels.percentiles(*pair), np.percentile(image, pair), rtol=1e-9)


@given(images, shares)
def test_scaled(image: np.ndarray, pair: tuple[float, float]) -> None:
    low, high = np.percentile(image, pair)
    result = scale(image, pair)
    assert result.dtype == np.uint8
    assert result.shape == image.shape
    if low == high:
        assert not result.any()
    else:
        expected = np.clip((image - low) / (high - low), 0, 1) * 255
        np.testing.assert_allclose(result, expected, rtol=0, atol=0.5 + 1e-6)


@given(images, shares)
def test_inverted(image: np.ndarray, pair: tuple[float, float]) -> None:
    levels = GreyLevels(image.dtype)
    levels.add(image)
    turned = np.iinfo(image.dtype).max - image
    np.testing.assert_array_equal(levels.table(*pair, invert=True)[image], scale(turned, pair))


def test_a_dark_image_of_16_bits() -> None:
    image = np.arange(1000, 1101, dtype=np.uint16).reshape(1, -1)
    assert scale(image, (0, 100))[0, [0, 20, 100]].tolist() == [0, 51, 255]


def test_refused() -> None:
    with pytest.raises(ShapeError, match="grey levels must be uint8 or uint16, not float32"):
        scale(np.zeros((2, 2), np.float32))
    for pair in ((5, 5), (-1, 50), (50, 101), (60, 40), (float("nan"), 3)):
        with pytest.raises(ValueError, match="percentiles must be two numbers"):
            scale(np.zeros((2, 2), np.uint8), pair)
    with pytest.raises(ValueError, match="no pixels"):
        scale(np.zeros((0, 2), np.uint8))
