"""What the command line reads and writes beside sequences and images: tables with rows for them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from .cards import ModelCard, TensorSpec
from .errors import SeqtileError
from .outputs import AtomicOutputs, output_errors
from .predictor import Prediction
from .sequence import decode

__all__ = ["TableError", "read_inputs", "write_predictions"]


class TableError(SeqtileError, ValueError):
    """A malformed table of further inputs; names file and line."""


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
        An argument without ``=``.
    TableError
        A line of another form, a record twice.
    OSError
        A file that cannot be read.
    """
    found = {}
    for argument in arguments:
        name, sign, path = argument.partition("=")
        if not (name and sign and path):
            raise ValueError(f"--input takes NAME=FILE, not {argument!r}")
        found[name] = _read_column(Path(path))
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
    items: Iterable[Prediction],
    output: str,
    *,
    card: ModelCard | None,
    as_json: bool,
    advance: Callable[[int], object],
) -> None:
    """Write a row per record.

    Parameters
    ----------
    items
        Predictions, in order.
    output
        A file, or ``-`` for standard output. ``.npz``: ``name`` and an array per output, rows
        stacked. Else tab-separated with a header: an output of several numbers takes a column for
        each, named by the card's labels; one of letters (the card gives its alphabet) is decoded.
        Of a classification the likeliest class comes first, as ``class``.
    card
        Of the model, None for a third-party one.
    as_json
        JSON lines instead: numbers in full, by label where there are any; letters beside them as
        ``<output>_letters``.
    advance
        Called with the number of rows written.

    Raises
    ------
    OutputError
        A file that cannot be written.
    ValueError
        Rows of different shapes for ``.npz``.
    """
    specs = {tensor.name: tensor for tensor in card.outputs} if card else {}
    classes = card.outputs[0] if card and card.task == "classification" else None
    with AtomicOutputs() as files:
        path = None if output == "-" else files.path_for(Path(output))
        if path is not None and output.endswith(".npz"):
            _write_arrays(items, path, output, advance)
            return
        name = "standard output" if path is None else output
        opened = (
            nullcontext(sys.stdout)
            if path is None  # file names need not be UTF-8: they are written as they are
            else path.open("w", encoding="utf-8", errors="surrogateescape")
        )
        with opened as file:
            for count, item in enumerate(items, 1):
                with output_errors(name) if path else nullcontext():
                    if as_json:
                        file.write(json.dumps(_record(item, specs, classes)) + "\n")
                    else:
                        _write_row(item, specs, classes, file, header=count == 1)
                advance(count)


def _write_arrays(
    items: Iterable[Prediction], path: Path, output: str, advance: Callable[[int], object]
) -> None:
    names: list[str] = []
    columns: dict[str, list[NDArray[np.float32]]] = {}
    for count, item in enumerate(items, 1):
        names.append(item.name)
        for name, value in item.outputs.items():
            column = columns.setdefault(name, [])
            if column and column[0].shape != value.shape:
                raise ValueError(
                    f"{output}: record {item.name!r} has {name} of shape {value.shape}, others "
                    f"{column[0].shape}: an array needs one; write a table or JSON lines"
                )
            column.append(value)
        advance(count)
    with output_errors(output), path.open("wb") as file:
        arrays = {name: np.stack(column) for name, column in columns.items()}
        np.savez(file, name=np.array(names, dtype=np.str_), **arrays)  # type: ignore[arg-type]


def _letters(value: NDArray[np.float32], spec: TensorSpec | None) -> str | None:
    """The letters an output stands for, None if it stands for none."""
    if spec is None or not spec.alphabet:
        return None
    return str(decode(value, alphabet=spec.alphabet))


def _class(item: Prediction, classes: TensorSpec | None) -> dict[str, str]:
    """The likeliest class by name, nothing where there are no classes (an embedding has none)."""
    if classes is None or classes.name not in item.outputs:
        return {}
    return {"class": classes.labels[int(item.outputs[classes.name].argmax())]}


def _record(
    item: Prediction, specs: Mapping[str, TensorSpec], classes: TensorSpec | None
) -> dict[str, Any]:
    content: dict[str, Any] = {"name": item.name, **_class(item, classes)}
    for name, value in item.outputs.items():
        labels = specs[name].labels if name in specs else ()
        numbers = value.tolist()
        named = value.ndim == 1 and len(labels) == len(value)
        content[name] = dict(zip(labels, numbers, strict=True)) if named else numbers
        if (letters := _letters(value, specs.get(name))) is not None:
            content[f"{name}_letters"] = letters
    return content


def _write_row(
    item: Prediction,
    specs: Mapping[str, TensorSpec],
    classes: TensorSpec | None,
    file: TextIO,
    *,
    header: bool,
) -> None:
    cells = {"name": item.name, **_class(item, classes)}
    for name, value in item.outputs.items():
        spec = specs.get(name)
        if (letters := _letters(value, spec)) is not None:
            cells[name] = letters
            continue
        flat = value.reshape(-1)
        labels = spec.labels if spec and len(spec.labels) == flat.size else range(flat.size)
        keys = [name] if flat.size == 1 else [f"{name}_{label}" for label in labels]
        cells.update(zip(keys, (f"{v:.6g}" for v in flat.tolist()), strict=True))
    if header:
        file.write("\t".join(cells) + "\n")
    file.write("\t".join(cells.values()) + "\n")
