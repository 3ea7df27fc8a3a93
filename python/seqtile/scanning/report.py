"""Run a scan into files: tracks, figure, manifest, summary."""

from __future__ import annotations

import heapq
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..manifest import Checksum, check_manifest, manifest, manifest_beside, write_manifest
from ..models.contract import Contract
from ..outputs import Outputs, check_suffix, is_stdout, is_stream, output_errors, require
from .block import ScanBlock
from .peaks import Peak, PeakCaller
from .plot import TrackFigure
from .scanner import Scan
from .tracks.files import PEAKS, SUFFIXES, TrackWriter, open_track

__all__ = ["ScanReport", "write_scan"]


@dataclass(frozen=True)
class ScanReport:
    """What a scan did.

    Attributes
    ----------
    bases
        Bases of the scanned sequences or regions.
    windows, unknown_windows
        Windows looked at, and those of them without a score for their non-ACGT letters.
    not_finite
        Windows without a score since the model's answer is NaN or infinite.
    short
        Name and length of sequences shorter than the window.
    threshold
        Smallest score inside a peak; None if none was given and the model has none.
    peaks
        Number of peaks; 0 without a threshold.
    top
        The best of them, best first.
    seconds
        Wall time.
    outputs
        Files written.
    """

    bases: int
    windows: int
    unknown_windows: int
    not_finite: int
    short: dict[str, int]
    threshold: float | None
    peaks: int
    top: list[Peak]
    seconds: float
    outputs: list[str]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


def write_scan(
    scan: Scan,
    outputs: Sequence[str | os.PathLike[str]],
    *,
    threshold: float | None = None,
    merge_gap: int | None = None,
    plot: str | os.PathLike[str] | None = None,
    top: int = 10,
    checksum: Checksum | None = None,
    progress: Callable[[int], object] | None = None,
) -> ScanReport:
    """Run a scan and write its tracks, each with a manifest beside it.

    Parameters
    ----------
    scan
        From `seqtile.scan`.
    outputs
        Paths whose suffixes tell the formats (``.bw``, ``.bed``, ``.narrowPeak``, ``.parquet``,
        ``.npz``); ``"-"`` writes BED to standard output. All appear when all are whole, or none;
        pipes and devices are written to, without a manifest.
    threshold
        Smallest score inside a peak; default: the contract's decision threshold. Without one there
        are no peaks.
    merge_gap
        Largest number of bases between two runs above the threshold that count as one peak;
        default: the window, for nearer runs share letters.
    plot
        PNG of the tracks with their peaks.
    top
        Number of best peaks to report.
    checksum
        Of the input, for the manifest.
    progress
        Called with the number of windows done after every block.

    Raises
    ------
    OutputError
        A folder missing or not writable, a disk that is full; nothing is left behind. A pipe for
        a format whose writer goes back; a file in a manifest's place that is none.
    ValueError
        An unknown suffix, a file of peaks without a threshold.
    """
    contract = scan.predictor.contract
    if threshold is None and contract.threshold is not None:
        threshold = contract.threshold.value
    if threshold is not None and math.isnan(threshold):
        raise ValueError("threshold must be a number, not nan")
    if top < 0:
        raise ValueError(f"top must not be negative, not {top}")
    if plot is not None and Path(plot).suffix.lower() != ".png":
        raise ValueError(f"{os.fspath(plot)}: a figure is a .png file")
    names = [os.fspath(output) for output in outputs]
    suffixes = [check_suffix(name, SUFFIXES, stream=".bed") for name in names]
    for name, suffix in zip(names, suffixes, strict=True):
        if suffix in PEAKS and threshold is None:
            raise ValueError(
                f"{name}: {contract.name} has no decision threshold, so that nothing is a peak: "
                "say from which score on with --threshold"
            )
    with_manifest = [Path(name) for name in names if not is_stream(name)]
    for path in with_manifest:
        check_manifest(manifest_beside(path))
    if plot is not None:
        require("matplotlib", f"{os.fspath(plot)}: a figure")
    started = time.perf_counter()
    probability = is_probability(contract)
    gap = scan.window if merge_gap is None else merge_gap
    caller = PeakCaller(math.inf if threshold is None else threshold, gap)
    best = _Best(top)
    writers: list[_Guarded] = []
    with Outputs() as files:
        try:
            lengths = scan.fasta.lengths
            for name, suffix in zip(names, suffixes, strict=True):
                opener: Callable[[], TrackWriter] = partial(
                    open_track, files.open(name), suffix, lengths, probability=probability
                )
                writers.append(_Guarded(name, opener))
            if plot is not None:
                opener = partial(TrackFigure, files.open(plot), scan, threshold)
                writers.append(_Guarded(plot, opener))
            for block in scan:
                peaks = caller.add(block)
                for writer in writers:
                    writer.write(block, peaks)
                best.add(peaks)
                if progress is not None:
                    progress(scan.done_windows)
            peaks = caller.finish()
            for writer in writers:
                writer.close(peaks)
            best.add(peaks)
        except BaseException:
            for writer in writers:
                writer.abort()
            raise
        report = ScanReport(
            bases=scan.total_bases,
            windows=scan.done_windows,
            unknown_windows=scan.unknown_windows,
            not_finite=scan.not_finite,
            short=scan.short,
            threshold=threshold,
            peaks=best.count,
            top=best.sorted(),
            seconds=time.perf_counter() - started,
            outputs=[
                *(name for name in names if not is_stdout(name)),
                *([os.fspath(plot)] if plot is not None else []),
            ],
        )
        content = _manifest(scan, report, gap, checksum) if with_manifest else {}
        for target in map(manifest_beside, with_manifest):
            with output_errors(target):
                write_manifest(files.open(target), content)
    return report


