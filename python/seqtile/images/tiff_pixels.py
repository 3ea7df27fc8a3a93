"""What the samples of a TIFF's pixels are, and how they become grey levels or RGB."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from .file import Pixels

if TYPE_CHECKING:
    from tifffile import TiffPage

__all__ = ["RGB", "YCBCR", "TiffPixels"]

MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
# Compressions that hold YCbCr and give RGB: JPEG of four numbers, and Aperio's JPEG 2000.
YCBCR_INSIDE = {6, 7, 33003, 33007, 34892}
ASSOCIATED, UNASSOCIATED = 1, 2  # of the tag ExtraSamples: colours times alpha, or not


@dataclass(frozen=True, eq=False)
class TiffPixels:
    """How the stored samples of one page are read.

    Attributes
    ----------
    samples
        Of a pixel that are read: 1, grey or an index, or 3.
    bits
        Of a sample: 1, 2, 4 or 8 to 16.
    inverted
        Whether 0 is white.
    premultiplied
        Whether a sample of alpha follows that the colours were multiplied by.
    palette
        Its colours, uint8, shape (entries, 3), or None.
    """

    samples: int
    bits: int
    inverted: bool
    premultiplied: bool
    palette: NDArray[np.uint8] | None

    @classmethod
    def of(cls, path: Path, page: TiffPage) -> TiffPixels:
        """Read the page's tags.

        Raises
        ------
        ImageError
            What is neither grey nor RGB of up to 16 bits.
        """
        photometric = int(page.photometric)
        return cls(
            _samples(path, page),
            _bits(path, page),
            photometric == MIN_IS_WHITE,
            [int(kind) for kind in page.extrasamples] == [ASSOCIATED],
            _palette(path, page) if photometric == PALETTE else None,
        )

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
        return 3 if self.palette is not None else self.samples

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 or uint16."""
        return np.dtype(np.uint8 if self.bits <= 8 or self.palette is not None else np.uint16)

    def finished(self, raw: NDArray[Any]) -> Pixels:
        """Bring stored samples (rows, W, samples) to grey levels or RGB."""
        if self.bits == 1:
            raw = raw.astype(np.uint8)  # from bool
        if self.palette is not None:
            coloured: Pixels = self.palette[raw[..., 0]]
            return coloured
        pixels: Pixels = raw[..., 0] if self.samples == 1 else raw[..., : self.samples]
        if self.premultiplied:
            pixels = self._divided(pixels, raw[..., -1])
        if self.bits < 8:
            pixels = pixels * np.uint8(255 // ((1 << self.bits) - 1))
        if self.inverted:
            pixels = self.dtype.type((1 << max(8, self.bits)) - 1) - pixels
        return np.ascontiguousarray(pixels)

    def _divided(self, pixels: Pixels, alpha: Pixels) -> Pixels:
        """Colours without their alpha, rounded down as in Pillow; black where alpha is 0."""
        full = (1 << self.bits) - 1
        if (alpha == full).all():
            return pixels
        share = alpha.reshape(*alpha.shape, *[1] * (pixels.ndim - 2)).astype(np.uint32)
        colours = np.minimum(pixels * np.uint32(full) // np.maximum(share, 1), full)
        divided: Pixels = np.where(share, colours, 0).astype(pixels.dtype)
        return divided


def _samples(path: Path, page: TiffPage) -> int:
    """How many of a pixel's samples are read: 1 or 3; refuse what is neither grey nor RGB."""
    samples, photometric = int(page.samplesperpixel), int(page.photometric)
    kinds = (ASSOCIATED, UNASSOCIATED)
    alpha = len(page.extrasamples) == 1 and int(page.extrasamples[0]) in kinds
    if photometric == CMYK:
        raise ImageError(path, "CMYK pixels, expected grey or RGB: convert the image to RGB")
    if photometric == YCBCR:
        turned = int(page.compression) in YCBCR_INSIDE and page.planarconfig == 1
        if samples != 3 or not turned:
            raise ImageError(
                path,
                "YCbCr pixels in planes, with alpha or without JPEG compression, expected RGB: "
                "convert the image to RGB",
            )
        return 3
    if photometric == RGB and samples in (3, 4):
        return 3
    if photometric == PALETTE and samples == 1:
        return 1
    if photometric in (MIN_IS_WHITE, MIN_IS_BLACK):
        if samples in (1, 3) or (samples in (2, 4) and alpha):
            return 1 if samples < 3 else 3
        raise ImageError(
            path,
            f"{samples} channels (shape {page.shape}, axes {page.axes}), expected 1, 3 (RGB) or 4 "
            "(RGB and alpha): save the channel to be read",
        )
    raise ImageError(
        path,
        f"pixels of kind {getattr(page.photometric, 'name', photometric)} with {samples} samples, "
        "expected grey, RGB, RGB and alpha, or a palette",
    )


def _bits(path: Path, page: TiffPage) -> int:
    """Bits of a sample; refuse what is no unsigned number of up to 16 bits."""
    bits = page.bitspersample
    dtype = np.dtype(page.dtype) if page.dtype is not None else None
    if dtype is None or dtype.kind not in "bu" or dtype.itemsize > 2:
        raise ImageError(
            path,
            f"pixels of {dtype if dtype is not None else 'an unknown kind'}, expected uint8 or "
            "uint16: scale them, for example to (x - min) / (max - min) * 65535, and save them "
            "as uint16",
        )
    if not isinstance(bits, int) or not (bits in (1, 2, 4) or 8 <= bits <= 16):
        raise ImageError(path, f"{bits} bits per sample, expected 1, 2, 4 or 8 to 16")
    return bits


def _palette(path: Path, page: TiffPage) -> NDArray[np.uint8]:
    """The colours of a palette: (entries, 3), from 16 bits to 8 as libtiff does."""
    entries = 1 << int(page.bitspersample)
    if page.colormap is None or page.colormap.shape != (3, entries):
        raise ImageError(path, f"damaged: a palette that is not of {entries} colours")
    colours: NDArray[Any] = np.asarray(page.colormap).T
    if colours.max(initial=0) > 255:  # some programs write 8-bit colours
        colours = colours >> 8
    return np.ascontiguousarray(colours, np.uint8)
