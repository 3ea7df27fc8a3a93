"""Bgzip FASTA: random access through ``.fai`` and ``.gzi``; the oracle is htslib (pysam, bgzip)."""

from __future__ import annotations

import gzip
import os
import pickle
import shutil
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtile import Fasta, read_fasta
from seqtile.errors import FastaIndexError, FastaParseError
from seqtile.fasta.contigs import open_contigs

END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def bgzf(content: bytes, path: Path) -> Path:
    """Compress with htslib, in blocks of 65,280 bytes."""
    with pysam.BGZFile(str(path), "wb") as file:
        file.write(content)
    return path


def wrapped(records: dict[str, bytes], width: int = 60, end: bytes = b"\n") -> bytes:
    lines = b""
    for name, letters in records.items():
        rows = [letters[i : i + width] for i in range(0, len(letters), width)]
        lines += end.join([b">" + name.encode(), *rows]) + end
    return lines


def contents(fasta: Fasta) -> dict[str, bytes]:
    return {name: fasta[name][:].tobytes() for name in fasta}


def block_starts(path: Path) -> list[int]:
    data, at, starts = path.read_bytes(), 0, []
    while at < len(data):
        starts.append(at)
        at += int.from_bytes(data[at + 16 : at + 18], "little") + 1
    return starts


@pytest.fixture(scope="module")
def records() -> dict[str, bytes]:
    random = np.random.default_rng(4)
    letters = np.frombuffer(b"ACGTacgtN", np.uint8)
    return {n: random.choice(letters, s).tobytes() for n, s in [("a", 200_000), ("b", 90_001)]}


@pytest.fixture
def genome(tmp_path: Path, records: dict[str, bytes]) -> Path:
    return bgzf(wrapped(records), tmp_path / "genome.fa.gz")


# agreement with htslib


def check_against_htslib(path: Path) -> Fasta:
    """Both indexes byte for byte, whole records, random intervals."""
    fasta = Fasta(path)
    fai, gzi = Path(f"{path}.fai"), Path(f"{path}.gzi")
    ours = fai.read_bytes(), gzi.read_bytes()
    fai.unlink()
    gzi.unlink()
    pysam.faidx(str(path))
    assert ours == (fai.read_bytes(), gzi.read_bytes())
    if shutil.which("bgzip"):
        gzi.unlink()
        subprocess.run(["bgzip", "-r", str(path)], check=True, capture_output=True)
        assert gzi.read_bytes() == ours[1]
    random = np.random.default_rng(1)
    with pysam.FastaFile(str(path)) as theirs:
        assert contents(fasta) == {name: theirs.fetch(name).encode() for name in theirs.references}
        for name, length in fasta.lengths.items():
            intervals = np.sort(random.integers(0, length + 1, (20, 2))).tolist()
            for start, end in intervals:
                expected = theirs.fetch(name, start, end).encode()
                assert fasta.fetch(name, start, end).tobytes() == expected
            many = fasta.fetch_many([(name, *interval) for interval in intervals], threads=2)
            assert [letters.tobytes().decode() for letters in many] == [
                theirs.fetch(name, *interval) for interval in intervals
            ]
    return fasta


def test_a_genome_as_htslib(genome: Path, records: dict[str, bytes]) -> None:
    assert contents(check_against_htslib(genome)) == records
    assert contents(Fasta(genome)) == records  # by htslib's indexes
    assert {r.name: r.sequence.tobytes() for r in read_fasta(genome)} == records


@given(
    letters=st.lists(st.text("ACGTNacgtnRY", min_size=1, max_size=90), min_size=1, max_size=4),
    width=st.integers(1, 45),
    end=st.sampled_from([b"\n", b"\r\n", b" \n"]),
    pieces=st.lists(st.integers(1, 40), max_size=8),
)
@settings(max_examples=60, deadline=None)
def test_any_file_in_any_blocks_as_htslib(
    tmp_path_factory: pytest.TempPathFactory,
    letters: list[str],
    width: int,
    end: bytes,
    pieces: list[int],
) -> None:
    expected = {f"r{i}": text.encode() for i, text in enumerate(letters)}
    content = wrapped(expected, width, end)
    folder = tmp_path_factory.mktemp("any")
    path, joined, at = folder / "x.fa.gz", b"", 0
    for piece in [*pieces, len(content)]:  # files joined: empty blocks between
        joined += bgzf(content[at : at + piece], folder / "part.gz").read_bytes()
        at += piece
        if at >= len(content):
            break
    path.write_bytes(joined)
    assert contents(check_against_htslib(path)) == expected


