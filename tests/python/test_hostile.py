"""Hostile input: the right answer or one clear error, in bounded memory and time."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from seqtile import Fasta, read_fasta
from seqtile.errors import FastaIndexError, FastaParseError, SeqtileError
from seqtile.fasta.contigs import open_contigs

MB = 1 << 20
ESCAPE = "surrogateescape"
# Records, letters, the error if any, and the peak of this process image alone.
READ = """
import sys
from seqtile import read_fasta
records = letters = 0
error = ""
try:
    for record in read_fasta(sys.argv[1]):
        records += 1
        letters += len(record)
except ValueError as caught:
    error = str(caught)
lines = open("/proc/self/status").read().splitlines()
print(records, letters, next(line.split()[1] for line in lines if line.startswith("VmHWM")), error)
"""


def read(path: Path, *, seconds: float = 60) -> tuple[int, int, float, str]:
    """Number of records and letters, peak memory in MB, error."""
    result = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, timeout=seconds
    )
    assert (result.returncode, result.stderr) == (0, "")
    records, letters, peak, error = result.stdout.rstrip("\n").split(" ", 3)
    return int(records), int(letters), int(peak) / 1024, error


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Peak memory, in MB, of reading next to nothing."""
    path = tmp_path_factory.mktemp("idle") / "a.fa"
    path.write_bytes(b">a\nACGT\n")
    return read(path)[2]


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")


# small files


def test_files_of_one_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.fa"
    for byte in set(range(256)) - {ord(">")}:
        path.write_bytes(bytes([byte]))
        for source in (path, io.BytesIO(bytes([byte]))):
            with pytest.raises(FastaParseError, match="line 1|line 2"):
                list(read_fasta(source))
        for open_it in (Fasta, open_contigs):
            with pytest.raises(FastaParseError):
                open_it(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("first", [b"\x1f", b"B", b"\xfd", b"\x28", b"P", b">", b"@"])
def test_files_of_two_bytes(first: bytes) -> None:
    for byte in range(256):
        content = first + bytes([byte])
        if first == b">" and byte != 0:
            [record] = read_fasta(io.BytesIO(content))
            assert (record.name, len(record)) == (content[1:].strip().decode("utf-8", ESCAPE), 0)
        else:
            with pytest.raises(FastaParseError):
                list(read_fasta(io.BytesIO(content)))


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"\xef\xbb\xbf>a\nACGT\n", 1, "remove the UTF-8 byte order mark"),
        (">a\nACGé\n".encode(), 2, "found byte 0xC3 in column 4"),
        (">a\nＡＣＧＴ\n".encode(), 2, "found byte 0xEF in column 1"),
        (">a\nACGT\n".encode("utf-16"), 1, "a binary file is no FASTA"),
        (">a\nACGT\n".encode("utf-16-le"), 1, "NUL byte in a header line"),
        (b">a\rACGT\r>b\rACGT\r", 1, "lines must end in LF or CRLF"),
        (b"@", 2, "expected a line that starts with '[+]', found the file's end"),
        (b">a\0b\nACGT\n", 1, "NUL byte in a header line"),
        (b">a\nAC\0GT\n", 2, "found byte 0x00 in column 3"),
        (bytes(10_000), 1, "found byte 0x00: a binary file is no FASTA"),
        (b"\r" * 1000, 2, "the file is empty"),
        (b" " * 100_000, 2, "the file is empty"),
        (b">a\n" + b" " * 100_000 + b"1", 2, "found '1' in column 100001"),
        (b">a\nA" + b" " * 300_000 + b"\t\r1", 2, "carriage return inside a line"),
        (b"@r\nA" + b" " * 300_000 + b"C\n+\nI\tI", 4, "found a blank in column 2"),
        (b";" * 300_000 + b"\n# x\n", 3, "the file is empty"),
    ],
)
def test_refused(content: bytes, line: int, words: str) -> None:
    with pytest.raises(FastaParseError, match=words) as caught:
        list(read_fasta(io.BytesIO(content)))
    assert caught.value.line == line
    assert len(str(caught.value)) < 300


