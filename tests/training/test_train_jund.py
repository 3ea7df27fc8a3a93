"""The training script as its user runs it, on a few of the real rows."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("sklearn", reason="training needs scikit-learn")
onnx = pytest.importorskip("onnx", reason="the export needs onnx")

import seqtile  # noqa: E402
from seqtile.models.contract import METADATA_KEY, Contract  # noqa: E402
from seqtile.models.zoo import read_card  # noqa: E402
from tests.training.running import train  # noqa: E402
from training.tasks.jund import student as jund_student  # noqa: E402
from training.tasks.jund import train as train_jund  # noqa: E402
from training.tasks.jund.networks import SequenceCNN  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
NAME = "jund-cnn-seq"


SMALL = ["jund", "--batch", "64", "--positives", "4"]
FILTERS = 16


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """Networks of few filters, whose number is none of the script's options."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(jund_student.ONE, "convs", ((FILTERS, 8, 1),))
        yield


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.fixture(scope="module")
def trained(data_root: Path, tmp_path_factory, exported_once) -> tuple[Path, str]:
    """Folder of a run with export, and what it printed."""
    folder = tmp_path_factory.mktemp("trained")
    result = train(data_root, folder, *SMALL, "--export")
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


def test_metrics_are_printed_and_written(trained) -> None:
    folder, printed = trained
    runs = folder / "runs" / NAME / "best-smoke"
    report = json.loads((runs / "report.json").read_text())
    names = ["roc_auc", "pr_auc", "weighted_accuracy", "recall_at_peak"]
    # Of the validation part alone: a smoke run does not touch test.
    assert [(m["split"], m["name"]) for m in report["metrics"]] == [("valid", n) for n in names]
    assert list(report["strands"]) == ["valid"]
    for metric in report["metrics"]:
        low, high = metric["ci95"]
        assert 0 <= low <= metric["value"] <= high <= 1
        row = rf"^valid +{metric['name']} +{metric['value']:.4f} \[{low:.4f}, {high:.4f}\]  n=2,157"
        assert re.search(row, printed, re.MULTILINE)
    with (runs / "history.csv").open(newline="") as file:
        history = list(csv.DictReader(file))
    assert [row["step"] for row in history] == [str(5 * i) for i in range(1, len(history) + 1)]
    assert max(float(row["roc_auc"]) for row in history) == pytest.approx(
        report["metrics"][0]["value"], abs=1e-4
    )


