"""Requests that wait for a lane, joined into batches."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from ..errors import ShapeError
from .pipeline import Runner
from .rows import Outputs, Rows

__all__ = ["Requests"]

# Outputs for rows, on a runner, or on the one of the lowest latency.
Run: TypeAlias = Callable[[Rows, "tuple[str, ...]", "Runner | None"], Outputs]


@dataclass(eq=False)
class _Request:
    rows: Rows
    outputs: tuple[str, ...]
    future: Future[Outputs] = field(default_factory=Future)

    @property
    def key(self) -> Hashable:
        """What those have in common that may be joined."""
        arrays = {"": self.rows.items, **self.rows.extra}
        kinds = sorted((name, a.dtype.str, a.shape[1:]) for name, a in arrays.items())
        return (self.outputs, *kinds)


class Requests:
    """A queue of requests, and a thread for each lane that takes from it.

    Threads are started when they are wanted and end when nothing has come for a while, so that
    nothing has to be closed.

    Parameters
    ----------
    run
        Runs rows.
    size
        Most rows that are joined, by the shape of an item.
    lanes
        Gives the runners, one for each lane.
    idle_s
        Seconds after which a thread that has nothing to do ends.
    """

    def __init__(
        self,
        run: Run,
        size: Callable[[tuple[int, ...]], int],
        lanes: Callable[[], Sequence[Runner]],
        *,
        idle_s: float,
    ) -> None:
        self._run = run
        self._size = size
        self._lanes = lanes
        self._idle_s = idle_s
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._waiting: dict[Hashable, deque[_Request]] = {}  # shapes in turn
        self._threads: dict[int, threading.Thread] = {}  # by number of the lane
        self._busy = 0
        self._closed = False
        self.rows = 0  # that wait

    def submit(self, rows: Rows, outputs: tuple[str, ...]) -> Future[Outputs]:
        """See `Executor.submit`."""
        counts = {name: len(values) for name, values in rows.extra.items()}
        if len(rows) == 0 or any(count != len(rows) for count in counts.values()):
            raise ShapeError(f"expected as many rows of each input, from 1: {len(rows)}, {counts}")
        if os.getpid() != self._process:  # its threads and what waits are not in a forked child
            self._start()
        request, runners = _Request(rows, outputs), self._lanes()
        with self._changed:
            if self._closed:
                raise RuntimeError("the executor was closed: it takes no more requests")
            self._waiting.setdefault(request.key, deque()).append(request)
            self.rows += len(rows)
            self._call_thread(runners)
        return request.future

    def _call_thread(self, runners: Sequence[Runner]) -> None:
        """Wake one that is idle, or start one if a lane has none."""
        if self._busy >= len(self._threads) < len(runners):
            number = min(set(range(len(runners))) - self._threads.keys())
            name = f"seqtile request lane {number}"
            thread = threading.Thread(
                target=self._work, args=(number, runners), name=name, daemon=True
            )
            thread.start()  # it waits for this lock
            self._threads[number] = thread
        self._changed.notify()

    def _work(self, number: int, runners: Sequence[Runner]) -> None:
        while requests := self._take(number, runners):
            with self._changed:
                alone = self._busy == 1 and not self._waiting
            try:
                self._answer(requests, None if alone else runners[number])
            finally:
                del requests
                with self._changed:
                    self._busy -= 1

    def _take(self, number: int, runners: Sequence[Runner]) -> list[_Request]:
        """Some that can be joined; none if the thread is to end."""
        with self._changed:
            while True:
                here = self._changed.wait_for(
                    lambda: self._waiting or self._closed, timeout=self._idle_s
                )
                if not here or self._closed:
                    self._threads.pop(number, None)
                    return []
                if taken := self._joinable():
                    self._busy += 1
                    if self._waiting:
                        self._call_thread(runners)
                    return taken

    def _joinable(self) -> list[_Request]:
        """The first requests of the shape whose turn it is, without those cancelled meanwhile."""
        key = next(iter(self._waiting))
        queue = self._waiting.pop(key)
        most = self._size(queue[0].rows.items.shape[1:])
        taken: list[_Request] = []
        total = 0
        while queue and (not taken or total + len(queue[0].rows) <= most):
            request = queue.popleft()
            self.rows -= len(request.rows)
            if request.future.set_running_or_notify_cancel():
                taken.append(request)
                total += len(request.rows)
        if queue:
            self._waiting[key] = queue  # behind the other shapes
        return taken

    def _answer(self, requests: list[_Request], runner: Runner | None) -> None:
        try:
            outputs = self._run(_join(requests), requests[0].outputs, runner)
        except BaseException as error:
            if len(requests) == 1:
                requests[0].future.set_exception(error)
                return
            for request in requests:
                self._answer([request], runner)
            return
        begin = 0
        for request in requests:
            part = slice(begin, begin := begin + len(request.rows))
            alone = len(requests) == 1
            request.future.set_result(
                {n: values if alone else values[part].copy() for n, values in outputs.items()}
            )

    def close(self) -> None:
        """See `Executor.close`."""
        if os.getpid() != self._process:
            self._start()
        with self._changed:
            self._closed = True
            left = [request for queue in self._waiting.values() for request in queue]
            self._waiting.clear()
            self.rows = 0
            threads = list(self._threads.values())
            self._changed.notify_all()
        for request in left:
            if request.future.set_running_or_notify_cancel():
                request.future.set_exception(
                    RuntimeError("the executor was closed before its turn")
                )
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join()


def _join(requests: Sequence[_Request]) -> Rows:
    first = requests[0].rows
    if len(requests) == 1:
        return first
    return Rows(
        np.concatenate([request.rows.items for request in requests]),
        {
            name: np.concatenate([request.rows.extra[name] for request in requests])
            for name in first.extra
        },
    )
