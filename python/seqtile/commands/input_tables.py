"""Tables of a model's further inputs: a line for each record, its name, a tab, a number."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..errors import TableError, shown

__all__ = ["read_inputs"]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_LARGEST = float(np.finfo(np.float32).max)
# What a header calls its columns; the second may also bear the input's name.
_NAMES = {
    "name",
    "record",
    "id",
    "identifier",
    "sequence",
    "seq",
    "seqname",
    "read",
    "region",
    "site",
}
_VALUES = {"value", "values", "score", "number"}
_MISSING = {"", "na", "n/a", "nan", "nil", "none", "null", "inf", "infinity", "missing", "."}


def read_inputs(arguments: Iterable[str]) -> dict[str, dict[str, float]]:
    """Further inputs of a model from ``NAME=FILE`` arguments.

    A file holds a record's name and its value on each line, separated by a tab. A first line is a
    header if it says so: by a ``#`` in front, by words as ``name``, ``record`` or ``id`` in the
    first column, by the input's name or ``value`` in the second.

    Returns
    -------
    dict from input name to a dict from record name to value.

    Raises
    ------
    ValueError
        An argument without ``=``, an input twice.
    TableError
        A line of another form, a value that is no finite number of 32 bits, a record twice, a
        binary file.
    OSError
        A file that cannot be read.
    """
    found = {}
    for argument in arguments:
        name, sign, path = argument.partition("=")
        if not (name and sign and path):
            raise ValueError(f"--input takes NAME=FILE, not {argument!r}")
        if name in found:
            raise ValueError(f"--input {name}=FILE is given twice")
        try:
            found[name] = _read_column(name, Path(path))
        except UnicodeDecodeError:
            raise TableError(
                f"{path}: expected a table in UTF-8, found a binary file or another encoding"
            ) from None
    return found


def _read_column(name: str, path: Path) -> dict[str, float]:
    values: dict[str, float] = {}
    with path.open(encoding="utf-8-sig") as file:  # with or without a byte order mark
        for number, line in enumerate(file, 1):
            cells = line.rstrip("\r\n").split("\t")
            if cells == [""] or (number == 1 and _is_header(cells, name)):
                continue
            where = f"{path}: line {number}"
            if len(cells) == 1:
                raise TableError(
                    f"{where}: expected a record name, a tab and a number, "
                    f"found {line.rstrip()!r:.60}"
                )
            if len(cells) > 2:
                raise TableError(f"{where}: expected 2 columns, found {len(cells)}")
            record, text = cells
            if record in values:
                raise TableError(f"{where}: record {shown(record)} stands there twice")
            values[record] = _value(text.strip(), where, record)
    return values


def _is_header(cells: list[str], name: str) -> bool:
    if len(cells) != 2:
        return False
    first, second = (cell.strip().lower() for cell in cells)
    if _NUMBER.fullmatch(second) or second.lstrip("+-") in _MISSING:
        return False
    return first.startswith("#") or first in _NAMES or second in _VALUES | {name.lower()}


def _value(text: str, where: str, record: str) -> float:
    if not _NUMBER.fullmatch(text):
        mend = ""
        if _NUMBER.fullmatch(text.replace(",", ".")):
            mend = ": write a point, not a comma"
        elif text.lower().lstrip("+-") in _MISSING:
            mend = f": give {shown(record)} a finite number, or take it out of the FASTA file"
        raise TableError(
            f"{where}: expected a record name, a tab and a number, found {text!r:.60}{mend}"
        )
    value = float(text)
    if not abs(value) <= _LARGEST:
        raise TableError(f"{where}: {text} is no finite number of 32 bits")
    return value
