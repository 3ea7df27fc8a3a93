"""What the command line's verbs do: each connects arguments, calls and text."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

__all__ = [
    "doctor",
    "kmers",
    "list_models",
    "motifs",
    "one_line",
    "predict",
    "scan",
    "segment",
    "show_model",
    "verify_models",
]


def one_line(error: Exception) -> str:
    """An error's text on one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def list_models(options: argparse.Namespace) -> int:
    """List the shipped models."""
    from . import models as show

    show.models(as_json=options.json)
    return 0


def show_model(options: argparse.Namespace) -> int:
    """Print one model's card."""
    from . import models as show

    show.model(options.name, as_json=options.json)
    return 0


def verify_models(options: argparse.Namespace) -> int:
    """Check models against their checksums and golden outputs."""
    from . import models as show

    return show.verify(options.names)


def _load(options: argparse.Namespace) -> Any:
    from ..models.inputs import InputSpec
    from ..models.loading import load

    spec = None
    if options.input_layout:
        spec = InputSpec(layout=options.input_layout, alphabet=options.alphabet or "dna")
    elif options.alphabet:
        raise ValueError("--alphabet goes with --input-layout, for a third-party .onnx file")
    return load(
        options.model,
        device=options.device,
        threads=options.threads,
        precision=options.precision,
        input=spec,
    )


def _refuse_overwrite(source: str, targets: Sequence[str]) -> None:
    for target in targets:
        if target not in ("", "-") and os.path.realpath(target) == os.path.realpath(source):
            raise ValueError(f"{target}: the output would overwrite the input")


def _batch_size(options: argparse.Namespace) -> Any:
    return "auto" if options.batch_size is None else options.batch_size


def predict(options: argparse.Namespace) -> int:
    """Predict or embed what a FASTA file or images hold."""
    from ..execution.profile import Profile
    from .progress import progress
    from .tables import read_inputs, write_predictions

    for source in options.sources:
        _refuse_overwrite(source, [options.output])
    inputs = read_inputs(options.input)
    predictor = _load(options)
    if predictor.card is not None and predictor.card.segmentation is not None:
        raise TypeError(f"{predictor.name} answers for every pixel: use seqtile segment")
    images = predictor.takes == "images"
    profile = Profile()
    failed: list[Exception] = []

    def fail(error: Exception) -> None:
        failed.append(error)
        print(f"seqtile: error: {one_line(error)}", file=sys.stderr)  # noqa: T201

    if images:
        items = _image_predictions(predictor, options, inputs, fail, profile)
    else:
        if len(options.sources) > 1 or options.crop is not None or options.resize:
            raise ValueError(f"{predictor.name} takes one FASTA file, no crop and no resize")
        items = predictor.fasta_blocks(
            options.sources[0],
            batch_size=_batch_size(options),
            inputs=inputs,
            embed=options.embed,
            profile=profile,
        )
    with progress("images" if images else "records", None, quiet=options.quiet) as advance:
        write_predictions(
            items, options.output, card=predictor.card, as_json=options.jsonl, advance=advance
        )
    _print_profile(options, profile)
    return 1 if failed else 0


def _print_profile(options: argparse.Namespace, profile: Any) -> None:
    if options.profile:
        print(f"seqtile: {profile}", file=sys.stderr)  # noqa: T201


def _image_predictions(
    predictor: Any,
    options: argparse.Namespace,
    inputs: Any,
    failed: Callable[[Exception], object],
    profile: Any,
) -> Any:
    from ..images.reading import find_images

    if inputs:
        raise ValueError(f"{predictor.name} takes images alone, no --input")
    paths = find_images(options.sources)
    for path in paths:
        _refuse_overwrite(str(path), [options.output])
    return predictor.image_blocks(
        paths,
        batch_size=_batch_size(options),
        crop=options.crop,
        resize=options.resize,
        embed=options.embed,
        failed=failed,
        profile=profile,
    )


def scan(options: argparse.Namespace) -> int:
    """Score windows along sequences."""
    from ..scanning.report import Checksum, write_scan
    from ..scanning.scanner import scan
    from . import models as show

    _refuse_overwrite(options.fasta, [*options.output, options.plot or ""])
    predictor = _load(options)
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
        batch_size=_batch_size(options),
        observe=checksum.observe,
    )
    with show.progress("bases", work.total_windows * options.stride, quiet=options.quiet) as move:
        report = write_scan(
            work,
            options.output,
            threshold=options.threshold,
            merge_gap=options.merge_gap,
            plot=options.plot,
            top=options.top,
            checksum=checksum,
            progress=lambda windows: move(windows * options.stride),
        )
    show.scan_report(
        report, work, as_json=options.json, file=sys.stderr if "-" in options.output else sys.stdout
    )
    _print_profile(options, work.profile)
    return 0


def segment(options: argparse.Namespace) -> int:
    """Find objects in images."""
    from ..execution.profile import Profile
    from .progress import progress
    from .segment import print_report, run

    predictor = _load(options)
    profile = Profile()
    with progress("pixels", None, quiet=options.quiet) as advance:
        reports = run(predictor, options, advance, profile)
    _print_profile(options, profile)
    print_report(predictor, reports, as_json=options.json)
    return 1 if any(report.error for report in reports) else 0


def kmers(options: argparse.Namespace) -> int:
    """Count k-mers."""
    from ..machine.threads import thread_count
    from .kmers import check_outputs, count_files, print_counted, write_tables
    from .progress import progress

    for source in options.fasta:
        _refuse_overwrite(source, options.output)
    check_outputs(options.output)
    if options.top < 0:
        raise ValueError(f"top must not be negative, not {options.top}")
    with progress("bases", None, quiet=options.quiet) as advance:
        counted = count_files(
            options.fasta,
            options.k,
            canonical=options.canonical,
            threads=thread_count(options.threads),
            progress=advance,
        )
    write_tables(counted.table, options.output)
    print_counted(
        counted,
        top=options.top,
        histogram=options.histogram,
        outputs=options.output,
        as_json=options.json,
    )
    return 0


def motifs(options: argparse.Namespace) -> int:
    """Name a network's filters."""
    from ..motifs.matching import read_meme
    from .motifs import check_outputs, compare, motif_file, print_motifs, write_outputs

    if options.top < 0:
        raise ValueError(f"top must not be negative, not {options.top}")
    check_outputs(options.plot)
    source = motif_file(options.model)
    _refuse_overwrite(str(source), [options.plot or "", options.meme or ""])
    pairs = compare(read_meme(source), options.against)
    title = f"{options.model}: motifs of the first convolution, height in bits"
    write_outputs(pairs, meme=options.meme, plot=options.plot, title=title)
    print_motifs(pairs, options.model, top=options.top, as_json=options.json)
    return 0


def doctor(options: argparse.Namespace) -> int:
    """Say what runs on this machine."""
    from ..doctor import diagnose
    from . import models as show

    diagnosis = diagnose(options.device)
    show.diagnosis(diagnosis, as_json=options.json)
    return 0 if diagnosis.works else 1
