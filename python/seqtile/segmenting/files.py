"""Segment image files into label images, outlines, tables and overlays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import IMAGE_FAILURES, ImageError
from ..execution.profile import Profile
from ..manifest import sha256_of
from ..models.predictor import Predictor
from ..outputs import Outputs, check_suffix, output_errors
from .labelled_image import FailedImage, LabelledImage
from .object_files import write_geojson, write_label_tiff
from .objects import ObjectTable, write_objects
from .options import SegmentOptions
from .overlay import Overlay
from .report import SegmentReport
from .segmentation import contract_of, segmented

__all__ = ["FORMATS", "check_format", "segment_files"]

# Suffix of an output file, and what is written.
FORMATS = {
    ".tif": "labels",
    ".tiff": "labels",
    ".geojson": "outlines",
    ".csv": "table",
    ".parquet": "table",
    ".png": "overlay",
}


def check_format(target: Path) -> str:
    """What a file of this suffix holds.

    Raises
    ------
    ValueError
        An unknown suffix.
    ImportError
        The library that writes it is missing.
    """
    kind = FORMATS.get(target.suffix.lower())
    if kind is None:
        raise ValueError(f"{target}: expected a file name that ends in {', '.join(FORMATS)}")
    check_suffix(target, FORMATS)
    return kind


def segment_files(
    predictor: Predictor,
    images: Sequence[Path],
    targets: Callable[[Path], Sequence[Path]],
    options: SegmentOptions,
    *,
    progress: Callable[[int], object] = lambda pixels: None,
    profile: Profile | None = None,
) -> Iterator[SegmentReport]:
    """Segment images one after another, tiles of several together; memory is that of some strips.

    Parameters
    ----------
    predictor
        A model that segments.
    images
        Image files.
    targets
        The files to write for an image; their suffixes tell the formats, see `FORMATS`. Those of
        one image appear when all are whole, or none.
    progress
        Called with the number of pixels of tiles that have been through the model.
    profile
        Where to count the time of each stage.

    Yields
    ------
    A report of each image, in order; of one that cannot be read its error, and the others go on.

    Raises
    ------
    TypeError
        A model that does not segment.
    ValueError
        An option out of its range, an unknown suffix.
    OutputError
        A file that cannot be written.
    """
    contract = contract_of(predictor)
    options.settings(contract)
    options.plan(contract, 1, 1)
    for image in images:
        for target in targets(image):
            check_format(target)
    started = time.perf_counter()
    for found in segmented(
        predictor, images, options, failures=IMAGE_FAILURES, progress=progress, profile=profile
    ):
        if isinstance(found, FailedImage):
            report = SegmentReport(found.name, error=_line(found.error))
        else:
            with found:
                try:
                    report = _written(found, targets(Path(found.name)), predictor)
                except IMAGE_FAILURES as error:
                    report = SegmentReport(found.name, error=_line(error))
        now = time.perf_counter()
        yield replace(report, seconds=now - started)
        started = now


def _written(found: LabelledImage, targets: Sequence[Path], predictor: Predictor) -> SegmentReport:
    """Write the files of one image, all or none."""
    image, labels = found.image, found.labels
    kinds = [check_format(target) for target in targets]
    columns, overlay = _measured(found, drawn="overlay" in kinds)
    with Outputs() as files:
        for kind, target in zip(kinds, targets, strict=True):
            with output_errors(target):
                file = files.open(target)
                if kind == "labels":
                    write_label_tiff(
                        file,
                        labels,
                        pixel_size=found.pixel_size,
                        threads=predictor.threads,
                        limits=predictor.limits,
                    )
                elif kind == "outlines":
                    write_geojson(file, labels, columns=columns, scale=found.scale)
                elif kind == "table":
                    write_objects(file, target.suffix.lower(), columns, limits=predictor.limits)
                elif overlay is not None:
                    overlay.write(file)
    areas = columns["area"]
    return SegmentReport(
        found.name,
        image.height,
        image.width,
        labels.count,
        float(np.median(areas)) if len(areas) else 0.0,
        float(areas.sum()) / (image.height * image.width),
        outputs=tuple(map(str, targets)),
        sha256=sha256_of(found.name),
    )


def _measured(
    found: LabelledImage, *, drawn: bool
) -> tuple[dict[str, NDArray[Any]], Overlay | None]:
    """The columns of the table of objects, and the image with their outlines."""
    image, labels = found.image, found.labels
    table = ObjectTable(labels.count, pixel_size=found.pixel_size)
    overlay = Overlay(labels.shape, levels=found.levels) if drawn else None
    for begin, stop in labels.spans():
        runs, rows = labels.runs(begin, stop), image.rows(begin, stop)
        table.add(begin, runs, rows)
        if overlay is not None:
            overlay.add(rows, runs.pixels())
    return table.columns(), overlay


def _line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and not isinstance(error, ImageError):
        return f"{error.filename}: {error.strerror}"
    return str(error)
