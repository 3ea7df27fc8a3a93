"""TIFF images by rows: only the tiles or strips are decoded that the rows lie in.

A compressed strip that is as tall as the image is decoded whole. Cut-off files are found out when
they are opened; bytes changed inside a tile may go unnoticed, as most compressions of TIFF, JPEG
among them, have no checksum.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from ..outputs import require
from .file import ImageFile, Pixels, check_bomb, check_level, read_at
from .pixel_size import pixel_size

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage, TiffPageSeries

__all__ = ["is_tiff", "open_tiff"]

MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
JPEG = {6, 7, 33007, 34892}  # the compressions whose decoder turns YCbCr to RGB
# The tags that say what and where the pixels are.
STRUCTURE = {
    256,
    257,
    258,
    259,
    262,
    266,
    273,
    277,
    278,
    279,
    284,
    317,
    320,
    322,
    323,
    324,
    325,
    338,
    339,
    347,
    530,
}
ALPHA = {1, 2}  # of the tag ExtraSamples: associated, unassociated

# tifffile reports oddities to its logger, which without any handler prints them.
_silence = logging.NullHandler()


def is_tiff(head: bytes) -> bool:
    """Tell by its first four bytes whether a file is a TIFF or a BigTIFF."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def open_tiff(path: Path, *, level: int = 0) -> ImageFile:
    """Open a TIFF; see `seqtile.images.reading.open_image` for the parameters and errors.

    The image is the first of the file. Further ones are left out if they are all smaller: the
    thumbnail, label and macro of a slide.
    """
    require("tifffile", "reading TIFF images")
    require("imagecodecs", "reading TIFF images")
    import tifffile

    logging.getLogger("tifffile").addHandler(_silence)
    with _blame(path, "damaged TIFF"):
        tiff = tifffile.TiffFile(path)
    try:
        with _blame(path, "damaged TIFF"):
            series = _one_plane(path, tiff)
            check_level(path, level, len(series.levels))
            _check_directory(path, tiff, series.levels[level].keyframe)
            return TiffImage(path, tiff, series, level)
    except BaseException:
        tiff.close()
        raise


@contextmanager
def _blame(path: Path, problem: str) -> Iterator[None]:
    """Name the file in the errors of the parser and of the decoders, which are of many classes."""
    try:
        yield
    except (ImageError, FileNotFoundError, PermissionError):
        raise
    except Exception as error:
        raise ImageError(path, f"{problem}: {error}") from error


def _size(page: TiffPage) -> tuple[int, int]:
    return int(page.imagelength), int(page.imagewidth)


def _one_plane(path: Path, tiff: TiffFile) -> TiffPageSeries:
    """The first image of the file, if it is a single plane and no other is as large."""
    if not tiff.series:
        raise ImageError(path, "a TIFF without an image")
    first, *others = tiff.series
    page = first.keyframe
    height, width = _size(page)
    planes = first.size // max(1, height * width * page.samplesperpixel)
    if planes != 1:
        raise ImageError(
            path,
            f"a stack of {planes} planes of {height} x {width} (axes {first.axes}, shape "
            f"{first.shape}), expected one plane: save the plane or the projection to be read",
        )
    areas = [np.prod(_size(series.keyframe), dtype=np.int64) for series in others]
    if any(area >= height * width for area in areas):
        raise ImageError(
            path,
            f"{len(tiff.series)} images, of which the first, {height} x {width}, is not the "
            "largest: expected one image, and beside it only smaller ones",
        )
    return first


def _check_directory(path: Path, tiff: TiffFile, page: TiffPage) -> None:
    """Refuse a page of which tifffile left out a damaged tag, and pages that are cut off."""
    missing = STRUCTURE & _directory(tiff, page.offset)[0] - {tag.code for tag in page.tags}
    if missing:
        raise ImageError(path, f"truncated or damaged: tags {sorted(missing)} cannot be read")
    last = tiff.pages[len(tiff.pages) - 1]
    following = _directory(tiff, last.offset)[1]
    if following:
        raise ImageError(path, f"truncated or damaged: no page at byte {following:,}, its next one")


def _directory(tiff: TiffFile, offset: int) -> tuple[set[int], int]:
    """The codes of a page's tags as the file lists them, and the place of the next page or 0."""
    layout, file = tiff.tiff, tiff.filehandle
    file.seek(offset)
    (count,) = struct.unpack(layout.tagnoformat, file.read(layout.tagnosize))
    tags = file.read(count * layout.tagsize)
    codes = np.ndarray(count, f"{tiff.byteorder}u2", tags, strides=(layout.tagsize,))
    (following,) = struct.unpack(layout.offsetformat, file.read(layout.offsetsize))
    return set(codes.tolist()), int(following)