@pytest.mark.skipif(shutil.which("bgzip") is None, reason="bgzip is not installed")
def test_what_bgzip_writes(tmp_path: Path, records: dict[str, bytes]) -> None:
    plain = tmp_path / "genome.fa"
    plain.write_bytes(wrapped(records))
    subprocess.run(["bgzip", "-i", str(plain)], check=True)
    path = Path(f"{plain}.gz")
    theirs = Path(f"{path}.gzi").read_bytes()
    assert contents(Fasta(path)) == records
    assert Path(f"{path}.gzi").read_bytes() == theirs
    Fasta(path, rebuild_index=True)
    assert Path(f"{path}.gzi").read_bytes() == theirs


# unit


def test_nothing_is_written_where_nothing_is_wanted(
    genome: Path, records: dict[str, bytes]
) -> None:
    assert contents(Fasta(genome, write_index=False)) == records
    with open_contigs(genome) as fasta:
        assert contents(fasta) == records
        assert contents(pickle.loads(pickle.dumps(fasta))) == records  # read in place
    assert list(genome.parent.iterdir()) == [genome]


def test_ordinary_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.fa.gz"
    path.write_bytes(gzip.compress(b">a\nACGT\n"))
    with pytest.raises(FastaIndexError, match="ordinary gzip has no random access.*bgzip") as e:
        Fasta(path)
    assert e.value.path == str(path)
    assert contents(open_contigs(path)) == {"a": b"ACGT"}


def test_fastq_is_refused(tmp_path: Path) -> None:
    reads = b"@r\nACGT\n+\nIIII\n"
    plain = tmp_path / "reads.fq"
    plain.write_bytes(reads)
    Path(f"{plain}.fai").write_text("r\t4\t3\t4\t5\t10\n")
    for path in (plain, bgzf(reads, tmp_path / "reads.fq.gz")):
        with pytest.raises(FastaParseError, match="FASTQ, which has no random access"):
            Fasta(path, write_index=False)


def test_an_empty_bgzip_file(tmp_path: Path) -> None:
    path = tmp_path / "x.fa.gz"
    path.write_bytes(END)
    with pytest.raises(FastaParseError, match="found none: the file is empty"):
        Fasta(path)


def gzi(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}Q", *numbers)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (b"", "its size is not that of the blocks it counts"),
        (gzi(1 << 60), "its size is not that of the blocks it counts"),
        (gzi(1, 1 << 63, 65280), "block 1 cannot begin at byte 9223372036854775808"),
        (gzi(1, 5, 1 << 40), "block 1 cannot begin at byte 5"),
        (gzi(1, 5, 65280), "block at byte 5: expected a block, found other bytes"),
        (gzi(0), "none"),
        (gzi(1, 1 << 40, 65280), "does not end where it says"),
        (
            lambda second: gzi(1, second, 65279),
            "block at byte 0: holds 65280 bytes, its index says 65279.*gzi",
        ),
    ],
)
def test_a_block_index_that_lies(
    index: bytes, message: str, genome: Path, records: dict[str, bytes]
) -> None:
    Fasta(genome)
    if not isinstance(index, bytes):
        index = index(block_starts(genome)[1])
    Path(f"{genome}.gzi").write_bytes(index)
    if message == "none":
        assert contents(Fasta(genome)) == records
        return
    with pytest.raises(FastaIndexError, match=message) as caught:
        Fasta(genome)
    assert "elete it" in str(caught.value)
    assert contents(Fasta(genome, rebuild_index=True)) == records
    assert contents(Fasta(genome)) == records


def test_a_block_index_whose_middle_lies(genome: Path) -> None:
    Fasta(genome)
    path = Path(f"{genome}.gzi")
    numbers = list(struct.unpack(f"<{path.stat().st_size // 8}Q", path.read_bytes()))
    numbers[4] -= 1  # the second block would begin a byte too early
    path.write_bytes(gzi(*numbers))
    fasta = Fasta(genome)
    assert len(fasta.fetch("a", 0, 60_000)) == 60_000
    for read in (
        lambda: fasta.fetch("a", 100_000, 140_000),
        lambda: fasta.fetch_many([("a", 100_000, 140_000)]),
    ):
        with pytest.raises(FastaIndexError, match="its index says.*its .gzi index is that of"):
            read()


