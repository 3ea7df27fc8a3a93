"""Training of the networks for RNA-binding proteins: loss, parts, smoke runs, exported models."""

from __future__ import annotations

import dataclasses
import json
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("onnxscript", reason="export needs onnxscript")
pytest.importorskip("matplotlib", reason="pictures need matplotlib")

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

from seqtile.execution.session import Session  # noqa: E402
from seqtile.models.zoo import read_card  # noqa: E402
from training.lab.source import DataError  # noqa: E402
from training.tasks.rbp import data as rnacompete  # noqa: E402
from training.tasks.rbp import train as train_rbp  # noqa: E402
from training.tasks.rbp.data import Probes  # noqa: E402
from training.tasks.rbp.train import Config, Task, masked_mse  # noqa: E402

CPU = torch.device("cpu")


def toy(proteins: tuple[str, ...] = ("RBP1", "RBP24", "RBP35"), count: int = 400) -> Probes:
    """Random probes; the first protein holds UAG, the others are noise; some are missing."""
    rng = np.random.default_rng(0)
    sequences = ["".join(rng.choice(list("ACGU"), rng.integers(30, 42))) for _ in range(count)]
    values = rng.normal(size=(count, len(proteins))).astype(np.float32)
    values[:, 0] += [3.0 * s.count("UAG") for s in sequences]
    values[::10, 0] = np.nan
    return rnacompete._probes(sequences, [i % 2 == 0 for i in range(count)], values, proteins)


@pytest.fixture
def toys(monkeypatch) -> Probes:
    """The toy probes, whatever `rnacompete.load` is asked."""
    probes = toy()
    monkeypatch.setattr(rnacompete, "load", lambda protein=None, table=None: probes)
    return probes


def test_masked_mse() -> None:
    nan = float("nan")
    targets = torch.tensor([[1.0, nan, nan], [3.0, 2.0, nan]])
    predictions = torch.tensor([[2.0, 5.0, 1.0], [1.0, 5.0, 1.0]], requires_grad=True)
    losses = masked_mse(predictions, targets)
    assert losses.tolist() == [2.5, 9.0, 0.0]
    losses.sum().backward()
    assert predictions.grad is not None
    assert predictions.grad.tolist() == [[1.0, 0.0, 0.0], [-2.0, 6.0, 0.0]]


def test_targets_are_scaled_by_train_alone(toys: Probes) -> None:
    task = Task(Config(protein="RBP1", smoke=False), CPU)
    assert task.proteins == ["RBP1", "RBP24"]  # RBP35 is noise
    assert toys.set_a[task.train].all()
    assert toys.set_a[task.valid].all()
    assert not toys.set_a[task.parts.test].any()
    targets = task.targets[task.train, 0]
    assert np.nanmean(targets) == pytest.approx(0, abs=1e-5)
    assert np.nanstd(targets) == pytest.approx(1, abs=1e-5)
    rows, own = task.own(task.valid)
    assert len(rows) == (~np.isnan(toys.of("RBP1")[task.valid])).sum() < len(task.valid)
    back = own * task.scale.deviation + task.scale.mean
    np.testing.assert_allclose(back, toys.of("RBP1")[rows], rtol=1e-4, atol=1e-5)


def test_who_else_is_learned(toys: Probes) -> None:
    assert Task(Config(protein="RBP1", auxiliary=0.0), CPU).proteins == ["RBP1"]
    assert Task(Config(protein="RBP1", preset="course"), CPU).proteins == ["RBP1"]
    assert Task(Config(protein="RBP24"), CPU).proteins == ["RBP24", "RBP1"]


