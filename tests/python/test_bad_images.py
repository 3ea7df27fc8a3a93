"""Files that are no image, are damaged, or hold pixels of another kind: an error that says so."""

from __future__ import annotations

import errno
import os
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from PIL import Image

from seqtile.errors import ImageError
from seqtile.images.reading import open_image, read_image
from tests.python.pictures import encoded, picture

tifffile = pytest.importorskip("tifffile")
pyvips = pytest.importorskip("pyvips")
pytest.importorskip("cv2")
pytest.importorskip("imagecodecs")

GREY, COLOUR = picture(67, 51), picture(67, 51, 3)
Write = Callable[[Path], object]


def png(height: int, width: int, rows: bytes, *, colour: int = 2, bits: int = 8) -> bytes:
    """A PNG with checksums that hold, whatever its rows."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def tiff(pixels: Any, **options: Any) -> Write:
    return lambda path: tifffile.imwrite(path, pixels, **options)


def several_tiffs(*shapes: tuple[int, ...]) -> Write:
    def write(path: Path) -> None:
        with tifffile.TiffWriter(path) as writer:
            for shape in shapes:
                writer.write(np.zeros(shape, np.uint8), metadata=None)

    return write


def declared(height: int, width: int, **options: Any) -> Write:
    """A TIFF whose header says more than its pixels are."""

    def write(path: Path) -> None:
        tifffile.imwrite(path, np.zeros((16, 16), np.uint8), metadata=None, **options)
        with tifffile.TiffFile(path, mode="r+b") as file:
            file.pages.first.tags["ImageLength"].overwrite(height)
            file.pages.first.tags["ImageWidth"].overwrite(width)
            if "RowsPerStrip" in file.pages.first.tags:
                file.pages.first.tags["RowsPerStrip"].overwrite(height)

    return write


def bmp(*, width: int = 51, height: int = 67, compression: int = 0, header: int = 40) -> bytes:
    content = bytearray(encoded(COLOUR, "BMP"))
    struct.pack_into("<I", content, 14, header)
    struct.pack_into("<ii", content, 18, width, height)
    struct.pack_into("<I", content, 30, compression)
    return bytes(content)


NAN = np.full((8, 8), np.nan, np.float32)
TWICE = {"save_all": True, "append_images": [Image.fromarray(255 - COLOUR)]}
BAD: dict[str, tuple[bytes | Write, str]] = {
    "empty.png": (b"", "expected an image, found an empty file"),
    "empty.tif": (b"", "found an empty file"),
    "text.png": (b"no image\n" * 9, "expected a PNG, JPEG, GIF, BMP or TIFF image"),
    "one-byte.jpg": (b"\xff", "expected a PNG, JPEG"),
    "signature.png": (b"\x89PNG\r\n\x1a\n", "truncated or damaged PNG"),
    "signature.jpg": (b"\xff\xd8\xff\xe0", "truncated or damaged JPEG"),
    "signature.tif": (b"II*\0", "damaged TIFF"),
    "signature.bmp": (b"BM\0\0", "truncated: a BMP that ends in its header"),
    "short-rows.png": (png(10, 10, bytes(31 * 5)), "truncated or damaged PNG"),
    "bad-filter.png": (png(2, 2, b"\x09" * 14), "truncated or damaged PNG"),
    "no-rows.png": (png(0, 10, b""), "truncated or damaged PNG"),
    "half-with-an-end.jpg": (
        encoded(COLOUR, "JPEG")[:900] + b"\xff\xd9",
        "damaged JPEG .*premature end",
    ),
    "cmyk.jpg": (encoded(COLOUR, "JPEG", "CMYK"), "CMYK pixels, expected grey or RGB: convert"),
    "cmyk.tif": (encoded(COLOUR, "TIFF", "CMYK"), "CMYK pixels, expected grey or RGB: convert"),
    "lab.tif": (encoded(COLOUR, "TIFF", "LAB"), "pixels of kind (ICC|CIE)LAB with 3 samples"),
    "moving.gif": (encoded(COLOUR, "GIF", **TWICE), "2 pictures in one file, expected one"),
    "float.tif": (tiff(np.zeros((8, 8), np.float32)), "pixels of float32, expected uint8 .*scale"),
    "nan.tif": (tiff(NAN), "pixels of float32, expected uint8 or uint16: scale"),
    "double.tif": (tiff(np.zeros((8, 8))), "pixels of float64"),
    "half.tif": (tiff(np.zeros((8, 8), np.float16)), "pixels of float16"),
    "signed.tif": (tiff(np.zeros((8, 8), np.int16)), "pixels of int16"),
    "signed-8.tif": (tiff(np.zeros((8, 8), np.int8)), "pixels of int8"),
    "int32.tif": (tiff(np.zeros((8, 8), np.int32)), "pixels of int32"),
    "labels.tif": (tiff(np.zeros((8, 8), np.uint32)), "pixels of uint32"),
    "complex.tif": (tiff(np.zeros((8, 8), np.complex64)), "pixels of complex64"),
    "stack.tif": (
        tiff(np.zeros((5, 8, 9), np.uint8), photometric="minisblack"),
        r"a stack of 5 planes of 8 x 9 .*\(5, 8, 9\)",
    ),
    "stack.ome.tif": (
        tiff(np.zeros((2, 3, 8, 9), np.uint8), photometric="minisblack", ome=True),
        r"a stack of 6 planes of 8 x 9 \(axes TCYX|QCYX|.*shape \(2, 3, 8, 9\)",
    ),
    "imagej.tif": (
        tiff(np.zeros((4, 8, 9), np.uint16), imagej=True, metadata={"axes": "CYX"}),
        r"a stack of 4 planes of 8 x 9 \(axes CYX, shape \(4, 8, 9\)\)",
    ),
    "volume.tif": (
        tiff(np.zeros((32, 32, 32), np.uint8), volumetric=True, photometric="minisblack"),
        "a stack of 32 planes of 32 x 32",
    ),
    "fluorescence.tif": (
        tiff(np.zeros((8, 9, 5), np.uint16), photometric="minisblack", planarconfig="contig"),
        r"5 channels \(shape \(8, 9, 5\).*expected 1, 3",
    ),
    "two-stains.tif": (
        tiff(np.zeros((8, 9, 2), np.uint8), photometric="minisblack", planarconfig="contig"),
        "2 channels .*expected 1, 3",
    ),
    "four-stains.tif": (
        tiff(np.zeros((8, 9, 4), np.uint8), photometric="minisblack", planarconfig="contig"),
        "4 channels .*expected 1, 3",
    ),
    "pages.tif": (several_tiffs((8, 9), (8, 9)), "a stack of 2 planes of 8 x 9"),
    "second-is-larger.tif": (
        several_tiffs((8, 9), (80, 90)),
        "2 images, of which the first, 8 x 9, is not the",
    ),
    "no-height.tif": (declared(0, 16), "a TIFF without an image"),
    "tall.bmp": (bmp(height=68), "truncated: 10,[0-9]{3} bytes, its header says 10,[0-9]{3}"),
    "no-width.bmp": (bmp(width=0), "a damaged BMP: 67 x 0 pixels of 24 bits"),
    "no-header.bmp": (bmp(header=0), "a damaged BMP"),
    "run-lengths.bmp": (bmp(compression=1), "a BMP with run lengths"),
}


def write(path: Path, content: bytes | Write) -> Path:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content(path)
    return path


@pytest.mark.parametrize("name", BAD)
def test_refused(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content, message = BAD[name]
    path = write(tmp_path / name, content)
    with pytest.raises(ImageError, match=message) as caught:
        read_image(path)
    assert caught.value.path == str(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_smaller_pages_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", several_tiffs((80, 90), (8, 9), (20, 7)))
    with open_image(path) as image:
        assert (image.shape, image.levels) == ((80, 90), ((80, 90),))


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        open_image(tmp_path / "none.png")
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        open_image(tmp_path)


def test_whatever_the_system_says_is_of_this_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "a.tif").write_bytes(encoded(GREY, "TIFF"))
    for name, message in {
        "loop.png": "Too many levels of symbolic links",
        "a.tif/b.tif": "Not a directory",
        "a" * 300 + ".png": "File name too long",
    }.items():
        with pytest.raises(ImageError, match=f"{name}: {message}$"):
            open_image(tmp_path / name)
    with open_image(tmp_path / "a.tif") as image:
        for number, message in {
            errno.EIO: "Input/output error",
            errno.ESTALE: "Stale file",
        }.items():
            failing = OSError(number, os.strerror(number))
            monkeypatch.setattr(os, "preadv", Mock(side_effect=failing))
            with pytest.raises(ImageError, match=rf"a\.tif: {message}"):
                image.read()
        monkeypatch.setattr(os, "preadv", Mock(side_effect=MemoryError))
        with pytest.raises(ImageError, match=r"a\.tif: .*MemoryError"):
            image.read()


def test_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    for path in (tmp_path / "a.png", Path("/dev/zero")):
        with pytest.raises(ImageError, match=f"{path}: expected a file, found a pipe or a device"):
            open_image(path)


HUGE: dict[str, bytes | Write] = {
    "a.png": png(100_000, 100_000, bytes(99)),
    "grey-16.png": png(60_000, 60_000, bytes(99), colour=0, bits=16),
    "a.jpg": encoded(COLOUR, "JPEG").replace(b"\0\x43\0\x33", b"\xff\xdc\xff\xdc", 1),
    "a.bmp": bmp(width=100_000, height=100_000),
    "strip.tif": declared(100_000, 100_000, compression="zlib"),
    "tiles.tif": declared(100_000, 100_000, tile=(16, 16), compression="zlib"),
    "plain.tif": declared(100_000, 100_000),
}


@pytest.mark.parametrize("name", HUGE)
def test_sizes_that_the_file_cannot_hold(name: str, tmp_path: Path) -> None:
    """Ten gigabytes of pixels are declared, and refused before any of it is allocated."""
    path = write(tmp_path / name, HUGE[name])
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match=r"truncated|strips where|tiles where"):
            read_image(path)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


# damage anywhere

WHOLE = {
    "a.png": encoded(COLOUR, "PNG"),
    "palette.png": encoded(Image.fromarray(COLOUR).quantize(16), "PNG"),
    "a.jpg": encoded(COLOUR, "JPEG", quality=90),
    "progressive.jpg": encoded(COLOUR, "JPEG", quality=90, progressive=True),
    "a.gif": encoded(Image.fromarray(COLOUR).quantize(16), "GIF"),
    "a.bmp": encoded(COLOUR, "BMP"),
    "plain.tif": encoded(COLOUR, "TIFF"),
    "lzw.tif": encoded(COLOUR, "TIFF", compression="tiff_lzw"),
    "deflate.tif": encoded(COLOUR, "TIFF", compression="tiff_adobe_deflate"),
    "jpeg.tif": encoded(COLOUR, "TIFF", compression="jpeg", quality=90),
}
EVERYWHERE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("name", WHOLE)
def test_cut_off_anywhere(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """An error, unless all pixels were before the cut."""
    path = tmp_path / name
    path.write_bytes(WHOLE[name])
    whole = read_image(path)
    cuts = np.linspace(1, len(WHOLE[name]) - 1, 80).astype(int)
    refused = 0
    for cut in cuts:
        path.write_bytes(WHOLE[name][:cut])
        try:
            pixels = read_image(path)
        except ImageError:
            refused += 1
        else:
            np.testing.assert_array_equal(pixels, whole)
    assert refused >= 76
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", WHOLE)
@EVERYWHERE
@given(data=st.data())
def test_changed_bytes_give_pixels_or_an_error(
    name: str, data: st.DataObject, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(WHOLE[name])
    for _ in range(data.draw(st.integers(1, 3))):
        where = data.draw(st.integers(0, len(content) - 1) | st.integers(0, 300))
        content[where] = data.draw(st.integers(0, 255))
    path = tmp_path / name
    path.write_bytes(content)
    try:
        with open_image(path) as image:
            if image.height * image.width < 1 << 22:
                pixels = image.read()
                assert (pixels.shape, pixels.dtype) == (image.shape, image.dtype)
    except ImageError:
        event(f"{name} refused")
    assert capfd.readouterr() == ("", "")
