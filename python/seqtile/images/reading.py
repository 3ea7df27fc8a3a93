"""Images of any size: opened by rows, brought to grey or to three channels.

PNG, JPEG, GIF and BMP, and TIFF of 8 or 16 bits with tiles, strips and pyramids (``.svs``). Needs
the extra ``images``.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np

from ..errors import ImageError, ShapeError
from ..outputs import require
from .file import ImageFile, Pixels, blame
from .raster import IN_MEMORY, open_raster, raster_format
from .tiff import is_tiff, open_tiff

__all__ = [
    "FINE",
    "ImageFile",
    "open_image",
    "read_image",
    "to_channels",
    "to_fine_grey",
    "to_grey",
]

FINE = 256  # steps of `to_fine_grey` in a level of `to_grey`


def open_image(
    path: str | os.PathLike[str], *, level: int = 0, in_memory: int = IN_MEMORY
) -> ImageFile:
    """Open an image to read its rows.

    The format is told by the file's first bytes, not by its name. The pixels are decoded when rows
    are first asked for, so damage in them is raised there.

    Parameters
    ----------
    path
        The file.
    level
        Level of a pyramid, 0 for the full size.
    in_memory
        Pixels; a PNG, JPEG or GIF of more is decoded to a temporary file, not to memory.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, PermissionError
        A file that cannot be opened.
    ImageError
        A file that cannot be opened for another reason, as a link to itself; what is no file (a
        pipe), or a file that is empty, no image, truncated, of a kind of pixels that is not
        supported (float, CMYK, several pages, channels other than 1, 3 and 4), or without this
        level.
    ImportError
        A library of the extra ``images`` is missing.
    """
    path = Path(path)
    with blame(path, "an image that cannot be opened"):
        return _opened(path, level, in_memory)


def _opened(path: Path, level: int, in_memory: int) -> ImageFile:
    kind = path.stat().st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):  # opening a pipe may wait for ever
        raise ImageError(path, "expected a file, found a pipe or a device")
    with path.open("rb") as file:
        head = file.read(32)
    if not head:
        raise ImageError(path, "expected an image, found an empty file")
    if is_tiff(head):
        return open_tiff(path, level=level)
    format_ = raster_format(head)
    if format_ is None:
        raise ImageError(path, "expected a PNG, JPEG, GIF, BMP or TIFF image, found none of them")
    return open_raster(path, format_, level=level, in_memory=in_memory)


def read_image(path: str | os.PathLike[str], *, level: int = 0) -> Pixels:
    """Read a whole image: (H, W), or (H, W, 3) as RGB; uint8 or uint16. See `open_image`."""
    with open_image(path, level=level) as image:
        return image.read()


def to_grey(pixels: Pixels) -> Pixels:
    """Luminance of an RGB image; a grey image as it is.

    Parameters
    ----------
    pixels
        (H, W) or (H, W, 3) in the order R, G, B; uint8 or uint16.

    Returns
    -------
    array of shape (H, W) of the same dtype, ``0.299 R + 0.587 G + 0.114 B``. The weights are those
    of ITU-R BT.601 as fractions of 2**15, 9798, 19235 and 3735, and the sum is rounded half up, as
    in OpenCV.

    Raises
    ------
    ShapeError
        Another shape or dtype.
    """
    _check(pixels)
    if pixels.ndim == 2:
        return pixels
    require("cv2", "turning colour images to grey", package="opencv-python-headless")
    import cv2

    grey: Pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return grey


def to_fine_grey(pixels: Pixels) -> Pixels:
    """Luminance with eight bits more, where an image has three colours of eight.

    One colour alone has few levels of luminance, blue 29, which stretching would show apart.

    Parameters
    ----------
    pixels
        (H, W) or (H, W, 3) in the order R, G, B; uint8 or uint16.

    Returns
    -------
    array of shape (H, W): of RGB of uint8 ``FINE`` times the luminance, uint16; else as `to_grey`.

    Raises
    ------
    ShapeError
        Another shape or dtype.
    """
    if pixels.ndim == 3 and pixels.dtype == np.uint8:
        pixels = np.multiply(pixels, FINE, dtype=np.uint16)
    return to_grey(pixels)


def to_channels(pixels: Pixels, channels: int) -> Pixels:
    """Bring an image to one channel by `to_grey`, or to three by repeating the grey levels.

    Parameters
    ----------
    pixels
        (H, W) or (H, W, 3), RGB; uint8 or uint16.
    channels
        1 or 3.

    Returns
    -------
    array of shape (H, W) or (H, W, 3), C-contiguous; the image itself if it has them already.

    Raises
    ------
    ShapeError
        Another shape or dtype, or another number of channels.
    """
    if channels == 1:
        return to_grey(pixels)
    if channels != 3:
        raise ShapeError(f"channels: expected 1 or 3, found {channels}")
    _check(pixels)
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., np.newaxis], 3, axis=2)


def _check(pixels: Pixels) -> None:
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise ShapeError(f"expected an image of (H, W) or (H, W, 3), found {pixels.shape}")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ShapeError(f"expected an image of uint8 or uint16, found {pixels.dtype}")
