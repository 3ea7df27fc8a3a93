"""The study of precisions: its verdict, what it ships, and that its rows are those of the cards."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs
from onnx import TensorProto

pytest.importorskip("torch", reason="training needs torch")

import seqtile
from seqtile.execution.session import Session
from seqtile.models.card import Metric
from seqtile.models.certificate import Certificate
from seqtile.models.contract import Threshold
from seqtile.models.loading import model_bytes
from seqtile.models.zoo import model_folder, read_card
from tests.python.models import write_card
from training.export import certify
from training.export.int8 import to_int8
from training.lab.metrics import roc_auc
from training.studies import precision as precision_study
from training.studies import validation

from .test_certify import exported

LABELS = np.arange(60) % 2


def letters() -> np.ndarray:
    """Rows whose odd ones hold the motif of the model."""
    rng = np.random.default_rng(3)
    rows = np.frombuffer(b"ACG", np.uint8)[rng.integers(0, 3, (60, 12))]
    rows[1::2, 4:7] = np.frombuffer(b"TAT", np.uint8)
    return rows


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model with a figure on validation in its card, and its rows."""
    folder = exported(tmp_path)
    batch = {"sequence": letters()}
    subject = validation.Subject(
        [batch], [batch], "roc_auc", lambda outputs: roc_auc(LABELS, outputs[0][0]), batch
    )
    monkeypatch.setitem(validation.SUBJECTS, "tiny", lambda _: subject)
    session = Session((folder / "model.onnx").read_bytes(), threads=1)
    value = round(roc_auc(LABELS, session.run(batch)[0]), 4)
    assert value > 0.6
    figure(folder, value, value - 0.1)
    certify.certify(folder)
    return folder


def figure(folder: Path, value: float, low: float) -> None:
    """Set what the card says of validation; the threshold is no golden output, which is 0.5."""
    metric = Metric("roc_auc", "valid", 60, value, (low, 1.0))
    threshold = Threshold(0.45, "by hand")
    card = structs.replace(read_card(folder), metrics=(metric,), threshold=threshold)
    write_card(folder, card)


def fast(monkeypatch: pytest.MonkeyPatch, speed: float) -> None:
    """Give every model of int8 a speed: what the clock says must not decide a test."""
    monkeypatch.setattr(precision_study.Judge, "speed", lambda *_: (speed, speed, speed))


