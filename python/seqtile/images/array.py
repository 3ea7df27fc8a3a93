"""An array as an image that is read by rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ShapeError
from .file import ImageFile, Pixels

__all__ = ["ArrayImage"]


class ArrayImage(ImageFile):
    """An image in memory; errors call it ``image``.

    Parameters
    ----------
    pixels
        uint8 or uint16, shape (H, W), grey, or (H, W, 3), RGB.

    Raises
    ------
    ShapeError
        Another shape or dtype, or no pixels.
    """

    def __init__(self, pixels: NDArray[Any]) -> None:
        if pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)) or 0 in pixels.shape:
            raise ShapeError(
                f"image must have the shape (H, W), grey, or (H, W, 3), RGB, not {pixels.shape}"
            )
        if pixels.dtype not in (np.uint8, np.uint16):
            raise ShapeError(f"image must be uint8 or uint16, not {pixels.dtype}")
        height, width = pixels.shape[:2]
        super().__init__(Path("image"), (height, width), 3 if pixels.ndim == 3 else 1, pixels.dtype)
        self._pixels = pixels

    def _rows(self, begin: int, stop: int) -> Pixels:
        return np.ascontiguousarray(self._pixels[begin:stop])

    def close(self) -> None:
        """Nothing: the array is the caller's."""
