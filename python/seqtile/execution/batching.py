"""How many items go through a session together: asked for, or measured once and remembered."""

from __future__ import annotations

import json
import logging
import os
import statistics
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

__all__ = ["BatchSize", "Batches", "Tuner", "check_batch_size", "tuner_for"]

log = logging.getLogger(__name__)

BatchSize: TypeAlias = "int | Literal['auto']"

# Before anything is measured: jund-cnn-seq on 2 cores, benches/bench_predict.py::test_batch_size.
_CPU, _CUDA = 128, 8192
_CPU_SIZES = (16, 32, 64, 128, 256, 512)
_CUDA_SIZES = (512, 2048, 8192, 32_768)
_CPU_LETTERS, _CUDA_LETTERS = 1 << 17, 1 << 25  # in a batch of long sequences
_CPU_PIXELS, _CUDA_PIXELS = 1 << 18, 1 << 25
_CPU_SCALES = (-3, -2, -1, 0)  # of the number of images, in powers of two
_CUDA_SCALES = (-4, -2, 0, 1)
_SAMPLES = 5  # batches of each size that are timed; the first of them is not counted
_GAIN = 1.03  # a size must be this much faster than the one that is used without measuring


def check_batch_size(asked: BatchSize) -> BatchSize:
    """The batch size; `ValueError` if it is neither ``"auto"`` nor a number from 1."""
    if isinstance(asked, str) and asked == "auto":
        return asked
    if not isinstance(asked, (int, np.integer)) or asked < 1:
        raise ValueError(f"batch_size must be 'auto' or at least 1, not {asked!r}")
    return int(asked)


def _sizes(device: str, item: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    """The size to begin with, and those to try, for items of this shape."""
    cpu = device == "cpu"
    if len(item) == 1:
        most = max(1, (_CPU_LETTERS if cpu else _CUDA_LETTERS) // item[0])
        few = [size for size in (_CPU_SIZES if cpu else _CUDA_SIZES) if size <= most]
        return min(_CPU if cpu else _CUDA, most), tuple(few) or (most,)
    most = _CPU if cpu else _CUDA
    start = max(1, min(most, (_CPU_PIXELS if cpu else _CUDA_PIXELS) // (item[0] * item[1])))
    scaled = {max(1, int(start * 2.0**by)) for by in (_CPU_SCALES if cpu else _CUDA_SCALES)}
    return start, tuple(sorted(scaled))


class Tuner:
    """Finds the fastest of a few batch sizes from the batches of real work, as they come.

    Every size is used for the same number of batches, by all lanes at once; then the one of the
    highest median rate is kept. Nothing is run twice or only to be measured.

    Parameters
    ----------
    start
        Used until measuring is over, by work too short for it; kept unless another size is 3 %
        faster.
    sizes
        Those to try.
    chosen
        Called with the size that was found.
    largest_first
        Try the sizes from the largest down, so that a device's memory is taken once.
    """

    def __init__(
        self,
        start: int,
        sizes: tuple[int, ...],
        chosen: Callable[[int], object],
        *,
        largest_first: bool = False,
    ) -> None:
        self.start = start
        self.found: int | None = None
        self._left = [start, *(size for size in sizes if size != start)]
        if largest_first:
            self._left.sort(reverse=True)
        self._seconds: dict[int, list[float]] = {size: [] for size in self._left}
        self._chosen = chosen
        self._lock = threading.Lock()

    @property
    def largest(self) -> int:
        """The largest batch that may be asked for."""
        return self.found or max(self._seconds)

    def size(self) -> int:
        """Items of the next batch."""
        return self.found or self._left[0]

    def record(self, size: int, seconds: float) -> None:
        """A whole batch was run in this time, by one lane."""
        with self._lock:
            if self.found is not None or size not in self._seconds:
                return
            self._seconds[size].append(seconds)
            if size != self._left[0] or len(self._seconds[size]) < _SAMPLES:
                return
            if len(self._left) > 1:
                self._left = self._left[1:]
                return
            rates = {s: s / statistics.median(t[1:]) for s, t in self._seconds.items() if t[1:]}
            best = max(rates, key=lambda size: rates[size])
            kept = best if rates[best] > _GAIN * rates.get(self.start, 0.0) else self.start
            self.found = kept
        log.info("batch size auto: %d of %s", kept, sorted(rates))
        self._chosen(kept)

    def give_up(self, size: int) -> None:
        """A batch of this size does not fit into memory: half of it from now on at most."""
        with self._lock:
            most = max(1, size // 2)
            self.start = min(self.start, most)
            self._seconds = {s: t for s, t in self._seconds.items() if s <= most} or {most: []}
            self._left = [s for s in self._left if s <= most] or [max(self._seconds)]
            if self.found is not None:
                self.found = min(self.found, most)


class Batches:
    """The batches of one call: of a size that was asked for, or tuned.

    Parameters
    ----------
    asked
        Items of a batch, or ``"auto"``.
    tuner
        By the shape of an item.

    Attributes
    ----------
    asked
        As given, or less where memory ran out.
    """

    def __init__(self, asked: BatchSize, tuner: Callable[[tuple[int, ...]], Tuner]) -> None:
        self.asked = asked
        self._tuner = tuner

    def size(self, item: tuple[int, ...]) -> int:
        """Items of the next batch."""
        return self._tuner(item).size() if self.asked == "auto" else self.asked

    def largest(self, item: tuple[int, ...]) -> int:
        """Most items of a batch."""
        return self._tuner(item).largest if self.asked == "auto" else self.asked

    def record(self, item: tuple[int, ...], size: int, seconds: float) -> None:
        """A whole batch was run."""
        if self.asked == "auto":
            self._tuner(item).record(size, seconds)

    def give_up(self, item: tuple[int, ...], size: int) -> None:
        """A batch of this size was too much for the memory: no such ones any more."""
        if self.asked == "auto":
            self._tuner(item).give_up(size)
        else:
            self.asked = max(1, min(self.asked, size // 2))


def cache_file() -> Path:
    """Where measured sizes are kept: ``$SEQTILE_CACHE``, else ``seqtile`` in the user's cache.

    Raises
    ------
    RuntimeError
        The user has no home.
    """
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = os.environ.get("SEQTILE_CACHE") or Path(base).expanduser() / "seqtile"
    return Path(folder) / "batch_sizes.json"


def tuner_for(device: str, item: tuple[int, ...], key: str) -> Tuner:
    """The tuner for items of one shape, done already if a size is in the cache under this key.

    Parameters
    ----------
    device
        As `Predictor.device`.
    item
        Shape of an item: (L,), (H, W) or (H, W, 3).
    key
        What the speed depends on beside the shape: model, processor, threads, versions.
    """
    start, sizes = _sizes(device, item)
    name = f"{key} {'x'.join(map(str, item))}"
    tuner = Tuner(start, sizes, lambda size: _remember(name, size), largest_first=device != "cpu")
    found = _read_cache().get(name)
    if isinstance(found, int) and found in sizes:
        tuner.found = found
    return tuner


def _read_cache() -> dict[str, Any]:
    try:
        found = json.loads(cache_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):  # none yet, not ours, no home: it is measured anew
        return {}
    return found if isinstance(found, dict) else {}


def _remember(name: str, size: int) -> None:
    try:
        path = cache_file()
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        path.parent.mkdir(parents=True, exist_ok=True)
        content = _read_cache() | {name: size}
        temporary.write_text(json.dumps(content, indent=1, sort_keys=True), encoding="utf-8")
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        log.info("batch size auto: not remembered: %s", error)