def test_what_keeps_its_metric_and_is_faster_is_shipped(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fast(monkeypatch, 2.0)
    table = folder.parent / "precisions.csv"
    names = [field.name for field in dataclasses.fields(precision_study.Line)]
    first = ["tiny", *names[1:]]
    table.write_text("\n".join(",".join(row) for row in (names, first, ["another", *names[1:]])))
    arguments = ["tiny", "--exported", str(folder.parent), "--out", str(folder.parent)]
    assert precision_study.main(arguments) == 0
    found = Certificate.read(folder)
    assert found.precisions == ["fp32", "tf32", "fp16", "int8"]
    assert {(row.precision, row.emulated) for row in found.metrics} == {
        ("tf32", True),
        ("fp16", True),
        ("int8", False),
    }
    assert all(row.passed and row.n == 60 for row in found.metrics)
    predictor = seqtile.load(folder, precision="int8")
    assert predictor.device == "cpu"
    plain = seqtile.load(folder, device="cpu").predict(letters())["probability"]
    error = np.abs(predictor.predict(letters())["probability"] - plain).max()
    assert 0 < error < 0.25
    assert predictor.sha256 == found.variants["int8"].sha256

    with table.open(newline="") as file:
        other, *rows = csv.DictReader(file)
    assert other["model"] == "another"
    assert [(row["precision"], row["how"]) for row in rows] == [
        ("tf32", "emulated"),
        ("fp16", "emulated"),
        ("int8", "all"),
        ("int8", "inner"),
    ]
    assert [row["shipped"] for row in rows].count("True") == 3
    assert capsys.readouterr().out.count("model tiny") == 4

    certify.certify(folder)  # leaves int8 alone
    assert Certificate.read(folder) == found


@pytest.mark.parametrize(("speed", "low"), [(1.05, 0.1), (2.0, 0.9999)])
def test_what_is_slow_or_worse_is_not(
    speed: float, low: float, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was shipped before goes."""
    value = read_card(folder).metrics[0].value
    fast(monkeypatch, 2.0)
    precision_study.study(folder)
    assert (folder / "model.int8.onnx").exists()
    fast(monkeypatch, speed)
    if low > 0.9:  # a model of int8 whose answers are its noise
        figure(folder, value, value)
        judged = precision_study.Judge.value
        monkeypatch.setattr(
            precision_study.Judge,
            "value",
            lambda self, session: judged(self, session) - 0.1 * (session is not self.plain),
        )
    lines = precision_study.study(folder)
    assert not any(line.shipped for line in lines if line.precision == "int8")
    assert not (folder / "model.int8.onnx").exists()
    with pytest.raises(seqtile.PrecisionError, match="no proof of precision 'int8'"):
        seqtile.load(folder, precision="int8")
    if low > 0.9:  # emulated TF32 is as bad here, and refused by its figure
        with pytest.raises(seqtile.PrecisionError, match="says no to precision 'tf32': roc_auc"):
            seqtile.load(folder, precision="tf32")


@pytest.mark.parametrize(("speeds", "how"), [((2.0, 2.05), "all"), ((2.0, 2.2), "inner")])
def test_all_products_are_quantised_unless_the_others_are_faster(
    speeds: tuple[float, float], how: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter(speeds)
    monkeypatch.setattr(precision_study.Judge, "speed", lambda *_: (next(left),) * 3)
    lines = [line for line in precision_study.study(folder) if line.precision == "int8"]
    assert [line.how for line in lines if line.shipped] == [how]
    batches = validation.subject(read_card(folder)).train
    made = to_int8((folder / "model.onnx").read_bytes(), batches, inner=how == "inner")
    assert (folder / "model.int8.onnx").read_bytes() == made


def test_figures_of_other_rows_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figure(folder, 0.5, 0.4)
    before = (folder / "parity.json").read_bytes()
    assert precision_study.main(["tiny", "--exported", str(folder.parent)]) == 1
    assert "tiny: roc_auc of fp32 is" in capsys.readouterr().err
    assert (folder / "parity.json").read_bytes() == before


def test_a_model_without_data(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        precision_study.main(["codon-convnet"])
    assert caught.value.code == 2
    assert "no data for 'codon-convnet', only for bloodmnist-best" in capsys.readouterr().err


def test_products_of_an_element_type() -> None:
    """Of bfloat16 the study asks; known are those of fp32 and of strings."""
    assert precision_study.products(TensorProto.FLOAT) == ["Conv", "Gemm", "MatMul"]
    assert precision_study.products(TensorProto.STRING) == []


def test_speed_is_a_ratio(folder: Path) -> None:
    """Of a session to itself it is about 1."""
    card = read_card(folder)
    session = Session(model_bytes(folder, card), threads=1)
    judge = precision_study.Judge(card, {}, validation.subject(card), session)
    low, middle, high = judge.speed(session)
    assert 0 < low <= middle <= high


@pytest.mark.parametrize("name", ["dna-binding-bilstm", "liver-enhancer-cnn"])
def test_the_rows_are_those_of_the_card(name: str, data_root: Path) -> None:
    """fp32 gives the card's figure on them; rows of train are not among them."""
    folder = model_folder(name)
    card = read_card(folder)
    subject = validation.subject(card)
    session = Session(model_bytes(folder, card), threads=1)
    names = [tensor.name for tensor in card.outputs]
    value = subject.score([session.run(batch, names) for batch in subject.valid])
    assert value == pytest.approx(card.metric(subject.metric, "valid").value, abs=1e-4)
    train, valid = (
        {row.tobytes() for batch in part for row in batch["sequence"]}
        for part in (subject.train, subject.valid)
    )
    assert len(train) > 500
    assert not train & valid
