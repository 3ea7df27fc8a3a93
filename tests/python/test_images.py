"""Images as other libraries wrote them are read back to the pixel."""

from __future__ import annotations

import resource
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seqtile.errors import ImageError, IntervalError, SeqtileError, ShapeError
from seqtile.images.reading import open_image, read_image, to_channels, to_grey
from tests.python.pictures import Array, encoded, picture

cv2 = pytest.importorskip("cv2")
pyvips = pytest.importorskip("pyvips")

GREY, COLOUR = picture(61, 83), picture(61, 83, 3)
GREY16, COLOUR16 = picture(61, 83, 1, np.uint16), picture(61, 83, 3, np.uint16)
ALPHA = picture(61, 83, 4)
TRANSPARENT = np.dstack([COLOUR, np.zeros_like(GREY)])
INDEXED = Image.fromarray(COLOUR).quantize(200)
FEW = Image.fromarray(COLOUR).quantize(4)
BITS = GREY > 128


def by_cv2(pixels: Array, suffix: str) -> bytes:
    """An image as OpenCV writes it; RGB in."""
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(suffix, pixels)[1])


def by_vips(pixels: Array, suffix: str, **options: object) -> bytes:
    return bytes(pyvips.Image.new_from_array(pixels).write_to_buffer(suffix, **options))


def check(path: Path, expected: Array, **options: int) -> None:
    """The file holds exactly these pixels, whole and by rows."""
    with open_image(path, **options) as image:
        assert (image.height, image.width) == expected.shape[:2]
        assert image.channels == (1 if expected.ndim == 2 else 3)
        assert (image.shape, image.dtype) == (expected.shape, expected.dtype)
        assert image.levels == (expected.shape[:2],)
        for begin, stop in [(40, 61), (0, 61), (7, 8), (30, 30), (3, 47)]:
            rows = image.rows(begin, min(stop, image.height))
            assert rows.dtype == expected.dtype
            assert rows.flags.c_contiguous
            np.testing.assert_array_equal(rows, expected[begin:stop])
        np.testing.assert_array_equal(image.read(), expected)
    np.testing.assert_array_equal(read_image(path), expected)


LOSSLESS: dict[str, tuple[Callable[[], bytes], Array]] = {
    "grey.png": (lambda: encoded(GREY, "PNG"), GREY),
    "colour.png": (lambda: encoded(COLOUR, "PNG"), COLOUR),
    "grey-16.png": (lambda: encoded(GREY16, "PNG"), GREY16),
    "colour-16.png": (lambda: by_cv2(COLOUR16, ".png"), COLOUR16),
    "alpha.png": (lambda: encoded(ALPHA, "PNG"), ALPHA[..., :3]),
    "all-transparent.png": (lambda: encoded(TRANSPARENT, "PNG"), COLOUR),
    "grey-alpha.png": (lambda: encoded(ALPHA[..., :2], "PNG"), ALPHA[..., 0]),
    "interlaced.png": (lambda: by_vips(COLOUR, ".png", interlace=True), COLOUR),
    "palette.png": (lambda: encoded(INDEXED, "PNG"), np.asarray(INDEXED.convert("RGB"))),
    "palette-2-bit.png": (lambda: encoded(FEW, "PNG", bits=2), np.asarray(FEW.convert("RGB"))),
    "palette-transparent.png": (
        lambda: encoded(INDEXED, "PNG", transparency=3),
        np.asarray(INDEXED.convert("RGB")),
    ),
    "palette-of-greys.png": (lambda: encoded(GREY, "PNG", "P"), np.dstack([GREY] * 3)),
    "1-bit.png": (lambda: encoded(BITS, "PNG"), np.uint8(255) * BITS),
    "palette.gif": (lambda: encoded(INDEXED, "GIF"), np.asarray(INDEXED.convert("RGB"))),
    "grey.gif": (lambda: encoded(GREY, "GIF"), np.dstack([GREY] * 3)),
    "grey.bmp": (lambda: encoded(GREY, "BMP"), GREY),
    "colour.bmp": (lambda: encoded(COLOUR, "BMP"), COLOUR),
    "alpha.bmp": (lambda: encoded(ALPHA, "BMP"), ALPHA[..., :3]),
    "palette.bmp": (lambda: encoded(INDEXED, "BMP"), np.asarray(INDEXED.convert("RGB"))),
    "1-bit.bmp": (lambda: encoded(BITS, "BMP"), np.uint8(255) * BITS),
    "cv2.bmp": (lambda: by_cv2(COLOUR, ".bmp"), COLOUR),
    "png.without-its-suffix": (lambda: encoded(GREY, "PNG"), GREY),
    "bmp-called.png": (lambda: encoded(GREY, "BMP"), GREY),
}


