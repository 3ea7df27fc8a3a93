"""An open image, read by rows: what all formats have in common."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..closing import Closing
from ..errors import IMAGE_FAILURES, ImageError, IntervalError, one_line

__all__ = ["ImageFile", "Pixels", "blame", "check_bomb", "check_level", "read_at"]

Pixels: TypeAlias = NDArray[Any]  # of uint8 or uint16

# Beyond this many bytes of pixels a file is refused that packs them more than MAX_RATIO times:
# deflate reaches 1,032, JPEG about 1,500, the LZW of GIF and TIFF 8,200 with a palette of colours.
BOMB_BYTES = 1 << 28
MAX_RATIO = 10_000


class ImageFile(Closing):
    """An image whose rows can be read in any order; a context manager.

    Coordinates are those of the stored pixels: row 0 on top, 0-based, half-open. An orientation
    in the EXIF data is not applied, as in QuPath, Bio-Formats and tifffile.

    Attributes
    ----------
    path
        The file.
    height, width
        Pixels, at least 1.
    channels
        1 for grey, 3 for RGB. Alpha is dropped, a palette is expanded to RGB, 1-bit pixels are
        0 and 255.
    dtype
        uint8 or uint16, of the machine's byte order.
    levels
        ``(height, width)`` of each level of the pyramid, the largest first; of a plain image its
        own alone.
    level
        The level that is open.
    pixel_sides
        Height and width of a pixel of this level in micrometres; None where the file does not say.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int],
        channels: int,
        dtype: np.dtype[Any],
        *,
        levels: tuple[tuple[int, int], ...] = (),
        level: int = 0,
        pixel_sides: tuple[float, float] | None = None,
    ) -> None:
        self.path = path
        self.height, self.width = shape
        self.channels = channels
        self.dtype = dtype
        self.levels = levels or (shape,)
        self.level = level
        self.pixel_sides = pixel_sides

    @property
    def pixel_size(self) -> float | None:
        """Side of a pixel in micrometres; None where unknown, or where pixels are not square."""
        if self.pixel_sides is None:
            return None
        down, across = self.pixel_sides
        return across if abs(down - across) <= across / 1000 else None

    @property
    def shape(self) -> tuple[int, ...]:
        """``(height, width)``, with ``3`` at the end if the image has colours."""
        return (self.height, self.width) if self.channels == 1 else (self.height, self.width, 3)

    def rows(self, begin: int, stop: int) -> Pixels:
        """Read the rows ``begin`` to ``stop``, the last excluded.

        May be called in any order and from any thread, any number of times.

        Returns
        -------
        array of shape (stop - begin, W), or (stop - begin, W, 3) in the order R, G, B;
        C-contiguous. It may be a view of the image in memory and is then read-only.

        Raises
        ------
        IntervalError
            Rows outside the image.
        ImageError
            Pixels that are damaged or end too early, or whatever else a decoder raises.
        """
        if not 0 <= begin <= stop <= self.height:
            raise IntervalError(
                f"{self.path}: rows {begin} to {stop}, expected 0 <= begin <= stop <= {self.height}"
            )
        with blame(self.path, "pixels that cannot be decoded"):
            return self._rows(begin, stop)

    def read(self) -> Pixels:
        """Read the whole image, as `rows` does."""
        return self.rows(0, self.height)

    @abstractmethod
    def _rows(self, begin: int, stop: int) -> Pixels: ...

    @abstractmethod
    def close(self) -> None:
        """Close the file and drop what was decoded."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r}, {self.shape}, {self.dtype})"


@contextmanager
def blame(path: Path, problem: str) -> Iterator[None]:
    """Make whatever a parser or a decoder raises an error of this image: it ends no other.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, PermissionError, ImportError, ImageError
        As they are.
    ImageError
        Any other.
    """
    try:
        yield
    except (*IMAGE_FAILURES, ImportError):
        raise
    except OSError as error:
        raise ImageError(path, error.strerror or str(error) or type(error).__name__) from error
    except Exception as error:  # of many classes
        raise ImageError(path, f"{problem}: {one_line(error)}") from error


def check_level(path: Path, level: int, levels: int) -> None:
    """Refuse a level of the pyramid that the image does not have.

    Raises
    ------
    ImageError
        ``level`` outside ``0 .. levels - 1``.
    """
    if not 0 <= level < levels:
        only = "level 0 alone" if levels == 1 else f"{levels} levels, 0 to {levels - 1}"
        raise ImageError(path, f"has {only}, not level {level}")


def check_bomb(path: Path, what: str, decoded: int, packed: int) -> None:
    """Refuse sizes that so few bytes cannot hold, before anything is allocated.

    Raises
    ------
    ImageError
        More than ``BOMB_BYTES`` decoded from less than a ``MAX_RATIO``-th of it.
    """
    if decoded > BOMB_BYTES and decoded > MAX_RATIO * packed:
        raise ImageError(
            path,
            f"{what} of {decoded:,} bytes in {packed:,} bytes of the file: truncated, or made to "
            "fill the memory",
        )


def read_at(path: Path, descriptor: int, offset: int, out: NDArray[Any]) -> None:
    """Fill an array with the bytes of an open file from ``offset`` on.

    Raises
    ------
    ImageError
        A file that ends before; ``path`` is the image to blame.
    """
    view = out.reshape(-1).view(np.uint8).data
    while view:
        got = os.preadv(descriptor, [view], offset)
        if not got:
            raise ImageError(path, f"truncated: {len(view):,} bytes are missing at byte {offset:,}")
        view, offset = view[got:], offset + got
