"""A tile or strip of a TIFF decoded, by what is strict about its compression."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .decoder import decode_apart
from .jpeg import SOI, adobe, decode_jpeg, is_ended, is_lossless, joined, looks_whole
from .tiff_pixels import RGB
from .vips import decoded_by_vips

if TYPE_CHECKING:
    from tifffile import TiffPage

__all__ = ["TiffDecoder"]

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
MEAN = 128  # the level that libjpeg fills with


class TiffDecoder:
    """Decodes the segments of one page.

    Parameters
    ----------
    page
        Its tags.
    samples
        Of a pixel in a segment.
    most
        Bytes that the pixels of a segment may have.
    """

    def __init__(self, page: TiffPage, samples: int, most: int) -> None:
        self._page = page
        self._samples = samples
        self._most = most

    def decode(self, data: bytes, index: int, shape: tuple[int, int]) -> NDArray[Any]:
        """Pixels of a segment: (H, W), or (H, W, samples), as its data say.

        Parameters
        ----------
        data
            Its bytes.
        index
            Its number.
        shape
            Height and width that the page says.

        Raises
        ------
        Exception
            Of many classes; of damage.
        """
        kind = int(self._page.compression)
        if kind in JPEG and self._page.jpegheader is None:
            return self._jpeg(data, index)
        if kind in FAX:
            return self._fax(data, *shape)
        if kind == PNG:
            return decoded_by_vips("pngload_buffer", data)
        if kind in APART:
            return self._apart(data)
        return self._by_tifffile(data, index)

    def _by_tifffile(self, data: bytes, index: int) -> NDArray[Any]:
        page = self._page
        more = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
        decoded = page.decode(data, index, **more)[0]
        if decoded is None:
            raise ValueError(f"no pixels in segment {index}")
        pixels: NDArray[Any] = decoded[0]
        return pixels

    def _apart(self, data: bytes) -> NDArray[Any]:
        kind = int(self._page.compression)
        if kind in JPEG_XR:
            _check_jpeg_xr(data)
        elif kind in JPEG_2000:
            _check_jpeg_2000(data)
        pixels = decode_apart(APART[kind], data, most=self._most)
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
                else f"segment {index} is no JPEG"
            )
        whole = joined(page.jpegtables, data)
        coloured = page.photometric == RGB and not page.extrasamples and not page.is_jfif
        if page.bitspersample == 8 and self._samples in (1, 3) and not is_lossless(whole):
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
            most=self._most,
            bitspersample=page.bitspersample,
            colorspace=stored,
            outcolorspace=wanted,
        )

    def _fax(self, data: bytes, rows: int, width: int) -> NDArray[Any]:
        """By libtiff, which says what is wrong, as the one strip of a TIFF of its own."""
        page = self._page
        entries = [
            (256, width),
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
