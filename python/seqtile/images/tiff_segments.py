"""The tiles or strips of a TIFF page: where they lie, and their pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from .file import check_bomb, read_at
from .tiff_decoding import TiffDecoder
from .tiff_pixels import RGB, YCBCR

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

__all__ = ["Segments"]

GDAL_NODATA = 42113


class Segments:
    """The tiles of a page, or its strips; one of several planes lies after the other.

    A tile of no bytes was never written, as around the tissue of a slide: it is white where the
    image has colours, black where it is grey, or what the tag GDAL_NODATA says.

    Attributes
    ----------
    height, width
        Of one, in pixels; those at the borders may hold fewer.
    planes
        1, or the number of samples where each has segments of its own.
    samples
        Of a pixel in a segment.
    plain
        Whether the pixels lie in the file as they are, row after row.
    dtype
        Of the samples, in the machine's byte order.

    Raises
    ------
    ImageError
        Segments that the file does not hold.
    """

    def __init__(self, path: Path, tiff: TiffFile, page: TiffPage) -> None:
        self._path = path
        self._tiff = tiff
        self._page = page
        self._size = int(page.imagelength), int(page.imagewidth)
        self.planes = int(page.samplesperpixel) if page.planarconfig == 2 else 1
        self.samples = 1 if self.planes > 1 else int(page.samplesperpixel)
        self.dtype: np.dtype[Any] = np.dtype(page.dtype).newbyteorder("=")
        self.height, self.width = (
            (int(page.tilelength), int(page.tilewidth))
            if page.is_tiled
            else (min(int(page.rowsperstrip), self._size[0]), self._size[1])
        )
        self._kind = "tile" if page.is_tiled else "strip"
        self._down = -(-self._size[0] // self.height)
        self._across = -(-self._size[1] // self.width)
        self._offsets = np.asarray(page.dataoffsets, np.int64)
        self._counts = np.asarray(page.databytecounts, np.int64)
        if not page.is_tiled and not self._counts.any() and self._offsets.all():
            self._counts = _up_to_the_next(self._offsets, path.stat().st_size)
        self.plain = bool(page.is_final)
        self._check()
        self._decoder = TiffDecoder(page, self.samples, self._bytes)

    def _check(self) -> None:
        """Compare the table of tiles or strips with the file's size."""
        needed = self.planes * self._down * self._across
        if min(len(self._offsets), len(self._counts)) < needed:
            raise ImageError(
                self._path,
                f"truncated or damaged: {len(self._offsets)} {self._kind}s where an image of "
                f"{self._size[0]} x {self._size[1]} has {needed}",
            )
        offsets, counts = self._offsets[:needed], self._counts[:needed]
        absent = counts == 0
        bad = ~absent & (offsets == 0) if self._page.is_tiled else absent | (offsets == 0)
        if bad.any() and not self.plain:
            first = int(bad.argmax())
            raise ImageError(
                self._path,
                f"damaged, or not written to its end: {self._kind} {first} has {counts[first]:,} "
                f"bytes at byte {offsets[first]:,}",
            )
        size = self._path.stat().st_size
        if self.plain:
            end = int(self._offsets[0]) + self._page.nbytes
        else:
            end = int((offsets + counts).max())
            used = counts[counts > 0]
            check_bomb(self._path, self._kind, self._bytes, int(used.min()) if len(used) else 0)
        if end > size:
            raise ImageError(
                self._path,
                f"truncated: {self._kind}s that end at byte {end:,} of a file of {size:,} bytes",
            )

    @property
    def _bytes(self) -> int:
        return self.height * self.width * self.samples * self.dtype.itemsize

    def plain_rows(self, begin: int, stop: int) -> NDArray[Any]:
        """Rows of pixels that lie in the file as they are: (rows, W, planes * samples)."""
        dtype = self.dtype.newbyteorder(self._tiff.byteorder)
        height, width = self._size
        row = width * self.samples * dtype.itemsize
        planes = []
        for plane in range(self.planes):
            rows = np.empty((stop - begin, width, self.samples), dtype)
            first = int(self._offsets[0]) + (plane * height + begin) * row
            read_at(self._path, self._tiff.filehandle.fileno(), first, rows)
            planes.append(rows)
        rows = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)
        return rows.astype(self.dtype, copy=False)

    def band(self, band: int) -> NDArray[Any]:
        """One row of tiles, or one strip: (rows, W, planes * samples)."""
        height, width = self._size
        rows = min(self.height, height - band * self.height)
        pixels = np.empty((rows, width, self.planes * self.samples), self.dtype)
        for plane in range(self.planes):
            samples = slice(plane, plane + 1) if self.planes > 1 else slice(None)
            for column in range(self._across):
                index = (plane * self._down + band) * self._across + column
                left = column * self.width
                self._fill(index, pixels[:, left : left + self.width, samples])
        return pixels

    def _fill(self, index: int, target: NDArray[Any]) -> None:
        offset, count = int(self._offsets[index]), int(self._counts[index])
        if count == 0:
            target[...] = self._ground
            return
        data = np.empty(count, np.uint8)
        read_at(self._path, self._tiff.filehandle.fileno(), offset, data)
        rows, columns, samples = target.shape
        shape = (self.height if self._page.is_tiled else rows, self.width)
        decoded = self._decoder.decode(data.tobytes(), index, shape)
        if decoded.ndim == 2:
            decoded = decoded[..., np.newaxis]
        if (
            decoded.shape[0] < rows
            or decoded.shape[1] not in (columns, self.width)
            or decoded.shape[2:] != (samples,)
            or decoded.dtype != self.dtype
        ):
            raise ValueError(
                f"{self._kind} {index} of {decoded.dtype} {decoded.shape}, expected "
                f"{self.dtype} {(self.height, self.width, samples)}"
            )
        target[...] = decoded[:rows, :columns]

    @property
    def _ground(self) -> int | float:
        colours = int(self._page.photometric) in (RGB, YCBCR)
        if colours and GDAL_NODATA not in self._page.tags:
            return (1 << int(self._page.bitspersample)) - 1
        ground: int | float = self._page.nodata
        return ground


def _up_to_the_next(offsets: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Sizes of strips where a program left out all of them: to the next, as in libtiff."""
    order = np.argsort(offsets)
    counts = np.empty_like(offsets)
    counts[order] = np.diff(offsets[order], append=size)
    return np.maximum(counts, 0)
