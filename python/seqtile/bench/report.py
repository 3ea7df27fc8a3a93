"""Tables of a benchmark and of a comparison, in text that fits 100 columns."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..escaping import escaped
from .compare import Compared, Comparison
from .latency import PERCENTILES
from .rows import Document, Row

__all__ = ["print_comparison", "print_document", "say_slower"]

_Column: TypeAlias = tuple[str, Callable[[Row], str]]

_VARYING = ("engine", "device", "precision", "threads")
_LEFT_OUT = 6  # rows that are named one by one
_NARROW = 90  # columns of text, below which p90 and p95 are left out


def print_document(document: Document, console: Console, *, profile: bool) -> None:
    """What was measured: of each model and shape the speed, then what it took.

    Parameters
    ----------
    profile
        The stages of the requests too.
    """
    rows = document.rows
    machine, versions = document.machine, document.versions
    _say(
        console,
        f"{machine['processor']}, {machine['threads']} of {machine['cores']} cores"
        + "".join(f", {gpu}" for gpu in machine.get("gpus") or ()),
    )
    _say(console, ", ".join(f"{name} {version}" for name, version in versions.items()))
    if rows:
        same = [n for n in _VARYING if len({getattr(row, n) for row in rows}) == 1]
        shared = " ".join(_said(rows[0], name) for name in same)
        _say(console, f"{shared + '; ' if shared else ''}inputs: {document.data}")
        _say(console, f"warm-up: {document.rules['warm_up']}")
        varying = [name for name in _VARYING if name not in same]
        for (model, shape), part in itertools.groupby(rows, lambda row: (row.model, row.shape)):
            group = list(part)
            unit = group[0].unit
            size = f"{shape} {unit}"
            console.print()
            _say(console, f"{model}, {size}; latency in ms")
            label = _label(varying)
            console.print(_table(group, [*label, *_speed(unit, console.width)], len(label)))
            console.print()
            console.print(_table(group, [*label, *_resources(group)], len(label)))
            if profile:
                console.print()
                _print_stages(group, label, console)
        console.print()
        for line in _remarks(rows, document.rules):
            _say(console, line)
    for skipped in document.skipped:
        _say(console, f"not measured: {skipped['what']}: {skipped['why']}")


def _say(console: Console, line: str) -> None:
    console.print(Text(escaped(line)))


def _said(row: Row, name: str) -> str:
    value = getattr(row, name)
    return f"{value} thread{'' if value == 1 else 's'} a call" if name == "threads" else str(value)


def _label(varying: Sequence[str]) -> list[_Column]:
    columns: list[_Column] = []
    if words := [name for name in varying if name != "threads"]:
        columns.append((" ".join(words), lambda row: " ".join(getattr(row, w) for w in words)))
    columns.append(("batch", _batch))
    columns.append(("load", lambda row: row.load))
    if "threads" in varying:
        columns.append(("thr", lambda row: str(row.threads)))
    return columns


def _batch(row: Row) -> str:
    return str(row.batch) if row.asked == str(row.batch) else f"{row.batch} {row.asked}"


def _speed(unit: str, width: int) -> list[_Column]:
    """Columns of throughput and latency."""
    names = [p for p in PERCENTILES if width >= _NARROW or p not in ("90", "95")]
    columns: list[_Column] = [
        ("items/s", lambda row: _count(row.items_per_s) + (" " if row.warm_up["stable"] else "~")),
        ("±", _noise),
        (f"M{unit}/s", lambda row: _short(row.units_per_s / 1e6)),
    ]
    columns += [(f"p{name}", _latency(name)) for name in names]
    return [*columns, ("max", _latency("max"))]


def _latency(name: str) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        value = row.latency[name]
        if value is None:
            return "-"
        sustained = row.open is None or row.open["sustained"]
        return ("" if sustained else ">") + _short(value * 1e3)

    return text


def _noise(row: Row) -> str:
    if row.interval is None:
        return "-"
    half = (row.interval[1] - row.interval[0]) / 2 / row.items_per_s
    return f"{half:.1%}" if half < 0.0995 else f"{half:.0%}"


def _resources(rows: Sequence[Row]) -> list[_Column]:
    columns: list[_Column] = [
        ("requests", lambda row: f"{row.requests:,}"),
        ("seconds", lambda row: _short(row.seconds)),
        (
            "warm-up s",
            lambda row: _short(row.warm_up["seconds"]) + ("" if row.warm_up["stable"] else "~"),
        ),
        ("first call ms", lambda row: _short(row.first_call_s * 1e3)),
        (
            "peak MB",
            lambda row: (
                _megabytes(row.memory.get("peak")) + ("" if row.memory.get("reset") else "*")
            ),
        ),
    ]
    if any(row.gpu for row in rows):
        columns += [
            ("GPU MB", lambda row: _megabytes((row.gpu or {}).get("memory_peak"))),
            ("GPU %", lambda row: _or_dash((row.gpu or {}).get("utilization"), "{:.0f}")),
            ("W", lambda row: _or_dash((row.gpu or {}).get("power"), "{:.0f}")),
            (
                "mJ/item",
                lambda row: (
                    "-" if row.joules_per_item is None else _short(row.joules_per_item * 1e3)
                ),
            ),
        ]
    if any(row.open for row in rows):
        columns += [
            ("busy", lambda row: f"{row.open['busy']:.0%}" if row.open else ""),
            ("queue at end", lambda row: str(row.open["waiting"]) if row.open else ""),
            (
                "wake ms",
                lambda row: (
                    ""
                    if row.open is None
                    else "-"
                    if row.open["late_s"] is None
                    else _short(row.open["late_s"] * 1e3)
                ),
            ),
        ]
    return columns


def _print_stages(rows: Sequence[Row], label: list[_Column], console: Console) -> None:
    def text(row: Row) -> str:
        if row.stages is None:
            return "-"
        parts = {**row.stages["seconds"], "other": row.stages["other"]}
        total = sum(s for name, s in parts.items() if name != "write") or 1.0
        shares = {name: s / total for name, s in parts.items() if name != "write"}
        ordered = sorted(shares.items(), key=lambda pair: -pair[1])
        return ", ".join(f"{name} {share:.1%}" for name, share in ordered if share >= 0.0005)

    def verdict(row: Row) -> str:
        return row.stages["verdict"] if row.stages else "-"

    table = _table(rows, [*label, ("limit", verdict), ("stages", text)], len(label) + 2)
    table.columns[-1].no_wrap = False
    console.print(table)


def _remarks(rows: Iterable[Row], rules: Mapping[str, str]) -> list[str]:
    """Legend of the marks that occur."""
    rows = list(rows)
    found = [f"±: {rules['interval']}"]
    if any(value is None for row in rows for value in row.latency.values()):
        found.append(f"-: {rules['percentile']}")
    if any(not row.warm_up["stable"] for row in rows):
        said = "no warm-up" if rules["warm_up"] == "none" else "the warm-up did not become stable"
        found.append(f"~: {said}; the figures may be too low or too high")
    if any(row.open and not row.open["sustained"] for row in rows):
        found.append(f">: at least; {rules['sustained']}")
    if any(row.loop == "lanes" for row in rows):
        found.append("lanes: the latency is that of a call with many batches, 8 for each lane")
    if any(row.open for row in rows):
        found.append(
            "busy: share of the servers' time; wake: how late an idle server woke, part of the "
            "latency (median)"
        )
    if any(not row.memory.get("reset") for row in rows):
        found.append("*: the peak since the process began, of all rows so far")
    whys = {row.gpu["why"] for row in rows if row.gpu and row.gpu.get("why")}
    found += [f"GPU: {why}" for why in sorted(whys)]
    worst = max((p["difference"] / p["tolerance"] for row in rows for p in row.parity), default=0)
    checked = len({(row.engine, row.device, row.precision) for row in rows})
    found.append(
        f"outputs of {checked} engine{'' if checked == 1 else 's'} equal onnxruntime's (fp32, CPU) "
        f"before timing: at most {worst:.2g} of the tolerance"
    )
    return found


def print_comparison(
    comparison: Comparison, path: str, console: Console, bar: float | None = None
) -> None:
    """A line per row that is in both runs, then what is in one of them only.

    ``bar`` is the fraction by which a row may be slower, for the rule in words.
    """
    _say(
        console,
        f"compared with {path}: speed of this run over that one's, 95% interval over the windows "
        "of both: noise inside the runs, not what a shared machine does between them",
    )
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("row", overflow="fold")
    for name in ("measure", "old", "new", "speed", "interval"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in comparison.rows:
        scale = 1e3 if row.measure == "p50" else 1.0
        write = _short if row.measure == "p50" else _count
        interval = f"{row.interval[0]:.2f}-{row.interval[1]:.2f}" if row.interval else "-"
        table.add_row(
            Text(escaped(str(row.new))),
            "p50 ms" if row.measure == "p50" else row.measure,
            write(row.before * scale),
            write(row.after * scale),
            f"{row.ratio:.2f}x",
            interval,
            row.verdict,
        )
    if comparison.rows:
        console.print(table)
    if bar is not None:
        _say(
            console,
            f"fails where all of the interval is below {1 - bar:.4g}, or a rate is no longer "
            "sustained",
        )
    for remark in comparison.remarks:
        _say(console, f"differs: {remark}")
    _say_left_out(comparison.only_new, "not in the old run", console)
    _say_left_out(comparison.only_old, "in the old run only", console)


def say_slower(row: Compared, bar: float) -> str:
    """Why a row is slower than allowed, in a line."""
    if row.verdict == "rate no longer sustained" or row.interval is None:
        return f"{row.new}: {row.verdict}"
    return (
        f"{row.new}: {row.ratio:.2f} times as fast as before, 95% interval "
        f"{row.interval[0]:.2f} to {row.interval[1]:.2f}: all of it below {1 - bar:.2f}"
    )


def _say_left_out(rows: Sequence[Row], why: str, console: Console) -> None:
    for row in rows[:_LEFT_OUT]:
        reason = "its rate follows the throughput" if (row.rate or "").endswith("%") else why
        _say(console, f"not compared: {row}: {reason}")
    if len(rows) > _LEFT_OUT:
        _say(console, f"not compared: {len(rows) - _LEFT_OUT} more, {why}")


def _table(rows: Sequence[Row], columns: Sequence[_Column], left: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for i, (name, _) in enumerate(columns):
        table.add_column(name, justify="left" if i < left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(escaped(write(row))) for _, write in columns))
    return table


def _short(value: float) -> str:
    """Three digits, two below 0.1: ``1234``, ``12.3``, ``1.23``, ``0.036``."""
    if value >= 99.95 or value == 0:
        return f"{value:.0f}"
    if value >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.0995 else f"{value:.2g}"


def _count(value: float) -> str:
    """A rate: ``12.3``, ``5,123``, ``1.23M``."""
    if value >= 1e6:
        return f"{value / 1e6:.2f}M"
    return f"{value:,.0f}" if value >= 99.95 else _short(value)


def _megabytes(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:,.0f}"


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
