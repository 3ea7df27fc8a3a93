"""A table of the objects of an image: where each lies, how large and how bright it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ObjectTable", "write_objects"]


class ObjectTable:
    """Measures objects strip by strip.

    Parameters
    ----------
    count
        Number of objects: labels are 1 to ``count``.
    pixel_size
        Height and width of a pixel in micrometres, None where unknown.
    """

    def __init__(self, count: int, *, pixel_size: tuple[float, float] | None = None) -> None:
        raise NotImplementedError

    def add(
        self,
        first_row: int,
        labels_rows: NDArray[Any],
        image_rows: NDArray[Any] | None,
        probability_rows: NDArray[Any] | None = None,
    ) -> None:
        """Take some rows: labels (rows, W), image (rows, W) or (rows, W, C), probability (rows, W)."""
        raise NotImplementedError

    def columns(self) -> dict[str, NDArray[Any]]:
        """label, area, centroid_y, centroid_x, y0, y1, x0, x1, mean, min, max (_red ...), ..."""
        raise NotImplementedError


def write_objects(path: Path, target: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write a table to ``path`` in the format of ``target``'s suffix, ``.csv`` or ``.parquet``."""
    raise NotImplementedError
