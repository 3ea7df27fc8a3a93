"""Model cards: reading, writing, and every way a card can be wrong."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from seqtile import ModelCard
from seqtile.errors import ModelCardError
from seqtile.models.card import Baseline
from tests.python.models import CARD, COLOUR_CARD, IMAGE_CARD


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    content = json.loads(CARD.to_json())
    change(content)
    return json.dumps(content)


def test_round_trip() -> None:
    baseline = Baseline("roc_auc", "test", 8, 0.58, (0.5, 0.625), "", "consensus match")
    card = dataclasses.replace(CARD, sha256="00ff", baselines=(baseline,))
    assert ModelCard.from_json(card.to_json(), source="card.json") == card


def test_round_trip_of_a_segmentation() -> None:
    text = IMAGE_CARD.to_json()
    assert json.loads(text)["segmentation"]["percentiles"] == [0.0, 100.0]
    assert ModelCard.from_json(text, source="card.json") == IMAGE_CARD
    assert "segmentation" not in json.loads(CARD.to_json())


def test_what_a_model_takes() -> None:
    assert (CARD.takes, IMAGE_CARD.takes, COLOUR_CARD.takes) == ("sequences", "images", "images")
    assert COLOUR_CARD.window is None


def test_an_image_is_grey_or_rgb() -> None:
    content = json.loads(COLOUR_CARD.to_json())
    content["inputs"][0]["shape"][3] = 4
    with pytest.raises(ModelCardError, match="^here: an image has the axes batch, height, width"):
        ModelCard.from_json(json.dumps(content), source="here")


def test_text_is_deterministic_and_ends_in_a_newline() -> None:
    assert CARD.to_json() == CARD.to_json()
    assert CARD.to_json().endswith("}\n")


def test_metadata_has_no_checksum() -> None:
    text = dataclasses.replace(CARD, sha256="00ff").to_json(checksum=False)
    assert "sha256" not in json.loads(text)
    assert ModelCard.from_json(text, source="model.onnx") == CARD


def test_a_card_may_be_utf_8_bytes() -> None:
    card = dataclasses.replace(CARD, summary="≥ 1 Motiv")
    assert ModelCard.from_json(card.to_json().encode(), source="card.json") == card


@pytest.mark.parametrize(("length", "window"), [(101, 101), ("length", None)])
def test_window(length: int | str, window: int | None) -> None:
    first = dataclasses.replace(CARD.inputs[0], shape=("batch", length))
    assert dataclasses.replace(CARD, inputs=(first,)).window == window


def test_metric_by_name_and_split() -> None:
    assert CARD.metric("roc_auc", "test").value == 0.75
    with pytest.raises(KeyError, match="tiny: no metric 'roc_auc' on 'valid'"):
        CARD.metric("roc_auc", "valid")


NEEDED = [f.name for f in dataclasses.fields(CARD) if f.name not in ("sha256", "segmentation")]


@pytest.mark.parametrize("name", NEEDED)
def test_every_field_is_needed(name: str) -> None:
    with pytest.raises(ModelCardError, match=f"^here: card: field '{name}' is missing$"):
        ModelCard.from_json(changed(lambda c: c.pop(name)), source="here")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(colour="red"), "card: unknown field 'colour'"),
        (lambda c: c.update(parameters="3"), "card.parameters: expected int, found '3'"),
        (lambda c: c.update(tolerance=None), "card.tolerance: expected float, found None"),
        (lambda c: c.update(data=[]), r"card.data: expected Mapping\[str, Any\], found \[\]"),
        (lambda c: c.update(limits="none"), "card.limits: expected a list, found 'none'"),
        (lambda c: c.update(threshold=0.5), "card.threshold: expected an object, found 0.5"),
        (lambda c: c.update(segmentation=[]), "card.segmentation: expected an object"),
        (lambda c: c.update(segmentation={"reach": 1, "x": 2}), "card.segmentation: unknown field"),
        (lambda c: c.update(inputs=["x"]), r"card.inputs\[0\]: expected an object, found 'x'"),
        (lambda c: c.update(outputs=[]), "a model needs inputs and outputs"),
        (lambda c: c["inputs"][0].pop("dtype"), r"card.inputs\[0\]: field 'dtype' is missing"),
        (lambda c: c["inputs"][0].update(shape=[1, 5]), "the first axis .* must be 'batch'"),
        (lambda c: c["metrics"][0].update(ci95=0.5), r"card.metrics\[0\].ci95: expected a list"),
        (lambda c: c["metrics"][0].update(method="x"), r"card.metrics\[0\]: unknown field"),
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
    with pytest.raises(ModelCardError, match="^here: card: expected an object, found 3$"):
        ModelCard.from_json("3", source="here")
