"""Contracts: the text, the kinds, and every way a contract can contradict itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from seqtile.errors import ModelCardError
from seqtile.models.contract import Contract, Input, Output, OutputKind
from tests.python.models import CARD, COLOUR_CARD, IMAGE_CARD, RICH_CARD

CONTRACTS = [card.contract() for card in (CARD, RICH_CARD, IMAGE_CARD, COLOUR_CARD)]


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.name)
def test_round_trip(contract: Contract) -> None:
    whole = structs.replace(contract, sha256="00ff")
    assert Contract.from_json(whole.to_json(), source="contract.json") == whole
    lone = whole.to_json(checksum=False)
    assert Contract.from_json(lone.encode(), source="model.onnx") == contract


def test_the_text() -> None:
    """In the order of the fields, without what is default: later fields change no model's bytes."""
    assert CARD.contract().to_json() == (
        json.dumps(
            {
                "name": "tiny",
                "version": "1",
                "inputs": [
                    {
                        "name": "sequence",
                        "kind": "letters",
                        "shape": ["batch", "length"],
                        "dtype": "uint8",
                        "alphabet": "dna",
                        "unknown": "zero",
                        "min_length": 3,
                    }
                ],
                "outputs": [
                    {"name": "probability", "kind": "score", "shape": ["batch"], "dtype": "float32"}
                ],
                "threshold": {"value": 0.5},
                "receptive_field": 3,
                "training_window": 12,
            },
            indent=2,
        )
        + "\n"
    )


def test_what_is_equal_to_a_default_is_left_out() -> None:
    """Also where it was read from a file, so that two readings write the same bytes."""
    content = json.loads(IMAGE_CARD.contract().to_json())
    text = json.dumps(content | {"tolerance": 0.00001, "stride": 0, "citation": ""})
    assert Contract.from_json(text, source="x").to_json() == IMAGE_CARD.contract().to_json()
    assert content["segmentation"] == {"marker": "marker"} | content["segmentation"]
    assert "percentiles" not in content["segmentation"]


@pytest.mark.parametrize(("length", "window"), [(101, 101), ("length", None)])
def test_window(length: int | str, window: int | None) -> None:
    first = structs.replace(CARD.inputs[0], shape=("batch", length))
    assert structs.replace(CARD.contract(), inputs=(first,)).window == window


def test_window_that_the_graph_leaves_open() -> None:
    assert structs.replace(CARD.contract(), window=12).window == 12
    first = structs.replace(CARD.inputs[0], shape=("batch", 101))
    with pytest.raises(ValueError, match=r"window is 12, the input 'sequence' has the shape"):
        structs.replace(CARD.contract(), window=12, inputs=(first,))


def test_what_it_predicts_from_need_not_come_first() -> None:
    sequence, number = RICH_CARD.inputs
    contract = structs.replace(RICH_CARD.contract(), inputs=(number, sequence))
    assert contract.first is sequence
    assert (contract.takes, contract.kind_of("tops"), contract.kind_of("x")) == (
        "sequences",
        "letters",
        None,
    )


@pytest.mark.parametrize(
    ("kind", "shape", "axes", "targets"),
    [
        ("score", ("batch",), ("batch",), 1),
        ("score", ("batch", 21), ("batch", "target"), 21),
        ("classes", ("batch", 8), ("batch", "class"), 8),
        ("profile", ("batch", 896), ("batch", "position"), 1),
        ("profile", ("batch", 2, 896), ("batch", "target", "position"), 2),
        ("log-counts", ("batch", 2), ("batch", "target"), 2),
        ("embedding", ("batch", 8, 4, 4), (), 1),
    ],
)
def test_axes(
    kind: OutputKind, shape: tuple[int | str, ...], axes: tuple[str, ...], targets: int
) -> None:
    output = Output(name="x", kind=kind, shape=shape, dtype="float32")
    assert (output.axis_names, output.targets) == (axes, targets)


def test_targets_of_strands() -> None:
    """A profile of bins by targets, as another's network may have it."""
    output = Output(
        name="tracks",
        kind="profile",
        shape=("batch", 896, 3),
        dtype="float32",
        axes=("batch", "position", "target"),
        labels=("CAGE +", "CAGE -", "DNase"),
        units=("reads",),
        strands=("+", "-", "."),
        opposite=(1, 0, 2),
        bin=128,
        offset=40960,
        transform="sqrt",
    )
    contract = structs.replace(CARD.contract(), outputs=(output,))
    assert Contract.from_json(contract.to_json(), source="x") == contract
    assert output.targets == 3


def update(field: str, **values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content[field][0].update(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(colour="red"), "Object contains unknown field `colour`"),
        (lambda c: c.pop("outputs"), "Object missing required field `outputs`"),
        (lambda c: c.update(inputs=[]), "a model needs inputs and outputs"),
        (update("inputs", kind="sound"), r"inputs\[0\].kind: Invalid enum value 'sound'"),
        (update("inputs", kind="number"), r"a model has one input of letters or .* not \[\]"),
        (update("inputs", shape=["batch"]), r"inputs\[0\]: letters in layout 'bytes' have 2 axes"),
        (update("inputs", layout="NCL"), r"inputs\[0\]: letters in layout 'NCL' have 3 axes"),
        (update("inputs", alphabet=""), r"inputs\[0\]: alphabet must be 'dna'"),
        (update("inputs", unknown="guess"), r"inputs\[0\].unknown: Invalid enum value 'guess'"),
        (update("inputs", max_length=2), r"inputs\[0\]: 'sequence' takes lengths of 3 to 2"),
        (update("inputs", length_multiple=0), r"inputs\[0\]: .* a multiple of 0: no length"),
        (update("outputs", shape=[5]), r"outputs\[0\]: the first axis .* must be 'batch'"),
        (update("outputs", axes=["batch", "x"]), r"outputs\[0\]: 'probability' has the axes"),
        (update("outputs", kind="letters"), r"outputs\[0\]: alphabet must be 'dna'"),
        (update("outputs", bin=0), r"outputs\[0\]: a bin has one base or more, not 0"),
        (update("outputs", strands=["+", "-"]), r"outputs\[0\]: .* has 1 targets, but 2 strands"),
        (update("outputs", opposite=[1]), r"outputs\[0\]: opposite must name each target once"),
        (lambda c: c.update(segmentation={}), "segmentation needs an output 'mask' of kind 'mask'"),
    ],
)
def test_what_is_wrong_is_named(change: Callable[[dict[str, Any]], object], message: str) -> None:
    content = json.loads(CARD.contract().to_json())
    change(content)
    with pytest.raises(ModelCardError, match=f"^here: {message}"):
        Contract.from_json(json.dumps(content), source="here")


def test_one_input_to_predict_from() -> None:
    with pytest.raises(ValueError, match=r"one input of letters or .* not \['sequence', 'image'\]"):
        structs.replace(CARD.contract(), inputs=(*CARD.inputs, *IMAGE_CARD.inputs))


def test_an_image_is_grey_or_rgb() -> None:
    for shape in (("batch", 6, 5, 4), ("batch", 6)):
        with pytest.raises(ValueError, match="^an image has the axes batch, height, width"):
            Input(name="image", kind="image", shape=shape, dtype="uint8")


@pytest.mark.parametrize("text", ["", "{", "contract", b"\xff\xfe\x00"])
def test_not_json(text: str | bytes) -> None:
    with pytest.raises(ModelCardError, match="^here: not JSON"):
        Contract.from_json(text, source="here")
