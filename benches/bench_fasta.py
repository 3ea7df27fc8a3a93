"""Reading FASTA and FASTQ against the peers a user would pick, and against reading the bytes alone.

pytest benches/bench_fasta.py --benchmark-only -s
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqtile
from benches.compare import peers, record, speed_ratio
from benches.sequences import genome_letters

BASES = 100_000_000
LINE = 60


def wrap(letters: np.ndarray) -> bytes:
    """FASTA lines of 60 letters."""
    whole = len(letters) // LINE * LINE
    lines = np.full((whole // LINE, LINE + 1), ord("\n"), np.uint8)
    lines[:, :LINE] = letters[:whole].reshape(-1, LINE)
    rest = letters[whole:].tobytes()
    return lines.tobytes() + (rest + b"\n" if rest else b"")


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 Mb of real sequence in 8 records."""
    path = tmp_path_factory.mktemp("fasta") / "few.fa"
    parts = np.split(genome_letters(BASES), 8)
    path.write_bytes(b"".join(b">chr%d piece\n" % i + wrap(p) for i, p in enumerate(parts)))
    return path


@pytest.fixture(scope="session")
def many(few: Path) -> Path:
    """The same in 310,000 records of 100 to 544 letters."""
    path = few.with_name("many.fa")
    lengths = np.random.default_rng(1).integers(100, 545, 310_000)
    ends = np.cumsum(lengths)
    letters = genome_letters(int(ends[-1]))
    with path.open("wb") as file:
        for i, (length, end) in enumerate(zip(lengths, ends, strict=True)):
            file.write(b">read_%d length=%d\n" % (i, length) + wrap(letters[end - length : end]))
    return path


@pytest.fixture(scope="session")
def gzipped(few: Path) -> Path:
    path = few.with_name("few.fa.gz")
    with gzip.open(path, "wb", compresslevel=6) as file:
        file.write(few.read_bytes())
    return path


@pytest.fixture(scope="session")
def bgzipped(few: Path) -> Path:
    pysam = pytest.importorskip("pysam")
    path = few.with_name("few.bgz.fa.gz")
    with pysam.BGZFile(str(path), "wb") as file:
        file.write(few.read_bytes())
    return path


def ours(path: Path, **options: Any) -> Callable[[], int]:
    """Name and letters of every record are asked for, as the peers give them."""

    def read() -> int:
        size = 0
        for found in seqtile.read_fasta(path, **options):
            found.name  # noqa: B018
            size += len(found.sequence)
        return size

    return read


def other_readers(path: Path) -> dict[str, Callable[[], int]]:
    def pyfastx() -> int:
        import pyfastx

        size = 0
        for found in pyfastx.Fastx(str(path)):
            size += len(found[1])
        return size

    def pysam() -> int:
        import pysam

        size = 0
        with pysam.FastxFile(str(path)) as file:
            for found in file:
                found.name  # noqa: B018
                size += len(found.sequence or "")
        return size

    def biopython() -> int:
        from Bio.SeqIO.FastaIO import SimpleFastaParser

        with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as file:
            return sum(len(letters) for _, letters in SimpleFastaParser(file))

    return {"pyfastx": pyfastx, "pysam": pysam, "Biopython": biopython}


def readinto(path: Path) -> Callable[[], object]:
    buffer = bytearray(path.stat().st_size)

    def read() -> None:
        with path.open("rb", buffering=0) as file:
            assert file.readinto(buffer) == len(buffer)

    return read


def check(path: Path) -> None:
    from Bio.SeqIO.FastaIO import SimpleFastaParser

    with path.open() as file:
        for found, (title, letters) in zip(
            seqtile.read_fasta(path), SimpleFastaParser(file), strict=True
        ):
            assert title.startswith(found.name)
            assert found.sequence.tobytes() == letters.encode()


@pytest.mark.parametrize("encode", [None, "dna"])
def test_few_records(benchmark: Any, few: Path, encode: str | None) -> None:
    check(few)
    call = ours(few, encode=encode)
    ratio = speed_ratio(call, readinto(few))
    versus = peers(call, other_readers(few), rounds=3) if encode is None else {}
    record(
        benchmark,
        "FASTA plain, 100 Mb, 8 records" + (", encoded to codes" if encode else ""),
        ratio,
        limit="readinto",
        target=0.9 if encode else 1.0,
        peers=versus,
        rate=(BASES / 1e9, "Gb/s"),
    )
    benchmark.pedantic(call, rounds=3)


