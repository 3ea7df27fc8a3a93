"""Random access to FASTA, 10,000 intervals of 1,000 bases of 100 Mb of real sequence.

The limit is a loop of ``os.pread`` of the same bytes, offsets known beforehand, letters left
wrapped; for bgzip it is pysam's loop. Peers are used in their best way: pyfastx by slices.

SEQTILE_DATA=... pytest benches/bench_faidx.py --benchmark-only -s
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqtile
from benches import compare
from benches.compare import record, speed_ratio

COUNT, LENGTH, BASES = 10_000, 1_000, 100_000_000
Reader = Callable[[], object]


@pytest.fixture(scope="module")
def genome(tmp_path_factory) -> Path:
    """The genomes of the data folder, as often as gives 100 Mb, 60 letters in a line."""
    folder = Path(os.environ.get("SEQTILE_DATA", "")) / "genomes"
    files = sorted(folder.glob("*.f*a*"))
    if not files:
        pytest.skip("needs SEQTILE_DATA/genomes")
    records = [r for file in files for r in seqtile.read_fasta(file) if len(r.sequence) > 50_000]
    path = tmp_path_factory.mktemp("faidx") / "genome.fa"
    size = copy = 0
    with path.open("wb") as out:
        while size < BASES:
            for record in records:
                letters = record.sequence
                whole = letters[: len(letters) // 60 * 60].reshape(-1, 60)
                lines = np.full((len(whole), 61), ord("\n"), np.uint8)
                lines[:, :60] = whole
                out.write(f">{record.name}/{copy}\n".encode() + lines.tobytes())
                size += whole.size
            copy += 1
    return path


@pytest.fixture(scope="module")
def packed(genome: Path) -> Path:
    pysam = pytest.importorskip("pysam")
    path = Path(f"{genome}.gz")
    pysam.tabix_compress(str(genome), str(path))
    return path


def draw(fasta: seqtile.Fasta) -> list[tuple[str, int, int]]:
    rng = random.Random(1)
    names = list(fasta)
    chosen = rng.choices(names, [fasta.lengths[name] for name in names], k=COUNT)
    starts = [rng.randrange(fasta.lengths[name] - LENGTH) for name in chosen]
    return [(name, s, s + LENGTH) for name, s in zip(chosen, starts, strict=True)]


def pread_loop(path: Path, intervals: list[tuple[str, int, int]]) -> Reader:
    """The limit: bytes of the same intervals by offsets that are there already."""
    index = {}
    for line in Path(f"{path}.fai").read_text().splitlines():
        name, _, *numbers = line.split("\t")
        index[name] = tuple(map(int, numbers))
    pieces = []
    for name, start, end in intervals:
        offset, bases, width = index[name]
        begin = offset + start // bases * width + start % bases
        last = offset + (end - 1) // bases * width + (end - 1) % bases
        pieces.append((last + 1 - begin, begin))
    descriptor = os.open(path, os.O_RDONLY)
    pread = os.pread

    def loop() -> None:
        for size, begin in pieces:
            pread(descriptor, size, begin)

    return loop


def pysam_loop(path: Path, intervals: list[tuple[str, int, int]]) -> Reader:
    import pysam

    theirs = pysam.FastaFile(str(path))
    return lambda: [theirs.fetch(*interval) for interval in intervals]


def peers(path: Path, intervals: list[tuple[str, int, int]]) -> dict[str, Reader]:
    found: dict[str, Reader] = {}
    if find_spec("pysam"):
        found["pysam"] = pysam_loop(path, intervals)
    if find_spec("pyfaidx"):
        import pyfaidx

        records = pyfaidx.Fasta(str(path), as_raw=True, sequence_always_upper=False)
        found["pyfaidx"] = lambda: [records[n][s:e] for n, s, e in intervals]
    if find_spec("pyfastx"):
        import pyfastx

        sequences = pyfastx.Fasta(str(path))
        by_name = {name: sequences[name] for name in {n for n, _, _ in intervals}}
        found["pyfastx"] = lambda: [by_name[n][s:e].seq for n, s, e in intervals]
    return found


def check(ours: Any, theirs: Any) -> None:
    assert [letters.tobytes().decode() for letters in ours] == [str(text) for text in theirs]


@pytest.mark.parametrize(
    ("how", "target"), [("fetch", 1.0), ("fetch_many, 1 thread", 4.0), ("fetch_many", 4.0)]
)
def test_plain(benchmark, genome: Path, how: str, target: float) -> None:
    fasta = seqtile.Fasta(genome)
    intervals = draw(fasta)
    threads = 1 if "1 thread" in how else 2
    out = np.empty((COUNT, LENGTH), np.uint8)

    def ours() -> object:
        if how == "fetch":
            return [fasta.fetch(name, start, end) for name, start, end in intervals]
        return fasta.fetch_many(intervals, stack=True, out=out, threads=threads)

    def fetch_loop() -> None:
        for name, start, end in intervals:
            fasta.fetch(name, start, end)

    others = peers(genome, intervals)
    for other in others.values():
        check(ours(), other())
    timed = fetch_loop if how == "fetch" else ours
    beside: dict[str, float | None] = {"pysam": None, "pyfaidx": None, "pyfastx": None}
    beside |= compare.peers(timed, others, rounds=2)
    ratio = speed_ratio(timed, pread_loop(genome, intervals), rounds=25)
    row = f"random access, {how}" + (", 2 threads" if how == "fetch_many" else "")
    record(
        benchmark,
        row,
        ratio,
        limit="os.pread loop",
        target=target,
        peers=beside,
        rate=(COUNT / 1e3, "thousand intervals/s"),
    )
    benchmark.pedantic(timed, rounds=1)


def test_index(benchmark, genome: Path, tmp_path: Path) -> None:
    """Opening a file that has no index yet; the others write theirs."""
    copy = tmp_path / "copy.fa"
    copy.hardlink_to(genome)
    index = Path(f"{copy}.fai")
    buffer = bytearray(genome.stat().st_size)

    def readinto() -> None:
        with copy.open("rb", buffering=0) as file:
            assert file.readinto(buffer) == len(buffer)

    def ours() -> None:
        index.unlink(missing_ok=True)
        seqtile.Fasta(copy)

    def by_pysam() -> None:
        import pysam

        index.unlink(missing_ok=True)
        pysam.faidx(str(copy))

    def by_pyfaidx() -> None:
        import pyfaidx

        index.unlink(missing_ok=True)
        pyfaidx.Fasta(str(copy))

    def by_pyfastx() -> None:
        import pyfastx

        Path(f"{copy}.fxi").unlink(missing_ok=True)
        pyfastx.Fasta(str(copy))

    ours()
    written = index.read_text()
    if find_spec("pysam"):
        by_pysam()
        assert index.read_text() == written
    others = {"pysam": by_pysam, "pyfastx": by_pyfastx, "pyfaidx": by_pyfaidx}
    record(
        benchmark,
        "index (.fai) of 100 Mb",
        speed_ratio(ours, readinto, rounds=7),
        limit="readinto",
        target=None,
        rate=(BASES / 1e9, "Gb/s"),
        peers=compare.peers(ours, others, rounds=1),
    )
    benchmark.pedantic(ours, rounds=1)


@pytest.mark.parametrize("threads", [1, 2])
def test_bgzip(benchmark, packed: Path, threads: int) -> None:
    fasta = seqtile.Fasta(packed)
    intervals = draw(fasta)
    few = intervals[: COUNT // 5]  # pysam's loop is slow: a fifth of it stands for the whole
    theirs = pysam_loop(packed, few)
    check(fasta.fetch_many(few), theirs())

    def ours() -> object:
        return fasta.fetch_many(intervals, threads=threads)

    ratio = speed_ratio(ours, theirs, rounds=3)
    row = f"random access, bgzip batch, {threads} thread" + "s" * (threads > 1)
    record(
        benchmark,
        row,
        ratio.times(COUNT / len(few)),
        limit="pysam's loop",
        target=10.0,
        rate=(COUNT / 1e3, "thousand intervals/s"),
    )
    benchmark.pedantic(ours, rounds=1)
