"""Track files: bigWig, BED, narrowPeak, Parquet and npz, written block by block."""

from __future__ import annotations

import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

from ...outputs import check_suffix
from ..peaks import Peak
from ..scanner import ScanBlock
from .bigwig import BigWigTrack

__all__ = ["SUFFIXES", "TrackWriter", "open_track"]


_GROUP_ROWS = 1 << 18  # of Parquet: small regions share a row group


class TrackWriter(Protocol):
    """Takes the blocks of a scan in order, each with the peaks that it completes.

    `close` takes the peaks that the end completes, and makes the file whole. `abort` frees what an
    unfinished file holds; the file is then good for nothing.
    """

    def write(self, block: ScanBlock, peaks: Sequence[Peak] = ()) -> None: ...  # noqa: D102
    def close(self, peaks: Sequence[Peak] = ()) -> None: ...  # noqa: D102
    def abort(self) -> None: ...  # noqa: D102


class PeakTrack:
    """BED6 or ENCODE narrowPeak: merged peaks with their summits."""

    def __init__(self, file: TextIO, *, narrow: bool = False) -> None:
        self._file = file
        self._narrow = narrow
        self._count = 0

    def write(self, block: ScanBlock, peaks: Sequence[Peak] = ()) -> None:
        """Write the peaks; a line each."""
        self._lines(peaks)

    def close(self, peaks: Sequence[Peak] = ()) -> None:
        """Write the last peaks."""
        self._lines(peaks)
        if self._file is sys.stdout:
            self._file.flush()
        else:
            self._file.close()

    def abort(self) -> None:
        """Close the handle."""
        if self._file is not sys.stdout:
            with suppress(OSError):
                self._file.close()

    def _lines(self, peaks: Sequence[Peak]) -> None:
        for peak in peaks:
            self._count += 1
            score = min(1000, max(0, int(peak.score * 1000)))
            fields: list[Any] = [
                peak.chrom,
                peak.start,
                peak.end,
                f"peak_{self._count}",
                score,
                peak.strand,
            ]
            if self._narrow:
                # signalValue, then p and q values (-1: none), then the summit from the start.
                fields += [f"{peak.score:.6g}", -1, -1, peak.summit - peak.start]
            self._file.write("\t".join(map(str, fields)) + "\n")


class ParquetTrack:
    """Parquet through pyarrow: chrom, start, end, score, strand; a row per score."""

    def __init__(self, path: Path, lengths: Mapping[str, int]) -> None:
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
        self._tables: list[Any] = []
        self._rows = 0

    def write(self, block: ScanBlock, peaks: Sequence[Peak] = ()) -> None:
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
        self._tables.append(pa.table(columns, schema=self._schema))
        self._rows += len(rows)
        if self._rows >= _GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._tables:
            table = self._pa.concat_tables(self._tables).unify_dictionaries().combine_chunks()
            self._file.write_table(table, row_group_size=self._rows)
        self._tables, self._rows = [], 0

    def close(self, peaks: Sequence[Peak] = ()) -> None:
        """Write the last rows and the footer."""
        self._flush()
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

    def __init__(self, path: Path, lengths: Mapping[str, int]) -> None:
        self._zip = zipfile.ZipFile(path, "w", allowZip64=True)
        self._piece: _Piece | None = None

    def write(self, block: ScanBlock, peaks: Sequence[Peak] = ()) -> None:
        """Append the block, or begin a new piece if it does not continue the last one."""
        piece = self._piece
        if piece is None or (piece.chrom, piece.end) != (block.chrom, block.start):
            self._finish_piece()
            piece = self._piece = _Piece(block)
        piece.add(block)

    def close(self, peaks: Sequence[Peak] = ()) -> None:
        """Write the last piece and the directory."""
        self._finish_piece()
        self._zip.close()

    def abort(self) -> None:
        """Close the handles."""
        if self._piece is not None:
            self._piece.close()
        with suppress(OSError, ValueError):
            self._zip.close()

    def _finish_piece(self) -> None:
        piece = self._piece
        if piece is None:
            return
        key = f"{piece.chrom}:{piece.start}-{piece.end}"
        self._copy(key, piece.scores, np.dtype(np.float32))
        if piece.strands.tell():
            self._copy(f"{key}/strand", piece.strands, np.dtype(np.int8))
        with self._zip.open(f"{key}/grid.npy", "w") as entry:
            np.lib.format.write_array(entry, piece.grid)
        piece.close()
        self._piece = None

    def _copy(self, key: str, spool: BinaryIO, dtype: np.dtype[Any]) -> None:
        count = spool.tell() // dtype.itemsize
        header = {"descr": dtype.str, "fortran_order": False, "shape": (count,)}
        spool.seek(0)
        with self._zip.open(f"{key}.npy", "w", force_zip64=True) as entry:
            np.lib.format.write_array_header_1_0(entry, header)
            while block := spool.read(1 << 20):
                entry.write(block)


class _Piece:
    """Consecutive blocks of one sequence, in unnamed files until their number is known."""

    def __init__(self, block: ScanBlock) -> None:
        self.chrom, self.start, self.end = block.chrom, block.start, block.start
        self.grid: NDArray[np.int64] = np.array([block.first, block.step], np.int64)
        self.scores: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115
        self.strands: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115

    def add(self, block: ScanBlock) -> None:
        self.end = block.end
        self.scores.write(block.scores.data)
        if block.strands is not None:
            self.strands.write(block.strands.data)

    def close(self) -> None:
        for spool in (self.scores, self.strands):
            with suppress(OSError):
                spool.close()


def _bed(path: Path, lengths: Mapping[str, int]) -> PeakTrack:
    return PeakTrack(path.open("w", encoding="utf-8"))


def _narrow_peak(path: Path, lengths: Mapping[str, int]) -> PeakTrack:
    return PeakTrack(path.open("w", encoding="utf-8"), narrow=True)


_FORMATS: dict[str, Any] = {
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
    writer: TrackWriter = _FORMATS[check_suffix(target, SUFFIXES)](path, lengths)
    return writer
