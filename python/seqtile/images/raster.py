"""PNG, JPEG and GIF through libvips, BMP through OpenCV.

libvips is strict about damage that OpenCV passes over, and decodes large files in order with little
memory; both give the same pixels.
"""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ..errors import ImageError
from ..outputs import require
from .file import ImageFile, Pixels, check_bomb, check_level, read_at

if TYPE_CHECKING:
    import pyvips

__all__ = ["IN_MEMORY", "open_raster", "raster_format"]

# First bytes and name of each format.
SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
}
KINDS = {"b-w": 1, "grey16": 1, "srgb": 3, "rgb16": 3}  # interpretations of libvips: channels
# Pixels; an image of more is decoded to a file and read from it.
IN_MEMORY = 1 << 24
BMP_PLAIN = (0, 3)  # compressions without run lengths


def raster_format(head: bytes) -> str | None:
    """Name the format that begins with these bytes; None if it is none of this module's."""
    return next((name for start, name in SIGNATURES.items() if head.startswith(start)), None)


def open_raster(path: Path, kind: str, *, level: int = 0, in_memory: int = IN_MEMORY) -> ImageFile:
    """Open an image of a known format; see `seqtile.images.reading.open_image`."""
    check_level(path, level, 1)
    return BmpImage(path) if kind == "BMP" else VipsImage(path, kind, in_memory)


class VipsImage(ImageFile):
    """A PNG, JPEG or GIF.

    The pixels are decoded once, when rows are first asked for: an image of up to ``in_memory`` of
    them into memory, a larger one in order to a temporary file that has no name and goes with this
    object. A progressive JPEG or an interlaced PNG is held in memory while it is decoded.
    """

    def __init__(self, path: Path, kind: str, in_memory: int) -> None:
        require("pyvips", f"reading {kind} images", package="'pyvips[binary]'")
        import pyvips

        self._error: type[Exception] = pyvips.Error
        self._kind = kind
        self._in_memory = in_memory
        load = getattr(pyvips.Image, f"{kind.lower()}load_source")
        try:
            with path.open("rb") as file:
                source = pyvips.Source.new_from_descriptor(file.fileno())
            image = load(source, access="sequential", fail_on="warning")
        except pyvips.Error as error:
            raise self._damage(path, error) from error
        self._image: pyvips.Image | None = image
        self._source: pyvips.Source | None = source  # has a descriptor of its own
        self._check(path, image)
        channels = KINDS[image.interpretation]
        dtype = np.dtype(np.uint16 if image.format == "ushort" else np.uint8)
        super().__init__(path, (image.height, image.width), channels, dtype)
        size = image.height * image.width * image.bands * dtype.itemsize
        check_bomb(path, "pixels", size, path.stat().st_size)
        self._row = image.width * channels * dtype.itemsize
        self._pixels: Pixels | None = None
        self._file: BinaryIO | None = None
        self._lock = Lock()

    def _damage(self, path: Path, error: Exception) -> ImageError:
        reasons = [line.strip() for line in str(error).splitlines()[1:] if line.strip()]
        reason = f" ({reasons[-1]})" if reasons else ""
        return ImageError(path, f"a truncated or damaged {self._kind}{reason}")

    def _check(self, path: Path, image: pyvips.Image) -> None:
        if image.interpretation not in KINDS:
            raise ImageError(
                path,
                f"{image.interpretation.upper()} pixels, expected grey or RGB: convert the image "
                "to RGB",
            )
        if image.format not in ("uchar", "ushort"):
            raise ImageError(path, f"pixels of {image.format}, expected 8 or 16 bits")
        pages = image.get("n-pages") if image.get_typeof("n-pages") else 1
        if pages != 1:
            raise ImageError(path, f"{pages} pictures in one file, expected one: save the one")

    def _rows(self, begin: int, stop: int) -> Pixels:
        with self._lock:
            if self._pixels is None and self._file is None:
                self._decode()
        if self._pixels is not None:
            return self._pixels[begin:stop]
        rows: Pixels = np.empty((stop - begin, *self.shape[1:]), self.dtype)
        assert self._file is not None
        read_at(self.path, self._file.fileno(), begin * self._row, rows)
        return rows

    def _decode(self) -> None:
        image = self._image
        if image is None:
            raise ValueError(f"{self.path}: the image is closed")
        if image.bands not in (1, 3):
            image = image[0] if self.channels == 1 else image[0:3]
        try:
            if self.height * self.width <= self._in_memory:
                data = image.write_to_memory()
                pixels: Pixels = np.frombuffer(data, self.dtype).reshape(self.shape)
                pixels.flags.writeable = False
                self._pixels = pixels
            else:
                self._file = self._decode_to_file(image)
        except self._error as error:
            raise self._damage(self.path, error) from error
        self._image = self._source = None

    def _decode_to_file(self, image: pyvips.Image) -> BinaryIO:
        import pyvips

        size = self.height * self._row
        folder = tempfile.gettempdir()
        free = shutil.disk_usage(folder).free
        if free < size:
            raise self._no_room(size, folder, f"has {free:,} left")
        file: Any = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            try:  # now: libvips does not tell a full disk from a damaged image
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                raise self._no_room(size, folder, f"cannot hold them ({error.strerror})") from error
            image.rawsave_target(pyvips.Target.new_to_descriptor(file.fileno()))
        except BaseException:
            file.close()
            raise
        binary: BinaryIO = file
        return binary

    def _no_room(self, size: int, folder: str, reason: str) -> ImageError:
        return ImageError(
            self.path,
            f"its pixels take {size:,} bytes, and the folder for temporary files, {folder}, "
            f"{reason}: set TMPDIR to a larger one",
        )

    def close(self) -> None:
        self._image = self._source = self._pixels = None
        if self._file is not None:
            self._file.close()
            self._file = None


class BmpImage(ImageFile):
    """A BMP without run lengths, decoded whole when it is opened."""

    def __init__(self, path: Path) -> None:
        require("cv2", "reading BMP images", package="opencv-python-headless")
        import cv2

        data = path.read_bytes()
        _check_bmp(path, data)
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
            pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)
        pixels.flags.writeable = False
        self._pixels: Pixels = pixels
        super().__init__(path, pixels.shape[:2], 1 if pixels.ndim == 2 else 3, pixels.dtype)

    def _rows(self, begin: int, stop: int) -> Pixels:
        return self._pixels[begin:stop]

    def close(self) -> None:
        self._pixels = self._pixels[:0]


def _check_bmp(path: Path, data: bytes) -> None:
    """Compare the sizes in the header with the file: OpenCV fills what is missing."""
    try:
        offset, header = struct.unpack_from("<II", data, 10)
        if header == 12:
            width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
            compression = 0
        else:
            width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    except struct.error as error:
        raise ImageError(path, "truncated: a BMP that ends in its header") from error
    if width < 1 or height == 0 or bits not in (1, 4, 8, 16, 24, 32):
        raise ImageError(path, f"a damaged BMP: {height} x {width} pixels of {bits} bits")
    if compression not in BMP_PLAIN:
        raise ImageError(path, "a BMP with run lengths, expected one without: save it as PNG")
    needed = offset + abs(height) * ((width * bits + 31) // 32 * 4)
    if needed > len(data):
        raise ImageError(path, f"truncated: {len(data):,} bytes, its header says {needed:,}")
