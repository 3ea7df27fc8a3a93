"""The command line: ``seqtile models | predict | embed | scan | segment | kmers | ...``.

Data goes to standard output, progress and messages to standard error. Exit status 0, 1 for a
failure, 2 for a wrong call.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.debug else logging.WARNING,
        format="seqtile: %(message)s",
        stream=sys.stderr,
    )
    if not options.debug:  # it warns of what it then raises
        logging.getLogger("pyvips").setLevel(logging.ERROR)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets it
            signal.signal(number, _terminate)
    if isinstance(sys.stdout, io.TextIOWrapper):  # file names need not be UTF-8
        sys.stdout.reconfigure(errors="surrogateescape")
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        status = command(options)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("seqtile: interrupted", file=sys.stderr)  # noqa: T201
        return 130
    except (
        OSError, ValueError, KeyError, RuntimeError, ImportError, TypeError, MemoryError,
    ) as error:  # fmt: skip
        if options.debug:
            raise
        print(f"seqtile: error: {_one_line(error)}", file=sys.stderr)  # noqa: T201
        return 1
    return status


def _terminate(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


class _Verb(argparse.ArgumentParser):
    """A command's arguments; options are spelled out."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)


def _parser() -> argparse.ArgumentParser:
    from . import __version__

    parser = argparse.ArgumentParser(
        prog="seqtile", description="Ready-trained predictors for biological sequences and images."
    )
    parser.add_argument("--version", action="version", version=f"seqtile {__version__}")
    verbs = parser.add_subparsers(
        title="commands",
        required=True,
        metavar="COMMAND",
        parser_class=_Verb,
    )
    parser.set_defaults(debug=False, json=False)
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--debug", action="store_true", help="messages, and tracebacks of errors")
    for add in (
        _add_models,
        _add_predict,
        _add_embed,
        _add_scan,
        _add_segment,
        _add_kmers,
        _add_motifs,
        _add_doctor,
    ):
        add(verbs, common)
    return parser


def _add_models(verbs: Any, common: argparse.ArgumentParser) -> None:
    common = argparse.ArgumentParser(
        add_help=False, parents=[common], argument_default=argparse.SUPPRESS
    )
    common.add_argument("--json", action="store_true", help="print JSON")
    models = verbs.add_parser("models", parents=[common], help="list, show, verify the models")
    models.set_defaults(command=_list_models)
    actions = models.add_subparsers(title="actions", metavar="ACTION")
    actions.add_parser("list", parents=[common], help="all models (the default)")
    show = actions.add_parser("show", parents=[common], help="one model's card")
    show.add_argument("name", help="a model's name or folder")
    show.set_defaults(command=_show_model)
    verify = actions.add_parser("verify", parents=[common], help="checksums and golden outputs")
    verify.add_argument("names", nargs="*", help="names or folders (default: all models)")
    verify.set_defaults(command=_verify_models)


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a shipped model's name, a model folder, or an .onnx file")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, help="CPU threads (default: what the job may use)")
    parser.add_argument("--batch-size", type=int, metavar="N", help="items per call")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    foreign = parser.add_argument_group("a third-party .onnx file")
    foreign.add_argument("--input-layout", choices=["NCL", "NLC", "bytes"], help="of its input")
    foreign.add_argument("--alphabet", help="its channels' letters (default: dna)")


def _add_predict(verbs: Any, common: argparse.ArgumentParser) -> None:
    predict = verbs.add_parser(
        "predict", parents=[common], help="predict each FASTA record or each image"
    )
    _add_model_options(predict)
    _add_table_options(predict)
    predict.set_defaults(command=_predict, embed=False)


def _add_embed(verbs: Any, common: argparse.ArgumentParser) -> None:
    embed = verbs.add_parser(
        "embed", parents=[common], help="the penultimate layer for each FASTA record or image"
    )
    _add_model_options(embed)
    _add_table_options(embed)
    embed.set_defaults(command=_predict, embed=True)


def _add_table_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE",
        help="a FASTA file, plain or gzip, - for standard input; or image files, folders, patterns",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", default="-", help="table, or .npz arrays (default: standard output)"
    )
    parser.add_argument("--jsonl", action="store_true", help="JSON lines, not tab-separated")
    parser.add_argument(
        "--input", action="append", default=[], metavar="NAME=FILE",
        help="a further input of the model: record name, tab, value; repeatable",
    )  # fmt: skip
    images = parser.add_argument_group("images")
    images.add_argument("--crop", type=int, metavar="N", help="keep N x N pixels in the middle")
    images.add_argument("--resize", action="store_true", help="to the size that the model takes")


