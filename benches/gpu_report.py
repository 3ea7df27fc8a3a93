"""What `benches/gpu.py` found, as Markdown: sections, tables, failures, what was left out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benches.results_text import number
from seqtile.errors import PrecisionError
from seqtile.execution.providers import Precision


@dataclass(frozen=True)
class Context:
    """What to measure.

    Attributes
    ----------
    device
        As for `seqtile.load`; everything runs on the CPU too, for tests.
    models
        Names of shipped models.
    precisions
        Some of `seqtile.execution.providers.PRECISIONS`.
    quick
        Few batch sizes, little work.
    deadline
        On the clock of `time.monotonic`: what has not begun then is left out, and said to be.
    """

    device: str
    models: tuple[str, ...]
    precisions: tuple[Precision, ...] = ("fp32", "tf32", "fp16")
    quick: bool = False
    deadline: float = float("inf")

    def late(self) -> bool:
        return time.monotonic() > self.deadline


@dataclass
class Section:
    """A heading, some text, a table; one line for each failure and for what was left out."""

    title: str
    text: str
    head: tuple[str, ...] = ()
    rows: list[tuple[object, ...]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def markdown(self) -> str:
        parts = [f"## {self.title}", f"{self.text} ({self.seconds:.0f} s)"]
        if self.failures:
            parts.append("\n".join(f"- **failed**: {line}" for line in self.failures))
        if self.rows:
            lines = [self.head, ("---",) * len(self.head), *self.rows]
            parts.append("\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines))
        if self.left_out:
            parts.append("\n".join(f"- left out: {line}" for line in self.left_out))
        return "\n\n".join(parts)


def cell(value: object) -> str:
    """A table's cell: numbers short, None as a dash, nothing that breaks the table."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return " ".join(str(value).replace("|", "/").split())


def one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


@contextmanager
def item(section: Section, what: str) -> Iterator[None]:
    """One item of a section: what it raises is said in the section, and the next one comes.

    A precision that the model's certificate does not vouch for is left out, not failed.
    """
    try:
        yield
    except PrecisionError as error:
        section.left_out.append(f"{what}: {error}")
    except Exception as error:
        section.failures.append(f"{what}: {one_line(error)}")


def in_time(context: Context, section: Section, what: str) -> bool:
    """Whether there is time to begin an item; if not, says that it is left out."""
    if context.late():
        section.left_out.append(f"{what}: out of time")
    return not context.late()


Measure = Callable[[Context, Section], None]


def guarded(title: str, text: str, measure: Measure, context: Context) -> Section:
    """Run one section; whatever it raises becomes a failure in it, and the rest goes on.

    ``measure`` fills the section that it is given, so that what it found before it failed stays.
    """
    section, begin = Section(title, text), time.monotonic()
    if context.late():
        section.left_out.append("all of it: out of time (--budget)")
        return section
    try:
        measure(context, section)
    except Exception as error:
        section.failures.append(one_line(error))
    section.seconds = time.monotonic() - begin
    return section


def document(title: str, command: str, facts: Sequence[str], sections: Sequence[Section]) -> str:
    """The whole file."""
    failed = [section.title for section in sections if section.failures]
    verdict = f"FAILED: {', '.join(failed)}." if failed else "No section failed."
    late = [section.title for section in sections if section.left_out]
    if late:
        verdict += f" Parts left out: {', '.join(late)}."
    head = [f"# {title}", f"`{command}`", "\n".join(f"- {fact}" for fact in facts), verdict]
    return "\n\n".join([*head, *(section.markdown() for section in sections)]) + "\n"


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
