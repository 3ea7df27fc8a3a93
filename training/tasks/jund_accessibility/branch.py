"""How `jund-mlp`, `jund-cnn` and `jund-lstm` learn: from the letters-only student, then a head.

Fitted end to end on 849 bound rows, the sequence branch overfits, and the whole is worse than
accessibility alone. So the branch of `jund-cnn` is the student of `jund-cnn-seq`, and those of the
others learn its logit on shifted windows of train. Accessibility joins by a head of three
numbers, fitted on train by the weighted loss. On rows of train the branch's logit is better than
elsewhere, so the head would trust it too much: validation chooses what share of its slope is kept.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor, nn
from tqdm import tqdm

from ...lab.command import Options
from ...lab.letters import turned
from ...lab.loop import Fit, FitConfig, fit, infer, seed_everything
from ...lab.metrics import pr_auc, roc_auc
from ..jund.data import Segments
from ..jund.networks import SequenceCNN
from ..jund.student import NAME as STUDENT
from ..jund.student import Config as StudentConfig
from ..jund.student import Task, train_student, weighted_loss
from .networks import FLOOR, SequenceLSTM, SequenceMLP, WithAccessibility

SHARES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of the slope of the sequence, to choose from

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Config:
    """Everything that decides the result; also the command line.

    Attributes
    ----------
    hidden
        Of the MLP's first layer and of the LSTM; 0 is what validation chose, or the document has.
        The branch of ``best``'s CNN is there already.
    copies
        Shifted windows per row that the branch learns the student's logit of.
    steps, batch, lr
        Of the branch's fit; 0 is what validation chose.
    """

    model: str = field(default="cnn", metadata={"choices": ("mlp", "cnn", "lstm")})
    preset: str = field(default="best", metadata={"choices": ("best", "course")})
    seed: int = 0
    hidden: int = 0
    copies: int = 2
    steps: int = 0
    batch: int = 256
    lr: float = 0.0
    weight_decay: float = 0.01
    dropout: float = 0.1
    ema: float = 0.998
    smoke: bool = False


# What validation chose for each network.
CHOSEN: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": 256, "steps": 3000, "lr": 2e-3},
    "cnn": {},
    "lstm": {"hidden": 32, "steps": 2400, "lr": 4e-3},
}


def settled(config: Config) -> Config:
    """The configuration with nothing left to default."""
    chosen = {k: v for k, v in CHOSEN[config.model].items() if not getattr(config, k)}
    return dataclasses.replace(config, **chosen)


def make_task(config: Config, options: Options) -> tuple[Task, Path]:
    """The data, and the run folder of the student that reads letters alone."""
    student = StudentConfig(seed=config.seed, smoke=config.smoke)
    return Task(student, options.device), options.run_folder(STUDENT, student)


def make_branch(config: Config) -> SequenceMLP | SequenceLSTM:
    """An untrained branch of the MLP or the LSTM."""
    kind = SequenceMLP if config.model == "mlp" else SequenceLSTM
    return kind(hidden=config.hidden, dropout=config.dropout)


def column(part: Segments, task: Task) -> Tensor:
    """Accessibility as the networks take it, float32 (n, 1)."""
    return task.tensor(part.accessibility[:, None])


def joint_logits(network: nn.Module, part: Segments) -> NDArray[np.float32]:
    """Logits of binding of a network of two inputs, shape (n,), in ``eval()``."""
    return infer(network, part.letters, part.accessibility[:, None])[0][:, 0].numpy()


def validate(task: Task, network: nn.Module) -> dict[str, float]:
    """Figures of an epoch, on validation."""
    return figures_of(task.valid, joint_logits(network, task.valid))


def figures_of(part: Segments, logits: Floats) -> dict[str, float]:
    """Weighted loss and the areas under the curves."""
    return {
        "valid_loss": weighted_loss(logits, part),
        "roc_auc": roc_auc(part.bound, logits),
        "pr_auc": pr_auc(part.bound, logits),
    }


def fit_logistic(
    columns: Floats, bound: Floats, weight: Floats, offset: Floats | float = 0.0
) -> NDArray[np.float64]:
    """Slopes of the columns (n, k), and a bias, that minimise the weighted loss (Newton's method).

    Parameters
    ----------
    offset
        Added to every logit, with no slope of its own.
    """
    x = np.column_stack([columns, np.ones(len(columns))]).astype(np.float64)
    weight = weight.astype(np.float64) / weight.sum(dtype=np.float64)

    def loss(beta: NDArray[np.float64]) -> float:
        logits = x @ beta + offset
        return float(weight @ (np.logaddexp(0, logits) - bound * logits))

    beta = np.zeros(x.shape[1])
    for _ in range(50):
        p = expit(x @ beta + offset)
        gradient = x.T @ (weight * (p - bound))
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x + 1e-9 * np.eye(len(beta))
        step = np.linalg.solve(hessian, gradient)
        while loss(beta - step) > loss(beta) and np.abs(step).max() > 1e-9:
            step /= 2
        beta -= step
        if np.abs(step).max() < 1e-8:
            break
    return beta


def fit_head(task: Task, network: WithAccessibility) -> tuple[NDArray[np.float64], float]:
    """The head of three numbers, and the share of the sequence's slope that validation chose.

    Both classes weigh the same.
    """
    logits, opened = zip(*(_columns(network, p) for p in (task.train, task.valid)), strict=True)
    bound = task.train.bound
    weight = np.where(bound > 0.5, 0.5 / (bound > 0.5).sum(), 0.5 / (bound <= 0.5).sum())
    slope = fit_logistic(np.column_stack([logits[0], opened[0]]), bound, weight)[0]
    best = (-np.inf, 1.0, np.zeros(3))
    for share in SHARES:
        kept = share * slope
        other, bias = fit_logistic(opened[0][:, None], bound, weight, kept * logits[0])
        score = roc_auc(task.valid.bound, kept * logits[1] + other * opened[1])
        best = max(best, (score, share, np.array([kept, other, bias])), key=lambda row: row[0])
    return best[2], best[1]


def _columns(network: WithAccessibility, part: Segments) -> tuple[Floats, Floats]:
    (logits,) = infer(network, part.letters, call=network.sequence_logit)
    (opened,) = infer(network, part.accessibility[:, None], call=network.openness)
    return logits[:, 0].double().numpy(), opened[:, 0].double().numpy()


def set_head(network: WithAccessibility, head: NDArray[np.float64]) -> None:
    """Put the three numbers into a network."""
    network.head.copy_(torch.from_numpy(head).to(network.head))


def train_best(config: Config, task: Task, runs: Path, student_runs: Path) -> tuple[Fit, float]:
    """The network, and the share of its sequence's slope."""
    student = train_student(task, student_runs)
    assert isinstance(student.network, SequenceCNN)
    seed_everything(config.seed)
    logarithm = np.log(task.train.accessibility.astype(np.float64) + FLOOR)
    scale = float(logarithm.mean()), float(logarithm.std())
    teacher = WithAccessibility(student.network, *scale).to(task.device)
    head, share = fit_head(task, teacher)
    set_head(teacher, head)
    print(
        f"student and head: validation ROC AUC {validate(task, teacher)['roc_auc']:.4f}, "
        f"share {share}"
    )
    if config.model == "cnn":
        return dataclasses.replace(student, network=teacher), share
    network = WithAccessibility(make_branch(config), *scale).to(task.device)
    set_head(network, head)
    result = _learn(config, task, network, student.network, runs / f"{config.model}.pt")
    head, share = fit_head(task, network)
    set_head(network, head)
    result.seconds += student.seconds
    return result, share


def _learn(
    config: Config, task: Task, network: WithAccessibility, student: nn.Module, checkpoint: Path
) -> Fit:
    """Fit the branch to the student's mean logit of both strands; the head stays as it is."""
    rng = np.random.default_rng(config.seed)
    rows = np.tile(np.arange(len(task.train)), 1 if config.smoke else config.copies)
    rows = np.concatenate([rows, np.repeat(task.bound_rows, 10)])
    starts, _, _ = task.windows.shifted(rows, rng, task.config.reach)
    targets = np.empty(len(starts), np.float32)
    for i in tqdm(range(0, len(starts), 2048), desc="targets", leave=False, disable=None):
        letters = task.windows.letters(starts[i : i + 2048])
        targets[i : i + 2048] = task.strand_logits(student, letters).mean(0)
    goal, variance = task.tensor(targets[:, None]), float(targets.var())

    def loss(model: nn.Module, rng: np.random.Generator) -> Tensor:
        assert isinstance(model, WithAccessibility)
        chosen = rng.integers(0, len(starts), config.batch)
        letters = turned(task.windows.letters(starts[chosen]), rng)
        errors = model.sequence_logit(task.tensor(letters)) - goal[task.tensor(chosen)]
        return (errors**2).mean() / variance

    steps = 60 if config.smoke else config.steps
    plan = FitConfig(
        steps=steps,
        evaluate_every=steps // 12,
        patience=6,
        lr=config.lr,
        weight_decay=config.weight_decay,
        ema=config.ema,
        seed=config.seed + 70,
    )
    return fit(
        network, loss, lambda m: validate(task, m), plan, checkpoint=checkpoint, label=config.model
    )
