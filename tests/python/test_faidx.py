"""Random access to FASTA files; the oracle is samtools (pysam)."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pysam
import pytest
from Bio import SeqIO
from Bio.Seq import reverse_complement, reverse_complement_rna
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtile import Fasta, read_fasta
from seqtile.errors import (
    ContigNotFoundError,
    FastaIndexError,
    FastaParseError,
    IntervalError,
)
from seqtile.fasta.contigs import open_contigs

DATA = Path(__file__).parents[1] / "data"
EXPECTED = json.loads((DATA / "expected.json").read_text())
GOOD = {
    file: {name: letters.encode() for name, _, letters in records}
    for file, records in EXPECTED["good"].items()
}
REFUSED = ("duplicate_names.fa", "reads.fastq")  # by open_contigs
INDEXED = [file for file in GOOD if file.endswith(".fa") and file not in EXPECTED["not_indexed"]]
WRAPPED = GOOD["wrapped.fa"]
CHR1 = WRAPPED["chr1"]
OTHER_ORDER = b"chrM\t7\t86\t7\t8\nchr2\t8\t53\t8\t9\nchr1\t23\t21\t10\t11\n"


def contents(fasta: Fasta) -> dict[str, bytes]:
    return {name: fasta[name][:].tobytes() for name in fasta}


def write(folder: Path, content: bytes, name: str = "genome.fa") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    """A copy of ``wrapped.fa`` without index."""
    return write(tmp_path, (DATA / "wrapped.fa").read_bytes())


# specimens


@pytest.mark.parametrize("name", INDEXED)
def test_specimens_by_index(name: str, tmp_path: Path) -> None:
    path = Path(shutil.copy(DATA / name, tmp_path))
    for _ in range(2):  # with a built index, then with the written one
        with Fasta(path) as fasta:
            assert Path(f"{path}.fai").exists()
            assert contents(fasta) == GOOD[name]
            lengths = {record: len(letters) for record, letters in GOOD[name].items()}
            assert fasta.lengths == {record: len(fasta[record]) for record in fasta} == lengths


# unit: random access


def test_the_index_is_written_as_samtools_does(genome: Path) -> None:
    with Fasta(genome) as fasta:
        assert fasta.lengths == {"chr1": 23, "chr2": 8, "chrM": 7}
        assert len(fasta) == 3
        assert "chr2" in fasta
        assert "2" not in fasta
    index = Path(f"{genome}.fai")
    assert index.read_text() == "chr1\t23\t21\t10\t11\nchr2\t8\t53\t8\t9\nchrM\t7\t86\t7\t8\n"
    assert set(genome.parent.iterdir()) == {genome, index}  # no temporary file is left


def test_an_index_is_read_and_not_rebuilt(genome: Path) -> None:
    index = write(genome.parent, OTHER_ORDER, "genome.fa.fai")
    assert list(Fasta(genome)) == ["chrM", "chr2", "chr1"]
    assert list(Fasta(genome, rebuild_index=True, write_index=False)) == ["chr1", "chr2", "chrM"]
    assert index.read_bytes() == OTHER_ORDER
    assert (
        list(Fasta(genome, rebuild_index=True)) == list(Fasta(genome)) == ["chr1", "chr2", "chrM"]
    )


def test_an_index_in_another_order(genome: Path) -> None:
    write(genome.parent, OTHER_ORDER, "genome.fa.fai")
    fasta = Fasta(genome)
    assert [fasta[name][-3:].tobytes() for name in fasta] == [b"ACA", b"GGG", b"ACG"]


def test_no_index_where_none_is_wanted_or_none_can_be(genome: Path) -> None:
    assert Fasta(genome, write_index=False)["chr2"][4:].tobytes() == b"GGGG"
    with genome.open("rb") as file:  # a folder that nobody can write to, root included
        assert Fasta(f"/dev/fd/{file.fileno()}")["chr2"][4:].tobytes() == b"GGGG"
    assert list(genome.parent.iterdir()) == [genome]


@pytest.mark.parametrize("packed", [False, True])
def test_the_minus_strand_of_rna(packed: bool, tmp_path: Path) -> None:
    """By what the file holds, not the interval."""
    path = write(tmp_path, b"> T-rich header\nGCuCCA\nAAN-\n>dna\nACGT\n".replace(b"T\n", b"U\n"))
    if packed:
        pysam.tabix_compress(str(path), f"{path}.gz")
        path = Path(f"{path}.gz")
    for fasta in (Fasta(path), open_contigs(path)):
        for start, end in ((0, 6), (5, 10), (0, 10), (3, 3)):
            expected = reverse_complement_rna(b"GCuCCAAAN-"[start:end].decode())
            assert fasta.fetch("T-rich", start, end, "-").tobytes().decode() == expected
            [many] = fasta.fetch_many([("T-rich", start, end, "-")])
            assert many.tobytes().decode() == expected
    mixed = Fasta(write(tmp_path, b">a\nUUTA\n", "mixed.fa"))
    assert mixed.fetch("a", 0, 4, "-").tobytes() == b"TAAA"
    spooled = open_contigs(io.BytesIO(b">a\nUUA\n"))
    assert spooled.fetch("a", 0, 3, "-").tobytes() == b"UAA"


def test_fetch() -> None:
    fasta = Fasta(DATA / "wrapped.fa", write_index=False)
    assert fasta.fetch("chr1", 8, 13).tobytes() == b"ACGTN"
    assert fasta.fetch("chr1", 0, 23).tobytes() == CHR1
    assert fasta.fetch("chr1", 8, 13, "-").tobytes() == b"NACGT"
    assert fasta.fetch("chrM", 0, 7, strand="-").tobytes() == b"TGTAATC"
    assert fasta.fetch("chrM", np.int64(2), np.int64(4)).tobytes() == b"TT"
    empty = fasta.fetch("chr1", 23, 23)
    assert (empty.shape, empty.dtype) == ((0,), np.uint8)
    with pytest.raises(ValueError, match=r"strand must be '\+' or '-', not '\.'"):
        fasta.fetch("chr1", 0, 1, ".")


@pytest.mark.parametrize(
    "key",
    [
        slice(3, 12),
        slice(None),
        slice(-4, None),
        slice(None, -20),
        slice(5, 5),
        slice(9, 4),
        slice(0, 999),
        slice(2, 21, 3),
        slice(None, None, -1),
        slice(20, 3, -4),
        slice(-999, 2),
    ],
)
def test_slices_are_those_of_bytes(key: slice) -> None:
    got = Fasta(DATA / "wrapped.fa", write_index=False)["chr1"][key]
    assert got.tobytes() == CHR1[key]
    assert got.flags.c_contiguous


def test_single_positions() -> None:
    contig = Fasta(DATA / "wrapped.fa", write_index=False)["chrM"]
    assert [contig[i].tobytes() for i in (0, 6, -1, -7)] == [b"G", b"A", b"A", b"G"]
    assert b"".join(letter.tobytes() for letter in contig) == b"GATTACA"
    for position in (7, -8):
        with pytest.raises(IndexError, match=f"position {position} is outside 'chrM' of length 7"):
            contig[position]


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (3, 2), (0, 24), (24, 24)])
def test_intervals_outside(start: int, end: int) -> None:
    fasta = Fasta(DATA / "wrapped.fa", write_index=False)
    with pytest.raises(IntervalError, match=rf"<= 23 in 'chr1', not \[{start}, {end}\)") as caught:
        fasta.fetch("chr1", start, end)
    assert isinstance(caught.value, ValueError)


def test_a_name_that_is_not_there() -> None:
    fasta = Fasta(DATA / "wrapped.fa", write_index=False)
    for lookup in (lambda name: fasta[name], lambda name: fasta.fetch(name, 0, 1)):
        with pytest.raises(KeyError) as caught:
            lookup("Chr1")
        assert type(caught.value) is ContigNotFoundError
        assert str(caught.value) == f"{fasta.name}: no record 'Chr1'; did you mean 'chr1'?"
        with pytest.raises(ContigNotFoundError, match=r"no record 'xyz'$"):
            lookup("xyz")
        with pytest.raises(ContigNotFoundError, match=r"no record '2'; did you mean 'chr2'\?$"):
            lookup("2")
        with pytest.raises(ContigNotFoundError, match=r"no record 'MT'; did you mean 'chrM'\?$"):
            lookup("MT")


@pytest.mark.parametrize("chrom", [1, np.int64(1), b"1"])
def test_a_name_that_is_no_str(chrom: object, tmp_path: Path) -> None:
    fasta = Fasta(write(tmp_path, b">1\nACGT\n"))
    message = "chrom must be a str, not .* 1; did you mean '1'[?]"
    for lookup in (lambda: fasta[chrom], lambda: fasta.fetch(chrom, 0, 2)):
        with pytest.raises(TypeError, match=f"genome.fa: {message}"):
            lookup()
    with pytest.raises(TypeError, match=f"genome.fa: interval 1: {message}"):
        fasta.fetch_many([("1", 0, 2), (chrom, 0, 2)])
    with pytest.raises(ContigNotFoundError, match="no record 'chr1'; did you mean '1'"):
        fasta["chr1"]


def test_a_pipe_has_no_random_access(tmp_path: Path) -> None:
    """Nobody writes to it: opening it would wait for ever."""
    pipe = tmp_path / "pipe.fa"
    os.mkfifo(pipe)
    for path in (pipe, "/dev/null"):
        with pytest.raises(FastaIndexError, match="has no random access: write it to a file"):
            Fasta(path)
    reader, writer = os.pipe()
    with pytest.raises(FastaIndexError, match=f"/dev/fd/{reader}: a pipe has no random access"):
        Fasta(f"/dev/fd/{reader}")
    os.close(reader)
    os.close(writer)
    assert list(tmp_path.iterdir()) == [pipe]


def test_standard_input_gets_no_index(genome: Path) -> None:
    code = (
        "import os, seqtile; fasta = seqtile.Fasta('/dev/stdin');"
        "assert fasta.fetch('chr2', 0, 3).tobytes() == b'TTT';"
        "assert not any(name.endswith('.fai') for name in os.listdir('/dev'))"
    )
    with genome.open("rb") as file:
        subprocess.run([sys.executable, "-c", code], stdin=file, check=True)
    assert list(genome.parent.iterdir()) == [genome]


def test_only_paths_have_random_access(genome: Path) -> None:
    for source in (bytes(genome), genome.open("rb"), io.StringIO(">a\nAC\n"), None):
        with pytest.raises(TypeError, match="a path is a str or PathLike, not "):
            Fasta(source)
        if hasattr(source, "close"):
            source.close()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "the index is empty: delete it, it is made anew"),
        ("chr1\t23\t21\t10\n", "line 1: expected a name and four numbers"),
        ("chr2\t8\t53\t8\t9\nchr1\t23\tx\t10\t11\n", "line 2: expected a name and four numbers"),
        ("chr1\t23\t21\t10\t11\n\n", "line 2: expected a name and four numbers"),
        ("chr1\t23\t-21\t10\t11\n", "line 1: impossible numbers"),
        ("chr1\t23\t21\t0\t1\n", "line 1: impossible numbers"),
        ("chr1\t23\t21\t10\t9\n", "line 1: impossible numbers"),
        (f"chr1\t{1 << 64}\t21\t10\t11\n", "line 1: impossible numbers"),
        ("chr1\t23\t21\t10\t11\nchr1\t8\t53\t8\t9\n", "line 2: duplicate record name 'chr1'"),
    ],
)
def test_a_malformed_index(line: str, message: str, genome: Path) -> None:
    index = write(genome.parent, line.encode(), "genome.fa.fai")
    with pytest.raises(FastaIndexError, match=message) as caught:
        Fasta(genome)
    assert caught.value.path == str(index)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"GATTACA\n", b"GATTACAG\n"),
        (b"GATTACA\n", b"GATTACA\n>new\nA\n"),
        (b"TTTTGGGG\n", b"TTTTGGGGTTTT\n"),
        (b"GATTACA\n", b"GATT"),
        (b">chr2\nTTTTGGGG\n", b""),
    ],
    ids=["longer", "record added", "bases added", "shrunk", "record removed"],
)
def test_a_stale_index_is_found_at_opening(before: bytes, after: bytes, genome: Path) -> None:
    Fasta(genome)
    genome.write_bytes(genome.read_bytes().replace(before, after))
    with pytest.raises(FastaIndexError, match="does not end where it says") as e:
        Fasta(genome)
    assert e.value.path == f"{genome}.fai"
    assert "rebuild_index=True" in str(e.value)
    fresh = Fasta(genome, rebuild_index=True)
    assert contents(fresh) == {r.name: r.sequence.tobytes() for r in read_fasta(genome)}


@pytest.mark.parametrize(
    ("before", "after", "sound"),
    [
        (b">chr2\n", b">chrX\n", {"chrM"}),
        (b">chr2\nTTTTGGGG", b">chr2 xyz\nTTTT", {"chrM"}),
        (b">chr2\nTTTTGGGG", b">c\nTTTTGGGGGGG", {"chrM"}),
        (b"ACG\n>chr2\n", b"ACGT>chr2\n", {"chrM"}),
        (b"\nACG\n>chr2\nTT", b"\nA\n>chr2\nTTCG", {"chrM"}),
        (b"TTTTGGGG\n>chrM", b"TTTTGG\n>chrM x", {"chr1"}),
        (b"ACG\n>chr2\n", b"ACG\nchr22\n", {"chrM"}),
        (b"ACGTACGTAC\nGTNNNNACGT\n", b"ACGTACGTACGT\nNNNNACGT\n", {"chr2", "chrM"}),
        (b"GTNNNNACGT\nACG\n", b"GTNNNNACGT\n>zz\n", {"chr2", "chrM"}),
    ],
    ids=[
        *("renamed", "header longer", "header shorter", "joined line", "moved", "moved later"),
        *("header gone", "wrapped anew", "record split"),
    ],
)
def test_a_stale_index_of_the_same_size_is_found_at_reading(
    before: bytes, after: bytes, sound: set[str], genome: Path
) -> None:
    Fasta(genome)
    content = genome.read_bytes()
    genome.write_bytes(content.replace(before, after))
    assert len(genome.read_bytes()) == len(content)
    fasta = Fasta(genome)
    for name, sequence in WRAPPED.items():
        if name in sound:
            assert fasta[name][:].tobytes() == sequence
        else:
            whole = (name, 0, len(sequence))
            for read in (lambda: fasta[name][:], lambda: fasta.fetch_many([whole])):  # noqa: B023
                with pytest.raises(FastaIndexError, match=r"the index is not that of .*'chr[12M]'"):
                    read()


LIES = {
    "no first record": (b"chr2\t8\t53\t8\t9\nchrM\t7\t86\t7\t8\n", "another first record"),
    "the last alone": (b"chrM\t7\t86\t7\t8\n", "another first record stands before 'chrM'"),
    "begins later": (
        OTHER_ORDER.replace(b"chr1\t23\t21", b"chr1\t13\t32"),
        "another first record stands before 'chr1'",
    ),
    "none in the middle": (
        OTHER_ORDER.replace(b"chr2\t8\t53\t8\t9\n", b""),
        "a record that it lacks, or letters, stands before 'chrM'",
    ),
    "shorter by a line": (
        OTHER_ORDER.replace(b"chr1\t23", b"chr1\t20"),
        "a record that it lacks, or letters, stands before 'chr2'",
    ),
    "shorter": (OTHER_ORDER.replace(b"chr1\t23", b"chr1\t22"), "'chr1' does not end where"),
    "longer": (OTHER_ORDER.replace(b"chr1\t23", b"chr1\t24"), "'chr1' does not end where"),
    "over the next": (OTHER_ORDER.replace(b"chr1\t23", b"chr1\t40"), "'chr1' does not end"),
}


@pytest.mark.parametrize("kind", LIES)
@pytest.mark.parametrize("packed", [False, True])
def test_an_index_that_lies(kind: str, packed: bool, genome: Path) -> None:
    """Whatever is read of it, the lie is found before a wrong letter is given."""
    lines, message = LIES[kind]
    if packed:
        pysam.tabix_compress(str(genome), f"{genome}.gz")
        genome = Path(f"{genome}.gz")
    write(genome.parent, lines, f"{genome.name}.fai")
    with pytest.raises(FastaIndexError, match=f"the index is not that of .*{message}"):
        contents(Fasta(genome))
    with pytest.raises(FastaIndexError, match=f"the index is not that of .*{message}"):
        contents(open_contigs(genome))
    assert contents(Fasta(genome, rebuild_index=True)) == WRAPPED


def test_records_that_samtools_leaves_out(tmp_path: Path) -> None:
    """Its index does not tell of records without letters."""
    path = write(tmp_path, b"\n>e1\n>a\nACGT\n>e2\n\n>e3 x\n>b\nGG\n")
    write(tmp_path, b"a\t4\t8\t4\t5\nb\t2\t27\t2\t3\n", "genome.fa.fai")
    for read in (Fasta, open_contigs):
        assert contents(read(path)) == {"a": b"ACGT", "b": b"GG"}


def test_a_header_is_judged_by_its_whole_line(genome: Path) -> None:
    Fasta(genome)
    genome.write_bytes(genome.read_bytes().replace(b">chr2\nTTTTGGGG", b">chr2 xyz\nTTTT"))
    with pytest.raises(FastaIndexError, match="there is no header of 'chr2'"):
        Fasta(genome).fetch("chr2", 0, 2)  # letters of the new description


def test_a_long_header(tmp_path: Path) -> None:
    path = write(tmp_path, b">a\nAC\n>b " + b"x" * 5000 + b"\nGGTT\n")
    for _ in range(2):
        assert Fasta(path).fetch("b", 1, 3).tobytes() == b"GT"


def test_a_file_that_shrinks_under_an_open_fasta(genome: Path) -> None:
    fasta = Fasta(genome)
    assert contents(fasta) == WRAPPED
    os.truncate(genome, 60)
    with pytest.raises(FastaIndexError, match="the lines of 'chrM' are not where it says"):
        fasta["chrM"][:]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("uneven_lines.fa", "line 3: the lines of record 'a' are not equally long: wrap them anew"),
        ("blank_inside.fa", "line 2: the lines of record 'a' hold blanks: remove them"),
        ("duplicate_names.fa", "line 5: record 'a' stands on line 1 already"),
        ("wrapped.fa.gz", "ordinary gzip has no random access: compress the file with bgzip"),
    ],
)
def test_files_without_random_access(name: str, message: str, tmp_path: Path) -> None:
    path = shutil.copy(DATA / name, tmp_path)
    with pytest.raises(FastaIndexError, match=message) as caught:
        Fasta(path)
    assert caught.value.path == str(path)
    assert list(tmp_path.iterdir()) == [tmp_path / name]


@pytest.mark.parametrize("write_index", [True, False])
def test_pickle(genome: Path, write_index: bool) -> None:
    fasta = Fasta(genome, write_index=write_index)
    files = set(genome.parent.iterdir())
    copy = pickle.loads(pickle.dumps(fasta))
    assert contents(copy) == contents(fasta)
    assert set(genome.parent.iterdir()) == files
    fasta.close()
    assert contents(copy) == WRAPPED


def test_fork(genome: Path) -> None:
    fasta = Fasta(genome)
    receiver, sender = get_context("fork").Pipe(duplex=False)
    child = get_context("fork").Process(target=lambda: sender.send(contents(fasta)))
    child.start()
    ours = contents(fasta)
    assert receiver.poll(20)
    assert receiver.recv() == ours == WRAPPED
    child.join()
    assert child.exitcode == 0


def test_eight_threads(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    sequence = random.choice(np.frombuffer(b"ACGTN", np.uint8), 200_000)
    lines = b"\n".join(sequence[i : i + 61].tobytes() for i in range(0, len(sequence), 61))
    fasta = Fasta(write(tmp_path, b">a\n" + lines + b"\n"))
    starts = random.integers(0, len(sequence) - 5000, 2000).tolist()
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda start: fasta.fetch("a", start, start + 5000), starts))
    assert all(
        np.array_equal(part, sequence[start : start + 5000])
        for start, part in zip(starts, parts, strict=True)
    )


def test_closed() -> None:
    fasta = Fasta(DATA / "wrapped.fa", write_index=False)
    fasta.close()
    fasta.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        fasta.fetch("chr1", 0, 1)


@pytest.mark.parametrize(
    "line",
    [
        f"chrM\t{(1 << 63) - 1}\t86\t7\t8\n",
        f"chrM\t7\t{(1 << 63) - 1}\t7\t8\n",
        f"chrM\t60\t10\t1\t{(1 << 63) - 1}\n",
        f"chrM\t90\t10\t{(1 << 63) - 1}\t{(1 << 63) - 1}\n",
        "chrM\t7\t3000\t7\t8\n",
    ],
)
def test_an_index_that_points_outside(line: str, genome: Path) -> None:
    write(genome.parent, line.encode(), "genome.fa.fai")
    with pytest.raises(FastaIndexError, match="'chrM' does not end where it says"):
        Fasta(genome)


def test_a_temporary_fasta_lives_as_long_as_its_methods(genome: Path) -> None:
    fetch = Fasta(genome).fetch
    assert fetch("chr1", 0, 4).tobytes() == b"ACGT"
    assert fetch(chrom="chr1", start=0, end=4, strand="-").tobytes() == b"ACGT"
    assert fetch("chr2", 0, 2, strand="+").tobytes() == b"TT"
    for wrong in [(), ("chr1",), ("chr1", 0), ("chr1", 0, 1, "+", 2)]:
        with pytest.raises(TypeError):
            fetch(*wrong)
    for whole in (lambda: fetch("chr1", 0.0, 1), lambda: fetch("chr1", 0.0, 1, "+")):
        with pytest.raises(TypeError, match="start and end must be integers, not 0.0 and 1"):
            whole()


def test_no_descriptor_is_left_open(genome: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        fasta = Fasta(genome)
        fasta.fetch("chr1", 0, 4)
        fasta.fetch_many([("chr1", 0, 4)] * 50, threads=2)
        del fasta
        with pytest.raises(FastaIndexError):
            Fasta(DATA / "duplicate_names.fa")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# unit: open_contigs


@pytest.mark.parametrize("name", [name for name in GOOD if name not in REFUSED])
def test_open_contigs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(shutil.copy(DATA / name, tmp_path))
    for standard_input in (False, True):
        seen: list[bytes] = []
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(path.read_bytes())))
        with open_contigs("-" if standard_input else path, seen.append) as fasta:
            assert contents(fasta) == GOOD[name]
            if standard_input or name not in INDEXED:
                assert b"".join(seen) == path.read_bytes()
                with pytest.raises(TypeError, match="read from a stream cannot be pickled"):
                    pickle.dumps(fasta)
            else:
                assert seen == []
                assert contents(pickle.loads(pickle.dumps(fasta))) == GOOD[name]
    assert list(tmp_path.iterdir()) == [path]


def test_open_contigs_uses_an_index(genome: Path) -> None:
    write(genome.parent, OTHER_ORDER, "genome.fa.fai")
    assert list(open_contigs(genome)) == ["chrM", "chr2", "chr1"]
    genome.write_bytes(genome.read_bytes() + b"ACGT\n")
    with pytest.raises(FastaIndexError, match=r"genome\.fa\.fai: the index is not that of"):
        open_contigs(genome)


def test_open_contigs_refuses_duplicate_names() -> None:
    path = DATA / "duplicate_names.fa"
    for source in (path, io.BytesIO(path.read_bytes())):
        with pytest.raises(FastaIndexError, match="line 5: record 'a' stands on line 1 already"):
            open_contigs(source)


def test_fastq_is_refused() -> None:
    path = DATA / "reads.fastq"
    for read in (Fasta, open_contigs):
        with pytest.raises(FastaParseError, match="line 1: .* this looks like FASTQ"):
            read(path)


# property and agreement


def check_against_pysam(path: Path) -> Fasta:
    """Index byte for byte, whole records, random intervals."""
    fasta = Fasta(path)
    index = Path(f"{path}.fai")
    ours = index.read_bytes()
    index.unlink()
    pysam.faidx(str(path))
    assert ours == index.read_bytes()
    random = np.random.default_rng(1)
    with pysam.FastaFile(str(path)) as theirs:
        assert contents(fasta) == {name: theirs.fetch(name).encode() for name in theirs.references}
        for name, length in fasta.lengths.items():
            for interval in np.sort(random.integers(0, length + 1, (20, 2))).tolist():
                letters = fasta.fetch(name, *interval)
                assert letters.tobytes().decode() == theirs.fetch(name, *interval)
    return fasta


@st.composite
def fasta_files(draw: st.DrawFn) -> tuple[bytes, dict[str, bytes]]:
    """Evenly wrapped files, and their records; none is empty, for samtools drops those."""
    end = draw(st.sampled_from([b"\n", b"\r\n", b" \n"]))
    sequence = st.text("ACGTNacgtnRY", min_size=1, max_size=40).map(str.encode)
    content, expected = b"", {}
    for name in "abcd"[: draw(st.integers(1, 4))]:
        letters, wrap = draw(sequence), draw(st.integers(1, 45))
        rows = [letters[i : i + wrap] for i in range(0, len(letters), wrap)]
        content += end.join([f">{name} text".encode(), *rows]) + end
        content += b"\n" * draw(st.integers(0, 2))
        expected[name] = letters
    return content.rstrip() if draw(st.booleans()) else content, expected


@given(file=fasta_files())
@settings(max_examples=60, deadline=None)
def test_any_even_file_as_samtools(
    tmp_path_factory: pytest.TempPathFactory, file: tuple[bytes, dict[str, bytes]]
) -> None:
    content, expected = file
    path = write(tmp_path_factory.mktemp("any"), content)
    assert {record.name: record.sequence.tobytes() for record in read_fasta(path)} == expected
    fasta = check_against_pysam(path)
    assert contents(fasta) == contents(Fasta(path)) == expected
    for name, letters in expected.items():
        minus = fasta.fetch(name, 0, len(letters), "-").tobytes()
        assert minus.decode() == reverse_complement(letters.decode())


# Records without letters, comments.
NOT_FOR_SAMTOOLS = ("empty_record.fa", "comments.fa")


@pytest.mark.parametrize("name", [name for name in INDEXED if name not in NOT_FOR_SAMTOOLS])
def test_specimens_as_samtools(name: str, tmp_path: Path) -> None:
    check_against_pysam(Path(shutil.copy(DATA / name, tmp_path)))


def test_genomes_as_samtools_and_biopython(data_root: Path, tmp_path: Path) -> None:
    files = sorted((data_root / "genomes").glob("*.f*a*"))
    assert len(files) >= 9
    for file in files:
        path = tmp_path / file.name.removesuffix(".gz")
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as source:
            path.write_bytes(source.read())
        with path.open() as text:
            theirs = {record.id: bytes(record.seq) for record in SeqIO.parse(text, "fasta")}
        assert contents(check_against_pysam(path)) == theirs
        assert {record.name: record.sequence.tobytes() for record in read_fasta(file)} == theirs
        path.unlink()
