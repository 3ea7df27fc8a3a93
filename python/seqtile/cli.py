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
import threading
from collections.abc import Callable, Sequence
from typing import Any

from .commands import bench as bench_cli
from .commands import predict as commands

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
        return _interrupted()
    except SystemExit as leaving:  # told to by a signal
        _leave(leaving.code)
        raise
    except (
        OSError,
        ValueError,
        KeyError,
        RuntimeError,
        ImportError,
        TypeError,
        MemoryError,
    ) as error:
        if _is_interrupt(error):
            return _interrupted()
        if options.debug:
            raise
        print(f"seqtile: error: {commands.one_line(error)}", file=sys.stderr)  # noqa: T201
        return 1
    return status


def _interrupted() -> int:
    print("seqtile: interrupted", file=sys.stderr)  # noqa: T201
    _leave(130)
    return 130


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error: a library that it stops while loading says ImportError."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error is not None


def _leave(status: object) -> None:
    """End the process now if a lane still waits for standard input: Python could not end it."""
    if any(thread.name.startswith("seqtile lane") for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 1)


def _terminate(number: int, _: object) -> None:
    raise SystemExit(128 + number)


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
        _add_bench,
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
    models.set_defaults(command=commands.list_models)
    actions = models.add_subparsers(title="actions", metavar="ACTION")
    actions.add_parser("list", parents=[common], help="all models (the default)")
    show = actions.add_parser("show", parents=[common], help="one model's card")
    show.add_argument("name", help="a model's name or folder")
    show.set_defaults(command=commands.show_model)
    verify = actions.add_parser("verify", parents=[common], help="checksums and golden outputs")
    verify.add_argument("names", nargs="*", help="names or folders (default: all models)")
    verify.set_defaults(command=commands.verify_models)


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a shipped model's name, a model folder, or an .onnx file")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or cuda:0,1")
    parser.add_argument(
        "--precision", default="fp32", help="fp32 (default); tf32, fp16 on CUDA; int8 on the CPU"
    )
    parser.add_argument("--threads", type=int, help="CPU threads (default: what the job may use)")
    parser.add_argument("--batch-size", type=int, metavar="N", help="items per call")
    parser.add_argument("--profile", action="store_true", help="say what each stage took")
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
    predict.set_defaults(command=commands.predict, embed=False)


def _add_embed(verbs: Any, common: argparse.ArgumentParser) -> None:
    embed = verbs.add_parser(
        "embed", parents=[common], help="the penultimate layer for each FASTA record or image"
    )
    _add_model_options(embed)
    _add_table_options(embed)
    embed.set_defaults(command=commands.predict, embed=True)


def _add_table_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="a FASTA file, plain or gzip, - for standard input; or image files, folders, patterns",
    )
    parser.add_argument(
        "-o", "--output", default="-", help="table, or .npz arrays (default: standard output)"
    )
    parser.add_argument("--jsonl", action="store_true", help="JSON lines, not tab-separated")
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a further input of the model: record name, tab, value; repeatable",
    )
    images = parser.add_argument_group("images")
    images.add_argument("--crop", type=int, metavar="N", help="keep N x N pixels in the middle")
    images.add_argument("--resize", action="store_true", help="to the size that the model takes")


def _add_scan(verbs: Any, common: argparse.ArgumentParser) -> None:
    scan = verbs.add_parser("scan", parents=[common], help="score windows along sequences")
    _add_model_options(scan)
    scan.add_argument("fasta", help="FASTA, plain or gzip; - for standard input")
    scan.add_argument(
        "-o",
        "--output",
        action="append",
        default=[],
        metavar="FILE",
        help=".bw, .bed, .narrowPeak, .parquet or .npz; - for BED on standard output; repeatable",
    )
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
    scan.set_defaults(command=commands.scan)


def _add_segment(verbs: Any, common: argparse.ArgumentParser) -> None:
    segment = verbs.add_parser("segment", parents=[common], help="find objects in images")
    _add_model_options(segment)
    segment.add_argument("images", nargs="+", help="image files, folders or patterns")
    segment.add_argument(
        "-o",
        "--output",
        action="append",
        default=[],
        metavar="FILE",
        help="of a single image: .tif (labels), .geojson, .csv, .parquet, .png (overlay); "
        "repeatable",
    )
    segment.add_argument(
        "-d", "--folder", metavar="DIR", help="write NAME.labels.tif and so on of each image there"
    )
    segment.add_argument(
        "--formats",
        default="tif,geojson,csv,png",
        metavar="LIST",
        help="what to write to the folder (default: tif,geojson,csv,png)",
    )
    segment.add_argument(
        "--skip-done", action="store_true", help="leave out images whose files are in the folder"
    )
    segment.add_argument("--tile", type=int, default=1024, help="side in pixels (default: 1024)")
    segment.add_argument("--overlap", type=int, help="in pixels (default: what makes it exact)")
    segment.add_argument("--level", type=int, default=0, help="of a pyramid (default: 0, all)")
    segment.add_argument("--invert", action="store_true", help="dark objects on bright ground")
    segment.add_argument(
        "--percentiles",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="of grey levels, that become black and white (default: the model's)",
    )
    segment.add_argument("--mask-threshold", type=float, metavar="P", help="default: the model's")
    segment.add_argument("--marker-threshold", type=float, metavar="P", help="default: the model's")
    segment.add_argument("--min-area", type=int, metavar="N", help="pixels (default: the model's)")
    segment.add_argument("--json", action="store_true", help="print the summary as JSON")
    segment.set_defaults(command=commands.segment)


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
        "-o",
        "--output",
        action="append",
        default=[],
        metavar="FILE",
        help=".tsv, .parquet or .npz; - for tab-separated on standard output; repeatable",
    )
    kmers.add_argument("--quiet", action="store_true", help="no progress bar")
    kmers.add_argument("--json", action="store_true", help="print the summary as JSON")
    kmers.set_defaults(command=commands.kmers)


def _add_motifs(verbs: Any, common: argparse.ArgumentParser) -> None:
    motifs = verbs.add_parser("motifs", parents=[common], help="what a network's filters look for")
    motifs.add_argument("model", help="a shipped model's name, a model folder, or a MEME file")
    motifs.add_argument("--against", metavar="MEME", help="known motifs (default: a few)")
    motifs.add_argument("--top", type=int, default=20, help="rows, 0 for all (default: 20)")
    motifs.add_argument("--plot", metavar="PNG", help="draw logos of the best motifs")
    motifs.add_argument("--meme", metavar="FILE", help="write the motifs, named by their matches")
    motifs.add_argument("--json", action="store_true", help="print all motifs as JSON")
    motifs.set_defaults(command=commands.motifs)


def _add_bench(verbs: Any, common: argparse.ArgumentParser) -> None:
    bench = verbs.add_parser("bench", parents=[common], help="throughput and latency of models")
    bench_cli.add_arguments(bench)
    bench.set_defaults(command=bench_cli.run)


def _add_doctor(verbs: Any, common: argparse.ArgumentParser) -> None:
    doctor = verbs.add_parser("doctor", parents=[common], help="what runs on this machine")
    doctor.add_argument(
        "--device", default="auto", help="what must work: auto, cpu, cuda, cuda:N, cuda:N,M"
    )
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.set_defaults(command=commands.doctor)


if __name__ == "__main__":
    raise SystemExit(main())