def test_lines_of_every_length(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    content, expected = b"", []
    for number in range(40):
        sizes = random.permutation(301)
        rows = [random.choice(np.frombuffer(b"ACGTNacgt*-", np.uint8), n).tobytes() for n in sizes]
        content += b">r%d\n" % number + (b"\r\n" if number % 2 else b"\n").join([*rows, b""])
        expected.append(b"".join(rows))
    path = tmp_path / "a.fa"
    path.write_bytes(content)
    for source in (path, io.BytesIO(content), io.BytesIO(gzip.compress(content))):
        assert [record.sequence.tobytes() for record in read_fasta(source)] == expected
    with pytest.raises(FastaIndexError, match="not equally long"):
        Fasta(path)
    with open_contigs(path) as fasta:
        for name, letters in zip(fasta, expected, strict=True):
            assert fasta.fetch(name, 0, len(letters)).tobytes() == letters


def test_damage_of_a_byte_never_crashes() -> None:
    """Any byte at any place of a small file: some records or an error of ours."""
    good = b"@r1 x\nACGT\nAC\n+r1 x\nIIII\n@+\n@r2\n\n+\n\n"
    for content in (good, b">a b\nACGT\nAC\r\n>c\n\nGG\n"):
        for at in range(len(content)):
            for byte in b"\n\r\0 >@+A1\x80\xff":
                damaged = content[:at] + bytes([byte]) + content[at + 1 :]
                with suppress(SeqtileError):
                    for record in read_fasta(io.BytesIO(damaged)):
                        assert len(record) <= len(content)


# long names


def test_long_names_are_cut_in_messages(tmp_path: Path) -> None:
    name = "n" * MB
    path = tmp_path / "a.fa"
    path.write_text(f">{name} d\nAC1\n")
    with pytest.raises(FastaParseError) as caught:
        list(read_fasta(path))
    error = caught.value
    assert error.record == name
    assert "record 'nnn" in str(error)
    assert "nnn...'" in str(error)
    assert len(str(error)) < 300 + len(str(path))
    assert pickle.loads(pickle.dumps(error)).record == name
    path.write_text(f">{name} d\nACGT\n>{name}\nAC\n")
    for read_it in (Fasta, open_contigs):
        with pytest.raises(FastaIndexError, match="stands on line 1 already") as duplicate:
            read_it(path)
        assert len(str(duplicate.value)) < 300 + len(str(path))
    path.write_text(f">{name} d\nACGT\nA\nACG\n")
    with pytest.raises(FastaIndexError, match="not equally long") as uneven:
        Fasta(path)
    assert len(str(uneven.value)) < 300 + len(str(path))


def test_long_names_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.fa"
    path.write_text(f">{'n' * MB} {'d' * MB}\nACGT\n>b\nAC\n")
    first, second = read_fasta(path)
    assert (len(first.name), len(first.description), len(first)) == (MB, MB, 4)
    assert (second.name, len(second)) == ("b", 2)
    with Fasta(path) as fasta:
        assert fasta.fetch("n" * MB, 0, 4).tobytes() == b"ACGT"


# large files and bombs


@linux
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_of_100_mb(end: bytes, idle: float, tmp_path: Path) -> None:
    path = tmp_path / "a.fa"
    path.write_bytes(b">a\n" + b"A" * (100 * MB) + end)
    records, letters, peak, error = read(path)
    assert (records, letters, error) == (1, 100 * MB, "")
    assert peak - idle < 3.2 * 100


@linux
def test_many_empty_records(idle: float, tmp_path: Path) -> None:
    path = tmp_path / "a.fa"
    path.write_bytes(b"".join(b">%d\n" % number for number in range(100_000)))
    records, letters, peak, error = read(path)
    assert (records, letters, error) == (100_000, 0, "")
    assert peak - idle < 100
    assert len(open_contigs(path)) == 100_000


def repeated(pack: Callable[[bytes], bytes], head: bytes, unit: bytes, times: int) -> bytes:
    return pack(head) + pack(unit) * times


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 6, mtime=0),
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
}
BOMBS = [
    # kind, head, unit of 4 MB, times, records, letters, error, MB
    ("gzip", b">a\n", b"A", 32, 1, 128 * MB, "", 3.2 * 128),
    ("gzip", b">a\nACGT\n", b"\n", 32, 1, 4, "", 60),
    ("gzip", b">a\nACGT", b" ", 64, 1, 4, "", 60),
    ("gzip", b"", b"\n", 32, 0, 0, "the file is empty", 60),
    ("gzip", b";", b"x", 64, 0, 0, "the file is empty", 60),
    ("gzip", b">a\n", b"A ", 8, 1, 16 * MB, "", 3.2 * 16 + 30),
    ("gzip", b"", b" ", 64, 0, 0, "the file is empty", 60),
    ("gzip", b"@r\nA\n+", b" ", 64, 0, 0, "expected 1 quality letters", 60),
    ("gzip", b"@r\nA\n+", b"x", 64, 0, 0, "expected nothing or the record's header", 60),
    ("gzip", b"@r\nA\n+\n", b"I", 64, 0, 0, "found more", 60),
    ("gzip", b"", bytes(1), 64, 0, 0, "found byte 0x00: a binary file", 60),
    ("gzip", b"", b">a\nACGT\n" * 2, 8, 4 * MB, 16 * MB, "", 100),
    ("bzip2", b">a\nACGT\n", b"\n", 32, 1, 4, "", 60),
    ("bzip2", b"", b"\n", 32, 0, 0, "the file is empty", 60),
    ("xz", b">a\nACGT\n", b"\n", 32, 1, 4, "", 60),
    ("xz", b">a\n", b"A", 8, 1, 32 * MB, "", 3.2 * 32 + 30),
]


@linux
@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: f"{bomb[0]}-{bomb[1]!r}-{bomb[2][:8]!r}")
def test_bombs(
    bomb: tuple[str, bytes, bytes, int, int, int, str, float], idle: float, tmp_path: Path
) -> None:
    kind, head, unit, times, records, letters, words, limit = bomb
    path = tmp_path / "bomb"
    path.write_bytes(repeated(PACK[kind], head, unit * (4 * MB // len(unit)), times))
    assert path.stat().st_size < 4 * MB
    found = read(path)
    assert found[:2] == (records, letters)
    assert words in found[3]
    assert bool(words) == bool(found[3])
    assert found[2] - idle < limit


@linux
@pytest.mark.parametrize("kind", PACK)
def test_a_chain_of_empty_members(kind: str, idle: float, tmp_path: Path) -> None:
    path = tmp_path / "chain"
    path.write_bytes(
        PACK[kind](b"") * 10_000 + PACK[kind](b">a\nACGT\n") + PACK[kind](b"") * 10_000
    )
    records, letters, peak, error = read(path)
    assert (records, letters, error) == (1, 4, "")
    assert peak - idle < 60