def _add_scan(verbs: Any, common: argparse.ArgumentParser) -> None:
    scan = verbs.add_parser("scan", parents=[common], help="score windows along sequences")
    _add_model_options(scan)
    scan.add_argument("fasta", help="FASTA, plain or gzip; - for standard input")
    scan.add_argument(
        "-o", "--output", action="append", default=[], metavar="FILE",
        help=".bw, .bed, .narrowPeak, .parquet or .npz; - for BED on standard output; repeatable",
    )  # fmt: skip
    scan.add_argument("--window", type=int, help="bases per window (default: the model's)")
    scan.add_argument("--stride", type=int, default=1, help="bases between windows (default: 1)")
    scan.add_argument("--strand", choices=["+", "-", "both"], default="both", help="default: both")
    scan.add_argument("--regions", metavar="BED", help="write these bases only")
    scan.add_argument("--reduce", choices=["mean", "max"], help="over all windows on a base")
    scan.add_argument("--max-n", type=int, default=0, help="non-ACGT letters allowed (default: 0)")
    scan.add_argument("--threshold", type=float, help="of peaks (default: the card's, else 0.5)")
    scan.add_argument(
        "--merge-gap", type=int, help="bases between runs of a peak (default: window)"
    )
    scan.add_argument("--top", type=int, default=10, help="best peaks to list (default: 10)")
    scan.add_argument("--plot", metavar="PNG", help="draw the tracks with their peaks")
    scan.add_argument("--json", action="store_true", help="print the summary as JSON")
    scan.set_defaults(command=_scan)


def _add_segment(verbs: Any, common: argparse.ArgumentParser) -> None:
    segment = verbs.add_parser("segment", parents=[common], help="find objects in images")
    _add_model_options(segment)
    segment.add_argument("images", nargs="+", help="image files, folders or patterns")
    segment.add_argument(
        "-o", "--output", action="append", default=[], metavar="FILE",
        help="of a single image: .tif (labels), .geojson, .csv, .parquet, .png (overlay); "
        "repeatable",
    )  # fmt: skip
    segment.add_argument(
        "-d", "--folder", metavar="DIR", help="write NAME.labels.tif and so on of each image there"
    )
    segment.add_argument(
        "--formats", default="tif,geojson,csv,png", metavar="LIST",
        help="what to write to the folder (default: tif,geojson,csv,png)",
    )  # fmt: skip
    segment.add_argument(
        "--skip-done", action="store_true", help="leave out images whose files are in the folder"
    )
    segment.add_argument("--tile", type=int, default=1024, help="side in pixels (default: 1024)")
    segment.add_argument("--overlap", type=int, help="in pixels (default: what makes it exact)")
    segment.add_argument("--level", type=int, default=0, help="of a pyramid (default: 0, all)")
    segment.add_argument("--invert", action="store_true", help="dark objects on bright ground")
    segment.add_argument(
        "--percentiles", type=float, nargs=2, metavar=("LOW", "HIGH"),
        help="of grey levels, that become black and white (default: the model's)",
    )  # fmt: skip
    segment.add_argument("--mask-threshold", type=float, metavar="P", help="default: the model's")
    segment.add_argument("--marker-threshold", type=float, metavar="P", help="default: the model's")
    segment.add_argument("--min-area", type=int, metavar="N", help="pixels (default: the model's)")
    segment.add_argument("--json", action="store_true", help="print the summary as JSON")
    segment.set_defaults(command=_segment)


def _add_kmers(verbs: Any, common: argparse.ArgumentParser) -> None:
    kmers = verbs.add_parser("kmers", parents=[common], help="count k-mers")
    kmers.add_argument("fasta", nargs="+", help="FASTA, plain or gzip; - for standard input")
    kmers.add_argument("-k", type=int, required=True, metavar="K", help="letters, 1 to 32")
    kmers.add_argument(
        "--canonical", action="store_true", help="a k-mer and its reverse complement count as one"
    )
    kmers.add_argument("--threads", type=int, help="CPU threads (default: what the job may use)")
    kmers.add_argument("--top", type=int, default=10, help="most frequent to list (default: 10)")
    kmers.add_argument(
        "--histogram", action="store_true", help="print how many k-mers occur how often instead"
    )
    kmers.add_argument(
        "-o", "--output", action="append", default=[], metavar="FILE",
        help=".tsv, .parquet or .npz; - for tab-separated on standard output; repeatable",
    )  # fmt: skip
    kmers.add_argument("--quiet", action="store_true", help="no progress bar")
    kmers.add_argument("--json", action="store_true", help="print the summary as JSON")
    kmers.set_defaults(command=_kmers)


def _add_motifs(verbs: Any, common: argparse.ArgumentParser) -> None:
    motifs = verbs.add_parser("motifs", parents=[common], help="what a network's filters look for")
    motifs.add_argument("model", help="a shipped model's name, a model folder, or a MEME file")
    motifs.add_argument("--against", metavar="MEME", help="known motifs (default: a few)")
    motifs.add_argument("--top", type=int, default=20, help="rows, 0 for all (default: 20)")
    motifs.add_argument("--plot", metavar="PNG", help="draw logos of the best motifs")
    motifs.add_argument("--meme", metavar="FILE", help="write the motifs, named by their matches")
    motifs.add_argument("--json", action="store_true", help="print all motifs as JSON")
    motifs.set_defaults(command=_motifs)


