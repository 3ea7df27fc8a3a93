"""``seqtile segment``: where the files go, and what is printed."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from ..errors import OutputError
from ..execution.profile import Profile
from ..images.reading import find_images
from ..models.predictor import Predictor
from ..outputs import check_target
from ..segmenting.files import (
    FORMATS,
    SegmentReport,
    check_format,
    earlier_images,
    segment_files,
    write_segment_manifest,
)
from ..segmenting.options import SegmentOptions

__all__ = ["Targets", "print_report", "run"]

_NAMES = {"labels": "labels", "outlines": "outlines", "table": "objects", "overlay": "overlay"}


class Targets:
    """The files to write for each image.

    Parameters
    ----------
    images
        All image files.
    outputs
        Files of a single image.
    folder, formats
        A folder for the files of all images, and their suffixes without dots.

    Raises
    ------
    ValueError
        Files for several images, a folder and files at once, an unknown format, one given twice,
        an output that would overwrite an input, two images whose files would have one name.
    OutputError
        A folder that is missing, cannot be made or written.
    """

    def __init__(
        self,
        images: Sequence[Path],
        outputs: Sequence[str],
        folder: Path | None,
        formats: str,
    ) -> None:
        if outputs and folder:
            raise ValueError("give files (-o) or a folder (-d), not both")
        if outputs and len(images) > 1:
            raise ValueError(
                f"-o is for a single image, here are {len(images)}: give a folder with -d"
            )
        self._outputs = [Path(output) for output in outputs]
        self._folder = folder
        names = [name.strip().removeprefix(".").lower() for name in formats.split(",")]
        self._suffixes = [f".{name}" for name in names] if folder else []
        kinds: set[str] = set()
        for name, suffix in zip(names, self._suffixes, strict=False):
            if suffix not in FORMATS:
                known = ", ".join(known.removeprefix(".") for known in FORMATS)
                raise ValueError(f"--formats: expected some of {known}, not {name!r}")
            kind = check_format(Path(f"--formats{suffix}"))
            if kind in kinds:
                raise ValueError(f"--formats: {kind} twice")
            kinds.add(kind)
        for i, output in enumerate(self._outputs):
            check_format(output)
            check_target(output)
            if os.path.realpath(output) in map(os.path.realpath, self._outputs[:i]):
                raise ValueError(f"{output}: given twice")
        owner: dict[str, Path] = {os.path.realpath(image): image for image in images}
        for image in images:
            for target in self(image):
                other = owner.setdefault(os.path.realpath(target), image)
                if other is not image or os.path.realpath(target) == os.path.realpath(image):
                    raise ValueError(f"{target}: {image} would overwrite what is of {other}")
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(f"{folder}: cannot make the folder: {error.strerror}") from error
            check_target(folder / "x")

    def __call__(self, image: Path) -> list[Path]:
        """The files of one image."""
        if self._folder is None:
            return self._outputs
        return [
            self._folder / f"{image.stem}.{_NAMES[FORMATS[suffix]]}{suffix}"
            for suffix in self._suffixes
        ]

    @property
    def manifest(self) -> Path | None:
        """The file that says how the others were made, None where there are none."""
        if self._folder is not None:
            return self._folder / "segment.manifest.json"
        if not self._outputs:
            return None
        return self._outputs[0].with_name(f"{self._outputs[0].name}.manifest.json")


def run(
    predictor: Predictor,
    options: argparse.Namespace,
    progress: Callable[[int], object],
    profile: Profile,
) -> list[SegmentReport]:
    """Segment what the command line asks for."""
    images = find_images(options.images)
    folder = None if options.folder is None else Path(options.folder)
    targets = Targets(images, options.output, folder, options.formats)
    chosen = SegmentOptions(
        tile=options.tile,
        overlap=options.overlap,
        level=options.level,
        invert=options.invert,
        percentiles=tuple(options.percentiles) if options.percentiles else None,
        mask_threshold=options.mask_threshold,
        marker_threshold=options.marker_threshold,
        min_area=options.min_area,
        batch_size="auto" if options.batch_size is None else options.batch_size,
    )
    earlier: list[dict[str, Any]] = []
    if options.skip_done:
        if folder is None or targets.manifest is None:
            raise ValueError("--skip-done goes with a folder (-d)")
        earlier = earlier_images(targets.manifest, predictor, chosen)
        images = [image for image in images if not all(t.exists() for t in targets(image))]
    reports: list[SegmentReport] = []
    try:
        for report in segment_files(
            predictor, images, targets, chosen, progress=progress, profile=profile
        ):
            reports.append(report)
            if report.error:
                print(f"seqtile: error: {report.error}", file=sys.stderr)  # noqa: T201
    finally:  # what is done is done, if the rest is not
        if targets.manifest is not None and reports:
            write_segment_manifest(targets.manifest, predictor, chosen, reports, earlier, profile)
    return reports


def print_report(
    predictor: Predictor,
    reports: Sequence[SegmentReport],
    *,
    as_json: bool,
    file: TextIO | None = None,
) -> None:
    """The summary: an image a line."""
    if as_json:
        content: dict[str, Any] = {"model": predictor.name, "device": predictor.device}
        _print([json.dumps(content | {"images": [r.to_dict() for r in reports]}, indent=2)], file)
        return
    threads = f" ({predictor.threads} threads)" if predictor.device == "cpu" else ""
    lines = [f"{predictor.name} on {predictor.device}{threads}"]
    for report in (r for r in reports if not r.error):
        lines.append(
            f"{report.image}: {report.height:,} x {report.width:,} pixels, "
            f"{report.objects:,} objects, median {report.median_area:,.0f} pixels, "
            f"{report.covered:.1%} covered"
        )
        lines += [f"  wrote {output}" for output in report.outputs]
    seconds = sum(r.seconds for r in reports)
    pixels = sum(r.height * r.width for r in reports)
    rate = f", {pixels / 1e6 / seconds:,.1f} Mpixels/s" if seconds else ""
    failed = sum(bool(r.error) for r in reports)
    lines.append(
        f"{_count(len(reports) - failed, 'image')}, {sum(r.objects for r in reports):,} objects "
        f"in {seconds:.1f} s{rate}" + (f"; {failed} failed" if failed else "")
    )
    _print(lines, file)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _print(lines: Iterable[str], file: TextIO | None) -> None:
    for line in lines:
        print(line, file=file or sys.stdout)
