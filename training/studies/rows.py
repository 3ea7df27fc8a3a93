"""Tables of a study as CSV: a line for each row, a column for each field of its dataclass."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

__all__ = ["read_csv", "write_csv"]

T = TypeVar("T")


def write_csv(path: Path, rows: Sequence[Any], form: str) -> None:
    """Write dataclasses of one kind, numbers that are no integers in this format."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in dataclasses.fields(rows[0])])
        for row in rows:
            values = dataclasses.astuple(row)
            writer.writerow([format(v, form) if isinstance(v, float) else v for v in values])


def read_csv(path: Path, kind: type[T]) -> list[T]:
    """What `write_csv` wrote, as this dataclass."""
    with path.open(newline="", encoding="utf-8") as file:
        return msgspec.convert(list(csv.DictReader(file)), list[kind], strict=False)  # type: ignore[valid-type]
