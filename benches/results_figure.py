"""The report of the benches as figures: the headlines with their peers, and a figure a group."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benches.results import Outcome, Row, is_short
from benches.results_text import number

OURS, SHORT, PEER = "tab:blue", "tab:red", "0.6"


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    return plt


def draw_headlines(rows: Sequence[Row], path: Path, title: str) -> None:
    """A bar for the limit and for each peer of each row: how many times as fast we are.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    plt = _pyplot()
    lines = sum(2 + sum(map(bool, row.get("peers", {}).values())) for row in rows)
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.2 * lines), layout="constrained")
    ticks: list[tuple[float, str]] = []
    y = 0.0
    for row in rows:
        axes.text(
            -0.02,
            y,
            row["row"],
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="center",
            fontsize=8,
            fontweight="bold",
        )
        bars = [(row["limit"], row["ratio"], SHORT if is_short(row) else OURS)]
        bars += [(name, times, PEER) for name, times in row.get("peers", {}).items() if times]
        for name, times, color in bars:
            y += 1
            axes.barh(y, times - 1, 0.7, 1, color=color)
            at, side = (times * 1.04, "left") if times >= 1 else (times / 1.04, "right")
            axes.text(at, y, number(times), ha=side, va="center", fontsize=7)
            ticks.append((y, name))
        y += 1.4
    axes.set_yticks([at for at, _ in ticks], [name for _, name in ticks], fontsize=7)
    axes.set_ylim(y - 0.6, -1)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.tick_params("x", labelsize=7)
    low, high = axes.get_xlim()
    axes.set_xlim(low / 1.3, high * 1.3)
    axes.set_title(title, fontsize=9, loc="right")
    axes.set_xlabel(
        "times as fast as the limit (blue; red: short of what is wanted), as the peers (grey)",
        fontsize=8,
        loc="right",
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)


def draw_group(outcomes: Sequence[Outcome], path: Path, title: str) -> None:
    """A panel for each bench, a line for each row: ratio, quartiles, what is wanted, peers.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    plt = _pyplot()
    counts = [len(outcome.rows) for outcome in outcomes]
    figure, grid = plt.subplots(
        len(outcomes),
        squeeze=False,
        sharex=True,
        figsize=(10, 1 + 0.45 * len(counts) + 0.21 * sum(counts)),
        gridspec_kw={"height_ratios": [count + 0.5 for count in counts]},
        layout="constrained",
    )
    for axes, outcome in zip(grid[:, 0], outcomes, strict=True):
        _panel(axes, outcome.rows)
        axes.set_title(outcome.name, fontsize=9, fontweight="bold", loc="left")
    marks = [
        plt.Line2D([], [], marker=mark, linestyle=line, color=color, label=label)
        for mark, line, color, label in (
            ("o", "-", OURS, "our speed over the limit's, quartiles"),
            ("o", "-", SHORT, "short of what is wanted"),
            ("|", "", "black", "what is wanted"),
            ("x", "", PEER, "our speed over a peer's"),
        )
    ]
    figure.legend(
        handles=marks,
        loc="outside upper right",
        ncols=4,
        fontsize=7,
        title=title,
        title_fontsize=8,
        frameon=False,
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _panel(axes: Any, rows: Sequence[Row]) -> None:
    for y, row in enumerate(rows):
        color = SHORT if is_short(row) else OURS
        axes.plot([row["low"], row["high"]], [y, y], color=color, linewidth=2)
        axes.plot(row["ratio"], y, "o", color=color, markersize=5)
        if row.get("target") is not None:
            axes.plot(row["target"], y, "|", color="black", markersize=10)
        times = [value for value in row.get("peers", {}).values() if value]
        axes.plot(times, [y] * len(times), "x", color=PEER, markersize=4)
    axes.axvline(1, color="black", linewidth=0.6)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yticks(range(len(rows)), [f"{row['row']}  to {row['limit']}" for row in rows])
    axes.tick_params("y", labelsize=7)
    axes.tick_params("x", labelsize=7, labelbottom=True)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x", color="0.9")
