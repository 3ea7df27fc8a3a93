"""What libvips decodes, strictly: every warning of its libraries is an error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["STRICTLY", "decoded_by_vips", "reason"]

STRICTLY: dict[str, Any] = {"access": "sequential", "fail_on": "warning"}


def decoded_by_vips(loader: str, data: bytes) -> NDArray[Any]:
    """Decode a whole image: uint8 or uint16, (H, W), or (H, W, bands).

    Raises
    ------
    ValueError
        Data that end early or are damaged.
    """
    import pyvips

    try:
        image = getattr(pyvips.Image, loader)(data, **STRICTLY)
        dtype = np.uint16 if image.format == "ushort" else np.uint8
        pixels = np.frombuffer(image.write_to_memory(), dtype)
    except pyvips.Error as error:
        raise ValueError(reason(error)) from error
    return pixels.reshape(image.height, image.width, *[image.bands] * (image.bands > 1))


def reason(error: Exception) -> str:
    """The last of what the libraries said."""
    lines = [line.strip() for line in str(error).splitlines()[1:] if line.strip()]
    return lines[-1] if lines else "data that end early or are damaged"
