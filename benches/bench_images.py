"""Reading images: PNG, JPEG, plain and tiled TIFF, against decoding alone and other readers.

pytest benches/bench_images.py --benchmark-only -s

A slide of SEQTILE_DATA where it is set, else the packaged picture of nuclei over and over.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqtile
from benches.compare import peers, record, speed_ratio
from seqtile.images.reading import open_image

SIDE = 3072
SLIDE = Path("histology_large/her2st_C5_HE_9272x9901.jpg")
Reader = Callable[[], Any]


@pytest.fixture(scope="module")
def picture() -> Any:
    """uint8 (SIDE, SIDE, 3)."""
    if root := os.environ.get("SEQTILE_DATA"):
        with open_image(Path(root) / SLIDE) as slide:
            return slide.rows(4000, 4000 + SIDE)[:, 4000 : 4000 + SIDE].copy()
    grey = seqtile.read_image(seqtile.example_path("nuclei"))
    grey = (grey if grey.ndim == 2 else grey[..., 0]).astype(np.uint8)
    times = [-(-SIDE // side) for side in grey.shape]
    return np.repeat(np.tile(grey, times)[:SIDE, :SIDE, None], 3, axis=2)


def write(picture: Any, path: Path, kind: str) -> None:
    if kind.startswith("TIFF"):
        import tifffile

        options: dict[str, Any] = {"photometric": "rgb"}
        if "tiled" in kind:
            options |= {"tile": (256, 256), "compression": "zlib", "predictor": True}
        tifffile.imwrite(path, picture, **options)
    else:
        import cv2

        assert cv2.imwrite(str(path), picture[..., ::-1])


def other_readers(path: Path) -> dict[str, Reader]:
    def opencv() -> Any:
        import cv2

        read: Any = cv2.imread
        return cv2.cvtColor(read(str(path)), cv2.COLOR_BGR2RGB)

    def tifffile_() -> Any:
        import tifffile

        return tifffile.imread(path)

    def pillow() -> Any:
        from PIL import Image

        with Image.open(path) as image:
            return np.asarray(image)

    def pyvips() -> Any:
        import pyvips

        pyvips.cache_set_max(0)  # else it gives what it read before
        return pyvips.Image.new_from_file(str(path)).numpy()

    found: dict[str, Reader] = {"OpenCV": opencv, "Pillow": pillow, "pyvips": pyvips}
    return {"tifffile": tifffile_, **found} if path.suffix == ".tif" else found


def decode_alone(path: Path, kind: str) -> tuple[str, Reader]:
    """The limit: OpenCV's decoder of bytes in memory; the file's bytes where nothing is packed."""
    data = path.read_bytes()
    if kind == "TIFF":
        buffer = bytearray(len(data))

        def readinto() -> Any:
            with path.open("rb", buffering=0) as file:
                return file.readinto(buffer)

        return "readinto", readinto
    if kind == "TIFF, tiled, deflate":
        import imagecodecs
        import tifffile

        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages[0]
            pieces = [
                data[offset : offset + size]
                for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True)
            ]
        return "libdeflate on its tiles", lambda: [imagecodecs.zlib_decode(p) for p in pieces]
    import cv2

    coded = np.frombuffer(data, np.uint8)
    return "OpenCV's decoder, from memory", lambda: cv2.imdecode(coded, cv2.IMREAD_COLOR)


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("PNG", ".png"), ("JPEG", ".jpg"), ("TIFF", ".tif"), ("TIFF, tiled, deflate", ".tif")],
)
def test_read(benchmark: Any, picture: Any, tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    write(picture, path, kind)

    def ours() -> Any:
        return seqtile.read_image(path)

    # Decoders of JPEG may differ by rounding.
    most = 2 if kind == "JPEG" else 0
    found = ours()
    assert np.abs(found.astype(int) - picture).max() == 0 or most
    readers = other_readers(path)
    for name, reader in readers.items():
        try:
            other = reader()
        except ImportError:
            continue
        assert np.abs(found.astype(int) - other[..., :3]).max() <= most, name
    limit, alone = decode_alone(path, kind)
    record(
        benchmark,
        f"read {kind}, {SIDE} x {SIDE} RGB",
        speed_ratio(ours, alone, 5),
        limit=limit,
        target=None,
        rate=(SIDE * SIDE / 1e6, "Mpixels/s"),
        peers=peers(ours, readers, 3),
    )
    benchmark.pedantic(ours, rounds=1)


def test_part_of_tiles(benchmark: Any, picture: Any, tmp_path: Path) -> None:
    """512 rows of a tiled TIFF, opened anew each time."""
    path = tmp_path / "picture.tif"
    write(picture, path, "TIFF, tiled, deflate")
    begin, stop = 1024, 1536

    def ours() -> Any:
        with open_image(path) as image:
            return image.rows(begin, stop)

    def pyvips() -> Any:
        import pyvips

        pyvips.cache_set_max(0)
        image = pyvips.Image.new_from_file(str(path))
        return image.crop(0, begin, image.width, stop - begin).numpy()

    def whole() -> Any:
        import tifffile

        return tifffile.imread(path)[begin:stop]

    np.testing.assert_array_equal(ours(), picture[begin:stop])
    np.testing.assert_array_equal(whole(), picture[begin:stop])
    record(
        benchmark,
        "512 rows of a tiled TIFF of 3072",
        speed_ratio(ours, whole, 5),
        limit="tifffile, the whole image",
        target=None,
        rate=(SIDE * (stop - begin) / 1e6, "Mpixels/s"),
        peers=peers(ours, {"pyvips": pyvips}, 3),
    )
    benchmark.pedantic(ours, rounds=1)