def test_it_learns_and_goes_on_where_it_was_cut(toys: Probes, tmp_path: Path, monkeypatch) -> None:
    config = Config(
        protein="RBP1", epochs=12, batch=32, precision="fp32", dropout=0.0, auxiliary=0.2
    )
    task = Task(config, CPU)
    _, whole = train_rbp.train(task, tmp_path / "whole")
    assert whole.history[whole.best_epoch - 1]["pearson"] > 0.4
    assert (
        max(row["pearson"] for row in whole.history)
        == (whole.history[whole.best_epoch - 1]["pearson"])
    )

    validate, calls = Task.validate, []

    def cut(self: Task, network: torch.nn.Module) -> dict[str, float]:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return validate(self, network)

    monkeypatch.setattr(Task, "validate", cut)
    with pytest.raises(KeyboardInterrupt):
        train_rbp.train(Task(config, CPU), tmp_path / "cut")
    monkeypatch.setattr(Task, "validate", validate)
    _, resumed = train_rbp.train(Task(config, CPU), tmp_path / "cut")
    assert len(resumed.history) == len(whole.history)
    for one, other in zip(resumed.history, whole.history, strict=True):
        assert one == pytest.approx(other)


def test_members(toys: Probes, tmp_path: Path) -> None:
    """The mean of two networks; a run of more members goes on from one of fewer."""
    config = Config(protein="RBP1", epochs=2, batch=64, precision="fp32", members=2)
    task = Task(config, CPU)
    first, fit = train_rbp.train(Task(dataclasses.replace(config, members=1), CPU), tmp_path)
    both, longer = train_rbp.train(task, tmp_path)
    assert fit.history == longer.history
    assert longer.seconds > fit.seconds
    one, mean = (task.predict(network, task.valid) for network in (first, both))
    second = task.predict(both.members[1], task.valid)
    np.testing.assert_allclose(mean, (one + second) / 2, rtol=1e-4, atol=1e-5)
    assert np.abs(one - second).max() > 0.01


@pytest.mark.parametrize("model", list(train_rbp.NETWORKS))
def test_presets(toys: Probes, model: str) -> None:
    best = train_rbp.build(Config(model=model), 3)
    course = train_rbp.build(Config(model=model, preset="course"), 1)
    sizes = [sum(p.numel() for p in network.parameters()) for network in (best, course)]
    assert sizes[1] < sizes[0] / 3
    assert best.last.out_features == 3


