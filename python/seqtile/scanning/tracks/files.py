"""Track files by their suffixes: a module a format, all of one protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO, Protocol

from ..block import ScanBlock
from ..peaks import Peak
from .bed import PeakTrack
from .bigwig import BigWigTrack
from .npz import NpzTrack
from .parquet import ParquetTrack

__all__ = ["PEAKS", "SUFFIXES", "TrackWriter", "open_track"]


class TrackWriter(Protocol):
    """Takes the blocks of a scan in order, each with the peaks that it completes.

    `close` takes the peaks that the end completes, and makes the file whole. `abort` frees what an
    unfinished file holds; the file is then good for nothing.
    """

    def write(self, block: ScanBlock, peaks: Sequence[Peak] = ()) -> None: ...  # noqa: D102
    def close(self, peaks: Sequence[Peak] = ()) -> None: ...  # noqa: D102
    def abort(self) -> None: ...  # noqa: D102


# Of scores, and of peaks: whether they are narrowPeak.
_SCORES: dict[str, Callable[[BinaryIO, Mapping[str, int]], TrackWriter]] = {
    ".bw": BigWigTrack,
    ".bigwig": BigWigTrack,
    ".parquet": ParquetTrack,
    ".npz": NpzTrack,
}
PEAKS = {".bed": False, ".narrowpeak": True}
SUFFIXES = (".bw", ".bigwig", *PEAKS, ".parquet", ".npz")


def open_track(
    file: BinaryIO, suffix: str, lengths: Mapping[str, int], *, probability: bool = True
) -> TrackWriter:
    """A writer to a file, in the format of one of the `SUFFIXES`.

    Parameters
    ----------
    file
        To write to; it stays open.
    suffix
        In small letters.
    lengths
        Name and length of every sequence, in order.
    probability
        Of peaks; see `PeakTrack`.
    """
    if suffix in PEAKS:
        return PeakTrack(file, narrow=PEAKS[suffix], probability=probability)
    return _SCORES[suffix](file, lengths)
