"""The script of the networks with accessibility, on a few of the real rows."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("sklearn", reason="training needs scikit-learn")
pytest.importorskip("onnx", reason="the export needs onnx")


import seqtile  # noqa: E402
from training.lab.letters import turned  # noqa: E402
from training.lab.metrics import weighted_accuracy  # noqa: E402
from training.tasks.jund import data as jund  # noqa: E402
from training.tasks.jund.student import ONE  # noqa: E402
from training.tasks.jund_accessibility import branch  # noqa: E402
from training.tasks.jund_accessibility import train as train_jund_accessibility  # noqa: E402
from training.tasks.jund_accessibility.branch import CHOSEN, Config, fit_logistic, settled  # noqa: E402
from training.tasks.jund_accessibility.networks import SequenceLSTM  # noqa: E402

# torch's exporter warns of itself, of its LSTM, and that both inputs have the same batch axis.
pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning"
)

MODELS = ("mlp", "cnn", "lstm")


@pytest.fixture(scope="module")
def here(data_root: Path, tmp_path_factory, exported_once) -> Iterator[Path]:
    """Folder of the runs and the models of this file; the student is trained once.

    It has few filters; the LSTM, which takes a step per pool, takes few of them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ONE, "convs", ((16, 8, 1),))
        patch.setattr(branch, "SequenceLSTM", partial(SequenceLSTM, pool=12))
        yield tmp_path_factory.mktemp("jund")


def train(here: Path, model: str, *options: str) -> None:
    train_jund_accessibility.main(
        [
            "--model",
            model,
            "--smoke",
            "--device",
            "cpu",
            "--threads",
            "1",
            "--batch",
            "64",
            "--runs",
            str(here / "runs"),
            "--exported",
            str(here / "exported"),
            *options,
        ]
    )


@pytest.fixture(scope="module", params=MODELS)
def exported(here: Path, data_root: Path, request) -> Path:
    """The model folder of a smoke run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQTILE_DATA", str(data_root))
        patch.setattr(jund, "load", without_test(jund.load))
        train(here, request.param, "--export")
    return here / "exported" / f"jund-{request.param}"


def without_test(load):
    """`jund.load` that a smoke run may use."""

    def guarded(split: str):
        assert split != "test", "a smoke run touches test"
        return load(split)

    return guarded


def valid_part(data_root: Path) -> jund.Segments:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQTILE_DATA", str(data_root))
        part = jund.load("valid")
    return part[: len(part) // 16]


def test_exported_model_gives_the_reported_figures(exported: Path, data_root: Path) -> None:
    predictor, valid = seqtile.load(exported, device="cpu"), valid_part(data_root)
    given = {"accessibility": valid.accessibility[:, None]}
    scores = predictor.predict(valid.letters, **given)["probability"]
    embedding = predictor.embed(valid.letters, **given)
    assert embedding.shape == (len(valid), 33)
    opened = np.log(valid.accessibility.astype(float) + 5e-4)
    assert np.corrcoef(embedding[:, -1], opened)[0, 1] > 0.9999
    card = predictor.card
    by_name = {m.name: m.value for m in card.metrics}
    assert list(by_name) == ["roc_auc", "pr_auc", "weighted_accuracy", "precision", "recall", "f1"]
    assert {m.split for m in card.metrics} == {"valid"}
    positive = valid.bound > 0.5
    called = scores >= card.threshold.value
    assert by_name["recall"] == pytest.approx(called[positive].mean(), abs=1e-4)
    assert by_name["precision"] == pytest.approx(positive[called].mean(), abs=1e-4)
    accuracy = weighted_accuracy(valid.bound, scores, valid.weight, card.threshold.value)
    assert by_name["weighted_accuracy"] == pytest.approx(accuracy, abs=1e-4)
    pairs = scores[positive][:, None] - scores[~positive]
    assert by_name["roc_auc"] == pytest.approx(
        (pairs > 0).mean() + (pairs == 0).mean() / 2, abs=1e-4
    )


def test_confusion_matrix_as_picture_and_numbers(exported: Path, data_root: Path) -> None:
    assert (exported / "confusion.png").read_bytes().startswith(b"\x89PNG")
    predictor, valid = seqtile.load(exported, device="cpu"), valid_part(data_root)
    given = {"accessibility": valid.accessibility[:, None]}
    called = predictor.predict(valid.letters, **given)["probability"] >= (
        predictor.card.threshold.value
    )
    positive = valid.bound > 0.5
    right, found = int((~called & ~positive).sum()), int((called & positive).sum())
    note = predictor.card.metric("weighted_accuracy", "valid").note
    assert f"of {(~positive).sum():,} unbound {right:,} called unbound" in note
    assert f"of {positive.sum()} bound {found} called bound" in note


def test_accessibility_matters_and_so_do_the_letters(exported: Path, data_root: Path) -> None:
    predictor, valid = seqtile.load(exported, device="cpu"), valid_part(data_root)

    def scores(letters, accessibility):
        column = np.full((len(letters), 1), accessibility, np.float32)
        return predictor.predict(letters, accessibility=column)["probability"]

    rising = [scores(valid.letters[:50], value) for value in (0, 0.002, 0.02, 0.16)]
    assert np.all(np.diff(rising, axis=0) > 0)  # open chromatin speaks for binding
    assert np.ptp(rising[0]) > 1e-3 * rising[0].mean()


def test_one_network_learns_from_the_other(exported: Path, here: Path) -> None:
    """Each epoch's figures are there, and the student of letters alone is trained once."""
    with (exported / "history.csv").open(newline="") as file:
        history = list(csv.DictReader(file))
    assert {"epoch", "step", "train_loss", "valid_loss", "roc_auc", "pr_auc"} == set(history[0])
    students = list((here / "runs" / "jund-cnn-seq").iterdir())
    assert [folder.name for folder in students] == ["best-smoke"]