def test_errors(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.delenv("SEQTILE_DATA", raising=False)
    for i, (arguments, message) in enumerate(
        (
            ([], "SEQTILE_DATA is not set"),
            (["--protein", "RBFOX1"], "no intensities of 'RBFOX1'"),
            (["--protein", "RBFOX1", "--intensities", str(tmp_path / "no")], "cannot be read"),
        )
    ):
        with pytest.raises(DataError, match=message):
            train_rbp.main([*arguments, "--device", "cpu", "--runs", str(tmp_path / str(i))])
    with pytest.raises(SystemExit):
        train_rbp.main(["--model", "transformer"])
    assert "invalid choice: 'transformer'" in capsys.readouterr().err


# --- smoke runs on real rows, and what they export


EXPORTED = ("bilstm", "cnn-attention")  # which holds all of "cnn"
SMALL = {
    "cnn": {"motifs": 24, "filters": 16, "depth": 1, "hidden": 16},
    "bilstm": {"motifs": 24, "states": 8, "hidden": 16},
    "cnn-attention": {"motifs": 24, "filters": 16, "depth": 1, "hidden": 16},
}


@pytest.fixture(scope="module")
def exported(data_root: Path, tmp_path_factory, exported_once) -> Path:
    """Two of the models; all three, of few filters, after a smoke run, test is not read."""
    folder = tmp_path_factory.mktemp("rbp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQTILE_DATA", str(data_root))
        seen = []
        predict = Task.predict

        def watched(self: Task, network: torch.nn.Module, rows: np.ndarray) -> np.ndarray:
            seen.append(self.probes.set_a[rows].all())
            return predict(self, network, rows)

        patch.setattr(Task, "predict", watched)
        patch.setattr(rnacompete, "load", cache(rnacompete.load))
        for model, kind in list(train_rbp.NETWORKS.items()):
            patch.setitem(train_rbp.NETWORKS, model, partial(kind, **SMALL[model]))
        for model in train_rbp.NETWORKS:
            export = ["--export"] if model in EXPORTED else []
            train_rbp.main(
                [
                    "--model",
                    model,
                    "--smoke",
                    "--exported",
                    str(folder / "exported"),
                    *export,
                    "--runs",
                    str(folder / "runs"),
                    "--device",
                    "cpu",
                    "--threads",
                    "1",
                ]
            )
        assert seen
        assert all(seen)
    return folder / "exported"


@pytest.mark.parametrize("model", EXPORTED)
def test_smoke(exported: Path, model: str) -> None:
    folder = exported / f"rbp-{model}"
    card = read_card(folder).to_dict()
    assert card["task"] == "regression"
    assert card["threshold"] is None
    assert [t["name"] for t in card["outputs"]] == ["affinity", "embedding"]
    assert card["inputs"][0]["shape"] == ["batch", "length"]
    assert {m["split"] for m in card["metrics"] + card["baselines"]} == {"valid"}
    assert {m["name"] for m in card["metrics"]} == {"pearson", "spearman", "mse"}
    assert card["metrics"][0]["name"] == "pearson"
    assert card["training"]["command"] == f"python -m training rbp-{model} --export"
    assert card["data"]["sha256"] == rnacompete.CHECKSUMS["all"]
    assert card["architecture"].endswith("Linear(1)")
    rows = json.loads((folder / "parity.json").read_text())["rows"]
    rows = [row for row in rows if row["precision"] == "fp32"]
    assert {row["length"] for row in rows} == {8, 41, 95}
    assert {row["output"] for row in rows} == {"affinity", "embedding"}
    assert all(row["passed"] for row in rows)
    pictures = {"training.png"} | (
        {"attention.png", "attention_loss.png"} if model == "cnn-attention" else set()
    )
    assert {path.name for path in folder.glob("*.png")} == pictures


@pytest.mark.parametrize("model", EXPORTED)
def test_padding_changes_nothing_in_onnx(exported: Path, model: str) -> None:
    path = exported / f"rbp-{model}" / "model.onnx"
    session = Session(path.read_bytes(), device="cpu", threads=1, source=model)
    rna = "AGAUAGUAGGUUAGCCAUAGUUGCACGUAGG"
    results = []
    for pad, letter in ((0, "N"), (1, "N"), (10, "n"), (40, "N")):
        batch = np.frombuffer((rna + letter * pad).encode(), np.uint8)[None]
        results.append(session.run({"sequence": batch}, ["affinity", "embedding"]))
    for affinity, embedding in results[1:]:
        np.testing.assert_allclose(affinity, results[0][0], atol=1e-5)
        np.testing.assert_allclose(embedding, results[0][1], atol=1e-5)
    other = np.frombuffer((rna[:-1] + "C").encode(), np.uint8)[None]
    changed = session.run({"sequence": other}, ["embedding"])[0]
    assert np.abs(changed - results[0][1]).max() > 1e-4


def test_a_protein_of_a_table(tmp_path: Path, monkeypatch) -> None:
    """RBFOX1 from a table of the user's, end to end, without any other data."""
    monkeypatch.delenv("SEQTILE_DATA", raising=False)
    probes = toy(("X",), 240)
    lines = ["RNA_Seq\tProbe_Set\tRNCMPT00168"]
    for letters, length, in_a, value in zip(
        probes.letters, probes.lengths, probes.set_a, probes.intensity[:, 0], strict=True
    ):
        lines.append(f"{letters[:length].tobytes().decode()}\tSet{'BA'[int(in_a)]}\t{value}")
    table = tmp_path / "norm_data.txt"
    table.write_text("\n".join(lines) + "\n")
    train_rbp.main(
        [
            "--protein",
            "RBFOX1",
            "--intensities",
            str(table),
            "--preset",
            "course",
            "--batch",
            "32",
            "--course-epochs",
            "2",
            "--runs",
            str(tmp_path / "runs"),
            "--device",
            "cpu",
            "--threads",
            "1",
        ]
    )
    folder = tmp_path / "runs" / "rbp-cnn" / "course-seed0-RBFOX1"
    config = json.loads((folder / "config.json").read_text())
    assert config == dataclasses.asdict(
        Config(protein="RBFOX1", intensities=str(table), preset="course", batch=32, course_epochs=2)
    )
    report = json.loads((folder / "report.json").read_text())
    assert {m["split"] for m in report["metrics"]} == {"valid"}
