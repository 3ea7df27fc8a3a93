"""JPEGs that break a rule and hold every pixel are read; those that lack some are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seqtile.errors import ImageError
from seqtile.images.reading import open_image, read_image
from tests.python.pictures import encoded, picture

tifffile = pytest.importorskip("tifffile")
pytest.importorskip("pyvips")

COLOUR = picture(61, 83, 3)
SOUND = encoded(COLOUR, "JPEG", quality=90)
EXIF = Image.Exif()
EXIF[0x010F] = "a camera"


def after(marker: bytes, change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Change what follows the first marker of a kind."""

    def changed(data: bytes) -> bytes:
        place = data.index(marker)
        return data[:place] + change(data[place:])

    return changed


def before_the_end(padding: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data[:-2] + padding + data[-2:]


HARMLESS: dict[str, Callable[[bytes], bytes]] = {
    "scan of no coefficients": after(b"\xff\xda", lambda d: d[:11] + b"\0\0\0" + d[14:]),
    "bytes before a table": after(b"\xff\xdb", lambda d: bytes(range(18)) + d),
    "bytes before the frame": after(b"\xff\xc0", lambda d: b"padding" + d),
    "fill bytes before the scan": after(b"\xff\xda", lambda d: b"\xff\xff\xff" + d),
    "zeros before the end": before_the_end(bytes(5)),
    "a version of JFIF to come": after(b"JFIF", lambda d: d[:5] + b"\x07" + d[6:]),
    "a broken profile": after(b"\xff\xdb", lambda d: b"\xff\xe2\0\x10ICC_PROFILE\0\x09\x02" + d),
    "behind the end": lambda data: data + b"trailer" * 9,
}


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": EXIF}])
@pytest.mark.parametrize("name", HARMLESS)
def test_every_pixel_is_there(
    name: str, options: dict[str, object], inside: bool, tmp_path: Path
) -> None:
    """In a file of its own, and as the strip of a TIFF."""
    sound = encoded(COLOUR, "JPEG", quality=90, **options)
    if "progressive" in options and name in ("scan of no coefficients", "bytes before the frame"):
        return
    if (b"JFIF" not in sound and "JFIF" in name) or (inside and name == "behind the end"):
        return
    path = tmp_path / ("a.tif" if inside else "a.jpg")
    for data in (sound, HARMLESS[name](sound)):
        path.write_bytes(data)
        if inside:
            tifffile.imwrite(
                path,
                iter([data]),
                shape=COLOUR.shape,
                dtype=np.uint8,
                photometric="ycbcr",
                compression="jpeg",
                subsampling=(2, 2),
                rowsperstrip=61,
                metadata=None,
            )
        got = read_image(path)
        (tmp_path / "oracle.jpg").write_bytes(sound)
        with Image.open(tmp_path / "oracle.jpg") as image:
            np.testing.assert_array_equal(got, np.asarray(image))


def test_a_large_image_goes_through_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(HARMLESS["scan of no coefficients"](SOUND))
    with open_image(path, in_memory=0) as image:
        got = image.read()
    path.write_bytes(SOUND)
    np.testing.assert_array_equal(got, read_image(path))


def scan(data: bytes) -> int:
    """Where the data of the only scan begin."""
    place = data.index(b"\xff\xda")
    return place + 2 + int.from_bytes(data[place + 2 : place + 4])


def no_code(data: bytes) -> bytes:
    """Ones in the scan, which are no Huffman code."""
    half = (scan(data) + len(data)) // 2
    return data[:half] + b"\xff\0" * 20 + data[half + 40 :]


LACKING: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) // 2],
    "cut before its mark": lambda data: data[:-2],
    "cut, with a mark": lambda data: data[: len(data) // 2] + b"\xff\xd9",
    "cut, zeros and a mark": lambda data: data[: len(data) // 2] + bytes(90) + b"\xff\xd9",
    "zeros of a full disk": lambda data: data[:-900] + bytes(900),
    "no code": no_code,
    "no tables": lambda data: data.replace(b"\xff\xdb", b"\xff\xe5"),
}


@pytest.mark.parametrize("quality", [50, 100])
@pytest.mark.parametrize("harmless", [None, "scan of no coefficients", "bytes before a table"])
@pytest.mark.parametrize("name", LACKING)
def test_pixels_are_missing(name: str, harmless: str | None, quality: int, tmp_path: Path) -> None:
    sound = encoded(COLOUR, "JPEG", quality=quality)
    data = LACKING[name](HARMLESS[harmless](sound) if harmless else sound)
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"a\.jpg: a truncated or damaged JPEG \("):
        read_image(path)