MEMORY_OR_FILE = pytest.mark.parametrize("in_memory", [1 << 24, 0], ids=["memory", "file"])


@MEMORY_OR_FILE
@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless(name: str, in_memory: int, tmp_path: Path) -> None:
    write, expected = LOSSLESS[name]
    (tmp_path / name).write_bytes(write())
    check(tmp_path / name, expected, in_memory=in_memory)


@MEMORY_OR_FILE
@pytest.mark.parametrize(
    "options",
    [{"quality": 90}, {"quality": 90, "subsampling": 0}, {"quality": 40, "progressive": True}],
)
@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_jpeg_equals_opencv_and_pillow(
    pixels: Array, options: dict[str, int], in_memory: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(pixels, "JPEG", **options))
    flags = cv2.IMREAD_COLOR_RGB if pixels.ndim == 3 else cv2.IMREAD_GRAYSCALE
    opencv = cv2.imread(str(path), flags)
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), opencv)
    assert np.abs(opencv.astype(int) - pixels).mean() < 20  # the oracle holds this picture
    check(path, opencv, in_memory=in_memory)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_orientation_of_a_camera_is_not_applied(kind: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    for name, options in {"turned": {"exif": exif}, "plain": {}}.items():
        (tmp_path / name).write_bytes(encoded(COLOUR, kind, **options))
    with Image.open(tmp_path / "turned") as image:
        assert image.getexif()[0x0112] == 6
    assert read_image(tmp_path / "turned").shape == COLOUR.shape
    np.testing.assert_array_equal(read_image(tmp_path / "turned"), read_image(tmp_path / "plain"))


def test_the_transparent_colour_of_a_gif_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    for content in (encoded(INDEXED, "GIF", transparency=7), encoded(FEW, "GIF", transparency=1)):
        path.write_bytes(content)
        with Image.open(path) as image:
            opaque = np.asarray(image.convert("RGBA"))
        assert (opaque[..., 3] == 0).any()
        check(path, opaque[..., :3])


@pytest.mark.parametrize("masks", [None, (0xF800, 0x07E0, 0x001F), (0x001F, 0x03E0, 0x7C00)])
@pytest.mark.parametrize("upside_down", [False, True])
def test_a_bmp_of_16_bits(masks: tuple[int, ...] | None, upside_down: bool, tmp_path: Path) -> None:
    """The darkest level becomes 0, the brightest 255."""
    height, width = GREY.shape
    values = np.random.default_rng(0).integers(0, 1 << 15, (height, width)).astype("<u2")
    values[0, :2] = 0, 0x7FFF if masks is None else sum(masks)
    rows = np.zeros((height, width + width % 2), "<u2")  # a row is a multiple of four bytes
    rows[:, :width] = values[::-1] if upside_down else values
    head = struct.pack("<iiHHIIiiII", width, -height, 1, 16, 3 if masks else 0, 0, 0, 0, 0, 0)
    if upside_down:
        head = head[:4] + struct.pack("<i", height) + head[8:]
    table = struct.pack("<III", *masks) if masks else b""
    offset = 54 + len(table)
    head = (
        struct.pack("<HIII", 0x4D42, offset + rows.nbytes, 0, offset) + struct.pack("<I", 40) + head
    )
    path = tmp_path / "a.bmp"
    path.write_bytes(head + table + rows.tobytes())
    expected = np.zeros((height, width, 3), np.uint8)
    for channel, mask in enumerate(masks or (0x7C00, 0x03E0, 0x001F)):
        expected[..., channel] = (values & mask).astype(np.uint32) * 255 // mask
    assert expected[0, :2].tolist() == [[0] * 3, [255] * 3]
    check(path, expected)
    if masks is None or masks[0] == 0xF800:
        with Image.open(path) as image:
            np.testing.assert_array_equal(np.asarray(image), expected)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (1, 7), (7, 1, 3)])
def test_one_pixel(suffix: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    pixels = np.full(shape, 200, np.uint8)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(by_cv2(pixels, suffix))
    got = read_image(path)
    assert got.shape == shape
    assert (got == 200).all()


def test_a_large_image_goes_through_a_file_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    path = tmp_path / "a.png"
    path.write_bytes(encoded(COLOUR, "PNG"))
    image = open_image(path, in_memory=100)
    np.testing.assert_array_equal(image.rows(5, 9), COLOUR[5:9])
    assert list((tmp_path / "scratch").iterdir()) == []
    path.unlink()
    np.testing.assert_array_equal(image.rows(0, 61), COLOUR)
    image.close()
    with pytest.raises(ValueError, match="closed"):
        image.rows(0, 1)


def test_no_room_for_the_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("", (), {"free": 99}))
    path = tmp_path / "a.png"
    path.write_bytes(encoded(COLOUR, "PNG"))
    with (
        open_image(path, in_memory=0) as image,
        pytest.raises(ImageError, match=r"15,189 bytes.*TMPDIR"),
    ):
        image.read()


