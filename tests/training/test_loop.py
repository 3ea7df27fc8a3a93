"""The loop: it learns, it can be cut anywhere, and its parts do what its words say."""

from __future__ import annotations

import copy
import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from torch import nn  # noqa: E402

from training.loop import (  # noqa: E402
    Fit,
    FitConfig,
    fit,
    pick_device,
    plot_history,
    seed_everything,
    write_history,
)

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_cuda)]


class Toy(nn.Module):
    """Everything a checkpoint must hold: a norm's buffers, dropout's random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)[:, 0]


def rows(rng: np.random.Generator, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    x = rng.normal(size=(n, 6)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] + x[:, 2] > 0).astype(np.float32)
    return torch.from_numpy(x), torch.from_numpy(y)


def loss(network: nn.Module, rng: np.random.Generator) -> torch.Tensor:
    x, y = rows(rng, 32)
    device = next(network.parameters()).device
    return nn.functional.binary_cross_entropy_with_logits(network(x.to(device)), y.to(device))


def validate(network: nn.Module) -> dict[str, float]:
    assert not network.training
    assert torch.is_inference_mode_enabled()
    x, y = rows(np.random.default_rng(99), 500)
    found = network(x.to(next(network.parameters()).device)).cpu()
    return {"accuracy": float(((found > 0) == (y > 0.5)).float().mean())}


def config(**changes) -> FitConfig:
    plain = {"steps": 60, "evaluate_every": 10, "lr": 0.02, "weight_decay": 0.01, "ema": 0.9}
    return FitConfig(**(plain | {"monitor": "accuracy", "seed": 5} | changes))


def run(plan: FitConfig, *, device: str = "cpu", loss=loss, **options) -> Fit:
    seed_everything(plan.seed)
    return fit(Toy().to(device), loss, validate, plan, **options)


def assert_same(one: Fit, other: Fit) -> None:
    assert one.history == other.history
    assert one.best_epoch == other.best_epoch
    weights, others = one.network.state_dict(), other.network.state_dict()
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        assert torch.equal(value, others[name]), name


def test_fit_learns() -> None:
    result = run(config(steps=300, evaluate_every=50))
    assert [row["step"] for row in result.history] == [50, 100, 150, 200, 250, 300]
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4, 5, 6]
    assert result.history[-1]["train_loss"] < 0.7 * result.history[0]["train_loss"]
    assert result.history[-1]["accuracy"] > 0.85
    assert not result.network.training
    assert result.seconds > 0


def test_train_loss_is_the_mean_of_the_epoch() -> None:
    losses = []

    def recorded(network: nn.Module, rng: np.random.Generator) -> torch.Tensor:
        value = loss(network, rng)
        losses.append(value.item())
        return value

    history = run(config(steps=20), loss=recorded).history
    means = [np.mean(losses[:10]), np.mean(losses[10:])]
    assert [row["train_loss"] for row in history] == pytest.approx(means)


def test_same_seed_same_weights() -> None:
    assert_same(run(config()), run(config()))
    other = run(config(seed=6))
    assert other.history != run(config()).history


class CutError(Exception):
    """Stands for a killed process."""


def cut_after(calls: int):
    left = iter(range(calls))

    def cut(network: nn.Module, rng: np.random.Generator) -> torch.Tensor:
        if next(left, None) is None:
            raise CutError
        return loss(network, rng)

    return cut


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("changes", [{}, {"ema": 0.0}, {"schedule": "constant", "patience": 3}])
@pytest.mark.parametrize("cuts", [[10], [59], [3, 31, 5, 20]])
def test_cut_and_resumed_is_exactly_uncut(tmp_path: Path, device, changes, cuts) -> None:
    plan, checkpoint = config(**changes), tmp_path / "runs" / "toy.pt"
    whole = run(plan, device=device)
    for calls in cuts:
        with pytest.raises(CutError):
            run(plan, device=device, loss=cut_after(calls), checkpoint=checkpoint)
        torch.rand(7)  # another process is elsewhere in its random numbers
    resumed = run(plan, device=device, checkpoint=checkpoint)
    assert_same(resumed, whole)
    assert [p.name for p in checkpoint.parent.iterdir()] == ["toy.pt"]


def test_resumed_fit_does_not_repeat_its_steps(tmp_path: Path) -> None:
    checkpoint = tmp_path / "toy.pt"
    with pytest.raises(CutError):
        run(config(), loss=cut_after(45), checkpoint=checkpoint)
    with pytest.raises(CutError):  # of 60 steps 40 are kept
        run(config(), loss=cut_after(19), checkpoint=checkpoint)
    done = run(config(), loss=cut_after(10), checkpoint=checkpoint)
    assert_same(run(config(), loss=cut_after(0), checkpoint=checkpoint), done)


def test_random_numbers_of_cuda_are_kept(tmp_path: Path, monkeypatch) -> None:
    """Dropout on a GPU draws from the GPU's generator."""
    if torch.cuda.is_available():
        pytest.skip("the device itself is tested above")
    state, restored = torch.arange(16, dtype=torch.uint8), []
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda: state)
    monkeypatch.setattr(torch.cuda, "set_rng_state", restored.append)
    with monkeypatch.context() as pretend:
        pretend.setattr(torch.cuda, "is_available", lambda: True)
        run(config(steps=10), checkpoint=tmp_path / "toy.pt")
        run(config(steps=10), checkpoint=tmp_path / "toy.pt")
    assert [s.tolist() for s in restored] == [list(range(16))]
    run(config(steps=10), checkpoint=tmp_path / "toy.pt")  # goes on where there is no CUDA
    assert len(restored) == 1


