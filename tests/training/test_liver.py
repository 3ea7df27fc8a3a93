"""The liver networks, and the script as its user runs it, of narrow ones on some real rows."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("sklearn", reason="training needs scikit-learn")
pytest.importorskip("onnx", reason="the export needs onnx")
pytest.importorskip("logomaker", reason="the motifs' logos need logomaker")

from torch.nn import functional  # noqa: E402

import seqtile  # noqa: E402
from seqtile import reverse_complement  # noqa: E402
from seqtile.models.zoo import read_card  # noqa: E402
from seqtile.motifs.known import compare, recognised  # noqa: E402
from seqtile.motifs.meme import read_meme  # noqa: E402
from tests.training.running import train  # noqa: E402
from training.tasks.liver import task as liver_task  # noqa: E402
from training.tasks.liver import train as train_liver  # noqa: E402
from training.tasks.liver.networks import CourseCNN, EnhancerCNN, EnsembleCNN, Liver  # noqa: E402
from training.tasks.liver.task import Config, Task, augmented  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
NAME = "liver-enhancer-cnn"
LETTERS = np.frombuffer(b"ACGT", np.uint8)[np.random.default_rng(0).integers(0, 4, (6, 200))]


# --- networks


def settled(network: torch.nn.Module) -> torch.nn.Module:
    """With figures of the norms that are not those of the start, one factor negative."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 2)
            module.weight.data[0] = -1
            module.bias.data.normal_()
    return network.eval()


@pytest.mark.parametrize("length", [0, 200])
def test_both_strands_give_the_same_answer(length: int) -> None:
    torch.manual_seed(1)
    parts = [
        EnhancerCNN(length=length, filters=8, further=((6, 3, 2),), hidden=5) for _ in range(2)
    ]
    network = settled(EnsembleCNN(parts))
    with torch.inference_mode():
        one, embedding = Liver(network)(torch.from_numpy(LETTERS))
        other, turned = Liver(network)(torch.from_numpy(reverse_complement(LETTERS)))
        logits = network(torch.from_numpy(LETTERS))
        separate = [part(torch.from_numpy(LETTERS)) for part in parts]
    torch.testing.assert_close(logits, (separate[0] + separate[1]) / 2)
    assert not torch.allclose(*separate)
    assert one.shape == (6,)
    assert embedding.shape == (6, 10)
    torch.testing.assert_close(one, other)
    torch.testing.assert_close(embedding, turned)
    torch.testing.assert_close(one, torch.softmax(logits, 1)[:, 0])
    assert torch.unique(one).numel() == 6


def test_training_sees_one_strand() -> None:
    network = EnhancerCNN(filters=8, further=((6, 3, 2),), dropout=0.0)
    strands = [torch.from_numpy(x) for x in (LETTERS, reverse_complement(LETTERS))]
    one, other = (network(strand) for strand in strands)
    assert not torch.allclose(one, other)


def test_the_length_is_free_without_places() -> None:
    network = settled(EnhancerCNN(filters=8, further=((6, 3, 2),)))
    with torch.inference_mode():
        short = network(torch.from_numpy(LETTERS[:, :120]))
        fixed = EnhancerCNN(length=200, filters=8, further=((6, 3, 2),)).eval()
        with pytest.raises(RuntimeError):
            fixed(torch.from_numpy(LETTERS[:, :120]))
    assert short.shape == (6, 4)


def test_first_layer_folded_is_what_the_relu_sees() -> None:
    network = settled(EnhancerCNN(filters=8, width=7, pool=1, further=()))
    kernels, bias = network.first_folded()
    assert kernels.shape == (8, 4, 7)
    with torch.inference_mode():
        hot = network.letters(torch.from_numpy(LETTERS))
        seen = network.trunk[2](network.trunk[0](hot)).squeeze(2)[:, :, 3:-3]
        found = functional.conv1d(hot.squeeze(2), kernels, bias)
        torch.testing.assert_close(found[:, 1:], seen[:, 1:], atol=1e-5, rtol=1e-4)
        # A negative factor: the largest becomes the smallest, but for the bias.
        turned = -found[:, 0] + network.trunk[2].bias[0]
        torch.testing.assert_close(turned, seen[:, 0], atol=1e-5, rtol=1e-4)