def test_a_disk_that_fills_up_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(COLOUR, "PNG"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open_image(path, in_memory=0) as image:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        try:
            with pytest.raises(ImageError, match=r"15,189 bytes.*File too large.*TMPDIR"):
                image.read()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        np.testing.assert_array_equal(image.read(), COLOUR)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_decoded_image_holds_no_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(encoded(COLOUR, kind))
    before = len(list(Path("/proc/self/fd").iterdir()))
    image = open_image(path)
    image.rows(0, 1)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    image.close()


@pytest.mark.parametrize(("begin", "stop"), [(-1, 3), (3, 2), (0, 62), (62, 62)])
def test_rows_outside_the_image(begin: int, stop: int, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(GREY, "PNG"))
    with open_image(path) as image, pytest.raises(IntervalError, match=r"a\.png: rows .* <= 61"):
        image.rows(begin, stop)


def test_the_same_name_with_a_new_image(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for pixels in (GREY, COLOUR, GREY[::-1]):
        path.write_bytes(encoded(np.ascontiguousarray(pixels), "PNG"))
        np.testing.assert_array_equal(read_image(path), pixels)


class TestChannels:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_luminance_of_every_level(self, dtype: type) -> None:
        rng = np.random.default_rng(0)
        colours = rng.integers(0, np.iinfo(dtype).max + 1, (700, 501, 3), dtype)
        expected = (colours @ np.array([9798, 19235, 3735], np.int64) + (1 << 14)) >> 15
        grey = to_grey(colours)
        assert (grey.shape, grey.dtype) == ((700, 501), dtype)
        np.testing.assert_array_equal(grey, expected)
        real = colours @ np.array([0.299, 0.587, 0.114])
        assert np.abs(grey - real).max() <= (0.52 if dtype == np.uint8 else 3)

    def test_white_stays_white(self) -> None:
        assert to_grey(np.full((1, 1, 3), 255, np.uint8)) == 255
        assert to_grey(np.full((1, 1, 3), 65535, np.uint16)) == 65535

    def test_repetition(self) -> None:
        repeated = to_channels(GREY16, 3)
        assert repeated.shape == (61, 83, 3)
        assert (repeated == GREY16[..., None]).all()
        assert repeated.flags.c_contiguous

    def test_as_it_is(self) -> None:
        assert to_channels(GREY, 1) is GREY
        assert to_channels(COLOUR, 3) is COLOUR
        np.testing.assert_array_equal(to_channels(COLOUR, 1), to_grey(COLOUR))

    @pytest.mark.parametrize(
        ("pixels", "channels", "message"),
        [
            (GREY[0], 1, r"found \(83,\)"),
            (ALPHA, 3, r"found \(61, 83, 4\)"),
            (GREY.astype(float), 1, "found float64"),
            (GREY, 2, "expected 1 or 3, found 2"),
        ],
    )
    def test_refused(self, pixels: Array, channels: int, message: str) -> None:
        with pytest.raises(ShapeError, match=message):
            to_channels(pixels, channels)


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("a.png", "pyvips", r"'pyvips\[binary\]'"),
        ("a.bmp", "cv2", "opencv-python-headless"),
        ("a.tiff", "tifffile", "tifffile"),
        ("a.tiff", "imagecodecs", "imagecodecs"),
    ],
)
def test_a_missing_library(
    name: str, module: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(encoded(GREY, Path(name).suffix[1:]))
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr("seqtile.outputs.find_spec", lambda name: None if name == module else name)
    with pytest.raises(ImportError, match=f"images needs {module}: pip install {package}$"):
        open_image(tmp_path / name)


def test_importing_loads_no_library() -> None:
    code = (
        "import sys, seqtile.images.reading;"
        "print({'cv2', 'pyvips', 'tifffile', 'imagecodecs', 'onnxruntime'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("set()\n", "")


def test_the_error_is_what_one_expects() -> None:
    error = ImageError(Path("x/y.png"), "broken")
    assert isinstance(error, (SeqtileError, ValueError))
    assert (str(error), error.path) == ("x/y.png: broken", "x/y.png")
