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

from ..outputs import Outputs
from .limits import LIMITS, Limits

__all__ = ["BatchSize", "Batches", "Tuner", "check_batch_size", "tuner_for"]

log = logging.getLogger(__name__)

BatchSize: TypeAlias = "int | Literal['auto']"


def check_batch_size(asked: BatchSize) -> BatchSize:
    """The batch size; `ValueError` if it is neither ``"auto"`` nor a number from 1."""
    if isinstance(asked, str) and asked == "auto":
        return asked
    if not isinstance(asked, (int, np.integer)) or asked < 1:
        raise ValueError(f"batch_size must be 'auto' or at least 1, not {asked!r}")
    return int(asked)


def _sizes(device: str, item: tuple[int, ...], limits: Limits) -> tuple[int, tuple[int, ...]]:
    """The size to begin with, and those to try, for items of this shape."""
    cpu = device == "cpu"
    most = limits.cpu_batch if cpu else limits.cuda_batch
    if len(item) == 1:
        fit = max(1, (limits.cpu_letters if cpu else limits.cuda_letters) // item[0])
        sizes = limits.cpu_batches if cpu else limits.cuda_batches
        return min(most, fit), tuple(size for size in sizes if size <= fit) or (fit,)
    pixels = limits.cpu_pixels if cpu else limits.cuda_pixels
    start = max(1, min(most, pixels // (item[0] * item[1])))
    scales = limits.cpu_scales if cpu else limits.cuda_scales
    return start, tuple(sorted({max(1, int(start * 2.0**by)) for by in scales}))


class Tuner:
    """Finds the fastest of a few batch sizes from the batches of real work, as they come.

    Every size is used for the same number of batches, by all lanes at once; then the one of the
    highest median rate is kept. Nothing is run twice or only to be measured.

    Parameters
    ----------
    start
        Used until measuring is over, by work too short for it; kept unless another size is faster
        by `Limits.gain`.
    sizes
        Those to try.
    chosen
        Called with the size that was found.
    largest_first
        Try the sizes from the largest down, so that a device's memory is taken once.
    limits
        How long to measure, and what counts as faster.
    """

    def __init__(
        self,
        start: int,
        sizes: tuple[int, ...],
        chosen: Callable[[int], object],
        *,
        largest_first: bool = False,
        limits: Limits = LIMITS,
    ) -> None:
        self.start = start
        self.found: int | None = None
        self._left = [start, *(size for size in sizes if size != start)]
        if largest_first:
            self._left.sort(reverse=True)
        self._seconds: dict[int, list[float]] = {size: [] for size in self._left}
        self._chosen = chosen
        self._limits = limits
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
            if size != self._left[0] or len(self._seconds[size]) < self._limits.timed_batches:
                return
            if len(self._left) > 1:
                self._left = self._left[1:]
                return
            rates = {s: s / statistics.median(t[1:]) for s, t in self._seconds.items() if t[1:]}
            best = max(rates, key=lambda size: rates[size])
            least = self._limits.gain * rates.get(self.start, 0.0)
            self.found = kept = best if rates[best] > least else self.start
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
        By the shape of an item, for ``"auto"``.
    """

    def __init__(self, asked: BatchSize, tuner: Callable[[tuple[int, ...]], Tuner]) -> None:
        self._fixed = None if isinstance(asked, str) else Tuner(asked, (), lambda size: None)
        if self._fixed is not None:
            self._fixed.found = self._fixed.start
        self._tuner = tuner

    @property
    def asked(self) -> BatchSize:
        """As given, or less where memory ran out."""
        return "auto" if self._fixed is None else self._fixed.size()

    def of(self, item: tuple[int, ...]) -> Tuner:
        """What tells the size for items of this shape."""
        return self._fixed or self._tuner(item)

    def size(self, item: tuple[int, ...]) -> int:
        """Items of the next batch."""
        return self.of(item).size()

    def largest(self, item: tuple[int, ...]) -> int:
        """Most items of a batch."""
        return self.of(item).largest


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


def tuner_for(device: str, item: tuple[int, ...], key: str, limits: Limits = LIMITS) -> Tuner:
    """The tuner for items of one shape, done already if a size is in the cache under this key.

    Parameters
    ----------
    device
        As `Predictor.device`.
    item
        Shape of an item: (L,), (H, W) or (H, W, 3).
    key
        What the speed depends on beside the shape: model, processor, threads, versions.
    limits
        Sizes to begin with and to try.
    """
    start, sizes = _sizes(device, item, limits)
    name = f"{key} {'x'.join(map(str, item))}"
    tuner = Tuner(
        start,
        sizes,
        lambda size: _remember(name, size),
        largest_first=device != "cpu",
        limits=limits,
    )
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
        path.parent.mkdir(parents=True, exist_ok=True)
        content = _read_cache() | {name: size}
        with Outputs() as files:
            files.open(path).write(json.dumps(content, indent=1, sort_keys=True).encode())
    except (OSError, RuntimeError) as error:
        log.info("batch size auto: not remembered: %s", error)