def test_description_has_the_layers() -> None:
    network = EnhancerCNN(filters=8, width=7, pool=4, further=((6, 3, 1),), length=200, hidden=5)
    assert network.describe() == (
        "Conv(4->8, 7) max pool 4 BatchNorm ReLU, Conv(8->6, 3) BatchNorm ReLU, "
        "Linear(300->5) ReLU, mean of both strands, Linear(5->4), softmax"
    )


def test_course_network() -> None:
    network = CourseCNN(filters=4, width=7)
    assert network(torch.from_numpy(LETTERS)).shape == (6, 1)
    assert sum(p.numel() for p in network.parameters()) == 4 * 4 * 7 + 4 + 8 * 4 * 5 + 8 + 8 + 1


def test_augmented_rows_are_the_rows() -> None:
    rng = np.random.default_rng(0)
    rows = np.repeat(LETTERS, 50, axis=0)
    plain = augmented(rows, rng, 0)
    same = (plain == rows).all(1)
    turned = (plain == reverse_complement(rows)).all(1)
    assert (same ^ turned).all()
    assert 100 < same.sum() < 200
    shifted = augmented(rows, rng, 3)
    assert shifted.shape == rows.shape
    seen = set()
    for row, letters in zip(shifted, rows, strict=True):
        places = [
            (strand, offset)
            for strand, source in enumerate((letters, reverse_complement(letters)))
            for offset in range(-3, 4)
            if bytes(np.pad(source, 3, constant_values=ord("N"))[3 + offset :][:200]) == bytes(row)
        ]
        assert len(places) == 1
        seen |= set(places)
    assert len(seen) == 14
    assert (rows == np.repeat(LETTERS, 50, axis=0)).all()  # untouched


# --- figures


def test_summary_of_folds() -> None:
    rows = [
        {"kernel": 7, "epochs": 3, "seconds": 2, "roc_auc": value, "pr_auc": value / 2}
        for value in (0.9, 0.94, 0.95)
    ]
    row = train_liver.summary(rows)
    assert (row["kernel"], row["folds"], row["epochs"], row["seconds"]) == (7, 3, 3, 6)
    assert (row["roc_auc_mean"], row["pr_auc_mean"]) == (0.93, 0.465)
    assert row["roc_auc_sd"] == 0.0265  # sqrt((0.03² + 0.01² + 0.02²) / 2)
    assert row["pr_auc_sd"] == 0.0132
    assert train_liver.summary(rows[:1])["roc_auc_sd"] == 0


def test_chromosome_1_is_nowhere(data_root: Path, monkeypatch) -> None:
    monkeypatch.setenv("SEQTILE_DATA", str(data_root))
    task = Task(Config(), torch.device("cpu"))
    assert len(task.sites) == len(task.train) + len(task.valid) == 47_872 - 4_565
    assert set(task.train.chromosome) == set(range(2, 24))  # chr3 to chrY
    assert set(task.valid.chromosome) == {1}
    for held in range(5):
        train, rest = task.fold(held)
        assert not set(train.chromosome) & set(rest.chromosome)
        assert set(train.chromosome) | set(rest.chromosome) == set(range(1, 24))


# --- the script


# Narrow: the widths of what is shipped are none of the script's.
SMALL: dict[str, Any] = {"filters": 3, "further": ((6, 3, 2),), "hidden": 5}


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(liver_task, "EnhancerCNN", partial(EnhancerCNN, **SMALL))
        yield


@pytest.fixture(scope="module")
def trained(data_root: Path, tmp_path_factory, exported_once) -> tuple[Path, str]:
    """Folder of a run with export, and what it printed."""
    folder = tmp_path_factory.mktemp("trained")
    result = train(data_root, folder, "liver", "--export")
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_report_has_the_folds_and_never_test(trained) -> None:
    folder, printed = trained
    runs = folder / "runs" / NAME / "best-smoke"
    report = json.loads((runs / "report.json").read_text())
    assert {m["split"] for m in report["metrics"]} == {"valid"}
    names = {m["name"] for m in report["metrics"] if "method" not in m}
    assert names == {"roc_auc", "pr_auc", "accuracy", "precision", "recall", "f1"}
    assert len({m["method"] for m in report["metrics"] if "method" in m}) == 2
    sizes = rows_of(runs / "kernel_sizes.csv")
    assert [row["kernel"] for row in sizes] == ["7", "11"]
    folds = rows_of(runs / "cross_validation.csv")
    assert [row["fold"] for row in folds] == ["0", "1"]
    assert "chr1 " not in " ".join(f"{row['chromosomes']} " for row in folds)
    mean = np.mean([float(row["roc_auc"]) for row in folds])
    assert report["cross_validation"]["roc_auc_mean"] == pytest.approx(mean, abs=1e-4)
    assert f"ROC AUC {report['cross_validation']['roc_auc_mean']:.4f} ± " in printed
    assert [int(row["epoch"]) for row in rows_of(runs / "history.csv")] == [1, 2]


