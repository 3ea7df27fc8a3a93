"""``seqtile predict``: tables and JSON lines of records."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.python.command import check_refused, names, succeed
from tests.python.command import seqtile as run
from tests.python.models import counts_model, motif_score
from tests.python.oracle import write_fasta

RECORDS = {"a": "GATTACA", "b": "acgtacgtacgt", "c": "NNNNN"}


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "records.fa", RECORDS)


def check_table(text: str) -> None:
    header, *rows = [line.split("\t") for line in text.splitlines()]
    assert header == ["name", "probability"]
    assert [row[0] for row in rows] == list(RECORDS)
    answers = [float(row[1]) for row in rows]
    assert answers == pytest.approx(list(map(motif_score, RECORDS.values())), rel=1e-5)


@pytest.mark.parametrize("size", ["1", "2", "100"])
def test_predict(motif_folder: Path, records: Path, size: str) -> None:
    check_table(succeed("predict", motif_folder, records, "--batch-size", size))


def test_to_a_file(motif_folder: Path, records: Path, tmp_path: Path) -> None:
    assert succeed("predict", motif_folder, records, "-o", tmp_path / "out.tsv") == ""
    check_table((tmp_path / "out.tsv").read_text())
    assert names(tmp_path) == {"records.fa", "out.tsv"}


@pytest.mark.parametrize("packed", [False, True])
def test_standard_input(motif_folder: Path, records: Path, packed: bool) -> None:
    content = records.read_bytes()
    stdin = gzip.compress(content) if packed else content
    check_table(succeed("predict", motif_folder, "-", stdin=stdin))


def test_json_lines(motif_folder: Path, records: Path) -> None:
    rows = [
        json.loads(line)
        for line in succeed("predict", motif_folder, records, "--jsonl").splitlines()
    ]
    assert [list(row) for row in rows] == [["name", "probability"]] * 3
    assert [row["name"] for row in rows] == list(RECORDS)
    answers = [row["probability"] for row in rows]
    assert answers == pytest.approx(list(map(motif_score, RECORDS.values())), rel=1e-6)


def test_many_numbers(tmp_path: Path) -> None:
    model = counts_model(tmp_path / "m.onnx")
    records = write_fasta(tmp_path / "x.fa", {"a": "AACGN", "b": "TTTTT"})
    call = ["predict", model, records, "--input-layout", "NCL"]
    assert succeed(*call).splitlines() == [
        "name\tcounts_0\tcounts_1\tcounts_2\tcounts_3\ttotal",
        "a\t2\t1\t1\t0\t4",
        "b\t0\t0\t0\t5\t5",
    ]
    rows = [json.loads(line) for line in succeed(*call, "--jsonl").splitlines()]
    assert rows[0] == {"name": "a", "counts": [2, 1, 1, 0], "total": [4]}


def test_stops_at_a_bad_record_without_output(motif_folder: Path, tmp_path: Path) -> None:
    records = write_fasta(tmp_path / "x.fa", {"a": "ACGT", "b": "ACJT"})
    target = tmp_path / "out.tsv"
    result = run("predict", motif_folder, records, "-o", target, "--batch-size", 1)
    check_refused(result, "record 'b', position 2: expected a nucleotide letter")
    assert names(tmp_path) == {"x.fa"}
