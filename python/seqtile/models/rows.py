"""Predictions as text by the block: rows of a table, or JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._core import RowField
from ..escaping import escaped, has_controls
from ..sequences.batch import Names
from ..sequences.sequence import decode
from .contract import Contract, Output
from .prediction import PredictionBlock

__all__ = ["Rows"]

# Fixed text in front of a field, how it is written, the column it comes from (of texts, or of the
# outputs), its first number there and the shape of its numbers.
Field = tuple[bytes, RowField, int, int, list[int]]


class Rows:
    """Writes blocks of one model.

    Parameters
    ----------
    contract
        Of the model: names classes, labels and letters.
    as_json
        JSON lines instead of tab-separated cells. A number that is not finite is ``null`` there.
    """

    def __init__(self, contract: Contract, *, as_json: bool) -> None:
        self._specs = {tensor.name: tensor for tensor in contract.outputs}
        first = contract.outputs[0]
        self._classes = first if first.kind == "classes" and first.labels else None
        self._as_json = as_json
        self._shapes: dict[str, tuple[int, ...]] | None = None
        self._format = _core.RowFormat([], b"")

    def header(self, block: PredictionBlock) -> bytes:
        """Names of the columns of this block, tab-separated, as a line."""
        keys = ["name"] if self._class_of(block) is None else ["name", "class"]
        for name, values in block.outputs.items():
            spec = self._specs.get(name)
            size = int(np.prod(values.shape[1:]))
            if size == 1 or (spec and spec.kind == "letters"):
                keys.append(name)
                continue
            labels = spec.labels if spec and len(spec.labels) == size else range(size)
            keys += [f"{name}_{label}" for label in labels]
        return _utf8("\t".join(map(escaped, keys)) + "\n")

    def __call__(self, block: PredictionBlock) -> bytes:
        """A line per record."""
        count = len(block.names)
        texts = [self._texts(block.names)]
        if (classes := self._class_of(block)) is not None:
            texts.append(self._texts(self._likeliest(block.outputs[classes.name], classes.labels)))
        arrays = []
        for name, values in block.outputs.items():
            arrays.append(np.ascontiguousarray(values.reshape(count, -1), np.float32))
            spec = self._specs.get(name)
            if spec and spec.kind == "letters":
                texts.append(_core.Texts(_letters(values, spec.alphabet)))
        shapes = {name: values.shape[1:] for name, values in block.outputs.items()}
        if shapes != self._shapes:
            fields = list(self._json_fields(block) if self._as_json else self._cells(block))
            self._format = _core.RowFormat(fields[:-1], fields[-1][0])
            self._shapes = shapes
        rows = self._format.rows(count, texts, arrays)
        if not self._as_json and isinstance(block.names, Names) and has_controls(rows):
            texts[0] = self._texts(list(block.names))
            rows = self._format.rows(count, texts, arrays)
        return rows

    def _texts(self, names: Sequence[str]) -> _core.Texts:
        """Texts of a column; of a table escaped, but for names of records, which hold no blanks."""
        if isinstance(names, Names):
            return names.core
        return _core.Texts(list(names) if self._as_json else [escaped(name) for name in names])

    def _likeliest(self, scores: NDArray[Any], labels: Sequence[str]) -> list[str]:
        """The likeliest class of each row; none where a score is not a number."""
        scores = scores.reshape(len(scores), -1)
        names = [*map(json.dumps, labels), "null"] if self._as_json else [*labels, "nan"]
        best = np.where(np.isnan(scores).any(1), len(labels), scores.argmax(1))
        return [names[i] for i in best.tolist()]

    def _class_of(self, block: PredictionBlock) -> Output | None:
        """The output whose likeliest class is named; none without classes, as for an embedding."""
        classes = self._classes
        return classes if classes is not None and classes.name in block.outputs else None

    def _cells(self, block: PredictionBlock) -> Iterator[Field]:
        """Fields of a table's row; the text of the last one ends the row."""
        yield b"", RowField.TEXT, 0, 0, []
        text = 1
        if self._class_of(block) is not None:
            yield b"\t", RowField.TEXT, text, 0, []
            text += 1
        for number, (name, values) in enumerate(block.outputs.items()):
            spec = self._specs.get(name)
            if spec and spec.kind == "letters":
                yield b"\t", RowField.TEXT, text, 0, []
                text += 1
            elif size := int(np.prod(values.shape[1:])):
                yield b"\t", RowField.CELLS, number, 0, [size]
        yield b"\n", RowField.TEXT, 0, 0, []

    def _json_fields(self, block: PredictionBlock) -> Iterator[Field]:
        """Fields of a JSON line; the text of the last one ends the line."""
        yield b'{"name": ', RowField.QUOTED, 0, 0, []
        text = 1
        if self._class_of(block) is not None:
            yield b', "class": ', RowField.TEXT, text, 0, []
            text += 1
        before = ""  # what closes the field before
        for number, (name, values) in enumerate(block.outputs.items()):
            spec = self._specs.get(name)
            labels = spec.labels if spec else ()
            before += f", {json.dumps(name)}: "
            if values.shape[1:] == (len(labels),):
                before += "{"
                for i, label in enumerate(labels):
                    before += f"{', ' if i else ''}{json.dumps(label)}: "
                    yield before.encode(), RowField.JSON, number, i, []
                    before = ""
                before += "}"
            else:
                yield before.encode(), RowField.JSON, number, 0, list(values.shape[1:])
                before = ""
            if spec and spec.kind == "letters":
                before += f", {json.dumps(f'{name}_letters')}: "
                yield before.encode(), RowField.QUOTED, text, 0, []
                text += 1
                before = ""
        yield f"{before}}}\n".encode(), RowField.TEXT, 0, 0, []


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _letters(values: NDArray[Any], alphabet: str) -> list[str]:
    """The letters that an output of shape (n, C, L) stands for."""
    if values.ndim != 3:
        decode(values[0], alphabet=alphabet)  # says what is wrong with the shape
    return list(decode(values, alphabet=alphabet))
