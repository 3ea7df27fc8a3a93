"""Items of one shape through an engine, batch by batch: sizes, padding, memory that runs out."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import OutOfMemoryError, ShapeError
from ..models.inputs import ModelInput
from .batching import Batches, BatchSize, Tuner, check_batch_size, tuner_for
from .engine import Engine
from .pipeline import Lane

__all__ = ["Arrays", "Execution", "Outputs"]

log = logging.getLogger(__name__)

Outputs: TypeAlias = dict[str, NDArray[np.float32]]
Arrays: TypeAlias = Mapping[str, NDArray[Any]]


class Execution:
    """Runs arrays of valid items.

    Parameters
    ----------
    engine
        Where they run.
    takes
        The graph's first input.
    key
        What the speed depends on beside device and shape; see `tuner_for`.
    """

    def __init__(self, engine: Engine, takes: ModelInput, key: str) -> None:
        self._engine = engine
        self._input = takes
        self._key = key
        self._tuners: dict[tuple[int, ...], Tuner] = {}
        self._lock = threading.Lock()

    def batches(self, asked: BatchSize) -> Batches:
        """Sizes of batches for one call.

        Raises
        ------
        ValueError
            Neither ``"auto"`` nor a number from 1.
        """
        if self._input.batch is not None:
            return Batches(self._input.batch, self._tuner)
        return Batches(check_batch_size(asked), self._tuner)

    def _tuner(self, item: tuple[int, ...]) -> Tuner:
        """Of a shape; sizes that are close share one."""
        rounded = tuple(1 << (axis - 1).bit_length() for axis in item[:2])
        with self._lock:
            if rounded not in self._tuners:
                self._tuners[rounded] = tuner_for(
                    self._engine.device, rounded, self._key, self._engine.limits
                )
            return self._tuners[rounded]

    def run_batch(
        self,
        items: NDArray[np.uint8],
        extra: Arrays,
        names: tuple[str, ...],
        lane: Lane,
    ) -> Outputs:
        """One call of a session; see `Predictor.run_batch`.

        Raises
        ------
        ShapeError
            The model does not answer with a row for each item.
        """
        n = len(items)
        begin = time.perf_counter()
        feeds = {self._input.name: self._input.feed(np.ascontiguousarray(items)), **extra}
        fixed = self._input.batch
        if fixed is not None and n < fixed:
            feeds = {k: np.concatenate([v, v[:1].repeat(fixed - n, 0)]) for k, v in feeds.items()}
        lane.profile.add("encode", time.perf_counter() - begin)
        values, rows = lane.run(feeds, names), fixed or n
        for name, value in zip(names, values, strict=True):
            if value.shape[:1] != (rows,):
                raise ShapeError(
                    f"output {name!r} of the model has the shape {value.shape} for {rows} items: "
                    "expected a row for each"
                )
        return {
            name: np.asarray(value[:n], dtype=np.float32)
            for name, value in zip(names, values, strict=True)
        }

    def run(
        self,
        items: NDArray[np.uint8],
        extra: Arrays,
        names: tuple[str, ...],
        lane: Lane,
        batches: Batches,
    ) -> Outputs:
        """Any number of items, in batches.

        A batch that the device has not the memory for is run again in halves, and later ones are
        no larger (logged).

        Parameters
        ----------
        items
            uint8, shape (n, ...), n at least 1, any strides.
        extra
            Further inputs by name, each of n rows.
        names
            Outputs wanted.
        lane, batches
            Where to run them, and of what size.

        Returns
        -------
        dict from output name to float32 array of shape (n, ...).

        Raises
        ------
        OutOfMemoryError
            A single item is too much.
        """
        n, shape = len(items), items.shape[1:]
        results: Outputs = {}
        begin = 0
        while begin < n:
            size = batches.size(shape)
            part = slice(begin, min(begin + size, n))
            count = part.stop - begin
            feeds = {name: values[part] for name, values in extra.items()}
            started = time.perf_counter()
            try:
                outputs = self.run_batch(items[part], feeds, names, lane)
            except OutOfMemoryError as error:
                if count == 1 or self._input.batch is not None:
                    raise
                batches.give_up(shape, count)
                log.warning("%s; trying batches of %d", error, batches.size(shape))
                continue
            if count == size:
                batches.record(shape, size, time.perf_counter() - started)
            if count == n:
                return outputs
            for name, values in outputs.items():
                if begin == 0:
                    results[name] = np.empty((n, *values.shape[1:]), np.float32)
                results[name][part] = values
            begin = part.stop
        return results
