"""A figure of a benchmark: latency against throughput, a curve per device, engine, precision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ..escaping import escaped
from .rows import Document, Row

__all__ = ["draw_bench"]

_COLOURS = ("#2a6f97", "#c1440e", "#5a8f29", "#7b4fa3", "#b8860b", "#00848c", "#a3324f", "#444444")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_MUTED, _GRID = "#5c6770", "#dfe4e8"
_MOST_PANELS = 12


def draw_bench(file: Path | BinaryIO, document: Document) -> None:
    """Draw a panel per model and shape as PNG.

    A closed loop's medians are joined from batch size to batch size, one line for each number of
    clients; an open loop's, drawn hollow, from rate to rate. From each a whisker goes up to p99,
    if that has samples enough. The best throughput of the loop ``"lanes"``, which has no latency of
    its own, is a dotted line. Rates that were not sustained and medians of too few samples are not
    drawn; the figure says how many.

    Raises
    ------
    ValueError
        Nothing to draw.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels: dict[tuple[str, str], list[Row]] = {}
    for row in document.rows:
        panels.setdefault((row.model, row.shape), []).append(row)
    drawn = {key: [row for row in rows if _drawable(row)] for key, rows in panels.items()}
    lanes = {key: [row for row in rows if row.loop == "lanes"] for key, rows in panels.items()}
    left_out = sum(len(rows) - len(drawn[key]) - len(lanes[key]) for key, rows in panels.items())
    drawn = {key: rows for key, rows in drawn.items() if rows}
    if not drawn:
        raise ValueError(
            "no row has the 20 samples that a median needs: nothing to draw; raise --seconds"
        )
    shown = dict(list(drawn.items())[:_MOST_PANELS])
    left_out += sum(len(rows) for key, rows in drawn.items() if key not in shown)
    across = min(3, len(shown))
    down = math.ceil(len(shown) / across)
    figure = Figure(figsize=(max(6.4, 4.6 * across), 0.9 + 3.7 * down), dpi=150)
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(down, across, squeeze=False).reshape(-1)
    series = sorted({_series(row) for rows in shown.values() for row in rows})
    colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(series)}
    clients = sorted({row.concurrency for rows in shown.values() for row in rows})
    markers = {count: _MARKERS[i % len(_MARKERS)] for i, count in enumerate(clients)}
    for axis, ((model, shape), rows) in zip(axes, shown.items(), strict=False):
        _panel(axis, rows, colours, markers)
        _ceilings(axis, lanes[model, shape], colours)
        _ticks(axis)
        axis.set_title(
            escaped(f"{model}, {shape} {rows[0].unit}"), loc="left", fontsize=9, parse_math=False
        )
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    every = [row for rows in shown.values() for row in rows]
    _legend(
        figure,
        colours,
        markers,
        any(row.loop == "open" for row in every),
        any(lanes[key] for key in shown),
    )
    note = f"; {left_out} rows not drawn" if left_out else ""
    machine = ", ".join(
        [
            document.machine["processor"],
            f"{document.machine['threads']} cores",
            *(document.machine.get("gpus") or ()),
        ]
    )
    figure.suptitle(
        f"Latency against throughput, {machine}{note}\nnumbers: batch size",
        x=0.01,
        ha="left",
        fontsize=9,
        color=_MUTED,
    )
    canvas.print_figure(file, format="png")


def _drawable(row: Row) -> bool:
    sustained = row.open is None or bool(row.open["sustained"])
    return row.loop != "lanes" and sustained and row.latency["50"] is not None


def _series(row: Row) -> str:
    return f"{row.device} {row.engine} {row.precision}"


