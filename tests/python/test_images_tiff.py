"""TIFF images by rows: every layout, compression and kind of pixels; pyramids and pixel sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seqtile.errors import ImageError
from seqtile.images.reading import open_image, read_image
from tests.python.pictures import Array, encoded, picture

tifffile = pytest.importorskip("tifffile")
pyvips = pytest.importorskip("pyvips")
pytest.importorskip("imagecodecs")

KINDS = {
    "grey": picture(75, 93),
    "grey-16": picture(75, 93, 1, np.uint16),
    "colour": picture(75, 93, 3),
    "colour-16": picture(75, 93, 3, np.uint16),
}
LAYOUTS: dict[str, dict[str, Any]] = {
    "one-strip": {},
    "strips": {"rowsperstrip": 11},
    "tiles": {"tile": (16, 32)},
    "bigtiff": {"bigtiff": True, "tile": (16, 16)},
    "big-endian": {"byteorder": ">", "rowsperstrip": 75},
}
COMPRESSIONS: list[dict[str, Any]] = [
    {},
    {"compression": "zlib", "predictor": True},
    {"compression": "lzw"},
    {"compression": "zstd"},
    {"compression": "packbits"},
]


def check(path: Path, expected: Array, level: int = 0) -> None:
    """The file holds exactly these pixels, whole and by rows in any order."""
    with open_image(path, level=level) as image:
        assert (image.shape, image.dtype) == (expected.shape, expected.dtype)
        assert image.dtype.isnative
        height = image.height
        for begin in [height - 1, 0, height // 2, 16 % height, height // 3]:
            for stop in sorted({begin, begin + 1, min(begin + 20, height), height}):
                rows = image.rows(begin, stop)
                assert rows.dtype == expected.dtype
                assert rows.flags.c_contiguous
                np.testing.assert_array_equal(rows, expected[begin:stop])
        np.testing.assert_array_equal(image.read(), expected)


@pytest.mark.parametrize("compression", COMPRESSIONS, ids=lambda o: o.get("compression", "none"))
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_layouts(kind: str, layout: str, compression: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = KINDS[kind]
    tifffile.imwrite(path, pixels, **LAYOUTS[layout], **compression)
    check(path, pixels)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (32, 16)}])
def test_colours_in_planes(options: dict[str, Any], tmp_path: Path) -> None:
    planes = np.ascontiguousarray(np.moveaxis(KINDS["colour"], 2, 0))
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", **options)
    check(path, KINDS["colour"])


@pytest.mark.parametrize("tile", [None, (32, 32)])
def test_jpeg_inside_equals_libtiff(tile: tuple[int, int] | None, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    options = {"tile": True, "tile_width": 32, "tile_height": 32} if tile else {}
    image = pyvips.Image.new_from_array(KINDS["colour"])
    image.tiffsave(str(path), compression="jpeg", Q=90, **options)
    expected = pyvips.Image.new_from_file(str(path)).numpy()
    assert np.abs(expected.astype(int) - KINDS["colour"]).mean() < 6
    check(path, expected)


BITS = KINDS["grey"] > 128
INDEXED = Image.fromarray(KINDS["colour"]).quantize(200)
PILLOW = {
    "1-bit": (encoded(BITS, "TIFF"), np.uint8(255) * BITS),
    "fax": (encoded(BITS, "TIFF", compression="group4"), np.uint8(255) * BITS),
    "lzw": (encoded(KINDS["colour"], "TIFF", compression="tiff_lzw"), KINDS["colour"]),
    "palette": (encoded(INDEXED, "TIFF"), np.asarray(INDEXED.convert("RGB"))),
    "alpha": (encoded(picture(9, 8, 4), "TIFF"), picture(9, 8, 4)[..., :3]),
    "grey-alpha": (encoded(picture(9, 8, 2), "TIFF"), picture(9, 8, 2)[..., 0]),
    "16-bit": (encoded(KINDS["grey-16"], "TIFF"), KINDS["grey-16"]),
}


@pytest.mark.parametrize("name", PILLOW)
def test_as_pillow_writes_them(name: str, tmp_path: Path) -> None:
    content, expected = PILLOW[name]
    (tmp_path / "a.tif").write_bytes(content)
    check(tmp_path / "a.tif", expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, bool])
def test_white_is_zero(dtype: type, tmp_path: Path) -> None:
    stored = BITS if dtype is bool else picture(20, 30, 1, dtype)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="miniswhite")
    top = 255 if dtype is bool else np.iinfo(dtype).max
    expected = 255 - np.uint8(255) * stored if dtype is bool else top - stored
    check(tmp_path / "a.tif", expected)


@pytest.mark.parametrize(("bits", "scale"), [(2, 85), (4, 17)])
def test_few_bits_are_spread_over_the_levels(bits: int, scale: int, tmp_path: Path) -> None:
    levels = KINDS["grey"] >> (8 - bits)
    tifffile.imwrite(tmp_path / "a.tif", levels, bitspersample=bits)
    expected = levels * np.uint8(scale)
    libtiff = pyvips.Image.tiffload(str(tmp_path / "a.tif")).numpy()
    np.testing.assert_array_equal(libtiff, expected)
    check(tmp_path / "a.tif", expected)


def test_twelve_bits_are_as_stored(tmp_path: Path) -> None:
    pixels = KINDS["grey-16"] >> 4
    tifffile.imwrite(tmp_path / "a.tif", pixels, bitspersample=12)
    check(tmp_path / "a.tif", pixels)


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_dropped(channels: int, tmp_path: Path) -> None:
    pixels = picture(40, 50, channels, np.uint16)
    write_alpha(tmp_path / "a.tif", pixels, "unassalpha")
    check(tmp_path / "a.tif", pixels[..., :3] if channels == 4 else pixels[..., 0])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [2, 4])
def test_colours_are_divided_by_the_alpha_they_were_multiplied_by(
    channels: int, dtype: type, tmp_path: Path
) -> None:
    full = int(np.iinfo(dtype).max)
    pixels = picture(40, 50, channels, dtype)
    pixels[0, 0] = 0  # nothing, seen through
    pixels[0, 1] = [full // 2] * (channels - 1) + [full]
    write_alpha(tmp_path / "a.tif", pixels, "assocalpha")
    expected = np.zeros((40, 50, channels - 1), dtype)
    for where in np.ndindex(40, 50):
        *colours, alpha = (int(value) for value in pixels[where])
        expected[where] = [min(colour * full // alpha, full) if alpha else 0 for colour in colours]
    check(tmp_path / "a.tif", expected if channels == 4 else expected[..., 0])
    if (channels, dtype) == (4, np.uint8):
        with Image.open(tmp_path / "a.tif") as image:
            np.testing.assert_array_equal(np.asarray(image)[..., :3], expected)


def write_alpha(path: Path, pixels: Array, kind: str) -> None:
    photometric = "rgb" if pixels.shape[2] == 4 else "minisblack"
    options = {"photometric": photometric, "planarconfig": "contig"}
    tifffile.imwrite(path, pixels, extrasamples=[kind], **options)


def test_only_the_tiles_of_the_rows_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = picture(64, 64)
    tifffile.imwrite(path, pixels, tile=(16, 16), compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages.first.dataoffsets[9]  # in the third row of tiles
    content = bytearray(path.read_bytes())
    content[offset : offset + 20] = bytes(20)
    path.write_bytes(content)
    with open_image(path) as image:
        np.testing.assert_array_equal(image.rows(0, 32), pixels[:32])
        np.testing.assert_array_equal(image.rows(48, 64), pixels[48:])
        with pytest.raises(ImageError, match=r"a\.tif: pixels that cannot be decoded"):
            image.rows(31, 33)
        np.testing.assert_array_equal(image.rows(5, 6), pixels[5:6])


def test_tiles_never_written_are_zero(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tiles = iter([np.full((16, 16), 7, np.uint8), None, None, np.full((16, 16), 9, np.uint8)])
    tifffile.imwrite(path, tiles, shape=(32, 32), dtype=np.uint8, tile=(16, 16), compression="zlib")
    expected = np.zeros((32, 32), np.uint8)
    expected[:16, :16], expected[16:, 16:] = 7, 9
    check(path, expected)


LEVELS = [picture(300, 200, 3), picture(150, 100, 3), picture(75, 50, 3)]


def write_pyramid(path: Path, **options: Any) -> None:
    with tifffile.TiffWriter(path) as writer:
        writer.write(LEVELS[0], tile=(64, 64), subifds=2, photometric="rgb", **options)
        for pixels in LEVELS[1:]:
            writer.write(pixels, tile=(64, 64), subfiletype=1, photometric="rgb")


def test_pyramid_in_subifds(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_pyramid(path, resolution=(40_000, 40_000), resolutionunit="CENTIMETER")
    for level, pixels in enumerate(LEVELS):
        check(path, pixels, level)
        with open_image(path, level=level) as image:
            assert image.levels == ((300, 200), (150, 100), (75, 50))
            assert image.level == level
            assert image.pixel_size == pytest.approx(0.25 * 2**level)


@pytest.mark.parametrize("subifd", [False, True])
def test_pyramid_of_libvips(subifd: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pyvips.Image.new_from_array(LEVELS[0]).tiffsave(
        str(path), tile=True, tile_width=64, tile_height=64, pyramid=True, subifd=subifd
    )
    check(path, LEVELS[0])
    with open_image(path, level=1) as image:
        assert image.levels[:2] == ((300, 200), (150, 100))
        half = LEVELS[0].reshape(150, 2, 100, 2, 3).mean(axis=(1, 3))
        assert np.abs(image.read() - half).max() <= 1


@pytest.mark.parametrize(
    ("level", "text"), [(3, "3 levels, 0 to 2, not level 3"), (-1, "level -1")]
)
def test_no_such_level(level: int, text: str, tmp_path: Path) -> None:
    write_pyramid(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=text):
        open_image(tmp_path / "a.tif", level=level)


@pytest.mark.parametrize("suffix", ["tiff", "png", "bmp"])
def test_a_plain_image_has_one_level(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(encoded(KINDS["grey"], suffix))
    with pytest.raises(ImageError, match="has level 0 alone, not level 1"):
        read_image(path, level=1)


def test_a_slide(data_root: Path) -> None:
    path = data_root / "histology_large" / "CMU-1-Small-Region.svs"
    expected = pyvips.Image.tiffload(str(path)).numpy()
    assert expected.shape == (2967, 2220, 3)
    np.testing.assert_array_equal(read_image(path), expected)
    with open_image(path) as image:
        assert (image.levels, image.pixel_size) == (((2967, 2220),), 0.499)
        np.testing.assert_array_equal(image.rows(239, 241), expected[239:241])
        with pytest.raises(ImageError, match="level 0 alone, not level 1"):
            open_image(path, level=1)  # the further pages are thumbnail, label and macro


PIXEL_SIZES: dict[str, tuple[dict[str, Any], float | None]] = {
    "nothing": ({}, None),
    "screen": ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
    "printer": ({"resolution": (300, 300), "resolutionunit": "INCH"}, None),
    "per inch": ({"resolution": (50_800, 50_800), "resolutionunit": "INCH"}, 0.5),
    "per centimetre": ({"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}, 0.5),
    "no unit": ({"resolution": (20_000, 20_000), "resolutionunit": "NONE"}, None),
    "ome": ({"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 0.325}}, 0.325),
    "ome in nm": (
        {"ome": True, "metadata": {"PhysicalSizeX": 110, "PhysicalSizeXUnit": "nm"}},
        0.11,
    ),
    "ome without": ({"ome": True}, None),
    "imagej": ({"imagej": True, "resolution": (4, 4), "metadata": {"unit": "um"}}, 0.25),
    "imagej in pixels": ({"imagej": True, "metadata": {"unit": "pixel"}}, None),
    "imagej, a printer": (
        {"imagej": True, "resolution": (300, 300), "metadata": {"unit": "inch"}},
        None,
    ),
    "imagej, a printer in cm": (
        {"imagej": True, "resolution": (118, 118), "metadata": {"unit": "cm"}},
        None,
    ),
    "imagej in inches": (
        {"imagej": True, "resolution": (50_800, 50_800), "metadata": {"unit": "inch"}},
        0.5,
    ),
    "imagej in mm": (
        {"imagej": True, "resolution": (10, 10), "metadata": {"unit": "mm"}},
        100,
    ),
}


@pytest.mark.parametrize("name", PIXEL_SIZES)
def test_pixel_size(name: str, tmp_path: Path) -> None:
    options, expected = PIXEL_SIZES[name]
    path = tmp_path / ("a.ome.tif" if options.get("ome") else "a.tif")
    tifffile.imwrite(path, KINDS["grey-16"], **options)
    with open_image(path) as image:
        assert image.pixel_size == (None if expected is None else pytest.approx(expected))
    check(path, KINDS["grey-16"])


NOT_SQUARE: dict[str, dict[str, Any]] = {
    "tags": {"resolution": (20_000, 10_000), "resolutionunit": "CENTIMETER"},
    "imagej": {"imagej": True, "resolution": (2, 1), "metadata": {"unit": "um"}},
    "ome": {"ome": True, "metadata": {"PhysicalSizeX": 0.5, "PhysicalSizeY": 1.0}},
}


@pytest.mark.parametrize("name", NOT_SQUARE)
def test_pixels_that_are_not_square(name: str, tmp_path: Path) -> None:
    path = tmp_path / ("a.ome.tif" if name == "ome" else "a.tif")
    tifffile.imwrite(path, KINDS["grey-16"], **NOT_SQUARE[name])
    with open_image(path) as image:
        assert image.pixel_size is None
        assert image.pixel_sides == pytest.approx((1.0, 0.5))
