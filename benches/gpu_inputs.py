"""Inputs for any shipped model, and how long a batch stays on its device."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import seqtile
from benches.compare import seconds
from seqtile.models.zoo import model_folder

Feeds = dict[str, Any]


def shuffled(name: str, count: int) -> Feeds:
    """The golden inputs again and again, letters or rows of pixels in a new order; by input."""
    card = seqtile.card(name)
    with np.load(model_folder(name) / "golden.npz") as golden:
        inputs = {tensor.name: golden[tensor.name] for tensor in card.inputs}
    first, rng = card.inputs[0].name, np.random.default_rng(0)
    rows = rng.integers(0, len(inputs[first]), count)
    drawn = {key: values[rows] for key, values in inputs.items()}
    flat = drawn[first].reshape(count, drawn[first].shape[1], -1)
    for row in flat:
        rng.shuffle(row)
    return drawn


def times(feeds: Feeds, copies: int) -> Feeds:
    """The same rows several times over."""
    return {key: np.concatenate([values] * copies) for key, values in feeds.items()}


def is_dense(name: str) -> bool:
    """Whether the model answers for every pixel, so that few images are much work."""
    return seqtile.card(name).segmentation is not None


def scans(name: str) -> bool:
    """Whether the model can scan genomes: windows of DNA alone."""
    card = seqtile.card(name)
    return bool(card.window and len(card.inputs) == 1 and card.inputs[0].alphabet == "dna")


def rate(call: Callable[[], object], items: int, rounds: int = 3) -> float:
    """Items per second: the median of some calls, after one that does not count."""
    call()
    return items / statistics.median(seconds(call) for _ in range(rounds))


def resident(runner: Any, feeds: Feeds, outputs: tuple[str, ...], *, least_s: float) -> float:
    """Items per second of a batch whose inputs and outputs stay on the device.

    Parameters
    ----------
    runner
        A `seqtile.execution.cuda.binding.BoundRunner`.
    least_s
        Time of one measurement; the median of three counts.
    """
    runner.warm_up(feeds, outputs)
    size = len(next(iter(feeds.values())))
    repeats = max(1, int(least_s / max(runner.replay(3) / 3, 1e-6)))
    return size / statistics.median(runner.replay(repeats) / repeats for _ in range(3))


def random_genome(path: Path, bases: int) -> Path:
    """A FASTA file of one random sequence, 60 letters a line."""
    lines = bases // 60
    letters = np.full((lines, 61), ord("\n"), np.uint8)
    rng = np.random.default_rng(0)
    letters[:, :60] = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, (lines, 60), np.uint8)]
    path.write_bytes(b">random\n" + letters.tobytes())
    return path
