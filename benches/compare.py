"""Fair ratios: two calls in turn, A B A B ..., and the median of the pairs' ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """Median speed of ours over that of the other, and the quartiles of the pairs."""

    median: float
    low: float
    high: float
    ours_s: float
    other_s: float

    def __str__(self) -> str:
        return f"{self.median:.3f} [{self.low:.3f}, {self.high:.3f}]"


def seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def speed_ratio(ours: Callable[[], object], other: Callable[[], object], rounds: int = 9) -> Ratio:
    """Speed of ``ours`` as a multiple of that of ``other``; both run once before."""
    ours()
    other()
    pairs = [(seconds(ours), seconds(other)) for _ in range(rounds)]
    ratios = sorted(b / a for a, b in pairs)
    low, median, high = statistics.quantiles(ratios, n=4)
    return Ratio(
        median, low, high,
        statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs),
    )  # fmt: skip
