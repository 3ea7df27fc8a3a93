"""Tiles and strips that end early, were never written, or are of kinds that few decode."""

from __future__ import annotations

import struct
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seqtile.errors import ImageError
from seqtile.images.reading import open_image, read_image
from tests.python.pictures import Array, encoded, picture

tifffile = pytest.importorskip("tifffile")
imagecodecs = pytest.importorskip("imagecodecs")
pytest.importorskip("pyvips")

GREY, COLOUR = picture(64, 48), picture(64, 48, 3)
BITS = GREY > 128
TILES: dict[str, Any] = {"tile": (32, 32)}
QUALITY = {"level": 90}
FILES: dict[str, tuple[Array, dict[str, Any]]] = {
    "jpeg": (GREY, {"compression": "jpeg", "compressionargs": QUALITY}),
    "jpeg-tiles": (COLOUR, {"compression": "jpeg", "compressionargs": QUALITY, **TILES}),
    "jpeg-12": (GREY.astype(np.uint16) << 4, {"compression": "jpeg", "bitspersample": 12}),
    "jpeg-2000": (COLOUR, {"compression": "jpeg2000", **TILES}),
    "jpeg-xr": (GREY, {"compression": "jpegxr"}),
    "jpeg-xr-tiles": (COLOUR, {"compression": "jpegxr", **TILES}),
    "jpeg-xl": (COLOUR, {"compression": "jpegxl"}),
    "webp": (COLOUR, {"compression": "webp", "compressionargs": {"level": -1}}),
    "png": (GREY, {"compression": "png"}),
    "png-16": (picture(64, 48, 3, np.uint16), {"compression": "png", **TILES}),
    "lerc": (GREY, {"compression": "lerc"}),
    "deflate": (GREY, {"compression": "zlib"}),
    "lzw": (GREY, {"compression": "lzw"}),
    "packbits": (GREY, {"compression": "packbits"}),
    "zstd": (GREY, {"compression": "zstd"}),
    "lzma": (GREY, {"compression": "lzma"}),
}
FAX = {"group3": "group3", "group4": "group4", "rle": "tiff_ccitt"}


def written(path: Path, name: str) -> Array:
    """The file of this name, and its pixels as the independent reader has them."""
    if name in FAX:
        path.write_bytes(encoded(BITS, "TIFF", compression=FAX[name]))
        return np.uint8(255) * BITS
    pixels, options = FILES[name]
    options = {"photometric": "rgb" if pixels.ndim == 3 else "minisblack"} | deepcopy(options)
    tifffile.imwrite(path, pixels, metadata=None, **options)
    expected: Array = tifffile.imread(path)
    return expected


def segment(path: Path, index: int = 0) -> tuple[int, int]:
    """Place and size of a strip or tile."""
    with tifffile.TiffFile(path) as tiff:
        return tiff.pages.first.dataoffsets[index], tiff.pages.first.databytecounts[index]


def set_tag(path: Path, tag: int, value: Any) -> None:
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages.first.tags[tag].overwrite(value)


ALL = [*FILES, *FAX]


@pytest.mark.parametrize("name", ALL)
def test_sound_files_are_read(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.tif"
    expected = written(path, name)
    np.testing.assert_array_equal(read_image(path), expected)
    assert capfd.readouterr() == ("", "")


EARLY = pytest.mark.parametrize("kept", [0.1, 0.6, 0.9])


@EARLY
@pytest.mark.parametrize("name", ALL)
def test_data_that_end_early(
    name: str, kept: float, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.tif"
    written(path, name)
    with tifffile.TiffFile(path) as tiff:
        tag = 325 if tiff.pages.first.is_tiled else 279
        size, *sizes = tiff.pages.first.databytecounts
    set_tag(path, tag, [int(size * kept), *sizes])
    with open_image(path) as image, pytest.raises(ImageError, match=r"a\.tif: pixels that cannot"):
        image.read()
    assert capfd.readouterr() == ("", "")


@EARLY
@pytest.mark.parametrize(
    "name", ["jpeg", "jpeg-tiles", "jpeg-12", "jpeg-2000", "jpeg-xl", "png", *FAX]
)
def test_zeros_of_a_full_disk(name: str, kept: float, tmp_path: Path) -> None:
    """Where a format has a mark of its end, or no zeros."""
    path = tmp_path / "a.tif"
    written(path, name)
    place, size = segment(path)
    content = bytearray(path.read_bytes())
    content[place + int(size * kept) : place + size] = bytes(size - int(size * kept))
    path.write_bytes(content)
    with open_image(path) as image, pytest.raises(ImageError, match=r"a\.tif: pixels that cannot"):
        image.read()


def test_jpeg_data_that_end_early_with_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    written(path, "jpeg")
    place, size = segment(path)
    content = bytearray(path.read_bytes())
    half = place + size // 2
    content[half : half + 2] = b"\xff\xd9"
    path.write_bytes(content)
    with pytest.raises(ImageError, match="premature end"):
        read_image(path)


@pytest.mark.parametrize("strip", [0, 3])
def test_a_strip_of_no_bytes(strip: int, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, rowsperstrip=16, compression="zlib", metadata=None)
    sizes = [segment(path, index)[1] for index in range(4)]
    sizes[strip] = 0
    set_tag(path, 279, sizes)
    with pytest.raises(ImageError, match=f"not written to its end: strip {strip} has 0 bytes"):
        open_image(path)


@pytest.mark.parametrize("compression", [None, "zlib", "packbits", "lzw", "jpeg"])
@pytest.mark.parametrize("rows", [16, 64])
def test_strips_whose_sizes_were_left_out(
    rows: int, compression: str | None, tmp_path: Path
) -> None:
    """They end where the next begins; Pillow takes that of one strip, and of plain ones."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, rowsperstrip=rows, compression=compression, metadata=None)
    expected = tifffile.imread(path)
    set_tag(path, 279, [0] * (64 // rows))
    np.testing.assert_array_equal(read_image(path), expected)
    if rows == 64 or compression is None:
        with Image.open(path) as image:
            np.testing.assert_array_equal(np.asarray(image), expected)


def test_a_tile_without_a_place(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, tile=(32, 32), compression="zlib", metadata=None)
    set_tag(path, 324, [0] + [segment(path, index)[0] for index in range(1, 4)])
    with pytest.raises(ImageError, match="tile 0 has [0-9,]+ bytes at byte 0"):
        open_image(path)


def test_a_segment_of_another_size_than_the_tags_say(tmp_path: Path) -> None:
    """Neither stretched nor repeated."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, compression="png", rowsperstrip=64, metadata=None)
    row = imagecodecs.png_encode(GREY[:1])
    content = path.read_bytes() + row
    path.write_bytes(content)
    set_tag(path, 273, len(content) - len(row))
    set_tag(path, 279, len(row))
    with pytest.raises(ImageError, match="pixels that cannot be decoded"):
        read_image(path)


def test_old_style_jpeg_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, metadata=None)
    set_tag(path, 259, 6)
    with pytest.raises(ImageError, match=r"old-style JPEG in TIFF \(compression 6\).*save it"):
        read_image(path)


def test_a_palette_of_two_colours(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    colours = [40, 250, 80, 10, 120, 0]  # red of both, green, blue
    palette = (320, "H", 6, [level * 257 for level in colours], True)
    tifffile.imwrite(path, BITS, extratags=[palette], metadata=None)
    set_tag(path, 262, 3)
    expected = np.where(BITS[..., np.newaxis], [250, 10, 0], [40, 80, 120])
    np.testing.assert_array_equal(read_image(path), expected)
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), expected)


