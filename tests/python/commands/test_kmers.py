"""``seqtile kmers``: standard output, files, refusals."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from seqtile import KmerTable, kmer_counts, kmer_strings
from tests.python.command import SEQTILE, check_refused, names
from tests.python.command import seqtile as run
from tests.python.oracle import write_fasta

RECORDS = {
    "a": "".join(np.random.default_rng(1).choice(list("ACGTacgtN"), 700)),
    "b": "GATTACA" * 20,
    "empty": "",
}
LENGTH = 840


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "genome.fa", RECORDS)


def table_of(k: int, *, canonical: bool = False) -> dict[str, int]:
    result = kmer_counts(list(RECORDS.values()), k, canonical=canonical)
    if not isinstance(result, KmerTable):
        result = KmerTable.from_dense(result, k)
    return dict(zip(result.strings(), result.counts.tolist(), strict=True))


def succeed(*arguments: object, stdin: bytes = b"") -> str:
    result = run("kmers", *arguments, stdin=stdin)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


@pytest.mark.parametrize("k", [3, 15])
def test_summary(k: int, genome: Path) -> None:
    lines = succeed(genome, "-k", k, "--top", 2, "--threads", 2).splitlines()
    expected = table_of(k)
    total = sum(expected.values())
    assert lines[0].startswith(f"read      {LENGTH} letters of 3 sequences in ")
    assert lines[1].split() == [f"{k}-mers", f"{total:,},", f"{len(expected):,}", "different"]
    assert lines[2].split() == ["k-mer", "count", "share"]
    best = sorted(expected.items(), key=lambda item: (-item[1], item[0]))[:2]
    assert [line.split() for line in lines[3:]] == [
        [kmer, str(count), f"{count / total:.3%}"] for kmer, count in best
    ]


def test_json(genome: Path) -> None:
    content = json.loads(succeed(genome, "-k", 13, "--canonical", "--top", 1, "--json"))
    expected = table_of(13, canonical=True)
    assert content["seconds"] > 0
    assert (content["k"], content["canonical"]) == (13, True)
    assert (content["sequences"], content["letters"]) == (3, LENGTH)
    assert (content["total"], content["distinct"]) == (sum(expected.values()), len(expected))
    best, count = min(expected.items(), key=lambda item: (-item[1], item[0]))
    assert content["top"] == [{"kmer": best, "count": count}]
    assert content["outputs"] == []
    assert "histogram" not in content
    content = json.loads(succeed(genome, "-k", 13, "--canonical", "--histogram", "--json"))
    assert content["histogram"] == sorted(map(list, Counter(expected.values()).items()))


def test_histogram(genome: Path) -> None:
    result = run("kmers", genome, "-k", 14, "--histogram")
    assert result.returncode == 0
    expected = sorted(Counter(table_of(14).values()).items())
    assert result.stdout == "".join(f"{count}\t{kmers}\n" for count, kmers in expected)
    assert result.stderr.startswith(f"read      {LENGTH} letters")


@pytest.mark.parametrize("k", [5, 32])
def test_files(k: int, genome: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    targets = [folder / f"kmers{suffix}" for suffix in (".tsv", ".parquet", ".NPZ")]
    outputs = [word for target in targets for word in ("-o", target)]
    lines = succeed(genome, "-k", k, "--top", 0, *outputs).splitlines()
    assert lines[2:] == [f"wrote     {target}" for target in targets]
    assert names(folder) == {target.name for target in targets}
    expected = table_of(k)
    rows = [line.split("\t") for line in targets[0].read_text().splitlines()]
    assert rows == [[kmer, str(count)] for kmer, count in expected.items()]
    table = pq.read_table(targets[1])
    assert [str(field.type) for field in table.schema] == ["string", "uint64", "uint64"]
    assert table.column("kmer").to_pylist() == list(expected)
    assert kmer_strings(table.column("code").to_numpy(), k) == list(expected)
    assert table.column("count").to_pylist() == list(expected.values())
    with np.load(targets[2]) as arrays:
        assert kmer_strings(arrays["codes"], k) == list(expected)
        assert arrays["counts"].tolist() == list(expected.values())
        assert (int(arrays["k"]), bool(arrays["canonical"])) == (k, False)


def test_standard_input_to_standard_output(genome: Path) -> None:
    expected = "".join(f"{kmer}\t{count}\n" for kmer, count in table_of(6).items())
    for stdin in (genome.read_bytes(), gzip.compress(genome.read_bytes())):
        result = run("kmers", "-", "-k", 6, "-o", "-", stdin=stdin)
        assert (result.returncode, result.stdout) == (0, expected)
        assert result.stderr.startswith(f"read      {LENGTH} letters")


def test_several_files(genome: Path, tmp_path: Path) -> None:
    other = write_fasta(tmp_path / "other.fa", {"c": "ACGTACGTA"})
    content = json.loads(succeed(genome, other, "-k", 4, "--json"))
    assert (content["sequences"], content["letters"]) == (4, LENGTH + 9)
    assert content["total"] == sum(table_of(4).values()) + 6


def test_no_kmers(tmp_path: Path) -> None:
    path = write_fasta(tmp_path / "short.fa", {"a": "ACG", "b": "NNNNNNNNNNNN"})
    for k in (5, 21):
        target = tmp_path / "out.parquet"
        lines = succeed(path, "-k", k, "-o", target).splitlines()
        assert lines[1:] == [f"{k}-mers".ljust(10) + "0, 0 different", f"wrote     {target}"]
        assert pq.read_table(target).num_rows == 0
        assert run("kmers", path, "-k", k, "--histogram").stdout == ""


# refusals


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-k", "0"], "k must be between 1 and 32, not 0"),
        (["-k", "33"], "k must be between 1 and 32, not 33"),
        (["-k", "5", "--threads", "0"], "threads must be at least 1, not 0"),
        (["-k", "5", "--top", "-1"], "top must not be negative, not -1"),
        (["-k", "5", "-o", "x.txt"], "x.txt: expected one of .tsv, .parquet, .npz, found '.txt'"),
        (["-k", "5", "-o", "no/x.tsv"], "no/x.tsv: the folder no does not exist"),
    ],
)
def test_options_that_make_no_sense(options: list[str], words: str, genome: Path) -> None:
    check_refused(run("kmers", genome, *options), words)


@pytest.mark.parametrize("options", [[], ["-k", "five"], ["-k", "5", "--strand", "+"]])
def test_a_wrong_call_exits_with_2(options: list[str], genome: Path) -> None:
    result = run("kmers", genome, *options)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(("usage: seqtile", "seqtile kmers: error: no option --strand"))


def test_bad_input_leaves_no_output(tmp_path: Path) -> None:
    target = tmp_path / "out.tsv"
    bad = write_fasta(tmp_path / "bad.fa", {"a": "ACGT", "b": "ACET"})
    for k in (2, 20):
        check_refused(
            run("kmers", bad, "-k", k, "-o", target),
            "record 'b', position 2: expected a nucleotide letter (ACGTU or IUPAC), found 'E'",
        )
    check_refused(run("kmers", tmp_path / "none.fa", "-k", 2, "-o", target), "No such file")
    check_refused(run("kmers", "-", "-k", 2, stdin=b"<html>\n"), "looks like HTML")
    assert names(tmp_path) == {"bad.fa"}


@pytest.mark.parametrize("suffix", [".tsv", ".parquet", ".npz"])
def test_a_full_disk_leaves_no_output(suffix: str, genome: Path, tmp_path: Path) -> None:
    target = tmp_path / f"out{suffix}"
    other = tmp_path / "other.tsv"
    call = ["kmers", genome, "-k", 20, "-o", target, "-o", other]
    for limit in (100, 2500):
        check_refused(run(*call, file_limit=limit), "cannot write: File too large")
        assert names(tmp_path) == {"genome.fa"}


def test_the_output_is_not_the_input(genome: Path) -> None:
    before = genome.read_bytes()
    check_refused(run("kmers", "-", genome, "-k", 4, "-o", genome), "would overwrite the input")
    assert genome.read_bytes() == before


def test_standard_output_ends(genome: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    for options in ([], ["-o", "-"], ["--histogram"], ["--json"]):
        process = subprocess.Popen(
            [*SEQTILE, "kmers", genome, "-k", "9", *options],
            stdout=writer,
            stderr=subprocess.PIPE,
        )
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        assert b"error" not in errors
    os.close(writer)


def test_needs_numpy_and_the_core_alone(genome: Path) -> None:
    code = (
        "import sys; from seqtile.cli import main; status = main(sys.argv[1:]);"
        "assert not {'onnxruntime', 'torch', 'pyarrow'} & set(sys.modules); sys.exit(status)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "kmers", genome, "-k", "4"], capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (0, "")
