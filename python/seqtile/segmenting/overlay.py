"""An image with the outlines of its objects, as a PNG of bounded size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ..errors import ShapeError
from ..outputs import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Overlay"]

# Red, green, blue; seen on a dark ground, and on stained tissue, which is between red and blue.
_COLOURS = ((255, 225, 0), (0, 240, 255), (70, 255, 50))


class Overlay:
    """Draws outlines of objects on an image that comes strip by strip.

    An image that is too long is reduced by a whole factor, one that is short enlarged twice. An
    outline is the object's own pixels that border on something else; three colours go round, so
    that neighbours mostly differ.

    Parameters
    ----------
    shape
        (H, W) of the image.
    levels
        Grey levels shown as black and as white, of grey images and of those of more than 8 bits;
        None for the dtype's whole range.
    longest
        Pixels of the longer side of what is shown, at most.
    shortest
        An image whose longer side has fewer pixels is shown at twice its size.

    Attributes
    ----------
    factor
        Pixels of the image per pixel shown along an axis: a whole number, or 0.5.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        levels: tuple[float, float] | None = None,
        longest: int = 4096,
        shortest: int = 512,
    ) -> None:
        side = max(shape)
        self.factor = -(-side // longest) if side >= shortest else 0.5
        self._step = max(1, int(self.factor))
        height, width = (-(-side // self._step) for side in shape)
        self._shape = shape
        self._levels = levels
        self._image = np.zeros((height, width, 3), np.uint8)
        self._labels = np.zeros((height, width), np.uint32)
        self._row = 0  # of the image, that comes next
        self._waiting: tuple[NDArray[Any], NDArray[np.uint32]] | None = None

    def add(self, image_rows: NDArray[Any], labels_rows: NDArray[np.uint32]) -> None:
        """Take the next rows, from the top.

        Parameters
        ----------
        image_rows
            (rows, W), grey, or (rows, W, 3), RGB; uint8 or uint16.
        labels_rows
            uint32 (rows, W), 0 for the background.

        Raises
        ------
        ShapeError
            Another shape or dtype, more rows than the image has.
        ImportError
            OpenCV is not installed.
        """
        rows, width = labels_rows.shape
        if width != self._shape[1] or self._row + rows > self._shape[0]:
            raise ShapeError(
                f"labels_rows must have {self._shape[1]} columns and at most "
                f"{self._shape[0] - self._row} rows, not the shape {labels_rows.shape}"
            )
        if image_rows.shape not in ((rows, width), (rows, width, 3)):
            raise ShapeError(
                f"image_rows must have shape {(rows, width)} or {(rows, width, 3)}, "
                f"not {image_rows.shape}"
            )
        if image_rows.dtype not in (np.uint8, np.uint16):
            raise ShapeError(f"image_rows must be uint8 or uint16, not {image_rows.dtype}")
        if self._waiting is not None:
            image_rows = np.concatenate([self._waiting[0], image_rows])
            labels_rows = np.concatenate([self._waiting[1], labels_rows])
        self._row += rows
        whole = len(labels_rows) // self._step * self._step
        if self._row == self._shape[0]:
            whole = len(labels_rows)
        # Copies: the caller may use its arrays again.
        self._waiting = (image_rows[whole:].copy(), labels_rows[whole:].copy())
        if whole:
            self._draw(self._row - len(labels_rows), image_rows[:whole], labels_rows[:whole])

    def _draw(self, row: int, image: NDArray[Any], labels: NDArray[np.uint32]) -> None:
        step = self._step
        first = row // step
        if step > 1:
            image, labels = _filled(image, step), _filled(labels, step)
            require("cv2", "an overlay", package="opencv-python-headless")
            import cv2

            size = (image.shape[1] // step, image.shape[0] // step)
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            labels = labels[step // 2 :: step, step // 2 :: step]
        shown = self._shown(image)
        stop = first + len(labels)
        self._image[first:stop] = shown if shown.ndim == 3 else shown[..., None]
        self._labels[first:stop] = labels

    def _shown(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """As 8 bits; grey images and those of more bits between the levels."""
        if image.dtype == np.uint8 and (image.ndim == 3 or self._levels is None):
            return image
        most = np.iinfo(image.dtype).max
        low, high = self._levels or (0, most)
        scale = 255 / max(high - low, 1e-9)
        table: NDArray[np.uint8] = (
            ((np.arange(most + 1) - low) * scale).round().clip(0, 255).astype(np.uint8)
        )
        return np.take(table, image)

    def write(self, file: BinaryIO) -> None:
        """Write the PNG.

        Raises
        ------
        ImportError
            OpenCV is not installed.
        """
        require("cv2", "an overlay", package="opencv-python-headless")
        import cv2

        image, labels = self._image, self._labels
        if self.factor < 1:
            image, labels = (np.repeat(np.repeat(a, 2, axis=0), 2, axis=1) for a in (image, labels))
        colours = np.array(_COLOURS, np.uint8)
        edge = _edges(labels)
        image[edge] = colours[labels[edge] % len(colours)]
        content = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))[1]
        file.write(content.tobytes())


def _edges(labels: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Pixels of objects with one of the 4 neighbours in the image not of the same object."""
    edge = np.zeros(labels.shape, np.bool_)
    across = labels[:, 1:] != labels[:, :-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    down = labels[1:] != labels[:-1]
    edge[1:] |= down
    edge[:-1] |= down
    return edge & (labels > 0)


def _filled(rows: NDArray[Any], step: int) -> NDArray[Any]:
    """Rows with the last row and column repeated, up to multiples of ``step``."""
    missing = [(0, -side % step) for side in rows.shape[:2]]
    return np.pad(rows, [*missing, (0, 0)][: rows.ndim], mode="edge")
