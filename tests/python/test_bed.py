"""BED files: what is an interval, and what is said of a line that is none."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import pickle
import threading
from collections.abc import Callable
from pathlib import Path

import pysam
import pytest

from seqtile import BedParseError, FastaParseError
from seqtile.regions.bed import read_bed

zstd = pytest.importorskip("backports.zstd")

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
PLAIN = "\n".join(LINES).encode() + b"\n"
KINDS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstandard": zstd.compress,
}


def write(folder: Path, content: bytes | str, name: str = "regions.bed") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refused(path: Path, message: str) -> BedParseError:
    with pytest.raises(BedParseError, match=f"^{path}(, |: ){message}") as caught:
        read_bed(path)
    return caught.value


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_intervals_in_the_order_of_the_file(end: str, last: bool, tmp_path: Path) -> None:
    path = write(tmp_path, (end.join(LINES) + end * last).encode())
    found = read_bed(path)
    assert found.path == str(path)
    assert found.intervals == INTERVALS
    assert found.names == ["", "name", "by"]
    assert found.lines == [5, 6, 7]
    first = found.intervals[0]
    assert (first.chrom, first.start, first.end) == INTERVALS[0]
    assert [found.place(i) for i in (0, 1)] == [f"{path}, line 5", f"{path}, line 6, region 'name'"]


@pytest.mark.parametrize("columns", range(3, 16))
def test_any_number_of_columns(columns: int, tmp_path: Path) -> None:
    cells = ["chr1", "5", "9", "n", "0", "+", "5", "9", "0", "1", "4,", "0,", "x", "y", "z"]
    path = write(tmp_path, "\t".join(cells[:columns]) + "\n")
    assert read_bed(path).intervals == [("chr1", 5, 9)]


@pytest.mark.parametrize("suffix", [".bed", ".bed.gz", ".bed.bgz", ".txt"])
@pytest.mark.parametrize("kind", KINDS)
def test_compressed_files_are_told_by_their_first_bytes(
    kind: str, suffix: str, tmp_path: Path
) -> None:
    assert read_bed(write(tmp_path, KINDS[kind](PLAIN), f"a{suffix}")).intervals == INTERVALS
    assert read_bed(write(tmp_path, PLAIN, f"b{suffix}")).intervals == INTERVALS


def test_bgzip(tmp_path: Path) -> None:
    plain, packed = write(tmp_path, PLAIN), tmp_path / "x.bed"
    pysam.tabix_compress(str(plain), str(packed))
    assert read_bed(packed).intervals == INTERVALS


def test_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(PLAIN,))
    writer.start()
    assert read_bed(pipe).intervals == INTERVALS
    writer.join()


@pytest.mark.parametrize(
    ("text", "chroms"),
    [
        ("track_1\t0\t9\nbrowserX\t0\t9\ntrack7 0 9\n", ["track_1", "browserX", "track7"]),
        ("track\t0\t9\nbrowser\t3\t9\n", ["track", "browser"]),
        ("track\nbrowser\ntrack\tname=x\tdescription=y\na\t0\t9\n", ["a"]),
        ("track name=a 5\na 0 9\ntrack name=b\nbrowser hide all\nb 0 9\n", ["a", "b"]),
        ("  track name=x\na\t0\t9\n", ["a"]),
    ],
)
def test_a_header_is_a_first_word(text: str, chroms: list[str], tmp_path: Path) -> None:
    found = read_bed(write(tmp_path, text))
    assert [interval.chrom for interval in found.intervals] == chroms


@pytest.mark.parametrize(
    "header",
    [
        "chrom\tstart\tend",
        "chr start stop name",
        "#x\nchrom\tchromStart\tchromEnd",
        "a\tSTART\tEND",
    ],
)
def test_names_of_columns(header: str, tmp_path: Path) -> None:
    assert read_bed(write(tmp_path, f"{header}\na\t1\t5\n")).intervals == [("a", 1, 5)]
    found = header.splitlines()[-1]
    refused(write(tmp_path, f"a\t1\t5\n{found}\n"), "line 2: expected chrom, start and end")


def test_bytes_that_are_not_utf_8(tmp_path: Path) -> None:
    text = b"# \xe9t\xe9\ncaf\xe9\t1\t5\tna\xefve\n\xef\xbb\xbfx\t1\t5\n"
    found = read_bed(write(tmp_path, text))
    assert found.intervals[0] == ("caf\udce9", 1, 5)
    assert found.names[0] == "na\udcefve"
    marked = read_bed(write(tmp_path, b"\xef\xbb\xbfx\t1\t5\n"))
    assert marked.intervals == [("x", 1, 5)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the BED file holds no interval"),
        ("# nothing\n", "the BED file holds no interval"),
        ("track name=x\nchrom\tstart\tend\n", "the BED file holds no interval"),
        ("mixed\t1\t5\nmixed 7\n", "line 2: expected chrom, start and end, found 'mixed 7'"),
        ("mixed\tone\t5\n", "line 1: expected chrom, start and end"),
        ("mixed\t5\t5\n", "line 1: the region is empty: start and end are 5"),
        ("mixed\t6\t5\n", "line 1: expected 0 <= start < end"),
        ("mixed\t-1\t5\n", "line 1: expected 0 <= start < end"),
        (">chr\nACGT\n", "line 1: expected chrom, start and end, found '>chr'"),
        ("a\t1\t5\n\nb\t1\n", "line 3: expected chrom, start and end"),
        *(
            (f"a\t0\t5\na\t{start}\t200\n", "line 2: expected chrom, start and end")
            for start in (
                "10_0",
                "+1",
                "1.0",
                "1e2",
                "0x10",
                "\uff11",
                "\u0661",
                "",
                "1 1",
                "9" * 19,
            )
        ),
        (f"a\t0\t{'9' * 5000}\n", "line 1: expected chrom, start and end"),
    ],
)
def test_bad_bed(text: str, message: str, tmp_path: Path) -> None:
    refused(write(tmp_path, text), message)


def test_an_error_has_its_facts(tmp_path: Path) -> None:
    bed = write(tmp_path, "chr1\t1\t5\nchr1\t9\t5\n")
    error = refused(bed, "line 2: expected 0 <= start < end")
    assert (error.path, error.line) == (str(bed), 2)
    assert isinstance(error, ValueError)
    assert not isinstance(error, FastaParseError)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (BedParseError, str(error), vars(error))
    with pytest.raises(FileNotFoundError):
        read_bed(tmp_path / "none.bed")


@pytest.mark.parametrize("content", [b"\x89PNG\xff\x00", "chr1\t1\t5\n".encode("utf-16")])
def test_binary_bed(content: bytes, tmp_path: Path) -> None:
    refused(write(tmp_path, content), "expected a BED file, found a binary one")


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_bed(kind: str, tmp_path: Path) -> None:
    packed = KINDS[kind](b"mixed\t1\t5\n" * 99)
    for size in (len(packed) - 9, 12):
        refused(write(tmp_path, packed[:size]), f"truncated {kind} file")


def test_archives(tmp_path: Path) -> None:
    refused(write(tmp_path, b"PK\x03\x04" + bytes(30)), "expected a BED file, found a zip archive")
