"""Model cards: reading, writing, and every way a card can be wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from seqtile import ModelCard
from seqtile.errors import ModelCardError
from seqtile.models.card import Baseline
from tests.python.models import CARD, COLOUR_CARD, IMAGE_CARD, RICH_CARD

CARDS = [CARD, RICH_CARD, IMAGE_CARD, COLOUR_CARD]


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    content = json.loads(CARD.to_json())
    change(content)
    return json.dumps(content)


def test_round_trip() -> None:
    baseline = Baseline("roc_auc", "test", 8, 0.58, (0.5, 0.625), "", "consensus match")
    card = structs.replace(CARD, sha256="00ff", baselines=(baseline,))
    assert ModelCard.from_json(card.to_json(), source="card.json") == card


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_two_files_make_a_card(card: ModelCard) -> None:
    words = json.loads(json.dumps(card.words()))
    assert ModelCard.of(card.contract(), words) == card
    assert not any(tensor.meaning for tensor in card.contract().inputs)
    contract = json.loads(card.contract().to_json())
    assert words.keys() & contract.keys() == set()


def test_round_trip_of_a_segmentation() -> None:
    text = IMAGE_CARD.to_json()
    assert json.loads(text)["segmentation"]["percentiles"] == [0.0, 100.0]
    assert ModelCard.from_json(text, source="card.json") == IMAGE_CARD
    assert "segmentation" not in json.loads(CARD.to_json())


def test_further_fields_are_shown_where_others_do_not_imply_them() -> None:
    assert not any(
        "kind" in t for c in CARDS for t in c.to_dict()["inputs"] + c.to_dict()["outputs"]
    )
    output = structs.replace(CARD.outputs[0], kind="log-counts", bin=32)
    card = structs.replace(CARD, outputs=(output,), assembly="hg38", training_window=40)
    content = card.to_dict()
    assert content["outputs"][0].items() >= {"kind": "log-counts", "bin": 32}.items()
    assert (content["assembly"], content["training_window"]) == ("hg38", 40)
    assert ModelCard.from_json(card.to_json(), source="card.json") == card


def test_what_a_model_takes() -> None:
    assert (CARD.takes, IMAGE_CARD.takes, COLOUR_CARD.takes) == ("sequences", "images", "images")
    assert COLOUR_CARD.window is None


def test_text_is_deterministic_and_ends_in_a_newline() -> None:
    assert CARD.to_json() == CARD.to_json()
    assert CARD.to_json().endswith("}\n")


def test_without_the_checksum() -> None:
    text = structs.replace(CARD, sha256="00ff").to_json(checksum=False)
    assert "sha256" not in json.loads(text)
    assert ModelCard.from_json(text, source="model.onnx") == CARD


def test_a_card_may_be_utf_8_bytes() -> None:
    card = structs.replace(CARD, summary="≥ 1 Motiv")
    assert ModelCard.from_json(card.to_json().encode(), source="card.json") == card


def test_metric_by_name_and_split() -> None:
    assert CARD.metric("roc_auc", "test").value == 0.75
    with pytest.raises(KeyError, match="tiny: no metric 'roc_auc' on 'valid'"):
        CARD.metric("roc_auc", "valid")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(colour="red"), "Object contains unknown field `colour`"),
        (lambda c: c.pop("name"), "Object missing required field `name`"),
        (lambda c: c.pop("inputs"), "Object missing required field `inputs`"),
        (lambda c: c.update(parameters="3"), "parameters: Expected `int`, got `str`"),
        (lambda c: c.update(tolerance=None), "tolerance: Expected `float`, got `null`"),
        (lambda c: c.update(data=[]), "data: Expected `object`, got `array`"),
        (lambda c: c.update(limits="none"), "limits: Expected `array`, got `str`"),
        (lambda c: c.update(threshold=0.5), "threshold: Expected `object . null`, got `float`"),
        (lambda c: c.update(segmentation=[]), "segmentation: Expected `object . null`"),
        (lambda c: c.update(segmentation={"x": 2}), "segmentation: Object contains unknown"),
        (lambda c: c.update(inputs=["x"]), r"inputs\[0\]: Expected `object`, got `str`"),
        (lambda c: c.update(outputs=[]), "a model needs inputs and outputs"),
        (lambda c: c["inputs"][0].pop("dtype"), r"inputs\[0\]: Object missing .* `dtype`"),
        (lambda c: c["inputs"][0].update(shape=[1, 5]), r"inputs\[0\]: the first axis .* 'batch'"),
        (lambda c: c["metrics"][0].update(ci95=0.5), r"metrics\[0\].ci95: Expected `array . null`"),
        (lambda c: c["metrics"][0].update(method="x"), r"metrics\[0\]: Object contains unknown"),
    ],
)
def test_what_is_wrong_is_named(change: Callable[[dict[str, Any]], object], message: str) -> None:
    with pytest.raises(ModelCardError, match=f"^here: {message}"):
        ModelCard.from_json(changed(change), source="here")


@pytest.mark.parametrize("text", ["", "{", "card", b"\xff\xfe\x00"])
def test_not_json(text: str | bytes) -> None:
    with pytest.raises(ModelCardError, match="^here: not JSON"):
        ModelCard.from_json(text, source="here")


def test_json_of_another_kind() -> None:
    with pytest.raises(ModelCardError, match="^here: Expected `object`, got `int`$"):
        ModelCard.from_json("3", source="here")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"colour": "red"}, "Object contains unknown field `colour`"),
        ({"inputs": []}, "field 'inputs' belongs into the contract"),
        ({"meaning": {"x": "a number"}}, "meaning of 'x', which the model has not"),
        ({"meaning": {"sequence": 3}}, r"meaning: \[...\]: Expected `str`, got `int`"),
        ({"summary": 3}, "summary: Expected `str`, got `int`"),
    ],
)
def test_what_is_wrong_in_the_words_is_named(words: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelCardError, match=f"^here: {message}"):
        ModelCard.of(CARD.contract(), words, source="here")


def test_how_a_threshold_was_chosen_needs_one() -> None:
    with pytest.raises(ModelCardError, match="^here: chosen: the model has no threshold"):
        ModelCard.of(RICH_CARD.contract(), {"chosen": "by hand"}, source="here")
