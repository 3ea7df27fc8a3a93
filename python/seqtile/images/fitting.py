"""Image files as a model takes them: channels, a crop, a size."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from .reading import open_image, to_channels

__all__ = ["Fitting"]


@dataclass(frozen=True)
class Fitting:
    """How an image becomes one of the size a model takes.

    Attributes
    ----------
    crop
        Side of the square in the middle that is kept, in pixels; None keeps all.
    resize
        Whether it may be resized to the model's size: by the mean of the pixels that a new one
        covers where it shrinks (OpenCV's ``INTER_AREA``), by cubic interpolation where it grows.
    """

    crop: int | None = None
    resize: bool = False

    def __post_init__(self) -> None:
        if self.crop is not None and self.crop < 1:
            raise ValueError(f"crop must be at least 1, not {self.crop}")

    def read(
        self, path: str | PathLike[str], size: tuple[int | None, int | None], channels: int
    ) -> NDArray[np.uint8]:
        """An image file as the model takes it: uint8, shape (H, W), or (H, W, 3) for RGB.

        Parameters
        ----------
        path
            The file.
        size
            Height and width in pixels that the model takes; None where it takes any.
        channels
            1 for grey, 3 for RGB.

        Raises
        ------
        ImageError
            A file that cannot be read, or is of another size or depth than the model takes.
        ValueError
            ``resize`` for a model that takes images of any size.
        """
        with open_image(path) as file:
            if file.dtype != np.uint8:
                raise ImageError(
                    path,
                    "16 bits a channel, the model takes 8: scale the image as those were that the "
                    "model was trained on, and save it with 8",
                )
            top, bottom, left, right = self._box(path, file.height, file.width)
            found = (bottom - top, right - left)
            if not self.resize and None not in size and found != size:
                raise ImageError(
                    path,
                    f"{found[0]} x {found[1]} pixels (height x width), the model takes "
                    f"{size[0]} x {size[1]}: crop or resize it (--crop N, --resize)",
                )
            kept = np.ascontiguousarray(file.rows(top, bottom)[:, left:right])
            image = to_channels(kept, channels)
        return _resized(image, size) if self.resize else image

    def _box(self, path: str | PathLike[str], height: int, width: int) -> tuple[int, int, int, int]:
        """Rows and columns that are kept; no others are read."""
        if self.crop is None:
            return 0, height, 0, width
        if min(height, width) < self.crop:
            raise ImageError(path, f"{height} x {width} pixels, too small to crop {self.crop}")
        top, left = (height - self.crop) // 2, (width - self.crop) // 2
        return top, top + self.crop, left, left + self.crop


def _resized(image: NDArray[Any], size: tuple[int | None, int | None]) -> NDArray[Any]:
    import cv2

    height, width = size
    if height is None or width is None:
        raise ValueError("resize: the model takes images of any size")
    if image.shape[:2] == (height, width):
        return image
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=how))
