"""Cells turned, shifted, stained and lit otherwise: what training shows beside the images."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

TURN = 0.6  # share of images turned by any angle; the others keep their pixels, which are sharper
SCALE = 0.12  # and enlarged or shrunk by up to this
SHIFT = 2.0  # pixels
GAIN = 0.08  # of each channel: stain
CONTRAST = 0.15
LIGHT = 0.12  # added to all channels, of a range of 2
HOLE = 8  # pixels, side of a grey square
HOLES = 0.3  # share of images with one


def augment(x: Tensor, rng: np.random.Generator) -> Tensor:
    """A batch of images as training sees it; each draws for itself.

    Parameters
    ----------
    x
        float32, shape (N, 3, H, H), from -1 to 1.

    Returns
    -------
    The same shape; values may leave the range a little.
    """
    return hole(stain(move(x, rng), rng), rng)


def move(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Mirrored, turned, scaled and shifted; the border is mirrored into what comes in."""
    n = len(x)
    quarter = rng.integers(0, 4, n) * (np.pi / 2)
    free = rng.random(n) < TURN
    angle = quarter + np.where(free, rng.uniform(0, np.pi / 2, n), 0)
    size = np.where(free, np.exp(rng.uniform(-SCALE, SCALE, n)), 1)
    shift = rng.uniform(-SHIFT, SHIFT, (n, 2))
    shift = np.where(free[:, None], shift, np.round(shift)) * (2 / x.shape[-1])
    flip = rng.choice([-1.0, 1.0], n)
    matrix = np.empty((n, 2, 3), np.float32)
    matrix[:, 0, 0], matrix[:, 0, 1] = flip * np.cos(angle) / size, -np.sin(angle) / size
    matrix[:, 1, 0], matrix[:, 1, 1] = flip * np.sin(angle) / size, np.cos(angle) / size
    matrix[:, :, 2] = shift
    grid = functional.affine_grid(
        torch.from_numpy(matrix).to(x.device), list(x.shape), align_corners=False
    )
    return functional.grid_sample(
        x, grid, mode="bicubic", padding_mode="reflection", align_corners=False
    )


def stain(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Other light, contrast, and strength of each channel."""
    n = len(x)
    gain = rng.uniform(1 - GAIN, 1 + GAIN, (n, 3, 1, 1))
    gain *= rng.uniform(1 - CONTRAST, 1 + CONTRAST, (n, 1, 1, 1))
    light = rng.uniform(-LIGHT, LIGHT, (n, 1, 1, 1))
    mean = x.mean((2, 3), keepdim=True)
    return (
        (x - mean) * _like(gain, x)
        + mean * _like(gain / gain.mean(1, keepdims=True), x)
        + (_like(light, x))
    )


def hole(x: Tensor, rng: np.random.Generator) -> Tensor:
    """A grey square over some of the images, so that no single place decides."""
    n, _, height, width = x.shape
    top = rng.integers(0, height - HOLE + 1, n)
    left = rng.integers(0, width - HOLE + 1, n)
    rows, columns = np.arange(height), np.arange(width)
    inside = ((rows >= top[:, None]) & (rows < top[:, None] + HOLE))[:, :, None] & (
        (columns >= left[:, None]) & (columns < left[:, None] + HOLE)
    )[:, None, :]
    inside &= (rng.random(n) < HOLES)[:, None, None]
    return x.masked_fill(torch.from_numpy(inside[:, None]).to(x.device), 0.0)


def _like(values: np.ndarray, x: Tensor) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(x.device)
