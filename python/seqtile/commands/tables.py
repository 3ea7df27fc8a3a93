"""What ``predict`` and ``embed`` write: a table, JSON lines or arrays, with a row for each item."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..models.contract import Contract
from ..models.prediction import PredictionBlock
from ..models.rows import Rows
from ..outputs import Outputs, output_errors

__all__ = ["write_predictions"]


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
