"""Loading a model proves that it is the one its card describes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

import seqtile
from seqtile import ModelCard
from seqtile.errors import (
    ModelCardError,
    ModelIntegrityError,
    ModelNotFoundError,
    ShapeError,
)
from seqtile.models.contract import Input, Output
from seqtile.models.zoo import read_card
from tests.python.models import CARD, GOLDEN, model_folder, motif_model, sha256, write_card


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return model_folder(tmp_path / "tiny")


def test_folder(folder: Path) -> None:
    predictor = seqtile.load(folder, device="cpu", threads=1)
    assert predictor.name == "tiny"
    assert predictor.card == read_card(folder)
    assert predictor.contract == predictor.card.contract()
    assert predictor.sha256 == sha256(folder / "model.onnx") == predictor.card.sha256
    assert (predictor.device, predictor.providers) == ("cpu", ("CPUExecutionProvider",))
    assert predictor.threads == 1
    assert predictor.outputs == ("probability",)
    assert seqtile.load(str(folder)).sha256 == predictor.sha256


def test_lone_file_explains_itself(folder: Path, tmp_path: Path) -> None:
    lone = shutil.copy(folder / "model.onnx", tmp_path / "renamed.onnx")
    predictor = seqtile.load(lone, device="cpu")
    assert predictor.card == ModelCard.of(CARD.contract())
    assert (predictor.card.summary, predictor.card.metrics) == ("", ())
    assert predictor.min_length == CARD.inputs[0].min_length
    assert predictor.predict(GOLDEN)["probability"].shape == (len(GOLDEN),)


@pytest.mark.parametrize("name", ["jund-cnn-sec", "no/such/folder", "x.onnx"])
def test_no_such_model(name: str) -> None:
    with pytest.raises(ModelNotFoundError, match=name):
        seqtile.load(name)


def test_folder_without_model(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    with pytest.raises(ModelNotFoundError, match="no model file .*model.onnx"):
        seqtile.load(folder)


def test_one_flipped_bit(folder: Path) -> None:
    path = folder / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        ModelIntegrityError, match=f"sha256 is {sha256(path)[:12]}…, the contract says"
    ):
        seqtile.load(folder)


def test_truncated_model(folder: Path) -> None:
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelIntegrityError, match="model.onnx: sha256 is .*: the file is corrupt"):
        seqtile.load(folder)


def test_swapped_model(folder: Path) -> None:
    shipped = seqtile.models.zoo.model_folder("jund-cnn-seq")
    shutil.copy(shipped / "model.onnx", folder)
    with pytest.raises(ModelIntegrityError, match="or another model's; install seqtile again"):
        seqtile.load(folder)


def test_truncated_lone_model(folder: Path, tmp_path: Path) -> None:
    lone = tmp_path / "lone.onnx"
    lone.write_bytes((folder / "model.onnx").read_bytes()[:200])
    with pytest.raises(ModelIntegrityError, match="lone.onnx: not a model onnxruntime can run"):
        seqtile.load(lone)


# the golden outputs


def rewrite_golden(folder: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    with np.load(folder / "golden.npz") as golden:
        arrays = dict(golden)
    change(arrays)
    np.savez(folder / "golden.npz", **arrays)


@pytest.mark.parametrize("by", [0.01, -0.01, np.nan, np.inf])
def test_self_test_fails(by: float, folder: Path) -> None:
    def tamper(golden: dict[str, np.ndarray]) -> None:
        golden["probability"][1] += by

    rewrite_golden(folder, tamper)
    with pytest.raises(ModelIntegrityError, match="^tiny: self-test failed on cpu: 'probability'"):
        seqtile.load(folder)


def test_self_test_allows_the_tolerance(folder: Path) -> None:
    def tamper(golden: dict[str, np.ndarray]) -> None:
        golden["probability"] += np.float32(0.8 * CARD.tolerance)

    rewrite_golden(folder, tamper)
    assert seqtile.load(folder).name == "tiny"


@pytest.mark.parametrize("name", ["sequence", "probability"])
def test_golden_array_missing(name: str, folder: Path) -> None:
    rewrite_golden(folder, lambda golden: golden.pop(name))
    with pytest.raises(ModelIntegrityError, match=f"^tiny: the golden arrays lack '{name}'$"):
        seqtile.load(folder)


@pytest.mark.parametrize("content", [None, b"", b"PK", b"no archive"])
def test_golden_file_missing_or_broken(content: bytes | None, folder: Path) -> None:
    path = folder / "golden.npz"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(ModelIntegrityError, match="golden.npz: no golden outputs to test: "):
        seqtile.load(folder)


def test_golden_file_damaged(folder: Path) -> None:
    path = folder / "golden.npz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelIntegrityError, match="golden.npz: no golden outputs to test: "):
        seqtile.load(folder)


# the card


@pytest.mark.parametrize("name", ["contract.json", "card.json"])
def test_broken_file(name: str, folder: Path) -> None:
    (folder / name).write_text("{")
    with pytest.raises(ModelCardError, match=f"{name}: not JSON"):
        seqtile.load(folder)


def test_contract_lacks_a_field(folder: Path) -> None:
    content = json.loads((folder / "contract.json").read_text())
    del content["outputs"][0]["kind"]
    (folder / "contract.json").write_text(json.dumps(content))
    message = r"contract.json: outputs\[0\]: Object missing required field `kind`"
    with pytest.raises(ModelCardError, match=message):
        seqtile.load(folder)


def test_a_card_is_for_readers(folder: Path) -> None:
    """The model runs without one, and no field of the contract may stand in it."""
    path = folder / "card.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"tolerance": 1.0}))
    with pytest.raises(ModelCardError, match="card.json: field 'tolerance' belongs into the contr"):
        seqtile.load(folder)
    path.unlink()
    predictor = seqtile.load(folder)
    assert predictor.predict(GOLDEN)["probability"].shape == (len(GOLDEN),)
    assert predictor.card.limits == ()


def test_kinds_are_not_names(folder: Path) -> None:
    """An output is an embedding because its contract says so."""
    output = structs.replace(OUTPUT, kind="embedding")
    write_card(folder, structs.replace(seqtile.load(folder).card, outputs=(output,)))
    predictor = seqtile.load(folder, device="cpu")
    assert (predictor.embeds, predictor.outputs) == (True, ("probability",))
    assert predictor.embed(GOLDEN).shape == (len(GOLDEN),)
    sizes = structs.replace(INPUT, max_length=12)
    write_card(folder, structs.replace(predictor.card, inputs=(sizes,)))
    with pytest.raises(ShapeError, match="has 13 letters, the model takes 3 to 12"):
        seqtile.load(folder, device="cpu").predict(["A" * 13])


INPUT, OUTPUT = CARD.inputs[0], CARD.outputs[0]
FURTHER = Input(name="x", kind="number", shape=("batch", 1), dtype="float32")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": (structs.replace(INPUT, name="dna"),)}, r"inputs are \['dna'\], the mod"),
        ({"inputs": (INPUT, FURTHER)}, r"inputs are \["),
        ({"inputs": (structs.replace(INPUT, dtype="float32"),)}, "input 'sequence' is tens"),
        ({"inputs": (structs.replace(INPUT, shape=("batch", 12)),)}, "input 'sequence' is"),
        ({"outputs": (structs.replace(OUTPUT, name="mask"),)}, r"outputs are \['mask'\]"),
        ({"outputs": (structs.replace(OUTPUT, shape=("batch", 2)),)}, "output 'probability'"),
        ({"outputs": (structs.replace(OUTPUT, dtype="float16"),)}, "output 'probability'"),
    ],
)
def test_card_of_another_model(
    change: dict[str, tuple[Input | Output, ...]], message: str, folder: Path
) -> None:
    write_card(folder, structs.replace(seqtile.load(folder).card, **change))
    with pytest.raises(ModelCardError, match=f"^tiny: .*{message}"):
        seqtile.load(folder)


def test_foreign_model_in_a_folder(folder: Path) -> None:
    """A card vouches for a file by its checksum, with metadata or without."""
    path = motif_model(folder / "model.onnx")
    write_card(folder, structs.replace(CARD, sha256=sha256(path)))
    assert seqtile.load(folder).sha256 == sha256(path)
