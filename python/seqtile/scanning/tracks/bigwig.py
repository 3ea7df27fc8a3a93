"""bigWig files, written as a stream: the memory does not grow with the track.

The format is version 4 of Kent et al. 2010, doi:10.1093/bioinformatics/btq351. libBigWig, under
pyBigWig, keeps every zoom record until it closes a file: 13 bytes per base of a dense track.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...spool import Spool
from ..block import ScanBlock
from ..peaks import Peak

__all__ = ["BigWigTrack"]

_MAGIC, _CHROM_MAGIC, _INDEX_MAGIC = 0x888FFC26, 0x78CA8C91, 0x2468ACE0
_FIXED_STEP = 3
_LEVELS = 10  # zoom levels that fit the header, as everywhere
_FIRST_ZOOM, _NEXT_ZOOM = 16, 4  # scores per record of the first level, and from level to level

_HEADER = struct.Struct("<IHHQQQHHQQIQ")
_ZOOM_HEADER = struct.Struct("<IIQQ")
_SUMMARY = struct.Struct("<Qdddd")
_CHROM_HEADER = struct.Struct("<IIIIQQ")
_INDEX_HEADER = struct.Struct("<IIQIIIIQII")
_SECTION = struct.Struct("<IIIIIBBH")
_NODE = struct.Struct("<BBH")
_LEAF = struct.Struct("<IIIIQQ")

_BOUNDS = [("chrom", "<u4"), ("start", "<u4"), ("end_chrom", "<u4"), ("end", "<u4")]
_INDEX_LEAF = np.dtype([*_BOUNDS, ("offset", "<u8"), ("size", "<u8")])
_INDEX_NODE = np.dtype([*_BOUNDS, ("child", "<u8")])
_RECORD = np.dtype(
    [
        ("chrom", "<u4"),
        ("start", "<u4"),
        ("end", "<u4"),
        ("bases", "<u4"),
        ("min", "<f4"),
        ("max", "<f4"),
        ("sum", "<f4"),
        ("squares", "<f4"),
    ]
)
_MERGES = {"bases": np.add, "min": np.minimum, "max": np.maximum, "sum": np.add, "squares": np.add}


class BigWigTrack:
    """Writes the scores of a scan; bases without a score are absent.

    Parameters
    ----------
    file
        To write to, from its beginning.
    lengths
        Name and length of every sequence; the empty ones are left out.
    items
        Scores, or zoom records, in a compressed section.
    fan
        Children of a search tree's node.

    Raises
    ------
    OSError
        A file that cannot be written; no sequence that has a base, or one of 4 Gb.
    """

    def __init__(
        self, file: BinaryIO, lengths: Mapping[str, int], *, items: int = 4096, fan: int = 256
    ) -> None:
        sizes = {name: length for name, length in lengths.items() if length > 0}
        if not sizes or max(sizes.values()) >> 32:
            raise OSError("a bigWig needs sequences of 1 to 4,294,967,295 bases")
        self._ids = {name: i for i, name in enumerate(sizes)}
        self._longest = max(sizes.values())
        self._items, self._fan = items, fan
        self._step = 0
        self._zooms: list[_Zoom] = []
        self._bases, self._sum, self._squares = 0, 0.0, 0.0
        self._min, self._max = np.inf, -np.inf
        self._file = file
        self._chroms_at = _HEADER.size + _LEVELS * _ZOOM_HEADER.size + _SUMMARY.size
        self._file.seek(self._chroms_at)
        self._file.write(_chrom_tree(sizes, self._chroms_at, fan))
        self._data_at = self._file.tell()
        self._file.write(bytes(8))
        self._data = _Sections(self._file)

    def write(self, block: ScanBlock, peaks: Sequence[Peak] = ()) -> None:
        """Add a block: a section for each run of touching scores of one width."""
        starts, ends = block.starts, block.ends
        known = np.flatnonzero(~np.isnan(block.scores) & (starts < ends))
        if not len(known):
            return
        if not self._step:
            self._step = block.step
            self._zooms = _zooms(block.step, self._longest, self._items)
        chrom = self._ids[block.chrom]
        starts, ends, scores = starts[known], ends[known], block.scores[known]
        widths = ends - starts
        breaks = np.flatnonzero((starts[1:] != ends[:-1]) | (widths[1:] != widths[:-1])) + 1
        for begin, stop in itertools.pairwise([0, *breaks.tolist(), len(known)]):
            for first in range(begin, stop, self._items):
                last = min(first + self._items, stop)
                bounds = (chrom, starts[first], chrom, ends[last - 1])
                width = widths[first]
                head = _SECTION.pack(
                    chrom, bounds[1], bounds[3], width, width, _FIXED_STEP, 0, last - first
                )
                self._data.add(bounds, head + scores[first:last].astype("<f4").tobytes())
        values = scores.astype(np.float64)
        finest = {
            "chrom": np.broadcast_to(chrom, len(known)),
            "start": starts,
            "end": ends,
            "bases": widths,
            "min": scores,
            "max": scores,
            "sum": widths * values,
            "squares": widths * values**2,
        }
        self._bases += int(widths.sum())
        self._min = min(self._min, float(scores.min()))
        self._max = max(self._max, float(scores.max()))
        self._sum += float(finest["sum"].sum())
        self._squares += float(finest["squares"].sum())
        records = _merge(finest, _FIRST_ZOOM * self._step)
        for zoom in self._zooms:
            records = zoom.add(records)

    def close(self, peaks: Sequence[Peak] = ()) -> None:
        """Write the indices, the zoom levels, and at last the header."""
        index_at = self._write_index(self._data.entries)
        headers = []
        records = np.empty(0, _RECORD)
        for zoom in self._zooms:
            records = zoom.finish(records)
            zoom_at = self._file.tell()
            self._file.write(struct.pack("<I", zoom.count))
            entries = zoom.sections.entries
            entries["offset"] += self._file.tell()
            zoom.spool.rewind()
            while content := zoom.spool.read(1 << 20):
                self._file.write(content)
            zoom_index_at = self._write_index(entries)
            headers.append(_ZOOM_HEADER.pack(zoom.reduction, 0, zoom_at, zoom_index_at))
        self._file.write(struct.pack("<I", _MAGIC))
        self._file.seek(self._data_at)
        self._file.write(struct.pack("<Q", len(self._data.entries)))
        self._file.seek(0)
        largest = max(s.largest for s in (self._data, *(z.sections for z in self._zooms)))
        self._file.write(
            _HEADER.pack(
                _MAGIC,
                4,
                len(headers),
                self._chroms_at,
                self._data_at,
                index_at,
                0,
                0,
                0,
                self._chroms_at - _SUMMARY.size,
                largest,
                0,
            )
        )
        self._file.write(b"".join(headers).ljust(_LEVELS * _ZOOM_HEADER.size, b"\0"))
        low, high = (self._min, self._max) if self._bases else (0.0, 0.0)
        self._file.write(_SUMMARY.pack(self._bases, low, high, self._sum, self._squares))
        self.abort()

    def abort(self) -> None:
        """Close the temporary files."""
        for zoom in self._zooms:
            zoom.spool.close()

    def _write_index(self, entries: NDArray[np.void]) -> int:
        """Write an R tree of sections; returns where it stands."""
        at = self._file.tell()
        bounds = [0, 0, 0, 0]
        if len(entries):
            first, last = entries[0], entries[-1]
            bounds = [first["chrom"], first["start"], last["end_chrom"], last["end"]]
        head = _INDEX_HEADER.pack(_INDEX_MAGIC, self._fan, len(entries), *bounds, at, 1, 0)
        self._file.write(head + _tree(entries, _INDEX_NODE, at + len(head), self._fan))
        return at


class _Sections:
    """Compressed pieces in a file, and where each is."""

    def __init__(self, file: BinaryIO | Spool) -> None:
        self._file = file
        self._entries = bytearray()
        self.largest = 0

    def add(self, bounds: tuple[int, int, int, int], content: bytes) -> None:
        packed = zlib.compress(content, 1)
        self._entries += _LEAF.pack(*bounds, self._file.tell(), len(packed))
        self._file.write(packed)
        self.largest = max(self.largest, len(content))

    @property
    def entries(self) -> NDArray[np.void]:
        """Bounds, offset and size of each piece."""
        return np.frombuffer(bytes(self._entries), _INDEX_LEAF).copy()


class _Zoom:
    """One zoom level: a record for all scores that begin in the same ``reduction`` bases."""

    def __init__(self, reduction: int, items: int) -> None:
        self.reduction = reduction
        self._items = items
        self.count = 0
        self.spool = Spool()
        self.sections = _Sections(self.spool)
        self._open = self._ready = np.empty(0, _RECORD)

    def add(self, records: NDArray[np.void]) -> NDArray[np.void]:
        """Take finer records; returns those of this level that no later one can change."""
        merged = _merge(np.concatenate([self._open, records]), self.reduction)
        self._open, done = merged[-1:], merged[:-1]
        self._write(done)
        return done

    def finish(self, records: NDArray[np.void]) -> NDArray[np.void]:
        """Take the last finer records; returns the last ones of this level."""
        done = self.add(records)
        last = self._open
        self._write(last, all_of_them=True)
        return np.concatenate([done, last])

    def _write(self, records: NDArray[np.void], *, all_of_them: bool = False) -> None:
        ready = np.concatenate([self._ready, records])
        self.count += len(records)
        whole = len(ready) if all_of_them else len(ready) // self._items * self._items
        for begin in range(0, whole, self._items):
            part = ready[begin : min(begin + self._items, whole)]
            first, last = part[0], part[-1]
            bounds = (first["chrom"], first["start"], last["chrom"], last["end"])
            self.sections.add(bounds, part.tobytes())
        self._ready = ready[whole:]


def _merge(
    finer: Mapping[str, NDArray[Any]] | NDArray[np.void], reduction: int
) -> NDArray[np.void]:
    """One record for all neighbouring finer ones that begin in the same ``reduction`` bases."""
    chroms, starts, ends = finer["chrom"], finer["start"], finer["end"]
    places = starts // reduction
    changes = (places[1:] != places[:-1]) | (chroms[1:] != chroms[:-1])
    firsts = np.append(np.zeros(min(1, len(starts)), np.int64), np.flatnonzero(changes) + 1)
    records = np.empty(len(firsts), _RECORD)
    if len(records):
        records["chrom"], records["start"] = chroms[firsts], starts[firsts]
        records["end"] = ends[np.append(firsts[1:], len(ends)) - 1]
        for name, reduce in _MERGES.items():
            records[name] = reduce.reduceat(finer[name], firsts)
    return records


def _zooms(step: int, longest: int, items: int) -> list[_Zoom]:
    reductions = [_FIRST_ZOOM * step * _NEXT_ZOOM**level for level in range(_LEVELS)]
    return [_Zoom(reduction, items) for reduction in reductions if reduction < longest]


def _chrom_tree(sizes: Mapping[str, int], offset: int, fan: int) -> bytes:
    """The B+ tree from names, sorted, to numbers and lengths."""
    names = [name.encode("utf-8", "surrogateescape") for name in sizes]
    key = ("key", f"S{max(1, *map(len, names))}")
    leaves = np.array(
        list(zip(names, range(len(names)), sizes.values(), strict=True)),
        np.dtype([key, ("id", "<u4"), ("size", "<u4")]),
    )
    leaves.sort(order="key")
    width = leaves.dtype["key"].itemsize
    head = _CHROM_HEADER.pack(_CHROM_MAGIC, fan, width, 8, len(leaves), 0)
    return head + _tree(leaves, np.dtype([key, ("child", "<u8")]), offset + len(head), fan)


def _tree(leaves: NDArray[np.void], node: np.dtype[np.void], offset: int, fan: int) -> bytes:
    """A search tree's nodes from the root down, as they stand from ``offset`` on."""
    levels = [leaves]
    while len(levels[-1]) > fan:
        below = levels[-1]
        firsts = np.arange(0, len(below), fan)
        lasts = np.minimum(firsts + fan, len(below)) - 1
        parents = np.zeros(len(firsts), node)
        for name in set(node.names or ()) - {"child"}:
            parents[name] = below[name][lasts if name.startswith("end") else firsts]
        levels.append(parents)
    parts = []
    for depth in reversed(range(len(levels))):
        items = levels[depth]
        starts = range(0, max(1, len(items)), fan)
        offset += len(starts) * _NODE.size + items.nbytes
        if depth:
            child = _NODE.size + fan * levels[depth - 1].itemsize
            items["child"] = offset + child * np.arange(len(items))
        for start in starts:
            part = items[start : start + fan]
            parts += [_NODE.pack(depth == 0, 0, len(part)), part.tobytes()]
    return b"".join(parts)