def _panel(
    axis: Any, rows: Sequence[Row], colours: dict[str, str], markers: dict[int, str]
) -> None:
    lines: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        batch = row.asked if row.loop == "open" else ""
        key = (_series(row), row.loop, row.concurrency, row.threads, batch)
        lines.setdefault(key, []).append(row)
    for (name, loop, clients, *_), found in lines.items():
        found.sort(key=lambda row: (row.batch, row.items_per_s))
        style = {
            "color": colours[name],
            "marker": markers[clients],
            "markersize": 4.5,
            "markerfacecolor": "white" if loop == "open" else colours[name],
            "linewidth": 1.3,
        }
        axis.plot(*_points(found, "50"), **style)
        tail = [row for row in found if row.latency["99"] is not None]
        (x, high), (_, low) = _points(tail, "99"), _points(tail, "50")
        axis.vlines(x, low, high, color=colours[name], linewidth=0.8, alpha=0.6)
        axis.plot(x, high, color=colours[name], marker="_", linestyle="", markersize=7, alpha=0.8)
        for row, at, y in zip(found, *_points(found, "50"), strict=True):
            label = str(row.batch) if loop == "closed" else f"{row.batch}, {row.load.split()[0]}"
            axis.annotate(
                label,
                (at, y),
                xytext=(5, -8),
                textcoords="offset points",
                fontsize=6.5,
                color=colours[name],
            )
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("items/s", fontsize=8, color=_MUTED)
    axis.set_ylabel("latency of a batch (ms)", fontsize=8, color=_MUTED)
    axis.margins(0.12)
    axis.grid(which="major", color=_GRID, linewidth=0.7)
    axis.set_axisbelow(True)
    axis.tick_params(labelsize=7, colors=_MUTED, length=2, which="both")
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color(_GRID)


def _ceilings(axis: Any, rows: Sequence[Row], colours: dict[str, str]) -> None:
    """The best throughput of all lanes, for each engine that is drawn."""
    best: dict[str, float] = {}
    for row in rows:
        best[_series(row)] = max(best.get(_series(row), 0.0), row.items_per_s)
    for name, rate in best.items():
        if name in colours:
            axis.axvline(rate, color=colours[name], linewidth=1.0, linestyle=(0, (1, 2)))


def _ticks(axis: Any) -> None:
    """Plain numbers, at 1, 2 and 5 where there is room."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    for part, (low, high) in ((axis.xaxis, axis.get_xlim()), (axis.yaxis, axis.get_ylim())):
        narrow = high / low < 150
        part.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
        part.set_major_formatter(FuncFormatter(lambda value, _: _plain(value)))
        part.set_minor_formatter(NullFormatter())
        if narrow:
            part.set_minor_locator(NullLocator())


def _plain(value: float) -> str:
    for unit, factor in (("M", 1e6), ("k", 1e3)):
        if value >= factor:
            return f"{value / factor:g}{unit}"
    return f"{value:g}"


def _points(rows: Sequence[Row], percentile: str) -> tuple[list[float], list[float]]:
    latencies = [(row.latency[percentile] or 0.0) * 1e3 for row in rows]
    return [row.items_per_s for row in rows], latencies


def _legend(
    figure: Any, colours: dict[str, str], markers: dict[int, str], has_open: bool, has_lanes: bool
) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour, label=name) for name, colour in colours.items()]
    mark: dict[str, Any] = {"color": _MUTED, "linestyle": "", "markersize": 4.5}
    for count, marker in markers.items():
        text = f"{count} client{'' if count == 1 else 's'}, p50"
        handles.append(Line2D([], [], marker=marker, label=text, **mark))
    if has_open:
        handles.append(
            Line2D([], [], marker="o", markerfacecolor="white", label="arrivals at a rate", **mark)
        )
    handles.append(Line2D([], [], marker="_", label="p99", **mark | {"markersize": 8}))
    if has_lanes:
        style: dict[str, Any] = {"color": _MUTED, "linestyle": (0, (1, 2)), "linewidth": 1.0}
        handles.append(Line2D([], [], label="all lanes, best throughput", **style))
    columns = min(int(figure.get_figwidth() / 1.6), len(handles))  # inches that the longest takes
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=columns,
        fontsize=7,
        frameon=False,
        labelcolor=_MUTED,
    )
    height, lines = figure.get_figheight(), math.ceil(len(handles) / columns)
    figure.tight_layout(rect=(0, (0.1 + 0.19 * lines) / height, 1, 1 - 0.42 / height))
