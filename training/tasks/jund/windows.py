"""What train knows beyond its rows: neighbours to shift into, and denser targets than "bound".

Segments tile the chromosome, so a row whose neighbour is in train too can be shifted into it, with
real bases and the two labels mixed by overlap. Accessibility and the labels around a row are soft
targets for every row, where binding is one for 0.5 % of them; they serve in training alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .data import LENGTH, Labels, Segments

Floats = NDArray[np.float32]


class TrainWindows:
    """Windows at any place that train covers.

    Parameters
    ----------
    train
        Rows with sequence; rows of held-out blocks already removed.
    labels
        Labels of train, those without sequence too; sorted by start.

    Attributes
    ----------
    bound
        float32, shape (n,): labels of the rows.
    auxiliary
        float32, shape (n, 10), in [0, 1]: rank of accessibility, whether it is in the top 10, 3 and
        0.5 %; rank of its mean over 5 segments, in the top 5 %; over 11 segments, in the top 3 %;
        any bound segment among 3, among 7.
    """

    def __init__(self, train: Segments, labels: Labels) -> None:
        self.bound = train.bound
        self.starts = train.start.astype(np.int64)
        self._chromosome = np.full(int(self.starts.max()) + 2 * LENGTH, ord("N"), np.uint8)
        self._chromosome[self.starts[:, None] + np.arange(LENGTH)] = train.letters
        self._left = _rows_at(self.starts, self.starts - LENGTH)
        self._right = _rows_at(self.starts, self.starts + LENGTH)
        self.auxiliary = _auxiliary(train, labels)

    def letters(self, starts: NDArray[np.int64]) -> NDArray[np.uint8]:
        """uint8, shape (n, 101): the windows at these places."""
        return self._chromosome[starts[:, None] + np.arange(LENGTH)]

    def shifted(
        self, rows: NDArray[np.int64], rng: np.random.Generator, reach: int
    ) -> tuple[NDArray[np.int64], Floats, Floats]:
        """Rows moved by up to ``reach`` (at most 101) bases into a neighbour, if train has it.

        Returns
        -------
        starts, shape (n,); bound, shape (n,), and auxiliary targets, shape (n, 10), both mixed by
        overlap.
        """
        if not 0 <= reach <= LENGTH:
            raise ValueError(f"reach must be 0 to {LENGTH}, not {reach}")
        shift = rng.integers(-reach, reach + 1, len(rows))
        neighbour = np.where(shift > 0, self._right[rows], self._left[rows])
        movable = (neighbour >= 0) & (shift != 0)
        shift = np.where(movable, shift, 0)
        neighbour = np.where(movable, neighbour, rows)
        share = (np.abs(shift) / LENGTH).astype(np.float32)
        bound = self.bound[rows] * (1 - share) + self.bound[neighbour] * share
        auxiliary = (
            self.auxiliary[rows] * (1 - share[:, None]) + self.auxiliary[neighbour] * share[:, None]
        )
        return self.starts[rows] + shift, bound, auxiliary


def _rows_at(starts: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each wanted start the row that has it, -1 where none does."""
    order = np.argsort(starts)
    places = np.minimum(np.searchsorted(starts, wanted, sorter=order), len(starts) - 1)
    rows = order[places]
    return np.where(starts[rows] == wanted, rows, -1)


def _auxiliary(train: Segments, labels: Labels) -> Floats:
    reach = np.arange(-5, 6)
    wanted = train.start.astype(np.int64)[:, None] + LENGTH * reach
    rows = _rows_at(labels.start.astype(np.int64), wanted.reshape(-1)).reshape(wanted.shape)
    known = rows >= 0
    openness = np.log(labels.accessibility + 5e-4)[rows] * known
    bound = labels.bound[rows] * known

    def mean(radius: int) -> Floats:
        near = np.abs(reach) <= radius
        return openness[:, near].sum(1) / np.maximum(known[:, near].sum(1), 1)

    def any_bound(radius: int) -> Floats:
        return bound[:, np.abs(reach) <= radius].max(1)

    own, near, wide = _rank(train.accessibility), _rank(mean(2)), _rank(mean(5))
    columns = [
        own,
        own > 0.9,
        own > 0.97,
        own > 0.995,
        near,
        near > 0.95,
        wide,
        wide > 0.97,
        any_bound(1),
        any_bound(3),
    ]
    return np.stack(columns, 1).astype(np.float32)


def _rank(values: Floats) -> Floats:
    """Ranks as numbers in (0, 1)."""
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return ((order + 0.5) / len(values)).astype(np.float32)
