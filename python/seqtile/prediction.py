"""Predictions by the block: the names of many records, and an array per output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Outputs", "PredictionBlock", "blocks"]

Outputs: TypeAlias = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class PredictionBlock:
    """Outputs of n records, whose shapes are the same.

    Attributes
    ----------
    names
        Of the records, n of them.
    outputs
        float32 arrays of shape (n, ...) by the output's name, row i for ``names[i]``.

    Raises
    ------
    ValueError
        An array of another number of rows than there are names.
    """

    names: Sequence[str]
    outputs: Outputs

    def __post_init__(self) -> None:
        for name, values in self.outputs.items():
            if len(values) != len(self.names):
                raise ValueError(
                    f"output {name!r} has {len(values)} rows, expected one for each of "
                    f"{len(self.names)} names"
                )

    def __len__(self) -> int:
        return len(self.names)


def blocks(
    predictions: Iterable[tuple[str, Outputs]], size: int = 1024
) -> Iterator[PredictionBlock]:
    """Blocks of neighbours whose outputs have the same shapes.

    Parameters
    ----------
    predictions
        A name and arrays without a batch axis each.
    size
        Records of a block at most; they are held back until there are so many, the shapes change
        or the predictions end.

    Yields
    ------
    Blocks of at least one record, in order.
    """
    names: list[str] = []
    rows: list[Outputs] = []
    for name, outputs in predictions:
        if rows and (len(rows) == size or _shapes(rows[0]) != _shapes(outputs)):
            yield _stack(names, rows)
            names, rows = [], []
        names.append(name)
        rows.append(outputs)
    if rows:
        yield _stack(names, rows)


def _shapes(outputs: Outputs) -> dict[str, tuple[int, ...]]:
    return {name: values.shape for name, values in outputs.items()}


def _stack(names: list[str], rows: list[Outputs]) -> PredictionBlock:
    return PredictionBlock(names, {name: np.stack([row[name] for row in rows]) for name in rows[0]})
