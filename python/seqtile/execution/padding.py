"""Batches filled up to a size that is fixed, or that memory is kept for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["padded"]


def padded(rows: NDArray[Any], count: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """So many rows: those given, then the first of them again and again.

    A model takes such a row like the others, whatever it checks; what it answers is cut off.

    Parameters
    ----------
    rows
        Shape (n, ...), n from 1 to ``count``.
    out
        Where to put them, shape (count, ...); default: ``rows`` itself if nothing lacks, else a
        new array.
    """
    n = len(rows)
    if out is None:
        if n == count:
            return rows
        out = np.empty((count, *rows.shape[1:]), rows.dtype)
    out[:n] = rows
    out[n:] = rows[:1]
    return out
