"""The shipped models: their list, their names, their folders."""

from __future__ import annotations

from pathlib import Path

import pytest

import seqtile
from seqtile.errors import ModelNotFoundError
from seqtile.models.zoo import model_folder, read_card
from tests.python.models import model_folder as write_model

EXPORTED = Path(__file__).parents[2] / "exported"


def test_every_exported_folder_is_listed() -> None:
    assert seqtile.list_models() == sorted(p.parent.name for p in EXPORTED.glob("*/card.json"))
    assert "jund-cnn-seq" in seqtile.list_models()


def test_card_by_name() -> None:
    assert [seqtile.card(name).name for name in seqtile.list_models()] == seqtile.list_models()


@pytest.mark.parametrize("name", ["jund-cnn-sec", "jund-cnn-se", "JUND-CNN-SEQ-2"])
def test_a_near_name_is_suggested(name: str) -> None:
    message = f"^no model '{name}'; did you mean 'jund-cnn-seq'\\?$"
    with pytest.raises(ModelNotFoundError, match=message):
        seqtile.card(name)


def test_without_a_near_name_all_are_told() -> None:
    with pytest.raises(FileNotFoundError, match="^no model 'xyz'; there is .*jund-cnn-seq"):
        model_folder("xyz")


def test_folder_without_contract(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="a model folder needs contract.json"):
        read_card(tmp_path)


def test_models_inside_an_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a wheel ``exported/`` is a folder of the package itself."""
    (tmp_path / "exported").mkdir()
    write_model(tmp_path / "exported" / "tiny")
    monkeypatch.setattr(seqtile, "__path__", [str(tmp_path)])
    assert seqtile.list_models() == ["tiny"]
    assert seqtile.load("tiny", device="cpu").card == seqtile.card("tiny")


def test_no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seqtile, "__path__", [str(tmp_path)])
    assert seqtile.list_models() == []
    with pytest.raises(ModelNotFoundError, match="^no model 'tiny'; there is none$"):
        seqtile.card("tiny")
