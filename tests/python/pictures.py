"""Pictures for tests, and files of them as Pillow writes them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]


def picture(height: int, width: int, channels: int = 1, dtype: Any = np.uint8) -> Array:
    """A smooth picture with noise: (H, W) or (H, W, channels), the same for the same arguments."""
    rng = np.random.default_rng([height, width, channels])
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / (7 + c) + c) + np.cos(y / (11 - c)) for c in range(channels)]
    levels = (
        np.stack(waves, axis=-1) / 4 + 0.5 + rng.uniform(-0.03, 0.03, (height, width, channels))
    )
    pixels = np.clip(levels * np.iinfo(dtype).max, 0, np.iinfo(dtype).max).astype(dtype)
    return pixels[..., 0] if channels == 1 else pixels


def encoded(
    pixels: Array | Image.Image, kind: str, mode: str | None = None, **options: Any
) -> bytes:
    """The bytes of an image file as Pillow writes it."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    (image.convert(mode) if mode else image).save(file, kind, **options)
    return file.getvalue()


def write_to(path: Path, write: Callable[..., object], *content: object, **options: object) -> None:
    """Call a function that writes to an open file first, then what follows."""
    with path.open("wb") as file:
        write(file, *content, **options)
