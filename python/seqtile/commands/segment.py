"""``seqtile segment``: find objects in images."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..outputs import refuse_overwrite
from .image_sources import images_of
from .model_options import add_model_options, batch_size, load_model, print_profile
from .printing import print_json, print_lines

if TYPE_CHECKING:  # they import onnxruntime, which the arguments do without
    from ..execution.profile import Profile
    from ..models.predictor import Predictor
    from ..segmenting.report import SegmentReport

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``segment``."""
    add_model_options(parser)
    parser.add_argument("images", nargs="+", help="image files, folders or patterns")
    parser.add_argument(
        "-o",
        "--output",
        action="append",
        default=[],
        metavar="FILE",
        help="of a single image: .tif (labels), .geojson, .csv, .parquet, .png (overlay); "
        "repeatable",
    )
    parser.add_argument(
        "-d", "--folder", metavar="DIR", help="write NAME.labels.tif and so on of each image there"
    )
    parser.add_argument(
        "--formats",
        default="tif,geojson,csv,png",
        metavar="LIST",
        help="what to write to the folder (default: tif,geojson,csv,png)",
    )
    parser.add_argument(
        "--skip-done",
        action="store_true",
        help="leave out images whose files in the folder are made of them in the same way",
    )
    parser.add_argument("--tile", type=int, default=1024, help="side in pixels (default: 1024)")
    parser.add_argument("--overlap", type=int, help="in pixels (default: what makes it exact)")
    parser.add_argument("--level", type=int, default=0, help="of a pyramid (default: 0, all)")
    parser.add_argument("--invert", action="store_true", help="dark objects on bright ground")
    parser.add_argument(
        "--percentiles",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="of grey levels, that become black and white (default: the model's)",
    )
    parser.add_argument(
        "--noise-floor",
        type=float,
        metavar="N",
        help="least contrast, in standard deviations of the background's noise; 0 stretches noise "
        "too (default: the model's)",
    )
    parser.add_argument("--mask-threshold", type=float, metavar="P", help="default: the model's")
    parser.add_argument("--marker-threshold", type=float, metavar="P", help="default: the model's")
    parser.add_argument("--min-area", type=int, metavar="N", help="pixels (default: the model's)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def run(options: argparse.Namespace) -> int:
    """Segment, write, print a line per image; the exit status is 1 if an image failed.

    Raises
    ------
    SeqtileError, ValueError, TypeError, OSError, ImportError
        A model, device, output or option that does not work.
    """
    from ..execution.profile import Profile
    from .progress import progress

    predictor = load_model(options)
    profile = Profile()
    with progress("pixels", None, quiet=options.quiet) as advance:
        reports, done = _segment(predictor, options, advance, profile)
    print_profile(options, profile)
    if options.json:
        content: dict[str, Any] = {"model": predictor.name, "device": predictor.device}
        print_json(content | {"images": [report.to_dict() for report in reports]})
    else:
        print_lines(*_lines(predictor, reports, done))
    return 1 if any(report.error for report in reports) else 0


def _segment(
    predictor: Predictor,
    options: argparse.Namespace,
    advance: Callable[[int], object],
    profile: Profile,
) -> tuple[list[SegmentReport], int]:
    """Segment and write; a report of each image, and the number of those that were done before."""
    from ..manifest import check_manifest
    from ..models.zoo import model_files
    from ..segmenting.files import segment_files
    from ..segmenting.options import SegmentOptions
    from ..segmenting.report import SegmentReport
    from ..segmenting.segment_manifest import SegmentManifest
    from .segment_targets import Targets

    images = images_of(options.images)
    folder = None if options.folder is None else Path(options.folder)
    targets = Targets(images, options.output, folder, options.formats)
    outputs = [target for image in images for target in targets(image)]
    if targets.manifest is not None:
        outputs.append(targets.manifest)
    refuse_overwrite([*images, *model_files(options.model)], outputs)
    chosen = SegmentOptions(
        tile=options.tile,
        overlap=options.overlap,
        level=options.level,
        invert=options.invert,
        percentiles=tuple(options.percentiles) if options.percentiles else None,
        noise_floor=options.noise_floor,
        mask_threshold=options.mask_threshold,
        marker_threshold=options.marker_threshold,
        min_area=options.min_area,
        batch_size=batch_size(options),
    )
    if options.skip_done and folder is None:
        raise ValueError("--skip-done goes with a folder (-d)")
    manifest = None
    if targets.manifest is not None:
        if not options.skip_done:
            check_manifest(targets.manifest)
        manifest = SegmentManifest(
            targets.manifest, predictor, chosen, is_shared=folder is not None, profile=profile
        )
    reports: list[SegmentReport] = []

    def add(report: SegmentReport) -> None:
        reports.append(report)
        if report.error:
            print_lines(f"seqtile: error: {report.error}", file=sys.stderr)
        if manifest is not None:
            manifest.add(report)

    count = len(images)
    if options.skip_done and manifest is not None:
        manifest.refuse_other()
        images = [image for image in images if not manifest.is_done(image, targets(image))]
    done = count - len(images)
    refused = {image: refusal for image in images if (refusal := targets.refusal(image))}
    images = [image for image in images if image not in refused]
    with closing(
        segment_files(predictor, images, targets, chosen, progress=advance, profile=profile)
    ) as segmented:
        if manifest is not None and (images or refused):
            manifest.begin(target for image in images for target in targets(image))
        try:
            for image, refusal in refused.items():
                add(SegmentReport(str(image), error=refusal))
            for report in segmented:
                add(report)
        finally:  # what is done is done, if the rest is not
            if manifest is not None and reports:
                manifest.close()
    return reports, done


def _lines(predictor: Predictor, reports: Sequence[SegmentReport], done: int) -> Iterator[str]:
    """The summary: an image a line."""
    threads = f" ({predictor.threads} threads)" if predictor.device == "cpu" else ""
    yield f"{predictor.name} on {predictor.device}{threads}"
    for report in (r for r in reports if not r.error):
        yield (
            f"{report.image}: {report.height:,} x {report.width:,} pixels, "
            f"{report.objects:,} objects, median {report.median_area:,.0f} pixels, "
            f"{report.covered:.1%} covered"
        )
        for output in report.outputs:
            yield f"  wrote {output}"
    seconds = sum(r.seconds for r in reports)
    pixels = sum(r.height * r.width for r in reports)
    rate = f", {pixels / 1e6 / seconds:,.1f} Mpixels/s" if seconds else ""
    failed = sum(bool(r.error) for r in reports)
    yield (
        f"{_count(len(reports) - failed, 'image')}, {sum(r.objects for r in reports):,} objects "
        f"in {seconds:.1f} s{rate}"
        + (f"; {failed} failed" if failed else "")
        + (f"; {done:,} done before" if done else "")
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
