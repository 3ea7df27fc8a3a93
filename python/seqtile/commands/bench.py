"""``seqtile bench``: throughput and latency of models."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..outputs import (
    Outputs,
    check_suffix,
    check_targets,
    is_stdout,
    output_errors,
    refuse_overwrite,
    require,
)
from .model_options import add_foreign_options, input_spec
from .printing import print_lines
from .wording import in_options

if TYPE_CHECKING:  # the command line starts without them
    from rich.console import Console

    from ..bench.compare import Comparison
    from ..bench.plan import Plan, Rate
    from ..bench.rows import Document, Row

__all__ = ["add_arguments", "run"]

T = TypeVar("T")

_WIDTH = 100  # of text that goes to no terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``seqtile bench``; lists are separated by commas."""
    parser.add_argument(
        "models", nargs="+", metavar="MODEL", help="a model's name, a model folder, an .onnx file"
    )
    what = parser.add_argument_group("what to measure: every combination of these lists")
    what.add_argument(
        "--batch-size",
        default="1,auto",
        metavar="LIST",
        help="items per request; auto: what predict finds to be the fastest (default: 1,auto)",
    )
    what.add_argument("--length", metavar="LIST", help="of sequences (default: the model's)")
    what.add_argument("--size", metavar="LIST", help="of images, HxW (default: the model's)")
    what.add_argument("--device", default="auto", metavar="LIST", help="auto, cpu, cuda, cuda:N")
    what.add_argument("--precision", default="fp32", metavar="LIST", help="fp32, tf32, fp16, int8")
    what.add_argument(
        "--engine", default="onnxruntime", metavar="LIST", help="onnxruntime, torch, torch-compile"
    )
    what.add_argument(
        "--program",
        metavar="PT2",
        help="of torch: the model as torch.export.save wrote it, same inputs and outputs",
    )
    what.add_argument(
        "--concurrency",
        default="1,lanes",
        metavar="LIST",
        help="clients, each of which waits for its answer; lanes: one that sends many batches at "
        "once, as predict and scan do (default: 1,lanes)",
    )
    what.add_argument(
        "--rate",
        metavar="LIST",
        help="also arrivals at random, requests per second, or 80%% of what the clients reached",
    )
    how = parser.add_argument_group("how")
    how.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="CPU threads of one call (default: what the job may use, shared by the clients)",
    )
    how.add_argument("--seconds", type=float, default=3.0, help="of each measurement (default: 3)")
    how.add_argument(
        "--warm-up",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="at most, until the throughput is stable; 0 for none (default: 10)",
    )
    how.add_argument(
        "--data",
        default="golden",
        metavar="FASTA",
        help="golden: the model's own examples; random; or letters of a FASTA file",
    )
    how.add_argument("--seed", type=int, default=0, help="of inputs and arrivals (default: 0)")
    add_foreign_options(parser)
    out = parser.add_argument_group("output")
    out.add_argument("--json", metavar="FILE", default="", help="write all figures; - to print")
    out.add_argument("--plot", metavar="PNG", help="draw latency against throughput")
    out.add_argument("--profile", action="store_true", help="say what each stage took")
    out.add_argument("--compare", metavar="OLD.json", help="how much faster than that run")
    out.add_argument(
        "--fail-if-slower",
        metavar="P%",
        help="exit 1 if a row is slower by more than that: the upper end of its ratio's 95%% "
        "interval is below 1 - P, or its rate was sustained and is not",
    )
    out.add_argument("--quiet", action="store_true", help="do not say what is being measured")
    parser.set_defaults(wrong=parser.error)


def run(options: argparse.Namespace) -> int:
    """Measure, print, write, compare; the exit status.

    0; 1 if a row is slower than ``--fail-if-slower`` allows, or if that was asked for and no row
    could be judged. A call that makes no sense ends with 2. When it is interrupted or fails on
    the way, the rows measured so far are printed, and no file is written.

    Raises
    ------
    SeqtileError, ValueError, ImportError
        A model, device, precision, engine, shape or file that does not work.
    """
    try:
        plan, bar = _plan(options), _bar(options)
    except ValueError as error:
        options.wrong(in_options(str(error), options.option_names))
        raise
    targets = [target for target in (options.json, options.plot) if target]
    check_targets(targets)
    if options.plot:
        check_suffix(Path(options.plot), [".png"])
        require("matplotlib", f"{options.plot}: a figure")
    from ..bench.compare import compare
    from ..bench.report import print_comparison
    from ..bench.rows import read_document
    from ..models.zoo import model_files

    old = read_document(options.compare) if options.compare else None
    read = [options.compare, options.program, options.data]
    models = (file for model in options.models for file in model_files(model))
    refuse_overwrite([*(name for name in read if name), *models], targets)
    document = _measure(plan, options)
    comparison = None if old is None else compare(document, old)
    _write(document, comparison, options)
    if comparison is None:
        return 0
    console = _console(stderr=_prints_json(options))
    console.print()
    print_comparison(comparison, options.compare, console, bar)
    return 0 if bar is None else _judge(comparison, bar, options)


def _prints_json(options: argparse.Namespace) -> bool:
    return bool(options.json) and is_stdout(options.json)


