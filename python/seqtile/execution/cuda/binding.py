"""Batches that run in memory which stays on the device, by bucket of batch size."""

from __future__ import annotations

import logging
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...errors import OutOfMemoryError, ProviderError, SeqtileError
from ..failures import reason
from ..limits import LIMITS, Limits
from ..locks import DEVICE
from ..padding import padded
from ..profile import Profile
from ..session import Session
from .bucketing import Bucketing, Key, Shape
from .memory import Block

__all__ = ["BoundRunner"]

log = logging.getLogger(__name__)

_T = TypeVar("_T")

# How far a replay may be from the run it replays, as part of the largest value.
_SAME = 1e-2


@dataclass
class _Bucket:
    """Memory on the device for batches of one shape, and the session that is bound to it."""

    session: Any
    binding: Any
    blocks: dict[str, Block]  # of inputs and outputs on the device
    hosts: dict[str, NDArray[Any]]  # staging of the inputs, (bucket, ...)
    fixed: bool  # a session of these shapes alone
    runs: int = 0
    seconds: float = 0.0  # computing


class BoundRunner:
    """Runs batches with inputs and outputs that stay on the device.

    A batch is padded to its bucket, the next power of two but no more than the largest batch so
    far, by repeating its first row; outputs are cut back. So few shapes occur, and memory is
    allocated once for each. The last few are kept.

    Threads may share one; they then run one after the other.

    Parameters
    ----------
    session
        The session whose model to run, on the CPU or on CUDA.
    fixed
        Give each bucket that is used again a session with its shapes fixed, as CUDA graphs need.
        Default: where graphs are on, once a bucket has computed for about as long as that takes.
    limits
        How many buckets to keep, and when to capture one.

    Attributes
    ----------
    graphs
        ``"on"``, or ``"off: "`` and why; what was found out in capturing included.

    Raises
    ------
    ProviderError
        An input or output that is no tensor of numbers; no memory or stream to be had.
    """

    def __init__(
        self, session: Session, *, fixed: bool | None = None, limits: Limits = LIMITS
    ) -> None:
        self._limits = limits
        self._owner = session
        self._bucketing = Bucketing(session.inputs, session.outputs, session.source)
        self.graphs = session.graphs
        self._fixed = self.graphs == "on" if fixed is None else fixed
        insisted = fixed or session.graphs_wanted is True
        self._patience = 0.0 if insisted else limits.capture_s
        self._buckets: OrderedDict[Key, _Bucket] = OrderedDict()
        self._staging: dict[str, NDArray[np.uint8]] = {}
        self._lock = threading.Lock()
        # onnxruntime keeps a captured graph for the thread that captured it.
        self._thread = (
            ThreadPoolExecutor(1, thread_name_prefix="seqtile-cuda") if self._fixed else None
        )
        with DEVICE.shared():
            self._memory = self._guarded(session.memory)

    def run(
        self,
        feeds: Mapping[str, NDArray[Any]],
        outputs: Sequence[str] | None = None,
        *,
        profile: Profile | None = None,
    ) -> list[NDArray[Any]]:
        """Outputs for one batch, in the order of ``outputs`` (default: the graph's).

        Parameters
        ----------
        feeds
            An array for each input, of the dtype the model takes.
        outputs
            Names of the outputs wanted.
        profile
            Gets the seconds of ``"h2d"`` (padding and copying to the device), ``"compute"`` and
            ``"d2h"``. Opening a bucket is in none of them.

        Raises
        ------
        OutOfMemoryError
            The batch is too large for the device's memory.
        ProviderError
            The device could not run this batch, as one of a shape or dtype the model does not take.
        """
        return self._in_turn(lambda: self._run(feeds, outputs, profile, capture=False))

    def warm_up(
        self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> None:
        """Run the largest batch to come, so that memory is allocated and graphs are captured now.

        Raises
        ------
        OutOfMemoryError, ProviderError
            As `run`.
        """
        self._in_turn(lambda: self._run(feeds, outputs, None, capture=True))

    def replay(self, times: int) -> float:
        """Run the batch that is on the device again, without copies; the seconds it took.

        Raises
        ------
        ProviderError
            Nothing was run yet, or the device failed.
        """

        def again() -> float:
            if not self._buckets:
                raise ProviderError(f"{self._owner.source}: nothing to replay, run a batch first")
            bucket = next(reversed(self._buckets.values()))
            with DEVICE.shared():
                started = perf_counter()
                for _ in range(times):
                    self._guarded(lambda: bucket.session.run_with_iobinding(bucket.binding))
                return perf_counter() - started

        return self._in_turn(again)

    def close(self) -> None:
        """Free the memory; a later run takes it again."""
        self._in_turn(self._buckets.clear)
        self._staging.clear()

    def _in_turn(self, work: Callable[[], _T]) -> _T:
        with self._lock:
            return work() if self._thread is None else self._thread.submit(work).result()

    def _guarded(self, work: Callable[[], _T]) -> _T:
        """The work's result; errors of onnxruntime and of CUDA as ours."""
        try:
            return work()
        except SeqtileError:
            raise
        except Exception as error:  # onnxruntime's exceptions share no base but Exception
            raise self._owner.failure(error) from error

    def _run(
        self,
        feeds: Mapping[str, NDArray[Any]],
        outputs: Sequence[str] | None,
        profile: Profile | None,
        *,
        capture: bool,
    ) -> list[NDArray[Any]]:
        names = tuple(outputs or self._owner.outputs)
        rows, key = self._bucketing.key(feeds, names)
        if any(0 in shape for _, shape in key[1]):
            return self._owner.run(feeds, outputs)
        results: list[NDArray[Any]] | None = None
        try:
            results = self._run_in_bucket(feeds, rows, key, profile)
        except OutOfMemoryError:
            others = bool(self._buckets)
            self._make_room(feeds)
            if not others:
                raise
        if results is None:  # outside of `except`, whose error holds on to the memory that was had
            results = self._run_in_bucket(feeds, rows, key, profile)
        self._bucketing.largest = max(self._bucketing.largest, rows)
        bucket = self._buckets[key]
        due = bucket.runs >= self._limits.capture_runs and bucket.seconds >= self._patience
        if self._fixed and not bucket.fixed and (capture or due):
            self._fix(key, bucket)
        return results

    def _make_room(self, feeds: Mapping[str, NDArray[Any]]) -> None:
        """Free the buckets, and what the session keeps from larger batches."""
        self._buckets.clear()
        one = {n: a[:1] if self._bucketing.batched(n) else a for n, a in feeds.items()}
        with suppress(ProviderError), DEVICE.shared():
            self._owner.shrink(one)

    def _run_in_bucket(
        self,
        feeds: Mapping[str, NDArray[Any]],
        rows: int,
        key: Key,
        profile: Profile | None,
    ) -> list[NDArray[Any]]:
        with DEVICE.shared():
            bucket = self._buckets.pop(key, None)
            if bucket is None:
                while len(self._buckets) >= self._limits.buckets:
                    self._buckets.popitem(last=False)
                bucket = self._guarded(lambda: self._open(key, self._owner.handle, {}))
            # Until it has run it is in no table: one that failed is dropped with its memory.
            started = perf_counter()
            for name, host in bucket.hosts.items():
                if self._bucketing.batched(name):
                    padded(feeds[name], len(host), out=host)
                else:
                    host[...] = feeds[name]
            self._guarded(lambda: self._send(bucket))
            sent = perf_counter()
            self._guarded(lambda: bucket.session.run_with_iobinding(bucket.binding))
            computed = perf_counter()
            bucket.runs += 1
            bucket.seconds += computed - sent
            results = self._guarded(lambda: self._fetch(bucket, key[2], rows))
            if profile is not None:
                profile.add("h2d", sent - started)
                profile.add("compute", computed - sent)
                profile.add("d2h", perf_counter() - computed)
        self._buckets[key] = bucket
        return results

    def _open(
        self, key: Key, session: Any, shapes: Mapping[str, Shape], *, fixed: bool = False
    ) -> _Bucket:
        """A bucket, with memory for its inputs and for outputs whose shape is known."""
        kind, _, number = self._owner.device.partition(":")
        place = (kind, int(number or 0))
        binding = session.io_binding()
        blocks, hosts = {}, {}
        for name, shape in key[1]:
            dtype = self._bucketing.dtype(name)
            size = math.prod(shape) * dtype.itemsize
            blocks[name] = self._memory.block(size)
            hosts[name] = self._memory.empty(size).view(dtype).reshape(shape)
            binding.bind_input(name, *place, dtype, shape, blocks[name].address)
        for name in key[2]:
            known = shapes.get(name) or self._bucketing.output_shape(key, name)
            if known is None:
                binding.bind_output(name, *place)
                continue
            dtype = self._bucketing.dtype(name)
            blocks[name] = self._memory.block(math.prod(known) * dtype.itemsize)
            binding.bind_output(name, *place, dtype, known, blocks[name].address)
        return _Bucket(session, binding, blocks, hosts, fixed)

    def _send(self, bucket: _Bucket) -> None:
        for name, host in bucket.hosts.items():
            self._memory.copy(bucket.blocks[name].address, host.ctypes.data, host.nbytes)
        self._memory.wait()

    def _fetch(self, bucket: _Bucket, names: Sequence[str], rows: int) -> list[NDArray[Any]]:
        """The outputs' first rows, in arrays of their own."""
        views = []
        for name, value in zip(names, bucket.binding.get_outputs(), strict=True):
            shape, dtype = tuple(value.shape()), self._bucketing.dtype(name)
            if self._bucketing.batched(name):
                shape = (rows, *shape[1:])
            size = math.prod(shape) * dtype.itemsize
            staging = self._staging.get(name)
            if staging is None or staging.nbytes < size:
                staging = self._staging[name] = self._memory.empty(size)
            if size:
                self._memory.copy(staging.ctypes.data, value.data_ptr(), size)
            views.append(staging[:size].view(dtype).reshape(shape))
        self._memory.wait()
        return [view.copy() for view in views]

    def _fix(self, key: Key, bucket: _Bucket) -> None:
        """Put a session of fixed shapes, captured as a graph, in the place of the bucket's."""
        rows, names = key[0], key[2]
        with DEVICE.alone():
            if self.graphs != self._owner.graphs:  # another runner has tried
                self._fixed, self.graphs = False, self._owner.graphs
                return
            expected = self._guarded(lambda: self._fetch(bucket, names, rows))
            shapes = {n: array.shape for n, array in zip(names, expected, strict=True)}
            try:
                session = self._owner.open(self._bucketing.sizes(key), graphs=self.graphs == "on")
                fixed = self._guarded(lambda: self._open(key, session, shapes, fixed=True))
                for name, host in bucket.hosts.items():
                    fixed.hosts[name][...] = host
                self._guarded(lambda: self._compare(fixed, names, rows, expected))
            except SeqtileError as error:
                self._give_up(error)
                return
        self._buckets[key] = fixed

    def _compare(
        self, bucket: _Bucket, names: Sequence[str], rows: int, expected: list[NDArray[Any]]
    ) -> None:
        """Capture the bucket's graph; refuse it if a replay gives other numbers.

        The rows are replayed in another order too, which a replay of what was captured would miss.
        """
        for turn in range(2):
            if turn:
                for name, host in bucket.hosts.items():
                    if self._bucketing.batched(name):
                        host[...] = np.roll(host, 1, axis=0)
                expected = [
                    np.roll(array, 1, axis=0) if self._bucketing.batched(name) else array
                    for name, array in zip(names, expected, strict=True)
                ]
            self._send(bucket)
            for _ in range(self._limits.replays):
                bucket.session.run_with_iobinding(bucket.binding)
                if not all(map(_same, self._fetch(bucket, names, rows), expected)):
                    raise ProviderError("its replay gives other numbers")

    def _give_up(self, error: SeqtileError) -> None:
        """Go on without graphs, unless they were insisted upon."""
        if self._owner.graphs_wanted is True:
            raise ProviderError(f"{self._owner.source}: graphs=True, but {error}") from error
        self._fixed = False
        why = reason(error.__cause__ or error)
        self.graphs = self._owner.graphs = f"off: {why}"
        log.warning("%s: CUDA graphs off: %s", self._owner.source, why)


def _same(found: NDArray[Any], expected: NDArray[Any]) -> bool:
    """Whether two answers differ by rounding only."""
    if found.dtype.kind != "f":
        return bool(np.array_equal(found, expected))
    reach = np.max(np.abs(expected), initial=0.0, where=np.isfinite(expected))
    return bool(np.allclose(found, expected, rtol=_SAME, atol=_SAME * reach, equal_nan=True))
