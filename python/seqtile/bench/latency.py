"""Statistics of timed requests: percentiles that have samples enough, windows, noise intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "PERCENTILES",
    "Window",
    "latency_interval",
    "latency_ratio_interval",
    "percentiles",
    "samples_needed",
    "split_windows",
    "throughput",
    "throughput_interval",
    "throughput_ratio_interval",
]

Floats: TypeAlias = NDArray[np.float64]
Interval: TypeAlias = tuple[float, float]

PERCENTILES = ("50", "90", "95", "99", "99.9")
WINDOWS = 20
LEAST_WINDOWS = 5
_BEYOND = 10  # samples that must lie beyond a percentile
_RESAMPLES = 2000
_LEVEL = (2.5, 97.5)


def samples_needed(percentile: str) -> int:
    """How many samples a percentile needs: ten beyond it, 10 / (1 - p).

    >>> [samples_needed(p) for p in PERCENTILES]
    [20, 100, 200, 1000, 10000]
    """
    return math.ceil(_BEYOND / (1 - Fraction(percentile) / 100))


def percentiles(latencies: Floats) -> dict[str, float | None]:
    """The `PERCENTILES` of latencies, None where there are fewer than `samples_needed`.

    Interpolated linearly between samples, as NumPy does by default. Unit as given.
    """
    return {
        p: float(np.percentile(latencies, float(p)))
        if len(latencies) >= samples_needed(p)
        else None
        for p in PERCENTILES
    }


@dataclass(frozen=True)
class Window:
    """Requests that came back one after another.

    Attributes
    ----------
    requests
        How many.
    seconds
        From the last answer of the window before to the last of this one.
    p50_s
        Their median latency in seconds.
    """

    requests: int
    seconds: float
    p50_s: float


def split_windows(
    begin: float, ends: Floats, latencies: Floats, count: int = WINDOWS
) -> list[Window]:
    """Cut a measurement into windows of nearly equal numbers of requests, without gaps.

    A window ends with an answer, so that none is counted in part.

    Parameters
    ----------
    begin
        When the measurement began, in seconds of the clock of ``ends``.
    ends
        When each request was answered, shape (n,), any order.
    latencies
        In seconds, shape (n,), in the order of ``ends``.
    count
        Windows wanted; fewer where there are fewer requests.
    """
    order = np.argsort(ends, kind="stable")
    found, last = [], begin
    for group in np.array_split(order, min(count, len(order))) if len(order) else []:
        end = float(ends[group[-1]])
        found.append(Window(len(group), end - last, float(np.median(latencies[group]))))
        last = end
    return found


def throughput(windows: Sequence[Window]) -> float:
    """Requests per second over all windows; 0 where there is none."""
    seconds = sum(w.seconds for w in windows)
    return sum(w.requests for w in windows) / seconds if seconds > 0 else 0.0


def throughput_interval(windows: Sequence[Window], seed: int = 0) -> Interval | None:
    """Bootstrap 95 % interval of `throughput` over the windows; None for fewer than five.

    Windows are taken as independent: it holds the noise inside a run, not that between runs.
    """
    return _interval(_throughputs(windows, seed))


def latency_interval(windows: Sequence[Window], seed: int = 0) -> Interval | None:
    """Bootstrap 95 % interval of the mean of the windows' median latencies, in seconds."""
    return _interval(_medians(windows, seed))


def throughput_ratio_interval(
    new: Sequence[Window], old: Sequence[Window], seed: int = 0
) -> Interval | None:
    """Bootstrap 95 % interval of the throughput of ``new`` over that of ``old``.

    Both are resampled, each by itself. None where either has fewer than five windows.
    """
    return _ratio(_throughputs(new, seed), _throughputs(old, seed + 1))


def latency_ratio_interval(
    new: Sequence[Window], old: Sequence[Window], seed: int = 0
) -> Interval | None:
    """The same of how much faster ``new`` answers: latency of ``old`` over that of ``new``."""
    return _ratio(_medians(old, seed + 1), _medians(new, seed))


def _picks(windows: Sequence[Window], seed: int) -> NDArray[np.int64] | None:
    if len(windows) < LEAST_WINDOWS:
        return None
    return np.random.default_rng(seed).integers(0, len(windows), (_RESAMPLES, len(windows)))


def _throughputs(windows: Sequence[Window], seed: int) -> Floats | None:
    picks = _picks(windows, seed)
    if picks is None:
        return None
    requests = np.array([w.requests for w in windows], np.float64)[picks].sum(1)
    seconds = np.array([w.seconds for w in windows], np.float64)[picks].sum(1)
    rates: Floats = requests[seconds > 0] / seconds[seconds > 0]
    return rates


def _medians(windows: Sequence[Window], seed: int) -> Floats | None:
    picks = _picks(windows, seed)
    if picks is None:
        return None
    means: Floats = np.array([w.p50_s for w in windows], np.float64)[picks].mean(1)
    return means


def _interval(values: Floats | None) -> Interval | None:
    if values is None or not len(values):
        return None
    low, high = np.percentile(values, _LEVEL)
    return float(low), float(high)


def _ratio(over: Floats | None, under: Floats | None) -> Interval | None:
    if over is None or under is None:
        return None
    both = min(len(over), len(under))
    good = under[:both] > 0
    return _interval(over[:both][good] / under[:both][good])
