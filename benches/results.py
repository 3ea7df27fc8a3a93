"""What the benches found: a file for each processor, which later runs on it bring up to date."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]

# The bench, and a pattern of how the row begins.
HEADLINES = (
    ("import", "import seqtile"),
    ("predict", "predict, an array"),
    ("predict", "seqtile predict, 1,000,000 records of 101 to a table, a process of its own"),
    ("scan", "scan into a bigWig, stride 1,"),
    ("segment", "segment, 2864"),
    ("onehot", "one-hot float32, NCL, out= reused, 10,000 of 1,000"),
    ("fasta", "FASTA plain, 100 Mb"),
    ("faidx", "random access, fetch_many, (?!1 thread)"),
    ("kmer", "canonical k = 21"),
    ("tables", "300,000 answers to a table"),
    ("tiling", "blended stitch, float32, (?!1 thread)"),
    ("bigwig", "bigWig of 2 Mb"),
)


@dataclass(frozen=True)
class Outcome:
    """What one bench file gave.

    Attributes
    ----------
    name, title, command
        The bench's, its file's first line of text, and how to run it alone.
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


@dataclass(frozen=True)
class Results:
    """All that is known of one processor.

    Attributes
    ----------
    processor
        Name, cores and kernels.
    command, facts
        The last run's; a fact a line.
    outcomes
        In the order of the report; of a bench the last one.
    """

    processor: str
    command: str
    facts: list[str]
    outcomes: list[Outcome]

    @property
    def day(self) -> str:
        """When the last bench ran."""
        return max((outcome.day for outcome in self.outcomes), default="")

    def rows(self, name: str) -> list[Row]:
        """The rows of a bench."""
        return [row for outcome in self.outcomes if outcome.name == name for row in outcome.rows]

    def headlines(self) -> list[Row]:
        """The rows of `HEADLINES` that are there."""
        found = (
            next((row for row in self.rows(name) if re.match(begin, row["row"])), None)
            for name, begin in HEADLINES
        )
        return [row for row in found if row is not None]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Results:
        return cls(**content | {"outcomes": list(map(Outcome.from_dict, content["outcomes"]))})


def is_short(row: Row) -> bool:
    """Whether the median is below what is wanted."""
    return row.get("target") is not None and row["ratio"] < row["target"]


def merged(old: Results | None, new: Results, order: Sequence[str]) -> Results:
    """The newer outcomes, and the older ones of the benches that did not run, in this order."""
    found = {outcome.name: outcome for outcome in [*(old.outcomes if old else ()), *new.outcomes]}
    names = [*(n for n in order if n in found), *(n for n in found if n not in order)]
    return Results(new.processor, new.command, new.facts, [found[name] for name in names])


def store(folder: Path, new: Results, order: Sequence[str]) -> list[Results]:
    """Bring the processor's file up to date; all processors' results, this one's first.

    A file is JSON, named after the processor; one that names another processor is an error.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{re.sub('[^a-z0-9]+', '-', new.processor.lower()).strip('-')}.json"
    known = {file: _read(file) for file in sorted(folder.glob("*.json"))}
    old = known.pop(path, None)
    if old is not None and old.processor != new.processor:
        raise ValueError(f"{path}: of {old.processor}, not of {new.processor}")
    results = merged(old, new, order)
    write(path, json.dumps(results.to_dict(), indent=1) + "\n")
    return [results, *sorted(known.values(), key=lambda other: other.day, reverse=True)]


def _read(path: Path) -> Results:
    return Results.from_dict(json.loads(path.read_text(encoding="utf-8")))


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
