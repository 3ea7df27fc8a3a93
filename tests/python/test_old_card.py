"""Folders and files of before the contract still load, and mean what they meant."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import seqtile
from seqtile import ModelCard
from seqtile.models import old_card
from seqtile.models.zoo import read_card
from tests.python.models import COLOUR_CARD, IMAGE_CARD, RICH_CARD, sha256

# A shipped model's folder as it was in 1.0.0, without certificate and pictures.
OLD = Path(__file__).parents[1] / "data" / "codon-convnet-1.0.0"
NEEDED = {"name": "x", "shape": ["batch"], "dtype": "float32", "meaning": ""}


def test_an_old_folder_loads() -> None:
    predictor = seqtile.load(OLD, device="cpu")
    card = predictor.card
    assert (card.name, card.version, card.sha256) == (
        "codon-convnet",
        "1.0.0",
        sha256(OLD / "model.onnx"),
    )
    assert (card.first.kind, card.first.length_multiple) == ("letters", 3)
    assert [tensor.kind for tensor in card.outputs] == ["letters", "embedding"]
    assert (card.training_window, card.window) == (102, None)
    assert card.metric("codon_accuracy", "seen codons").value == 1
    answers = predictor.predict(["ATGGCC"])["probability"]
    assert seqtile.decode(answers[0], alphabet="protein") == "MA"
    assert predictor.embed(["ATGGCC"]).shape == (1, 32, 2)


def test_an_old_card_is_written_as_it_was() -> None:
    assert read_card(OLD).to_json() == (OLD / "card.json").read_text()


def test_an_old_file_explains_itself(tmp_path: Path) -> None:
    lone = shutil.copy(OLD / "model.onnx", tmp_path)
    assert {item.key for item in onnx.load(lone).metadata_props} == {old_card.METADATA_KEY}
    predictor = seqtile.load(lone, device="cpu")
    assert predictor.card.to_dict() == read_card(OLD).to_dict() | {"sha256": ""}
    with np.load(OLD / "golden.npz") as golden:
        predictor.self_test(golden, predictor.card.tolerance)


def tensor(**values: Any) -> dict[str, Any]:
    return NEEDED | values


def read(**fields: Any) -> ModelCard:
    letters = tensor(name="dna", shape=["batch", 9], dtype="uint8")
    content = {"name": "theirs", "inputs": [letters], "outputs": [tensor()], **fields}
    return ModelCard.from_json(json.dumps(content), source="theirs")


def test_names_of_another_house() -> None:
    """The first input is of letters whatever its name, unless it is ``image``."""
    card = read()
    assert (card.first.kind, card.first.alphabet, card.first.unknown) == ("letters", "dna", "zero")
    assert (card.window, card.training_window, card.outputs[0].kind) == (9, 0, "score")
    further = tensor(name="image", shape=["batch", 1])
    letters = tensor(name="rna", shape=["batch", "n"], alphabet="rna", unknown="all zeros")
    card = read(inputs=[letters, further])
    assert [(t.name, t.kind) for t in card.inputs] == [("rna", "letters"), ("image", "number")]
    assert (card.first.alphabet, card.first.unknown) == ("rna", "zero")


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, "score"),
        ({"task": "classification"}, "classes"),
        ({"task": "regression"}, "score"),
        ({"task": "segmentation", "segmentation": {"mask": "x"}}, "mask"),
    ],
)
def test_kinds_of_outputs(fields: dict[str, Any], kind: str) -> None:
    answer = tensor(shape=["batch", "height", "width"])
    further = tensor(name="embedding", shape=["batch", 4])
    aminos = tensor(name="aminos", shape=["batch", 21, "n"], alphabet="protein")
    card = read(outputs=[answer, further, aminos], **fields)
    assert [t.kind for t in card.outputs] == [kind, "embedding", "letters"]


@pytest.mark.parametrize("card", [RICH_CARD, IMAGE_CARD, COLOUR_CARD], ids=lambda card: card.name)
def test_names_imply_the_kinds_that_our_models_have(card: ModelCard) -> None:
    content = json.loads(card.to_json())
    assert {t["name"]: kind for t, kind in old_card.implied(content)} == {
        t.name: t.kind for t in (*card.inputs, *card.outputs)
    }