def test_course_preset_decides_at_logit_zero(here: Path, data_root: Path, monkeypatch) -> None:
    monkeypatch.setenv("SEQTILE_DATA", str(data_root))
    monkeypatch.setattr(jund, "load", without_test(jund.load))
    train(here, "mlp", "--preset", "course")
    runs = here / "runs" / "jund-mlp" / "course-smoke"
    report = json.loads((runs / "report.json").read_text())
    accuracy = next(m for m in report["metrics"] if m["name"] == "weighted_accuracy")
    assert accuracy["note"].startswith("at 0.5000:")
    history = (runs / "history.csv").read_text().splitlines()
    assert len(history) == 2  # one epoch
    row = dict(zip(history[0].split(","), map(float, history[1].split(",")), strict=True))
    assert accuracy["value"] == pytest.approx(row["weighted_accuracy"], abs=1e-4)


def test_logistic_fit_is_a_minimum_of_the_weighted_loss() -> None:
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(500, 2))
    bound = (rng.random(500) < 1 / (1 + np.exp(-columns @ [1.0, -2.0] + 1))).astype(float)
    weight, offset = rng.random(500), 0.3 * rng.normal(size=500)

    def loss(beta):
        logits = columns @ beta[:2] + beta[2] + offset
        return (weight * (np.logaddexp(0, logits) - bound * logits)).sum() / weight.sum()

    found = fit_logistic(columns, bound, weight, offset)
    for direction in np.eye(3):
        assert loss(found + 1e-3 * direction) > loss(found) < loss(found - 1e-3 * direction)
    np.testing.assert_allclose(found, [1.0, -2.0, -1.0], atol=0.5)


def test_logistic_fit_far_from_its_start() -> None:
    """A plain Newton step overshoots here."""
    rng = np.random.default_rng(1)
    column, bound = rng.normal(size=(400, 1)), (np.arange(400) % 2).astype(float)
    slope, bias = fit_logistic(column, bound, np.ones(400), np.full(400, 8.0))
    assert bias == pytest.approx(-8, abs=0.1)
    assert abs(slope) < 0.3


def test_half_of_the_rows_are_turned() -> None:
    letters = np.frombuffer(b"AACG", np.uint8)[None].repeat(1000, 0)
    found = turned(letters, np.random.default_rng(0))
    rows, counts = np.unique(found, axis=0, return_counts=True)
    assert [row.tobytes() for row in rows] == [b"AACG", b"CGTT"]
    assert counts.min() > 400
    assert (letters == np.frombuffer(b"AACG", np.uint8)).all()


@pytest.mark.parametrize("model", MODELS)
def test_what_validation_chose_gives_way_to_the_command_line(model) -> None:
    chosen = settled(Config(model=model))
    assert {k: getattr(chosen, k) for k in CHOSEN[model]} == CHOSEN[model]
    assert settled(Config(model=model, hidden=7)).hidden == 7


def test_only_best_is_exported(tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        train_jund_accessibility.main(
            ["--preset", "course", "--export", "--runs", str(tmp_path / "runs")]
        )
    assert "only preset best is exported" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
