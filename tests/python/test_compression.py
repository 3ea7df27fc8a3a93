"""Compressed input: every kind, many streams, cut, damaged, followed by other bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pysam
import pytest

from seqtile import compression, read_fasta
from seqtile.errors import FastaParseError

zstd = pytest.importorskip("backports.zstd")

Pack = Callable[[bytes], bytes]
KINDS: dict[str, Pack] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
    # With a checksum, as the zstd program writes.
    "zstandard": lambda data: zstd.compress(
        data, options={zstd.CompressionParameter.checksum_flag: 1}
    ),
}


def genome(letters: int, seed: int = 1) -> bytes:
    random = np.random.default_rng(seed)
    text = random.choice(np.frombuffer(b"ACGTNacgt", np.uint8), letters).tobytes()
    rows = [text[i : i + 60] for i in range(0, letters, 60)]
    half = len(rows) // 2
    return b"\n".join([b">a first", *rows[:half], b">b", *rows[half:], b""])


def read(source: Path | io.BytesIO) -> list[tuple[str, bytes]]:
    return [(r.name, r.sequence.tobytes()) for r in read_fasta(source)]


SMALL = genome(3000)
RECORDS = read(io.BytesIO(SMALL))


# unit


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", [SMALL, genome(1_500_000)], ids=["small", "large"])
def test_every_kind(kind: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "any-name"
    path.write_bytes(KINDS[kind](content))
    expected = read(io.BytesIO(content))
    assert read(path) == expected
    assert read(io.BytesIO(path.read_bytes())) == expected


def test_bgzip(tmp_path: Path) -> None:
    path = tmp_path / "a.fa.gz"
    content = genome(500_000)
    with pysam.BGZFile(str(path), "wb") as file:
        file.write(content)
    assert read(path) == read(io.BytesIO(content))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cuts", [[5], [0, 17, 17, 900], list(range(0, 3000, 7))])
def test_streams_one_after_another(kind: str, cuts: list[int], tmp_path: Path) -> None:
    path = tmp_path / "a.fa"
    edges = [0, *cuts, len(SMALL)]
    parts = [SMALL[a:b] for a, b in pairwise(edges)]
    path.write_bytes(b"".join(map(KINDS[kind], parts)))
    assert read(path) == RECORDS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [4, 400, 1 << 17])
def test_zeros_after_the_end(kind: str, size: int, tmp_path: Path) -> None:
    """Padding: of tapes, and of xz by its format."""
    path = tmp_path / "a.fa"
    path.write_bytes(KINDS[kind](SMALL) + bytes(size))
    assert read(path) == RECORDS


def test_zstandard_frames_to_be_skipped(tmp_path: Path) -> None:
    path = tmp_path / "a.fa"
    skipped = b"\x50\x2a\x4d\x18" + struct.pack("<I", 5) + b"hello"
    path.write_bytes(skipped + KINDS["zstandard"](SMALL) + skipped)
    assert read(path) == RECORDS


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_file_is_no_fasta(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.fa"
    path.write_bytes(KINDS[kind](b""))
    with pytest.raises(FastaParseError, match="the file is empty"):
        read(path)


def refused(path: Path, words: str) -> None:
    with pytest.raises(FastaParseError, match=words) as caught:
        read(path)
    assert caught.value.path == str(path)
    assert str(caught.value).startswith(f"{path}")


@pytest.mark.parametrize("kind", KINDS)
def test_other_bytes_after_the_end(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.fa"
    for garbage in (b"g", b"garbage" * 20, b"\0\0garbage" * 5, b">c\nACGT\n"):
        path.write_bytes(KINDS[kind](SMALL) + garbage)
        refused(path, f"(damaged|truncated) {kind} file")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("streams", [1, 2])
def test_cut_anywhere(kind: str, streams: int, tmp_path: Path) -> None:
    path = tmp_path / "a.fa"
    half = len(SMALL) // streams
    first = KINDS[kind](SMALL[:half])
    packed = first + (KINDS[kind](SMALL[half:]) if streams == 2 else b"")
    for size in [*range(7, len(packed), 29), *range(len(packed) - 12, len(packed))]:
        if size != len(first):
            path.write_bytes(packed[:size])
            refused(path, f"truncated {kind} file")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("streams", [1, 2])
def test_damaged_anywhere(kind: str, streams: int, tmp_path: Path) -> None:
    """The right letters or an error, never other letters."""
    path = tmp_path / "a.fa"
    half = len(SMALL) // streams
    packed = b"".join(KINDS[kind](SMALL[i * half : (i + 1) * half]) for i in range(streams))
    records = read(io.BytesIO(SMALL[: half * streams]))
    errors = 0
    for at in range(6, len(packed), 7):
        damaged = bytearray(packed)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        try:
            assert read(path) == records  # a byte that means nothing: a date, a flag
        except FastaParseError as error:
            assert error.path == str(path)  # noqa: PT017
            errors += 1
    assert errors > 0.9 * len(range(6, len(packed), 7))


@pytest.mark.parametrize("kind", KINDS)
def test_errors_are_the_same_whatever_the_blocks(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.fa"
    path.write_bytes(KINDS[kind](SMALL + b">c\nAC1\n"))
    for block in (1, 100, 1 << 20):
        monkeypatch.setattr(compression, "BLOCK", block)
        iterator = read_fasta(path)
        assert [next(iterator).name, next(iterator).name] == ["a", "b"]
        with pytest.raises(FastaParseError, match=r"line 54, record 'c': .* '1' in column 3"):
            next(iterator)


def test_zip_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.fa"
    path.write_bytes(b"PK\x03\x04" + bytes(30))
    refused(path, "expected a FASTA file, found a zip archive: unzip it")
