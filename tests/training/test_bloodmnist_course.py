"""The document's runs: the softmax by mistake, and that the table says what the runs found."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("onnxscript", reason="export needs onnxscript")
pytest.importorskip("matplotlib", reason="pictures need matplotlib")

from training.lab.source import DataError  # noqa: E402
from training.studies import bloodmnist_course as course  # noqa: E402
from training.studies.rows import read_csv  # noqa: E402
from training.tasks.bloodmnist import train as train_bloodmnist  # noqa: E402

TRAINING = Path(__file__).parents[2] / "training"
COMMITTED, README = TRAINING / "studies" / "bloodmnist_course.csv", TRAINING / "README.md"
FOUR = [(n, o) for n in ("plain", "pooled") for o in ("logits", "softmax")]


def test_the_floor_of_the_loss() -> None:
    """Minimised by torch: cross entropy of a softmax, the right logit as large as may be."""
    logits = torch.zeros(1, 8)
    logits[0, 3] = 200.0
    loss = torch.nn.functional.cross_entropy(torch.softmax(logits, 1), torch.tensor([3]))
    assert float(loss) == pytest.approx(course.FLOOR, abs=1e-5)
    assert pytest.approx(1.2740, abs=1e-4) == course.FLOOR


def table(path: Path) -> dict[tuple[str, str, int], list[dict[str, float]]]:
    """Epochs by network, output and seed, read without the study's own reader."""
    found: dict[tuple[str, str, int], list[dict[str, float]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            key = (row.pop("network"), row.pop("output"), int(row.pop("seed")))
            found.setdefault(key, []).append({k: float(v) for k, v in row.items()})
    return found


def test_the_readme_shows_the_committed_numbers() -> None:
    rows = read_csv(COMMITTED, course.Row)
    assert course.table(rows) in README.read_text(encoding="utf-8")
    for network, output in FOUR:
        run = course.one(rows, network, output)
        assert [r.epoch for r in run] == list(range(1, len(run) + 1))
    lengths = {len(course.one(rows, *which)) for which in FOUR}
    assert len(lengths) == 1  # the same number of epochs for all four


def test_the_table_says_what_the_file_holds() -> None:
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in course.table(read_csv(COMMITTED, course.Row)).splitlines()[2:]
    ]
    runs = table(COMMITTED)
    weights = {"plain": 25_785_672, "pooled": 390_472}  # counted by hand from the layers
    assert [(line[0], line[1]) for line in lines] == FOUR
    for network, output, count, *figures in lines:
        last = runs[network, output, 0][-1]
        keys = ("seconds", "train_loss", "valid_accuracy", "test_accuracy")
        assert int(count.replace(",", "")) == weights[network]
        for key, figure in zip(keys, figures, strict=True):
            assert float(figure) == pytest.approx(last[key], abs=0.06 if key == "seconds" else 6e-4)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder of runs: four of seed 0, one pair of seed 1, one that goes on, one of smoke."""
    rng = np.random.default_rng(0)
    for model in ("cnn", "cnn-pool"):
        for name in ("seed0", "seed1", "smoke") if model == "cnn-pool" else ("seed0",):
            folder = tmp_path / f"bloodmnist-{model}" / f"course-{name}"
            folder.mkdir(parents=True)
            for output in ("logits", "softmax"):
                epochs = 3 if (model, output) == ("cnn", "softmax") else 4
                history = [
                    {
                        "epoch": i,
                        "step": 9 * i,
                        "train_loss": 1.3 + rng.uniform(),
                        "accuracy": rng.uniform(),
                        "test_accuracy": rng.uniform(),
                    }
                    for i in range(1, epochs + 1)
                ]
                torch.save({"history": history, "seconds": 5.0}, folder / f"fit-{output}.pt")
    return tmp_path


def test_the_clock() -> None:
    """Pooling is faster by far; an epoch has 187 batches."""
    cpu = torch.device("cpu")
    pooled, plain = (
        course.clock("pooled", "softmax", cpu, 4),
        course.clock("plain", "logits", cpu, 2),
    )
    assert 0.2 < pooled < plain / 3


def test_figure_and_table_of_runs(runs: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(
        course, "clock", lambda network, *_: {"plain": 75.04, "pooled": 7.5}[network]
    )
    call = ["--runs", str(runs), "--out", str(runs / "out"), "--device", "cpu", "--threads", "1"]
    course.main(call)
    said = capsys.readouterr().out
    assert (runs / "out" / "bloodmnist_course.png").read_bytes()[:4] == b"\x89PNG"
    found = table(runs / "out" / "bloodmnist_course.csv")
    assert len(found) == 6
    assert {len(run) for run in found.values()} == {3}
    written = torch.load(runs / "bloodmnist-cnn-pool" / "course-seed1" / "fit-logits.pt")
    for row, epoch in zip(found["pooled", "logits", 1], written["history"], strict=False):
        for name, key in (("valid_accuracy", "accuracy"), ("train_loss", "train_loss")):
            assert row[name] == pytest.approx(epoch[key], abs=5e-5)
    lines = [line for line in said.splitlines() if line.startswith("| p")]
    assert [tuple(part.strip() for part in line.split("|")[1:3]) for line in lines] == FOUR
    assert ["| 75.0 |" in line for line in lines] == [True, True, False, False]
    assert ["| 7.5 |" in line for line in lines] == [False, False, True, True]
    (runs / "bloodmnist-cnn" / "course-seed0" / "fit-softmax.pt").unlink()
    with pytest.raises(
        DataError, match="no run of plain, softmax: .*bloodmnist-cnn --preset course"
    ):
        course.main(call)


def test_smoke_of_the_course(data_root: Path, tmp_path: Path, monkeypatch) -> None:
    """Both runs of the pooled network on some real rows; test is not read."""
    monkeypatch.setenv("SEQTILE_DATA", str(data_root))
    asked = []
    load = train_bloodmnist.bloodmnist.load
    monkeypatch.setattr(
        "training.tasks.bloodmnist.data.load", lambda *a: (asked.append(a[0]), load(*a))[1]
    )
    train_bloodmnist.main(
        [
            "--model",
            "cnn-pool",
            "--preset",
            "course",
            "--smoke",
            "--runs",
            str(tmp_path),
            "--device",
            "cpu",
            "--threads",
            "1",
        ]
    )
    assert set(asked) == {"train", "valid"}
    folder = tmp_path / "bloodmnist-cnn-pool" / "course-smoke"
    losses = {}
    for output in ("logits", "softmax"):
        with (folder / f"{output}.csv").open(newline="") as file:
            history = list(csv.DictReader(file))
        assert [row["epoch"] for row in history] == ["1", "2"]
        losses[output] = float(history[-1]["train_loss"])
        assert float(history[-1]["train_loss"]) < float(history[0]["train_loss"])
    assert 1.274 < losses["softmax"] < np.log(8) + 0.01
    assert losses["logits"] != pytest.approx(losses["softmax"], abs=0.01)
