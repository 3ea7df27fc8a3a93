"""Peaks: runs of bases whose scores reach a threshold, near ones merged."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .block import ScanBlock

__all__ = ["Peak", "PeakCaller"]


@dataclass(frozen=True, slots=True)
class Peak:
    """Scored bases at or above the threshold, and the small gaps between them.

    Attributes
    ----------
    chrom, start, end
        0-based, half-open.
    summit
        Base at the middle of the best window's bases; the first of the best ones.
    score
        The best score.
    strand
        ``"+"`` or ``"-"``: the strand of the best window; ``"."`` for reduced scores.
    """

    chrom: str
    start: int
    end: int
    summit: int
    score: float
    strand: str


class PeakCaller:
    """Merges scores into peaks block by block; a peak may span blocks that touch.

    Parameters
    ----------
    threshold
        Smallest score of a run.
    gap
        Largest number of bases, scored or not, between two runs of one peak.
    """

    def __init__(self, threshold: float, gap: int = 0) -> None:
        if gap < 0:
            raise ValueError(f"merge_gap must not be negative, not {gap}")
        self.threshold = threshold
        self.gap = gap
        self._open: Peak | None = None
        self._before: tuple[str, int] | None = None  # where the last block ended

    def add(self, block: ScanBlock) -> list[Peak]:
        """Peaks that are complete now that this block has come."""
        above = np.concatenate([[False], block.scores >= self.threshold, [False]])
        edges = np.flatnonzero(above[1:] != above[:-1])
        starts, ends = block.starts, block.ends
        done = []
        if (block.chrom, block.start) != self._before:  # bases between blocks are not written
            done = self.finish()
            self._open = None
        self._before = (block.chrom, block.end)
        for begin, stop in edges.reshape(-1, 2).tolist():
            best = begin + int(np.argmax(block.scores[begin:stop]))
            strand = "." if block.strands is None else "+-"[int(block.strands[best] < 0)]
            peak = Peak(
                block.chrom,
                int(starts[begin]),
                int(ends[stop - 1]),
                int(starts[best] + ends[best]) // 2,
                float(block.scores[best]),
                strand,
            )
            before = self._open
            if before is None:
                self._open = peak
            elif before.chrom == peak.chrom and peak.start - before.end <= self.gap:
                better = peak if peak.score > before.score else before
                self._open = replace(better, start=before.start, end=peak.end)
            else:
                done.append(before)
                self._open = peak
        return done

    def finish(self) -> list[Peak]:
        """The last peak, if there is one."""
        return [self._open] if self._open else []
