"""Tiles of an image as a model takes them, strip by strip."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..closing import Closing
from ..execution.limits import LIMITS, Limits
from ..images.array import ArrayImage
from ..images.file import ImageFile
from ..images.reading import FINE, open_image, to_channels, to_fine_grey, to_grey
from ..images.scaling import GreyLevels
from ..images.tiling import Strip
from ..models.contract import Contract
from .options import SegmentOptions

__all__ = ["ImageLike", "TileSource"]

ImageLike: TypeAlias = NDArray[Any] | str | PathLike[str]


class TileSource(Closing):
    """Opens an image, counts its grey levels, and cuts it, scaled, into tiles.

    Belongs to the lane that reads, one at a time (before there are lanes, to the caller): it is
    made there and its strips are taken there. Its attributes do not change. With the last strip it
    is at its end: the open ``image`` goes to the caller's thread, whose writers read its rows
    again. Until then `close` closes it.

    Parameters
    ----------
    image
        An image file, or an array as for `ArrayImage`.
    contract
        The model's.
    options
        Level of a pyramid, place of the tiles, contrast.
    channels
        That the model takes: 1 or 3.
    threads
        That cut.
    limits
        Rows that are read together.

    Attributes
    ----------
    image
        The open image.
    plan
        Where the tiles lie.
    levels
        Grey levels that its contrast begins and ends at.

    Raises
    ------
    ImageError, OSError
        A file that cannot be read, or without this level.
    ShapeError
        An array that is no image.
    ValueError
        A level of an array.
    """

    def __init__(
        self,
        image: ImageLike,
        contract: Contract,
        options: SegmentOptions,
        *,
        channels: int,
        threads: int,
        limits: Limits = LIMITS,
    ) -> None:
        self.image = _opened(image, options.level)
        self._channels = channels
        self._threads = threads
        self._scaled_rows = limits.scaled_rows
        try:
            self.plan = options.plan(contract, self.image.height, self.image.width)
            settings = options.settings(contract)
            fine = channels == 1 and self.image.channels == 3 and self.image.dtype == np.uint8
            self._grey = to_fine_grey if fine else to_grey
            counted = GreyLevels(np.dtype(np.uint16) if fine else self.image.dtype)
            step = limits.contrast_rows
            for first in range(0, self.image.height, step):
                stop = min(first + step, self.image.height)
                counted.add(self._grey(self.image.rows(first, stop)))
            noise_floor = 0.0 if options.invert else settings.noise_floor
            begin, end = counted.contrast(*settings.percentiles, noise_floor)
            self.levels = (begin / FINE, end / FINE) if fine else (begin, end)
            self._table = counted.table(
                *settings.percentiles, settings.noise_floor, invert=options.invert
            )
        except BaseException:
            self.close()
            raise

    def strips(self) -> Iterator[NDArray[np.uint8]]:
        """The tiles of each strip from the top, uint8, shape (n, th, tw) or (n, th, tw, 3).

        Raises
        ------
        ImageError
            Damaged pixels.
        """
        return map(self._cut, self.plan.strips())

    def _cut(self, strip: Strip) -> NDArray[np.uint8]:
        rows = self.image.rows(*strip.read)
        rows = self._grey(rows) if self._channels == 1 else to_channels(rows, self._channels)
        scaled = np.empty(rows.shape, np.uint8)
        for begin in range(0, len(rows), self._scaled_rows):
            part = slice(begin, begin + self._scaled_rows)
            np.take(self._table, rows[part], out=scaled[part], mode="clip")
        return self.plan.cut(scaled, strip, threads=self._threads)

    def close(self) -> None:
        """Close the image."""
        self.image.close()


def _opened(image: ImageLike, level: int) -> ImageFile:
    if not isinstance(image, np.ndarray):
        return open_image(image, level=level)
    if level:
        raise ValueError(f"level must be 0 for an array, not {level}")
    return ArrayImage(image)
