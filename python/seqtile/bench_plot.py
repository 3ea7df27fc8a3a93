"""A figure of a benchmark: latency against throughput, a curve per device, engine, precision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .bench_rows import Document, Row

__all__ = ["draw_bench"]

_COLOURS = ("#2a6f97", "#c1440e", "#5a8f29", "#7b4fa3", "#b8860b", "#00848c", "#a3324f", "#444444")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_MUTED, _GRID = "#5c6770", "#dfe4e8"
_MOST_PANELS = 12


def draw_bench(path: Path, document: Document) -> None:
    """Draw a panel per model and shape as PNG.

    A closed loop's points are joined from batch size to batch size, one line for each number of
    clients; an open loop's, drawn hollow, from rate to rate. The median is a solid line, p99 a
    dashed one. Latencies of the loop ``"lanes"`` and of rates that were not sustained are not
    drawn, nor percentiles that have too few samples; the figure says how many points are left out.

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
    left_out = sum(len(rows) - len(drawn[key]) for key, rows in panels.items())
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
        axis.set_title(f"{model}, {shape} {rows[0].unit}", loc="left", fontsize=9)
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    _legend(figure, colours, markers, any(row.loop == "open" for r in shown.values() for row in r))
    note = f"; {left_out} rows not drawn" if left_out else ""
    figure.suptitle(
        f"Latency against throughput, {document.machine['processor']}, "
        f"{document.machine['threads']} cores{note}\nnumbers: batch size",
        x=0.01, ha="left", fontsize=9, color=_MUTED,
    )  # fmt: skip
    canvas.print_figure(path, format="png")


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
            "color": colours[name], "marker": markers[clients], "markersize": 4.5,
            "markerfacecolor": "white" if loop == "open" else colours[name], "linewidth": 1.3,
        }  # fmt: skip
        axis.plot(*_points(found, "50"), **style)
        tail = [row for row in found if row.latency["99"] is not None]
        faint = style | {"linestyle": (0, (4, 2)), "linewidth": 0.9, "alpha": 0.75}
        axis.plot(*_points(tail, "99"), **faint)
        if loop == "closed":
            for row, x, y in zip(found, *_points(found, "50"), strict=True):
                axis.annotate(
                    str(row.batch), (x, y), xytext=(4, -9), textcoords="offset points",
                    fontsize=6.5, color=colours[name],
                )  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("items/s", fontsize=8)
    axis.set_ylabel("latency (ms)", fontsize=8)
    axis.margins(0.1)
    axis.grid(which="major", color=_GRID, linewidth=0.7)
    axis.set_axisbelow(True)
    axis.tick_params(labelsize=7, colors=_MUTED, length=2, which="both")
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color(_GRID)


def _points(rows: Sequence[Row], percentile: str) -> tuple[list[float], list[float]]:
    latencies = [(row.latency[percentile] or 0.0) * 1e3 for row in rows]
    return [row.items_per_s for row in rows], latencies


def _legend(figure: Any, colours: dict[str, str], markers: dict[int, str], has_open: bool) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour, label=name) for name, colour in colours.items()]
    plain = {"color": _MUTED, "linewidth": 1.0}
    handles.append(Line2D([], [], label="p50", **plain))
    handles.append(Line2D([], [], label="p99", linestyle=(0, (4, 2)), **plain))
    for count, marker in markers.items():
        text = f"{count} client{'' if count == 1 else 's'}"
        handles.append(
            Line2D([], [], color=_MUTED, marker=marker, linestyle="", markersize=4.5, label=text)
        )
    if has_open:
        handles.append(
            Line2D([], [], color=_MUTED, marker="o", markerfacecolor="white", linestyle="",
                   markersize=4.5, label="arrivals at a rate")
        )  # fmt: skip
    figure.legend(
        handles=handles, loc="lower center", ncols=min(5, len(handles)), fontsize=7,
        frameon=False, labelcolor=_MUTED,
    )  # fmt: skip
    rows = math.ceil(len(handles) / 5)
    height = figure.get_figheight()
    figure.tight_layout(rect=(0, (0.1 + 0.19 * rows) / height, 1, 1 - 0.42 / height))
