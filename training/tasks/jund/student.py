"""How `jund-cnn-seq` learns: teachers with auxiliary targets, then a student of their logits.

849 bound rows are too few for a network to learn what open chromatin looks like, so teachers learn
binding beside ten denser targets of every row (accessibility and the labels around it), from
windows shifted into their neighbours, on both strands; a student then learns the mean of the
teachers' logits on shifted windows of train. The auxiliary targets are not shipped; the student
needs the sequence alone. Nothing of validation or test is learned from; validation chooses the
epoch.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from seqtile import reverse_complement

from ...lab.letters import turned
from ...lab.loop import Fit, FitConfig, fit, infer, save, seed_everything
from ...lab.metrics import pr_auc, roc_auc
from . import data as jund
from .data import Segments, TrainWindows
from .networks import SequenceCNN

NAME = "jund-cnn-seq"
BLOCK = 500_000  # bases of a held-out block

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Config:
    """Everything that decides the result; also the command line.

    Attributes
    ----------
    rounds
        Networks trained of each kind of teacher.
    batch, positives
        Rows of a batch, and bound ones among them.
    reach
        Largest shift, in bases.
    binding
        Weight of the binding loss beside the auxiliary one, per teacher (see TEACHERS).
    auxiliary
        Weight of the auxiliary targets in the student's loss.
    hold_out
        Fold (0 to 4) of 500-kb blocks of the chromosome that is left out of train and scored:
        validation segments have neighbours in train, such blocks do not.
    """

    preset: str = field(default="best", metadata={"choices": ("best", "course")})
    seed: int = 0
    rounds: int = 2
    batch: int = 256
    positives: int = 16
    reach: int = 50
    teacher_steps: int = 1500
    student_steps: int = 2400
    teacher_lr: float = 2e-3
    student_lr: float = 4e-3
    weight_decay: float = 0.01
    ema: float = 0.998
    auxiliary: float = 0.3
    course_epochs: int = 60
    hold_out: int = field(default=-1, metadata={"choices": (-1, 0, 1, 2, 3, 4)})
    smoke: bool = False


ONE: dict[str, Any] = {"convs": ((128, 8, 1),)}
TWO: dict[str, Any] = {"convs": ((128, 8, 4), (96, 3, 1))}
# (network, weight of the binding loss): teachers that err differently.
TEACHERS: tuple[tuple[dict[str, Any], float], ...] = (
    (ONE | {"tied": True}, 0.2),
    (ONE, 0.2),
    (ONE, 1.0),
    (TWO | {"tied": True}, 0.2),
)


class Task:
    """The data of one run, on a device."""

    def __init__(self, config: Config, device: torch.device) -> None:
        self.config, self.device = config, device
        train, self.valid = jund.load("train"), jund.load("valid")
        fold = np.random.default_rng(0).permutation(200)[train.start // BLOCK] % 5
        self.held = train[fold == config.hold_out] if config.hold_out >= 0 else None
        train = train[fold != config.hold_out]
        if config.smoke:
            keep = (np.arange(len(train)) % 50 == 0) | (train.bound > 0)
            train, self.valid = train[keep], self.valid[: len(self.valid) // 16]
        self.train = train
        self.windows = TrainWindows(train, jund.load_labels())
        self.bound_rows = np.flatnonzero(train.bound > 0.5)
        self.other_rows = np.flatnonzero(train.bound <= 0.5)

    def tensor(self, array: NDArray[Any]) -> Tensor:
        """An array on the run's device."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def logits(self, network: nn.Module, letters: NDArray[np.uint8]) -> NDArray[np.float32]:
        """All logits of a network, shape (n, outputs), in ``eval()``."""
        return infer(network, letters, batch=256)[0].numpy()

    def strand_logits(self, network: nn.Module, letters: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits of binding on the + and the - strand, shape (2, n)."""
        strands = (letters, reverse_complement(letters))
        return np.stack([self.logits(network, strand)[:, 0] for strand in strands])

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Figures of an epoch, on validation, of the + strand."""
        scores = self.logits(network, self.valid.letters)[:, 0]
        loss = weighted_loss(scores, self.valid)
        return {
            "valid_loss": loss,
            "roc_auc": roc_auc(self.valid.bound, scores),
            "pr_auc": pr_auc(self.valid.bound, scores),
        }


def weighted_loss(logits: Floats, part: Segments) -> float:
    """Binary cross entropy of logits, with the book's weights."""
    losses = np.logaddexp(0, logits) - logits * part.bound
    return float((losses * part.weight).sum() / part.weight.sum())


def train_teacher(task: Task, network: nn.Module, binding: float, seed: int, label: str) -> Fit:
    """A network of 1 + 10 logits, on binding and the auxiliary targets."""
    config = task.config
    count, others = config.positives, config.batch - config.positives
    weights = task.tensor(
        np.repeat([0.5 / count, 0.5 / others], [count, others]).astype(np.float32)
    )  # both classes weigh the same

    def loss(model: nn.Module, rng: np.random.Generator) -> Tensor:
        rows = np.concatenate(
            [rng.choice(task.bound_rows, count), rng.choice(task.other_rows, others)]
        )
        starts, bound, auxiliary = task.windows.shifted(rows, rng, config.reach)
        letters = turned(task.windows.letters(starts), rng)
        logits = model(task.tensor(letters))
        losses = functional.binary_cross_entropy_with_logits(
            logits[:, 0], task.tensor(bound.astype(np.float32)), reduction="none"
        )
        return binding * (losses * weights).sum() + (
            functional.binary_cross_entropy_with_logits(
                logits[:, 1:], task.tensor(auxiliary.astype(np.float32))
            )
        )

    steps = _steps(config, config.teacher_steps)
    plan = FitConfig(
        steps=steps,
        evaluate_every=steps // 5,
        lr=config.teacher_lr,
        weight_decay=config.weight_decay,
        ema=config.ema,
        seed=seed,
    )
    return fit(network, loss, task.validate, plan, label=label)


def distill(task: Task, teachers: list[nn.Module], checkpoint: Path) -> Fit:
    """A student of the mean logit of all teachers on both strands."""
    config = task.config
    rng = np.random.default_rng(config.seed)
    every = np.arange(len(task.train))
    rows = np.concatenate([every, np.repeat(task.bound_rows, 10)])
    starts, _, _ = task.windows.shifted(rows, rng, config.reach)
    targets = np.empty((len(starts), 1 + task.windows.auxiliary.shape[1]), np.float32)
    for i in tqdm(range(0, len(starts), 2048), desc="targets", leave=False, disable=None):
        letters = task.windows.letters(starts[i : i + 2048])
        both = (letters, reverse_complement(letters))
        targets[i : i + 2048] = np.mean(
            [task.logits(teacher, strand) for teacher in teachers for strand in both], axis=0
        )
    mean, deviation = targets.mean(0), targets.std(0)
    goal = task.tensor((targets - mean) / deviation)
    network = SequenceCNN(**ONE, outputs=targets.shape[1]).to(task.device)

    def loss(model: nn.Module, rng: np.random.Generator) -> Tensor:
        chosen = rng.integers(0, len(starts), config.batch)
        logits = model(task.tensor(task.windows.letters(starts[chosen])))
        errors = (logits - goal[torch.from_numpy(chosen).to(task.device)]) ** 2
        return errors[:, 0].mean() + config.auxiliary * errors[:, 1:].mean()

    def rescaled(model: nn.Module) -> SequenceCNN:
        """A copy on the teachers' scale of logits."""
        copy = SequenceCNN(**ONE, outputs=targets.shape[1]).to(task.device).eval()
        copy.load_state_dict(model.state_dict())
        with torch.no_grad():
            copy.last.weight.mul_(task.tensor(deviation)[:, None])
            copy.last.bias.mul_(task.tensor(deviation)).add_(task.tensor(mean))
        return copy

    steps = _steps(config, config.student_steps)
    plan = FitConfig(
        steps=steps,
        evaluate_every=steps // 12,
        patience=6,
        lr=config.student_lr,
        weight_decay=config.weight_decay,
        ema=config.ema,
        seed=config.seed + 50,
    )
    result = fit(
        network,
        loss,
        lambda m: task.validate(rescaled(m)),
        plan,
        checkpoint=checkpoint,
        label="student",
    )
    return dataclasses.replace(result, network=rescaled(result.network).binding_only())


def train_student(task: Task, runs: Path) -> Fit:
    """Teachers, then the student, with one logit; what is done in ``runs`` is not trained again."""
    done = runs / "network.pt"
    if not done.exists():
        result = _train_student(task, runs)
        content = {
            "network": result.network.state_dict(),
            "history": result.history,
            "best_epoch": result.best_epoch,
            "seconds": result.seconds,
        }
        save(content, done)
        return result
    content = torch.load(done, map_location="cpu", weights_only=True)
    network = SequenceCNN(**ONE).to(task.device).binding_only()
    network.load_state_dict(content["network"])
    print(f"student: from {done}")
    return Fit(network, content["history"], content["best_epoch"], content["seconds"])


def _train_student(task: Task, runs: Path) -> Fit:
    config = task.config
    teachers: list[nn.Module] = []
    seconds = 0.0
    chosen = TEACHERS[1:2] if config.smoke else TEACHERS * config.rounds
    for i, (network, binding) in enumerate(chosen):
        seed = 100 * config.seed + i
        seed_everything(seed)
        outputs = 1 + task.windows.auxiliary.shape[1]
        model = SequenceCNN(**network, outputs=outputs, dropout=0.5).to(task.device)
        done = runs / f"teacher-{i}.pt"
        if done.exists():
            content = torch.load(done, map_location="cpu", weights_only=True)
            model.load_state_dict(content["network"])
            seconds += content["seconds"]
            print(f"teacher {i}: from {done}")
        else:
            result = train_teacher(task, model, binding, seed, f"teacher {i}")
            save({"network": result.network.state_dict(), "seconds": result.seconds}, done)
            best = result.history[result.best_epoch - 1]
            print(f"teacher {i}: validation ROC AUC {best['roc_auc']:.4f}, {result.seconds:.0f} s")
            seconds += result.seconds
        teachers.append(model.eval())
    logits = np.mean([task.strand_logits(t, task.valid.letters).mean(0) for t in teachers], axis=0)
    print(f"teachers together: validation ROC AUC {roc_auc(task.valid.bound, logits):.4f}")
    seed_everything(100 * config.seed + 50)
    result = distill(task, teachers, runs / "student.pt")
    result.seconds += seconds
    return result


def _steps(config: Config, steps: int) -> int:
    return 60 if config.smoke else steps
