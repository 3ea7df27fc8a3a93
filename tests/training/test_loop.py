"""The loop: it learns, it can be cut anywhere, and its parts do what its words say."""

from __future__ import annotations

import copy
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from torch import nn  # noqa: E402

from training.lab.loop import (  # noqa: E402
    OPTIMIZERS,
    Fit,
    FitConfig,
    Shuffled,
    fit,
    pick_device,
    seed_everything,
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
    average = {name: value.double() for name, value in snapshots[1].items()}  # after one step
    for step in range(1, 30):
        decay = min(0.7, (1 + step) / (10 + step)) if step > 1 else 0.0
        for name, value in snapshots[step].items():
            if value.dtype == torch.int64:  # batches seen by the norm, of which nothing is made
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
    with pytest.raises(ValueError, match="'constant' or 'plateau', not 'cosine'"):
        run(config(schedule="cosine"))


@pytest.mark.parametrize("every", [0, 61, -1])
def test_epoch_that_never_ends(every) -> None:
    """No validation would mean no best weights, and the untrained network back."""
    with pytest.raises(ValueError, match=f"evaluate_every must be 1 to 60, the steps, not {every}"):
        config(evaluate_every=every)


def plateau(**further) -> FitConfig:
    return config(schedule="plateau", plateau_patience=0, plateau_factor=0.5, **further)


def test_plateau_lowers_the_rate_where_the_loss_stands_still() -> None:
    rates = []

    def loss(model: nn.Module, rng: np.random.Generator) -> torch.Tensor:
        return (model(torch.ones(4, 6)) ** 2).mean()

    class Watched(torch.optim.SGD):
        def step(self, closure=None):
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    losses = iter([1.0, 0.5, 0.5, 0.6, 0.1, 0.2])
    OPTIMIZERS["watched"] = Watched
    try:
        fit(
            Toy(),
            loss,
            lambda m: {"valid_loss": next(losses), "accuracy": 0.5},
            plateau(optimizer="watched", steps=6, evaluate_every=1, lr=0.1),
        )
    finally:
        del OPTIMIZERS["watched"]
    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.025, 0.025])


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [("sgd", 0.9), ("adam", 0.9), ("adam-fused", 0.9), ("adamw", 0.9)],
)
def test_optimizers_take_their_first_step(optimizer, expected) -> None:
    """Of size lr times the gradient for SGD, of size lr for Adam: here both are 0.1."""
    weight = nn.Linear(1, 1, bias=False)
    nn.init.ones_(weight.weight)
    seen = []

    def validate(model: nn.Module) -> dict[str, float]:
        seen.append(float(model.weight))
        return {"valid_loss": 0.0, "accuracy": 0.5}

    fit(
        weight,
        lambda m, rng: m(torch.ones(1, 1)).sum(),
        validate,
        config(
            optimizer=optimizer,
            schedule="constant",
            steps=1,
            evaluate_every=1,
            lr=0.1,
            ema=0,
            weight_decay=0,
        ),
    )
    assert seen == pytest.approx([expected], abs=1e-6)


def test_adam_in_one_pass_takes_adam_s_steps(tmp_path: Path) -> None:
    """And goes on from a checkpoint."""
    plan = {"schedule": "constant", "steps": 30, "ema": 0, "weight_decay": 0}
    one, other = (run(config(optimizer=name, **plan)) for name in ("adam", "adam-fused"))
    other_weights = dict(other.network.named_parameters())
    for name, weight in one.network.named_parameters():
        if name != "layers.0.bias":  # before a norm: its gradient is rounding alone
            torch.testing.assert_close(weight, other_weights[name], atol=1e-3, rtol=1e-3)

    def cut(network: nn.Module, rng: np.random.Generator) -> torch.Tensor:
        if (tmp_path / "fit.pt").exists():
            raise KeyboardInterrupt
        return loss(network, rng)

    plan = config(optimizer="adam-fused", **plan)
    with pytest.raises(KeyboardInterrupt):
        run(plan, loss=cut, checkpoint=tmp_path / "fit.pt")
    assert_same(run(plan, checkpoint=tmp_path / "fit.pt"), other)


def test_unknown_optimizer() -> None:
    with pytest.raises(ValueError, match="optimizer must be one of .*'adam'.*, not 'lion'"):
        run(config(optimizer="lion"))


@pytest.mark.parametrize(("rows", "batch"), [(10, 3), (12, 4), (5, 8), (1, 1)])
def test_shuffled_gives_every_row_once_an_epoch(rows, batch) -> None:
    shuffled = Shuffled(rows, batch)
    rng = np.random.default_rng(0)
    orders = []
    for _ in range(3):
        parts = [shuffled(rng) for _ in range(shuffled.steps_per_epoch)]
        assert all(len(part) == batch for part in parts[:-1])
        order = np.concatenate(parts)
        assert sorted(order) == list(range(rows))
        orders.append(order.tolist())
    assert rows < 10 or orders[0] != orders[1]


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
