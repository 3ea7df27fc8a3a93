"""What the writers get of an image: its labels and its pixels, or why there are none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..closing import Closing
from ..images.file import ImageFile
from .labelling import LabelMap

__all__ = ["FailedImage", "LabelledImage"]


@dataclass(frozen=True, eq=False)
class LabelledImage(Closing):
    """An image that has been through a model. A context manager: valid until it is closed.

    Belongs to the thread that took it, and closes it; no lane reads the image any more. Labels and
    pixels are read by rows, from the temporary file and from the image's own.

    Attributes
    ----------
    image
        The open image.
    labels
        Its objects.
    levels
        Grey levels that its contrast begins and ends at.
    probabilities
        The model's outputs by name, float32, shape (H, W), where they were to be kept; else empty.
    """

    image: ImageFile
    labels: LabelMap
    levels: tuple[float, float]
    probabilities: Mapping[str, NDArray[np.float32]]

    @property
    def name(self) -> str:
        """Of the image, for messages."""
        return str(self.image.path)

    @property
    def scale(self) -> tuple[float, float]:
        """Height and width of a pixel in those of the file's full resolution."""
        height, width = self.image.levels[0]
        return height / self.image.height, width / self.image.width

    @property
    def pixel_size(self) -> tuple[float, float] | None:
        """Height and width of a pixel in micrometres, None where unknown."""
        return self.image.pixel_sides

    def close(self) -> None:
        """Close the image and remove the file of labels."""
        self.image.close()
        self.labels.close()


@dataclass(frozen=True)
class FailedImage:
    """An image that could not be read.

    Attributes
    ----------
    name
        Of the image.
    error
        What went wrong.
    """

    name: str
    error: Exception
