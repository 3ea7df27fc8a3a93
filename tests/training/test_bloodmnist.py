"""The networks for blood cells: symmetries, augmentation, smoke runs, exported models."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("onnxscript", reason="export needs onnxscript")
pytest.importorskip("matplotlib", reason="pictures need matplotlib")

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

from seqtile.execution.session import Session  # noqa: E402
from seqtile.models.zoo import read_card  # noqa: E402
from training.tasks.bloodmnist import augment as bloodmnist_augment  # noqa: E402
from training.tasks.bloodmnist import data as bloodmnist  # noqa: E402
from training.tasks.bloodmnist import train as train_bloodmnist  # noqa: E402
from training.tasks.bloodmnist.data import Cells  # noqa: E402
from training.tasks.bloodmnist.networks import (  # noqa: E402
    CellClassifier,
    CellResNet,
    CourseNet,
    scaled,
    symmetries,
)
from training.tasks.bloodmnist.train import Config, Task  # noqa: E402

CPU = torch.device("cpu")
SMALL = {"widths": (8, 8, 16), "depths": (1, 1, 1)}  # where bloodmnist-best has more


def pixels(count: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28, 3), np.uint8)


def toy(count: int, seed: int) -> Cells:
    """Images of noise with a bright block whose place, of eight, is the class."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % 8)
    images = rng.integers(0, 120, (count, 28, 28, 3), np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 4)
        image[14 * row + 3 : 14 * row + 9, 7 * column + 1 : 7 * column + 6] = 230
    return Cells(images, labels)


@pytest.fixture
def toys(monkeypatch) -> list[str]:
    """Toy images, whatever `bloodmnist.load` is asked for; the splits it was asked for."""
    asked = []

    def load(split: str, edition: str = "rebuild") -> Cells:
        asked.append(split)
        return toy({"train": 256, "valid": 64, "test": 64}[split], len(split))

    monkeypatch.setattr(bloodmnist, "load", load)
    return asked


# --- networks


def test_scaled() -> None:
    image = pixels(2)
    x = scaled(torch.from_numpy(image))
    assert x.shape == (2, 3, 28, 28)
    assert x.dtype == torch.float32
    np.testing.assert_allclose(x[1, 2, 3, 4], image[1, 3, 4, 2] / 255 * 2 - 1, atol=1e-6)
    assert scaled(torch.tensor([[[[0, 255, 51]]]], dtype=torch.uint8)).flatten().tolist() == (
        pytest.approx([-1.0, 1.0, -0.6])
    )


def test_symmetries_are_those_of_the_square() -> None:
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 2, 5, 5)))
    views = symmetries(x).numpy().reshape(8, 3, 2, 5, 5)
    expected = [
        np.rot90(y, k, (2, 3)) for y in (x.numpy(), x.numpy()[..., ::-1]) for k in range(4)
    ]  # of NumPy's own turns
    np.testing.assert_array_equal(views[0], x)
    for want in expected:
        assert sum(np.array_equal(view, want) for view in views) == 1


def test_the_document_s_sizes() -> None:
    """Weights counted by hand from the document's list of layers."""
    convolutions = (3 * 9 + 1) * 32 + (32 * 9 + 1) * 64 + (64 * 9 + 1) * 128
    for pool, side in ((False, 28), (True, 3)):
        network = CourseNet(pool=pool)
        expected = convolutions + (128 * side * side + 1) * 256 + 257 * 8
        assert sum(p.numel() for p in network.parameters()) == expected
        logits, units = network.logits(scaled(torch.from_numpy(pixels(2))))
        assert logits.shape == (2, 8)
        assert units.shape == (2, 256)
        assert network.architecture.count("MaxPool(2)") == 3 * pool


