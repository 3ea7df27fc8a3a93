"""Load on something that answers: clients that wait for their answer, or arrivals at a rate.

Closed loop: each client sends its next request when its last came back. Open loop: requests arrive
when they arrive, as from many independent users, and wait in one queue for a free server; their
latency counts from the arrival, so that a slow answer also counts for those who waited behind it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from .. import interrupts
from .latency import Floats
from .warm_up import Answers, WarmUp, WarmUpRule

__all__ = ["ClosedLoop", "OpenLoop", "closed_loop", "open_loop", "poisson_arrivals"]

# Sends a request and waits for its answer: number of the client or server, number of the request.
Send: TypeAlias = Callable[[int, int], object]

_GROWN = 0.05  # of the arrivals; more of them waiting at the end means that the queue grows


class Clock(Protocol):
    """Seconds since some moment."""

    def now(self) -> float:
        """The time."""

    def wait_until(self, moment: float, stop: threading.Event) -> None:
        """Return at this time, at once if it is past, or when ``stop`` is set."""


class SystemClock:
    """The system's monotonic clock."""

    def now(self) -> float:
        """See `Clock`."""
        return time.perf_counter()

    def wait_until(self, moment: float, stop: threading.Event) -> None:
        """See `Clock`."""
        left = moment - time.perf_counter()
        if left > 0:
            stop.wait(left)


_SYSTEM = SystemClock()


@dataclass(frozen=True)
class ClosedLoop:
    """What clients saw after the warm-up.

    Attributes
    ----------
    begin
        When the measurement began, in seconds of the clock.
    ends, latencies
        For each request answered since then: when, and after how many seconds. Shape (n,).
    warm_up
        How that went.
    """

    begin: float
    ends: Floats
    latencies: Floats
    warm_up: WarmUp


@dataclass(frozen=True)
class OpenLoop:
    """What arrivals saw.

    Attributes
    ----------
    begin
        When the measurement began, in seconds of the clock.
    ends, latencies
        For each request answered: when, and how many seconds after its arrival. Shape (n,).
    unanswered
        For each request that was given up: how many seconds it had waited, shape (m,). Latencies
        are at least these.
    waiting
        Requests in the queue at the end of the last arrival.
    sustained
        Whether the servers kept up; see `open_loop`.
    service
        Seconds that the servers worked, all together.
    busy
        Share of the servers' time that they worked.
    late
        Median of the seconds by which the generator itself woke after an arrival; it is part of
        the latency. None if no server was ever idle.
    """

    begin: float
    ends: Floats
    latencies: Floats
    unanswered: Floats
    waiting: int
    sustained: bool
    service: float
    busy: float
    late: float | None


def _together(count: int, work: Callable[[int], None], stop: threading.Event) -> None:
    """Run ``work(0) ... work(count - 1)`` in threads, a single one in the caller's own.

    The first exception stops all.
    """
    if count == 1:
        with interrupts.stopping(stop.set):
            return work(0)
    failures: list[BaseException] = []
    begun, ended = 0, 0
    changed = threading.Condition()

    def halt() -> None:
        stop.set()
        with changed:
            changed.notify_all()

    def guarded(number: int) -> None:
        nonlocal begun, ended
        with changed:
            begun += 1
        try:
            work(number)
        except BaseException as error:
            failures.append(error)
            stop.set()
        finally:
            with changed:
                ended += 1
                changed.notify_all()

    def wait(wanted: int) -> None:
        # Not with Thread.join: interrupted once, it takes a thread that runs for one that has ended
        # (Python 3.11), and a thread that computes while Python ends makes the process abort.
        with changed:
            while ended < max(wanted, begun):
                if wanted:
                    interrupts.check()
                changed.wait()

    try:
        with interrupts.stopping(halt):
            for number in range(count):
                thread = threading.Thread(
                    target=guarded,
                    args=(number,),
                    name=f"seqtile lane of load {number}",
                    daemon=True,
                )
                thread.start()
            wait(count)
    except BaseException:  # Ctrl-C: each ends with the request it is at
        stop.set()
        wait(0)
        raise
    if failures:
        raise failures[0]
    return None