@pytest.mark.parametrize(
    ("place", "message"),
    [(0, "expected a block, found other bytes"), (40, "damaged deflate data|checksum is wrong")],
)
def test_a_damaged_block(place: int, message: str, genome: Path, records: dict[str, bytes]) -> None:
    Fasta(genome)
    starts = block_starts(genome)
    data = bytearray(genome.read_bytes())
    data[starts[1] + place] ^= 0x55
    genome.write_bytes(data)
    fasta = Fasta(genome)
    assert fasta.fetch("a", 0, 64_000).tobytes() == records["a"][:64_000]
    where = rf"genome.fa.gz: bgzip block at byte {starts[1]}: ({message}): the file is damaged"
    for _ in range(2):
        with pytest.raises(FastaIndexError, match=where):
            fasta.fetch("a", 64_000, 70_000)
        with pytest.raises(FastaIndexError, match=where):
            fasta.fetch_many([("a", 0, 9), ("a", 64_000, 70_000)], threads=2)
    assert fasta.fetch("a", 150_000, 150_009).tobytes() == records["a"][150_000:150_009]


def test_a_file_cut_anywhere(genome: Path) -> None:
    Fasta(genome)
    data = genome.read_bytes()
    for size in (len(data) - len(END) - 1, block_starts(genome)[2], block_starts(genome)[1] + 7):
        genome.write_bytes(data[:size])
        with pytest.raises(FastaIndexError, match=r"genome\.fa\.gz"):
            Fasta(genome)
    genome.write_bytes(data[: -len(END)])  # all letters are there: the indexes prove it
    assert len(Fasta(genome)["b"][:]) == 90_001


def test_a_file_that_shrinks_while_open(genome: Path, records: dict[str, bytes]) -> None:
    fasta = Fasta(genome)
    last = ("b", 90_000, 90_001)
    assert fasta.fetch(*last).tobytes() == records["b"][-1:]
    os.truncate(genome, block_starts(genome)[1] + 20)
    for _ in range(2):
        with pytest.raises(FastaIndexError, match="bgzip block at byte .* inside it"):
            fasta.fetch_many([last, ("a", 0, 4), ("a", 100_000, 100_010)])
        with pytest.raises(FastaIndexError, match="bgzip block at byte .* inside it"):
            fasta.fetch("a", 100_000, 100_010)


def test_another_file_in_its_place(genome: Path) -> None:
    fasta = Fasta(genome)
    genome.write_bytes(b"x" * genome.stat().st_size)
    with pytest.raises(FastaIndexError, match="expected a block, found other bytes"):
        fasta.fetch("b", 5, 9)


def test_pickle(genome: Path, records: dict[str, bytes]) -> None:
    assert contents(pickle.loads(pickle.dumps(Fasta(genome)))) == records


def test_eight_threads_share_the_blocks(genome: Path, records: dict[str, bytes]) -> None:
    fasta = Fasta(genome)
    random = np.random.default_rng(2)

    def job(seed: int) -> bool:
        starts = np.random.default_rng(seed).integers(0, 190_000, 300).tolist()
        one = all(
            fasta.fetch("a", s, s + 500).tobytes() == records["a"][s : s + 500] for s in starts
        )
        many = fasta.fetch_many([("a", s, s + 500) for s in starts], threads=2)
        return one and all(
            m.tobytes() == records["a"][s : s + 500] for m, s in zip(many, starts, strict=True)
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(job, random.integers(0, 99, 16).tolist()))


FORK = """
import os, sys, threading
from seqtile import Fasta
fasta = Fasta(sys.argv[1])
expected = fasta["a"][:].tobytes()
intervals = [("a", i, i + 900) for i in range(0, 190_000, 700)]
def check():
    return fasta["a"][:].tobytes() == expected and all(
        part.tobytes() == expected[a:b]
        for part, (_, a, b) in zip(fasta.fetch_many(intervals, threads=2), intervals, strict=True)
    )
assert check()
stop = threading.Event()
def use():
    while not stop.is_set():
        fasta.fetch_many(intervals)
        fasta.fetch("a", 60_000, 70_000)
threads = [threading.Thread(target=use) for _ in range(3)]
for thread in threads:
    thread.start()
children = []
for _ in range(8):
    child = os.fork()
    if child == 0:
        os._exit(0 if all(check() for _ in range(5)) else 1)
    children.append(child)
assert all(check() for _ in range(5))
stop.set()
for thread in threads:
    thread.join()
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""


@pytest.mark.parametrize("packed", [True, False])
def test_fork_while_threads_read(
    packed: bool, tmp_path: Path, records: dict[str, bytes], genome: Path
) -> None:
    if not packed:
        genome = tmp_path / "plain.fa"
        genome.write_bytes(wrapped(records))
    done = subprocess.run(
        # Python 3.12 and later warn of every fork beside threads: that is what is tested.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, str(genome)],
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
