"""Where the time of a run goes, by stage."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

__all__ = ["STAGES", "Profile", "Verdict"]

Verdict: TypeAlias = Literal["feed-limited", "compute-limited", "write-limited"]

STAGES = ("read", "encode", "h2d", "compute", "d2h", "write")
_FEED = ("read", "encode", "wait_read")
_COMPUTE = ("h2d", "compute", "d2h")


class Profile:
    """Seconds that the lanes and the caller spent on each stage of a run; safe to share.

    Attributes
    ----------
    seconds
        By stage: ``"read"`` (parse), ``"encode"`` (check, gather, one-hot), ``"h2d"``,
        ``"compute"``, ``"d2h"`` (copies to and from a device), ``"write"`` (all that the caller
        does with the answers), summed over lanes; and what lanes stood idle for:
        ``"wait_read"`` (another lane reads), ``"wait_write"`` (the caller has not taken enough).
    lanes
        Most lanes that ran at once.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.lanes = 1
        self._lock = threading.Lock()

    def add(self, stage: str, seconds: float) -> None:
        """Count time of a stage."""
        with self._lock:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    @contextmanager
    def stage(self, stage: str) -> Iterator[None]:
        """Count the time of a block of code."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - begin)

    def shares(self) -> dict[str, float]:
        """What the lanes' time went to: ``feed``, ``compute``, ``write`` (waiting for it)."""
        parts = {
            "feed": sum(self.seconds.get(name, 0.0) for name in _FEED),
            "compute": sum(self.seconds.get(name, 0.0) for name in _COMPUTE),
            "write": self.seconds.get("wait_write", 0.0),
        }
        total = sum(parts.values()) or 1.0
        return {name: seconds / total for name, seconds in parts.items()}

    def verdict(self) -> Verdict:
        """What the lanes spent most of their time on, and so what would have to be faster."""
        shares = self.shares()
        limit = max(shares, key=lambda name: shares[name])
        verdicts: dict[str, Verdict] = {
            "feed": "feed-limited",
            "compute": "compute-limited",
            "write": "write-limited",
        }
        return verdicts[limit]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        seconds = {name: round(value, 6) for name, value in sorted(self.seconds.items())}
        shares = {name: round(value, 4) for name, value in self.shares().items()}
        verdict = self.verdict()
        return {"lanes": self.lanes, "seconds": seconds, "shares": shares, "verdict": verdict}

    def __str__(self) -> str:
        stages = ", ".join(
            f"{name} {self.seconds[name]:.2f} s" for name in STAGES if name in self.seconds
        )
        shares = self.shares()
        return (
            f"{self.verdict()}: {shares['compute']:.0%} of {self.lanes} lanes' time computing, "
            f"{shares['feed']:.0%} for input, {shares['write']:.0%} waiting for output ({stages})"
        )
