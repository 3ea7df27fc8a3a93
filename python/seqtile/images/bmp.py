"""BMP: of 16 bits by numpy, of others through OpenCV."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from ..outputs import require
from .file import ImageFile, Pixels

__all__ = ["BmpImage"]

PLAIN, MASKED = 0, 3  # compressions without run lengths
MASKS = (0x7C00, 0x03E0, 0x001F)  # of 16 bits, where the file has none


@dataclass(frozen=True)
class _Header:
    offset: int
    height: int  # negative where the first row is on top
    width: int
    bits: int
    compression: int

    @property
    def row(self) -> int:
        """Bytes of a row."""
        return (self.width * self.bits + 31) // 32 * 4


class BmpImage(ImageFile):
    """A BMP without run lengths, decoded whole when it is opened."""

    def __init__(self, path: Path) -> None:
        require("cv2", "reading BMP images", package="opencv-python-headless")
        data = path.read_bytes()
        header = _checked(path, data)
        pixels = _of_16_bits(path, data, header) if header.bits == 16 else _by_opencv(path, data)
        pixels.flags.writeable = False
        self._pixels: Pixels = pixels
        super().__init__(path, pixels.shape[:2], 1 if pixels.ndim == 2 else 3, pixels.dtype)

    def _rows(self, begin: int, stop: int) -> Pixels:
        return self._pixels[begin:stop]

    def close(self) -> None:
        """Drop the pixels."""
        self._pixels = self._pixels[:0]


def _checked(path: Path, data: bytes) -> _Header:
    """Compare the sizes in the header with the file: OpenCV fills what is missing."""
    try:
        offset, size = struct.unpack_from("<II", data, 10)
        if size == 12:
            width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
            compression = PLAIN
        else:
            width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    except struct.error as error:
        raise ImageError(path, "truncated: a BMP that ends in its header") from error
    header = _Header(offset, height, width, bits, compression)
    if width < 1 or height == 0 or bits not in (1, 4, 8, 16, 24, 32):
        raise ImageError(path, f"a damaged BMP: {height} x {width} pixels of {bits} bits")
    if compression not in (PLAIN, MASKED):
        raise ImageError(path, "a BMP with run lengths, expected one without: save it as PNG")
    needed = offset + abs(height) * header.row
    if needed > len(data):
        raise ImageError(path, f"truncated: {len(data):,} bytes, its header says {needed:,}")
    return header


def _by_opencv(path: Path, data: bytes) -> Pixels:
    import cv2

    log = cv2.utils.logging
    level = log.setLogLevel(log.LOG_LEVEL_SILENT)  # or else it prints what is wrong
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR)
    except cv2.error as error:
        raise ImageError(path, f"a damaged BMP ({error.err})") from error
    finally:
        log.setLogLevel(level)
    if pixels is None:
        raise ImageError(path, "a damaged BMP")
    if pixels.ndim == 3:
        cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)
    return np.asarray(pixels)


def _of_16_bits(path: Path, data: bytes, header: _Header) -> NDArray[np.uint8]:
    """Five or six bits a colour, spread over the levels as in Pillow: the largest becomes 255."""
    masks = struct.unpack_from("<III", data, 54) if header.compression == MASKED else MASKS
    height = abs(header.height)
    stored = np.frombuffer(data, np.uint8, height * header.row, header.offset)
    values = stored.reshape(height, header.row).view("<u2")[:, : header.width]
    pixels = np.empty((height, header.width, 3), np.uint8)
    for channel, mask in enumerate(masks):
        shift = (mask & -mask).bit_length() - 1
        if not 0 < mask <= 0xFFFF or mask >> shift > 255:
            raise ImageError(path, f"a damaged BMP: masks {', '.join(map(hex, masks))}")
        levels = ((values & mask) >> shift).astype(np.uint32)
        pixels[..., channel] = levels * 255 // (mask >> shift)
    return pixels if header.height < 0 else np.ascontiguousarray(pixels[::-1])
