"""A table of the objects of an image: where each lies, how large and how bright it is.

Coordinates are 0-based, in pixels. Bounding boxes are half-open. A centroid is the mean of the
pixels' row and column numbers, as scikit-image's ``regionprops`` has it: that of the object whose
one pixel is the image's first is (0, 0).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from .. import _core
from ..errors import ShapeError
from ..execution.limits import LIMITS, Limits
from .label_rows import Runs, runs_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ObjectTable", "write_objects"]

TABLE_SUFFIXES = (".csv", ".parquet")


class ObjectTable:
    """Measures the objects of an image strip by strip.

    Memory is a few numbers per object, and those of a strip.

    Parameters
    ----------
    count
        Number of objects: labels are 1 to ``count``.
    pixel_size
        Height and width of a pixel in micrometres; None where they are unknown.

    Examples
    --------
    >>> table = ObjectTable(1)
    >>> table.add(0, np.array([[0, 1, 1]], np.uint32), np.array([[9, 2, 4]], np.uint8))
    >>> columns = table.columns()
    >>> columns["area"], columns["mean"], columns["centroid_x"]
    (array([2]), array([3.]), array([1.5]))
    """

    def __init__(self, count: int, *, pixel_size: tuple[float, float] | None = None) -> None:
        self._count = count
        self._pixel_size = pixel_size
        self._area = np.zeros(count, np.int64)
        self._sum_y = np.zeros(count, np.float64)
        self._sum_x = np.zeros(count, np.float64)
        # Before the first pixel: nothing is smaller, or larger.
        most = np.iinfo(np.int64).max
        self._box = {
            "y0": np.full(count, most),
            "y1": np.zeros(count, np.int64),
            "x0": np.full(count, most),
            "x1": np.zeros(count, np.int64),
        }
        self._channels: list[_Levels] | None = None
        self._probability: _Levels | None = None

    def add(
        self,
        first_row: int,
        labels_rows: NDArray[np.uint32] | Runs,
        image_rows: NDArray[Any] | None,
        probability_rows: NDArray[np.float32] | None = None,
    ) -> None:
        """Take some rows; each row of the image once, in any order.

        Parameters
        ----------
        first_row
            The image row that these begin with.
        labels_rows
            uint32 (rows, W), or the runs of such rows: 0 for the background, no label above
            ``count``.
        image_rows
            (rows, W) or (rows, W, C), of any real dtype; None if the image is not to be measured.
        probability_rows
            (rows, W), probability that a pixel is of an object; None if it is not to be measured.

        Raises
        ------
        ShapeError
            Arrays that do not fit each other or those before; a label above ``count``.
        """
        runs = (
            labels_rows
            if isinstance(labels_rows, Runs)
            else runs_of(np.ascontiguousarray(labels_rows))
        )
        width = runs.shape[1]
        image = None if image_rows is None else _pixels("image_rows", image_rows, runs.shape)
        channels = 0 if image is None else image.shape[1]
        chance = None
        if probability_rows is not None:
            chance = _pixels("probability_rows", probability_rows, runs.shape)
        if self._channels is None:
            self._channels = [_Levels(self._count) for _ in range(channels)]
            self._probability = None if chance is None else _Levels(self._count)
        if len(self._channels) != channels:
            raise ShapeError(
                f"image_rows must have the {len(self._channels)} channels of those before, "
                f"not {channels}"
            )
        if (self._probability is None) != (chance is None):
            raise ShapeError("probability_rows must come with every strip or with none")
        inside = runs.labels > 0
        objects = runs.labels[inside].astype(np.int64) - 1
        if objects.max(initial=-1) >= self._count:
            raise ShapeError(
                f"labels_rows must hold labels up to {self._count}, not {objects.max() + 1}"
            )
        starts, lengths = runs.starts[inside], runs.lengths[inside]
        self._add_places(objects, first_row + starts // width, starts % width, lengths)
        table = np.stack([objects, starts, lengths], 1)
        for channel, levels in enumerate(self._channels):
            levels.add(table, image, channel)
        if self._probability is not None:
            self._probability.add(table, chance, 0)

    def _add_places(
        self,
        objects: NDArray[np.int64],
        row: NDArray[np.int64],
        begin: NDArray[np.int64],
        length: NDArray[np.int64],
    ) -> None:
        end = begin + length
        np.add.at(self._area, objects, length)
        np.add.at(self._sum_y, objects, (row * length).astype(np.float64))
        np.add.at(self._sum_x, objects, (begin + end - 1) * length / 2)
        np.minimum.at(self._box["y0"], objects, row)
        np.maximum.at(self._box["y1"], objects, row + 1)
        np.minimum.at(self._box["x0"], objects, begin)
        np.maximum.at(self._box["x1"], objects, end)

    def columns(self) -> dict[str, NDArray[Any]]:
        """The table.

        Returns
        -------
        dict from column to an array of shape (count,), in the order of the labels:

        ``label``
            1 to ``count``, int64.
        ``area``
            Pixels, int64.
        ``centroid_y``, ``centroid_x``
            float64, see the module.
        ``y0``, ``y1``, ``x0``, ``x1``
            Bounding box, int64, half-open.
        ``equivalent_diameter``
            Of the circle of this area, in pixels.
        ``mean``, ``min``, ``max``
            Of the image's levels, float64; of a colour image ``mean_red`` and so on, of one with
            another number of channels ``mean_0`` and so on.
        ``probability``
            Mean probability of the object's pixels, float64.
        ``area_um2``, ``centroid_y_um``, ``centroid_x_um``, ``equivalent_diameter_um``
            In micrometres, where the pixel size is known; centroids from the first pixel's centre.
        """
        area = np.maximum(self._area, 1)
        y, x = self._sum_y / area, self._sum_x / area
        columns: dict[str, NDArray[Any]] = {
            "label": np.arange(1, self._count + 1),
            "area": self._area,
            "centroid_y": y,
            "centroid_x": x,
            **self._box,
            "equivalent_diameter": np.sqrt(4 / math.pi * self._area),
        }
        channels = self._channels or []
        for levels, suffix in zip(channels, _suffixes(len(channels)), strict=True):
            columns["mean" + suffix] = levels.sum / area
            columns["min" + suffix] = levels.min
            columns["max" + suffix] = levels.max
        if self._probability is not None:
            columns["probability"] = self._probability.sum / area
        if self._pixel_size is not None:
            down, across = self._pixel_size
            columns["area_um2"] = self._area * (down * across)
            columns["centroid_y_um"] = y * down
            columns["centroid_x_um"] = x * across
            columns["equivalent_diameter_um"] = np.sqrt(4 / math.pi * columns["area_um2"])
        return columns


class _Levels:
    """Sum, smallest and largest level of each object in one channel."""

    def __init__(self, count: int) -> None:
        self.sum = np.zeros(count, np.float64)
        self.min = np.full(count, np.inf)
        self.max = np.full(count, -np.inf)

    def add(self, runs: NDArray[np.int64], image: NDArray[Any] | None, channel: int) -> None:
        """Take runs (object, first pixel, length) of an image of shape (pixels, channels)."""
        assert image is not None
        _core.add_run_levels(image, channel, runs, self.sum, self.min, self.max)


def _pixels(name: str, rows: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Rows as pixels, shape (rows * W, channels), of a dtype that the kernel takes."""
    if rows.ndim not in (2, 3) or rows.shape[:2] != shape:
        raise ShapeError(f"{name} must have shape {shape} or {(*shape, 'C')}, not {rows.shape}")
    if rows.dtype.kind not in "buif":
        raise ShapeError(f"{name} must be real numbers, not {rows.dtype}")
    if rows.dtype.kind == "b":
        rows = rows.view(np.uint8)
    if rows.dtype not in (np.uint8, np.uint16, np.float32):
        rows = rows.astype(np.float64)
    return np.ascontiguousarray(rows).reshape(shape[0] * shape[1], -1)


def _suffixes(channels: int) -> list[str]:
    if channels == 3:
        return ["_red", "_green", "_blue"]
    return [""] if channels == 1 else [f"_{c}" for c in range(channels)]


def write_objects(
    file: BinaryIO, suffix: str, columns: Mapping[str, NDArray[Any]], *, limits: Limits = LIMITS
) -> None:
    """Write a table of objects.

    CSV has a header, commas, and numbers of at most 9 significant digits; Parquet has them in full.

    Parameters
    ----------
    file
        To write to.
    suffix
        Of the format: ``.csv`` or ``.parquet``.
    columns
        Arrays of one length by name, as `ObjectTable.columns` gives them.
    limits
        Rows of CSV that are written at a time.

    Raises
    ------
    ImportError
        The format's library is not installed.
    """
    if suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table(dict(columns)), file)
        return
    file.write(",".join(columns).encode() + b"\n")
    count = len(next(iter(columns.values())))
    form = ",".join("%d" if c.dtype.kind in "iu" else "%.9g" for c in columns.values()) + "\n"
    step = limits.table_rows
    for first in range(0, count, step):
        part = [column[first : first + step].tolist() for column in columns.values()]
        file.write("".join(form % row for row in zip(*part, strict=True)).encode())