def test_turned_cells_are_read_alike() -> None:
    torch.manual_seed(0)
    members = [CellResNet(**SMALL) for _ in range(2)]
    network = CellClassifier(members, turned=True).eval()
    image = pixels(3)
    with torch.inference_mode():
        probability, embedding = network(torch.from_numpy(image))
        plain = CellClassifier(members, turned=False).eval()
        views = [
            np.rot90(side, k, (1, 2)).copy()
            for side in (image, image[:, :, ::-1])
            for k in range(4)
        ]
        each = [plain(torch.from_numpy(view)) for view in views]
        turned = network(torch.from_numpy(views[5]))
    assert probability.shape == (3, 8)
    assert embedding.shape == (3, 32) == (3, network.embedding)
    np.testing.assert_allclose(probability.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(probability, np.mean([p for p, _ in each], 0), atol=1e-5)
    np.testing.assert_allclose(embedding, np.mean([e for _, e in each], 0), atol=1e-5)
    np.testing.assert_allclose(turned[0], probability, atol=1e-5)
    assert np.abs(each[0][0] - each[5][0]).max() > 1e-4


# --- augmentation


def test_move_without_free_turns_only_turns_and_shifts(monkeypatch) -> None:
    """What comes out are pixels of the image, in one of eight positions, shifted by whole steps."""
    monkeypatch.setattr(bloodmnist_augment, "TURN", 0.0)
    x = scaled(torch.from_numpy(pixels(40)))
    moved = bloodmnist_augment.move(x, np.random.default_rng(0)).numpy()
    seen = set()
    for image, result in zip(x.numpy(), moved, strict=True):
        inner = result[:, 4:-4, 4:-4]
        found = [
            (flip, k, i, j)
            for flip in (1, -1)
            for k in range(4)
            for i in range(9)
            for j in range(9)
            if np.allclose(
                np.rot90(image[:, :, ::flip], k, (1, 2))[:, i : i + 20, j : j + 20],
                inner,
                atol=1e-3,
            )
        ]
        assert len(found) == 1
        assert all(2 <= place <= 6 for place in found[0][2:])
        seen.add(found[0][:2])
    assert len(seen) >= 7


def test_move_turns_by_any_angle(monkeypatch) -> None:
    """A disc in the middle stays one; half of the images turned freely are not the others."""
    rows, columns = np.mgrid[:28, :28] - 13.5
    disc = torch.from_numpy(np.where(np.hypot(rows, columns) < 8, 1.0, -1.0).astype(np.float32))
    x = disc.expand(64, 3, 28, 28)
    moved = bloodmnist_augment.move(x, np.random.default_rng(0)).numpy()
    areas = (moved > 0).mean((1, 2, 3)) / float((disc > 0).float().mean())
    assert 0.75 < areas.min() < 0.9
    assert 1.1 < areas.max() < 1.35
    monkeypatch.setattr(bloodmnist_augment, "SCALE", 0.0)
    moved = bloodmnist_augment.move(x, np.random.default_rng(0)).numpy()
    areas = (moved > 0).mean((1, 2, 3)) / float((disc > 0).float().mean())
    np.testing.assert_allclose(areas, 1, atol=0.06)


def test_stain_and_hole() -> None:
    x = scaled(torch.from_numpy(pixels(200, 3)))
    stained = bloodmnist_augment.stain(x, np.random.default_rng(0))
    correlation = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(x, stained, strict=True)]
    assert min(correlation) > 0.9
    assert float((stained - x).abs().max()) > 0.1
    holed = bloodmnist_augment.hole(x, np.random.default_rng(0))
    changed = (holed != x).any(1).sum((1, 2)).numpy()
    assert 0.2 < (changed > 0).mean() < 0.4
    assert changed.max() == 64
    assert holed[changed > 0].eq(0).all(1).sum((1, 2)).min() >= 64
    again = bloodmnist_augment.augment(x, np.random.default_rng(5))
    assert torch.equal(again, bloodmnist_augment.augment(x, np.random.default_rng(5)))


# --- training


@pytest.mark.parametrize("model", ["cnn", "cnn-pool"])
def test_the_document_s_network_learns(toys: list[str], tmp_path: Path, monkeypatch, model) -> None:
    """In preset best it never asks for test."""
    monkeypatch.setattr(train_bloodmnist, "COURSE_BATCH", 32)
    monkeypatch.setattr(CourseNet, "embedding", 256 if model == "cnn-pool" else 16)
    task = Task(Config(model=model, epochs=2 if model == "cnn" else 8), CPU)
    network, result = train_bloodmnist.train(task, tmp_path)
    assert set(toys) == {"train", "valid"}
    best = max(row["accuracy"] for row in result.history)
    assert result.history[result.best_epoch - 1]["accuracy"] == best > 0.5
    cells = task.valid
    assert (task.probability(network, cells).argmax(1) == cells.labels).mean() == best