class TiffImage(ImageFile):
    """One plane of a TIFF at one level of its pyramid."""

    def __init__(self, path: Path, tiff: TiffFile, series: TiffPageSeries, level: int) -> None:
        levels = tuple(_size(item.keyframe) for item in series.levels)
        page = series.levels[level].keyframe
        self._channels = _samples(path, page)
        channels = 3 if page.photometric == PALETTE else self._channels
        self._bits = _bits(path, page)
        super().__init__(
            path,
            levels[level],
            channels,
            np.dtype(np.uint8 if self._bits <= 8 or page.photometric == PALETTE else np.uint16),
            levels=levels,
            level=level,
            pixel_size=pixel_size(tiff, series, level),
        )
        self._tiff = tiff
        self._page = page
        self._planes = page.samplesperpixel if page.planarconfig == 2 else 1
        self._samples = 1 if self._planes > 1 else page.samplesperpixel
        self._segment = (
            (page.tilelength, page.tilewidth)
            if page.is_tiled
            else (min(page.rowsperstrip, self.height), self.width)
        )
        self._down = -(-self.height // self._segment[0])
        self._across = -(-self.width // self._segment[1])
        self._bands: dict[int, NDArray[Any]] = {}
        self._lock = Lock()
        self._palette = _palette(page) if page.photometric == PALETTE else None
        self._check_segments()

    def _check_segments(self) -> None:
        """Compare the table of tiles or strips with the file's size."""
        page = self._page
        self._offsets = np.asarray(page.dataoffsets, np.int64)
        self._counts = np.asarray(page.databytecounts, np.int64)
        needed = self._planes * self._down * self._across
        kind = "tiles" if page.is_tiled else "strips"
        if min(len(self._offsets), len(self._counts)) < needed:
            raise ImageError(
                self.path,
                f"truncated or damaged: {len(self._offsets)} {kind} where an image of "
                f"{self.height} x {self.width} has {needed}",
            )
        size = self.path.stat().st_size
        self._plain = bool(page.is_final)
        if self._plain:
            end = self._offsets[0] + page.nbytes
        else:
            end = int((self._offsets + self._counts)[:needed].max())
            pixels = self._segment[0] * self._segment[1] * self._samples
            used = self._counts[:needed][self._counts[:needed] > 0]
            packed = int(used.min()) if len(used) else 0
            check_bomb(self.path, kind[:-1], pixels * self.dtype.itemsize, packed)
        if end > size:
            raise ImageError(
                self.path, f"truncated: {kind} that end at byte {end:,} of a file of {size:,} bytes"
            )

    def close(self) -> None:
        self._bands = {}
        self._tiff.close()

    def _rows(self, begin: int, stop: int) -> Pixels:
        shape = (stop - begin, self.width, self._planes * self._samples)
        with self._lock, _blame(self.path, "pixels that cannot be decoded"):
            raw = self._plain_rows(begin, stop) if self._plain else np.empty(shape, self._raw_dtype)
            if not self._plain:
                self._decoded_rows(begin, stop, raw)
        return self._finished(raw)

    @property
    def _raw_dtype(self) -> np.dtype[Any]:
        kind: np.dtype[Any] = np.dtype(self._page.dtype).newbyteorder("=")
        return kind

    def _plain_rows(self, begin: int, stop: int) -> NDArray[Any]:
        """Rows of pixels that lie in the file as they are: (rows, W, samples)."""
        dtype = self._raw_dtype.newbyteorder(self._tiff.byteorder)
        row = self.width * self._samples * dtype.itemsize
        planes = []
        for plane in range(self._planes):
            rows = np.empty((stop - begin, self.width, self._samples), dtype)
            first = int(self._offsets[0]) + (plane * self.height + begin) * row
            read_at(self.path, self._tiff.filehandle.fileno(), first, rows)
            planes.append(rows)
        rows = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)
        return rows.astype(self._raw_dtype, copy=False)

    def _decoded_rows(self, begin: int, stop: int, out: NDArray[Any]) -> None:
        """Decode the bands that the rows lie in, but those that the last call has left."""
        height = self._segment[0]
        needed = range(begin // height, -(-stop // height) if stop > begin else begin // height)
        self._bands = {
            band: self._bands[band] if band in self._bands else self._decode_band(band)
            for band in needed
        }
        for band, pixels in self._bands.items():
            first = max(begin, band * height)
            last = min(stop, (band + 1) * height)
            out[first - begin : last - begin] = pixels[first - band * height : last - band * height]

    def _decode_band(self, band: int) -> NDArray[Any]:
        """One row of tiles, or one strip: (rows, W, samples)."""
        page = self._page
        height, width = self._segment
        rows = min(height, self.height - band * height)
        pixels = np.empty((rows, self.width, self._planes * self._samples), self._raw_dtype)
        for plane in range(self._planes):
            samples = slice(plane, plane + 1) if self._planes > 1 else slice(None)
            for column in range(self._across):
                index = (plane * self._down + band) * self._across + column
                offset, count = int(self._offsets[index]), int(self._counts[index])
                target = pixels[:, column * width : (column + 1) * width, samples]
                if count == 0 or offset == 0:  # a tile that was never written
                    target[...] = page.nodata
                    continue
                data = np.empty(count, np.uint8)
                read_at(self.path, self._tiff.filehandle.fileno(), offset, data)
                more = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
                decoded = page.decode(data.tobytes(), index, **more)[0]
                if decoded is None:
                    raise ValueError(f"no pixels in segment {index}")
                target[...] = decoded[0, : target.shape[0], : target.shape[1]]
        return pixels

    def _finished(self, raw: NDArray[Any]) -> Pixels:
        """Bring stored samples (rows, W, samples) to grey levels or RGB."""
        if self._palette is not None:
            coloured: Pixels = self._palette[raw[..., 0]]
            return coloured
        pixels: Pixels = raw[..., 0] if self._channels == 1 else raw[..., : self._channels]
        if self._bits == 1:
            pixels = pixels.astype(np.uint8)
        if self._bits < 8:
            pixels = pixels * np.uint8(255 // ((1 << self._bits) - 1))
        if self._page.photometric == MIN_IS_WHITE:
            pixels = self.dtype.type((1 << max(8, self._bits)) - 1) - pixels
        return np.ascontiguousarray(pixels)


def _samples(path: Path, page: TiffPage) -> int:
    """How many of a pixel's samples are read: 1 or 3; refuse what is neither grey nor RGB."""
    samples, photometric = int(page.samplesperpixel), int(page.photometric)
    alpha = len(page.extrasamples) == 1 and int(page.extrasamples[0]) in ALPHA
    if photometric == CMYK:
        raise ImageError(path, "CMYK pixels, expected grey or RGB: convert the image to RGB")
    if photometric in (RGB, YCBCR) and samples in (3, 4):
        if photometric == YCBCR and int(page.compression) not in JPEG:
            raise ImageError(
                path, "YCbCr pixels without JPEG compression: convert the image to RGB"
            )
        return 3
    if photometric == PALETTE and samples == 1:
        return 1
    if photometric in (MIN_IS_WHITE, MIN_IS_BLACK):
        if samples in (1, 3) or (samples in (2, 4) and alpha):
            return 1 if samples < 3 else 3
        raise ImageError(
            path,
            f"{samples} channels (shape {page.shape}, axes {page.axes}), expected 1, 3 (RGB) or 4 "
            "(RGB and alpha): save the channel to be read",
        )
    raise ImageError(
        path,
        f"pixels of kind {getattr(page.photometric, 'name', photometric)} with {samples} samples, "
        "expected grey, RGB, RGB and alpha, or a palette",
    )


def _bits(path: Path, page: TiffPage) -> int:
    """Bits of a sample; refuse what is no unsigned number of up to 16 bits."""
    bits = page.bitspersample
    dtype = np.dtype(page.dtype) if page.dtype is not None else None
    if dtype is None or dtype.kind not in "bu" or dtype.itemsize > 2:
        raise ImageError(
            path,
            f"pixels of {dtype if dtype is not None else 'an unknown kind'}, expected uint8 or "
            "uint16: scale them, for example to (x - min) / (max - min) * 65535, and save them "
            "as uint16",
        )
    if not isinstance(bits, int) or not (bits in (1, 2, 4) or 8 <= bits <= 16):
        raise ImageError(path, f"{bits} bits per sample, expected 1, 2, 4 or 8 to 16")
    return bits


def _palette(page: TiffPage) -> NDArray[np.uint8]:
    """The colours of a palette: (entries, 3), from 16 bits to 8 as libtiff does."""
    if page.colormap is None:
        raise ValueError("a palette image without its palette")
    colours: NDArray[Any] = np.asarray(page.colormap).T
    if colours.max(initial=0) > 255:  # some programs write 8-bit colours
        colours = colours >> 8
    return np.ascontiguousarray(colours, np.uint8)
