"""Every shipped model: whole, valid, and proven."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
import sys
import tomllib
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import onnx
import pytest
from msgspec import structs

import seqtile
from seqtile.execution.session import LEVELS, Session
from seqtile.models.card import ModelCard
from seqtile.models.certificate import Certificate, tolerances
from seqtile.models.contract import METADATA_KEY, json_text
from seqtile.models.loading import model_bytes
from seqtile.models.parity import decide
from seqtile.models.zoo import read_card
from tests.python.command import succeed
from tests.python.models import sha256
from training.export.certify import variant

FOLDERS = sorted(path.parent for path in Path(__file__).parents[1].glob("exported/*/contract.json"))
BATCHES = (1, 2, 7, 64)
# What an exporter leaves of the place it ran at.
PLACES = ("/home/", "/root/", "/tmp/", "site-packages", '.py"', str(Path.cwd()), sys.prefix)


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda folder: folder.name)
def folder(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(scope="module")
def card(folder: Path) -> ModelCard:
    return read_card(folder)


@pytest.fixture(scope="module")
def graph(folder: Path) -> onnx.ModelProto:
    return onnx.load(folder / "model.onnx")


@pytest.fixture(scope="module")
def golden(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "golden.npz") as arrays:
        return dict(arrays)


def test_there_are_models() -> None:
    assert [folder.name for folder in FOLDERS] == seqtile.list_models()
    assert "jund-cnn-seq" in seqtile.list_models()


def test_all_verify() -> None:
    lines = succeed("models", "verify").splitlines()
    assert [line.partition(":")[0] for line in lines] == seqtile.list_models()


def test_the_folder_is_complete(folder: Path) -> None:
    found = {path.name for path in folder.iterdir()}
    assert found >= {
        "model.onnx",
        "contract.json",
        "card.json",
        "report.json",
        "golden.npz",
        "parity.json",
        "history.csv",
        "training.png",
    }
    further = {path for path in folder.iterdir() if path.suffix in (".png", ".csv", ".meme")}
    assert found - {path.name for path in further} == {
        "model.onnx",
        "contract.json",
        "card.json",
        "report.json",
        "golden.npz",
        "parity.json",
        *(variant.file for variant in Certificate.read(folder).variants.values()),
    }
    assert sum(path.stat().st_size for path in folder.iterdir()) < 12e6


def test_the_wheel_holds_what_runs(folder: Path) -> None:
    """And what a reader of the card is sent to; training's pictures and figures stay here."""
    settings = tomllib.loads((FOLDERS[0].parents[1] / "pyproject.toml").read_text())
    patterns = settings["tool"]["scikit-build"]["wheel"]["exclude"]
    packed = [PurePosixPath("seqtile", "exported", folder.name, p.name) for p in folder.iterdir()]
    kept = {path.name for path in packed if not any(path.match(p) for p in patterns)}
    models = {variant.file for variant in Certificate.read(folder).variants.values()}
    needed = {"model.onnx", "contract.json", "card.json", "golden.npz", "parity.json", *models}
    assert kept - {"motifs.meme", "proteins.csv"} == needed
    assert ("motifs.meme" in kept) == (folder / "motifs.meme").exists()


