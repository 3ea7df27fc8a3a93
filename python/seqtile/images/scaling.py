"""Contrast: percentiles of an image's grey levels become 0 and 255, its noise stays dark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ShapeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GreyLevels", "check_percentiles", "scale"]


# Share of the lower half of a normal distribution that lies beyond one standard deviation.
_BELOW_SIGMA = 0.3173


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

    def background(self) -> tuple[float, float]:
        """Level and noise (standard deviation) of the background, taken as the commonest levels.

        The level is the median of the shortest range that holds a quarter of the pixels, so that
        objects may cover more than half of the image; the noise is how far the darker pixels spread
        below it, as in a normal distribution, at least half a step between the levels that occur.

        Raises
        ------
        ValueError
            No pixels were added.
        """
        until = np.cumsum(self.counts)
        if not (total := int(until[-1])):
            raise ValueError("no pixels, no background")
        used = np.flatnonzero(self.counts)
        before = until[used] - self.counts[used]
        ends = np.searchsorted(until[used], before + total // 4)  # of each range, its last level
        fits = ends < len(used)
        begins, ends = np.flatnonzero(fits), ends[fits]
        width = used[ends] - used[begins]
        held = until[used[ends]] - before[begins]
        best = np.lexsort((-held, width))[0]
        middle = before[begins[best]] + held[best] / 2
        at = int(np.searchsorted(until[used], middle))
        level = int(used[at])
        darker = before[at] + self.counts[level] / 2
        spread = level - int(np.searchsorted(until, _BELOW_SIGMA * darker))
        step = int(np.diff(used[max(at - 1, 0) : at + 2]).min(initial=len(self.counts)))
        return float(level), max(float(spread), 0.5 * step if len(used) > 1 else 0.5)

    def contrast(self, low: float, high: float, noise_floor: float = 0.0) -> tuple[float, float]:
        """The levels that become 0 and 255: two percentiles.

        With a ``noise_floor`` above 0 the upper one is at least so many standard deviations of the
        noise above the background, and at least the median of the pixels that are half as far above
        it: a field without objects stays dark, and a few objects in a dark field, less than the
        share of pixels above ``high``, keep their shades.

        Raises
        ------
        ValueError
            As `percentiles`.
        """
        begin, end = self.percentiles(low, high)
        if noise_floor <= 0:
            return begin, end
        level, noise = self.background()
        bright = self.counts.copy()
        bright[: int(level + noise_floor / 2 * noise) + 1] = 0
        until = np.cumsum(bright)
        median = float(np.searchsorted(until, until[-1] / 2)) if until[-1] else 0.0
        return begin, max(end, level + noise_floor * noise, median)

    def table(
        self, low: float, high: float, noise_floor: float = 0.0, *, invert: bool = False
    ) -> NDArray[np.uint8]:
        """What each grey level becomes: uint8, shape (256,) or (65536,).

        The lower level of `contrast` and all below become 0, the upper and all above 255, what lies
        between in a straight line, rounded to the nearest. An image of one level becomes 0. With
        ``invert`` that is done with the largest grey level of the dtype minus each.
        """
        if invert:
            turned = GreyLevels(self._kind)
            turned.counts = self.counts[::-1]
            return turned.table(low, high, noise_floor)[::-1]
        begin, end = self.contrast(low, high, noise_floor)
        if begin == end:
            return np.zeros(len(self.counts), np.uint8)
        levels = np.arange(len(self.counts), dtype=np.float64)
        return np.rint(np.clip((levels - begin) / (end - begin), 0, 1) * 255).astype(np.uint8)


def scale(
    image: NDArray[Any], percentiles: tuple[float, float] = (1.0, 99.8), noise_floor: float = 0.0
) -> NDArray[np.uint8]:
    """An image with the contrast that a segmentation model expects.

    Parameters
    ----------
    image
        uint8 or uint16, any shape.
    percentiles
        Of its grey levels, which become 0 and 255; see
        `seqtile.images.scaling.GreyLevels.table`.
    noise_floor
        Least height of what becomes 255 above the background, in standard deviations of its noise;
        see `seqtile.images.scaling.GreyLevels.contrast`.

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
    scaled: NDArray[np.uint8] = levels.table(*percentiles, noise_floor)[image]
    return scaled
