"""PNG, JPEG and GIF through libvips.

libvips is strict about damage that OpenCV passes over, and decodes large files in order with little
memory; both give the same pixels.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ..errors import ImageError
from ..outputs import require
from .bmp import BmpImage
from .file import ImageFile, Pixels, check_bomb, check_level, read_at
from .gif import opaque
from .jpeg import is_ended, mended
from .vips import STRICTLY, reason

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
        self.path = path
        self._source: pyvips.Source | None = None  # has a descriptor of its own
        self._mendable = kind == "JPEG"
        try:
            image = self._loaded()
        except pyvips.Error as error:
            image = self._mended(error)
        self._image: pyvips.Image | None = image
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

    def _loaded(self) -> pyvips.Image:
        import pyvips

        if self._kind == "GIF":
            return pyvips.Image.gifload_buffer(opaque(self.path.read_bytes()), **STRICTLY)
        load = pyvips.Image.pngload_source if self._kind == "PNG" else pyvips.Image.jpegload_source
        with self.path.open("rb") as file:
            if self._kind == "JPEG":
                with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
                    if not is_ended(data):
                        raise ImageError(
                            self.path, "a truncated or damaged JPEG (no mark of its end)"
                        )
            self._source = pyvips.Source.new_from_descriptor(file.fileno())
        return load(self._source, **STRICTLY)

    def _mended(self, error: Exception) -> pyvips.Image:
        """A JPEG written anew, which is tried once; of what else fails, why."""
        import pyvips

        if self._mendable:
            self._mendable = False
            with suppress(pyvips.Error):
                return pyvips.Image.jpegload_buffer(mended(self.path.read_bytes()), **STRICTLY)
        message = f"a truncated or damaged {self._kind} ({reason(error)})"
        raise ImageError(self.path, message) from error

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
            raise ImageError(self.path, "the image is closed")
        try:
            self._keep(image)
        except self._error as error:
            image = self._mended(error)
            self._check(self.path, image)
            try:
                self._keep(image)
            except self._error:
                self._mended(error)
        self._image = self._source = None

    def _keep(self, image: pyvips.Image) -> None:
        """Decode the pixels to where they are read from."""
        if image.bands not in (1, 3):
            image = image[0] if self.channels == 1 else image[0:3]
        if self.height * self.width > self._in_memory:
            self._file = self._decode_to_file(image)
            return
        data = image.write_to_memory()
        pixels: Pixels = np.frombuffer(data, self.dtype).reshape(self.shape)
        pixels.flags.writeable = False
        self._pixels = pixels

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
