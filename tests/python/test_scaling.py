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


def field(height: float, discs: int, noise: float = 5.0, *, side: int = 400) -> np.ndarray:
    """White noise around 500, and discs of radius 5 on it."""
    rng = np.random.default_rng([int(height), discs])
    y, x = np.mgrid[:side, :side]
    image = rng.normal(500, noise, (side, side))
    for i in range(discs):
        row, column = divmod(i, 12)
        image[(y - 20 - 30 * row) ** 2 + (x - 20 - 30 * column) ** 2 <= 25] += height
    return np.clip(np.rint(image), 0, 65535).astype(np.uint16)


def levels_of(image: np.ndarray) -> GreyLevels:
    levels = GreyLevels(image.dtype)
    levels.add(image)
    return levels


@pytest.mark.parametrize("noise", [2.0, 30.0])
@pytest.mark.parametrize("discs", [0, 1, 144])  # of 79 pixels: none to 7 % of the field
def test_background(noise: float, discs: int) -> None:
    level, found = levels_of(field(1000, discs, noise)).background()
    assert level == pytest.approx(500, abs=noise / 4 + 1)
    assert found == pytest.approx(noise, rel=0.15, abs=0.5)


def test_background_under_many_objects() -> None:
    image = field(0, 0)
    image[:260] += np.random.default_rng(0).integers(1000, 9000, (260, 400)).astype(np.uint16)
    level, noise = levels_of(image).background()  # 65 % are brighter
    assert level == pytest.approx(500, abs=2)
    assert noise == pytest.approx(5, rel=0.2)


def test_background_of_few_levels() -> None:
    for levels in ([7], [0, 0, 0, 9], [0, 0, 0, 257, 514], [3, 4]):
        level, noise = levels_of(np.array(levels, np.uint16)).background()
        assert level == levels[0]
        step = levels[-1] - levels[0] if len(set(levels)) == 2 else 257
        assert noise == (step / 2 if len(set(levels)) > 1 else 0.5)


@given(images, shares, st.floats(0, 20))
def test_the_floor_only_raises(image: np.ndarray, pair: tuple[float, float], floor: float) -> None:
    levels = levels_of(image)
    plain, found = levels.contrast(*pair), levels.contrast(*pair, floor)
    assert found[0] == plain[0] == pytest.approx(np.percentile(image, pair[0]))
    assert found[1] >= plain[1]
    level, noise = levels.background()
    assert floor == 0 or found[1] >= level + floor * noise


def test_noise_stays_dark() -> None:
    empty = field(0, 0)
    assert scale(empty).std() > 45
    assert scale(empty, noise_floor=8).std() < 30


@pytest.mark.parametrize("height", [60, 1000, 20000])
@pytest.mark.parametrize("discs", [1, 3, 10])
def test_few_objects_keep_their_shades(height: int, discs: int) -> None:
    """The percentile of 1 and 3 discs lies in the noise, and that of 10 among their pixels."""
    low, high = levels_of(field(height, discs)).contrast(1, 99.8, 8)
    assert 500 + 0.6 * height <= high <= 500 + 1.2 * height
    assert low == pytest.approx(488, abs=2)


def test_many_objects_change_nothing() -> None:
    image = field(200, 144)
    np.testing.assert_array_equal(scale(image), scale(image, noise_floor=8))


def test_refused() -> None:
    with pytest.raises(ShapeError, match="grey levels must be uint8 or uint16, not float32"):
        scale(np.zeros((2, 2), np.float32))
    for pair in ((5, 5), (-1, 50), (50, 101), (60, 40), (float("nan"), 3)):
        with pytest.raises(ValueError, match="percentiles must be two numbers"):
            scale(np.zeros((2, 2), np.uint8), pair)
    with pytest.raises(ValueError, match="no pixels"):
        scale(np.zeros((0, 2), np.uint8))
