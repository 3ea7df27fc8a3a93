"""The recurrent networks for DNA binding, and their training script on a few of the real rows."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("sklearn", reason="training needs scikit-learn")
pytest.importorskip("onnx", reason="the export needs onnx")

import seqtile  # noqa: E402
from training.tasks.dna_binding import data as dna_binding  # noqa: E402
from training.tasks.dna_binding import train as train_dna_binding  # noqa: E402
from training.tasks.dna_binding.networks import ConvBiLSTM, CourseLSTM, Mean, Probability  # noqa: E402

NAME = "dna-binding-bilstm"
SMALL = ["--smoke", "--device", "cpu", "--threads", "1", "--batch", "64"]
SMALL += ["--filters", "16", "--depth", "1", "--pool", "12"]  # the LSTM takes a step per pool


def letters(n: int, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, (n, 101))])


# the networks


def test_the_course_network_reads_the_backward_state() -> None:
    """The backward direction has read all letters when it stands at the first one."""
    torch.manual_seed(0)
    network = CourseLSTM(hidden=16).eval()
    assert (network.lstm.batch_first, network.lstm.num_layers, network.lstm.bidirectional) == (
        True,
        1,
        True,
    )
    x = letters(3)
    hot = torch.from_numpy(seqtile.one_hot(x.numpy(), layout="NLC"))
    states, _ = network.lstm(hot)
    (w1, b1), (w2, b2) = ((m.weight, m.bias) for m in (network.mlp[0], network.mlp[2]))
    h = torch.tanh(torch.tanh(states[:, 0, 16:] @ w1.T + b1) @ w2.T + b2)
    logit, embedding = network(x)
    torch.testing.assert_close(embedding, h)
    torch.testing.assert_close(logit, (h @ network.last.weight.T + network.last.bias)[:, 0])
    assert w1.shape == w2.shape == (16, 16)


@pytest.fixture(scope="module")
def network() -> Probability:
    torch.manual_seed(0)
    parts = [ConvBiLSTM(filters=16, hidden=8, embedding=4, depth=depth) for depth in (0, 2)]
    x = letters(32, 1)
    for part in parts:  # norms that have seen something
        part.train()(x)
    return Probability(Mean(parts)).eval()


def test_both_strands_get_the_same_answer(network) -> None:
    x = letters(5)
    turned = torch.from_numpy(seqtile.reverse_complement(x.numpy()))
    for a, b in zip(network(x), network(turned), strict=True):
        torch.testing.assert_close(a, b)
    one = network.network.networks[0]
    assert (one.one_strand(x) - one.one_strand(turned)).abs().max() > 1e-4


def test_a_row_is_predicted_alone(network) -> None:
    x = letters(5)
    probability, embedding = network(x)
    assert probability.shape == (5,)
    assert embedding.shape == (5, 8)
    assert ((probability > 0) & (probability < 1)).all()
    for i in range(5):
        alone, alone_embedding = network(x[i : i + 1])
        torch.testing.assert_close(alone, probability[i : i + 1])
        torch.testing.assert_close(alone_embedding, embedding[i : i + 1])
    lower = x | 0x20
    torch.testing.assert_close(network(lower)[0], probability)


def test_the_mean_is_that_of_the_logits(network) -> None:
    x = letters(5)
    logits = [part(x)[0] for part in network.network.networks]
    torch.testing.assert_close(network(x)[0], torch.sigmoid((logits[0] + logits[1]) / 2))


# the script


@pytest.fixture
def loaded(data_root: Path, monkeypatch) -> set[tuple[str, str]]:
    """The splits that are read."""
    monkeypatch.setenv("SEQTILE_DATA", str(data_root))
    found = set()
    load = dna_binding.load

    def spy(split, *, by="pair"):
        found.add((split, by))
        return load(split, by=by)

    monkeypatch.setattr(dna_binding, "load", spy)
    return found


@pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning"
)
def test_the_script_reports_and_exports(loaded, tmp_path: Path, capsys, exported_once) -> None:
    runs, exported = tmp_path / "runs", tmp_path / "exported"
    options = [*SMALL, "--networks", "2", "--runs", str(runs)]
    train_dna_binding.main([*options, "--export", "--exported", str(exported)])
    assert loaded == {("train", "pair"), ("valid", "pair")}  # a smoke run never sees test
    folder = runs / NAME / "best-smoke"
    report = json.loads((folder / "report.json").read_text())
    assert {row["split"] for row in report["metrics"]} == {"valid"}
    value = report["metrics"][0]["value"]
    assert f"valid            roc_auc             {value:.4f}" in capsys.readouterr().out
    with (folder / "history.csv").open(newline="") as file:
        history = list(csv.DictReader(file))
    assert [row["epoch"] for row in history] == ["1", "2"]
    assert float(history[-1]["roc_auc"]) == pytest.approx(value, abs=2e-3)
    model = seqtile.load(exported / NAME)
    rows = dna_binding.load("valid").letters[:256]
    found = model.predict(rows)["probability"]
    labels = dna_binding.load("valid").bound[:256]
    assert train_dna_binding.roc_auc(labels, found) == pytest.approx(value, abs=1e-4)
    np.testing.assert_allclose(
        model.predict(seqtile.reverse_complement(rows))["probability"], found, atol=1e-5
    )
    assert model.embed(rows).shape == (256, 32)

    # A second run finds its networks done, and says the same.
    (folder / "report.json").unlink()
    train_dna_binding.main(options)
    assert json.loads((folder / "report.json").read_text())["metrics"] == report["metrics"]


@pytest.mark.parametrize(
    ("options", "splits", "folder"),
    [
        (["--preset", "course"], {("train", "pair"), ("valid", "pair")}, "course-smoke"),
        (["--split", "row"], {("train", "row"), ("valid", "row")}, "best-smoke-row"),
    ],
)
def test_other_set_ups(loaded, tmp_path: Path, options, splits, folder) -> None:
    train_dna_binding.main([*SMALL, *options, "--runs", str(tmp_path)])
    assert loaded == splits
    report = json.loads((tmp_path / NAME / folder / "report.json").read_text())
    assert {row["split"] for row in report["metrics"]} == {"valid"}


def test_only_the_split_by_pair_is_shipped(loaded, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="split by pair"):
        train_dna_binding.main(
            [
                *SMALL,
                "--split",
                "row",
                "--export",
                "--exported",
                str(tmp_path / "exported"),
                "--runs",
                str(tmp_path / "runs"),
            ]
        )
    assert loaded == set()


def test_the_course_lowers_its_rate_and_keeps_its_last_epoch(loaded, tmp_path) -> None:
    config = train_dna_binding.Config(preset="course", smoke=True)
    task = train_dna_binding.Task(config, torch.device("cpu"))
    fit = train_dna_binding.train_course(task, tmp_path)
    assert fit.best_epoch == len(fit.history) == 2
    saved = torch.load(tmp_path / "course.pt", weights_only=True)
    (group, *_) = saved["optimizer"]["param_groups"]
    assert group["lr"] == 1e-2
    assert saved["config"]["optimizer"] == "adam"
    assert saved["config"]["plateau_factor"] == 0.5
    for key, value in fit.network.state_dict().items():
        torch.testing.assert_close(value, saved["network"][key])