# Aperio's JPEG 2000


def jpeg2000(*planes: Array, fewer: tuple[int, int] = (1, 1)) -> bytes:
    """A stream of three components, of which the last two may have fewer pixels."""
    headers, packets = [], []
    for plane in planes:
        stream = imagecodecs.jpeg2k_encode(
            plane, codecformat="J2K", level=0, mct=False, reversible=True, resolutions=2
        )
        place, header = 2, {}
        while (marker := stream[place : place + 2]) != b"\xff\x93":
            size = int.from_bytes(stream[place + 2 : place + 4])
            header[marker] = stream[place + 2 : place + 2 + size]
            place += 2 + size
        headers.append(header)
        packets.append(stream[place + 2 : -2])
    size_of, coding, steps = (
        headers[0][marker] for marker in (b"\xff\x51", b"\xff\x52", b"\xff\x5c")
    )
    components = bytes([7, 1, 1, 7, *fewer, 7, *fewer])
    size_of = struct.pack(">H", 47) + size_of[2:36] + struct.pack(">H", 3) + components
    coding = coding[:3] + b"\4" + coding[4:]  # component after component
    data = b"".join(packets)
    start = struct.pack(">HHIBB", 10, 0, 14 + len(data), 0, 1)
    return b"\xff\x4f\xff\x51%b\xff\x52%b\xff\x5c%b" % (
        size_of,
        coding,
        steps,
    ) + b"\xff\x90%b\xff\x93%b\xff\xd9" % (start, data)


@pytest.mark.parametrize("fewer", [(1, 1), (2, 1)])
@pytest.mark.parametrize("photometric", [2, 6])
def test_aperio_ycbcr_gives_rgb(photometric: int, fewer: tuple[int, int], tmp_path: Path) -> None:
    blocks = np.kron(picture(8, 8, 3), np.ones((4, 4, 1), np.uint8))
    ycbcr = np.asarray(Image.fromarray(blocks).convert("YCbCr"))
    across, down = fewer
    planes = ycbcr[..., 0], *(ycbcr[::down, ::across, channel] for channel in (1, 2))
    data = jpeg2000(*map(np.ascontiguousarray, planes), fewer=fewer)
    path = tmp_path / "a.svs"
    tifffile.imwrite(
        path,
        iter([data]),
        shape=blocks.shape,
        dtype=np.uint8,
        tile=(32, 32),
        photometric="rgb",
        compression=33003,
        metadata=None,
    )
    set_tag(path, 262, photometric)
    assert np.abs(read_image(path).astype(int) - blocks).max() <= 3


def test_ycbcr_that_no_decoder_turns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    planes = np.moveaxis(COLOUR, 2, 0)
    options: dict[str, Any] = {"photometric": "rgb", "planarconfig": "separate", "metadata": None}
    for compression in ("jpeg", None):
        tifffile.imwrite(path, planes, compression=compression, **options)
        assert read_image(path).shape == COLOUR.shape
        set_tag(path, 262, 6)
        with pytest.raises(ImageError, match="YCbCr pixels in planes, .*convert the image to RGB"):
            open_image(path)


def test_aperio_rgb_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    for compression in (33003, 33005):  # the first as tifffile writes it, with its own transform
        tifffile.imwrite(path, COLOUR, tile=(32, 32), compression=compression, photometric="rgb")
        np.testing.assert_array_equal(read_image(path), tifffile.imread(path))
        assert np.abs(read_image(path).astype(int) - COLOUR).max() <= 2
