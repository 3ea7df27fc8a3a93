"""JPEG streams: decoded strictly, and what cameras write beside the rules put right first.

Every warning of libjpeg is an error here, as most mean that pixels are missing or made up. Some
mean nothing of the kind: `mended` writes those streams anew by the rules, and they are tried again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from mmap import mmap

import numpy as np
from numpy.typing import NDArray

from .vips import decoded_by_vips

__all__ = [
    "adobe",
    "decode_jpeg",
    "is_ended",
    "is_lossless",
    "joined",
    "looks_whole",
    "mended",
]

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
START_OF_SCAN, APP0, ADOBE = 0xDA, 0xE0, 0xEE
BASELINE = 0xC0
SEQUENTIAL = {0xC0, 0xC1}  # frames of which a scan has all 64 coefficients
LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF}
# Tables, frames, scans, restart interval; what else there is does not change a pixel.
NEEDED = {*range(0xC0, 0xD0), 0xDA, 0xDB, 0xDC, 0xDD} - {0xC8}
JFIF = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
# The first byte of a marker, and not of a restart, of a stuffed byte or of padding.
MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def decode_jpeg(data: bytes) -> NDArray[np.uint8]:
    """Decode a whole stream: (H, W) or (H, W, 3) as RGB.

    Raises
    ------
    ValueError
        Data that end early or are damaged.
    """
    if not is_ended(data):
        raise ValueError("JPEG data that end early")
    try:
        return decoded_by_vips("jpegload_buffer", data)
    except ValueError as error:
        try:
            return decoded_by_vips("jpegload_buffer", mended(data))
        except ValueError:
            raise error from None


def joined(tables: bytes | None, data: bytes) -> bytes:
    """A stream with the tables that a TIFF keeps apart."""
    if not tables or not data.startswith(SOI):
        return data
    return SOI + tables.removeprefix(SOI).removesuffix(EOI) + data[len(SOI) :]


def adobe(data: bytes, transform: int) -> bytes:
    """A stream that says whether its colours are RGB, 0, or YCbCr, 1."""
    marker = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([transform])
    return SOI + marker + data.removeprefix(SOI)


def is_ended(data: bytes | mmap) -> bool:
    """Whether a stream has the mark of its end; libjpeg may decode the zeros of a full disk."""
    return data[-2:] == EOI or any(kind == EOI[1] for kind, _, _ in _parts(data))


def looks_whole(data: bytes) -> bool:
    """Whether a stream is one baseline scan to its mark, without a run of zeros.

    What a decoder without warnings made of such a stream is complete if its last pixel is not the
    mean level, with which libjpeg fills what it misses.
    """
    kinds = [kind for kind, _, _ in _parts(data)]
    return BASELINE in kinds and kinds[-2:] == [START_OF_SCAN, EOI[1]] and bytes(32) not in data


def is_lossless(data: bytes) -> bool:
    """Whether a stream is of lossless JPEG, which libjpeg does not decode."""
    return any(kind in LOSSLESS for kind, _, _ in _parts(data))


def mended(data: bytes) -> bytes:
    """A stream written anew by the rules.

    Left out are stray bytes before a marker of the header, zeros that pad a scan, and what the
    pixels do not depend on (comments, EXIF, profiles); put right are the scan's range of
    coefficients where it can only be all of them, and the version of JFIF. Anything else stays, and
    stays an error.
    """
    kept, sequential = [SOI], False
    for kind, content, scan in _parts(data):
        if kind == EOI[1]:
            kept.append(EOI)
        elif kind == START_OF_SCAN:
            packed = scan.rstrip(b"\0")
            packed += b"\0" * packed.endswith(b"\xff")  # a stuffed byte
            start = content[:-3] + b"\0\x3f\0" if sequential else content
            kept += [b"\xff\xda", start, packed]
        elif kind == APP0 and content[2:7] == b"JFIF\0":
            kept.append(JFIF)
        elif kind in NEEDED or (kind == ADOBE and content[2:7] == b"Adobe"):
            sequential = sequential or kind in SEQUENTIAL
            kept += [bytes([0xFF, kind]), content]
    return b"".join(kept)


def _parts(data: bytes | mmap) -> Iterator[tuple[int, bytes, bytes]]:
    """Each marker to the end: its kind, its content with the length, and of a scan the data."""
    place = len(SOI)
    while found := MARKER.search(data, place):
        kind, begin = data[found.end() - 1], found.end()
        if kind == EOI[1]:
            yield kind, b"", b""
            return
        place = begin + int.from_bytes(data[begin : begin + 2])
        content, scan = data[begin:place], b""
        if kind == START_OF_SCAN:
            following = MARKER.search(data, place)
            end = following.start() if following else len(data)
            scan, place = data[place:end], end
        yield kind, content, scan
