"""``seqtile models``: list the shipped models, show a card, verify files."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import SeqtileError
from ..execution.providers import ON_CPU
from ..models.card import Metric, ModelCard
from ..models.certificate import Certificate
from ..models.contract import Segmentation
from ..models.zoo import card, list_models, model_folder, read_card
from .printing import add_row, print_json, print_lines, print_table, table

__all__ = ["add_arguments", "run"]

_WIDTH = 140  # of tables that go to no terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions of ``models``, and their arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(act=_list)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    listing = actions.add_parser("list", help="all models (the default)")
    show = actions.add_parser("show", help="one model's card")
    verify = actions.add_parser("verify", help="checksums and golden outputs")
    for action in (listing, show, verify):
        action.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="print JSON"
        )
    show.add_argument("name", help="a model's name or folder")
    show.set_defaults(act=_show)
    verify.add_argument("names", nargs="*", help="names or folders (default: all models)")
    verify.set_defaults(act=_verify)


def run(options: argparse.Namespace) -> int | None:
    """Do what is asked of the models; the exit status is 1 if one does not verify."""
    status: int | None = options.act(options)
    return status


def _figure(metric: Metric) -> str:
    interval = f" [{metric.ci95[0]:.3f}, {metric.ci95[1]:.3f}]" if metric.ci95 else ""
    return f"{metric.value:.3f}{interval}"


def _list(options: argparse.Namespace) -> None:
    cards = [card(name) for name in list_models()]
    if options.json:
        print_json([c.to_dict() for c in cards])
        return
    rows = table("model", "task", "input", "metric", "size")
    for c in cards:
        metric = c.metrics[0]
        size = (model_folder(c.name) / "model.onnx").stat().st_size
        add_row(
            rows,
            c.name,
            c.task,
            _inputs(c),
            f"{metric.name} {_figure(metric)} ({metric.split})",
            f"{size / 1000:,.0f} kB",
        )
    print_table(rows, width=_WIDTH)


def _inputs(c: ModelCard) -> str:
    return ", ".join([_first_input(c), *(t.name for t in c.inputs if t.kind == "number")])


def _first_input(c: ModelCard) -> str:
    first = c.first
    if first.kind == "image":
        size = "any size" if None in first.size else " x ".join(map(str, first.size))
        return f"{'RGB' if len(first.shape) == 4 else 'grey'} image {size}"
    return f"{first.alphabet.upper()} {c.window or 'any length'}"


def _show(options: argparse.Namespace) -> None:
    folder = _folder(options.name)
    c = read_card(folder)
    if options.json:
        print_json(c.to_dict())
        return
    print_lines(f"{c.name} {c.version}: {c.summary}", "")
    for label, tensors in (("input", c.inputs), ("output", c.outputs)):
        for t in tensors:
            axes = ", ".join(map(str, t.shape))
            print_lines(f"{label:<12} {t.name} {t.dtype} ({axes}): {t.meaning}")
    print_lines(f"{'network':<12} {c.architecture} ({c.parameters:,} parameters)")
    if c.threshold is not None:
        print_lines(f"{'threshold':<12} {c.threshold.value:.4f}, {c.threshold.chosen}")
    if c.segmentation is not None:
        print_lines(f"{'objects':<12} {_objects(c.segmentation)}")
    print_lines(f"{'data':<12} {c.data.get('name', '')}; {c.data.get('source', '')}")
    certified = ", ".join(Certificate.read(folder).precisions)
    print_lines(f"{'precisions':<12} {certified or 'none certified'}")
    print_lines(f"{'sha256':<12} {c.sha256}", "")
    rows = table("metric", "split", "n", "value [95% interval]", "")
    for metric in c.metrics:
        add_row(rows, metric.name, metric.split, f"{metric.n:,}", _figure(metric), metric.note)
    for base in c.baselines:
        add_row(
            rows, base.name, base.split, f"{base.n:,}", _figure(base), f"baseline: {base.method}"
        )
    print_table(rows, width=_WIDTH)
    print_lines("", "limits:", *(f"- {limit}" for limit in c.limits))


def _objects(s: Segmentation) -> str:
    """How objects follow from the outputs."""
    grown = f"{s.marker} > {s.marker_threshold}, grown by {s.reach} pixels in " if s.marker else ""
    return (
        f"{grown}{s.mask} > {s.mask_threshold}, of {s.min_area} pixels and more; grey levels from "
        f"percentile {s.percentiles[0]} to {s.percentiles[1]}"
        + (f", at least {s.noise_floor:g} times the noise" if s.noise_floor else "")
    )


def _folder(name: str) -> Path:
    return Path(name) if Path(name).is_dir() else model_folder(name)


def _verify(options: argparse.Namespace) -> int:
    """Load models (default: all): checksum, contract, golden outputs. Status 1 if one fails.

    Of a precision that the CPU has not, the checksum alone.
    """
    from ..models.loading import load, model_bytes

    status = 0
    for name in options.names or list_models():
        others = []
        try:
            predictor = load(name, device="cpu")
            folder = _folder(name)
            for precision in Certificate.read(folder).precisions:
                if precision in ON_CPU:
                    load(name, device="cpu", precision=precision)
                else:
                    model_bytes(folder, read_card(folder), precision)
                others.append(precision)
        except SeqtileError as error:
            status = 1
            print_lines(f"{name}: FAILED: {error}")
        else:
            print_lines(
                f"{name}: ok, sha256 {predictor.sha256[:12]}…, golden outputs reproduced; "
                f"certified: {', '.join(others) or 'nothing'}"
            )
    return status
