"""Percentiles, windows and noise intervals against NumPy and against known truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqtile.bench.latency import (
    PERCENTILES,
    Window,
    latency_interval,
    latency_ratio_interval,
    percentiles,
    samples_needed,
    split_windows,
    throughput,
    throughput_interval,
    throughput_ratio_interval,
)


def test_samples_needed() -> None:
    assert {p: samples_needed(p) for p in PERCENTILES} == {
        "50": 20,
        "90": 100,
        "95": 200,
        "99": 1000,
        "99.9": 10_000,
    }


@pytest.mark.parametrize("count", [0, 19, 20, 99, 100, 199, 200, 999, 1000, 9999, 10_000])
def test_percentiles(count: int) -> None:
    latencies = np.random.default_rng(count).lognormal(-5, 1, count)
    found = percentiles(latencies)
    assert list(found) == list(PERCENTILES)
    for p, value in found.items():
        if count < samples_needed(p):
            assert value is None
        else:
            assert value == np.percentile(latencies, float(p))
            assert np.sum(latencies > value) >= 9


@given(st.lists(st.floats(0.001, 10), min_size=1, max_size=200), st.integers(1, 30))
def test_windows_hold_every_request_once(gaps: list[float], count: int) -> None:
    ends = 7 + np.cumsum(gaps)
    shuffled = np.random.default_rng(0).permutation(len(ends))
    found = split_windows(7, ends[shuffled], np.array(gaps)[shuffled], count)
    assert len(found) == min(count, len(gaps))
    assert sum(w.requests for w in found) == len(gaps)
    assert sum(w.seconds for w in found) == pytest.approx(sum(gaps))
    sizes = {w.requests for w in found}
    assert max(sizes) - min(sizes) <= 1
    first = found[0].requests
    assert found[0].p50_s == pytest.approx(np.median(gaps[:first]))
    assert found[0].seconds == pytest.approx(sum(gaps[:first]))
    assert throughput(found) == pytest.approx(len(gaps) / sum(gaps))


def test_no_window() -> None:
    assert split_windows(0, np.array([]), np.array([])) == []
    assert throughput([]) == 0
    assert throughput_interval([]) is None
    assert latency_interval([Window(1, 1, 1)] * 4) is None
    assert throughput_ratio_interval([Window(1, 1, 1)] * 5, []) is None


def made(mean: float, spread: float, seed: int, count: int = 20) -> list[Window]:
    """Windows of one second with normal noise."""
    rates = np.random.default_rng(seed).normal(mean, spread, count)
    return [Window(100, 100 / rate, 1 / rate) for rate in rates]


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of 300 made-up measurements about 95 % must hold the true figure."""
    rates = [throughput_interval(made(1000, 100, seed)) for seed in range(300)]
    waits = [latency_interval(made(1000, 20, seed)) for seed in range(300)]
    ratios = [
        throughput_ratio_interval(made(1100, 50, seed), made(1000, 50, seed + 1000))
        for seed in range(300)
    ]
    # The throughput of all is the harmonic mean of the windows', hence 1000 (1 - 0.1 ** 2).
    for found, truth in ((rates, 990), (waits, 0.001), (ratios, 1.1)):
        held = sum(low <= truth <= high for low, high in found)  # type: ignore[misc]
        assert 0.87 <= held / 300 <= 0.99


def test_the_interval_is_that_of_the_mean() -> None:
    """Its half width is near 1.96 standard errors."""
    low, high = throughput_interval(made(1000, 50, 3, 400)) or (0, 0)
    assert (high - low) / 2 == pytest.approx(1.96 * 50 / 20, rel=0.1)
    low, high = latency_ratio_interval(made(2000, 50, 3, 400), made(1000, 50, 4, 400)) or (0, 0)
    assert (low + high) / 2 == pytest.approx(2, rel=0.01)


def test_equal_windows_have_no_noise() -> None:
    windows = [Window(10, 0.5, 0.05)] * 6
    assert throughput_interval(windows) == (20, 20)
    assert latency_interval(windows) == pytest.approx((0.05, 0.05))
    assert throughput_ratio_interval(windows, [Window(10, 1, 0.1)] * 6) == (2, 2)
    assert latency_ratio_interval(windows, [Window(10, 1, 0.1)] * 6) == pytest.approx((2, 2))


def test_intervals_are_the_same_again() -> None:
    windows = made(10, 1, 0)
    assert throughput_interval(windows) == throughput_interval(windows)
    assert throughput_interval(windows) != throughput_interval(windows, seed=1)