def closed_loop(
    send: Send,
    clients: int,
    seconds: float,
    *,
    rule: WarmUpRule | None = None,
    on_warm: Callable[[], object] = lambda: None,
    clock: Clock = _SYSTEM,
) -> ClosedLoop:
    """Let clients send one request after another: first until warm, then for so many seconds.

    Parameters
    ----------
    send
        Called by each client's thread, by the caller's own if there is one client, with the
        client's number from 0 and the request's.
    clients
        Requests under way at any time.
    seconds
        The measurement ends with the first answer after so long.
    rule
        When it is warm; default `WarmUpRule`. ``most_s=0`` for no warm-up.
    on_warm
        Called once, when the measurement begins.

    Raises
    ------
    Exception
        What ``send`` raised first; the other clients are stopped.
    """
    rule = rule or WarmUpRule()
    answers = Answers(clock.now(), seconds, rule.requests * clients, rule, on_warm)
    stop = threading.Event()

    def client(number: int) -> None:
        request = 0
        while not stop.is_set():
            start = clock.now()
            send(number, request)
            if not answers.add(start, clock.now()):
                return
            request += 1

    _together(clients, client, stop)
    assert answers.warm_up is not None
    return ClosedLoop(
        answers.begin, np.array(answers.ends), np.array(answers.latencies), answers.warm_up
    )


def poisson_arrivals(rate: float, seconds: float, seed: int) -> Floats:
    """Times at which requests of independent users arrive, from 0 on, ascending, in seconds."""
    generator = np.random.default_rng(seed)
    parts, last = [], 0.0
    while last <= seconds:
        gaps = generator.exponential(1 / rate, max(16, int(rate * seconds) + 1))
        parts.append(last + np.cumsum(gaps))
        last = float(parts[-1][-1])
    times = np.concatenate(parts)
    return times[times <= seconds]


def open_loop(
    send: Send,
    servers: int,
    rate: float,
    seconds: float,
    *,
    seed: int = 0,
    clock: Clock = _SYSTEM,
) -> OpenLoop:
    """Let requests arrive at a rate, one queue for all servers, first come first served.

    The rate counts as not sustained if, when the last second is over, more requests wait in the
    queue than there are servers and than 5 % of all arrivals; those are then given up. Otherwise
    all are answered.

    Parameters
    ----------
    send
        Called by each server's thread, by the caller's own if there is one server, with the
        server's number from 0 and the request's.
    servers
        Requests answered at a time.
    rate
        Mean arrivals per second of a Poisson process.
    seconds
        For which requests arrive.
    seed
        For the arrivals.

    Raises
    ------
    Exception
        What ``send`` raised first; the other servers are stopped.
    """
    begin = clock.now()
    finish = begin + seconds
    arrivals = begin + poisson_arrivals(rate, seconds, seed)
    starts, ends = np.full((2, len(arrivals)), np.nan)
    late: list[float] = []
    stop, lock = threading.Event(), threading.Lock()
    limit = max(servers, _GROWN * len(arrivals))
    claimed, waiting, given_up = 0, None, finish

    def claim() -> int | None:
        """The request that a server that is free takes next: if need be it waits for it."""
        nonlocal claimed, waiting, given_up
        with lock:
            now = clock.now()
            if waiting is None and (now >= finish or claimed == len(arrivals)):
                waiting = len(arrivals) - claimed if now >= finish else 0
                given_up = now
                if waiting > limit:
                    stop.set()
            if claimed == len(arrivals) or stop.is_set():
                return None
            claimed += 1
            return claimed - 1

    def server(number: int) -> None:
        while (request := claim()) is not None:
            idle = clock.now() < arrivals[request]
            clock.wait_until(arrivals[request], stop)
            if stop.is_set():
                return
            starts[request] = clock.now()
            if idle:
                late.append(starts[request] - arrivals[request])
            send(number, request)
            ends[request] = clock.now()

    _together(servers, server, stop)
    answered = ~np.isnan(ends)
    last = float(np.max(ends[answered], initial=finish))
    service = float(np.sum((ends - starts)[answered]))
    return OpenLoop(
        begin,
        ends[answered],
        (ends - arrivals)[answered],
        given_up - arrivals[~answered],
        waiting or 0,
        not (waiting or 0) > limit,
        service,
        service / (servers * (last - begin)),
        float(np.median(late)) if late else None,
    )
