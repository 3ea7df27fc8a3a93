"""What the command line prints: tables, summaries, progress."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.table import Table

from ..doctor import Diagnosis
from ..errors import SeqtileError
from ..machine.devices import ON_CPU
from ..models.card import Metric, ModelCard, Segmentation
from ..models.certificate import Certificate
from ..models.zoo import card, list_models, model_folder, read_card
from .doctor import print_diagnosis
from .progress import progress

if TYPE_CHECKING:  # both import onnxruntime, whose lack doctor tells
    from ..scanning.report import ScanReport
    from ..scanning.scanner import Scan

__all__ = ["diagnosis", "model", "models", "progress", "scan_report", "verify"]


_LISTED = 5  # sequences without a score that are named


def _print(text: str, file: TextIO | None = None) -> None:
    print(text, file=file or sys.stdout)


def _json(content: Any, file: TextIO | None = None) -> None:
    _print(json.dumps(content, indent=2), file)


def _figure(metric: Metric) -> str:
    interval = f" [{metric.ci95[0]:.3f}, {metric.ci95[1]:.3f}]" if metric.ci95 else ""
    return f"{metric.value:.3f}{interval}"


def models(*, as_json: bool) -> None:
    """The shipped models."""
    cards = [card(name) for name in list_models()]
    if as_json:
        _json([c.to_dict() for c in cards])
        return
    table = Table("model", "task", "input", "metric", "size", box=None, pad_edge=False)
    for c in cards:
        metric = c.metrics[0]
        size = (model_folder(c.name) / "model.onnx").stat().st_size
        table.add_row(
            c.name,
            c.task,
            _inputs(c),
            f"{metric.name} {_figure(metric)} ({metric.split})",
            f"{size / 1000:,.0f} kB",
        )
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _inputs(c: ModelCard) -> str:
    return ", ".join([_first_input(c), *(tensor.name for tensor in c.inputs[1:])])


def _first_input(c: ModelCard) -> str:
    first = c.inputs[0]
    if c.takes == "images":
        fixed = all(isinstance(axis, int) for axis in first.shape[1:3])
        size = " x ".join(map(str, first.shape[1:3])) if fixed else "any size"
        return f"{'RGB' if len(first.shape) == 4 else 'grey'} image {size}"
    return f"{first.alphabet.upper()} {c.window or 'any length'}"


def model(name: str, *, as_json: bool) -> None:
    """One card."""
    c = _card(name)
    if as_json:
        _json(c.to_dict())
        return
    _print(f"{c.name} {c.version}: {c.summary}\n")
    for label, tensors in (("input", c.inputs), ("output", c.outputs)):
        for t in tensors:
            axes = ", ".join(map(str, t.shape))
            _print(f"{label:<12} {t.name} {t.dtype} ({axes}): {t.meaning}")
    _print(f"{'network':<12} {c.architecture} ({c.parameters:,} parameters)")
    if c.threshold is not None:
        _print(f"{'threshold':<12} {c.threshold.value:.4f}, {c.threshold.chosen}")
    if c.segmentation is not None:
        _print(f"{'objects':<12} {_objects(c.segmentation)}")
    _print(f"{'data':<12} {c.data.get('name', '')}; {c.data.get('source', '')}")
    certified = ", ".join(Certificate.read(_folder(name)).precisions)
    _print(f"{'precisions':<12} {certified or 'none certified'}")
    _print(f"{'sha256':<12} {c.sha256}\n")
    table = Table("metric", "split", "n", "value [95% interval]", "", box=None, pad_edge=False)
    for metric in c.metrics:
        table.add_row(metric.name, metric.split, f"{metric.n:,}", _figure(metric), metric.note)
    for base in c.baselines:
        table.add_row(
            base.name, base.split, f"{base.n:,}", _figure(base), f"baseline: {base.method}"
        )
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    _print("\nlimits:")
    for limit in c.limits:
        _print(f"- {limit}")


def _objects(s: Segmentation) -> str:
    """How objects follow from the outputs."""
    grown = f"{s.marker} > {s.marker_threshold}, grown by {s.reach} pixels in " if s.marker else ""
    return (
        f"{grown}{s.mask} > {s.mask_threshold}, of {s.min_area} pixels and more; grey levels from "
        f"percentile {s.percentiles[0]} to {s.percentiles[1]}"
    )


def _folder(name: str) -> Path:
    return Path(name) if Path(name).is_dir() else model_folder(name)


def _card(name: str) -> ModelCard:
    return read_card(_folder(name))


def verify(names: list[str]) -> int:
    """Load models (default: all): checksum, contract, golden outputs. Status 1 if one fails.

    Of a precision that the CPU has not, the checksum alone.
    """
    from ..models.loading import load, model_bytes

    status = 0
    for name in names or list_models():
        others = []
        try:
            predictor = load(name, device="cpu")
            folder = _folder(name)
            for precision in Certificate.read(folder).precisions:
                if precision in ON_CPU:
                    load(name, device="cpu", precision=precision)
                else:
                    model_bytes(folder, _card(name), precision)
                others.append(precision)
        except SeqtileError as error:
            status = 1
            _print(f"{name}: FAILED: {error}")
        else:
            _print(
                f"{name}: ok, sha256 {predictor.sha256[:12]}…, golden outputs reproduced; "
                f"certified: {', '.join(others) or 'nothing'}"
            )
    return status


def scan_report(report: ScanReport, work: Scan, *, as_json: bool, file: TextIO) -> None:
    """The summary of a scan."""
    predictor = work.predictor
    if as_json:
        _json({"model": predictor.name, "device": predictor.device, **report.to_dict()}, file)
        return
    rate = report.bases / report.seconds / 1e3 if report.seconds else 0
    _print(
        f"{predictor.name} on {predictor.device}"
        + (f" ({predictor.threads} threads)" if predictor.device == "cpu" else "")
        + f": window {work.window}, stride {work.stride}, strand {work.strand}",
        file,
    )
    _print(
        f"scanned   {report.bases:,} bases of {len(work.names)} sequences, "
        f"{report.windows:,} windows in {report.seconds:.1f} s ({rate:,.0f} kbases/s)",
        file,
    )
    if report.unknown_windows:
        _print(
            f"no score  {report.unknown_windows:,} windows with more than {work.max_n} "
            "non-ACGT letters",
            file,
        )
    for name, length in list(report.short.items())[:_LISTED]:
        _print(f"no score  {name}: {length} bases, shorter than the window", file)
    if len(report.short) > _LISTED:
        _print(f"no score  and {len(report.short) - _LISTED:,} more sequences as short", file)
    shown = f", the best {len(report.top)}:" if report.top else ""
    _print(f"peaks     {report.peaks:,} at {report.threshold:.3f} and above{shown}", file)
    if report.top:
        width = max(len(p.chrom) for p in report.top)
        _print(f"  {'0-based':<{width}}      start        end     summit      score", file)
        for p in report.top:
            places = f"{p.start:>9}  {p.end:>9}  {p.summit:>9}"
            _print(f"  {p.chrom:<{width}}  {places}  {p.strand}  {p.score:.4f}", file)
    for output in report.outputs:
        _print(f"wrote     {output}", file)


def diagnosis(found: Diagnosis, *, as_json: bool) -> None:
    """The state of the installation."""
    if as_json:
        _json(found.to_dict())
        return
    print_diagnosis(found)