def test_many_records(benchmark: Any, many: Path) -> None:
    check(many)
    call = ours(many)
    readers = other_readers(many)
    ratio = speed_ratio(call, readers["pyfastx"])
    versus = peers(call, {**readers, "readinto": readinto(many)}, rounds=3)
    record(
        benchmark,
        "FASTA plain, 310,000 short records",
        ratio,
        limit="pyfastx",
        target=2.0,
        peers=versus,
        rate=(BASES / 1e9, "Gb/s"),
    )
    benchmark.pedantic(call, rounds=3)


def test_gzip(benchmark: Any, gzipped: Path) -> None:
    from isal import isal_zlib

    def inflate() -> int:
        inflater = isal_zlib.decompressobj(wbits=31)
        size = 0
        with gzipped.open("rb") as file:
            while block := file.read(1 << 18):
                size += len(inflater.decompress(block))
        return size

    call = ours(gzipped)
    assert call() == BASES
    ratio = speed_ratio(call, inflate, rounds=5)
    record(
        benchmark,
        "FASTA gzip, 100 Mb",
        ratio,
        limit="isa-l, one thread",
        target=0.9,
        peers=peers(call, other_readers(gzipped), rounds=1),
        rate=(BASES / 1e9, "Gb/s"),
    )
    benchmark.pedantic(call, rounds=2)


def bgzf_blocks(path: Path) -> list[tuple[memoryview, int]]:
    """Raw deflate of each block, and its inflated size."""
    data = memoryview(path.read_bytes())
    blocks, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at + 16 : at + 18], "little") + 1
        inflated = int.from_bytes(data[at + size - 4 : at + size], "little")
        blocks.append((data[at + 18 : at + size - 8], inflated))
        at += size
    return [block for block in blocks if block[1]]


def test_bgzip(benchmark: Any, bgzipped: Path) -> None:
    deflate = pytest.importorskip("deflate")
    blocks = bgzf_blocks(bgzipped)

    def inflate(part: list[tuple[memoryview, int]]) -> int:
        return sum(len(deflate.deflate_decompress(data, size)) for data, size in part)

    def bare() -> int:
        parts = [blocks[i : i + 64] for i in range(0, len(blocks), 64)]
        with ThreadPoolExecutor(2) as pool:
            return sum(pool.map(inflate, parts))

    call = ours(bgzipped)
    assert call() == BASES
    assert bare() > BASES
    ratio = speed_ratio(call, bare, rounds=5)
    record(
        benchmark,
        "FASTA bgzip, 100 Mb",
        ratio,
        limit="libdeflate, two threads",
        target=0.85,
        peers=peers(call, other_readers(bgzipped), rounds=1),
        rate=(BASES / 1e9, "Gb/s"),
    )
    benchmark.pedantic(call, rounds=2)


def test_fastq(benchmark: Any, tmp_path: Path) -> None:
    path = tmp_path / "reads.fq"
    letters = genome_letters(30_000_000).reshape(-1, 150)
    qualities = np.random.default_rng(2).integers(35, 74, letters.shape, dtype=np.uint8)
    with path.open("wb") as file:
        for i, (read, quality) in enumerate(zip(letters, qualities, strict=True)):
            file.write(b"@read_%d\n%s\n+\n%s\n" % (i, read.tobytes(), quality.tobytes()))

    def call() -> int:
        size = 0
        for found in seqtile.read_fasta(path):
            found.name, found.sequence  # noqa: B018
            size += len(found.quality)  # type: ignore[arg-type]
        return size

    assert call() == letters.size
    readers = other_readers(path)
    del readers["Biopython"]
    ratio = speed_ratio(call, readers["pyfastx"], rounds=5)
    record(
        benchmark,
        "FASTQ plain, 200,000 reads of 150",
        ratio,
        limit="pyfastx",
        target=1.0,
        peers=peers(call, readers, rounds=3),
        rate=(path.stat().st_size / 1e9, "GB/s"),
    )
    benchmark.pedantic(call, rounds=3)
