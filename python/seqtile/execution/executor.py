"""The one way to run a model: rows in batches, chunks in lanes, single requests joined."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import OutOfMemoryError, ShapeError
from .batching import Batches, BatchSize, Tuner, check_batch_size, tuner_for
from .engine import Engine
from .padding import padded
from .pipeline import Lane, ordered
from .profile import Profile
from .requests import Requests
from .rows import Outputs, Rows

__all__ = ["Executor"]

log = logging.getLogger(__name__)

T = TypeVar("T")
K = TypeVar("K")
R = TypeVar("R")
Feed: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[Any]]


class Executor:
    """Runs valid rows on an engine; safe to share between threads.

    It alone decides the size of batches, fills up a batch that is too small and halves one that
    memory does not hold, chooses between lanes and all threads for one call, and keeps order.

    Parameters
    ----------
    engine
        Where they run.
    name
        Of the graph's first input.
    feed
        Makes this input of an array of rows: uint8, contiguous.
    outputs
        Names of the outputs that are given unless others are asked for.
    batch
        The only number of rows that the graph takes, None if any.
    key
        What the speed depends on beside device and shape; see `tuner_for`.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        feed: Feed,
        outputs: tuple[str, ...],
        *,
        batch: int | None = None,
        key: str = "",
    ) -> None:
        self._engine = engine
        self._name = name
        self._feed = feed
        self._outputs = outputs
        self._batch = batch
        self._key = key
        self._tuners: dict[tuple[int, ...], Tuner] = {}
        self._lock = threading.Lock()
        batches = self.batches()
        self._requests = Requests(
            lambda rows, names, runner: self.run(
                rows, names, batches=batches, lane=Lane(runner or engine.single)
            ),
            batches.size,
            lambda: engine.lanes,
            idle_s=engine.limits.idle_s,
        )

    @property
    def lanes(self) -> int:
        """How many batches run at once."""
        return len(self._engine.lanes)

    def batches(self, asked: BatchSize = "auto") -> Batches:
        """Sizes of batches for one call.

        Raises
        ------
        ValueError
            Neither ``"auto"`` nor a number from 1.
        """
        return Batches(self._batch or check_batch_size(asked), self._tuner)

    def _tuner(self, item: tuple[int, ...]) -> Tuner:
        """Of a shape; sizes that are close share one."""
        rounded = tuple(1 << (axis - 1).bit_length() for axis in item[:2])
        engine = self._engine
        with self._lock:
            if rounded not in self._tuners:
                self._tuners[rounded] = tuner_for(engine.device, rounded, self._key, engine.limits)
            return self._tuners[rounded]

    def run_batch(
        self, rows: Rows, outputs: tuple[str, ...] | None = None, lane: Lane | None = None
    ) -> Outputs:
        """One call of a session, by default with all threads.

        Parameters
        ----------
        rows
            At least one.
        outputs
            Names of those wanted.
        lane
            Where to run it.

        Returns
        -------
        dict from output name to float32 array of shape (n, ...).

        Raises
        ------
        ShapeError
            The model does not answer with a row for each.
        OutOfMemoryError
            So many are too much.
        """
        lane = Lane(self._engine.single) if lane is None else lane
        names = self._outputs if outputs is None else outputs
        count = self._batch or len(rows)
        begin = time.perf_counter()
        feeds = {self._name: self._feed(np.ascontiguousarray(rows.items)), **rows.extra}
        if len(rows) < count:
            feeds = {name: padded(feed, count) for name, feed in feeds.items()}
        lane.profile.add("encode", time.perf_counter() - begin)
        found = dict(zip(names, lane.run(feeds, names), strict=True))
        for name, values in found.items():
            if values.shape[:1] != (count,):
                raise ShapeError(
                    f"output {name!r} of the model has the shape {values.shape} for {count} "
                    "items: expected a row for each"
                )
        return {
            name: np.asarray(values[: len(rows)], dtype=np.float32)
            for name, values in found.items()
        }

    def run(
        self,
        rows: Rows,
        outputs: tuple[str, ...] | None = None,
        *,
        batches: Batches | None = None,
        lane: Lane | None = None,
    ) -> Outputs:
        """Any number of rows of one shape, batch after batch.

        A batch that the device has not the memory for is run again in halves, and later ones are
        no larger (logged).

        Parameters
        ----------
        rows
            At least one.
        outputs
            Names of those wanted.
        batches
            Of what size; default ``"auto"``.
        lane
            Where to run them; default: one call at a time, with all threads.

        Returns
        -------
        dict from output name to float32 array of shape (n, ...).

        Raises
        ------
        OutOfMemoryError
            A single row is too much.
        ShapeError
            The model does not answer with a row for each.
        """
        lane = Lane(self._engine.single) if lane is None else lane
        sizes = (self.batches() if batches is None else batches).of(rows.items.shape[1:])
        n = len(rows)
        results: Outputs = {}
        begin = 0
        while begin < n:
            size = sizes.size()
            part = slice(begin, min(begin + size, n))
            count = part.stop - begin
            started = time.perf_counter()
            try:
                found = self.run_batch(rows if count == n else rows[part], outputs, lane)
            except OutOfMemoryError as error:
                if count == 1 or self._batch is not None:
                    raise
                sizes.give_up(count)
                log.warning("%s; trying batches of %d", error, sizes.size())
                continue
            if count == size:
                sizes.record(size, time.perf_counter() - started)
            if count == n:
                return found
            for name, values in found.items():
                if begin == 0:
                    results[name] = np.empty((n, *values.shape[1:]), np.float32)
                results[name][part] = values
            begin = part.stop
        return results

    def map(
        self,
        items: Iterable[T],
        prepare: Callable[[T], tuple[Iterable[Rows], K]],
        finish: Callable[[K, list[Outputs]], R],
        outputs: tuple[str, ...] | None = None,
        *,
        batches: Batches | None = None,
        profile: Profile | None = None,
        ahead: int | None = None,
        peek: bool = False,
        interruptible: bool = False,
    ) -> Generator[R, None, None]:
        """Chunks of an input in lanes, several at once; their answers in the order of the chunks.

        Parameters
        ----------
        items
            Chunks of the input; read one at a time, from the lanes' threads, when somebody has
            begun to take answers.
        prepare
            Makes rows of a chunk, of one shape or of several, and what ``finish`` is to know of
            it; called in a lane's thread. Rows that come from a generator are asked for when those
            before them have been run.
        finish
            Makes the answer of what ``prepare`` kept and the outputs for each of its rows; called
            in the same thread.
        outputs, batches
            As for `run`.
        profile
            Where to count the time of each stage.
        ahead
            Chunks per lane that may wait for the caller, read or computed; default
            `Limits.ahead`.
        peek
            Read two chunks before anything is run, in the caller's thread: a single one then runs
            there, with all threads. Not for an input whose next chunk may wait for an answer.
        interruptible
            Run a single one in a thread, too, so that Ctrl-C need not wait for its end; that costs
            some 0.1 ms.

        Yields
        ------
        The answers.

        Raises
        ------
        Exception
            Whatever ``items``, ``prepare``, `run` or ``finish`` raises: once, after the answers
            before it. Then, and when the generator is closed, the lanes end after the batch they
            are at, and ``items`` is closed.
        RuntimeError
            Answers are taken in a process forked since the first.
        """
        batches = self.batches() if batches is None else batches
        profile = Profile() if profile is None else profile
        limits = self._engine.limits

        def work(item: T, lane: Lane) -> R:
            begin = time.perf_counter()
            parts, kept = prepare(item)
            lane.profile.add("encode", time.perf_counter() - begin)
            found = [self.run(rows, outputs, batches=batches, lane=lane) for rows in parts]
            return finish(kept, found)

        source, alone = iter(items), False
        if peek:
            with profile.stage("read"):
                head = list(itertools.islice(source, 2))
            alone = len(head) < 2
            if alone and not interruptible:
                for item in head:
                    yield work(item, Lane(self._engine.single, profile))
                return
            source = _after(head, source)
        yield from ordered(
            source,
            work,
            [self._engine.single] if alone else self._engine.lanes,
            ahead=limits.ahead if ahead is None else ahead,
            profile=profile,
            patience_s=limits.patience_s,
        )

    @property
    def waiting(self) -> int:
        """Rows that were submitted and are not run yet."""
        return self._requests.rows

    def submit(self, rows: Rows, outputs: tuple[str, ...] | None = None) -> Future[Outputs]:
        """Run rows soon, together with others of their shape that wait.

        With nothing to do a lane runs them at once, with all threads; while the lanes are busy
        what arrives is joined, up to the rows of a batch, and shapes take turns. The number that
        may wait has no bound: a server looks at `waiting` and refuses.

        Parameters
        ----------
        rows
            At least one; their arrays are not to be changed before the answer is there.
        outputs
            Names of those wanted.

        Returns
        -------
        Future of the outputs, as of `run`; cancelled before its turn it is not run. An error is
        that of these rows alone: when joined ones fail, each is run again by itself.

        Raises
        ------
        ShapeError
            No rows; further inputs of another number.
        RuntimeError
            The executor was closed.
        """
        return self._requests.submit(rows, self._outputs if outputs is None else outputs)

    def close(self) -> None:
        """Take no more by `submit`: what runs ends, what waits gets a `RuntimeError`."""
        self._requests.close()


def _after(head: list[T], rest: Iterator[T]) -> Generator[T, None, None]:
    yield from head
    del head[:]
    yield from rest
