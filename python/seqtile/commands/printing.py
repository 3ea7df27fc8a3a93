"""Lines, tables and JSON for a reader: on standard output, where no other file is given."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, TextIO

from ..escaping import escaped

if TYPE_CHECKING:  # imported when a table is printed: the arguments do without
    from rich.table import Table

__all__ = ["add_row", "print_json", "print_lines", "print_table", "table"]


def print_lines(*lines: str, file: TextIO | None = None) -> None:
    """Lines of text; what would break a line, or a terminal, is escaped."""
    print(*map(escaped, lines), sep="\n", file=file)


def print_json(content: Any, file: TextIO | None = None) -> None:
    """Plain JSON types, indented."""
    print(json.dumps(content, indent=2), file=file)


def table(*columns: str) -> Table:
    """A table without lines, for rows of text."""
    from rich.table import Table

    return Table(*columns, box=None, pad_edge=False)


def add_row(rows: Table, *cells: str) -> None:
    """A further row of a table: its cells are text, not markup, and escaped as lines are."""
    from rich.text import Text

    rows.add_row(*(Text(escaped(cell)) for cell in cells))


def print_table(rows: Table, *, width: int, file: TextIO | None = None) -> None:
    """A table as wide as the terminal, or ``width`` where there is none."""
    from rich.console import Console

    file = file or sys.stdout
    Console(file=file, width=None if file.isatty() else width).print(rows)
