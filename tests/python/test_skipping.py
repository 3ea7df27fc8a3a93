"""Records that a model does not take: left out when asked, else an error after the rows before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import seqtile
from seqtile import AlphabetError, Predictor, ShapeError
from seqtile.execution.rows import Outputs
from tests.python.command import check_refused, names
from tests.python.command import seqtile as run
from tests.python.models import model_folder, motif_score, rich_folder
from tests.python.oracle import write_fasta

GOOD = {f"good{i}": "GATTACA"[: 3 + i % 5] for i in range(9)}
BAD = {
    "empty": ("", "record 'empty' has 0 letters, the model takes at least 3"),
    "short": ("AC", "record 'short' has 2 letters, the model takes at least 3"),
    "protein": ("MKVLAA", "record 'protein', position 3: expected a nucleotide letter"),
}


def mixed() -> dict[str, str]:
    """Good records with a bad one after every third."""
    good, records = list(GOOD.items()), dict[str, str]()
    for i, (name, (letters, _)) in enumerate(BAD.items()):
        records |= dict(good[3 * i : 3 * i + 3]) | {name: letters}
    return records


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "x.fa", mixed())


@pytest.fixture(scope="module")
def motif(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return seqtile.load(model_folder(tmp_path_factory.mktemp("models") / "tiny"), device="cpu")


def check_rows(text: str, wanted: dict[str, str]) -> None:
    header, *rows = [line.split("\t") for line in text.splitlines()]
    assert header == ["name", "probability"]
    assert [row[0] for row in rows] == list(wanted)
    answers = [float(row[1]) for row in rows]
    assert answers == pytest.approx(list(map(motif_score, wanted.values())), rel=1e-5)


@pytest.mark.parametrize("size", [(), ("--batch-size", 1), ("--batch-size", 4)])
def test_left_out_when_asked(motif_folder: Path, records: Path, size: tuple[object, ...]) -> None:
    result = run("predict", motif_folder, records, "--skip-bad", *size)
    check_rows(result.stdout, GOOD)
    assert result.returncode == 1
    *listed, counted = result.stderr.splitlines()
    for line, (_, words) in zip(listed, BAD.values(), strict=True):
        assert line.startswith(f"seqtile: error: {words}")
    assert counted == "seqtile: left out 3 of 12 records"


def test_a_file_is_written_without_them(motif_folder: Path, records: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.tsv"
    result = run("predict", motif_folder, records, "--skip-bad", "-o", target)
    assert (result.returncode, result.stdout) == (1, "")
    check_rows(target.read_text(), GOOD)


def test_nothing_to_leave_out(motif_folder: Path, tmp_path: Path) -> None:
    records = write_fasta(tmp_path / "x.fa", GOOD)
    result = run("predict", motif_folder, records, "--skip-bad")
    assert (result.returncode, result.stderr) == (0, "")
    check_rows(result.stdout, GOOD)


def test_nothing_left(motif_folder: Path, tmp_path: Path) -> None:
    records = write_fasta(tmp_path / "x.fa", {"a": "A", "b": "C"})
    result = run("predict", motif_folder, records, "--skip-bad")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.endswith("seqtile: left out 2 of 2 records\n")


@pytest.mark.parametrize("name", BAD)
def test_rows_before_it_are_printed(motif_folder: Path, tmp_path: Path, name: str) -> None:
    letters, words = BAD[name]
    records = write_fasta(tmp_path / "x.fa", {**GOOD, name: letters, "after": "ACGT"})
    result = run("predict", motif_folder, records)
    check_rows(result.stdout, GOOD)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith(f"seqtile: error: {words}")
    check_refused(run("predict", motif_folder, records, "-o", tmp_path / "a.tsv"), words)
    assert names(tmp_path) == {"x.fa"}


def test_rows_before_the_end_of_a_broken_file_are_printed(
    motif_folder: Path, tmp_path: Path
) -> None:
    records = write_fasta(tmp_path / "x.fa", GOOD)
    with records.open("ab") as file:
        file.write(b">bad\nAC\x00GT\n")
    result = run("predict", motif_folder, records, "--skip-bad")
    check_rows(result.stdout, GOOD)
    assert result.returncode == 1
    assert "record 'bad'" in result.stderr


def test_lengths_and_letters_of_steps(tmp_path: Path) -> None:
    """A model of threes that knows its letters alone, and takes a further input."""
    folder = rich_folder(tmp_path / "rich")
    letters = {"a": "ACG", "four": "ACGT", "unknown": "ACN", "b": "ACGTTT"}
    records = write_fasta(tmp_path / "x.fa", letters)
    table = tmp_path / "t.tsv"
    table.write_text("a\t1\nb\t2\n")  # what is left out needs no value
    call = ["predict", folder, records, "--input", f"accessibility={table}", "--skip-bad"]
    result = run(*call)
    assert [row.split("\t")[:3] for row in result.stdout.splitlines()[1:]] == [
        ["a", "3", "4"],
        ["b", "6", "8"],
    ]
    assert "record 'four' has 4 letters, the model takes at least 3 and" in result.stderr
    assert "record 'unknown', position 2: expected one of ACGT, found 'N'" in result.stderr
    table.write_text("a\t1\n")
    result = run(*call)
    assert result.stdout.splitlines()[1].startswith("a\t3\t4\t")
    assert result.returncode == 1
    assert result.stderr.endswith("input 'accessibility' has no value for record 'b'\n")


def test_from_python(motif: Predictor, records: Path) -> None:
    failures: list[Exception] = []
    found = list(motif.predict_fasta(records, failed=failures.append))
    assert [prediction.name for prediction in found] == list(GOOD)
    assert [type(error) for error in failures] == [ShapeError, ShapeError, AlphabetError]
    seen: list[str] = []
    with pytest.raises(ShapeError, match="record 'empty'"):
        seen.extend(prediction.name for prediction in motif.predict_fasta(records))
    assert seen == list(GOOD)[:3]


@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        ("AC", ShapeError, "^sequence 7 has 2 letters"),
        ("ACG1", AlphabetError, "^sequence 7, position 3: "),
        ("AC\u00e4", AlphabetError, "^sequence 7, position 2: expected an ASCII letter"),
    ],
)
def test_answers_before_a_bad_item(
    motif: Predictor, bad: str, error: type[Exception], words: str
) -> None:
    letters = list(GOOD.values())
    rows: list[Outputs] = []
    with pytest.raises(error, match=words):
        rows.extend(motif.predict_iter([*letters[:7], bad, *letters[7:]], batch_size=5))
    answers = [float(row["probability"]) for row in rows]
    assert answers == pytest.approx(list(map(motif_score, letters[:7])), rel=1e-5)


def test_a_chunk_of_many_is_quick_to_sort_out(motif: Predictor, tmp_path: Path) -> None:
    letters = {f"r{i}": "ACGTACGT" if i % 50 else "AC" for i in range(20_000)}
    failures: list[Exception] = []
    records = write_fasta(tmp_path / "x.fa", letters)
    rows = [p.outputs["probability"] for p in motif.predict_fasta(records, failed=failures.append)]
    assert (len(rows), len(failures)) == (19_600, 400)
    np.testing.assert_allclose(rows, motif_score("ACGTACGT"), atol=1e-6)
