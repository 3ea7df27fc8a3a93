"""Embeddings, further inputs, lengths in steps, outputs whose size follows the length."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import seqtile
from seqtile import TableError
from seqtile.commands.input_tables import read_inputs
from seqtile.errors import AlphabetError, ModelIntegrityError, ShapeError
from tests.python.command import check_refused, names
from tests.python.command import seqtile as run
from tests.python.models import model_folder, rich_folder
from tests.python.oracle import write_fasta

SEQUENCES = ["AAACCC", "ggttca", "GAT", "ACGTACGTA", "CCCAAA"]
OPEN = np.float32([1, 2, 3, 4, 5])


def counts(sequence: str) -> list[int]:
    return [sequence.upper().count(letter) for letter in "ACGT"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rich_folder(tmp_path_factory.mktemp("models") / "rich")


@pytest.fixture(scope="module")
def rich(folder: Path) -> seqtile.Predictor:
    return seqtile.load(folder, device="cpu")


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "x.fa", dict(zip("abcde", SEQUENCES, strict=True)))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "open.tsv"
    path.write_text(
        "name\topen\n" + "".join(f"{n}\t{v}\n" for n, v in zip("edcba", OPEN[::-1], strict=True))
    )
    return path


@pytest.mark.parametrize("size", [1, 2, 7])
def test_embed(rich: seqtile.Predictor, size: int) -> None:
    found = rich.embed(SEQUENCES, accessibility=OPEN, batch_size=size)
    assert found.dtype == np.float32
    assert found.tolist() == [counts(s) for s in SEQUENCES]
    assert rich.embeds
    assert rich.embed([], accessibility=[]).shape == (0, 4)


def test_predict_gives_the_answers_alone(rich: seqtile.Predictor) -> None:
    assert rich.outputs == ("totals", "tops")
    found = rich.predict(SEQUENCES[:2], accessibility=OPEN[:2])
    assert list(found) == ["totals", "tops"]
    assert found["totals"].tolist() == [[6, 7], [6, 8]]
    assert found["tops"].shape == (2, 4, 2)


def test_a_model_without_embedding(tmp_path: Path) -> None:
    tiny = seqtile.load(model_folder(tmp_path / "tiny"), device="cpu")
    assert not tiny.embeds
    message = r"^tiny has no embedding; its outputs are \['probability'\]$"
    with pytest.raises(TypeError, match=message):
        tiny.embed(["ACGT"])
    with pytest.raises(TypeError, match=message):
        next(tiny.predict_fasta("missing.fa", embed=True))


def test_the_self_test_covers_the_embedding(tmp_path: Path) -> None:
    folder = rich_folder(tmp_path / "rich")
    with np.load(folder / "golden.npz") as golden:
        arrays = dict(golden)
    arrays["embedding"] += 1
    np.savez(folder / "golden.npz", **arrays)
    with pytest.raises(ModelIntegrityError, match="'embedding' differs"):
        seqtile.load(folder, device="cpu")


# lengths


@pytest.mark.parametrize("length", [1, 2, 4, 10])
def test_a_length_between_the_steps(rich: seqtile.Predictor, length: int) -> None:
    message = f"sequence 1 has {length} letters, the model takes at least 3 and a multiple of 3"
    with pytest.raises(ShapeError, match=message):
        rich.predict(["ACG", "A" * length], accessibility=OPEN[:2])


def test_unknown_letters_where_the_card_refuses_them(rich: seqtile.Predictor) -> None:
    with pytest.raises(AlphabetError, match="sequence 0, position 2"):
        rich.predict(["ACN"], accessibility=OPEN[:1])


def test_answers_that_follow_the_length_come_one_by_one(
    rich: seqtile.Predictor, fasta: Path
) -> None:
    with pytest.raises(ShapeError, match="output 'tops' depends on that of the input"):
        rich.predict(SEQUENCES, accessibility=OPEN)
    inputs = {"accessibility": dict(zip("abcde", OPEN.tolist(), strict=True))}
    for size in (1, 3, 64):
        rows = list(rich.predict_fasta(fasta, inputs=inputs, batch_size=size))
        assert [row.name for row in rows] == list("abcde")
        for row, sequence, value in zip(rows, SEQUENCES, OPEN, strict=True):
            assert row.outputs["totals"].tolist() == [len(sequence), len(sequence) + value]
            assert row.outputs["tops"].shape == (4, len(sequence) // 3)
        (embedded, *_) = rich.predict_fasta(fasta, inputs=inputs, batch_size=size, embed=True)
        assert {k: v.tolist() for k, v in embedded.outputs.items()} == {"embedding": [3, 3, 0, 0]}


def test_further_inputs_of_a_file(rich: seqtile.Predictor, fasta: Path) -> None:
    with pytest.raises(TypeError, match="rich also needs the input 'accessibility'"):
        next(rich.predict_fasta(fasta))
    with pytest.raises(TypeError, match="rich has no input 'height'"):
        next(rich.predict_fasta(fasta, inputs={"accessibility": {}, "height": {}}))
    with pytest.raises(ValueError, match="input 'accessibility' has no value for record 'b'"):
        list(rich.predict_fasta(fasta, inputs={"accessibility": {"a": 1.0}}))


# the command line


def test_predict_with_a_table(folder: Path, fasta: Path, table: Path) -> None:
    result = run("predict", folder, fasta, "--input", f"accessibility={table}")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[:3] == [
        "name\ttotals_known\ttotals_sum\ttops",
        "a\t6\t7\tAC",
        "b\t6\t8\tGA",
    ]
    result = run("predict", folder, fasta, "--input", f"accessibility={table}", "--jsonl")
    first = json.loads(result.stdout.splitlines()[0])
    assert first == {
        "name": "a",
        "totals": {"known": 6, "sum": 7},
        "tops": [[1, 0], [0, 1], [0, 0], [0, 0]],
        "tops_letters": "AC",
    }


def test_embed_on_the_command_line(folder: Path, fasta: Path, table: Path, tmp_path: Path) -> None:
    call = ["embed", folder, fasta, "--input", f"accessibility={table}"]
    lines = run(*call).stdout.splitlines()
    assert lines[0] == "name\tembedding_0\tembedding_1\tembedding_2\tembedding_3"
    assert lines[4] == "d\t3\t2\t2\t2"
    result = run(*call, "-o", tmp_path / "e.npz")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    with np.load(tmp_path / "e.npz") as arrays:
        assert arrays["name"].tolist() == list("abcde")
        assert arrays["embedding"].tolist() == [counts(s) for s in SEQUENCES]


def test_arrays_need_one_shape(folder: Path, fasta: Path, table: Path, tmp_path: Path) -> None:
    target = tmp_path / "p.npz"
    before = names(tmp_path)
    result = run("predict", folder, fasta, "--input", f"accessibility={table}", "-o", target)
    check_refused(result, "p.npz: record 'c' has tops of shape (4, 1), others (4, 2)")
    assert names(tmp_path) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\t1\nb\n", "line 2: expected a record name, a tab and a number, found 'b'"),
        ("a\t1\nb\tx\n", "line 2: expected a record name, a tab and a number, found 'x'"),
        ("a\t0,5\nb\t1\n", "line 1: .* found '0,5': write a point, not a comma"),
        ("a\tNA\n", "line 1: .* found 'NA': give 'a' a finite number, or take it out"),
        ("name\tvalue\na\tnan\n", "line 2: .* found 'nan': give 'a' a finite number"),
        ("a\t-inf\n", "line 1: .* found '-inf'"),
        ("name\t\n", "line 1: .* found ''"),
        ("a\thigh\n", "line 1: .* found 'high'"),
        ("a\t1_0\n", "line 1: .* found '1_0'"),
        ("a\t\u0661\n", "line 1: .* found '\u0661'"),
        ("a\t1e39\n", "line 1: 1e39 is no finite number of 32 bits"),
        ("a\t1\nb\t2\t3\n", "line 2: expected 2 columns, found 3"),
        ("a\t1\n\na\t2\n", "line 3: record 'a' stands there twice"),
        ("nothing here\n", "line 1: expected a record name"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.tsv"
    path.write_text(text)
    with pytest.raises(TableError, match=message):
        read_inputs([f"accessibility={path}"])


@pytest.mark.parametrize(
    "header", ["", "name\tvalue\n", "#peak\tdepth\n", "Record\tx\r\n", "site 1\tAccessibility\n"]
)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_headers_and_a_byte_order_mark(tmp_path: Path, header: str, mark: str) -> None:
    path = tmp_path / "t.tsv"
    path.write_text(f"{mark}{header}a\t.5\r\n\nb\t-1e-3\n", encoding="utf-8")
    found = read_inputs([f"accessibility={path}"])
    assert found == {"accessibility": {"a": 0.5, "b": -0.001}}


def test_a_table_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    path.write_bytes(b"PK\xbc\xff")
    with pytest.raises(TableError, match="t.npz: expected a table in UTF-8, found a binary file"):
        read_inputs([f"accessibility={path}"])


def test_an_input_twice(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("a\t1\n")
    with pytest.raises(ValueError, match="--input x=FILE is given twice"):
        read_inputs([f"x={tmp_path / 't.tsv'}"] * 2)


@pytest.mark.parametrize("argument", ["accessibility", "=x", "a="])
def test_bad_arguments(argument: str) -> None:
    with pytest.raises(ValueError, match="--input takes NAME=FILE"):
        read_inputs([argument])


def test_a_table_that_is_not_there(folder: Path, fasta: Path) -> None:
    result = run("predict", folder, fasta, "--input", "accessibility=gone.tsv")
    check_refused(result, "gone.tsv: No such file")
    check_refused(run("predict", folder, fasta), "(--input accessibility=FILE)")
