"""What a model answers for records and files: one at a time, or many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..execution.rows import Outputs

__all__ = ["Prediction", "PredictionBlock", "joined"]


class Prediction(NamedTuple):
    """Outputs of one FASTA record or image file, by name; without the batch axis."""

    name: str
    outputs: Outputs


@dataclass(frozen=True)
class PredictionBlock:
    """Outputs of consecutive records, files or items.

    Attributes
    ----------
    names
        Of the records or files; empty for items that have none.
    outputs
        By name, float32 of shape (n, ...).
    """

    names: Sequence[str]
    outputs: Outputs

    def rows(self) -> Iterator[Outputs]:
        """Outputs of each, without the batch axis."""
        for i in range(len(next(iter(self.outputs.values())))):
            yield {name: values[i] for name, values in self.outputs.items()}

    def finite(self) -> NDArray[np.bool_]:
        """Whether the numbers of each are finite, neither NaN nor infinite; shape (n,)."""
        rows = np.ones(len(next(iter(self.outputs.values()))), np.bool_)
        for values in self.outputs.values():
            finite = np.isfinite(values)
            if not finite.all():  # which is quicker to ask of all at once
                rows &= finite.reshape(len(values), -1).all(1)
        return rows

    def __iter__(self) -> Iterator[Prediction]:
        return map(Prediction, self.names, self.rows())


def joined(
    names: Sequence[str], count: int, parts: Iterable[tuple[NDArray[np.int64], Outputs]]
) -> Iterator[PredictionBlock]:
    """Answers of some rows each, in the order of the rows: a block, or one a row if shapes differ.

    Parameters
    ----------
    names
        Of all rows, or none.
    count
        Number of rows.
    parts
        Places of rows, and their outputs.
    """
    parts = list(parts)
    if len(parts) == 1 and count:
        yield PredictionBlock(names, parts[0][1])
    elif len({tuple(v.shape[1:] for v in outputs.values()) for _, outputs in parts}) == 1:
        whole = {
            name: np.empty((count, *values.shape[1:]), np.float32)
            for name, values in parts[0][1].items()
        }
        for rows, outputs in parts:
            for name, values in outputs.items():
                whole[name][rows] = values
        yield PredictionBlock(names, whole)
    else:
        found: list[Outputs] = [{}] * count
        for rows, outputs in parts:
            for i, row in enumerate(rows.tolist()):
                found[row] = {name: values[i : i + 1] for name, values in outputs.items()}
        for row, outputs in enumerate(found):
            yield PredictionBlock(names[row : row + 1], outputs)
