"""BED files: an interval a line, 3 columns (chrom, start, end) or more; the fourth is a name.

Format: UCSC, https://genome.ucsc.edu/FAQ/FAQformat.html#format1.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import BinaryIO, cast

from ..compression import compression_of, refuse_archive, unpacked
from ..errors import BedParseError, shown
from .intervals import Interval

__all__ = ["Bed", "read_bed"]

_NUMBER = re.compile("[0-9]{1,18}")  # int() takes 10_0, +1 and the digits of other scripts too


@dataclass(frozen=True, slots=True)
class Bed:
    """The intervals of a BED file, in its order.

    Attributes
    ----------
    path
        The file.
    intervals
        Places on sequences.
    names
        The fourth column of each, empty where there is none.
    lines
        The 1-based line of each.
    """

    path: str
    intervals: list[Interval]
    names: list[str]
    lines: list[int]

    def place(self, number: int) -> str:
        """Where an interval stands, as errors say it."""
        name = self.names[number]
        return f"{self.path}, line {self.lines[number]}" + (f", region {shown(name)}" * bool(name))


def read_bed(path: str | PathLike[str]) -> Bed:
    """Intervals of a BED file: plain, gzip, bgzip, bzip2, xz or zstandard, by its first bytes.

    Columns are separated by tabs, or by blanks where a line has no tab; lines end in LF, CRLF or
    CR. Blank lines, comments (``#``), lines whose first word is ``track`` or ``browser`` and that
    are no interval, and a first line that names its columns (``chrom start end``) are passed over.
    Bytes that are not UTF-8 are kept, as in the names of FASTA records (``surrogateescape``).

    Raises
    ------
    BedParseError
        A line that is no interval, or an empty one; a file without an interval; a binary or damaged
        file, an archive.
    FileNotFoundError
        No such file.
    ImportError
        A zstandard file, and no library for it.
    """
    bed = Bed(fspath(path), [], [], [])
    with Path(path).open("rb") as file:
        for number, line in enumerate(_lines(file, bed.path), 1):
            text = line.decode("utf-8", "surrogateescape")
            if number == 1:
                text = text.removeprefix("\ufeff")
            if not text.strip() or text.startswith("#"):
                continue
            cells = text.split("\t") if "\t" in text else text.split()
            if _is_header(text, cells) or (not bed.intervals and _names_columns(cells)):
                continue
            bed.intervals.append(_interval(text, cells, bed.path, number))
            bed.names.append(cells[3] if len(cells) > 3 else "")
            bed.lines.append(number)
    if not bed.intervals:
        raise BedParseError(bed.path, "the BED file holds no interval")
    return bed


def _lines(file: io.BufferedReader, name: str) -> Iterator[bytes]:
    """Lines without their ends."""
    start = file.peek(512)[:512]
    refuse_archive(start, name, BedParseError)
    raw = cast(BinaryIO, file)
    rest = b""
    for block in unpacked(raw, compression_of(start), name, refusal=BedParseError):
        if b"\0" in block:
            raise BedParseError(name, "expected a BED file, found a binary one")
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield from line.removesuffix(b"\r").split(b"\r")
    yield from rest.removesuffix(b"\r").split(b"\r") if rest else ()


def _is_header(text: str, cells: list[str]) -> bool:
    """Whether the first word is that of a line about a track, and it is no interval."""
    if text.split(None, 1)[0] not in ("track", "browser"):
        return False
    return len(cells) < 3 or not all(map(_NUMBER.fullmatch, cells[1:3]))


def _names_columns(cells: list[str]) -> bool:
    """``chrom start end``, ``chrom chromStart chromEnd``, ``seqnames start stop``, ..."""
    words = [cell.lower() for cell in cells[1:3]]
    return len(words) == 2 and "start" in words[0] and ("end" in words[1] or "stop" in words[1])


def _interval(text: str, cells: list[str], name: str, line: int) -> Interval:
    expected = "chrom, start and end"
    if len(cells) > 2:
        chrom, start, end = cells[0], cells[1].strip(), cells[2].strip()
        if _NUMBER.fullmatch(start) and _NUMBER.fullmatch(end):
            interval = Interval(chrom, int(start), int(end))
            if interval.start < interval.end:
                return interval
            if interval.start == interval.end:
                raise BedParseError(
                    name, f"the region is empty: start and end are {int(start)}", line=line
                )
            expected = "0 <= start < end"
        elif _NUMBER.fullmatch(start.removeprefix("-")) and _NUMBER.fullmatch(end):
            expected = "0 <= start < end"
        else:
            expected += " (numbers of the digits 0 to 9)"
    raise BedParseError(name, f"expected {expected}, found {text[:60]!r}", line=line)
