"""When a load is warm: its throughput has settled, or it has not and that is said."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Answers", "WarmUp", "WarmUpRule"]


@dataclass(frozen=True)
class WarmUpRule:
    """When a closed loop counts as warm.

    Attributes
    ----------
    window_s, requests
        A window lasts at least this many seconds and this many requests of each client.
    windows, agree
        Warm when the throughputs of so many windows on end differ by at most this fraction of
        their mean.
    most_s
        Seconds after which it measures all the same, and says that it was not stable.
    """

    window_s: float = 0.25
    requests: int = 4
    windows: int = 3
    agree: float = 0.05
    most_s: float = 10.0

    def __str__(self) -> str:
        if self.most_s == 0:
            return "none"
        return (
            f"windows of at least {self.window_s:g} s and {self.requests} requests per client, "
            f"until the throughputs of the last {self.windows} agree within {self.agree:.0%}, at "
            f"most {self.most_s:g} s"
        )


@dataclass(frozen=True)
class WarmUp:
    """How a warm-up went.

    Attributes
    ----------
    seconds
        Its length.
    spread
        Largest less smallest throughput of the last windows, over their mean; None if there were
        fewer windows than the rule wants.
    stable
        Whether that is within the rule.
    """

    seconds: float
    spread: float | None
    stable: bool


@dataclass
class Answers:
    """Answers of a closed loop: decides when it is warm and when it is done.

    Attributes
    ----------
    begin
        When the loop, and once it is warm the measurement, began, in seconds of the clock.
    seconds
        Length of the measurement.
    requests
        In a window of the warm-up, at least.
    rule, on_warm
        See `load_generator.closed_loop`.
    warm_up
        How it went; None while it lasts.
    ends, latencies
        In the measurement: when each answer came, and after how many seconds.
    """

    begin: float
    seconds: float
    requests: int
    rule: WarmUpRule
    on_warm: Callable[[], object]
    warm_up: WarmUp | None = field(default=None, init=False)
    ends: list[float] = field(default_factory=list, init=False)
    latencies: list[float] = field(default_factory=list, init=False)
    done: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._rates: list[float] = []
        self._window = self.begin
        self._count = 0
        if self.rule.most_s == 0:
            self.warm_up = WarmUp(0.0, None, False)
            self.on_warm()

    def add(self, start: float, end: float) -> bool:
        """Take in an answer; whether to go on."""
        with self._lock:
            if self.done:
                return False
            if self.warm_up is None:
                self._warm(end)
                return True
            self.ends.append(end)
            self.latencies.append(end - start)
            self.done = end - self.begin >= self.seconds
            return not self.done

    def _warm(self, end: float) -> None:
        self._count += 1
        seconds = end - self._window
        if seconds >= self.rule.window_s and self._count >= self.requests:
            self._rates.append(self._count / seconds)
            self._window, self._count = end, 0
        last = self._rates[-self.rule.windows :]
        spread = (max(last) - min(last)) / np.mean(last) if len(last) == self.rule.windows else None
        stable = spread is not None and bool(spread <= self.rule.agree)
        passed = end - self.begin
        if stable or passed >= self.rule.most_s:
            self.warm_up = WarmUp(passed, None if spread is None else float(spread), stable)
            self.begin = end
            self.on_warm()
