"""Stages that overlap: read and encode, compute, write; bounded, in order, timed.

Each lane (a session's place to run) has a thread that takes the next chunk of the input, computes
it and puts the answer into its place. Only one lane reads at a time, so that the input need not be
safe to share, and while one reads the others compute. The caller's thread takes the answers in the
order of the input, and writes. What is ahead of the caller is bounded.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

from numpy.typing import NDArray

from .. import interrupts
from .limits import LIMITS
from .profile import Profile
from .rows import Arrays

__all__ = ["Lane", "Runner", "Stopped", "ordered"]

T = TypeVar("T")
R = TypeVar("R")


class Runner(Protocol):
    """Runs batches on a device; safe to share between threads."""

    def run(
        self,
        feeds: Arrays,
        outputs: Sequence[str] | None = None,
        *,
        profile: Profile | None = None,
    ) -> list[NDArray[Any]]:
        """Outputs for one batch, as `Session.run`."""


class Stopped(Exception):  # noqa: N818 - no error: the caller wants no more
    """The pipeline was closed; ends a lane's work."""


class Lane:
    """One thread's place to run batches: its runner, and whether anybody still waits for it."""

    def __init__(
        self, runner: Runner, profile: Profile | None = None, stop: threading.Event | None = None
    ) -> None:
        self.runner = runner
        self.profile = Profile() if profile is None else profile
        self._stop = stop

    def run(self, feeds: Arrays, outputs: Sequence[str] | None = None) -> list[NDArray[Any]]:
        """Outputs for one batch; raises `Stopped` after the pipeline's end."""
        interrupts.check()
        if self._stop is not None and self._stop.is_set():
            raise Stopped
        return self.runner.run(feeds, outputs, profile=self.profile)


class _Outcome(Generic[R]):
    __slots__ = ("error", "value")

    def __init__(self, value: R | None = None, error: BaseException | None = None) -> None:
        self.value = value
        self.error = error


class _Run(Generic[T, R]):
    """The state that lanes and caller share."""

    def __init__(
        self,
        source: Iterator[T],
        work: Callable[[T, Lane], R],
        runners: Sequence[Runner],
        ahead: int,
        profile: Profile,
        patience_s: float,
    ) -> None:
        self.source = source
        self.work = work
        self.profile = profile
        self.patience_s = patience_s
        self.limit = len(runners) * (1 + ahead)
        self.process = os.getpid()
        self.stop = threading.Event()
        self.changed = threading.Condition()
        self.reading = threading.Lock()
        self.reserved = 0  # places taken by lanes, read or not
        self.read = 0  # chunks that were read
        self.taken = 0  # answers that the caller has
        self.ended = False
        self.outcomes: dict[int, _Outcome[R]] = {}
        self.alive = len(runners)
        self.threads = [
            threading.Thread(
                target=self._lane,
                args=(Lane(runner, profile, self.stop),),
                name=f"seqtile lane {i}",
                daemon=True,
            )
            for i, runner in enumerate(runners)
        ]
        profile.lanes = max(profile.lanes, len(runners))
        for thread in self.threads:
            thread.start()

    def _lane(self, lane: Lane) -> None:
        try:
            self._chunks(lane)
        finally:
            with self.changed:
                self.alive -= 1
                last = self.alive == 0
            if last and hasattr(self.source, "close"):
                self.source.close()

    def _chunks(self, lane: Lane) -> None:
        clock, add = time.perf_counter, self.profile.add
        while True:
            begin = clock()
            with self.changed:
                while self.reserved - self.taken >= self.limit and not self.stop.is_set():
                    self.changed.wait()
                self.reserved += 1
            got_room = clock()
            with self.reading:
                got_turn = clock()
                if self.ended or self.stop.is_set():
                    return
                number = self.read
                try:
                    item = next(self.source)
                except StopIteration:
                    self._end(number, None)
                    return
                except BaseException as error:
                    self._end(number, _Outcome(error=error))
                    return
                self.read += 1
            add("wait_write", got_room - begin)
            add("wait_read", got_turn - got_room)
            add("read", clock() - got_turn)
            try:
                outcome = _Outcome(self.work(item, lane))
            except Stopped:
                return
            except BaseException as error:
                outcome = _Outcome(error=error)
            del item
            with self.changed:
                self.outcomes[number] = outcome
                self.changed.notify_all()

    def _end(self, number: int, outcome: _Outcome[R] | None) -> None:
        with self.changed:
            self.ended = True
            if outcome is not None:
                self.outcomes[number] = outcome
                self.read = number + 1
            self.changed.notify_all()

    def take(self) -> _Outcome[R] | None:
        """The next answer in order, None after the last."""
        interrupts.check()
        if os.getpid() != self.process:
            raise RuntimeError(
                "predictions cannot be taken on both sides of a fork: begin them in the child"
            )
        with self.changed:
            while self.taken not in self.outcomes:
                if self.ended and self.taken >= self.read:
                    return None
                self.changed.wait()
                interrupts.check()
            outcome = self.outcomes.pop(self.taken)
            self.taken += 1
            self.changed.notify_all()
        return outcome

    def wake(self) -> None:
        """Have the caller look up, who waits for an answer."""
        with self.changed:
            self.changed.notify_all()

    def close(self) -> None:
        """End the lanes, each after the batch it is at; do not wait for one that hangs on input."""
        if os.getpid() != self.process:  # the lanes are not in this process
            return
        self.stop.set()
        self.wake()
        deadline = time.monotonic() + self.patience_s
        for thread in self.threads:
            if thread is not threading.current_thread():  # as where a lane collects garbage
                thread.join(max(0.0, deadline - time.monotonic()))


def ordered(
    source: Iterable[T],
    work: Callable[[T, Lane], R],
    runners: Sequence[Runner],
    *,
    ahead: int = LIMITS.ahead,
    profile: Profile | None = None,
    patience_s: float = LIMITS.patience_s,
) -> Generator[R, None, None]:
    """Work on chunks of an input in several lanes at once, and give the answers in their order.

    Parameters
    ----------
    source
        Chunks; read from the lanes' threads, one at a time, when somebody has begun to take
        answers.
    work
        Called with a chunk and the `Lane` to run its batches on, in that lane's thread.
    runners
        One lane for each; the same one may stand there more than once.
    ahead
        Chunks per lane that may wait, read or computed, for the caller.
    profile
        Where to count the time of every stage.
    patience_s
        Seconds that closing waits for a lane that hangs on its input.

    Yields
    ------
    Answers in the order of the chunks.

    Raises
    ------
    RuntimeError
        Answers are taken in a process forked since the first.
    Exception
        Whatever ``source`` or ``work`` raises: once, after the answers of the chunks before it.
        Then, and when the iterator is closed, the lanes end after the batch they are at, and
        ``source`` is closed.
    """
    profile = Profile() if profile is None else profile
    run = _Run(iter(source), work, runners, ahead, profile, patience_s)
    try:
        with interrupts.stopping(run.wake):
            while (outcome := run.take()) is not None:
                if outcome.error is not None:
                    raise outcome.error
                begin = time.perf_counter()
                yield outcome.value  # type: ignore[misc]
                profile.add("write", time.perf_counter() - begin)
                del outcome
    finally:
        run.close()
