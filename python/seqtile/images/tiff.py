"""TIFF images by rows: only the tiles or strips are decoded that the rows lie in.

A compressed strip that is as tall as the image is decoded whole. Cut-off files are found out when
they are opened; bytes changed inside a tile may go unnoticed, as most compressions of TIFF, JPEG
among them, have no checksum.
"""

from __future__ import annotations

import logging
import struct
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from ..outputs import require
from .file import ImageFile, Pixels, blame, check_level
from .pixel_size import pixel_sides
from .tiff_pixels import TiffPixels
from .tiff_segments import Segments

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage, TiffPageSeries

__all__ = ["is_tiff", "open_tiff"]

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
BESIDE = {"thumbnail", "label", "macro"}  # what else a slide's file holds, at any size

# tifffile reports oddities to its logger, which without any handler prints them.
_silence = logging.NullHandler()


def is_tiff(head: bytes) -> bool:
    """Tell by its first four bytes whether a file is a TIFF or a BigTIFF."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def open_tiff(path: Path, *, level: int = 0) -> ImageFile:
    """Open a TIFF; see `seqtile.images.reading.open_image` for the parameters and errors.

    The image is the first of the file. Further ones are left out if they are smaller, or are called
    the thumbnail, label or macro of a slide. Other files of the same set are not read.
    """
    require("tifffile", "reading TIFF images")
    require("imagecodecs", "reading TIFF images")
    import tifffile

    logging.getLogger("tifffile").addHandler(_silence)
    with blame(path, "a damaged TIFF"):
        # Of a set in several files only the file that was named is read.
        tiff = tifffile.TiffFile(path, _multifile=False, is_mmstack=False, is_ndtiff=False)
        try:
            series = _one_plane(path, tiff)
            check_level(path, level, len(series.levels))
            _check_directory(path, tiff, series.levels[level].keyframe)
            return TiffImage(path, tiff, series, level)
        except BaseException:
            tiff.close()
            raise


def _size(page: TiffPage) -> tuple[int, int]:
    return int(page.imagelength), int(page.imagewidth)


def _one_plane(path: Path, tiff: TiffFile) -> TiffPageSeries:
    """The first image of the file, if it is a single plane and no other is as large."""
    empty = not all(_size(tiff.pages.first))  # whose series tifffile would look for without end
    if empty or not tiff.series:
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
    others = [series for series in others if series.name.lower() not in BESIDE]
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
        self._kind = TiffPixels.of(path, page)
        super().__init__(
            path,
            levels[level],
            self._kind.channels,
            self._kind.dtype,
            levels=levels,
            level=level,
            pixel_sides=pixel_sides(tiff, series, level),
        )
        self._tiff = tiff
        self._segments = Segments(path, tiff, page)
        self._bands: dict[int, NDArray[Any]] = {}
        self._lock = Lock()

    def close(self) -> None:
        self._bands = {}
        self._tiff.close()

    def _rows(self, begin: int, stop: int) -> Pixels:
        with self._lock:
            plain = self._segments.plain
            raw = self._segments.plain_rows(begin, stop) if plain else self._decoded(begin, stop)
        return self._kind.finished(raw)

    def _decoded(self, begin: int, stop: int) -> NDArray[Any]:
        """Decode the bands that the rows lie in, but those that the last call has left."""
        segments, height = self._segments, self._segments.height
        needed = range(begin // height, -(-stop // height) if stop > begin else begin // height)
        self._bands = {
            band: self._bands[band] if band in self._bands else segments.band(band)
            for band in needed
        }
        samples = segments.planes * segments.samples
        rows = np.empty((stop - begin, self.width, samples), segments.dtype)
        for band, pixels in self._bands.items():
            first = max(begin, band * height)
            last = min(stop, (band + 1) * height)
            rows[first - begin : last - begin] = pixels[
                first - band * height : last - band * height
            ]
        return rows
