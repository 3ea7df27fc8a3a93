"""Segment image files into label images, outlines, tables and overlays."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from ..errors import IMAGE_FAILURES, ImageError
from ..execution.profile import Profile
from ..manifest import manifest, model_entry, read_manifest, sha256_of, write_manifest
from ..models.predictor import Predictor
from ..outputs import AtomicOutputs, check_suffix, output_errors
from .labelled_image import FailedImage, LabelledImage
from .object_files import write_geojson, write_label_tiff
from .objects import ObjectTable, write_objects
from .options import SegmentOptions
from .overlay import Overlay
from .segmentation import contract_of, segmented

__all__ = [
    "FORMATS",
    "SegmentReport",
    "check_format",
    "earlier_images",
    "segment_files",
    "write_segment_manifest",
]

# Suffix of an output file, and what is written.
FORMATS = {
    ".tif": "labels",
    ".tiff": "labels",
    ".geojson": "outlines",
    ".csv": "table",
    ".parquet": "table",
    ".png": "overlay",
}


@dataclass(frozen=True)
class SegmentReport:
    """What was found in one image.

    Attributes
    ----------
    image
        Its path.
    height, width
        In pixels.
    objects
        Number of objects.
    median_area
        Of the objects, in pixels; 0 without objects.
    covered
        Share of the image's pixels that are of an object.
    seconds
        Wall time since the image before.
    outputs
        Files written.
    sha256
        Of the image file.
    error
        What went wrong, empty if nothing; the other figures are 0 then.
    """

    image: str
    height: int = 0
    width: int = 0
    objects: int = 0
    median_area: float = 0.0
    covered: float = 0.0
    seconds: float = 0.0
    outputs: tuple[str, ...] = ()
    sha256: str = ""
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


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
    """Write the files of one image."""
    threads, limits = predictor.threads, predictor.limits
    kinds = {check_format(target): target for target in targets}
    image, labels = found.image, found.labels
    table = ObjectTable(labels.count, pixel_size=found.pixel_size)
    overlay = None
    if "overlay" in kinds:
        overlay = Overlay((image.height, image.width), levels=found.levels)
    for begin, stop in labels.spans():
        runs, rows = labels.runs(begin, stop), image.rows(begin, stop)
        table.add(begin, runs, rows)
        if overlay is not None:
            overlay.add(rows, runs.pixels())
    columns = table.columns()
    with AtomicOutputs() as files:
        for target in targets:
            path, kind = files.path_for(target), check_format(target)
            if kind == "labels":
                write_label_tiff(
                    path,
                    labels,
                    target=target,
                    pixel_size=found.pixel_size,
                    threads=threads,
                    limits=limits,
                )
            elif kind == "outlines":
                write_geojson(path, labels, target=target, columns=columns, scale=found.scale)
            elif kind == "table":
                write_objects(path, target, columns, limits=limits)
            elif overlay is not None:
                overlay.write(path, target=target)
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


def _line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and not isinstance(error, ImageError):
        return f"{error.filename}: {error.strerror}"
    return str(error)


def write_segment_manifest(
    path: Path,
    predictor: Predictor,
    options: SegmentOptions,
    reports: Sequence[SegmentReport],
    earlier: Sequence[Mapping[str, Any]] = (),
    profile: Profile | None = None,
) -> None:
    """What was run on which images, as JSON: model and images by SHA-256, parameters, versions.

    ``profile`` is the time of each stage; ``earlier`` are entries of `earlier_images`; those of an
    image that has a new report are left out.
    """
    again = {report.image for report in reports}
    images = [
        *(entry for entry in earlier if entry["image"] not in again),
        *(report.to_dict() for report in reports),
    ]
    content = manifest(
        predictor,
        parameters=_parameters(predictor, options),
        profile=profile.to_dict() if profile is not None else None,
        results={"images": images},
    )
    with AtomicOutputs() as files, output_errors(path):
        write_manifest(files.path_for(path), content)


def _parameters(predictor: Predictor, options: SegmentOptions) -> dict[str, Any]:
    """As JSON has them; what does not change the result is left out."""
    parameters = asdict(options)
    del parameters["batch_size"]
    parameters["settings"] = structs.asdict(options.settings(contract_of(predictor)))
    plain: dict[str, Any] = json.loads(json.dumps(parameters))
    return plain


def earlier_images(
    path: Path, predictor: Predictor, options: SegmentOptions
) -> list[dict[str, Any]]:
    """Entries of the manifest of an earlier run that this one goes on with; none without a file.

    Raises
    ------
    ValueError
        It is no manifest, or of another model or other parameters.
    """
    if not path.exists():
        return []
    try:
        content = read_manifest(path)
        images: list[dict[str, Any]] = [entry for entry in content["images"] if entry["image"]]
        made = content["model"], content["parameters"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path}: not a manifest of seqtile segment") from None
    if made != (model_entry(predictor), _parameters(predictor, options)):
        raise ValueError(
            f"{path}: made with another model or other parameters: choose another folder, or do "
            "without --skip-done"
        )
    return images
