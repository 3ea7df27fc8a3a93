"""What the command line reads and writes beside sequences and images: tables with rows for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import TableError
from ..models.contract import Contract
from ..models.prediction import PredictionBlock
from ..models.rows import Rows
from ..outputs import Outputs, output_errors

__all__ = ["read_inputs", "write_predictions"]


def read_inputs(arguments: Iterable[str]) -> dict[str, dict[str, float]]:
    """Further inputs of a model from ``NAME=FILE`` arguments.

    A file holds a record's name and its value on each line, separated by a tab; a first line whose
    value is no number is a header.

    Returns
    -------
    dict from input name to a dict from record name to value.

    Raises
    ------
    ValueError
        An argument without ``=``, an input twice.
    TableError
        A line of another form, a record twice, a binary file.
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
            found[name] = _read_column(Path(path))
        except UnicodeDecodeError:
            raise TableError(f"{path}: expected a table in UTF-8, found a binary file") from None
    return found


def _read_column(path: Path) -> dict[str, float]:
    values: dict[str, float] = {}
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            cells = line.rstrip("\r\n").split("\t")
            if cells == [""]:
                continue
            try:
                record, value = cells[0], float(cells[1])
            except (IndexError, ValueError):
                if number == 1 and len(cells) == 2:
                    continue
                raise TableError(
                    f"{path}: line {number}: expected a record name, a tab and a number, "
                    f"found {line.rstrip()!r:.60}"
                ) from None
            if len(cells) > 2:
                raise TableError(f"{path}: line {number}: expected 2 columns, found {len(cells)}")
            if record in values:
                raise TableError(f"{path}: line {number}: record {record!r} stands there twice")
            values[record] = value
    return values


def write_predictions(
    blocks: Iterable[PredictionBlock],
    output: str,
    *,
    contract: Contract,
    as_json: bool,
    advance: Callable[[int], object],
) -> None:
    """Write a row per record.

    Parameters
    ----------
    blocks
        Predictions, in order. Shapes may differ from block to block.
    output
        A file, or ``-`` for standard output. ``.npz``: ``name`` and an array per output, rows
        stacked. Else tab-separated with a header, in UTF-8: an output of several numbers takes a
        column for each, named by the contract's labels; one of letters is decoded. Of classes the
        likeliest comes first, as ``class``.
    contract
        Of the model.
    as_json
        JSON lines instead: numbers in full, by label where there are any; letters beside them as
        ``<output>_letters``.
    advance
        Called with the number of rows written so far, after each block, when they are flushed.

    Raises
    ------
    OutputError
        A file that cannot be written.
    ValueError
        Rows of different shapes for ``.npz``.
    """
    filled = (block for block in blocks if len(block.names))
    with Outputs() as files:
        file = files.open(output)
        if output.endswith(".npz"):
            _write_arrays(filled, file, output, advance)
            return
        rows, count = Rows(contract, as_json=as_json), 0
        for block in filled:
            text = rows(block)
            if count == 0 and not as_json:
                text = rows.header(block) + text
            with output_errors(output):
                file.write(text)
                file.flush()
            count += len(block.names)
            advance(count)


def _write_arrays(
    blocks: Iterable[PredictionBlock],
    file: BinaryIO,
    output: str,
    advance: Callable[[int], object],
) -> None:
    names: list[str] = []
    columns: dict[str, list[NDArray[np.float32]]] = {}
    for block in blocks:
        names.extend(block.names)
        for name, values in block.outputs.items():
            column = columns.setdefault(name, [])
            if column and column[0].shape[1:] != values.shape[1:]:
                raise ValueError(
                    f"{output}: record {block.names[0]!r} has {name} of shape {values.shape[1:]}, "
                    f"others {column[0].shape[1:]}: an array needs one; write a table or JSON lines"
                )
            column.append(values)
        advance(len(names))
    with output_errors(output):
        arrays = {name: np.concatenate(column) for name, column in columns.items()}
        np.savez(file, name=np.array(names, dtype=np.str_), **arrays)  # type: ignore[arg-type]
