"""The report of the benches as Markdown and as a figure. Pure functions of the rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]

_HEAD = """\
| what | speed | ratio [quartiles] | to | want | our speed over each peer's |
| --- | --- | --- | --- | --- | --- |"""


@dataclass(frozen=True)
class Outcome:
    """What one bench file gave.

    Attributes
    ----------
    name, title, command
        Of the file, its first line of text, and how to run it alone.
    rows
        As `benches.compare.record` leaves them.
    failures, skips
        One line each; with a failure the rows are those of the tests that passed.
    seconds, day
        How long it took, and when, UTC.
    """

    name: str
    title: str
    command: str
    rows: list[Row]
    failures: list[str] = field(default_factory=list)
    skips: list[str] = field(default_factory=list)
    seconds: float = 0.0
    day: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Outcome:
        return cls(**content)


def number(value: float | None) -> str:
    """Two or three significant digits."""
    if value is None:
        return "-"
    size = abs(value)
    return f"{value:.2g}" if size < 0.1 else f"{value:.2f}" if size < 100 else f"{value:,.0f}"


def is_short(row: Row) -> bool:
    """Whether the median is below what is wanted."""
    return row.get("target") is not None and row["ratio"] < row["target"]


def table(rows: Iterable[Row]) -> str:
    """A Markdown table of the rows."""
    lines = [_HEAD]
    for row in rows:
        peers = ", ".join(
            f"{name} {'not installed' if times is None else number(times)}"
            for name, times in row.get("peers", {}).items()
        )
        speed = f"{number(row['rate'])} {row['unit']}" if "rate" in row else "-"
        quartiles = f"[{number(row.get('low'))}, {number(row.get('high'))}]"
        mark = " (short)" if is_short(row) else ""
        target = "-" if row.get("target") is None else f"{row['target']:g}"
        lines.append(
            f"| {row['row']} | {speed} | {number(row['ratio'])} {quartiles}{mark} "
            f"| {row['limit']} | {target} | {peers or '-'} |"
        )
    return "\n".join(lines)


def summary(outcomes: Sequence[Outcome]) -> str:
    """How many rows there are, how many are short of what is wanted, and what failed."""
    rows = [row for outcome in outcomes for row in outcome.rows]
    wanted = [row for row in rows if row.get("target") is not None]
    short = sum(map(is_short, wanted))
    failed = [outcome.name for outcome in outcomes if outcome.failures]
    text = f"{len(rows)} rows; {len(wanted)} have a target, {short} of them are short of it."
    return text + (f" FAILED: {', '.join(failed)}." if failed else " No bench failed.")


def section(outcome: Outcome) -> str:
    """One bench file: what it is, its rows, what failed or was left out."""
    parts = [
        f"## {outcome.name}",
        f"{outcome.title}\n`{outcome.command}`, {outcome.seconds:.0f} s, {outcome.day}",
    ]
    if outcome.failures:
        parts.append("\n".join(f"- **failed**: {line}" for line in outcome.failures))
    if outcome.rows:
        parts.append(table(outcome.rows))
    if outcome.skips:
        parts.append("\n".join(f"- left out: {line}" for line in outcome.skips))
    if not (outcome.rows or outcome.failures or outcome.skips):
        parts.append("No rows.")
    return "\n\n".join(parts)


def document(
    outcomes: Sequence[Outcome], *, command: str, machine: Sequence[str], noise: str, figure: str
) -> str:
    """The whole file; ``figure`` is the image's name beside it, empty for none."""
    parts = [
        "# Results",
        f"`{command}`\n\nRatios of speed: above 1 we are faster. Each is the median of interleaved "
        "rounds in one run with its quartiles behind it, against a limit (column *to*) and against "
        "the peers a user would pick; results are compared first. *(short)* marks a median below "
        "what is wanted. Speeds drift with the machine, ratios hold.",
        "\n".join(f"- {line}" for line in [*machine, noise]),
        summary(outcomes),
    ]
    if figure:
        parts.append(f"![Ratios to the limit, and to the peers]({figure})")
    return "\n\n".join([*parts, *map(section, outcomes)]) + "\n"


def plot(outcomes: Sequence[Outcome], path: Path) -> None:
    """Draw each row: its ratio with quartiles, what is wanted, and the peers, on a log axis.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    ValueError
        There are no rows.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = [row for outcome in outcomes for row in outcome.rows]
    if not rows:
        raise ValueError("no rows to draw")
    figure, axes = plt.subplots(figsize=(11, 1.2 + 0.22 * len(rows)), layout="constrained")
    for y, row in enumerate(rows):
        color = "tab:red" if is_short(row) else "tab:blue"
        axes.plot([row["low"], row["high"]], [y, y], color=color, linewidth=2)
        axes.plot(row["ratio"], y, "o", color=color, markersize=5)
        if row.get("target") is not None:
            axes.plot(row["target"], y, "|", color="black", markersize=11)
        times = [value for value in row.get("peers", {}).values() if value]
        axes.plot(times, [y] * len(times), "x", color="tab:gray", markersize=4)
    axes.axvline(1, color="black", linewidth=0.6)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [f"{row['row']}  to {row['limit']}" for row in rows])
    axes.tick_params("y", labelsize=7)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(
        "dot: our speed over that of the limit, with quartiles;\n"
        "red: short of what is wanted (|)\n"
        "x: our speed over a peer's",
        fontsize=8,
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)
