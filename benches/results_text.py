"""The report of the benches as Markdown. Pure functions of the results."""

from __future__ import annotations

from collections.abc import Sequence

from benches.results import Outcome, Results, Row, is_short

_ABOUT = (
    "Ratios of speed: above 1 we are faster. Each is the median of interleaved rounds in one run "
    "with its quartiles behind it, against a limit (column *to*), and below it against the peers a "
    "user would pick; results are compared first. *(short)* marks a median below what is wanted "
    "(column *want*). Speeds drift with the machine, ratios hold. A column is a processor, brought "
    "up to date by `python benches/report.py` on it; the figures are in `results/`."
)


def number(value: float | None) -> str:
    """Two or three significant digits."""
    if value is None:
        return "-"
    size = abs(value)
    return f"{value:.2g}" if size < 0.1 else f"{value:.2f}" if size < 100 else f"{value:,.0f}"


def cell(row: Row | None) -> str:
    """What one processor gave: speed, ratio with quartiles, peers."""
    if row is None:
        return "-"
    speed = f"{number(row['rate'])} {row['unit']}, " if "rate" in row else ""
    quartiles = f"[{number(row.get('low'))}, {number(row.get('high'))}]"
    mark = " (short)" if is_short(row) else ""
    peers = ", ".join(
        f"{name} {'not installed' if times is None else number(times)}"
        for name, times in row.get("peers", {}).items()
    )
    return f"{speed}**{number(row['ratio'])}** {quartiles}{mark}" + (peers and f"<br>{peers}")


def table(columns: Sequence[tuple[str, Sequence[Row]]]) -> str:
    """A Markdown table of the rows of some processors, whose names head the columns."""
    by_key = [{(row["row"], row["limit"]): row for row in rows} for _, rows in columns]
    keys = dict.fromkeys(key for found in by_key for key in found)
    names = " | ".join(name for name, _ in columns)
    lines = [f"| what | to | want | {names} |", "| --- " * (3 + len(columns)) + "|"]
    for key in keys:
        rows = [found.get(key) for found in by_key]
        target = next(row.get("target") for row in rows if row is not None)
        want = "-" if target is None else f"{target:g}"
        lines.append(f"| {key[0]} | {key[1]} | {want} | {' | '.join(map(cell, rows))} |")
    return "\n".join(lines)


def summary(outcomes: Sequence[Outcome]) -> str:
    """How many rows there are, how many are short of what is wanted, and what failed."""
    rows = [row for outcome in outcomes for row in outcome.rows]
    wanted = [row for row in rows if row.get("target") is not None]
    short = sum(map(is_short, wanted))
    failed = [outcome.name for outcome in outcomes if outcome.failures]
    text = f"{len(rows)} rows; {len(wanted)} have a target, {short} of them are short of it."
    return text + (f" FAILED: {', '.join(failed)}." if failed else " No bench failed.")


def section(outcomes: Sequence[tuple[str, Outcome]]) -> str:
    """One bench file: what it is, its rows, what failed or was left out, by processor."""
    first = outcomes[0][1]
    runs = "; ".join(f"{name}: {o.seconds:.0f} s, {o.day}" for name, o in outcomes)
    parts = [f"### {first.name}", f"{first.title}\n`{first.command}`; {runs}"]
    for name, outcome in outcomes:
        lines = [f"- **failed** on {name}: {line}" for line in outcome.failures]
        lines += [f"- left out on {name}: {line}" for line in outcome.skips]
        if not (outcome.rows or lines):
            lines = [f"- no rows on {name}"]
        if lines:
            parts.append("\n".join(lines))
    if any(outcome.rows for _, outcome in outcomes):
        parts.append(table([(name, outcome.rows) for name, outcome in outcomes]))
    return "\n\n".join(parts)


def document(
    processors: Sequence[Results], groups: dict[str, list[str]], figures: dict[str, str]
) -> str:
    """The whole file.

    Parameters
    ----------
    processors
        The one that was measured last comes first.
    groups
        Names of benches by group.
    figures
        Images beside the file, by group, and ``""`` for that of the headlines.
    """
    parts = ["# Results", _ABOUT]
    headlines = [(results.processor, results.headlines()) for results in processors]
    if any(rows for _, rows in headlines):
        parts += ["## In short", table(headlines)]
    if "" in figures:
        parts.append(f"![Our speed over the limit's and the peers']({figures['']})")
    parts.append("## Processors")
    for results in processors:
        facts = [f"`{results.command}`", *results.facts, summary(results.outcomes)]
        parts += [f"### {results.processor}", "\n".join(f"- {fact}" for fact in facts)]
    known = dict.fromkeys(o.name for results in processors for o in results.outcomes)
    grouped = {name for names in groups.values() for name in names}
    for group, names in (groups | {"others": [n for n in known if n not in grouped]}).items():
        found = [name for name in names if name in known]
        if not found:
            continue
        parts.append(f"## {group}")
        if group in figures:
            parts.append(f"![Ratios of {group}]({figures[group]})")
        for name in found:
            parts.append(
                section(
                    [(r.processor, o) for r in processors for o in r.outcomes if o.name == name]
                )
            )
    return "\n\n".join(parts) + "\n"
