"""Track files by their suffixes: a module a format, all of one protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ...outputs import check_suffix
from ..block import ScanBlock
from ..peaks import Peak
from .bed import PeakTrack
from .bigwig import BigWigTrack
from .npz import NpzTrack
from .parquet import ParquetTrack

__all__ = ["SUFFIXES", "TrackWriter", "open_track"]


class TrackWriter(Protocol):
    """Takes the blocks of a scan in order, each with the peaks that it completes.

    `close` takes the peaks that the end completes, and makes the file whole. `abort` frees what an
    unfinished file holds; the file is then good for nothing.
    """

    def write(self, block: ScanBlock, peaks: Sequence[Peak] = ()) -> None: ...  # noqa: D102
    def close(self, peaks: Sequence[Peak] = ()) -> None: ...  # noqa: D102
    def abort(self) -> None: ...  # noqa: D102


def _bed(path: Path, lengths: Mapping[str, int]) -> PeakTrack:
    return PeakTrack(path.open("w", encoding="utf-8"))


def _narrow_peak(path: Path, lengths: Mapping[str, int]) -> PeakTrack:
    return PeakTrack(path.open("w", encoding="utf-8"), narrow=True)


_FORMATS: dict[str, Callable[[Path, Mapping[str, int]], TrackWriter]] = {
    ".bw": BigWigTrack,
    ".bigwig": BigWigTrack,
    ".bed": _bed,
    ".narrowpeak": _narrow_peak,
    ".parquet": ParquetTrack,
    ".npz": NpzTrack,
}
SUFFIXES = tuple(_FORMATS)


def open_track(path: Path, target: Path, lengths: Mapping[str, int]) -> TrackWriter:
    """A writer to ``path`` in the format of ``target``'s suffix.

    Parameters
    ----------
    path
        File to write.
    target
        Final name, which tells the format.
    lengths
        Name and length of every sequence, in order.
    """
    return _FORMATS[check_suffix(target, SUFFIXES)](path, lengths)