def _plan(options: argparse.Namespace) -> Plan:
    from ..bench.plan import Plan, Rate
    from ..bench.warm_up import WarmUpRule

    if not 0 <= options.warm_up < float("inf"):
        raise ValueError(f"--warm-up must be 0 or more, not {options.warm_up:g}")
    shapes = [
        *_list("--length", options.length, lambda text: (int(text),)),
        *_list("--size", options.size, _size),
    ]
    rates: list[Rate] = _list("--rate", options.rate, Rate.parse)
    return Plan(
        models=tuple(dict.fromkeys(options.models)),
        batch_sizes=tuple(_list("--batch-size", options.batch_size, _number_or("auto"))),
        shapes=tuple(shapes),
        # a comma before a digit belongs to the device: cuda:0,1
        devices=tuple(dict.fromkeys(re.split(r",(?!\d)", options.device))),
        precisions=tuple(_list("--precision", options.precision, str)),
        engines=tuple(_list("--engine", options.engine, str)),
        concurrencies=tuple(_list("--concurrency", options.concurrency, _number_or("lanes"))),
        rates=tuple(rates),
        threads=options.threads,
        seconds=options.seconds,
        rule=WarmUpRule(most_s=options.warm_up),
        data=options.data,
        seed=options.seed,
        spec=input_spec(options),
        program=None if options.program is None else Path(options.program),
    )


def _list(option: str, text: str | None, read: Callable[[str], T]) -> list[T]:
    """The items of a list, each once."""
    found: dict[T, None] = {}
    for item in [] if text is None else text.split(","):
        try:
            found[read(item.strip())] = None
        except ValueError as error:
            why = "" if "invalid literal" in str(error) else f": {error}"
            raise ValueError(f"{option}: cannot read {item.strip()!r} of {text!r}{why}") from None
    return list(found)


def _number_or(word: str) -> Callable[[str], Any]:
    def read(text: str) -> int | str:
        return word if text == word else int(text)

    return read


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise ValueError("expected height x width as 256x256")
    return int(match[1]), int(match[2])


def _bar(options: argparse.Namespace) -> float | None:
    text = options.fail_if_slower
    if text is None:
        return None
    if options.compare is None:
        raise ValueError("--fail-if-slower goes with --compare OLD.json")
    match = re.fullmatch(r"(\d+(?:\.\d*)?)%", text)
    if match is None or not float(match[1]) < 100:
        raise ValueError(f"--fail-if-slower: expected a percentage below 100 as 10%, not {text!r}")
    return float(match[1]) / 100


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else _WIDTH)


def _measure(plan: Plan, options: argparse.Namespace) -> Document:
    """Rows of the plan; prints them, also when it ends on the way."""
    from ..bench.measure import Bench
    from ..bench.report import print_document

    rows: list[Row] = []
    console = _console(stderr=True)
    status = nullcontext() if options.quiet or not console.is_terminal else console.status("")
    with status as shown:
        bench = Bench(plan, lambda what: None if shown is None else shown.update(what))
        try:
            for row in bench.rows():
                rows.append(row)
        except BaseException:
            if rows and not _prints_json(options):
                document = _document(plan, bench, rows)
                print_document(document, _console(), profile=options.profile)
            raise
    if not rows:
        whys = "; ".join(sorted({skipped["why"] for skipped in bench.skipped}))
        raise ValueError(f"nothing could be measured: {whys}")
    document = _document(plan, bench, rows)
    if not _prints_json(options):
        print_document(document, _console(), profile=options.profile)
    return document


def _document(plan: Plan, bench: Any, rows: list[Row]) -> Document:
    from ..bench.machine import machine, versions
    from ..bench.rows import RULES, Document
    from ..machine.nvml import read_management

    gpus = sorted({row.gpu["name"] for row in rows if row.gpu and row.gpu.get("name")})
    return Document(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=tuple(sys.argv[1:]),
        seed=plan.seed,
        data=plan.data,
        machine={**machine(), "gpus": gpus, "driver": read_management().driver if gpus else None},
        versions=versions(),
        rules={"warm_up": str(plan.rule), **RULES},
        models=bench.models,
        skipped=tuple(bench.skipped),
        rows=tuple(rows),
    )


def _write(document: Document, comparison: Comparison | None, options: argparse.Namespace) -> None:
    from ..bench.plot import draw_bench

    content = document.to_dict()
    if comparison is not None:
        content["comparison"] = {"with": options.compare, **comparison.to_dict()}
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    for name, write in (  # each by itself: figures stay, if there is nothing to draw
        (options.json, lambda file: file.write(text.encode())),
        (options.plot, lambda file: draw_bench(file, document)),
    ):
        if name:
            with Outputs() as files, output_errors(name):
                write(files.open(name))


def _judge(comparison: Comparison, bar: float, options: argparse.Namespace) -> int:
    from ..bench.report import say_slower

    def say(line: str) -> None:
        print_lines(f"seqtile: error: {line}", file=sys.stderr)

    slower, vague = comparison.slower(bar), comparison.undecided
    for row in slower:
        say(say_slower(row, bar))
    if slower:
        return 1
    if len(vague) == len(comparison.rows):
        why = ": too few windows, raise --seconds" if vague else ""
        say(f"no row can be compared with {options.compare}{why}")
        return 1
    return 0
