"""Files of labelled objects: a label image as TIFF, outlines as GeoJSON.

Both are written strip by strip: memory does not grow with the image's height.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from .. import _core
from ..execution.limits import LIMITS, Limits
from .label_rows import Runs
from .labelling import LabelMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["write_geojson", "write_label_tiff"]

_TILE = 256
# Bytes of pixels: the offsets of a plain TIFF have 32 bits, and the directory needs room, too.
LARGEST_TIFF = (1 << 32) - (1 << 25)


def write_label_tiff(
    file: BinaryIO,
    labels: LabelMap,
    *,
    pixel_size: tuple[float, float] | None = None,
    threads: int = 1,
    largest: int = LARGEST_TIFF,
    limits: Limits = LIMITS,
) -> None:
    """Write labels as a TIFF of one grey channel.

    uint16 for up to 65,535 objects, else uint32; tiles of 256 x 256, deflate with horizontal
    differences; BigTIFF where a plain one may not hold it.

    Parameters
    ----------
    file
        To write to.
    labels
        Of the image.
    pixel_size
        Height and width of a pixel in micrometres: becomes the resolution, in pixels per cm.
    threads
        That compress; their number does not change the file.
    largest
        Bytes of pixels, before they are compressed, from which on it is a BigTIFF.
    limits
        Bytes of tiles that are compressed at a time.

    Raises
    ------
    ImportError
        tifffile is not installed.
    """
    import tifffile

    dtype = np.dtype(np.uint16 if labels.count <= 0xFFFF else np.uint32)
    height, width = labels.shape
    # Deflate makes what it cannot compress hardly larger.
    padded = (height + _TILE) * (width + _TILE) * dtype.itemsize
    options: dict[str, Any] = {}
    if pixel_size is not None:
        down, across = pixel_size
        options = {"resolution": (1e4 / across, 1e4 / down), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(file, bigtiff=padded > largest) as tiff:
        tiff.write(
            _tiles(labels, dtype),
            shape=labels.shape,
            dtype=dtype,
            tile=(_TILE, _TILE),
            compression="adobe_deflate",
            predictor=True,
            photometric="minisblack",
            metadata=None,
            software="seqtile",
            maxworkers=threads,
            buffersize=limits.tiff_bytes,
            **options,
        )


def _tiles(labels: LabelMap, dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    """The tiles in order, those at the right and lower border filled up with background."""
    height, width = labels.shape
    across = -(-width // _TILE) * _TILE
    for top in range(0, height, _TILE):
        bottom = min(top + _TILE, height)
        rows = np.zeros((_TILE, across), dtype)
        rows[: bottom - top, :width] = labels.rows(top, bottom)
        for left in range(0, across, _TILE):
            yield rows[:, left : left + _TILE]


def write_geojson(
    file: BinaryIO,
    labels: LabelMap,
    *,
    columns: Mapping[str, NDArray[Any]] | None = None,
    scale: tuple[float, float] = (1.0, 1.0),
) -> None:
    """Write the objects' outlines as GeoJSON that QuPath opens as detections.

    A FeatureCollection, a feature a line: a Polygon whose points are ``[x, y]`` in pixels of the
    image, from its upper left corner, along the edges of pixels, so that its area is the number of
    the object's pixels. Holes are inner rings. Each feature's ``name`` is the object's label. The
    order is that in which objects end, strip after strip; within a strip that of the labels.

    Parameters
    ----------
    file
        To write to.
    labels
        Of the image.
    columns
        Arrays of shape (labels.count,) by name, as `ObjectTable.columns` gives them: they become
        the measurements, but for ``label``, with 6 digits behind the point.
    scale
        Height and width of a pixel in those of the file's full resolution, in which QuPath counts.
    """
    measures = {key: column for key, column in (columns or {}).items() if key != "label"}
    between = ""
    file.write(b'{"type":"FeatureCollection","features":[')
    for objects, polygons in _polygons(labels, scale):
        values = _measurements(measures, objects - 1)
        for label, polygon, row in zip(objects.tolist(), polygons, values, strict=True):
            measured = f',"measurements":{json.dumps(row)}' if row else ""
            feature = (
                f'{between}\n{{"type":"Feature","geometry":{{"type":"Polygon","coordinates":'
                f'{polygon}}},"properties":{{"objectType":"detection",'
                f'"name":"{label}"{measured}}}}}'
            )
            file.write(feature.encode())
            between = ","
    file.write(b"\n]}\n")


def _measurements(
    columns: Mapping[str, NDArray[Any]], at: NDArray[np.int64]
) -> Iterator[dict[str, float]]:
    """A row of the table for each object; JSON has no NaN, so such a cell is left out."""
    cells = [np.round(column[at], 6).tolist() for column in columns.values()]
    if not cells:
        yield from ({} for _ in at)
    for row in zip(*cells, strict=True):
        # Not finite: differs from itself (NaN), or its difference from itself does (infinite).
        yield {key: value for key, value in zip(columns, row, strict=True) if value - value == 0}


def _polygons(
    labels: LabelMap, scale: tuple[float, float]
) -> Iterator[tuple[NDArray[np.int64], list[str]]]:
    """Objects that end in a strip, and their coordinates as JSON.

    An object hangs together, so it has ended if it has no pixel in the strip's last row; the runs
    of those that have one wait for the next strip. What waits is kept by the strip that it is of,
    and only the strips from the first one of an object that ends are gone through: an object as
    high as the image is not moved with each strip.
    """
    waiting: list[NDArray[np.int64]] = []
    began = np.zeros(labels.count + 1, np.int64)  # strip, of the objects that wait
    cut = np.empty(0, np.int64)  # the objects that wait
    for strip, (top, bottom) in enumerate(labels.spans()):
        runs = _runs(labels.runs(top, bottom), top)
        in_last = (runs[:, 1] == bottom - 1) & (bottom < labels.shape[0])
        before, cut = cut, np.unique(runs[in_last, 0])
        goes_on = np.zeros(labels.count + 1, np.bool_)
        goes_on[cut] = True
        began[np.setdiff1d(cut, before, assume_unique=True)] = strip
        since = int(began[before[~goes_on[before]]].min(initial=strip))
        parts = [*waiting[since:], runs]
        waits = [goes_on[part[:, 0]] for part in parts]
        waiting[since:] = [part[kept] for part, kept in zip(parts, waits, strict=True)]
        ended = np.concatenate([part[~kept] for part, kept in zip(parts, waits, strict=True)])
        ended = ended[np.argsort(ended[:, 0], kind="stable")]  # in an object the raster's order
        objects, first = np.unique(ended[:, 0], return_index=True)
        bounds = np.append(first, len(ended))
        text, ends = _core.outlines(ended[:, 1:].astype(np.int32), bounds, *scale)
        yield objects, [text[a:b] for a, b in pairwise(ends.tolist())]


def _runs(runs: Runs, top: int) -> NDArray[np.int64]:
    """Runs of objects as rows of label, image row, first column, column behind the last."""
    inside = runs.labels > 0
    starts = runs.starts[inside]
    begin = starts % runs.shape[1]
    columns = (
        runs.labels[inside].astype(np.int64),
        top + starts // runs.shape[1],
        begin,
        begin + runs.lengths[inside],
    )
    return np.stack(columns, axis=1)
