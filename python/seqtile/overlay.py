"""An image with the outlines of its objects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Overlay"]


class Overlay:
    """Draws outlines strip by strip onto an image of bounded size.

    Parameters
    ----------
    shape
        (H, W) of the image.
    levels
        Grey levels shown as black and white; None for the whole range of the dtype.
    """

    def __init__(
        self, shape: tuple[int, int], *, levels: tuple[float, float] | None = None
    ) -> None:
        raise NotImplementedError

    def add(self, image_rows: NDArray[Any], labels_rows: NDArray[Any]) -> None:
        """Take the next rows: image (rows, W) or (rows, W, 3), labels (rows, W)."""
        raise NotImplementedError

    def write(self, path: Path) -> None:
        """Write a PNG."""
        raise NotImplementedError