def test_exported_model_is_the_network(trained) -> None:
    folder, printed = trained
    exported = folder / "exported" / NAME
    assert {
        "model.onnx",
        "model.fp16.onnx",
        "contract.json",
        "report.json",
        "card.json",
        "golden.npz",
        "parity.json",
        "history.csv",
        "training.png",
        "motifs.meme",
    } == {p.name for p in exported.iterdir()}
    predictor = seqtile.load(exported, device="cpu")
    assert f"sha256 {predictor.sha256}" in printed
    with np.load(exported / "golden.npz") as golden:
        letters, expected, embedding = (golden[n] for n in ("sequence", "probability", "embedding"))
    found = predictor.predict(letters)["probability"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(predictor.embed(letters), embedding, atol=1e-5)
    assert np.ptp(expected) > 1e-3

    # The same from the student's checkpoint, but for the scale and place of its logits.
    content = torch.load(folder / "runs" / NAME / "best-smoke" / "student.pt", weights_only=True)
    network = SequenceCNN(**jund_student.ONE, outputs=11)
    network.load_state_dict(content["best_weights"])
    with torch.inference_mode():
        student = network.eval()(torch.from_numpy(letters))[:, 0].double().numpy()
    logits = np.log(expected.astype(np.float64) / (1 - expected))
    slope, offset = np.polyfit(student, logits, 1)
    assert slope > 0
    np.testing.assert_allclose(slope * student + offset, logits, atol=1e-3)


def test_card_says_what_was_done(trained) -> None:
    folder, _ = trained
    card = read_card(folder / "exported" / NAME).to_dict()
    report = json.loads((folder / "runs" / NAME / "best-smoke" / "report.json").read_text())
    assert {m["split"] for m in card["metrics"]} == {"valid"}
    assert [m["value"] for m in card["metrics"]] == [m["value"] for m in report["metrics"]]
    assert not card["baselines"]
    assert card["receptive_field"] == 8
    assert card["parameters"] == FILTERS * (4 * 8 + 1) + 32 * (2 * FILTERS + 1) + 32 + 1
    assert card["training"]["config"]["smoke"] is True
    assert card["training"]["config"]["batch"] == 64
    assert card["data"]["train"]["bound"] == 849
    model = onnx.load(folder / "exported" / NAME / "model.onnx")
    held = {p.key: p.value for p in model.metadata_props}[METADATA_KEY]
    contract = Contract.from_json(held, source="metadata")
    assert contract.threshold.value == card["threshold"]["value"]


def test_second_run_trains_nothing_and_gives_the_same_bytes(trained, data_root: Path) -> None:
    folder, printed = trained
    runs, exported = folder / "runs" / NAME / "best-smoke", folder / "exported" / NAME
    before, models = files(runs), files(exported)
    result = train(data_root, folder, *SMALL, "--export")
    assert result.returncode == 0, result.stderr
    assert f"student: from {runs / 'network.pt'}\n" in result.stdout
    assert "student: from" not in printed
    assert files(runs) == before
    assert files(exported)["model.onnx"] == models["model.onnx"]
    assert files(exported)["card.json"] == models["card.json"]


def test_run_cut_before_its_end_goes_on_from_the_teacher(trained, data_root: Path) -> None:
    folder, _ = trained
    runs = folder / "runs" / NAME / "best-smoke"
    before = files(runs)
    (runs / "network.pt").unlink()
    result = train(data_root, folder, *SMALL)
    assert result.returncode == 0, result.stderr
    assert f"teacher 0: from {runs / 'teacher-0.pt'}\n" in result.stdout
    assert files(runs)["report.json"] == before["report.json"]


def test_folder_of_another_configuration(trained, data_root: Path) -> None:
    """In a process of its own, as the user runs it."""
    folder, _ = trained
    before = files(folder / "runs" / NAME / "best-smoke")
    command = [sys.executable, "-m", "training", *SMALL, "--smoke", "--device", "cpu"]
    command += ["--runs", str(folder / "runs"), "--ema", "0.9"]
    environment = os.environ | {"SEQTILE_DATA": str(data_root.resolve())}
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 1
    assert re.search(r"^jund: error: .*config\.json: of another configuration", result.stderr, re.M)
    assert "Traceback" not in result.stderr
    assert files(folder / "runs" / NAME / "best-smoke") == before


def test_course_preset(data_root: Path, tmp_path: Path) -> None:
    result = train(data_root, tmp_path, *SMALL, "--preset", "course")
    assert result.returncode == 0, result.stderr
    assert re.search(r"^valid +roc_auc +0\.\d{4} ", result.stdout, re.MULTILINE)
    runs = tmp_path / "runs" / NAME / "course-smoke"
    assert (runs / "history.csv").read_text().count("\n") == 3  # two epochs
    assert not (tmp_path / "exported").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "fancy"], "invalid choice: 'fancy'"),
        (["--preset", "course", "--smoke", "--export"], "only preset best is exported"),
        (["--seed", "one"], "invalid int value: 'one'"),
        (["--hold-out", "5"], "invalid choice: 5"),
        (["--smoke", "--export"], "--smoke --export needs a folder of its own"),
    ],
)
def test_usage_errors_come_before_any_work(tmp_path: Path, capsys, options, message) -> None:
    with pytest.raises(SystemExit) as stopped:
        train_jund.main([*options, "--runs", str(tmp_path / "runs")])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_held_out_network_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not --hold-out"):
        train_jund.main(["--hold-out", "0", "--export", "--runs", str(tmp_path / "runs")])
    assert list(tmp_path.iterdir()) == []
