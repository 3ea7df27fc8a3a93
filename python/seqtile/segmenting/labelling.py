"""From probabilities of pixels to numbered objects, strip by strip.

What an object is:

1. Cores are the connected components (4 neighbours) of the pixels whose marker probability exceeds
   ``marker_threshold`` and whose mask probability exceeds ``mask_threshold``; a network without a
   marker has the components of the mask. They are numbered in raster order of their first pixels.
2. Each core grows by at most ``reach`` steps to 4 neighbours inside the mask, all cores at once; a
   pixel that several reach in the same step goes to the smallest number. So a pixel belongs to the
   core nearest to it along paths in the mask. What none reaches is background.
3. Objects of fewer than ``min_area`` pixels are dropped; the rest are numbered 1 to n in the same
   order. The background is 0.

A pixel whose probability is NaN is background. The result does not depend on how the rows come:
components are joined across strips, and a strip grows with ``reach`` rows more on either side.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import _core
from ..closing import Closing
from ..errors import ShapeError
from ..execution.limits import LIMITS, Limits
from ..models.contract import Segmentation
from .label_rows import LabelRows, Runs, runs_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LabelMap", "StripLabeller", "label_objects"]


def label_objects(
    mask: NDArray[np.float32], marker: NDArray[np.float32] | None, settings: Segmentation
) -> NDArray[np.uint32]:
    """Number the objects of a whole image; see the module for what an object is.

    Parameters
    ----------
    mask
        float32 (H, W), probability that a pixel is of an object.
    marker
        float32 (H, W), probability that it is of an object's core; None where the mask alone
        decides.
    settings
        Thresholds, reach and smallest area.

    Returns
    -------
    array of shape (H, W), uint32: 0 for the background, objects from 1 on in raster order of their
    first core pixels.

    Raises
    ------
    ShapeError
        Another dtype or number of axes, no pixels; a marker of another shape.

    Examples
    --------
    >>> mask = np.array([[1, 1, 0, 1]], np.float32)
    >>> label_objects(mask, None, Segmentation())
    array([[1, 1, 0, 2]], dtype=uint32)
    """
    if mask.ndim != 2 or 0 in mask.shape:
        raise ShapeError(f"mask must have shape (H, W) with H, W >= 1, not {mask.shape}")
    out = np.empty(mask.shape, np.uint32)
    with StripLabeller(mask.shape[1], settings) as labeller:
        labeller.add(mask, marker)
        labels = labeller.finish()
        for begin, stop in labels.spans():
            out[begin:stop] = labels.rows(begin, stop)
    return out


class StripLabeller(Closing):
    """Labels an image that comes as strips of rows; the result is that of `label_objects`.

    Memory is that of the strips, of a few numbers per object and of 8 bytes per row. Labels go to a
    temporary file, as runs, which the `LabelMap` reads. A context manager: leaving it removes the
    file, and so does closing the map.

    Parameters
    ----------
    width
        Pixels of a row.
    settings
        Thresholds, reach and smallest area.
    folder
        For the temporary file; None for the system's folder for such files.
    threads
        Threads that grow strips side by side; their number does not change the result.
    limits
        Pixels of a strip, and bytes of labels that are kept in memory.

    Examples
    --------
    >>> rows = np.array([[1, 0, 1], [1, 1, 1]], np.float32)
    >>> with StripLabeller(3, Segmentation()) as labeller:
    ...     labeller.add(rows[:1], None)
    ...     labeller.add(rows[1:], None)
    ...     labels = labeller.finish()
    ...     print(labels.count, labels.rows(0, 2).tolist())
    1 [[1, 0, 1], [1, 1, 1]]
    """

    def __init__(
        self,
        width: int,
        settings: Segmentation,
        *,
        folder: Path | None = None,
        threads: int = 1,
        limits: Limits = LIMITS,
    ) -> None:
        if width < 1:
            raise ShapeError(f"width must be at least 1, not {width}")
        self._settings = settings
        self._components = _core.Components(
            width, settings.mask_threshold, settings.marker_threshold
        )
        self._threads = threads
        self._folder = folder
        self._limits = limits
        self._rows = LabelRows(width, folder, limits)
        self._grown: LabelRows | None = None
        self._marked: bool | None = None

    def add(self, mask_rows: NDArray[np.float32], marker_rows: NDArray[np.float32] | None) -> None:
        """Take the next rows of the image, any number.

        Parameters
        ----------
        mask_rows
            float32 (rows, width), as ``mask`` of `label_objects`.
        marker_rows
            float32 (rows, width), or None: for all strips or for none.

        Raises
        ------
        ShapeError
            Rows of another width or dtype; a marker for some strips and not for others.
        OutputError
            The temporary file cannot be written.
        """
        width = self._rows.width
        mask = _checked("mask_rows", mask_rows, (len(mask_rows), width))
        core = None if marker_rows is None else _checked("marker_rows", marker_rows, mask.shape)
        if self._marked not in (None, core is not None):
            raise ShapeError("marker_rows must come with every strip or with none")
        self._marked = core is not None
        step = self._rows.step
        labels = np.empty((min(step, len(mask)), width), np.uint32)
        for top in range(0, len(mask), step):
            part = mask[top : top + step]
            out = labels[: len(part)]
            self._components.add(part, None if core is None else core[top : top + step], out)
            self._rows.append(runs_of(out))

    def finish(self) -> LabelMap:
        """Grow and number the objects: the labels of the whole image.

        Raises
        ------
        ShapeError
            No rows were added.
        OutputError
            The temporary file cannot be written.
        """
        if not len(self._rows):
            raise ShapeError("an image needs at least one row")
        numbers = self._components.numbers()
        grows = bool(self._marked) and self._settings.reach > 0
        areas = _Areas()
        if not grows:
            for begin, stop in self._rows.spans():
                runs = self._rows.read(begin, stop)
                runs.labels = numbers[_claimed(runs.labels)]
                areas.add(runs)
            return LabelMap(self._rows, areas.final(self._settings.min_area)[numbers])
        self._grown = LabelRows(self._rows.width, self._folder, self._limits)
        for runs in self._growth(numbers):
            areas.add(runs)
            self._grown.append(runs)
        self._rows.close()
        return LabelMap(self._grown, areas.final(self._settings.min_area))

    def _growth(self, numbers: NDArray[np.uint32]) -> Iterator[Runs]:
        """The strips, grown, in order."""
        reach, height = self._settings.reach, len(self._rows)
        step = max(reach, self._rows.step)

        def grow(top: int) -> Runs:
            bottom = min(top + step, height)
            begin, stop = max(0, top - reach), min(height, bottom + reach)
            runs = self._rows.read(begin, stop)
            unclaimed = runs.labels == _core.UNCLAIMED
            runs.labels = numbers[_claimed(runs.labels)]
            runs.labels[unclaimed] = _core.UNCLAIMED
            labels = runs.pixels()
            _core.grow(labels, reach)
            return runs_of(labels[top - begin : bottom - begin])

        tops = iter(range(0, height, step))
        if self._threads == 1:
            yield from map(grow, tops)
            return
        with ThreadPoolExecutor(self._threads) as pool:
            while batch := list(islice(tops, self._threads)):
                yield from pool.map(grow, batch)

    def close(self) -> None:
        """Remove the temporary files."""
        self._rows.close()
        if self._grown is not None:
            self._grown.close()


class LabelMap(Closing):
    """The labels of an image, read row by row from the labeller's temporary file.

    May be asked from several threads, until it or the labeller is closed.

    Attributes
    ----------
    shape
        (H, W) of the image.
    count
        Number of objects: labels are 1 to ``count``.
    """

    def __init__(self, rows: LabelRows, final: NDArray[np.uint32]) -> None:
        self.shape = (len(rows), rows.width)
        self.count = int(final.max())
        self._rows = rows
        self._final = final

    def runs(self, begin: int, stop: int) -> Runs:
        """Rows ``[begin, stop)`` as runs of equal labels.

        Raises
        ------
        IndexError
            Not ``0 <= begin < stop <= H``.
        """
        if not 0 <= begin < stop <= self.shape[0]:
            raise IndexError(f"rows [{begin}, {stop}) must lie in [0, {self.shape[0]})")
        runs = self._rows.read(begin, stop)
        runs.labels = self._final[_claimed(runs.labels)]
        return runs

    def rows(self, begin: int, stop: int) -> NDArray[np.uint32]:
        """Labels of the rows ``[begin, stop)``, uint32 (stop - begin, W).

        Raises
        ------
        IndexError
            Not ``0 <= begin < stop <= H``.
        """
        return self.runs(begin, stop).pixels()

    def spans(self) -> Iterator[tuple[int, int]]:
        """First row, and the one behind the last, of what is read at a time, from the top."""
        return self._rows.spans()

    def close(self) -> None:
        """Remove the temporary file."""
        self._rows.close()


class _Areas:
    """Pixels of each object."""

    def __init__(self) -> None:
        self._areas = np.zeros(1, np.int64)

    def add(self, runs: Runs) -> None:
        labels = _claimed(runs.labels)
        most = int(labels.max())
        if most >= len(self._areas):
            self._areas = np.pad(
                self._areas, (0, max(most + 1, 2 * len(self._areas)) - len(self._areas))
            )
        np.add.at(self._areas, labels, runs.lengths)

    def final(self, min_area: int) -> NDArray[np.uint32]:
        """The final label of each number: 0 for those too small."""
        kept = self._areas >= max(1, min_area)
        kept[0] = False
        return (np.cumsum(kept, dtype=np.uint32) * kept).astype(np.uint32)


def _claimed(labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Mask pixels of no object as background."""
    labels[labels == _core.UNCLAIMED] = 0
    return labels


def _checked(name: str, rows: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """The rows, C-contiguous."""
    if rows.shape != shape:
        raise ShapeError(f"{name} must have shape {shape}, not {rows.shape}")
    if rows.dtype != np.float32:
        raise ShapeError(f"{name} must be float32, not {rows.dtype}")
    return np.ascontiguousarray(rows)