def test_the_history_is_of_the_training(folder: Path) -> None:
    with (folder / "history.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 2
    assert {"epoch", "train_loss", "valid_loss"} <= rows[0].keys()
    epochs = [int(row["epoch"]) for row in rows]
    assert epochs == sorted(set(epochs))
    assert all(np.isfinite(float(row["train_loss"])) for row in rows)


# the card


def test_the_card_is_of_this_model(folder: Path, card: ModelCard) -> None:
    assert card.name == folder.name
    assert card.sha256 == sha256(folder / "model.onnx")
    assert (folder / "contract.json").read_text() == card.contract().to_json()
    assert (folder / "card.json").read_text() == json_text(card.words())


def test_the_card_tells_what_the_model_is_worth(card: ModelCard) -> None:
    first = card.metrics[0]
    for metric in (*card.metrics, *card.baselines):
        assert metric.n > 0
        low, high = metric.ci95 or (metric.value, metric.value)
        assert low <= metric.value <= high
    assert first.ci95 is not None
    baselines = [b for b in card.baselines if (b.name, b.split) == (first.name, first.split)]
    assert len(baselines) >= 1
    assert all(baseline.method for baseline in baselines)
    for baseline in baselines:  # what is not better than something simple must say so
        assert baseline.value < first.value or any(baseline.method in x for x in card.limits)


def test_the_card_says_where_the_model_comes_from(card: ModelCard) -> None:
    assert {"name", "source", "split"} <= card.data.keys()
    assert {"command", "config", "device", "seconds", "window"} <= card.training.keys()
    assert card.parameters > 0
    assert (card.threshold is not None) == (card.task == "binary-classification")
    assert card.training["window"] == card.training_window
    assert all(tensor.meaning for tensor in (*card.inputs, *card.outputs))
    assert card.threshold is None or 0 < card.threshold.value < 1
    assert (card.segmentation is not None) == (card.task == "segmentation")
    assert card.limits != ()


def test_the_headline_is_of_the_test_rows(card: ModelCard) -> None:
    """But for the codons: there are 64, and 62 of them are to be learned without an error."""
    expected = "seen codons" if card.name == "codon-convnet" else "test"
    assert card.metrics[0].split == expected


# the graph


def test_the_graph_is_sound(graph: onnx.ModelProto, card: ModelCard) -> None:
    onnx.checker.check_model(graph, full_check=True)
    opsets = {opset.domain: opset.version for opset in graph.opset_import}
    assert opsets[""] == card.opset >= 18
    assert all(
        weight.data_location != onnx.TensorProto.EXTERNAL for weight in graph.graph.initializer
    )


def test_the_graph_names_no_place_it_was_made_at(folder: Path) -> None:
    content = (folder / "model.onnx").read_bytes()
    assert [place for place in PLACES if place.encode() in content] == []


def test_the_input_is_raw_bytes(graph: onnx.ModelProto, card: ModelCard) -> None:
    (first, *_) = graph.graph.input
    kind = first.type.tensor_type
    assert first.name == card.inputs[0].name
    assert kind.elem_type == onnx.TensorProto.UINT8
    batch, *others = kind.shape.dim
    assert batch.dim_param == "batch"
    fixed = [axis.dim_value or None for axis in others]
    assert fixed == [axis if isinstance(axis, int) else None for axis in card.inputs[0].shape[1:]]


def test_convolutions_are_two_dimensional(graph: onnx.ModelProto) -> None:
    ranks = {weight.name: len(weight.dims) for weight in graph.graph.initializer}
    convolutions = [node for node in graph.graph.node if node.op_type == "Conv"]
    assert {ranks[node.input[1]] for node in convolutions} <= {4}


def test_the_metadata_is_the_contract(
    folder: Path, graph: onnx.ModelProto, card: ModelCard
) -> None:
    metadata = {item.key: item.value for item in graph.metadata_props}
    assert metadata == {METADATA_KEY: card.contract().to_json(checksum=False)}
    words = [card.summary, *card.limits, *(tensor.meaning for tensor in card.outputs)]
    assert not any(text in metadata[METADATA_KEY] for text in words)


def test_a_lone_file_explains_itself(
    folder: Path, card: ModelCard, golden: dict[str, np.ndarray], tmp_path: Path
) -> None:
    lone = shutil.copy(folder / "model.onnx", tmp_path)
    predictor = seqtile.load(lone, device="cpu")
    assert predictor.card.contract() == structs.replace(card.contract(), sha256="")
    predictor.self_test(golden, card.tolerance)


# the golden outputs


@pytest.mark.parametrize("level", LEVELS)
def test_golden_outputs(
    folder: Path, card: ModelCard, golden: dict[str, np.ndarray], level: Any
) -> None:
    """By onnxruntime alone, at every optimisation level."""
    assert golden.keys() == {tensor.name for tensor in (*card.inputs, *card.outputs)}
    session = Session((folder / "model.onnx").read_bytes(), optimization=level, threads=1)
    names = [tensor.name for tensor in card.outputs]
    results = session.run({tensor.name: golden[tensor.name] for tensor in card.inputs}, names)
    for name, result in zip(names, results, strict=True):
        assert len(golden[name]) >= 8
        assert len(np.unique(golden[name])) > 1
        np.testing.assert_allclose(result, golden[name], rtol=0, atol=card.tolerance)


def test_golden_outputs_by_name(folder: Path, card: ModelCard, golden: dict[str, Any]) -> None:
    predictor = seqtile.load(folder.name, device="cpu")
    extra = {tensor.name: golden[tensor.name] for tensor in card.inputs[1:]}
    for size in BATCHES:
        result = predictor.predict(golden[card.inputs[0].name], batch_size=size, **extra)
        assert list(result) == [t.name for t in card.outputs if t.kind != "embedding"]
        for name, values in result.items():
            np.testing.assert_allclose(values, golden[name], rtol=0, atol=card.tolerance)
        if card.segmentation is not None:  # it has an answer for every pixel
            assert not predictor.embeds
            continue
        embedding = predictor.embed(golden[card.inputs[0].name], batch_size=size, **extra)
        np.testing.assert_allclose(embedding, golden["embedding"], rtol=0, atol=card.tolerance)


# the certificate


def test_the_certificate_is_complete(folder: Path, card: ModelCard) -> None:
    certificate = json.loads((folder / "parity.json").read_text())
    rows = [row for row in certificate["rows"] if row["precision"] == "fp32"]
    assert all(row["passed"] and row["max_abs"] <= card.tolerance for row in rows)
    assert {row["tolerance"] for row in rows} == {card.tolerance}
    cases = {(row["output"], row["batch"], row["optimization"], row["provider"]) for row in rows}
    wanted = itertools.product(
        [tensor.name for tensor in card.outputs], BATCHES, LEVELS, ["CPUExecutionProvider"]
    )
    assert set(wanted) <= cases
    axes = ("length",) if card.first.kind == "letters" else ("height", "width")
    sizes = {tuple(row[axis] for axis in axes) for row in rows}
    shape = card.inputs[0].shape[1 : 1 + len(axes)]
    assert sizes == {shape} if all(isinstance(n, int) for n in shape) else len(sizes) >= 3
    assert {"torch", "onnx"} <= certificate.keys()


# the precisions


def test_the_certificate_vouches_for_every_precision(
    folder: Path, card: ModelCard, golden: dict[str, np.ndarray]
) -> None:
    certificate = Certificate.read(folder)
    assert set(certificate.precisions) >= {"fp32", "tf32", "fp16"}
    cpu = [row for row in certificate.rows if row.provider == "CPUExecutionProvider"]
    for precision, emulated in (("fp16", False), ("fp16", True), ("tf32", True)):
        rows = [row for row in cpu if (row.precision, row.emulated) == (precision, emulated)]
        limits = tolerances(card, golden, precision)
        assert {row.output for row in rows} == limits.keys()
        assert {row.batch for row in rows} >= set(BATCHES)
        assert all(row.max_abs <= row.tolerance == limits[row.output] for row in rows)
        assert max(row.max_abs for row in rows) > 1e-6  # it did round
        deciding = [row for row in rows if row.decisions]
        assert all(row.reference == "torch" for row in deciding)
        assert bool(deciding) == (card.task != "regression")


def test_the_file_of_fp16_is_made_of_the_model(folder: Path, graph: onnx.ModelProto) -> None:
    """The same to the byte when made again; takes and gives what the model does."""
    content = (folder / "model.fp16.onnx").read_bytes()
    assert Certificate.read(folder).variants.keys() >= {"fp16"}
    assert model_bytes(folder, read_card(folder), "fp16") == content
    made = onnx.load_model_from_string(content)
    assert list(made.graph.input) == list(graph.graph.input)
    assert list(made.graph.output) == list(graph.graph.output)
    kinds = Counter(tensor.data_type for tensor in made.graph.initializer)
    assert kinds[onnx.TensorProto.FLOAT16] > 0
    assert len(content) < 0.65 * (folder / "model.onnx").stat().st_size
    assert variant((folder / "model.onnx").read_bytes(), "fp16") == content
    assert not [place for place in PLACES if place.encode() in content]


def test_the_precisions_need_a_gpu(folder: Path) -> None:
    for precision in ("tf32", "fp16"):
        with pytest.raises(seqtile.ProviderError, match=f"{precision}' needs a GPU"):
            seqtile.load(folder.name, device="cpu", precision=precision)


INT8 = [folder for folder in FOLDERS if (folder / "model.int8.onnx").exists()]


@pytest.mark.parametrize("folder", INT8, ids=lambda folder: folder.name)
def test_int8_answers_on_the_cpu(folder: Path) -> None:
    """Within its bound, with the decisions of fp32, and a metric not below fp32's interval."""
    card, found = read_card(folder), Certificate.read(folder)
    assert "int8" in found.precisions
    (metric,) = (row for row in found.metrics if row.precision == "int8")
    known = card.metric(metric.name, "valid")
    assert (metric.n, metric.ci95) == (known.n, known.ci95)
    assert metric.fp32 == pytest.approx(known.value, abs=2e-4)
    assert metric.value >= metric.ci95[0]
    predictor = seqtile.load(folder.name, precision="int8", device="cpu", threads=1)
    assert predictor.sha256 == found.variants["int8"].sha256
    with np.load(folder / "golden.npz") as golden:
        extra = {tensor.name: golden[tensor.name] for tensor in card.inputs[1:]}
        results = predictor.predict(golden[card.inputs[0].name], **extra)
        limits = tolerances(card, golden, "int8")
        for name, values in results.items():
            assert np.abs(values - golden[name]).max() <= limits[name]
            decided, wanted = (decide(card, name, x) for x in (values, golden[name]))
            assert np.mean(decided != wanted) <= 0.01
    content = (folder / "model.int8.onnx").read_bytes()
    assert len(content) < 0.7 * (folder / "model.onnx").stat().st_size
    assert not [place for place in PLACES if place.encode() in content]
    others = [p for p in ("tf32", "fp16") if p in {row.precision for row in found.metrics}]
    assert others == ["tf32", "fp16"]
