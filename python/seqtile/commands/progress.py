"""A progress bar on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

__all__ = ["progress"]


class _Rate(ProgressColumn):
    """Work per second, with an SI prefix."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed or 0.0
        for prefix, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
            if speed >= factor:
                return Text(f"{speed / factor:.1f} {prefix}{self._unit}/s")
        return Text(f"{speed:.0f} {self._unit}/s")


@contextmanager
def progress(unit: str, total: int | None, *, quiet: bool) -> Iterator[Callable[[int], object]]:
    """A bar on standard error, if that is a terminal; yields the function that moves it."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda done: None
        return
    columns = (BarColumn(), TaskProgressColumn(), _Rate(unit), TimeRemainingColumn())
    with Progress(TextColumn(unit), *columns, console=console, transient=True) as bar:
        task = bar.add_task(unit, total=total)
        yield lambda done: bar.update(task, completed=done)
