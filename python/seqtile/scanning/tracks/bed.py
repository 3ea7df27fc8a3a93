"""BED6 and ENCODE narrowPeak: merged peaks, a line each."""

from __future__ import annotations

import shutil
import tempfile
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

import numpy as np

from ...escaping import escaped
from ..block import ScanBlock
from ..peaks import Peak

__all__ = ["PeakTrack"]


class PeakTrack:
    """BED6 or ENCODE narrowPeak: merged peaks with their summits.

    Parameters
    ----------
    file
        To write to; it stays open.
    narrow
        narrowPeak, which has further columns.
    probability
        Whether scores are known to be probabilities: BED's score of 0 to 1000 is then 1000 times
        the peak's. Else it is that, too, if no peak's lies outside of 0 to 1; if one does it is the
        peak's rank: 1000 times the share of all peaks that are no better. Lines are then written at
        the end.
    """

    def __init__(self, file: BinaryIO, *, narrow: bool = False, probability: bool = True) -> None:
        self._file = file
        self._narrow = narrow
        self._count = 0
        self._shown: Callable[[str], str] = escaped if file.isatty() else str
        self._scores = array("f")
        self._spool: BinaryIO | None = None
        if not probability:
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115

    def write(self, block: ScanBlock, peaks: Sequence[Peak] = ()) -> None:
        """Take the peaks; a line each."""
        self._lines(peaks)

    def close(self, peaks: Sequence[Peak] = ()) -> None:
        """Write the last peaks, or all of them."""
        self._lines(peaks)
        if self._spool is not None:
            self._copy(self._spool)
            self._spool.close()

    def abort(self) -> None:
        """Nothing is open but the file, and the lines that wait for their scores."""
        if self._spool is not None:
            with suppress(OSError):
                self._spool.close()

    def _lines(self, peaks: Sequence[Peak]) -> None:
        file = self._file if self._spool is None else self._spool
        for peak in peaks:
            self._count += 1
            if self._spool is not None:
                self._scores.append(peak.score)
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
            file.write(line.encode("utf-8", "surrogateescape"))

    def _copy(self, spool: BinaryIO) -> None:
        """Copy the lines, each with its rank in the place of its score if that is needed."""
        scores = np.frombuffer(self._scores, np.float32)
        spool.seek(0)
        if not np.any((scores < 0) | (scores > 1)):
            shutil.copyfileobj(spool, self._file)
            return
        no_better = np.searchsorted(np.sort(scores), scores, side="right")
        ranks = np.rint(no_better * (1000 / len(scores))).astype(np.int64)
        after = 5 if self._narrow else 1  # columns
        for line, rank in zip(spool, ranks.tolist(), strict=True):
            before, _, *rest = line.rsplit(b"\t", after + 1)
            self._file.write(b"\t".join([before, str(rank).encode(), *rest]))
