"""Made-up cells for the benches of labelling: many objects of many shapes, always the same."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np


@lru_cache(maxsize=1)
def cells(side: int) -> tuple[Any, Any]:
    """Probabilities of mask and of cores, float32 (side, side): smooth noise, cut at two heights.

    Some 40 % of the pixels are of a mask of objects some 25 pixels wide, joined here and there.
    """
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(0).standard_normal((side, side)).astype(np.float32)
    smooth = gaussian_filter(noise, 6, mode="wrap")
    smooth /= smooth.std()
    mask = 1 / (1 + np.exp(-4 * (smooth - 0.25)))
    marker = 1 / (1 + np.exp(-4 * (smooth - 1.0)))
    return mask.astype(np.float32), marker.astype(np.float32)