def _add_doctor(verbs: Any, common: argparse.ArgumentParser) -> None:
    doctor = verbs.add_parser("doctor", parents=[common], help="what runs on this machine")
    doctor.add_argument("--device", default="auto", help="what must work: auto, cpu, cuda, cuda:N")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.set_defaults(command=_doctor)


# What the commands do is elsewhere; these functions connect arguments, calls and text.


def _list_models(options: argparse.Namespace) -> int:
    from . import show

    show.models(as_json=options.json)
    return 0


def _show_model(options: argparse.Namespace) -> int:
    from . import show

    show.model(options.name, as_json=options.json)
    return 0


def _verify_models(options: argparse.Namespace) -> int:
    from . import show

    return show.verify(options.names)


def _load(options: argparse.Namespace) -> Any:
    from .inputs import InputSpec
    from .loading import load

    spec = None
    if options.input_layout:
        spec = InputSpec(layout=options.input_layout, alphabet=options.alphabet or "dna")
    elif options.alphabet:
        raise ValueError("--alphabet goes with --input-layout, for a third-party .onnx file")
    return load(options.model, device=options.device, threads=options.threads, input=spec)


def _refuse_overwrite(source: str, targets: Sequence[str]) -> None:
    for target in targets:
        if target not in ("", "-") and os.path.realpath(target) == os.path.realpath(source):
            raise ValueError(f"{target}: the output would overwrite the input")


def _batch_size(options: argparse.Namespace) -> Any:
    return "auto" if options.batch_size is None else options.batch_size


def _predict(options: argparse.Namespace) -> int:
    from .progress import progress
    from .tables import read_inputs, write_predictions

    for source in options.sources:
        _refuse_overwrite(source, [options.output])
    inputs = read_inputs(options.input)
    predictor = _load(options)
    if predictor.card is not None and predictor.card.segmentation is not None:
        raise TypeError(f"{predictor.name} answers for every pixel: use seqtile segment")
    images = predictor.takes == "images"
    failed: list[Exception] = []

    def fail(error: Exception) -> None:
        failed.append(error)
        print(f"seqtile: error: {_one_line(error)}", file=sys.stderr)  # noqa: T201

    if images:
        items = _image_predictions(predictor, options, inputs, fail)
    else:
        if len(options.sources) > 1 or options.crop is not None or options.resize:
            raise ValueError(f"{predictor.name} takes one FASTA file, no crop and no resize")
        items = predictor.predict_fasta(
            options.sources[0], batch_size=_batch_size(options), inputs=inputs, embed=options.embed
        )
    with progress("images" if images else "records", None, quiet=options.quiet) as advance:
        write_predictions(
            items, options.output, card=predictor.card, as_json=options.jsonl, advance=advance
        )
    return 1 if failed else 0


def _image_predictions(
    predictor: Any,
    options: argparse.Namespace,
    inputs: Any,
    failed: Callable[[Exception], object],
) -> Any:
    from .images import find_images

    if inputs:
        raise ValueError(f"{predictor.name} takes images alone, no --input")
    paths = find_images(options.sources)
    for path in paths:
        _refuse_overwrite(str(path), [options.output])
    return predictor.predict_images(
        paths,
        batch_size=_batch_size(options),
        crop=options.crop,
        resize=options.resize,
        embed=options.embed,
        failed=failed,
    )


def _scan(options: argparse.Namespace) -> int:
    from . import show
    from .report import Checksum, write_scan
    from .scanner import scan

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
    return 0


def _segment(options: argparse.Namespace) -> int:
    from .progress import progress
    from .segment_cli import print_report, run

    predictor = _load(options)
    with progress("pixels", None, quiet=options.quiet) as advance:
        reports = run(predictor, options, advance)
    print_report(predictor, reports, as_json=options.json)
    return 1 if any(report.error for report in reports) else 0


def _kmers(options: argparse.Namespace) -> int:
    from .kmers_cli import check_outputs, count_files, print_counted, write_tables
    from .progress import progress
    from .threads import thread_count

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


def _motifs(options: argparse.Namespace) -> int:
    from .motifs import read_meme
    from .motifs_cli import check_outputs, compare, motif_file, print_motifs, write_outputs

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


def _doctor(options: argparse.Namespace) -> int:
    from . import show
    from .doctor import diagnose

    diagnosis = diagnose(options.device)
    show.diagnosis(diagnosis, as_json=options.json)
    return 0 if diagnosis.works else 1


if __name__ == "__main__":
    raise SystemExit(main())
