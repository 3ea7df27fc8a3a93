"""The tiles or strips of a TIFF page: where they lie, and what decodes them, strictly."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from .decoder import decode_apart
from .file import check_bomb, read_at
from .jpeg import SOI, adobe, decode_jpeg, is_ended, is_lossless, joined, looks_whole
from .tiff_pixels import RGB, YCBCR
from .vips import decoded_by_vips

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

__all__ = ["Segments"]

OLD_JPEG, JPEG = 6, {6, 7, 33007, 34892}
FAX = {2, 3, 4}
APERIO_YCBCR, PNG = 33003, 34933
JPEG_2000, JPEG_XR = {33003, 33004, 33005, 34712}, {22610, 34934}
# Those whose libraries have crashed, or may: the function of imagecodecs that decodes them.
APART = {
    **dict.fromkeys(JPEG_2000, "jpeg2k_decode"),
    **dict.fromkeys(JPEG_XR, "jpegxr_decode"),
    **dict.fromkeys((50002, 52546), "jpegxl_decode"),
    34887: "lerc_decode",
}
GDAL_NODATA = 42113
MEAN = 128  # the level that libjpeg fills with
Decode: TypeAlias = Callable[[bytes, int], NDArray[Any]]


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
        self.plain = bool(page.is_final)
        self._check()
        self._decode = self._decoder()

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
        decoded = self._decode(data.tobytes(), index)
        if decoded.ndim == 2:
            decoded = decoded[..., np.newaxis]
        rows, columns, samples = target.shape
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
        return self._page.nodata

    def _decoder(self) -> Decode:
        """The function that decodes a segment from its bytes and its number."""
        page, kind = self._page, int(self._page.compression)
        if kind in JPEG and page.jpegheader is None:
            return self._jpeg
        if kind in FAX:
            return self._fax
        if kind == PNG:
            return lambda data, index: decoded_by_vips("pngload_buffer", data)
        if kind in APART:
            return self._apart
        return self._by_tifffile

    def _by_tifffile(self, data: bytes, index: int) -> NDArray[Any]:
        page = self._page
        more = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
        decoded = page.decode(data, index, **more)[0]
        if decoded is None:
            raise ValueError(f"no pixels in {self._kind} {index}")
        pixels: NDArray[Any] = decoded[0]
        return pixels

    def _apart(self, data: bytes, index: int) -> NDArray[Any]:
        kind = int(self._page.compression)
        if kind in JPEG_XR:
            _check_jpeg_xr(data)
        elif kind in JPEG_2000:
            _check_jpeg_2000(data)
        pixels = decode_apart(APART[kind], data, most=self._bytes)
        if kind == APERIO_YCBCR and pixels.shape[2:] == (3,) and _is_ycbcr(data):
            return _from_ycbcr(pixels)
        return pixels

    def _jpeg(self, data: bytes, index: int) -> NDArray[Any]:
        """By imagecodecs; what may lack pixels, which it does not tell, by libvips, slower.

        Apart are those of more than 8 bits, lossless or with alpha.
        """
        from tifffile.tifffile import jpeg_decode_colorspace

        page = self._page
        if not data.startswith(SOI):
            raise ValueError(
                "old-style JPEG in TIFF (compression 6), expected that of today (7): save it again"
                if int(page.compression) == OLD_JPEG
                else f"{self._kind} {index} is no JPEG"
            )
        whole = joined(page.jpegtables, data)
        coloured = page.photometric == RGB and not page.extrasamples and not page.is_jfif
        if page.bitspersample == 8 and self.samples in (1, 3) and not is_lossless(whole):
            if looks_whole(data):
                pixels = self._by_tifffile(data, index)
                if (pixels[-1, -1] != MEAN).any():
                    return pixels
            return decode_jpeg(adobe(whole, 0) if coloured else whole)
        data = whole
        if not is_ended(data):
            raise ValueError("JPEG data that end early")
        stored, wanted = jpeg_decode_colorspace(
            page.photometric, page.planarconfig, page.extrasamples, page.is_jfif
        )
        return decode_apart(
            "jpeg_decode",
            data,
            most=self._bytes,
            bitspersample=page.bitspersample,
            colorspace=stored,
            outcolorspace=wanted,
        )

    def _fax(self, data: bytes, index: int) -> NDArray[Any]:
        """By libtiff, which says what is wrong, as the one strip of a TIFF of its own."""
        page = self._page
        rows = self.height
        if not page.is_tiled:
            rows = min(rows, self._size[0] - index % self._down * rows)
        entries = [
            (256, self.width),
            (257, rows),
            (258, 1),
            (259, int(page.compression)),
            (262, 1),
            (266, int(page.fillorder)),
            (273, 0),
            (277, 1),
            (278, rows),
            (279, len(data)),
            (292, int(page.tags.valueof(292) or 0)),
        ]
        place = 8 + 2 + 12 * len(entries) + 4
        table = b"".join(
            struct.pack("<HHII", tag, 4, 1, place if tag == 273 else value)
            for tag, value in entries
        )
        file = struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + table + bytes(4) + data
        pixels: NDArray[Any] = decoded_by_vips("tiffload_buffer", file) > 0
        return pixels


def _check_jpeg_xr(data: bytes) -> None:
    """Compare the size that its header tells with what is there; the library reads zeros behind."""
    found = {}
    try:
        table = struct.unpack_from("<I", data, 4)[0]
        count = struct.unpack_from("<H", data, table)[0]
        for place in range(table + 2, table + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from("<HHII", data, place)
            found[tag] = value
    except struct.error:
        raise ValueError("JPEG XR data that end in their header") from None
    end = found.get(0xBCC0, 0) + found.get(0xBCC1, 0)  # place and size of the image
    if end > len(data):
        raise ValueError(f"JPEG XR data of {len(data):,} bytes that should be {end:,}")


def _check_jpeg_2000(data: bytes) -> None:
    """Refuse the zeros of a full disk, which mean packets without content; a few are padding."""
    written = data.rstrip(b"\0")
    if len(data) - len(written) > 64 and not written.endswith(b"\xff\xd9"):
        raise ValueError("JPEG 2000 data that end early")


def _is_ycbcr(data: bytes) -> bool:
    """Whether what openjpeg gives of Y, Cb, Cr is still that.

    It turns them to RGB where the marker COD says so, and where SIZ says that there are
    fewer pixels of Cb and Cr.
    """
    size, coding = data.find(b"\xff\x51"), data.find(b"\xff\x52")
    return data[size + 44 : size + 46] == b"\1\1" and data[coding + 8 : coding + 9] == b"\0"


def _from_ycbcr(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Y, Cb, Cr of 8 bits, as in JFIF, to RGB."""
    luma, blue, red = (pixels[..., i].astype(np.float32) for i in range(3))
    blue, red = blue - 128, red - 128
    colours = [luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue]
    turned: NDArray[np.uint8] = np.rint(np.stack(colours, -1).clip(0, 255)).astype(np.uint8)
    return turned