@pytest.mark.parametrize("changes", [{"lr": 0.03}, {"steps": 70}, {"seed": 1}])
def test_checkpoint_of_another_configuration(tmp_path: Path, changes) -> None:
    checkpoint = tmp_path / "toy.pt"
    run(config(), checkpoint=checkpoint)
    before = checkpoint.read_bytes()
    with pytest.raises(ValueError, match=r"toy\.pt: of another configuration"):
        run(config(**changes), checkpoint=checkpoint)
    assert checkpoint.read_bytes() == before


class Script:
    """Validation that says given figures and keeps the weights it saw."""

    def __init__(self, *figures: float) -> None:
        self.figures, self.seen = iter(figures), []

    def __call__(self, network: nn.Module) -> dict[str, float]:
        self.seen.append(copy.deepcopy(network.state_dict()))
        return {"accuracy": next(self.figures)}


@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize(
    ("figures", "patience", "epochs", "best"),
    [
        ([0.5, 0.6, 0.55, 0.59, 0.9, 0.1], 2, 4, 2),
        ([0.5, 0.6, 0.55, 0.59, 0.9, 0.1], 3, 6, 5),
        ([0.5, 0.6, 0.55, 0.59, 0.9, 0.1], 0, 6, 5),
        ([0.5, 0.5, 0.5, 0.5, 0.5, 0.5], 1, 2, 1),  # as good is not better
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 1, 6, 6),
    ],
)
def test_patience_and_best_weights(ema, figures, patience, epochs, best) -> None:
    script = Script(*figures)
    seed_everything(1)
    result = fit(Toy(), loss, script, config(patience=patience, ema=ema))
    assert (len(result.history), result.best_epoch) == (epochs, best)
    assert [row["accuracy"] for row in result.history] == figures[:epochs]
    for name, value in result.network.state_dict().items():
        assert torch.equal(value, script.seen[best - 1][name]), name


def test_average_of_the_weights_by_hand() -> None:
    """Every floating value of the network, after every step; the first steps weigh more."""
    snapshots: list[dict[str, torch.Tensor]] = []

    def watched(network: nn.Module, rng: np.random.Generator) -> torch.Tensor:
        snapshots.append(copy.deepcopy(network.state_dict()))  # before the batch: of step s - 1
        return loss(network, rng)

    script = Script(*np.linspace(0, 1, 30))
    network = Toy()
    fit(network, watched, script, config(steps=30, evaluate_every=1, ema=0.7))
    average = {name: value.double() for name, value in snapshots[0].items()}
    for step in range(1, 30):
        decay = min(0.7, (1 + step) / (10 + step))
        for name, value in snapshots[step].items():
            if value.dtype == torch.int64:  # batches seen by the norm
                assert script.seen[step - 1][name] == value == step
                continue
            average[name] = decay * average[name] + (1 - decay) * value.double()
            torch.testing.assert_close(
                script.seen[step - 1][name].double(), average[name], atol=1e-5, rtol=1e-5
            )


