"""BED files: what is an interval, and what is said of a line that is none."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import pytest

from seqtile import BedParseError, FastaParseError
from seqtile.regions.bed import read_bed

LINES = [
    "browser position x",
    "track name=x",
    "# note",
    "",
    "chr2\t5\t9",
    "chr1\t0\t4\tname\t0\t+",
    "chr1 7 8 by blanks",
]
INTERVALS = [("chr2", 5, 9), ("chr1", 0, 4), ("chr1", 7, 8)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_intervals_in_the_order_of_the_file(end: str, tmp_path: Path) -> None:
    bed = tmp_path / "regions.bed"
    bed.write_bytes(end.join(LINES).encode())
    found = read_bed(bed)
    assert found == INTERVALS
    assert (found[0].chrom, found[0].start, found[0].end) == INTERVALS[0]
    packed = tmp_path / "regions.bed.gz"
    packed.write_bytes(gzip.compress(bed.read_bytes()))
    assert read_bed(str(packed)) == INTERVALS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the BED file holds no interval"),
        ("# nothing\n", "the BED file holds no interval"),
        ("mixed\t1\t5\nmixed 7\n", "line 2: expected chrom, start and end, found 'mixed 7'"),
        ("mixed\tone\t5\n", "line 1: expected chrom, start and end"),
        ("mixed\t5\t5\n", "line 1: expected 0 <= start < end"),
        ("mixed\t-1\t5\n", "line 1: expected 0 <= start < end"),
        (">chr\nACGT\n", "line 1: expected chrom, start and end, found '>chr'"),
    ],
)
def test_bad_bed(text: str, message: str, tmp_path: Path) -> None:
    bed = tmp_path / "regions.bed"
    bed.write_text(text)
    with pytest.raises(BedParseError, match=f"regions.bed(, |: ){message}"):
        read_bed(bed)


def test_an_error_has_its_facts(tmp_path: Path) -> None:
    bed = tmp_path / "regions.bed"
    bed.write_text("chr1\t1\t5\nchr1\t9\t5\n")
    with pytest.raises(BedParseError) as caught:
        read_bed(bed)
    error = caught.value
    assert (error.path, error.line) == (str(bed), 2)
    assert isinstance(error, ValueError)
    assert not isinstance(error, FastaParseError)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (BedParseError, str(error), vars(error))
    with pytest.raises(FileNotFoundError):
        read_bed(tmp_path / "none.bed")


def test_binary_bed(tmp_path: Path) -> None:
    bed = tmp_path / "regions.bed"
    bed.write_bytes(b"\x89PNG\xff\x00")
    with pytest.raises(BedParseError, match="expected a BED file, found a binary one"):
        read_bed(bed)


@pytest.mark.parametrize("damage", [slice(0, -9), slice(0, 12)])
def test_truncated_bed(damage: slice, tmp_path: Path) -> None:
    bed = tmp_path / "regions.bed.gz"
    bed.write_bytes(gzip.compress(b"mixed\t1\t5\n" * 99)[damage])
    with pytest.raises(BedParseError, match="regions.bed.gz: damaged gzip file"):
        read_bed(bed)
