"""Track files: bigWig, BED, narrowPeak, Parquet and npz, written block by block."""

from __future__ import annotations

import sys
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

from .outputs import require
from .peaks import Peak, PeakCaller
from .scanner import ScanBlock

__all__ = ["SUFFIXES", "TrackWriter", "open_track"]


class TrackWriter(Protocol):
    """Takes the blocks of a scan in order; the file is whole after `close`.

    `abort` frees what an unfinished file holds; the file is then good for nothing.
    """

    def write(self, block: ScanBlock) -> None: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102
    def abort(self) -> None: ...  # noqa: D102


class BigWigTrack:
    """bigWig through pyBigWig: bases without a score are absent."""

    def __init__(self, path: Path, lengths: Mapping[str, int], threshold: float) -> None:
        import pyBigWig

        sizes = [(name, length) for name, length in lengths.items() if length > 0]
        if not sizes:
            raise OSError("a bigWig needs a sequence that is not empty")
        self._path = path
        self._bases = 0
        self._module = pyBigWig
        try:
            self._file = pyBigWig.open(str(path), "w")
        except RuntimeError as error:
            raise OSError(f"pyBigWig: {error}") from None
        self._file.addHeader(sizes)

    def write(self, block: ScanBlock) -> None:
        """Add a block: runs of equal steps as fixedStep, clipped ends as intervals."""
        starts, ends = block.starts, block.ends
        regular = (ends - starts == block.step) & ~np.isnan(block.scores)
        try:
            edges = np.concatenate([[False], regular, [False]])
            runs = np.flatnonzero(edges[1:] != edges[:-1]).reshape(-1, 2).tolist()
            clipped = np.flatnonzero(~regular & ~np.isnan(block.scores) & (ends > starts))
            pieces = sorted([*runs, *([i, i + 1] for i in clipped.tolist())])
            for begin, stop in pieces:
                if stop - begin == 1:
                    self._file.addEntries(
                        [block.chrom],
                        [int(starts[begin])],
                        ends=[int(ends[begin])],
                        values=[float(block.scores[begin])],
                    )
                else:
                    self._file.addEntries(
                        block.chrom,
                        int(starts[begin]),
                        values=block.scores[begin:stop],
                        span=block.step,
                        step=block.step,
                    )
                self._bases += int(ends[stop - 1] - starts[begin])
        except RuntimeError as error:
            raise OSError(f"pyBigWig: {error}") from None

    def close(self) -> None:
        """Write the index and check the file: the library does not report every failed write."""
        with suppress(RuntimeError):
            self._file.close()
        try:
            with self._module.open(str(self._path)) as file:
                written = int(file.header()["nBasesCovered"])
        except RuntimeError:
            written = -1
        if written != self._bases:
            raise OSError("the bigWig was not written whole: is the disk full?")

    def abort(self) -> None:
        """Close the handle."""
        with suppress(RuntimeError):
            self._file.close()


class PeakTrack:
    """BED6 or ENCODE narrowPeak: merged peaks with their summits."""

    def __init__(self, file: TextIO, threshold: float, *, narrow: bool = False) -> None:
        self._file = file
        self._caller = PeakCaller(threshold)
        self._narrow = narrow
        self._count = 0

    def write(self, block: ScanBlock) -> None:
        """Write the peaks that this block completes."""
        self._lines(self._caller.add(block))

    def close(self) -> None:
        """Write the last peak."""
        self._lines(self._caller.finish())
        if self._file is sys.stdout:
            self._file.flush()
        else:
            self._file.close()

    def abort(self) -> None:
        """Close the handle."""
        if self._file is not sys.stdout:
            with suppress(OSError):
                self._file.close()

    def _lines(self, peaks: list[Peak]) -> None:
        for peak in peaks:
            self._count += 1
            score = min(1000, max(0, int(peak.score * 1000)))
            fields: list[Any] = [
                peak.chrom, peak.start, peak.end, f"peak_{self._count}", score, peak.strand
            ]  # fmt: skip
            if self._narrow:
                # signalValue, then p and q values (-1: none), then the summit from the start.
                fields += [f"{peak.score:.6g}", -1, -1, peak.summit - peak.start]
            self._file.write("\t".join(map(str, fields)) + "\n")


class ParquetTrack:
    """Parquet through pyarrow: chrom, start, end, score, strand; a row per score."""

    def __init__(self, path: Path, lengths: Mapping[str, int], threshold: float) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._pa = pa
        self._schema = pa.schema(
            [
                ("chrom", pa.dictionary(pa.int32(), pa.string())),
                ("start", pa.int64()),
                ("end", pa.int64()),
                ("score", pa.float32()),
                ("strand", pa.dictionary(pa.int8(), pa.string())),
            ]
        )
        self._file = pq.ParquetWriter(str(path), self._schema)

    def write(self, block: ScanBlock) -> None:
        """Add the block's scored rows."""
        pa = self._pa
        rows = np.flatnonzero(~np.isnan(block.scores))
        if not len(rows):
            return
        if block.strands is None:
            codes = np.full(len(rows), 2, np.int8)
        else:
            codes = (block.strands[rows] < 0).astype(np.int8)
        columns = [
            pa.DictionaryArray.from_arrays(np.zeros(len(rows), np.int32), [block.chrom]),
            pa.array(block.starts[rows]),
            pa.array(block.ends[rows]),
            pa.array(block.scores[rows]),
            pa.DictionaryArray.from_arrays(codes, ["+", "-", "."]),
        ]
        self._file.write_table(pa.table(columns, schema=self._schema))

    def close(self) -> None:
        """Write the footer."""
        self._file.close()

    def abort(self) -> None:
        """Close the handle."""
        with suppress(OSError):
            self._file.close()


