"""Two benchmarks side by side: how much faster each row is, and whether that is more than noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .latency import (
    Interval,
    latency_ratio_interval,
    throughput,
    throughput_ratio_interval,
)
from .rows import Document, Row

__all__ = ["Compared", "Comparison", "compare"]


@dataclass(frozen=True)
class Compared:
    """A row and the same of an older run.

    Attributes
    ----------
    measure
        ``"items/s"``, or, of an open loop that is sustained in both, ``"p50"``: the mean of the
        windows' median latencies, in seconds.
    before, after
        Its values.
    ratio
        How many times as fast the new row is: above 1 it is faster, whatever is measured.
    interval
        Bootstrap 95 % interval of the ratio, over the windows of both; None where there are fewer
        than five.
    """

    old: Row
    new: Row
    measure: Literal["items/s", "p50"]
    before: float
    after: float
    ratio: float
    interval: Interval | None

    @property
    def verdict(self) -> str:
        """In words; a difference counts if the interval does not hold 1."""
        was, is_ = _sustained(self.old), _sustained(self.new)
        if was != is_:
            return "rate no longer sustained" if was else "rate now sustained"
        if self.interval is None:
            return "too few windows to tell"
        low, high = self.interval
        return "faster" if low > 1 else "slower" if high < 1 else "within the noise"

    def is_slower(self, by: float) -> bool:
        """Whether it is slower by more than a fraction, beyond the noise.

        The interval's upper end must be below ``1 - by``; or the rate was sustained and is not.
        """
        if _sustained(self.old) and not _sustained(self.new):
            return True
        return self.interval is not None and self.interval[1] < 1 - by

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "key": list(self.new.key),
            "measure": self.measure,
            "old": self.before,
            "new": self.after,
            "ratio": self.ratio,
            "interval": self.interval,
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class Comparison:
    """Rows of two runs.

    Attributes
    ----------
    rows
        Rows that are in both.
    only_new, only_old
        Rows that are not. Open loops at a rate in per cent are here: their load follows the
        throughput and is another in each run.
    remarks
        What else differs: machine, versions, model files.
    """

    rows: tuple[Compared, ...]
    only_new: tuple[Row, ...]
    only_old: tuple[Row, ...]
    remarks: tuple[str, ...]

    @property
    def undecided(self) -> list[Compared]:
        """Rows of too few windows for an interval; none of them counts as slower."""
        return [row for row in self.rows if row.interval is None and not row.is_slower(0)]

    def slower(self, by: float) -> list[Compared]:
        """See `Compared.is_slower`."""
        return [row for row in self.rows if row.is_slower(by)]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "rows": [row.to_dict() for row in self.rows],
            "only_new": [list(row.key) for row in self.only_new],
            "only_old": [list(row.key) for row in self.only_old],
            "remarks": list(self.remarks),
        }


def compare(new: Document, old: Document) -> Comparison:
    """Match rows by `Row.key` and compare them."""
    before = {row.key: row for row in old.rows if _is_comparable(row)}
    after = {row.key: row for row in new.rows if _is_comparable(row)}
    return Comparison(
        tuple(_compared(row, before[key], new.seed) for key, row in after.items() if key in before),
        tuple(row for row in new.rows if row.key not in before),
        tuple(row for row in old.rows if row.key not in after),
        tuple(_remarks(new, old)),
    )


def _is_comparable(row: Row) -> bool:
    return not (row.rate or "").endswith("%")


def _sustained(row: Row) -> bool:
    return row.open is None or bool(row.open["sustained"])


def _compared(new: Row, old: Row, seed: int) -> Compared:
    if new.loop == "open" and _sustained(new) and _sustained(old):
        before, after = (float(np.mean([w.p50_s for w in row.windows])) for row in (old, new))
        interval = latency_ratio_interval(new.windows, old.windows, seed)
        return Compared(old, new, "p50", before, after, before / after, interval)
    before, after = (row.items * throughput(row.windows) for row in (old, new))
    interval = throughput_ratio_interval(new.windows, old.windows, seed)
    scale = new.items / old.items  # with the batch size "auto" they may differ
    if interval is not None:
        interval = interval[0] * scale, interval[1] * scale
    return Compared(old, new, "items/s", before, after, after / before, interval)


def _remarks(new: Document, old: Document) -> list[str]:
    found = []
    for name in ("host", "processor", "affinity", "gpus", "driver"):
        if (was := old.machine.get(name)) != (now := new.machine.get(name)):
            found.append(f"{name}: {was} before, {now} now")
    for name in sorted(old.versions.keys() | new.versions.keys()):
        if (was := old.versions.get(name)) != (now := new.versions.get(name)):
            found.append(f"{name}: {was or 'none'} before, {now or 'none'} now")
    for name in sorted(old.models.keys() & new.models.keys()):
        if old.models[name] != new.models[name]:
            found.append(f"{name}: another model file")
    if old.data != new.data:
        found.append(f"data: {old.data} before, {new.data} now")
    return found