def is_probability(contract: Contract) -> bool:
    """Whether a contract says that the model's score is a probability: by its threshold."""
    first = contract.outputs[0]
    measured = first.transform or any(first.units)
    return contract.threshold is not None and 0 < contract.threshold.value < 1 and not measured


class _Guarded:
    """A track writer whose failures name their file."""

    def __init__(self, name: object, open_writer: Callable[[], TrackWriter]) -> None:
        self._name = name
        with output_errors(name):
            self._writer = open_writer()

    def write(self, block: ScanBlock, peaks: Sequence[Peak]) -> None:
        with output_errors(self._name):
            self._writer.write(block, peaks)

    def close(self, peaks: Sequence[Peak]) -> None:
        with output_errors(self._name):
            self._writer.close(peaks)

    def abort(self) -> None:
        self._writer.abort()


class _Best:
    """The best peaks, and the number of all."""

    def __init__(self, limit: int) -> None:
        self.count = 0
        self._limit = limit
        self._heap: list[tuple[float, int, Peak]] = []

    def add(self, peaks: list[Peak]) -> None:
        for peak in peaks:
            self.count += 1
            heapq.heappush(self._heap, (peak.score, -self.count, peak))
            if len(self._heap) > self._limit:
                heapq.heappop(self._heap)

    def sorted(self) -> list[Peak]:
        return [peak for _, _, peak in sorted(self._heap, reverse=True)]


def _manifest(
    scan: Scan, report: ScanReport, merge_gap: int, checksum: Checksum | None
) -> dict[str, Any]:
    first = scan.predictor.contract.first
    return manifest(
        scan.predictor,
        source={
            "input": {
                "name": first.name,
                "layout": first.layout,
                "alphabet": first.alphabet,
                "unknown": first.unknown,
            },
            "output": {"name": scan.predictor.outputs[0], "target": 0},
            "genome": {
                "name": scan.fasta.name,
                "sha256": checksum.hexdigest() if checksum else None,
                "sequences": len(scan.fasta),
                "bases": sum(scan.fasta.lengths.values()),
            },
        },
        parameters={
            "window": scan.window,
            "stride": scan.stride,
            "strand": scan.strand,
            "reduce": scan.reduce,
            "max_n": scan.max_n,
            "batch_size": scan.batch_size,
            "regions": scan.regions,
            "threshold": report.threshold,
            "merge_gap": merge_gap,
        },
        profile=scan.profile.to_dict(),
        results={"report": report.to_dict()},
    )
