"""``seqtile scan``: score windows along sequences, into tracks and a summary."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..outputs import check_targets, is_stdout, refuse_overwrite
from .model_options import add_model_options, batch_size, load_model, print_profile
from .printing import print_json, print_lines

if TYPE_CHECKING:  # they import onnxruntime, which the arguments do without
    from ..scanning.report import ScanReport
    from ..scanning.scanner import Scan

__all__ = ["add_arguments", "run"]

_LISTED = 5  # sequences without a score that are named


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``scan``."""
    add_model_options(parser)
    parser.add_argument("fasta", help="FASTA, plain or gzip; - for standard input")
    parser.add_argument(
        "-o",
        "--output",
        action="append",
        default=[],
        metavar="FILE",
        help=".bw, .bed, .narrowPeak, .parquet or .npz; - for BED on standard output; repeatable",
    )
    parser.add_argument("--window", type=int, help="bases per window (default: the model's)")
    parser.add_argument(
        "--stride", type=int, help="bases between windows (default: the model's, else 1)"
    )
    parser.add_argument(
        "--strand", choices=["+", "-", "both"], default="both", help="default: both"
    )
    parser.add_argument("--regions", metavar="BED", help="write these bases only")
    parser.add_argument("--reduce", choices=["mean", "max"], help="over all windows on a base")
    parser.add_argument(
        "--max-n", type=int, default=0, help="non-ACGT letters allowed (default: 0)"
    )
    parser.add_argument("--threshold", type=float, help="of peaks (default: the model's, if any)")
    parser.add_argument(
        "--merge-gap", type=int, help="bases between runs of a peak (default: window)"
    )
    parser.add_argument("--top", type=int, default=10, help="best peaks to list (default: 10)")
    parser.add_argument("--plot", metavar="PNG", help="draw the tracks with their peaks")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def run(options: argparse.Namespace) -> None:
    """Scan, write, and print the summary: to standard error if the peaks go to standard output.

    Raises
    ------
    SeqtileError, ValueError, OSError, ImportError
        A model, device, sequence, region or file that does not work, an option out of its range.
    """
    from ..fasta.fai import with_indices
    from ..manifest import Checksum, manifest_beside
    from ..models.zoo import model_files
    from ..scanning.report import write_scan
    from ..scanning.scanner import scan
    from .progress import progress

    outputs = [*options.output, *([options.plot] if options.plot else [])]
    refuse_overwrite(
        [
            *with_indices(options.fasta),
            *([options.regions] if options.regions else []),
            *model_files(options.model),
        ],
        [*outputs, *(manifest_beside(Path(output)) for output in options.output)],
    )
    check_targets(outputs)
    predictor = load_model(options)
    checksum = Checksum(options.fasta)
    work = scan(
        predictor,
        options.fasta,
        window=options.window,
        stride=options.stride,
        strand=options.strand,
        regions=options.regions,
        reduce=options.reduce,
        max_n=options.max_n,
        batch_size=batch_size(options),
        observe=checksum.observe,
    )
    with progress("bases", work.total_windows * work.stride, quiet=options.quiet) as advance:
        report = write_scan(
            work,
            options.output,
            threshold=options.threshold,
            merge_gap=options.merge_gap,
            plot=options.plot,
            top=options.top,
            checksum=checksum,
            progress=lambda windows: advance(windows * work.stride),
        )
    file = sys.stderr if any(map(is_stdout, options.output)) else sys.stdout
    if options.json:
        content = {"model": predictor.name, "device": predictor.device, **report.to_dict()}
        print_json(content, file)
    else:
        print_lines(*_lines(report, work, written=bool(outputs)), file=file)
    print_profile(options, work.profile)


def _lines(report: ScanReport, work: Scan, *, written: bool) -> Iterator[str]:
    """The summary of a scan."""
    predictor = work.predictor
    threads = f" ({predictor.threads} threads)" if predictor.device == "cpu" else ""
    yield (
        f"{predictor.name} on {predictor.device}{threads}: window {work.window}, "
        f"stride {work.stride}, strand {work.strand}"
    )
    rate = report.bases / report.seconds / 1e3 if report.seconds else 0
    yield (
        f"scanned   {report.bases:,} bases of {len(work.names)} sequences, "
        f"{report.windows:,} windows in {report.seconds:.1f} s ({rate:,.0f} kbases/s)"
    )
    if report.unknown_windows:
        yield (
            f"no score  {report.unknown_windows:,} windows with more than {work.max_n} "
            "non-ACGT letters"
        )
    if report.not_finite:
        yield f"no score  {report.not_finite:,} windows whose answer is not finite (nan or inf)"
    for name, length in list(report.short.items())[:_LISTED]:
        yield f"no score  {name}: {length} bases, shorter than the window"
    if len(report.short) > _LISTED:
        yield f"no score  and {len(report.short) - _LISTED:,} more sequences as short"
    shown = f", the best {len(report.top)}:" if report.top else ""
    if report.threshold is None:
        yield f"peaks     not called, as {predictor.name} has no threshold: say --threshold SCORE"
    else:
        yield f"peaks     {report.peaks:,} at {report.threshold:.3f} and above{shown}"
    if report.top:
        width = max(len(p.chrom) for p in report.top)
        yield f"  {'0-based':<{width}}      start        end     summit      score"
        for p in report.top:
            places = f"{p.start:>9}  {p.end:>9}  {p.summit:>9}"
            yield f"  {p.chrom:<{width}}  {places}  {p.strand}  {p.score:.4f}"
    for output in report.outputs:
        yield f"wrote     {output}"
    if not written:
        yield "wrote     no file: name some with -o (.bw, .bed, .narrowPeak, .parquet, .npz)"
