"""Cards are made of reports and words, and a word changes no model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import onnx
import pytest
from msgspec import structs

import seqtile
from seqtile.errors import ModelCardError
from seqtile.models.certificate import Certificate
from seqtile.models.contract import Contract
from seqtile.models.zoo import read_card
from training.export import cards, embed
from training.export.report import Report
from training.tasks.codon import card as codon

SHIPPED = cards.EXPORTED / "codon-convnet"


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_shipped_cards_are_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    """If this fails: python -m training.export.cards."""
    assert (cards.main(["--check"]), capsys.readouterr().out) == (0, "")


def test_a_changed_word_changes_the_card_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(SHIPPED, tmp_path / "codon-convnet")
    before, words = files(folder), codon.words
    monkeypatch.setattr(codon, "words", lambda *of: words(*of) | {"summary": "In other words."})
    arguments = ["--exported", str(tmp_path)]
    assert cards.main([*arguments, "--check"]) == 1
    assert files(folder) == before
    assert cards.main(arguments) == 0
    assert capsys.readouterr().out == "codon-convnet: stale\ncodon-convnet: written\n"
    after = files(folder)
    assert {name for name in before if before[name] != after[name]} == {"card.json"}
    assert read_card(folder).summary == "In other words."
    assert cards.main([*arguments, "--check"]) == 0


def test_a_changed_figure_changes_the_card_alone(tmp_path: Path) -> None:
    folder = shutil.copytree(SHIPPED, tmp_path / "codon-convnet")
    report = Report.read(folder)
    first = structs.replace(report.metrics[0], value=0.5)
    changed = structs.replace(report, metrics=(first, *report.metrics[1:]))
    (folder / "report.json").write_text(changed.to_json())
    assert cards.main(["codon-convnet", "--exported", str(tmp_path)]) == 0
    assert read_card(folder).metrics[0].value == 0.5
    assert (folder / "model.onnx").read_bytes() == (SHIPPED / "model.onnx").read_bytes()


def test_a_report_comes_back() -> None:
    report = Report.read(SHIPPED)
    assert report.to_json() == (SHIPPED / "report.json").read_text()
    assert report.task == "codon"


def test_what_is_wrong_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shutil.copytree(SHIPPED, tmp_path / "codon-convnet")
    content = json.loads((folder / "report.json").read_text())
    (folder / "report.json").write_text(json.dumps(content | {"parameters": "many"}))
    assert cards.main(["--exported", str(tmp_path)]) == 1
    assert "report.json: parameters: Expected `int`, got `str`" in capsys.readouterr().err
    assert cards.main(["none", "--exported", str(tmp_path)]) == 1


def test_words_of_an_output_that_is_not_there() -> None:
    path = SHIPPED / "contract.json"
    contract = Contract.from_json(path.read_bytes(), source=str(path))
    lone = structs.replace(contract, outputs=contract.outputs[:1])
    with pytest.raises(ModelCardError, match="meaning of 'embedding', which the model has not"):
        cards.make_card(lone, Report.read(SHIPPED))


def test_a_contract_is_embedded_without_touching_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(SHIPPED, tmp_path / "codon-convnet")
    before = files(folder)
    known = Contract.from_json(before["contract.json"], source="contract")
    changed = structs.replace(known, version="9.9.9", citation="A paper")
    (folder / "contract.json").write_text(changed.to_json())
    assert embed.main(["codon-convnet", "--exported", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("codon-convnet 9.9.9: ")
    loaded = seqtile.load(folder, device="cpu", threads=1)
    assert (loaded.card.version, loaded.card.citation) == ("9.9.9", "A paper")
    for name in ("model.onnx", "model.fp16.onnx"):
        old, new = onnx.load_model_from_string(before[name]), onnx.load(folder / name)
        assert {p.key for p in old.metadata_props} == {p.key for p in new.metadata_props}
        del old.metadata_props[:], new.metadata_props[:]
        assert old == new
    assert Certificate.read(folder).rows == Certificate.read(SHIPPED).rows
    (folder / "contract.json").write_text(known.to_json())
    assert embed.main(["codon-convnet", "--exported", str(tmp_path)]) == 0
    assert {n for n, c in files(folder).items() if c != before[n]} == set()
