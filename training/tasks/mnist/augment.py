"""Digits turned, sheared, scaled, shifted and bent: what training shows in place of the images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from .networks import SIDE

if TYPE_CHECKING:
    from .train import Config


def distort(grey: Tensor, config: Config, rng: np.random.Generator) -> Tensor:
    """Each image turned, sheared, scaled, shifted and bent at random; black comes in.

    Parameters
    ----------
    grey
        float32 (N, 1, 28, 28).

    Returns
    -------
    Of the same shape: bilinear between pixels.
    """
    n = len(grey)
    theta = torch.from_numpy(_affine(n, config, rng)).to(grey)
    grid = functional.affine_grid(theta, list(grey.shape), align_corners=False)
    if config.elastic:
        knots = rng.normal(0, config.elastic * 2 / SIDE, (n, 2, 5, 5))
        bend = functional.interpolate(
            torch.from_numpy(knots).to(grey), size=(SIDE, SIDE), mode="bicubic", align_corners=True
        )
        grid = grid + bend.permute(0, 2, 3, 1)
    return functional.grid_sample(grey, grid, align_corners=False)


def _affine(n: int, config: Config, rng: np.random.Generator) -> NDArray[np.float64]:
    """float64 (n, 2, 3): where each pixel of the result is taken from, the image being -1 to 1."""

    def even(largest: float, *shape: int) -> NDArray[np.float64]:
        return rng.uniform(-largest, largest, shape)

    angle, shear = even(math.radians(config.rotate), n), np.tan(even(math.radians(config.shear), n))
    across, along = np.exp(even(math.log(config.scale), 2, n))
    cos, sin = np.cos(angle), np.sin(angle)
    theta = np.empty((n, 2, 3))
    theta[:, 0, 0], theta[:, 0, 1] = cos * across, (cos * shear - sin) * along
    theta[:, 1, 0], theta[:, 1, 1] = sin * across, (sin * shear + cos) * along
    theta[:, :, 2] = even(config.shift * 2 / SIDE, n, 2)
    return theta
