"""An image file becomes one of the size that a model takes, and no more of it is read."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

import seqtile
from seqtile.errors import ImageError
from seqtile.images.fitting import Fitting
from seqtile.images.reading import to_grey

IMAGE = np.random.default_rng(0).integers(0, 256, (100, 60, 3), np.uint8)


def damaged(path: Path, whole_rows: range) -> Path:
    """`IMAGE` in tiles of 16 x 16, of which only those of some rows of tiles can be decoded."""
    tifffile.imwrite(path, IMAGE, tile=(16, 16), compression="deflate")
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    with path.open("r+b") as content:
        for i, (offset, count) in enumerate(segments):
            if i // 4 not in whole_rows:
                content.seek(offset)
                content.write(bytes(count))
    return path


def test_only_rows_of_the_crop_are_read(tmp_path: Path) -> None:
    path = damaged(tmp_path / "slide.tif", range(2, 5))
    with pytest.raises(ImageError):
        seqtile.read_image(path)
    got = Fitting(crop=30, resize=True).read(path, (6, 5), 3)
    expected = cv2.resize(IMAGE[35:65, 15:45], (5, 6), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(got, expected)
    grey = Fitting(crop=30).read(path, (None, None), 1)
    np.testing.assert_array_equal(grey, to_grey(IMAGE[35:65, 15:45]))


def test_a_size_is_refused_before_pixels_are_read(tmp_path: Path) -> None:
    path = damaged(tmp_path / "slide.tif", range(0))
    with pytest.raises(ImageError, match="100 x 60 pixels .* the model takes 6 x 5"):
        Fitting().read(path, (6, 5), 3)
    with pytest.raises(ImageError, match="6 x 6 pixels .* the model takes 6 x 5"):
        Fitting(crop=6).read(path, (6, 5), 3)
    with pytest.raises(ImageError, match="too small to crop 61"):
        Fitting(crop=61).read(path, (6, 5), 3)


def test_no_size_to_resize_to(tmp_path: Path) -> None:
    path = damaged(tmp_path / "slide.tif", range(7))
    with pytest.raises(ValueError, match="the model takes images of any size"):
        Fitting(resize=True).read(path, (None, None), 3)
