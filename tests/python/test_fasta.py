"""Streaming FASTA: specimens good and bad, kinds of input; the oracle is Biopython."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
from Bio import SeqIO

from seqtile import Fasta, compression, example_path, read_fasta
from seqtile.errors import FastaIndexError, FastaParseError, SeqtileError
from seqtile.fasta.contigs import open_contigs

DATA = Path(__file__).parents[1] / "data"
EXPECTED = json.loads((DATA / "expected.json").read_text())
GOOD = EXPECTED["good"]  # file: [name, description, letters] of each record
BAD = EXPECTED["bad"]  # file: line, record, part of the message


def records(source: Any) -> list[list[str]]:
    return [[r.name, r.description, r.sequence.tobytes().decode()] for r in read_fasta(source)]


# specimens


def test_the_index_of_the_specimens_is_complete() -> None:
    lines = (DATA / "README.md").read_text().splitlines()
    rows = [line.split("`")[1] for line in lines if line.startswith("| `")]
    assert rows == [*GOOD, *BAD]
    assert {path.name for path in DATA.iterdir()} >= set(rows)


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
@pytest.mark.parametrize("name", GOOD)
def test_good_specimens(name: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert records(DATA / name) == GOOD[name]
    monkeypatch.setattr(compression, "BLOCK", block)
    assert records(io.BytesIO((DATA / name).read_bytes())) == GOOD[name]


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize(
    "read", [records, open_contigs, lambda path: Fasta(path, write_index=False)]
)
def test_bad_specimens(name: str, read: Any) -> None:
    path = str(DATA / name)
    if name.endswith((".gz", ".bz2")) and read not in (records, open_contigs):
        with pytest.raises(FastaIndexError, match="has no random access"):
            read(path)
        return
    line, record, message = BAD[name]
    with pytest.raises(FastaParseError) as caught:
        read(path)
    error = caught.value
    assert (error.path, error.line, error.record) == (path, line, record)
    assert message in str(error)
    assert str(error).startswith(path + (f", line {line}" if line else ""))
    assert isinstance(error, ValueError)
    assert isinstance(error, SeqtileError)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (FastaParseError, str(error), vars(error))


# unit: streaming


def test_sources_of_other_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    wrapped = GOOD["wrapped.fa"]
    content = (DATA / "wrapped.fa").read_bytes()
    assert records(str(DATA / "wrapped.fa")) == wrapped
    for standard_input in (io.BytesIO(content), io.BytesIO(gzip.compress(content))):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=standard_input))
        assert records("-") == wrapped
        assert not standard_input.closed
    with gzip.open(DATA / "wrapped.fa.gz") as unpacked:
        assert records(unpacked) == wrapped


@pytest.mark.parametrize("name", ["wrapped.fa", "members.fa.gz"])
@pytest.mark.parametrize("read", [records, lambda file: open_contigs(file).close()])
def test_an_open_file_stays_open(name: str, read: Any) -> None:
    for buffering in (-1, 0):
        with (DATA / name).open("rb", buffering=buffering) as file:
            read(file)
            assert not file.closed
            assert file.seek(0) == 0
            assert file.read() == (DATA / name).read_bytes()
    stream = io.BytesIO((DATA / name).read_bytes())
    read(stream)
    assert not stream.closed


def test_sources_of_text(tmp_path: Path) -> None:
    path = DATA / "wrapped.fa"
    with path.open() as file, gzip.open(DATA / "wrapped.fa.gz", "rt") as packed:
        for source in (file, packed, io.StringIO(path.read_text())):
            for read in (records, open_contigs):
                with pytest.raises(TypeError, match="gives str: open the file in binary mode"):
                    read(source)
    with pytest.raises(TypeError, match="not bytes: os.fsdecode makes a str of it"):
        records(bytes(path))
    for other in (None, 7, [path], np.zeros(3)):
        with pytest.raises(TypeError, match="a path is a str or PathLike, not "):
            records(other)


def test_tar_archives_are_refused(tmp_path: Path) -> None:
    for mode in ("", "gz", "bz2", "xz"):
        path = tmp_path / "x.fa"
        with tarfile.open(path, f"w:{mode}") as archive:
            archive.add(DATA / "wrapped.fa", "wrapped.fa")
        for read in (records, open_contigs):
            with pytest.raises(FastaParseError, match=r"x\.fa: .* tar archive: unpack it"):
                read(path)
            with pytest.raises(FastaParseError, match="<stream>: .* tar archive: unpack it"):
                read(io.BytesIO(path.read_bytes()))


def test_an_open_file_is_read_from_where_it_stands() -> None:
    with (DATA / "wrapped.fa").open("rb") as file:
        file.seek(47)
        assert records(file) == GOOD["wrapped.fa"][1:]


@pytest.mark.parametrize("name", ["wrapped.fa", "wrapped.fa.gz"])
def test_a_real_pipe(name: str) -> None:
    program = (
        "import seqtile; print([[r.name, r.description, r.sequence.tobytes().decode()]"
        " for r in seqtile.read_fasta('-')])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        input=(DATA / name).read_bytes(),
        capture_output=True,
        check=True,
    )
    assert (ran.stdout.decode(), ran.stderr) == (f"{GOOD[name]}\n", b"")


def test_errors_name_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"<html>\n")))
    for source, path in (("-", "<stdin>"), (io.BytesIO(b"<html>\n"), "<stream>")):
        with pytest.raises(FastaParseError, match="HTML") as caught:
            records(source)
        assert (caught.value.path, caught.value.line) == (path, 1)


def test_no_such_file(tmp_path: Path) -> None:
    for read in (records, Fasta, open_contigs):
        with pytest.raises(FileNotFoundError, match=r"none\.fa"):
            read(tmp_path / "none.fa")
        with pytest.raises(FastaParseError, match="expected a FASTA file, found a folder"):
            read(tmp_path)


def test_a_file_of_ours_is_closed_with_the_iterator() -> None:
    path = str(DATA / "wrapped.fa")
    opened = lambda: path in [file.path for file in psutil.Process().open_files()]  # noqa: E731
    iterator = read_fasta(path)
    assert next(iterator).name == "chr1"
    assert opened()
    del iterator
    assert not opened()
    with pytest.raises(FastaParseError):
        Fasta(DATA / "digit.fa")
    assert str(DATA / "digit.fa") not in [file.path for file in psutil.Process().open_files()]


@pytest.mark.parametrize(
    ("header", "name", "description"),
    [
        (b"a b\tc", "a", "b\tc"),
        (b"a\tb c ", "a", "b c"),
        (b"a   b", "a", "b"),
        (b"a\x0bb", "a", "b"),
        ("é à".encode(), "é", "à"),
        (b"caf\xe9", "caf\udce9", ""),
        (b"sp|P1|X_Y;=>", "sp|P1|X_Y;=>", ""),
    ],
)
def test_headers(header: bytes, name: str, description: str, tmp_path: Path) -> None:
    path = tmp_path / "one.fa"
    path.write_bytes(b">" + header + b"\nACGT\n")
    assert records(path) == [[name, description, "ACGT"]]
    for _ in range(2):  # index built, index read
        assert Fasta(path).fetch(name, 0, 4).tobytes() == b"ACGT"
    with pytest.raises(FastaParseError) as caught:
        records(io.BytesIO(b">" + header + b"\n1\n"))
    assert caught.value.record == name


# unit: the example


def test_example() -> None:
    found = records(example_path("chr22"))
    assert (len(found), sum(len(sequence) for _, _, sequence in found)) == (7, 101_082)
    with pytest.raises(ValueError, match="no example 'chr23'; there is 'chr22'"):
        example_path("chr23")


# agreement


OPEN: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open}


# Biopython refuses a file that begins with a blank line, and has another parser for comments.
NOT_FOR_BIOPYTHON = ("blank_lines.fa", "comments.fa")


@pytest.mark.parametrize("name", [name for name in GOOD if name not in NOT_FOR_BIOPYTHON])
def test_specimens_as_biopython(name: str) -> None:
    path = DATA / name
    form = "fastq" if path.suffix == ".fastq" else "fasta"
    with OPEN.get(path.suffix, open)(path, "rt") as file:
        theirs = [[record.id, str(record.seq)] for record in SeqIO.parse(file, form)]
    assert [[name, letters] for name, _, letters in records(DATA / name)] == theirs
