"""Files of labelled objects: label TIFF and GeoJSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .labelling import LabelMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["write_geojson", "write_label_tiff"]


def write_label_tiff(
    path: Path,
    labels: LabelMap,
    *,
    pixel_size: tuple[float, float] | None = None,
    threads: int = 1,
    progress: Callable[[int], object] | None = None,
) -> None:
    """Write a tiled label TIFF; progress is called with the number of rows done."""
    raise NotImplementedError


def write_geojson(
    path: Path,
    labels: LabelMap,
    *,
    columns: Mapping[str, NDArray[Any]] | None = None,
    name: str = "",
    progress: Callable[[int], object] | None = None,
) -> None:
    """Write outlines for QuPath; ``columns`` of the object table become measurements."""
    raise NotImplementedError