def test_exported_model_is_the_network(trained) -> None:
    folder, printed = trained
    exported = folder / "exported" / NAME
    assert {path.name for path in exported.iterdir()} == {
        "model.onnx",
        "model.fp16.onnx",
        "contract.json",
        "report.json",
        "card.json",
        "golden.npz",
        "parity.json",
        "history.csv",
        "training.png",
        "cross_validation.csv",
        "kernel_sizes.csv",
        "motifs.meme",
        "motifs.png",
    }
    predictor = seqtile.load(exported, device="cpu")
    assert f"sha256 {predictor.sha256}" in printed
    sizes = rows_of(folder / "runs" / NAME / "best-smoke" / "kernel_sizes.csv")
    kernel = int(max(sizes, key=lambda row: float(row["roc_auc_mean"]))["kernel"])
    parts = []
    for i, shape in enumerate([(kernel, 4), (19, 20)]):
        path = folder / "runs" / NAME / "best-smoke" / f"final{i}.pt"
        parts.append(EnhancerCNN(width=shape[0], pool=shape[1], length=200, **SMALL))
        parts[i].load_state_dict(torch.load(path, weights_only=True)["best_weights"])
    network = EnsembleCNN(parts)
    with torch.inference_mode():
        expected, embedding = Liver(network.eval())(torch.from_numpy(LETTERS))
    found = predictor.predict(LETTERS)["probability"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(predictor.embed(LETTERS), embedding, atol=1e-5)
    np.testing.assert_allclose(
        predictor.predict(reverse_complement(LETTERS))["probability"], found, atol=1e-5
    )
    card = read_card(exported).to_dict()
    assert card["parameters"] == sum(p.numel() for p in network.parameters())
    assert card["training"]["config"]["smoke"] is True
    widths = {
        motif.name.partition("_")[0]: len(motif) for motif in read_meme(exported / "motifs.meme")
    }
    assert widths == {"net0": kernel, "net1": 19}


def test_second_run_trains_nothing_and_gives_the_same_bytes(trained, data_root: Path) -> None:
    folder, _ = trained
    exported = folder / "exported" / NAME
    before = {path.name: path.read_bytes() for path in exported.iterdir()}
    result = train(data_root, folder, "liver", "--export")
    assert result.returncode == 0, result.stderr
    for name in ("model.onnx", "card.json", "motifs.meme", "history.csv", "kernel_sizes.csv"):
        assert (exported / name).read_bytes() == before[name], name


def test_course_preset(data_root: Path, tmp_path: Path) -> None:
    result = train(data_root, tmp_path, "liver", "--preset", "course")
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "runs" / NAME / "course-smoke" / "report.json").read_text())
    assert [row["kernel"] for row in report["kernel_sizes"]] == [7, 11]


def test_the_course_preset_is_not_exported(capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        train_liver.main(["--preset", "course", "--export"])
    assert caught.value.code == 2
    assert "only preset best is exported" in capsys.readouterr().err


def test_config_is_plain() -> None:
    config = dataclasses.replace(Config(), kernel_sizes="5,19")
    assert config.widths == [5, 19]
    assert dataclasses.replace(config, networks="0:4,19:20").shapes(7) == [(7, 4), (19, 20)]
    assert dataclasses.replace(config, kernel_sizes="", kernel=9).widths == []
    with pytest.raises(ValueError, match="there are none"):
        dataclasses.replace(config, kernel_sizes="")


# --- the shipped model


def test_the_shipped_model_knows_the_factors() -> None:
    """A filter of enough sites is recognised, and like the factor more than chance allows."""
    found = recognised(compare(read_meme(ROOT / "exported" / NAME / "motifs.meme"), None))
    for name in ("HNF4A", "FOXA", "GATA"):
        motif, match = found[name]
        assert match.similarity > 0.9
        assert motif.nsites >= 100
