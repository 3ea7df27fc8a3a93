"""A figure of a scan: the track along each sequence, with its peaks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..escaping import escaped, in_utf8
from .block import ScanBlock
from .peaks import Peak
from .scanner import Scan

__all__ = ["TrackFigure"]

_PANELS = 8  # longest sequences drawn
_BINS = 1500  # points along the widest panel
_TRACK, _PEAK, _MUTED, _GRID = "#2a6f97", "#c1440e", "#5c6770", "#dfe4e8"
_PLACE = re.compile(r"(.+):(\d+)-(\d+)")


@dataclass
class _Panel:
    """The largest score of each bin of one sequence."""

    name: str
    length: int
    bins: NDArray[np.float32]
    peaks: list[Peak]

    @property
    def offset(self) -> int:
        """Where the sequence begins, if its name tells (``chr22:100-200``)."""
        match = _PLACE.fullmatch(self.name)
        if match and int(match[3]) - int(match[2]) == self.length:
            return int(match[2])
        return 0


def _drawn(name: str) -> str:
    """A name as fonts can show it, and short."""
    text = in_utf8(escaped(name[:81]))
    return text if len(text) <= 80 else f"{text[:77]}..."


class TrackFigure:
    """A track writer that draws a PNG; its memory is that of the figure.

    Parameters
    ----------
    file
        To write to, as PNG.
    scan
        Tells the sequences; the longest eight are drawn.
    threshold
        Smallest score inside a peak; None if there are no peaks.
    """

    def __init__(self, file: BinaryIO, scan: Scan, threshold: float | None) -> None:
        self._file = file
        self._title = f"{scan.predictor.name}, {scan.predictor.outputs[0]} per window"
        self._detail = (
            f"window {scan.window}, stride {scan.stride}, strand {scan.strand}"
            + (f", {scan.reduce} over windows" if scan.reduce else "")
            + ("" if threshold is None else f"; peaks at {threshold:.2f} and above")
        )
        self._threshold = threshold
        scanned = {name: scan.fasta.lengths[name] for name in scan.names}
        drawn = set(sorted(scanned, key=scanned.__getitem__, reverse=True)[:_PANELS])
        self._left_out = len(scanned) - len(drawn)
        longest = max((scanned[name] for name in drawn), default=1)
        self._panels = {}
        for name, length in scanned.items():
            if name in drawn:
                step = 1 if scan.reduce else scan.stride
                count = max(1, min(round(_BINS * length / longest), length // step))
                bins = np.full(count, np.nan, np.float32)
                self._panels[name] = _Panel(name, length, bins, [])

    def write(self, block: ScanBlock, peaks: Sequence[Peak] = ()) -> None:
        """Fold the block's scores into their bins."""
        self._keep(peaks)
        panel = self._panels.get(block.chrom)
        if panel is None or not len(block.scores):
            return
        middles = (block.starts + block.ends) // 2
        places = np.clip(middles * len(panel.bins) // panel.length, 0, len(panel.bins) - 1)
        np.fmax.at(panel.bins, places, block.scores)

    def close(self, peaks: Sequence[Peak] = ()) -> None:
        """Draw."""
        self._keep(peaks)
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        panels = list(self._panels.values())
        rows = max(1, len(panels))
        figure = Figure(figsize=(10, 0.9 + 1.05 * rows), dpi=150, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        longest = max((panel.length for panel in panels), default=1)
        axes = figure.subplots(rows, 1, squeeze=False)[:, 0]
        for axis, panel in zip(axes, panels, strict=False):
            self._draw(axis, panel, longest)
        left_out = f"; {self._left_out} shorter sequences not drawn" if self._left_out else ""
        figure.suptitle(
            f"{_drawn(self._title)}\n{self._detail}{left_out}",
            x=0.01,
            parse_math=False,
            ha="left",
            fontsize=9,
            color=_MUTED,
        )
        canvas.print_figure(self._file, format="png")

    def abort(self) -> None:
        """Nothing is open before `close`."""

    def _keep(self, peaks: Sequence[Peak]) -> None:
        for peak in peaks:
            if peak.chrom in self._panels:
                self._panels[peak.chrom].peaks.append(peak)

    def _draw(self, axis: Any, panel: _Panel, longest: int) -> None:
        offset, unit, factor = panel.offset, "kb", 1e3
        if offset + panel.length >= 1_000_000:
            unit, factor = "Mb", 1e6
        edges = np.linspace(0, panel.length, len(panel.bins) + 1)
        x = (offset + (edges[1:] + edges[:-1]) / 2) / factor
        axis.fill_between(x, 0, panel.bins, color=_TRACK, alpha=0.25, linewidth=0)
        axis.plot(x, panel.bins, color=_TRACK, linewidth=0.6)
        ends = [offset / factor, (offset + panel.length) / factor]
        if self._threshold is not None:
            at = [self._threshold] * 2
            axis.plot(ends, at, color=_MUTED, linewidth=0.6, linestyle=(0, (4, 3)))
        scores = panel.bins[~np.isnan(panel.bins)].tolist()
        low, high = min([0.0, *scores]), max([1.0, *scores])
        height = high - low
        for peak in panel.peaks:
            place = (offset + peak.summit) / factor
            above = peak.score + 0.07 * height
            axis.plot(place, above, marker="v", color=_PEAK, markersize=3.5)
        axis.set_xlim(offset / factor, (offset + longest) / factor)
        axis.set_ylim(low, low + 1.15 * height)
        if (low, high) == (0, 1):
            axis.set_yticks([0, 0.5, 1])
        axis.tick_params(labelsize=7, colors=_MUTED, length=2)
        axis.ticklabel_format(axis="x", useOffset=False, style="plain")
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            axis.spines[side].set_color(_GRID)
        count = len(panel.peaks)
        peaks = f"   {count} peak{'' if count == 1 else 's'}" if self._threshold is not None else ""
        axis.set_title(
            f"{_drawn(panel.name)}{peaks}   ({unit})",
            loc="left",
            fontsize=7.5,
            pad=2,
            parse_math=False,
        )
