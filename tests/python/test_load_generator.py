"""Closed and open loops against what queueing theory and a plain simulation say."""

from __future__ import annotations

import heapq
import itertools
import threading
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from seqtile.bench.load_generator import (
    OpenLoop,
    closed_loop,
    open_loop,
    poisson_arrivals,
)
from seqtile.bench.warm_up import WarmUpRule
from tests.python.virtual_clock import VirtualClock

COLD = WarmUpRule(most_s=0)


def test_closed_loop_of_one_client() -> None:
    clock = VirtualClock(1)
    seen: list[tuple[int, int]] = []

    def send(client: int, request: int) -> None:
        seen.append((client, request))
        clock.work(0.25)

    result = closed_loop(send, 1, 2.0, rule=COLD, clock=clock)
    assert seen == [(0, i) for i in range(8)]
    assert result.begin == 0
    assert result.ends == pytest.approx(np.arange(1, 9) / 4)
    assert result.latencies == pytest.approx(np.full(8, 0.25))
    assert (result.warm_up.seconds, result.warm_up.stable) == (0, False)


def test_clients_wait_for_their_own_answers_only() -> None:
    clock = VirtualClock(2)
    result = closed_loop(
        lambda client, _: clock.work((0.1, 0.25)[client]), 2, 1.0, rule=COLD, clock=clock
    )
    counts = {
        latency: int(np.sum(np.isclose(result.latencies, latency))) for latency in (0.1, 0.25)
    }
    assert counts[0.1] in (9, 10)  # both clients' last answer comes at 1.0
    assert counts[0.25] in (3, 4)
    assert sum(counts.values()) == len(result.latencies)


def test_clients_share_a_server() -> None:
    """With one server, c clients see c times the latency and the same throughput."""
    clock, lock, free = VirtualClock(3), threading.Lock(), [0.0]

    def send(client: int, request: int) -> None:
        with lock:
            free[0] = max(free[0], clock.now()) + 0.01
            mine = free[0]
        clock.wait_until(mine)

    result = closed_loop(send, 3, 1.0, rule=COLD, clock=clock)
    assert len(result.ends) == pytest.approx(100, abs=1)
    assert np.mean(result.latencies[3:]) == pytest.approx(0.03)


def test_it_measures_from_the_moment_it_is_warm() -> None:
    """Ten slow requests, then even ones: the measurement has none of the slow."""
    clock = VirtualClock(1)
    times = itertools.chain((0.5 - i / 32 for i in range(10)), itertools.repeat(1 / 16))
    rule = WarmUpRule(window_s=0.25, requests=2, most_s=60)
    result = closed_loop(lambda *_: clock.work(next(times)), 1, 1.0, rule=rule, clock=clock)
    assert result.warm_up.stable
    assert result.warm_up.spread == pytest.approx(0, abs=1e-6)
    slow = sum(0.5 - i / 32 for i in range(10))
    assert slow + 3 * 0.25 <= result.warm_up.seconds <= slow + 4 * 0.25 + 0.1
    assert result.begin == pytest.approx(result.warm_up.seconds)
    assert result.latencies == pytest.approx(np.full(16, 1 / 16))


def test_a_load_that_never_settles_is_said() -> None:
    clock = VirtualClock(1)
    times = itertools.cycle([0.1, 0.1, 0.3, 0.3])
    rule = WarmUpRule(window_s=0.1, requests=2, most_s=5)
    result = closed_loop(lambda *_: clock.work(next(times)), 1, 1.0, rule=rule, clock=clock)
    assert not result.warm_up.stable
    assert result.warm_up.spread == pytest.approx(
        (10 - 10 / 3) / np.mean([10, 10 / 3, 10]), rel=0.5
    )
    assert 5 <= result.warm_up.seconds < 5.5


def test_too_few_windows_have_no_spread() -> None:
    clock = VirtualClock(1)
    result = closed_loop(
        lambda *_: clock.work(2), 1, 3.0, rule=WarmUpRule(requests=2, most_s=5), clock=clock
    )
    assert (result.warm_up.spread, result.warm_up.stable) == (None, False)


def test_the_rule_in_words() -> None:
    assert str(WarmUpRule()) == (
        "windows of at least 0.25 s and 4 requests per client, until the throughputs of the last "
        "3 agree within 5%, at most 10 s"
    )
    assert str(COLD) == "none"


def queue(arrivals: NDArray[np.float64], service: NDArray[np.float64], servers: int) -> list[float]:
    """Latencies of first come, first served: the plain simulation."""
    free, latencies = [0.0] * servers, []
    for arrival, seconds in zip(arrivals.tolist(), service.tolist(), strict=True):
        end = max(arrival, heapq.heappop(free)) + seconds
        heapq.heappush(free, end)
        latencies.append(end - arrival)
    return latencies


def simulate(rate: float, service: NDArray[np.float64], servers: int, seconds: float) -> OpenLoop:
    clock = VirtualClock(servers)
    return open_loop(
        lambda _, i: clock.work(service[i]), servers, rate, seconds, seed=5, clock=clock
    )