def test_best_goes_on_where_it_was_cut(toys: list[str], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(
        train_bloodmnist,
        "CellResNet",
        partial(CellResNet, **SMALL),
    )
    config = Config(epochs=4, precision="fp32", members=2)
    network, whole = train_bloodmnist.train(Task(config, CPU), tmp_path / "whole")
    assert len(network.members) == 2
    validate, calls = Task.validate, []

    def cut(self: Task, network: torch.nn.Module) -> dict[str, float]:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return validate(self, network)

    monkeypatch.setattr(Task, "validate", cut)
    with pytest.raises(KeyboardInterrupt):
        train_bloodmnist.train(Task(config, CPU), tmp_path / "cut")
    monkeypatch.setattr(Task, "validate", validate)
    again, resumed = train_bloodmnist.train(Task(config, CPU), tmp_path / "cut")
    assert len(resumed.history) == 4
    for one, other in zip(resumed.history, whole.history, strict=True):
        assert one == pytest.approx(other)
    task = Task(config, CPU)
    np.testing.assert_allclose(
        task.probability(again, task.valid), task.probability(network, task.valid), atol=1e-5
    )


def test_errors(toys: list[str], tmp_path: Path, capsys) -> None:
    runs = ["--device", "cpu", "--runs", str(tmp_path)]
    with pytest.raises(ValueError, match="preset course is of --model cnn or cnn-pool"):
        train_bloodmnist.main(["--preset", "course", *runs])
    with pytest.raises(SystemExit):
        train_bloodmnist.main(["--model", "vit"])
    assert "invalid choice: 'vit'" in capsys.readouterr().err


# --- smoke runs on real rows, and what they export


@pytest.fixture(scope="module")
def exported(data_root: Path, tmp_path_factory, exported_once) -> Path:
    """Two of the models after a smoke run of narrow stages; test is not read."""
    folder = tmp_path_factory.mktemp("blood")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQTILE_DATA", str(data_root))
        load, asked = bloodmnist.load, []
        patch.setattr(bloodmnist, "load", lambda *a: (asked.append(a[0]), load(*a))[1])
        patch.setattr(train_bloodmnist, "CellResNet", partial(CellResNet, **SMALL))
        for model in ("cnn-pool", "best"):
            train_bloodmnist.main(
                [
                    "--model",
                    model,
                    "--smoke",
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
        assert set(asked) == {"train", "valid"}
    return folder / "exported"


@pytest.mark.parametrize("model", ["cnn-pool", "best"])
def test_smoke(exported: Path, model: str) -> None:
    folder = exported / f"bloodmnist-{model}"
    card = read_card(folder).to_dict()
    assert card["task"] == "classification"
    assert card["threshold"] is None
    assert card["inputs"][0]["shape"] == ["batch", 28, 28, 3]
    assert card["inputs"][0]["dtype"] == "uint8"
    assert [t["name"] for t in card["outputs"]] == ["probability", "embedding"]
    assert card["outputs"][0]["labels"] == list(bloodmnist.CLASSES)
    assert card["outputs"][1]["shape"] == ["batch", SMALL["widths"][-1] if model == "best" else 256]
    assert {m["split"] for m in card["metrics"] + card["baselines"]} == {"valid"}
    assert [m["name"] for m in card["metrics"]] == ["accuracy", "roc_auc", "f1"]
    said = {b["method"] for b in card["baselines"]}
    assert said == {"always neutrophil, the largest class", "logistic regression on the pixels"} | (
        {"the document's network, bloodmnist-cnn-pool"} if model == "best" else set()
    )
    assert card["training"]["command"] == f"python -m training bloodmnist-{model} --export"
    rows = json.loads((folder / "parity.json").read_text())["rows"]
    rows = [row for row in rows if row["precision"] == "fp32"]
    assert {row["batch"] for row in rows} == {1, 2, 7, 64}
    assert all(row["passed"] for row in rows)
    assert {p.name for p in folder.glob("*.png")} == {
        "training.png",
        "confusion.png",
        "misread.png",
    }
    with np.load(folder / "golden.npz") as golden:
        assert golden["image"].shape == (16, 28, 28, 3)
        assert golden["probability"].shape == (16, 8)
        np.testing.assert_allclose(golden["probability"].sum(1), 1, atol=1e-5)


def test_turned_images_in_onnx(exported: Path) -> None:
    """The symmetries are in the file: a turned cell gets the same answer."""
    path = exported / "bloodmnist-best" / "model.onnx"
    session = Session(path.read_bytes(), device="cpu", threads=1, source="best")
    image = pixels(3)
    names = ["probability", "embedding"]
    one = session.run({"image": image}, names)
    turned = np.ascontiguousarray(np.rot90(image[:, :, ::-1], 3, (1, 2)))
    for a, b in zip(one, session.run({"image": turned}, names), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    swapped = session.run({"image": image[..., ::-1].copy()}, names)
    assert np.abs(swapped[1] - one[1]).max() > 1e-3
