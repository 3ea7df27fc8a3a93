"""BED6 and ENCODE narrowPeak: merged peaks, a line each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from ...escaping import escaped
from ..block import ScanBlock
from ..peaks import Peak

__all__ = ["PeakTrack"]


class PeakTrack:
    """BED6 or ENCODE narrowPeak: merged peaks with their summits."""

    def __init__(self, file: BinaryIO, *, narrow: bool = False) -> None:
        self._file = file
        self._narrow = narrow
        self._count = 0
        self._shown: Callable[[str], str] = escaped if file.isatty() else str

    def write(self, block: ScanBlock, peaks: Sequence[Peak] = ()) -> None:
        """Write the peaks; a line each."""
        self._lines(peaks)

    def close(self, peaks: Sequence[Peak] = ()) -> None:
        """Write the last peaks."""
        self._lines(peaks)

    def abort(self) -> None:
        """Nothing is open but the file."""

    def _lines(self, peaks: Sequence[Peak]) -> None:
        for peak in peaks:
            self._count += 1
            score = min(1000, max(0, int(peak.score * 1000)))
            fields: list[Any] = [
                self._shown(peak.chrom),
                peak.start,
                peak.end,
                f"peak_{self._count}",
                score,
                peak.strand,
            ]
            if self._narrow:
                # signalValue, then p and q values (-1: none), then the summit from the start.
                fields += [f"{peak.score:.6g}", -1, -1, peak.summit - peak.start]
            line = "\t".join(map(str, fields)) + "\n"
            self._file.write(line.encode("utf-8", "surrogateescape"))