@pytest.mark.parametrize("servers", [1, 2, 3])
@pytest.mark.parametrize("load", [0.3, 0.8])
def test_open_loop_is_a_queue(servers: int, load: float) -> None:
    arrivals = poisson_arrivals(100, 4.0, 5)
    mean = load * servers / 100
    service = np.random.default_rng(1).uniform(0.5 * mean, 1.5 * mean, len(arrivals))
    result = simulate(100, service, servers, 4.0)
    assert np.sort(result.latencies) == pytest.approx(np.sort(queue(arrivals, service, servers)))
    assert result.sustained
    assert len(result.unanswered) == 0
    work = service.sum() / servers / max(4.0, result.ends.max() - result.begin)
    assert result.busy == pytest.approx(work)


def test_mean_wait_is_that_of_queueing_theory() -> None:
    """M/D/1: the mean wait is load x service / (2 (1 - load)) (Pollaczek and Khinchine)."""
    load, service = 0.6, 0.01
    result = simulate(load / service, np.full(100_000, service), 1, 200.0)
    waits = result.latencies - service
    assert len(waits) > 11_000
    assert np.mean(waits) == pytest.approx(load * service / (2 * (1 - load)), rel=0.08)
    assert np.mean(waits < 1e-9) == pytest.approx(1 - load, abs=0.02)
    assert result.busy == pytest.approx(load, rel=0.03)


def test_latency_counts_from_the_arrival() -> None:
    """One answer takes 2 s; those who arrive meanwhile have waited, though served fast."""
    arrivals = poisson_arrivals(20, 10.0, 5)
    service = np.full(len(arrivals), 0.001)
    stalled = int(np.searchsorted(arrivals, 3))
    service[stalled] = 2
    result = simulate(20, service, 1, 10.0)
    behind = np.sum((arrivals > arrivals[stalled]) & (arrivals < arrivals[stalled] + 2))
    assert behind > 20
    assert np.sum(result.latencies > 0.01) >= behind
    assert np.max(result.latencies) == pytest.approx(2)
    assert result.sustained


def test_a_queue_that_grows_is_said() -> None:
    """Twice the rate that one server takes: half of the requests wait at the end."""
    result = simulate(200, np.full(10_000, 0.01), 1, 5.0)
    arrivals = poisson_arrivals(200, 5.0, 5)
    assert not result.sustained
    assert result.waiting == pytest.approx(len(arrivals) / 2, rel=0.1)
    assert len(result.ends) + len(result.unanswered) == len(arrivals)
    assert len(result.unanswered) == result.waiting
    assert np.all(result.unanswered >= 0)
    assert np.max(result.unanswered) == pytest.approx(2.5, rel=0.1)
    assert result.busy == pytest.approx(1, abs=0.01)
    assert np.max(result.ends) - result.begin < 5.1


def test_a_few_in_the_queue_at_the_end_are_answered() -> None:
    result = simulate(90, np.full(10_000, 0.01), 1, 5.0)
    assert result.sustained
    assert len(result.ends) == len(poisson_arrivals(90, 5.0, 5))


def test_arrivals_are_poisson_and_seeded() -> None:
    times = poisson_arrivals(50, 400, 3)
    assert np.array_equal(times, poisson_arrivals(50, 400, 3))
    assert not np.array_equal(times[:9], poisson_arrivals(50, 400, 4)[:9])
    assert len(times) == pytest.approx(20_000, abs=3 * 20_000**0.5)
    gaps = np.diff(times)
    assert np.all(gaps > 0)
    assert times[-1] <= 400
    assert np.std(gaps) == pytest.approx(np.mean(gaps), rel=0.05)
    assert np.mean(gaps > 0.02) == pytest.approx(np.exp(-1), abs=0.015)


def test_no_arrival_at_all() -> None:
    result = open_loop(lambda *_: None, 2, 1e-6, 0.01)
    assert len(result.ends) == len(result.latencies) == 0
    assert (result.sustained, result.waiting, result.late) == (True, 0, None)


@pytest.mark.parametrize("loop", ["closed", "open"])
def test_an_error_stops_all_and_comes_out_once(loop: str) -> None:
    def send(client: int, request: int) -> None:
        if (client, request >= 3) == (0, True):
            raise ValueError("no answer")
        time.sleep(0.001)

    before = threading.active_count()
    start = {
        "closed": lambda: closed_loop(send, 3, 60),
        "open": lambda: open_loop(send, 3, 500, 60),
    }
    with pytest.raises(ValueError, match="^no answer$"):
        start[loop]()
    assert threading.active_count() == before


def test_the_system_clock_waits_and_stops() -> None:
    """A server that waits ten minutes for a request ends when another's fails."""

    def send(server: int, request: int) -> None:
        raise ValueError("no answer")

    begin = time.perf_counter()
    with pytest.raises(ValueError, match="no answer"):
        open_loop(send, 4, 0.5, 600, seed=2)
    assert time.perf_counter() - begin < 60