def decays(plan: FitConfig) -> tuple[list[float], nn.Linear]:
    """Factor by which each step shrinks a weight without gradient: 1 - rate * decay."""
    network = nn.Linear(3, 1).double()
    with torch.no_grad():
        network.weight.fill_(1)
        network.bias.fill_(1)
    sizes = []

    def no_gradient(network: nn.Module, rng: np.random.Generator) -> torch.Tensor:
        sizes.append(network.weight[0, 0].item())
        return 0 * (network.weight.sum() + network.bias.sum())

    fit(network, no_gradient, Script(*np.arange(1.0, 99)), plan)
    sizes.append(network.weight[0, 0].item())
    return [after / before for before, after in pairwise(sizes)], network


def test_constant_schedule_and_what_decays() -> None:
    factors, network = decays(config(schedule="constant", lr=0.1, weight_decay=0.5, ema=0.0))
    assert factors == pytest.approx([0.95] * 60)
    assert network.bias.item() == 1  # no matrix, no decay


def test_onecycle_schedule() -> None:
    factors, _ = decays(config(steps=100, lr=0.1, weight_decay=0.5, ema=0.0))
    rates = [(1 - factor) / 0.5 for factor in factors]
    assert len(rates) == 100
    peak = int(np.argmax(rates))
    assert peak in (9, 10)  # a tenth of the way
    assert rates[peak] == pytest.approx(0.1, rel=1e-2)
    assert rates[0] == pytest.approx(0.1 / 25)
    assert rates[-1] < 1e-4
    assert (np.diff(rates[: peak + 1]) > 0).all()
    assert (np.diff(rates[peak + 1 :]) < 0).all()


def test_unknown_schedule() -> None:
    with pytest.raises(ValueError, match="'onecycle' or 'constant', not 'cosine'"):
        run(config(schedule="cosine"))


@pytest.mark.parametrize("every", [0, 61, -1])
def test_epoch_that_never_ends(every) -> None:
    """No validation would mean no best weights, and the untrained network back."""
    with pytest.raises(ValueError, match=f"evaluate_every must be 1 to 60, the steps, not {every}"):
        config(evaluate_every=every)


HISTORY = [
    {"epoch": 1, "step": 10, "train_loss": 0.71234567, "valid_loss": 0.7, "roc_auc": 0.5},
    {"epoch": 2, "step": 20, "train_loss": 0.5, "valid_loss": 1 / 3, "roc_auc": 0.75},
]


def test_history_as_csv(tmp_path: Path) -> None:
    path = tmp_path / "new" / "history.csv"
    write_history(path, HISTORY)
    with path.open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["epoch", "step", "train_loss", "valid_loss", "roc_auc"],
            ["1", "10", "0.712346", "0.7", "0.5"],
            ["2", "20", "0.5", "0.333333", "0.75"],
        ]


def test_history_as_picture(tmp_path: Path) -> None:
    image = pytest.importorskip("matplotlib.image", reason="the picture needs matplotlib")
    pictures = []
    for name, history in (("a", HISTORY), ("b", HISTORY), ("c", HISTORY[:1])):
        plot_history(tmp_path / f"{name}.png", history, "a toy")
        pictures.append(image.imread(tmp_path / f"{name}.png"))
    assert pictures[0].shape == (384, 1080, 4)  # 9 x 3.2 inches of 120 dots
    assert np.array_equal(pictures[0], pictures[1])
    halves = pictures[0][:, :540], pictures[0][:, 540:]
    for half, count in zip(halves, (2, 1), strict=True):  # two losses, one figure
        pixels = (half[..., :3] * 255).round().astype(int)
        for i, colour in enumerate([(31, 119, 180), (255, 127, 14), (44, 160, 44)]):
            columns = np.flatnonzero((pixels == colour).all(2).any(0))
            assert (np.ptp(columns) > 350) if i < count else len(columns) == 0  # from side to side
    assert not np.array_equal(pictures[0], pictures[2])


def test_pick_device(capsys) -> None:
    assert pick_device("cpu") == torch.device("cpu")
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert pick_device("auto") == torch.device(expected)
    assert capsys.readouterr().out == f"device auto: {expected}\n"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this torch has CUDA")
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_cuda_that_is_not_there_is_an_error(name) -> None:
    with pytest.raises(ValueError, match=rf"device '{name}': .* finds no CUDA device"):
        pick_device(name)
