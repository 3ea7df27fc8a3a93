"""NaN and infinity: refused where they go in, said where they come out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import seqtile
from seqtile import InputSpec, scan
from tests.python.command import check_refused
from tests.python.command import seqtile as run
from tests.python.models import counts_model, ratio_model
from tests.python.oracle import write_fasta

RECORDS = {"a": "AACG", "none": "GGTT", "infinite": "AAGT", "zero": "CCCC"}


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "x.fa", RECORDS)


@pytest.fixture
def ratio(tmp_path: Path) -> Path:
    return ratio_model(tmp_path / "ratio.onnx")


def test_a_table_says_nan(ratio: Path, records: Path) -> None:
    result = run("predict", ratio, records, "--input-layout", "NCL", "--batch-size", 3)
    assert result.stdout == "name\ty\na\t2\nnone\tnan\ninfinite\tinf\nzero\t0\n"
    assert result.returncode == 0
    assert result.stderr == (
        "seqtile: 2 of 4 rows have a number that is not finite (nan or inf), the first 'none'\n"
    )


def test_json_lines_say_null(ratio: Path, records: Path) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    result = run("predict", ratio, records, "--input-layout", "NCL", "--jsonl")
    lines = [json.loads(line, parse_constant=refuse) for line in result.stdout.splitlines()]
    assert [line["y"] for line in lines] == [2, None, None, 0]
    assert "2 of 4 rows" in result.stderr


def test_arrays_are_counted(ratio: Path, records: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.npz"
    result = run("predict", ratio, records, "--input-layout", "NCL", "-o", target)
    assert result.returncode == 0
    assert result.stderr.startswith("seqtile: 2 of 4 rows have a number that is not finite")
    with np.load(target) as arrays:
        np.testing.assert_array_equal(arrays["y"], np.float32([2, np.nan, np.inf, 0]))


@pytest.mark.parametrize("strand", ["+", "-", "both"])
def test_a_scan_counts_windows(ratio: Path, tmp_path: Path, strand: str) -> None:
    """A window has no score if the answer of either strand is not finite."""
    letters = "ACGTCCAAAAGGGGTTTTACGTAC"
    other = str(seqtile.reverse_complement(letters))
    genome = write_fasta(tmp_path / "g.fa", {"chr": letters})
    scores = []
    for i in range(len(letters) - 5):
        plus, minus = letters[i : i + 6], other[len(letters) - i - 6 : len(letters) - i]
        read = {"+": [plus], "-": [minus], "both": [plus, minus]}[strand]
        found = [s.count("A") / s.count("C") if "C" in s else np.nan for s in read]
        scores.append(max(found) if np.isfinite(found).all() else np.nan)
    assert 0 < np.isnan(scores).sum() < len(scores)
    predictor = seqtile.load(ratio, input=InputSpec())
    work = scan(predictor, genome, window=6, strand=strand)
    np.testing.assert_allclose(np.concatenate([b.scores for b in work]), scores, rtol=1e-6)
    assert work.not_finite == np.isnan(scores).sum()
    options = ["--input-layout", "NCL", "--window", 6, "--strand", strand, "--threshold", 1]
    result = run("scan", ratio, genome, *options, "-o", tmp_path / "a.bed")
    assert f"no score  {work.not_finite} windows whose answer is not finite" in result.stdout
    assert json.loads(run("scan", ratio, genome, *options, "--json").stdout)["not_finite"] > 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39, None])
def test_arrays_that_go_in(tmp_path: Path, value: float | None) -> None:
    model = counts_model(tmp_path / "m.onnx", accessibility=True)
    predictor = seqtile.load(model, input=InputSpec())
    with pytest.raises(ValueError, match="accessibility: expected finite numbers, row 1 has "):
        predictor.predict(["ACGT"] * 3, accessibility=np.array([[0], [value], [1]]))


def test_values_that_go_in(tmp_path: Path, records: Path) -> None:
    model = counts_model(tmp_path / "m.onnx", accessibility=True)
    predictor = seqtile.load(model, input=InputSpec())
    values = dict.fromkeys(RECORDS, 1.0) | {"infinite": np.inf}
    with pytest.raises(ValueError, match="input 'accessibility' of record 'infinite' is inf"):
        list(predictor.predict_fasta(records, inputs={"accessibility": values}))


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "NA", "0,5", "1e99"])
def test_tables_that_go_in(tmp_path: Path, records: Path, text: str) -> None:
    model = counts_model(tmp_path / "m.onnx", accessibility=True)
    table = tmp_path / "t.tsv"
    table.write_text(f"a\t{text}\nnone\t1\n")
    result = run(
        "predict", model, records, "--input-layout", "NCL", "--input", f"accessibility={table}"
    )
    check_refused(result, f"{table}: line 1: ", text)
