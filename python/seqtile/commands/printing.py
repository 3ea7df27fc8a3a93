"""JSON and tables on standard output."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:  # imported when a table is printed: the arguments do without
    from rich.table import Table

__all__ = ["print_json", "print_table", "table"]


def print_json(content: Any, file: TextIO | None = None) -> None:
    """Plain JSON types, indented; to standard output where no file is given."""
    print(json.dumps(content, indent=2), file=file)


def table(*columns: str) -> Table:
    """A table without lines, for rows of text."""
    from rich.table import Table

    return Table(*columns, box=None, pad_edge=False)


def print_table(rows: Table, *, width: int) -> None:
    """A table as wide as the terminal, or ``width`` where there is none."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else width).print(rows)
