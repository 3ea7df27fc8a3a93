"""BED files: intervals by line, of which the first three columns are read."""

from __future__ import annotations

import gzip
import zlib
from os import PathLike, fspath
from pathlib import Path

from ..errors import BedParseError
from .intervals import Interval

__all__ = ["read_bed"]

_NO_INTERVAL = ("#", "track", "browser")  # what a line that tells of the others begins with


def read_bed(path: str | PathLike[str]) -> list[Interval]:
    """Intervals of a BED file, plain or gzip (by its suffix ``.gz``), in its order.

    Columns are separated by tabs, or by blanks where a line has no tab.

    Raises
    ------
    BedParseError
        A line that is no interval, a file without one, a binary or damaged file.
    FileNotFoundError
        No such file.
    """
    name = fspath(path)
    opener = gzip.open if Path(path).suffix == ".gz" else open
    intervals: list[Interval] = []
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                text = line.rstrip("\r\n")
                if text.strip() and not text.startswith(_NO_INTERVAL):
                    intervals.append(_interval(text, name, number))
    except UnicodeDecodeError:
        raise BedParseError(name, "expected a BED file, found a binary one") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BedParseError(name, f"damaged gzip file: {error}") from None
    if not intervals:
        raise BedParseError(name, "the BED file holds no interval")
    return intervals


def _interval(text: str, name: str, line: int) -> Interval:
    try:
        chrom, start, end = text.split("\t" if "\t" in text else None)[:3]
        interval = Interval(chrom, int(start), int(end))
    except ValueError:
        expected = "chrom, start and end"
    else:
        if 0 <= interval.start < interval.end:
            return interval
        expected = "0 <= start < end"
    raise BedParseError(name, f"expected {expected}, found {text[:60]!r}", line=line)
