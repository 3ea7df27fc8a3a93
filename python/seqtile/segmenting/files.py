"""Segment image files into label images, outlines, tables and overlays."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import IMAGE_FAILURES, ImageError, OutputError, one_line
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

_FAILURES = (*IMAGE_FAILURES, OutputError)
_State: TypeAlias = "tuple[int, int] | None"

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
) -> Generator[SegmentReport, None, None]:
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

    Returns
    -------
    A report of each image, in order, when its turn comes; of one that cannot be read or whose
    files cannot be written its error, and the others go on.

    Raises
    ------
    TypeError
        A model that does not segment.
    ValueError
        An option out of its range, an unknown suffix.
    """
    contract = contract_of(predictor)
    options.settings(contract)
    options.plan(contract, 1, 1)
    for image in images:
        for target in targets(image):
            check_format(target)
    states: dict[str, _State] = {}

    def opened() -> Iterator[Path]:
        for image in images:
            states[str(image)] = _state(image)
            yield image

    def reports() -> Generator[SegmentReport, None, None]:
        started = time.perf_counter()
        for found in segmented(
            predictor, opened(), options, failures=_FAILURES, progress=progress, profile=profile
        ):
            state = states[found.name]
            if isinstance(found, FailedImage):
                report = SegmentReport(found.name, error=one_line(found.error))
            else:
                with found:
                    report = _reported(found, targets(Path(found.name)), state, predictor)
            now = time.perf_counter()
            yield replace(report, seconds=now - started)
            started = now

    return reports()


def _state(image: Path) -> _State:
    """Size and time of the last change; None of what cannot be looked at."""
    try:
        status = image.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _reported(
    found: LabelledImage, targets: Sequence[Path], state: _State, predictor: Predictor
) -> SegmentReport:
    """Write the files of one image, and say what is in them or why they cannot be written."""
    try:
        return _written(found, targets, state, predictor)
    except BrokenPipeError:  # nobody reads on
        raise
    except _FAILURES as error:
        return SegmentReport(found.name, error=one_line(error))


def _written(
    found: LabelledImage, targets: Sequence[Path], state: _State, predictor: Predictor
) -> SegmentReport:
    """Write the files of one image, all or none."""
    image, labels = found.image, found.labels
    kinds = [check_format(target) for target in targets]
    columns, overlay = _measured(found, drawn="overlay" in kinds)
    checksum = sha256_of(found.name)
    if _state(image.path) != state:
        raise ImageError(found.name, "was changed while it was read")
    checksums = []
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
                checksums.append(_checksum(file))
    areas = columns["area"]
    return SegmentReport(
        found.name,
        image.height,
        image.width,
        labels.count,
        float(np.median(areas)) if len(areas) else 0.0,
        float(areas.sum()) / (image.height * image.width),
        outputs=tuple(map(str, targets)),
        output_sha256=tuple(checksums),
        sha256=checksum,
    )


def _checksum(file: BinaryIO) -> str:
    """SHA-256 of what was written to a file; empty for a pipe."""
    file.flush()
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return ""
    with os.fdopen(os.dup(file.fileno()), "rb") as written:
        written.seek(0)
        return hashlib.file_digest(written, "sha256").hexdigest()


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
