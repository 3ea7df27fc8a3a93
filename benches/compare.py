"""Fair ratios: two calls in turn, A B A B ..., and the median of the pairs' ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Call = Callable[[], object]


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

    def times(self, factor: float) -> Ratio:
        """The ratio if the other's work were ``factor`` times what it was."""
        return Ratio(
            self.median * factor,
            self.low * factor,
            self.high * factor,
            self.ours_s,
            self.other_s * factor,
        )


def seconds(call: Call) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def of_pairs(pairs: list[tuple[float, float]]) -> Ratio:
    """The ratio of (our seconds, the other's seconds) pairs; of one pair without spread."""
    ratios = sorted(other / ours for ours, other in pairs)
    if len(ratios) > 1:
        low, median, high = statistics.quantiles(ratios, n=4)
    else:
        low = median = high = ratios[0]
    ours_s = statistics.median(ours for ours, _ in pairs)
    return Ratio(median, low, high, ours_s, statistics.median(other for _, other in pairs))


def speed_ratio(ours: Call, other: Call, rounds: int = 9) -> Ratio:
    """Speed of ``ours`` as a multiple of that of ``other``; both run once before.

    With one round, for calls of minutes, nothing runs before and there is no spread.
    """
    if rounds > 1:
        ours()
        other()
    return of_pairs([(seconds(ours), seconds(other)) for _ in range(rounds)])


def side_by_side(ours: Call, others: Mapping[str, Call], rounds: int = 5) -> dict[str, Ratio]:
    """Our speed over that of each of the others, all in turn: ours A B, ours A B, ...

    Each runs once before. Cheaper than a `speed_ratio` for each, as ours runs once a round.
    """
    ours()
    for other in others.values():
        other()
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in others}
    for _ in range(rounds):
        own = seconds(ours)
        for name, other in others.items():
            pairs[name].append((own, seconds(other)))
    return {name: of_pairs(found) for name, found in pairs.items()}


def peers(ours: Call, others: Mapping[str, Call], rounds: int = 5) -> dict[str, float | None]:
    """Our speed as a multiple of each peer's; None for one that is not installed.

    Each runs once before, which compiles where it compiles; that run counts where ``rounds`` is 1.
    """
    firsts: dict[str, float | None] = {}
    for name, other in others.items():
        try:
            firsts[name] = seconds(other)
        except ImportError:
            firsts[name] = None
    if rounds == 1:
        own = seconds(ours)
        return {name: first and first / own for name, first in firsts.items()}
    here = {name: other for name, other in others.items() if firsts[name] is not None}
    ratios = side_by_side(ours, here, rounds) if here else {}
    return {name: ratios[name].median if name in ratios else None for name in others}


def record(
    benchmark: Any,
    row: str,
    ratio: Ratio,
    *,
    limit: str,
    target: float | None,
    rate: tuple[float, str],
    peers: Mapping[str, float | None] | None = None,
) -> None:
    """Print a row of the report and leave it in the benchmark's JSON.

    Parameters
    ----------
    row
        What was measured.
    ratio
        Our speed over that of ``limit``; ``target`` is what we want it to be, None where nothing
        was set.
    peers
        Our speed over that of each peer, None for one that is not installed.
    rate
        The work of one call, and its unit per second.
    """
    amount, unit = rate
    peers = dict(peers or {})
    benchmark.extra_info.update(
        row=row,
        limit=limit,
        target=target,
        ratio=ratio.median,
        low=ratio.low,
        high=ratio.high,
        peers=peers,
        rate=amount / ratio.ours_s,
        unit=unit,
    )
    others = ", ".join(
        f"{name} not installed" if times is None else f"{times:.2f} x {name}"
        for name, times in peers.items()
    )
    wanted = "" if target is None else f" (want {target})"
    print(f"\n{row}: {amount / ratio.ours_s:.2f} {unit}, {ratio} of {limit}{wanted}")
    if others:
        print(f"    {others}")
