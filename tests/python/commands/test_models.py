"""``seqtile models``: the list, a card, what does not verify."""

from __future__ import annotations

import json
from pathlib import Path

import seqtile
from tests.python.command import check_refused, succeed
from tests.python.command import seqtile as run
from tests.python.models import CARD, model_folder, sha256


def test_list() -> None:
    table = succeed("models")
    assert table == succeed("models", "list")
    first, *rows = table.splitlines()
    assert first.split() == ["model", "task", "input", "metric", "size"]
    assert [row.split()[0] for row in rows] == seqtile.list_models()


def test_as_json() -> None:
    cards = json.loads(succeed("models", "--json"))
    assert cards == json.loads(succeed("models", "list", "--json"))
    assert cards == [json.loads(seqtile.card(name).to_json()) for name in seqtile.list_models()]


def test_show(motif_folder: Path) -> None:
    text = succeed("models", "show", motif_folder)
    assert text.startswith("tiny 1: Finds one motif.\n")
    assert "sequence uint8 (batch, length): letters" in text
    assert "roc_auc" in text
    assert "0.750 [0.500, 1.000]" in text
    card = json.loads(succeed("models", "show", "--json", motif_folder))
    assert card == json.loads(succeed("models", "--json", "show", motif_folder))
    assert card["sha256"] == sha256(motif_folder / "model.onnx")
    assert seqtile.ModelCard.from_json(json.dumps(card), source="").metrics == CARD.metrics


def test_show_an_unknown_name() -> None:
    check_refused(run("models", "show", "jund-cnn-sek"), "did you mean 'jund-cnn-seq'?")


def test_verify(motif_folder: Path, tmp_path: Path) -> None:
    broken = model_folder(tmp_path / "broken")
    with (broken / "model.onnx").open("ab") as file:
        file.write(b"x")
    result = run("models", "verify", motif_folder, broken)
    assert (result.returncode, result.stderr) == (1, "")
    good, bad = result.stdout.splitlines()
    assert good.startswith(f"{motif_folder}: ok, sha256 ")
    assert bad.startswith(f"{broken}: FAILED: ")
    assert "the file is corrupt" in bad
