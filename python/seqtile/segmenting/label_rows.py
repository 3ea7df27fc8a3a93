"""Rows of labels in a file of runs: what a label image of any height needs on its way.

A run is a label and the number of pixels of a row that have it side by side.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING

import numpy as np

from .. import interrupts
from ..closing import Closing
from ..execution.limits import LIMITS, Limits
from ..spool import spool_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LabelRows", "Runs", "runs_of"]


class Runs:
    """Runs of equal labels of some rows, background too, in raster order.

    Attributes
    ----------
    shape
        (rows, width) of what they cover.
    labels
        uint32 (n,), the label of each run.
    starts
        int64 (n,), its first pixel, counted in raster order from the first row's first pixel.
    """

    def __init__(
        self, shape: tuple[int, int], labels: NDArray[np.uint32], starts: NDArray[np.int64]
    ) -> None:
        self.shape = shape
        self.labels = labels
        self.starts = starts

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Pixels of each run, int64 (n,)."""
        return np.diff(self.starts, append=self.shape[0] * self.shape[1])

    def pixels(self) -> NDArray[np.uint32]:
        """The rows, uint32 (rows, width)."""
        return np.repeat(self.labels, self.lengths).reshape(self.shape)


def runs_of(rows: NDArray[np.uint32]) -> Runs:
    """Runs of rows of labels.

    Parameters
    ----------
    rows
        uint32 (rows, width), C-contiguous, width >= 1.
    """
    differs = np.ones(rows.shape, np.bool_)
    np.not_equal(rows[:, 1:], rows[:, :-1], out=differs[:, 1:])
    starts = np.flatnonzero(differs)
    return Runs((rows.shape[0], rows.shape[1]), rows.reshape(-1)[starts], starts)


class LabelRows(Closing):
    """A temporary file of rows of labels, written once from top to bottom, read in any order.

    Holds 8 bytes per row in memory, and the runs themselves as long as they are few.

    Parameters
    ----------
    width
        Pixels of a row.
    folder
        Where the file goes if it grows large; None for the system's folder for such files.
    limits
        Bytes of runs that are kept in memory, and pixels that are read at a time.

    Attributes
    ----------
    step
        Rows that are read at a time.

    Raises
    ------
    OutputError
        The file cannot be written: the disk is full.
    """

    def __init__(self, width: int, folder: Path | None = None, limits: Limits = LIMITS) -> None:
        self.width = width
        self.step = max(1, limits.strip_pixels // width)
        self._folder = folder
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(  # noqa: SIM115
            limits.label_bytes, dir=None if folder is None else str(folder)
        )
        self._lock = Lock()
        self._runs = 0
        self._first: list[NDArray[np.int64]] = []  # first run of each row, a piece per append
        self._index: NDArray[np.int64] | None = None
        self._height = 0

    def __len__(self) -> int:
        return self._height

    def spans(self) -> Iterator[tuple[int, int]]:
        """First row, and the one behind the last, of what is read at a time, from the top."""
        for begin in range(0, len(self), self.step):
            interrupts.check()
            yield begin, min(begin + self.step, len(self))

    def append(self, runs: Runs) -> None:
        """Write the runs of the next rows."""
        rows = runs.shape[0]
        first = np.searchsorted(runs.starts, np.arange(rows, dtype=np.int64) * self.width)
        # Beside its label a run holds where in its row it starts.
        content = np.empty((len(runs.labels), 2), np.uint32)
        content[:, 0] = runs.labels
        content[:, 1] = runs.starts % self.width
        with self._lock, spool_errors(self._folder):
            self._file.seek(self._runs * 8)
            self._file.write(content.data)
        self._first.append(self._runs + first)
        self._runs += len(content)
        self._height += rows
        self._index = None

    def read(self, begin: int, stop: int) -> Runs:
        """Runs of the rows ``[begin, stop)``, which must have been written."""
        if self._index is None:
            self._index = np.concatenate([*self._first, np.array([self._runs])])
            self._first = [self._index[:-1]]
        first = self._index[begin : stop + 1]
        count = int(first[-1] - first[0])
        with self._lock:
            self._file.seek(int(first[0]) * 8)
            content = np.frombuffer(self._file.read(count * 8), np.uint32).reshape(-1, 2)
        row = np.repeat(np.arange(stop - begin, dtype=np.int64), np.diff(first))
        return Runs(
            (stop - begin, self.width), content[:, 0].copy(), row * self.width + content[:, 1]
        )

    def close(self) -> None:
        """Remove the file."""
        self._file.close()
