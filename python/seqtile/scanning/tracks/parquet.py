"""Parquet: a row per score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

import numpy as np

from ...escaping import in_utf8
from ..block import ScanBlock
from ..peaks import Peak

__all__ = ["ParquetTrack"]

_GROUP_ROWS = 1 << 18  # small regions share a row group


class ParquetTrack:
    r"""Parquet through pyarrow: chrom, start, end, score, strand; a row per score.

    In a chrom, a byte that is not UTF-8 is written ``\xe9``.
    """

    def __init__(self, file: BinaryIO, lengths: Mapping[str, int]) -> None:
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
        self._file = pq.ParquetWriter(file, self._schema)
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
            pa.DictionaryArray.from_arrays(np.zeros(len(rows), np.int32), [in_utf8(block.chrom)]),
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
