"""Training of the digits' network: distortion, fit, a smoke run and what it exports."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("onnxscript", reason="export needs onnxscript")
pytest.importorskip("matplotlib", reason="pictures need matplotlib")

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

import seqtile  # noqa: E402
from seqtile.models.zoo import read_card  # noqa: E402
from training.tasks.mnist import data as mnist  # noqa: E402
from training.tasks.mnist import figures as mnist_figures  # noqa: E402
from training.tasks.mnist import train as train_mnist  # noqa: E402
from training.tasks.mnist.augment import distort  # noqa: E402
from training.tasks.mnist.data import Digits  # noqa: E402
from training.tasks.mnist.networks import Shifted  # noqa: E402
from training.tasks.mnist.train import VIEWS, Config, Task, build, views  # noqa: E402

CPU = torch.device("cpu")
STILL = Config(rotate=0.0, shear=0.0, scale=1.0, shift=0.0, elastic=0.0)


def blobs(n: int = 6) -> torch.Tensor:
    """float32 (n, 1, 28, 28): a smooth spot off the middle on black."""
    rows, columns = np.mgrid[:28, :28]
    spot = np.exp(-((rows - 12.0) ** 2 + (columns - 17.0) ** 2) / 8)
    return torch.from_numpy(np.repeat(spot[None, None], n, 0).astype(np.float32))


def centres(grey: torch.Tensor) -> np.ndarray:
    """Centre of mass of each image, (n, 2): row and column, in pixels from the middle."""
    mass = grey[:, 0].double().numpy()
    places = np.arange(28) - 13.5
    whole = mass.sum((1, 2))
    return (
        np.stack([(mass.sum(2) * places).sum(1), (mass.sum(1) * places).sum(1)], 1) / whole[:, None]
    )


# --- distortion


def test_without_distortion_nothing_changes() -> None:
    grey = torch.rand(3, 1, 28, 28)
    torch.testing.assert_close(
        distort(grey, STILL, np.random.default_rng(0)), grey, atol=1e-5, rtol=0
    )


def test_shifts_are_in_pixels() -> None:
    grey = blobs(200)
    moved = distort(grey, dataclasses.replace(STILL, shift=3.0), np.random.default_rng(0))
    offsets = centres(moved) - centres(grey)
    assert 2.7 < np.abs(offsets).max() < 3.1
    assert np.abs(offsets.mean(0)).max() < 0.4
    assert offsets.std(0) == pytest.approx([3 / np.sqrt(3)] * 2, rel=0.15)


def test_turns_are_in_degrees_about_the_middle() -> None:
    grey = blobs(200)
    turned = distort(grey, dataclasses.replace(STILL, rotate=30.0), np.random.default_rng(0))
    before, after = centres(grey), centres(turned)
    np.testing.assert_allclose(np.hypot(*after.T), np.hypot(*before.T), atol=0.05)
    angles = np.degrees(np.arctan2(*after.T) - np.arctan2(*before.T))
    assert 28 < np.abs(angles).max() < 30.5
    assert angles.std() == pytest.approx(30 / np.sqrt(3), rel=0.15)


def test_sizes_are_factors() -> None:
    grey = blobs(200)
    scaled = distort(grey, dataclasses.replace(STILL, scale=1.25), np.random.default_rng(0))
    factors = centres(scaled) / centres(grey)  # of height and of width, each drawn alone
    for column in factors.T:
        assert 0.79 < column.min() < 0.83 < 1.2 < column.max() < 1.26
    assert abs(np.corrcoef(factors.T)[0, 1]) < 0.2


def test_shear_moves_a_row_along_itself() -> None:
    grey = blobs(200)
    sheared = distort(grey, dataclasses.replace(STILL, shear=20.0), np.random.default_rng(0))
    before, after = centres(grey), centres(sheared)
    np.testing.assert_allclose(after[:, 0], before[:, 0], atol=0.05)
    slopes = (after[:, 1] - before[:, 1]) / before[:, 0]
    assert 0.33 < np.abs(slopes).max() < np.tan(np.radians(20)) + 0.02


def test_bending_and_the_generator() -> None:
    grey = blobs()
    bend = dataclasses.replace(STILL, elastic=1.5)
    bent = distort(grey, bend, np.random.default_rng(0))
    assert bent.shape == grey.shape
    assert bent.min() >= 0
    assert bent.max() <= 1
    differences = (bent[1:] - bent[:1]).abs().amax((1, 2, 3))
    assert differences.min() > 0.05  # each image in its own way
    torch.testing.assert_close(distort(grey, bend, np.random.default_rng(0)), bent)
    assert not torch.equal(distort(grey, bend, np.random.default_rng(1)), bent)


# --- the fit


def toy(n: int = 600) -> Digits:
    """Ten kinds of picture: a bright square in one of ten places, and noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 10
    images = rng.integers(0, 60, (n, 28, 28))
    for image, label in zip(images, labels, strict=True):
        row, column = 4 + 12 * (label // 5), 1 + 5 * (label % 5)
        image[row : row + 6, column : column + 4] = 255
    return Digits(images.astype(np.uint8), labels.astype(np.uint8))


@pytest.fixture
def toys(monkeypatch) -> Digits:
    """What `mnist.load` gives, whatever it is asked; ten of each class are validation."""
    digits, split = toy(), mnist.split_train
    monkeypatch.setattr(mnist, "load", lambda name: digits)
    monkeypatch.setattr(mnist, "split_train", lambda whole: split(whole, per_class=10))
    return digits


TOY = dataclasses.replace(
    STILL,
    blocks="4/8/8",
    hidden=16,
    epochs=6,
    batch=32,
    lr=1e-2,
    precision="fp32",
    ema=0.9,
    dropout=0.0,
    views=1,
)


@pytest.mark.parametrize("at", [3, 8], ids=["while distorted", "while it settles"])
def test_it_learns_and_goes_on_where_it_was_cut(
    toys: Digits, tmp_path: Path, monkeypatch, at: int
) -> None:
    config = dataclasses.replace(TOY, rotate=3.0, shift=0.5, dropout=0.1)
    task = Task(config, CPU)
    assert (len(task.train), len(task.valid)) == (500, 100)
    whole = train_mnist.train(task, tmp_path / "whole.pt")
    assert whole.history[-1]["accuracy"] == 1
    assert whole.best_epoch == 6 + config.settle  # the last, whatever validation says
    assert [row["epoch"] for row in whole.history] == list(range(1, 9))
    validate, calls = Task.validate, []

    def cut(self: Task, network: torch.nn.Module) -> dict[str, float]:
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt
        return validate(self, network)

    monkeypatch.setattr(Task, "validate", cut)
    with pytest.raises(KeyboardInterrupt):
        train_mnist.train(Task(config, CPU), tmp_path / "cut.pt")
    monkeypatch.setattr(Task, "validate", validate)
    resumed = train_mnist.train(Task(config, CPU), tmp_path / "cut.pt")
    assert len(resumed.history) == len(whole.history)
    for one, other in zip(resumed.history, whole.history, strict=True):
        assert one == pytest.approx(other)


def test_the_course_preset(toys: Digits, tmp_path: Path, monkeypatch) -> None:
    """The homework's network on undistorted images, batches of 64; the best epoch counts."""
    seen = []
    logits = train_mnist.DigitNet.logits

    def spy(self: train_mnist.DigitNet, grey: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.training:
            seen.append(grey)
        return logits(self, grey)

    monkeypatch.setattr(train_mnist.DigitNet, "logits", spy)
    task = Task(dataclasses.replace(TOY, preset="course", course_epochs=3, rotate=20.0), CPU)
    fit = train_mnist.train(task, tmp_path / "course.pt")
    assert [len(grey) for grey in seen] == ([64] * 7 + [52]) * 3
    levels = (torch.cat(seen[:8]) * 255).round().to(torch.uint8)
    originals = {image.tobytes() for image in task.train.images}
    assert {image.tobytes() for image in levels.numpy()} == originals  # each once, undistorted
    assert sum(p.numel() for p in fit.network.parameters()) == 86_314
    accuracies = [row["accuracy"] for row in fit.history]
    assert accuracies[fit.best_epoch - 1] == max(accuracies)


def test_figures_by_hand() -> None:
    probability = np.full((3, 10), 0.05, np.float32)
    probability[[0, 1, 2], [4, 5, 6]] = 0.55
    found = train_mnist.figures(probability, np.array([4, 5, 0], np.uint8))
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["valid_loss"] == pytest.approx(-(2 * np.log(0.55) + np.log(0.05)) / 3)


def test_accuracy_counts_the_errors() -> None:
    labels = np.arange(1000) % 10
    answers = labels.copy()
    answers[:20] = (answers[:20] + 1) % 10
    metric = mnist_figures.accuracy(labels, answers, "valid")
    assert (metric.value, metric.n, metric.note) == (0.98, 1000, "20 errors")
    assert metric.ci95 is not None
    # The binomial's standard error, 0.0044, twice to each side.
    assert metric.ci95 == pytest.approx((0.98 - 0.0088, 0.98 + 0.0085), abs=0.0016)


@pytest.mark.parametrize("count", sorted(VIEWS))
def test_views(count: int) -> None:
    network = build(Config()).eval()
    whole = views(network, count)
    assert isinstance(whole, Shifted) == (count > 1)
    shifts = VIEWS[count]
    assert len(set(shifts)) == count
    assert shifts[0] == (0, 0)
    assert np.abs(shifts).max() == (count > 1)
    assert np.sum(shifts) == 0


def test_wrong_blocks() -> None:
    with pytest.raises(ValueError, match="--blocks must be like 32,32/64,64/128, not '32-32'"):
        build(Config(blocks="32-32"))


def test_misread_digits_are_drawn(tmp_path: Path) -> None:
    """Also when there are none, and more than fit."""
    digits = toy(200)
    perfect = np.eye(10, dtype=np.float32)[digits.labels]
    sizes = []
    for name, probability in {"none": perfect, "all": np.roll(perfect, 1, 1)}.items():
        path = tmp_path / f"{name}.png"
        mnist_figures.draw_misread(path, digits, probability, name)
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG")
        sizes.append(int.from_bytes(content[20:24], "big"))
    assert sizes[1] > 3 * sizes[0]


# --- a smoke run, and what it exports


@pytest.fixture(scope="module")
def exported(data_root: Path, tmp_path_factory, exported_once) -> Path:
    """The folder of a smoke run's model; test is not read."""
    folder = tmp_path_factory.mktemp("mnist")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQTILE_DATA", str(data_root))
        asked, load = [], mnist.load
        patch.setattr(mnist, "load", lambda split: asked.append(split) or load(split))
        train_mnist.main(
            [
                "--smoke",
                "--blocks",
                "8,8/16,16",
                "--hidden",
                "32",
                "--export",
                "--exported",
                str(folder / "exported"),
                "--runs",
                str(folder / "runs"),
                "--device",
                "cpu",
                "--threads",
                "1",
            ]
        )
        assert set(asked) == {"train"}
    report = json.loads((folder / "runs/mnist-convnet/best-smoke/report.json").read_text())
    assert set(report["views"]) == {"1", "5", "9"}
    return folder / "exported" / "mnist-convnet"


def test_smoke(exported: Path) -> None:
    card = read_card(exported).to_dict()
    assert card["task"] == "classification"
    assert card["inputs"][0]["shape"] == ["batch", 28, 28]
    assert [t["name"] for t in card["outputs"]] == ["probability", "embedding"]
    assert card["outputs"][0]["labels"] == list("0123456789")
    assert {m["split"] for m in card["metrics"] + card["baselines"]} == {"valid"}
    assert [m["name"] for m in card["metrics"]] == ["accuracy"]
    document, logistic, common = (row["method"] for row in card["baselines"])
    assert (document, logistic) == (mnist_figures.DOCUMENT, "logistic regression on pixels")
    assert re.fullmatch(r"always \d, the commonest of train", common)
    assert card["metrics"][0]["value"] > 0.5
    assert card["data"]["sha256"] == mnist.CHECKSUMS
    rows = json.loads((exported / "parity.json").read_text())["rows"]
    rows = [row for row in rows if row["precision"] == "fp32"]
    assert {row["batch"] for row in rows} == {1, 2, 7, 64}
    assert all(row["passed"] for row in rows)
    assert {path.name for path in exported.glob("*.png")} == {
        "training.png",
        "confusion.png",
        "misread.png",
    }


def test_what_is_exported_answers(exported: Path, data_root: Path, monkeypatch) -> None:
    monkeypatch.setenv("SEQTILE_DATA", str(data_root))
    digits = mnist.split_train(mnist.load("train"))[1][::50]
    model = seqtile.load(exported, device="cpu", threads=1)
    found = model.predict(digits.images)["probability"]
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    assert (found.argmax(1) == digits.labels).mean() > 0.5
    assert model.embed(digits.images).shape == (100, 32)