class NpzTrack:
    """npz: for each piece of sequence ``<chrom>:<start>-<end>`` its scores, NaN where none.

    Array ``X`` has, beside it, ``X/strand`` (int8; not for reduced scores) and ``X/grid`` (int64:
    first, step; score j is written at [first + j * step, first + (j + 1) * step)).
    """

    def __init__(self, path: Path, lengths: Mapping[str, int], threshold: float) -> None:
        self._zip = zipfile.ZipFile(path, "w", allowZip64=True)
        self._blocks: list[ScanBlock] = []
        self._piece: tuple[str, int, int, int, int] | None = None
        self._scores: BinaryIO | None = None
        self._strands: BinaryIO | None = None

    def write(self, block: ScanBlock) -> None:
        """Append the block, or begin a new piece if it does not continue the last one."""
        piece = self._piece
        if piece is None or (piece[0], piece[2]) != (block.chrom, block.start):
            self._finish_piece()
            self._scores, self._strands = _spool(), _spool()
            self._piece = (block.chrom, block.start, block.end, block.first, block.step)
        else:
            self._piece = (*piece[:2], block.end, *piece[3:])
        assert self._scores is not None
        assert self._strands is not None
        self._scores.write(block.scores.data)
        if block.strands is not None:
            self._strands.write(block.strands.data)

    def close(self) -> None:
        """Write the last piece and the directory."""
        self._finish_piece()
        self._zip.close()

    def abort(self) -> None:
        """Close the handle."""
        with suppress(OSError, ValueError):
            self._zip.close()

    def _finish_piece(self) -> None:
        if self._piece is None or self._scores is None or self._strands is None:
            return
        chrom, start, end, first, step = self._piece
        key = f"{chrom}:{start}-{end}"
        self._copy(key, self._scores, np.dtype(np.float32))
        if self._strands.tell():
            self._copy(f"{key}/strand", self._strands, np.dtype(np.int8))
        grid: NDArray[np.int64] = np.array([first, step], np.int64)
        with self._zip.open(f"{key}/grid.npy", "w") as entry:
            np.lib.format.write_array(entry, grid)
        self._piece = None

    def _copy(self, key: str, spool: BinaryIO, dtype: np.dtype[Any]) -> None:
        count = spool.tell() // dtype.itemsize
        header = {"descr": dtype.str, "fortran_order": False, "shape": (count,)}
        spool.seek(0)
        with self._zip.open(f"{key}.npy", "w", force_zip64=True) as entry:
            np.lib.format.write_array_header_1_0(entry, header)
            while block := spool.read(1 << 20):
                entry.write(block)
        spool.close()


def _spool() -> BinaryIO:
    return tempfile.TemporaryFile()


def _bed(path: Path, lengths: Mapping[str, int], threshold: float) -> PeakTrack:
    return PeakTrack(path.open("w", encoding="utf-8"), threshold)


def _narrow_peak(path: Path, lengths: Mapping[str, int], threshold: float) -> PeakTrack:
    return PeakTrack(path.open("w", encoding="utf-8"), threshold, narrow=True)


_FORMATS: dict[str, Any] = {
    ".bw": BigWigTrack,
    ".bigwig": BigWigTrack,
    ".bed": _bed,
    ".narrowpeak": _narrow_peak,
    ".parquet": ParquetTrack,
    ".npz": NpzTrack,
}
SUFFIXES = tuple(_FORMATS)
_MODULES = {".bw": "pyBigWig", ".bigwig": "pyBigWig", ".parquet": "pyarrow"}


def check_suffix(path: Path) -> str:
    """The format of an output path, by its suffix.

    Raises
    ------
    ValueError
        A suffix that is none of `SUFFIXES`.
    ImportError
        The format's library is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise ValueError(f"{path}: expected one of {', '.join(SUFFIXES)}, found {suffix!r}")
    if suffix in _MODULES:
        require(_MODULES[suffix], f"{path}: {suffix}")
    return suffix


def open_track(
    path: Path, target: Path, lengths: Mapping[str, int], threshold: float
) -> TrackWriter:
    """A writer to ``path`` in the format of ``target``'s suffix.

    Parameters
    ----------
    path
        File to write.
    target
        Final name, which tells the format.
    lengths
        Name and length of every sequence, in order.
    threshold
        Smallest score inside a peak, for BED and narrowPeak.
    """
    writer: TrackWriter = _FORMATS[check_suffix(target)](path, lengths, threshold)
    return writer
