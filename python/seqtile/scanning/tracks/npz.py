"""npz: arrays of scores, one for each piece of sequence."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...errors import shown
from ...escaping import in_utf8
from ...spool import Spool
from ..block import ScanBlock
from ..peaks import Peak

__all__ = ["NpzTrack"]

_LONGEST = (1 << 16) - 100  # bytes of a name: an entry's has 16 bits, and says the place too


class NpzTrack:
    r"""npz: for each piece of sequence ``<chrom>:<start>-<end>`` its scores, NaN where none.

    Array ``X`` has, beside it, ``X/strand`` (int8; not for reduced scores) and ``X/grid`` (int64:
    first, step; score j is written at [first + j * step, first + (j + 1) * step)). In a name, a
    byte that is not UTF-8 is written ``\xe9``.

    Raises
    ------
    OSError
        A file that cannot be written; a name that is too long for an entry.
    """

    def __init__(self, file: BinaryIO, lengths: Mapping[str, int]) -> None:
        for name in lengths:
            if 4 * len(name) > _LONGEST and (size := len(in_utf8(name).encode())) > _LONGEST:
                raise OSError(
                    f"the name of record {shown(name)} has {size:,} bytes, one in an .npz at most "
                    f"{_LONGEST:,}"
                )
        self._zip = zipfile.ZipFile(file, "w", allowZip64=True)
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
        key = f"{in_utf8(piece.chrom)}:{piece.start}-{piece.end}"
        self._copy(key, piece.scores, np.dtype(np.float32))
        if piece.strands.tell():
            self._copy(f"{key}/strand", piece.strands, np.dtype(np.int8))
        with self._zip.open(f"{key}/grid.npy", "w") as entry:
            np.lib.format.write_array(entry, piece.grid)
        piece.close()
        self._piece = None

    def _copy(self, key: str, spool: Spool, dtype: np.dtype[Any]) -> None:
        count = spool.tell() // dtype.itemsize
        header = {"descr": dtype.str, "fortran_order": False, "shape": (count,)}
        spool.rewind()
        with self._zip.open(f"{key}.npy", "w", force_zip64=True) as entry:
            np.lib.format.write_array_header_1_0(entry, header)
            while block := spool.read(1 << 20):
                entry.write(block)


class _Piece:
    """Consecutive blocks of one sequence, in unnamed files until their number is known."""

    def __init__(self, block: ScanBlock) -> None:
        self.chrom, self.start, self.end = block.chrom, block.start, block.start
        self.grid: NDArray[np.int64] = np.array([block.first, block.step], np.int64)
        self.scores, self.strands = Spool(), Spool()

    def add(self, block: ScanBlock) -> None:
        self.end = block.end
        self.scores.write(block.scores.data)
        if block.strands is not None:
            self.strands.write(block.strands.data)

    def close(self) -> None:
        self.scores.close()
        self.strands.close()
