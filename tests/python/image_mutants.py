"""Change bytes of small images of every kind and read them: pixels, or an error of this package.

    python -m tests.python.image_mutants [COUNT] [FIRST]

A mutant is made from its number alone. Faults are written to standard error, where the number is in
the last line when the process dies.
"""

from __future__ import annotations

import random
import struct
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from seqtile.errors import SeqtileError
from seqtile.images.reading import open_image, to_grey
from tests.python.pictures import encoded, picture

GREY, COLOUR = picture(40, 33), picture(40, 33, 3)
DEEP = picture(40, 33, 1, np.uint16)
INDEXED = Image.fromarray(COLOUR).quantize(32)
LARGEST = 1 << 22  # pixels that are read: the others cost time alone
PILLOW: dict[str, bytes] = {
    "png": encoded(COLOUR, "PNG"),
    "png-grey-16": encoded(DEEP, "PNG"),
    "png-palette": encoded(INDEXED, "PNG", transparency=2),
    "jpeg": encoded(COLOUR, "JPEG", quality=90),
    "jpeg-progressive": encoded(COLOUR, "JPEG", quality=90, progressive=True),
    "gif": encoded(INDEXED, "GIF", transparency=2),
    "bmp": encoded(COLOUR, "BMP"),
    "tiff-group4": encoded(GREY > 128, "TIFF", compression="group4"),
    "tiff-group3": encoded(GREY > 128, "TIFF", compression="group3"),
    "tiff-palette": encoded(INDEXED, "TIFF"),
    "tiff-libjpeg": encoded(COLOUR, "TIFF", compression="jpeg", quality=90),
}
TIFF: dict[str, tuple[Any, dict[str, Any]]] = {
    "plain": (DEEP, {"byteorder": ">"}),
    "planes": (np.moveaxis(COLOUR, 2, 0), {"photometric": "rgb", "planarconfig": "separate"}),
    "deflate": (COLOUR, {"compression": "zlib", "predictor": True, "tile": (16, 16)}),
    "lzw": (GREY, {"compression": "lzw", "rowsperstrip": 9, "bigtiff": True}),
    "packbits": (GREY, {"compression": "packbits"}),
    "zstd": (DEEP, {"compression": "zstd", "tile": (16, 16)}),
    "lzma": (GREY, {"compression": "lzma"}),
    "jpeg": (COLOUR, {"compression": "jpeg", "tile": (16, 16)}),
    "jpeg-2000": (COLOUR, {"compression": "jpeg2000", "tile": (16, 16)}),
    "aperio": (COLOUR, {"compression": 33003, "tile": (16, 16), "photometric": "rgb"}),
    "jpeg-xr": (COLOUR, {"compression": "jpegxr", "tile": (16, 16)}),
    "jpeg-xl": (DEEP, {"compression": "jpegxl"}),
    "webp": (COLOUR, {"compression": "webp"}),
    "png": (GREY, {"compression": "png"}),
    "lerc": (GREY, {"compression": "lerc"}),
    "bits": (GREY >> 4, {"bitspersample": 4, "photometric": "miniswhite"}),
    "alpha": (picture(40, 33, 4), {"photometric": "rgb", "extrasamples": ["assocalpha"]}),
    "ome": (DEEP, {"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 0.3}}),
    "imagej": (DEEP, {"imagej": True, "metadata": {"unit": "um"}}),
}
NUMBERS = [0, 1, 2, 255, 256, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]


def specimens() -> dict[str, bytes]:
    """Sound files by name."""
    made = dict(PILLOW)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.tif"
        for name, (pixels, options) in TIFF.items():
            tifffile.imwrite(path, pixels, **options)
            made[f"tiff-{name}"] = path.read_bytes()
        with tifffile.TiffWriter(path) as writer:
            writer.write(COLOUR, tile=(16, 16), subifds=1, photometric="rgb", compression="zlib")
            writer.write(COLOUR[::2, ::2], tile=(16, 16), subfiletype=1, photometric="rgb")
        made["tiff-pyramid"] = path.read_bytes()
    return made


def mutant(content: bytes, rng: random.Random) -> bytes:
    """One to four changes, half of them where a header is."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(data) if rng.random() < 0.5 else min(len(data), 300))
        size = rng.randint(1, 40)
        change = rng.random()
        if change < 0.5:
            data[place] = rng.randrange(256)
        elif change < 0.7:
            number = rng.choice(NUMBERS)
            data[place : place + 4] = struct.pack(rng.choice("<>") + "I", number)[
                : rng.choice([2, 4])
            ]
        elif change < 0.8:
            data[place : place + size] = bytes(size)
        elif change < 0.85:
            del data[place : place + size]
        elif change < 0.9:
            data[place:place] = rng.randbytes(size)
        else:
            del data[max(1, place) :]
    return bytes(data)


def read(path: Path) -> str:
    """``"read"``, ``"refused"``, or ``"large"``, not read."""
    try:
        with open_image(path) as image:
            if image.height * image.width * image.channels > LARGEST:
                return "large"
            pixels = image.read()
            assert (pixels.shape, pixels.dtype) == (image.shape, image.dtype)
            to_grey(pixels)
    except SeqtileError:
        return "refused"
    return "read"


def main(count: int = 20_000, first: int = 0) -> bool:
    """Try so many mutants, write how many of each outcome; whether there was a fault."""
    sound = list(specimens().items())
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutant"
        for number in range(first, first + count):
            name, content = sound[number % len(sound)]
            sys.stderr.write(f"\r{number} {name:20}")
            path.write_bytes(mutant(content, random.Random(number)))
            try:
                outcomes[read(path)] += 1
            except Exception:
                outcomes["faults"] += 1
                traceback.print_exc()
    sys.stdout.write(", ".join(f"{times} {outcome}" for outcome, times in outcomes.items()) + "\n")
    return "faults" in outcomes


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
