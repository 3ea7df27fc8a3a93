"""k-mer counting against numba, pykmertools, KMC and jellyfish, on 100 Mb of real sequence.

SEQTILE_DATA=... pytest benches/bench_kmer.py --benchmark-only -s

``$SEQTILE_DATA/genomes`` holds FASTA files, repeated up to 100 Mb; the file that KMC and jellyfish
read lies in memory (/dev/shm). A peer that is not installed is left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqtile
from benches import compare
from benches.compare import record, seconds, speed_ratio

BASES = 100_000_000


@pytest.fixture(scope="module")
def letters() -> Any:
    data = os.environ.get("SEQTILE_DATA")
    if not data:
        pytest.skip("SEQTILE_DATA is not set")
    paths = sorted(path for path in Path(data, "genomes").iterdir() if ".f" in path.name)
    parts = [record.sequence for path in paths for record in seqtile.read_fasta(path)]
    return np.resize(np.concatenate(parts), BASES)


@pytest.fixture(scope="module")
def folder(letters: Any) -> Iterator[Path]:
    """In memory: the letters as FASTA, and what peers write."""
    path = Path("/dev/shm", f"seqtile-kmer-{os.getpid()}")
    path.mkdir()
    with (path / "genome.fa").open("wb") as file:
        file.write(b">genome\n")
        for begin in range(0, len(letters), 80):
            file.write(letters[begin : begin + 80].tobytes() + b"\n")
    yield path
    shutil.rmtree(path)


def numba_loop(k: int) -> Callable[[Any], Any] | None:
    """The rolling loop that people write, with the faster of 32-bit and 64-bit counts."""
    if find_spec("numba") is None:
        return None
    import numba

    codes = np.full(256, 4, dtype=np.uint8)
    for code, letter in enumerate("ACGT"):
        codes[[ord(letter), ord(letter.lower())]] = code

    @numba.njit
    def count(letters: Any, codes: Any, k: int) -> Any:
        counts = np.zeros(4**k, dtype=np.uint32)
        mask = np.uint64(4**k - 1)
        kmer = np.uint64(0)
        run = 0
        for i in range(letters.size):
            code = codes[letters[i]]
            if code < 4:
                kmer = ((kmer << np.uint64(2)) | np.uint64(code)) & mask
                run += 1
                if run >= k:
                    counts[kmer] += np.uint32(1)
            else:
                run = 0
        return counts

    return lambda letters: count(letters, codes, k)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("k", [4, 6, 8, 11])
def test_dense(benchmark: Any, letters: Any, k: int, threads: int) -> None:
    def ours() -> Any:
        return seqtile.kmer_counts(letters, k, threads=threads)

    loop = numba_loop(k)
    if loop is None:
        print("\nnumba: not installed")
        benchmark.pedantic(ours, rounds=3)
        return
    np.testing.assert_array_equal(ours(), loop(letters))
    ratio = speed_ratio(ours, lambda: loop(letters), rounds=7)
    record(
        benchmark,
        f"k-mer histogram k = {k}, {threads} thread(s)",
        ratio,
        limit="a numba loop",
        target=3.0 if k == 11 else (1.5 if threads == 1 else 2.5),
        rate=(BASES / 1e9, "Gbases/s"),
    )
    benchmark.pedantic(ours, rounds=1)


def test_pykmertools(benchmark: Any, letters: Any) -> None:
    """A peer for rows of features; it takes str and counts both strands together."""
    if find_spec("pykmertools") is None:
        print("\npykmertools: not installed")
        pytest.skip("pykmertools is not installed")
    import pykmertools

    k = 6
    text = letters[:10_000_000].tobytes().decode()
    counter = pykmertools.OligoComputer(k)
    ours = seqtile.kmer_matrix(text, k, canonical=True, dtype="float64")
    np.testing.assert_allclose(ours, counter.vectorise_one(text, False))
    ratio = speed_ratio(
        lambda: seqtile.kmer_matrix(text, k, canonical=True, dtype="float64"),
        lambda: counter.vectorise_one(text, False),
        rounds=3,
    )
    record(
        benchmark,
        f"k-mer features k = {k}, canonical, of 10 Mb of str",
        ratio,
        limit="pykmertools",
        target=None,
        rate=(len(text) / 1e9, "Gbases/s"),
    )
    benchmark.pedantic(lambda: seqtile.kmer_matrix(text, k), rounds=1)


def codes_by_numpy(text: Any, k: int) -> Any:
    """Codes of all windows of A, C, G and T: a shift and an addition for each letter of a k-mer."""
    digits = np.zeros(256, np.uint64)
    digits[np.frombuffer(b"ACGT", np.uint8)] = np.arange(4)
    letters, count = digits[text], len(text) - k + 1
    codes = np.zeros(count, np.uint64)
    for i in range(k):
        codes <<= np.uint64(2)
        codes |= letters[i : i + count]
    return codes


def test_codes(benchmark: Any) -> None:
    k, text = 21, np.random.default_rng(0).choice(np.frombuffer(b"ACGT", np.uint8), 10_000_000)

    def ours() -> Any:
        return seqtile.kmer_codes(text, k)

    codes, valid = ours()
    assert valid.all()
    np.testing.assert_array_equal(codes, codes_by_numpy(text, k))
    ratio = speed_ratio(ours, lambda: np.ones(len(codes), np.uint64), rounds=7)
    record(
        benchmark,
        f"code of every window, k = {k}, 10 Mb",
        ratio,
        limit="fresh memset of them",
        target=None,
        rate=(len(text) / 1e9, "Gbases/s"),
        peers={"numpy": seconds(lambda: codes_by_numpy(text, k)) / ratio.ours_s},
    )
    benchmark.pedantic(ours, rounds=1)


def minimizers_by_numpy(text: Any, k: int, w: int) -> Any:
    """Codes of the k-mers with the smallest hash of any window, sorted, each once."""
    mask = np.uint64(4**k - 1)
    codes = codes_by_numpy(text, k)

    def shift(values: Any, bits: int) -> Any:
        return values >> np.uint64(-bits) if bits < 0 else values << np.uint64(bits)

    hashes = (~codes + shift(codes, 21)) & mask  # hash64 of minimap2's sketch.c
    hashes ^= shift(hashes, -24)
    hashes = (hashes + shift(hashes, 3) + shift(hashes, 8)) & mask
    hashes ^= shift(hashes, -14)
    hashes = (hashes + shift(hashes, 2) + shift(hashes, 4)) & mask
    hashes ^= shift(hashes, -28)
    hashes = (hashes + shift(hashes, 31)) & mask
    least = np.lib.stride_tricks.sliding_window_view(hashes, w).argmin(axis=1)
    return np.unique(codes[np.unique(least + np.arange(len(least)))])


def test_minimizers(benchmark: Any) -> None:
    k, w = 15, 10
    text = np.random.default_rng(0).choice(np.frombuffer(b"ACGT", np.uint8), 5_000_000)

    def ours() -> Any:
        return seqtile.minimizers(text, k, w, canonical=False)

    _, codes = ours()
    np.testing.assert_array_equal(np.unique(codes), minimizers_by_numpy(text, k, w))
    record(
        benchmark,
        f"minimizers, k = {k}, w = {w}, 5 Mb",
        speed_ratio(ours, lambda: seqtile.kmer_codes(text, k), rounds=5),
        limit="the k-mers' codes alone",
        target=None,
        rate=(len(text) / 1e6, "Mbases/s"),
        peers=compare.peers(ours, {"numpy": lambda: minimizers_by_numpy(text, k, w)}, 1),
    )
    benchmark.pedantic(ours, rounds=1)


def run(*command: object) -> str:
    return subprocess.run([*map(str, command)], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("k", [21, 31])
def test_sparse(benchmark: Any, letters: Any, folder: Path, k: int) -> None:
    def ours() -> Any:
        return seqtile.kmer_counts(letters, k, canonical=True, threads=2)

    def kmc() -> str:
        return run(
            "kmc",
            f"-k{k}",
            "-ci1",
            "-cs4294967295",
            "-fm",
            "-t2",
            "-r",
            folder / "genome.fa",
            folder / "kmc",
            folder,
        )

    def jellyfish() -> str:
        return run(
            "jellyfish",
            "count",
            "-C",
            "-m",
            k,
            "-s",
            "64M",
            "-t",
            2,
            "-o",
            folder / "jf",
            folder / "genome.fa",
        )

    if not shutil.which("kmc"):
        pytest.skip("KMC is not installed")
    table = ours()
    lines = dict(line.split(":")[:2] for line in kmc().splitlines() if "k-mers" in line)
    totals = {name.strip(): value.strip() for name, value in lines.items()}
    assert int(totals["No. of unique k-mers"]) == table.distinct
    assert int(totals["Total no. of k-mers"]) == table.total
    run("kmc_tools", "transform", folder / "kmc", "histogram", folder / "histogram")
    expected = np.loadtxt(folder / "histogram", dtype=np.uint64)
    counts, sizes = table.histogram()
    present = expected[expected[:, 1] > 0]
    shown = counts <= expected[-1, 0]
    np.testing.assert_array_equal(present, np.stack([counts, sizes], axis=1)[shown])
    del table
    ratio = speed_ratio(ours, kmc, rounds=3 if k == 21 else 2)
    peers: dict[str, float | None] = {}
    if k == 21:
        peers["jellyfish"] = None
        if shutil.which("jellyfish"):
            peers["jellyfish"] = seconds(jellyfish) / ratio.ours_s
    record(
        benchmark,
        f"canonical k = {k}, totals and table, 2 threads",
        ratio,
        limit="KMC",
        target=4.0,
        rate=(BASES / 1e6, "Mbases/s"),
        peers=peers,
    )
    benchmark.pedantic(ours, rounds=1)
