"""What a scan gives at a time, and its tracks take: scores of consecutive windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ScanBlock"]


@dataclass(frozen=True, slots=True)
class ScanBlock:
    """Scores of consecutive windows of one sequence.

    Attributes
    ----------
    chrom
        Name of the record.
    start, end
        Bases this block writes.
    first, step
        Score j belongs to the bases ``[first + j * step, first + (j + 1) * step)``, clipped to
        ``[start, end)``.
    scores
        float32, shape (n,); NaN where a window has no score.
    strands
        int8, shape (n,): 1 where the ``+`` strand scored, -1 where the ``-`` strand did; None for
        reduced scores.
    """

    chrom: str
    start: int
    end: int
    first: int
    step: int
    scores: NDArray[np.float32]
    strands: NDArray[np.int8] | None

    @property
    def starts(self) -> NDArray[np.int64]:
        """First base of each score."""
        starts = self.first + self.step * np.arange(len(self.scores), dtype=np.int64)
        return np.maximum(starts, self.start)

    @property
    def ends(self) -> NDArray[np.int64]:
        """Base after the last one of each score."""
        ends = self.first + self.step * np.arange(1, len(self.scores) + 1, dtype=np.int64)
        return np.minimum(ends, self.end)
