"""Standard streams that are closed when the command line begins."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.python.command import SEQTILE, names
from tests.python.oracle import write_fasta
from tests.python.test_cli import VERBS


def call(*arguments: object, closed: str) -> tuple[int, bytes, bytes]:
    """Exit status and output of a call of the shell, with ``>&-`` and the like."""
    process = subprocess.Popen(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *SEQTILE, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "x.fa", {"a": "GATTACA" * 3})


@pytest.mark.parametrize("verb", VERBS)
def test_closed_standard_output_is_told_before_any_work(verb: str, genome: Path) -> None:
    arguments = {
        "models": ["list"],
        "predict": ["jund-cnn-seq", genome],
        "embed": ["jund-cnn-seq", genome],
        "scan": ["jund-cnn-seq", genome, "-o", genome.parent / "x.bw"],
        "segment": ["nuclei-unet", "a.png", "-o", genome.parent / "a.tif"],
        "kmers": ["-k", 3, genome],
        "motifs": ["jund-cnn-seq"],
        "bench": ["jund-cnn-seq"],
    }.get(verb, [])
    status, _, errors = call(verb, *arguments, closed=">&-")
    assert status == 1
    assert errors.startswith(b"seqtile: error: standard output is closed; ")
    assert errors.count(b"\n") == 1
    assert names(genome.parent) == {"x.fa"}


def test_without_standard_error_data_are_data_alone(motif_folder: Path, genome: Path) -> None:
    status, output, _ = call("predict", motif_folder, genome, closed="2>&-")
    assert (status, output.count(b"\n")) == (0, 2)
    assert call("predict", motif_folder, "missing", closed="2>&-")[:2] == (1, b"")
    assert call("fly", closed="2>&-")[:2] == (2, b"")


def test_without_standard_input(motif_folder: Path, genome: Path) -> None:
    assert call("predict", motif_folder, genome, closed="<&-")[0] == 0
    for words in (["predict", motif_folder, "-"], ["kmers", "-k", 3, "-"]):
        expected = (1, b"", b"seqtile: error: <stdin>: standard input is closed\n")
        assert call(*words, closed="<&-") == expected


def test_without_any(motif_folder: Path, genome: Path) -> None:
    target = genome.parent / "x.tsv"
    assert call("predict", motif_folder, genome, "-o", target, closed="<&- >&- 2>&-")[0] == 1
    assert call("predict", motif_folder, genome, "-o", target, closed="<&- 2>&-")[0] == 0
    assert target.read_text().startswith("name\tprobability\na\t")


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "-", "link"])
def test_names_of_standard_output(motif_folder: Path, genome: Path, name: str) -> None:
    """A log that it is appended to keeps what it had, and summaries go elsewhere."""
    log = genome.parent / "log"
    log.write_text("before\n")
    (genome.parent / "link").symlink_to("/dev/stdout")
    options = ["--threshold", "0", "--window", "12", "-o", name]
    with log.open("ab") as file:
        subprocess.run(
            [*SEQTILE, "scan", motif_folder, genome, *options],
            stdout=file,
            stderr=subprocess.PIPE,
            cwd=genome.parent,
            check=True,
        )
        os.write(file.fileno(), b"after\n")
    before, *rows, after = log.read_text().splitlines()
    assert (before, after) == ("before", "after")
    assert rows
    assert {row.split("\t")[0] for row in rows} == {"a"}
    assert names(genome.parent) == {"x.fa", "log", "link"}


def test_formats_that_go_back_are_refused_there(motif_folder: Path, genome: Path) -> None:
    os.mkfifo(genome.parent / "x.bw")
    words = ["scan", motif_folder, genome, "-o", genome.parent / "x.bw"]
    status, output, errors = call(*words, closed="")
    assert (status, output) == (1, b"")
    assert b"x.bw: is a device or a pipe, expected a file name" in errors


def test_other_processes_get_a_file_of_a_descriptor(motif_folder: Path, genome: Path) -> None:
    """``-o >(...)`` of a shell is ``/dev/fd/N``."""
    reader, writer = os.pipe()
    words = ["predict", motif_folder, genome, "-o", f"/dev/fd/{writer}"]
    subprocess.run([*SEQTILE, *map(str, words)], pass_fds=[writer], check=True)
    os.close(writer)
    with os.fdopen(reader) as file:
        assert file.read().startswith("name\tprobability\na\t")


def test_the_input_that_standard_output_goes_to(motif_folder: Path, genome: Path) -> None:
    before = genome.read_bytes()
    with genome.open("ab") as file:
        words = [*SEQTILE, "predict", motif_folder, genome]
        result = subprocess.run(words, stdout=file, stderr=subprocess.PIPE)
    assert result.returncode == 1
    assert b"standard output: it would overwrite the input" in result.stderr
    assert genome.read_bytes() == before
