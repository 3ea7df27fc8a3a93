"""Random batches for any shipped model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import seqtile

EXPORTED = Path(__file__).parents[2] / "exported"
SHIPPED = seqtile.list_models()


def model_bytes(name: str) -> bytes:
    return (EXPORTED / name / "model.onnx").read_bytes()


def random_feeds(name: str, n: int, *, size: int, seed: int) -> dict[str, NDArray[Any]]:
    """A batch of ``n``; where the model leaves length, height and width open, about ``size``."""
    rng = np.random.default_rng([seed, n, size])
    feeds: dict[str, NDArray[Any]] = {}
    for spec in seqtile.card(name).inputs:
        step = spec.length_multiple
        free = max(spec.min_length, size // step * step)
        shape = (n, *(axis if isinstance(axis, int) else free for axis in spec.shape[1:]))
        if spec.dtype == "float32":
            feeds[spec.name] = rng.random(shape, np.float32)
        elif spec.alphabet is None:
            feeds[spec.name] = rng.integers(0, 256, shape, np.uint8)
        else:
            letters = np.frombuffer(b"ACGU" if spec.alphabet == "rna" else b"ACGT", np.uint8)
            feeds[spec.name] = rng.choice(letters, shape)
    return feeds
