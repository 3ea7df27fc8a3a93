"""A source gives the tiles of an image scaled, strip by strip, and closes what it cannot read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import seqtile
from seqtile.errors import ImageError, ShapeError
from seqtile.execution.limits import Limits
from seqtile.images.reading import to_grey
from seqtile.segmenting.options import SegmentOptions
from seqtile.segmenting.tile_source import ImageLike, TileSource
from tests.python.models import IMAGE_CARD
from tests.python.test_segmentation import blobs, damage, open_files, tiff

OPTIONS = SegmentOptions(tile=16)


def source_of(image: ImageLike, options: SegmentOptions = OPTIONS, **more: object) -> TileSource:
    return TileSource(image, IMAGE_CARD, options, **{"channels": 1, "threads": 1, **more})


@pytest.mark.parametrize("rows", [1, 7, 1000])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_tiles_are_those_of_the_scaled_image(kind: type, rows: int) -> None:
    image = blobs(45, 30, kind=kind)
    limits = Limits(contrast_rows=rows, scaled_rows=rows)
    with source_of(image, limits=limits) as source:
        strips = list(source.strips())
        assert source.levels == (image.min(), image.max())
        plan = source.plan
    assert [len(tiles) for tiles in strips] == [plan.grid[1]] * plan.grid[0]
    expected = seqtile.tile(
        seqtile.scale(image, (0, 100)), plan.size, overlap=plan.overlap, multiple=plan.multiple
    )
    np.testing.assert_array_equal(np.concatenate(strips), expected.array)


def test_contrast_and_channels_are_those_that_are_asked_for() -> None:
    colour = np.stack([blobs(20, 20, i) for i in range(3)], axis=2)
    options = SegmentOptions(percentiles=(5, 90), invert=True)
    weights = np.array([9798, 19235, 3735]) / 2**15
    fine = np.rint(colour @ weights * 256).astype(np.uint16)  # luminance, not rounded to 8 bits
    with source_of(colour, options) as source:
        got = next(source.strips())[0].astype(int)
        assert np.abs(got - seqtile.scale(65535 - fine, (5, 90))).max() <= 1
        assert source.levels == pytest.approx(np.percentile(fine, (5, 90)) / 256, abs=0.01)
    grey = seqtile.scale(255 - to_grey(colour), (5, 90))
    with source_of(to_grey(colour), options, channels=3) as source:
        np.testing.assert_array_equal(next(source.strips())[0], np.dstack([grey] * 3))


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_a_stain_of_one_colour_keeps_its_shades(channel: int) -> None:
    """Blue has 29 levels of luminance in 8 bits, stretched as one of 256."""
    image = blobs(45, 30)
    colour = np.zeros((*image.shape, 3), np.uint8)
    colour[..., channel] = image
    with source_of(colour) as stained, source_of(image) as grey:
        for got, expected in zip(stained.strips(), grey.strips(), strict=True):
            assert np.abs(got.astype(int) - expected).max() <= 1


def test_grey_levels_in_three_channels_are_those_of_one() -> None:
    image = blobs(45, 30)
    options = SegmentOptions(percentiles=(3, 97), noise_floor=8)
    with source_of(np.dstack([image] * 3), options) as three, source_of(image, options) as one:
        assert three.levels == one.levels
        np.testing.assert_array_equal(
            np.concatenate(list(three.strips())), np.concatenate(list(one.strips()))
        )


def test_an_array_may_have_any_strides() -> None:
    image = blobs(40, 60)
    with source_of(image[::-2, ::2]) as source, source_of(image[::-2, ::2].copy()) as copied:
        for strip, expected in zip(source.strips(), copied.strips(), strict=True):
            np.testing.assert_array_equal(strip, expected)


def test_a_file_that_cannot_be_read_is_closed(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", blobs(40, 40))
    with source_of(path) as source:
        assert open_files(tmp_path) == ["a.tif"]
        damage(path)
        with pytest.raises(ImageError, match=r"a\.tif: pixels that cannot be decoded"):
            list(source.strips())
    assert open_files(tmp_path) == []
    with pytest.raises(ImageError, match=r"a\.tif: pixels that cannot be decoded"):
        source_of(path)
    assert open_files(tmp_path) == []


def test_what_is_no_image() -> None:
    with pytest.raises(ShapeError, match="image must be uint8 or uint16, not float64"):
        source_of(np.zeros((4, 4)))
    with pytest.raises(ValueError, match="level must be 0 for an array, not 2"):
        source_of(blobs(8, 8), SegmentOptions(level=2))
