"""Fair ratios: two calls in turn, A B A B ..., and the median of the pairs' ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


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


def peers(
    ours: Callable[[], object], others: dict[str, Callable[[], object]], rounds: int = 5
) -> dict[str, float | None]:
    """Our speed as a multiple of each peer's; None for one that is not installed."""
    found: dict[str, float | None] = {}
    for name, other in others.items():
        try:
            found[name] = (
                speed_ratio(ours, other, rounds).median if rounds > 1 else _once(ours, other)
            )
        except ImportError:
            found[name] = None
    return found


def _once(ours: Callable[[], object], other: Callable[[], object]) -> float:
    return seconds(other) / seconds(ours)


def record(
    benchmark: Any,
    row: str,
    ratio: Ratio,
    *,
    limit: str,
    target: float,
    rate: tuple[float, str],
    peers: dict[str, float | None] | None = None,
) -> None:
    """Print a row of the report and leave it in the benchmark's JSON.

    Parameters
    ----------
    row
        What was measured.
    ratio
        Our speed over that of ``limit``; ``target`` is what we want it to be.
    peers
        Our speed over that of each peer, None for one that is not installed.
    rate
        The work of one call, and its unit per second.
    """
    amount, unit = rate
    peers = peers or {}
    benchmark.extra_info.update(
        row=row, limit=limit, target=target, ratio=ratio.median, low=ratio.low, high=ratio.high,
        peers=peers, rate=amount / ratio.ours_s, unit=unit,
    )  # fmt: skip
    others = ", ".join(
        f"{name} not installed" if times is None else f"{times:.2f} x {name}"
        for name, times in peers.items()
    )
    print(f"\n{row}: {amount / ratio.ours_s:.2f} {unit}, {ratio} of {limit} (want {target})")
    if others:
        print(f"    {others}")
