"""Contrast: percentiles of an image's grey levels become 0 and 255."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ShapeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GreyLevels", "check_percentiles", "scale"]


def check_percentiles(low: float, high: float) -> None:
    """Raise `ValueError` unless ``0 <= low < high <= 100``."""
    if not 0 <= low < high <= 100:
        raise ValueError(
            f"percentiles must be two numbers, 0 <= low < high <= 100, not {low}, {high}"
        )


class GreyLevels:
    """How often each grey level occurs in an image that comes in parts.

    Parameters
    ----------
    kind
        dtype of the image: uint8 or uint16.

    Raises
    ------
    ShapeError
        Another dtype.
    """

    def __init__(self, kind: np.dtype[Any]) -> None:
        if kind not in (np.uint8, np.uint16):
            raise ShapeError(f"grey levels must be uint8 or uint16, not {kind}")
        self.counts = np.zeros(np.iinfo(kind).max + 1, np.int64)
        self._kind = kind

    def add(self, pixels: NDArray[Any]) -> None:
        """Count the pixels of a part, of any shape."""
        self.counts += np.bincount(pixels.reshape(-1), minlength=len(self.counts))

    def percentiles(self, low: float, high: float) -> tuple[float, float]:
        """As `numpy.percentile` of all pixels (linear between neighbours in order).

        Raises
        ------
        ValueError
            Not ``0 <= low < high <= 100``; no pixels were added.
        """
        check_percentiles(low, high)
        if not (total := int(self.counts.sum())):
            raise ValueError("no pixels, no percentiles")
        until = np.cumsum(self.counts)
        found = []
        for share in (low, high):
            place = share / 100 * (total - 1)
            below, above = (
                int(np.searchsorted(until, rank, side="right"))
                for rank in (np.floor(place), np.ceil(place))
            )
            found.append(below + (above - below) * (place - np.floor(place)))
        return float(found[0]), float(found[1])

    def table(self, low: float, high: float, *, invert: bool = False) -> NDArray[np.uint8]:
        """What each grey level becomes: uint8, shape (256,) or (65536,).

        The percentile ``low`` and all below become 0, ``high`` and all above 255, what lies between
        in a straight line, rounded to the nearest. An image of one level becomes 0. With ``invert``
        that is done with the largest grey level of the dtype minus each.
        """
        if invert:
            turned = GreyLevels(self._kind)
            turned.counts = self.counts[::-1]
            return turned.table(low, high)[::-1]
        begin, end = self.percentiles(low, high)
        if begin == end:
            return np.zeros(len(self.counts), np.uint8)
        levels = np.arange(len(self.counts), dtype=np.float64)
        return np.rint(np.clip((levels - begin) / (end - begin), 0, 1) * 255).astype(np.uint8)


def scale(image: NDArray[Any], percentiles: tuple[float, float] = (1.0, 99.8)) -> NDArray[np.uint8]:
    """An image with the contrast that a segmentation model expects.

    Parameters
    ----------
    image
        uint8 or uint16, any shape.
    percentiles
        Of its grey levels, which become 0 and 255; see
        `seqtile.images.scaling.GreyLevels.table`.

    Returns
    -------
    uint8, the image's shape.

    Raises
    ------
    ShapeError
        Another dtype.
    ValueError
        Percentiles out of order, or an image without pixels.

    Examples
    --------
    >>> scale(np.array([[100, 110], [120, 140]], np.uint16), (0, 100)).tolist()
    [[0, 64], [128, 255]]
    """
    levels = GreyLevels(image.dtype)
    levels.add(image)
    scaled: NDArray[np.uint8] = levels.table(*percentiles)[image]
    return scaled
