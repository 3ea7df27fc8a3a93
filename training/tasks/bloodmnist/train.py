"""Train `bloodmnist-best`, `bloodmnist-cnn`, `bloodmnist-cnn-pool`: which blood cell is this.

    python -m training bloodmnist-best                            # our best; report on validation
    python -m training bloodmnist-best --export                   # and on test, write exported/
    python -m training bloodmnist-cnn-pool --export               # the document's, pooled
    python -m training bloodmnist-cnn --export --exported FOLDER  # 103 MB
    python -m training bloodmnist-cnn --preset course --epochs 10
    python -m training bloodmnist-best --edition official         # MedMNIST's file and split
    python -m training bloodmnist-best --smoke                    # on some of the real rows

``cnn`` and ``cnn-pool`` are the networks of homework 2, question 1 ("Deep Learning", IST Lisbon):
Adam at 1e-3, batches of 64, cross entropy, pixels from -1 to 1 as MedMNIST has them. Preset
``course`` trains each with and without a softmax before the cross entropy, and follows train loss,
validation and test accuracy over the epochs; `bloodmnist_course` draws them. Preset ``best`` of
these networks is the same recipe without that softmax, of the epoch with the best validation
accuracy; its exported graph ends in a softmax.

``best`` is a small residual network: cells turned, shifted and stained otherwise in training, label
smoothing, averaged weights, and the mean over the eight symmetries of the square in the graph.
"""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from seqtile.models.card import Baseline, Metric

from ...export import export
from ...export.report import Report
from ...lab import command, multiclass, report
from ...lab.command import Options
from ...lab.loop import Fit, FitConfig, Shuffled, fit, infer, seed_everything
from ...lab.pictures import write_history
from . import data as bloodmnist
from . import figures as bloodmnist_figures
from .augment import augment
from .card import data_fields, make_contract
from .data import CLASSES, SIDE, Cells
from .networks import CellClassifier, CellResNet, CourseNet, scaled

MODELS = ("best", "cnn", "cnn-pool")
# The document's recipe.
COURSE_BATCH, COURSE_LR, COURSE_OPTIMIZER = 64, 1e-3, "adam-fused"
OUTPUTS = ("logits", "softmax")  # what its cross entropy is given


@dataclass(frozen=True)
class Config:
    """Everything that decides the result; also the command line.

    Attributes
    ----------
    edition
        Of the data, see `datasets.bloodmnist`.
    epochs
        0 is the default: 16 for ``best``, 15 for ``cnn-pool``, 6 for ``cnn``, and for preset
        ``course`` the document's 200.
    members
        Of ``best``: networks, each of its own seed, whose mean is shipped.
    batch, lr, weight_decay, ema, smoothing, dropout
        Of ``best``; the document's networks have its batch of 64 and Adam at 1e-3.
    precision
        While training: ``bf16`` (autocast) is faster on processors that have it; the default is
        ``bf16`` for ``best``, ``fp32`` for the document's networks. Validation, test and the
        shipped models are float32.
    """

    preset: str = field(default="best", metadata={"choices": ("best", "course")})
    model: str = field(default="best", metadata={"choices": MODELS})
    edition: str = field(default="rebuild", metadata={"choices": bloodmnist.EDITIONS})
    seed: int = 0
    epochs: int = 0
    members: int = 1
    batch: int = 64
    lr: float = 3e-3
    weight_decay: float = 0.05
    ema: float = 0.998
    smoothing: float = 0.1
    dropout: float = 0.2
    precision: str = field(default="", metadata={"choices": ("", "bf16", "fp32")})
    smoke: bool = False

    @property
    def passes(self) -> int:
        """Epochs that this run takes."""
        if self.smoke:
            return 2
        if self.preset == "course":
            return self.epochs or 200
        return self.epochs or {"best": 16, "cnn-pool": 15, "cnn": 6}[self.model]

    @property
    def half(self) -> bool:
        """Whether training computes in bfloat16."""
        return (self.precision or {"best": "bf16"}.get(self.model, "fp32")) == "bf16"

    @property
    def in_force(self) -> dict[str, Any]:
        """What was in force, for a card."""
        precision = "bf16" if self.half else "fp32"
        fields = asdict(self) | {"epochs": self.passes, "precision": precision}
        if self.model == "best":
            return fields
        names = ("preset", "model", "edition", "seed", "epochs", "precision", "smoke")
        return {name: fields[name] for name in names} | {
            "optimizer": "adam",
            "lr": COURSE_LR,
            "batch": COURSE_BATCH,
        }


def course_loss(logits: Tensor, labels: Tensor, output: str) -> Tensor:
    """Cross entropy of the logits or, in error, of their softmax (`OUTPUTS`)."""
    given = torch.softmax(logits, 1) if output == "softmax" else logits
    return functional.cross_entropy(given, labels)


class Task:
    """The images of one run, on a device. Test is read when it is asked for."""

    def __init__(self, config: Config, device: torch.device) -> None:
        self.config, self.device = config, device
        self.train, self.valid = self.part("train"), self.part("valid")
        if config.smoke:
            self.train, self.valid = self.train[::20], self.valid[::8]
        self.images = scaled(torch.from_numpy(self.train.images)).to(device)
        self.labels = torch.from_numpy(self.train.labels).to(device)

    def part(self, split: Any) -> Cells:
        """A split of the run's edition."""
        edition: Any = self.config.edition
        return bloodmnist.load(split, edition)

    def rows(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """`scaled` images and classes of rows of train, on the device."""
        chosen = torch.from_numpy(rows).to(self.device)
        return self.images[chosen], self.labels[chosen]

    def logits(self, network: nn.Module, cells: Cells) -> Tensor:
        """Logits of a single network in ``eval()``, float32 (n, 8), on the CPU."""
        return infer(
            network, cells.images, batch=256, call=lambda image: network.logits(scaled(image))
        )[0]

    def probability(self, network: nn.Module, cells: Cells) -> NDArray[np.float32]:
        """Probabilities of a `CellClassifier` in ``eval()``, shape (n, 8)."""
        return infer(network, cells.images, batch=64)[0].numpy()

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Figures of an epoch, on validation, of the images as they are."""
        logits, truth = self.logits(network, self.valid), self.valid.labels
        probability = torch.softmax(logits, 1).numpy()
        return {
            "valid_loss": float(functional.cross_entropy(logits, torch.from_numpy(truth))),
            "accuracy": multiclass.accuracy(truth, probability),
            "roc_auc": multiclass.roc_auc(truth, probability),
        }


def train_course(task: Task, checkpoint: Path, *, output: str = "logits") -> Fit:
    """One of the document's networks, by its recipe.

    Parameters
    ----------
    output
        What the cross entropy is given: one of `OUTPUTS`.
    """
    config = task.config
    seed_everything(config.seed)
    network = CourseNet(pool=config.model == "cnn-pool").to(task.device)
    batches = Shuffled(len(task.train), COURSE_BATCH)
    follow = config.preset == "course" and not config.smoke  # the document asks for test's curve
    test = task.part("test") if follow else None

    def loss(model: nn.Module, rng: np.random.Generator) -> Tensor:
        x, labels = task.rows(batches(rng))
        with torch.autocast(task.device.type, torch.bfloat16, enabled=config.half):
            logits = model.logits(x)[0]
        return course_loss(logits.float(), labels, output)

    def validate(model: nn.Module) -> dict[str, float]:
        figures = task.validate(model)
        if test is not None:
            figures["test_accuracy"] = multiclass.accuracy(
                test.labels, task.logits(model, test).numpy()
            )
        return figures

    plan = FitConfig(
        steps=config.passes * batches.steps_per_epoch,
        evaluate_every=batches.steps_per_epoch,
        lr=COURSE_LR,
        optimizer=COURSE_OPTIMIZER,
        schedule="constant",
        monitor="accuracy",
        seed=config.seed,
    )
    label = f"{config.model} {output}"
    return fit(network, loss, validate, plan, checkpoint=checkpoint, label=label)


def train_member(task: Task, seed: int, checkpoint: Path) -> Fit:
    """One network of ``best``."""
    config = task.config
    seed_everything(seed)
    network = CellResNet(dropout=config.dropout)
    network = network.to(task.device, memory_format=torch.channels_last)
    batches = Shuffled(len(task.train), config.batch)

    def loss(model: nn.Module, rng: np.random.Generator) -> Tensor:
        x, labels = task.rows(batches(rng))
        x = augment(x, rng).contiguous(memory_format=torch.channels_last)
        with torch.autocast(task.device.type, torch.bfloat16, enabled=config.half):
            logits = model.logits(x)[0]
        return functional.cross_entropy(logits.float(), labels, label_smoothing=config.smoothing)

    plan = FitConfig(
        steps=config.passes * batches.steps_per_epoch,
        evaluate_every=batches.steps_per_epoch,
        lr=config.lr,
        weight_decay=config.weight_decay,
        ema=config.ema,
        monitor="accuracy",
        seed=seed,
    )
    return fit(network, loss, task.validate, plan, checkpoint=checkpoint, label="best")


def train(task: Task, folder: Path) -> tuple[CellClassifier, Fit]:
    """What is shipped, and the fit of its first network with the seconds of all."""
    config = task.config
    if config.model != "best":
        result = train_course(task, folder / "fit.pt")
        return CellClassifier([result.network], turned=False).eval(), result
    fits = []
    for i in range(config.members):
        # A run of more members goes on from one of fewer.
        fits.append(train_member(task, config.seed + 1000 * i, folder / f"fit-{i}.pt"))
        best = fits[i].history[fits[i].best_epoch - 1]
        print(f"member {i}: validation accuracy {best['accuracy']:.4f}, {fits[i].seconds:.0f} s")
    model = CellClassifier([one.network for one in fits], turned=True)
    seconds = sum(one.seconds for one in fits)
    return model.eval(), dataclasses.replace(fits[0], seconds=seconds)


def course(task: Task, folder: Path) -> None:
    """The document's runs of one network: with logits, and with softmax before cross entropy."""
    for output in OUTPUTS:
        result = train_course(task, folder / f"fit-{output}.pt", output=output)
        last = result.history[-1]
        write_history(folder / f"{output}.csv", result.history)
        shown = ", ".join(f"{key} {last[key]:.4f}" for key in last if key not in ("epoch", "step"))
        print(f"{task.config.model} {output}: {shown}; {result.seconds:.0f} s")


def golden_inputs(task: Task) -> dict[str, NDArray[np.uint8]]:
    """Real images, one of each class of train and of validation: uint8 (16, 28, 28, 3)."""
    rows = []
    for cells in (task.train, task.valid):
        first = [int(np.flatnonzero(cells.labels == c)[0]) for c in range(len(CLASSES))]
        rows.append(cells.images[first])
    return {"image": np.concatenate(rows)}


def write_model(
    task: Task,
    network: CellClassifier,
    result: Fit,
    name: str,
    metrics: list[Metric],
    base: list[Baseline],
    files: list[Path],
    options: Options,
) -> None:
    """Write ``exported/<name>``."""
    config = task.config
    edition = "" if config.edition == "rebuild" else f" --edition {config.edition}"
    training = command.training_fields(
        f"{name}{edition}",
        config,
        options,
        seconds=result.seconds,
        window=SIDE,
        best_epoch=result.best_epoch,
    )
    card = export.export(
        network,
        make_contract(name, network.embedding),
        Report.of(
            "bloodmnist",
            network,
            training | {"config": config.in_force},
            metrics,
            base,
            data=data_fields(config.edition),
        ),
        golden_inputs(task),
        options.exported / name,
        files=files,
    )
    print(f"wrote {options.exported / name}, sha256 {card.sha256}")


def main(arguments: list[str] | None = None) -> None:
    """Train, report, and with ``--export`` write the model."""
    config, options = command.parse(Config, __doc__, arguments)
    name = f"bloodmnist-{config.model}"
    if config.preset == "course" and config.model == "best":
        raise ValueError("preset course is of --model cnn or cnn-pool")
    further = [] if config.edition == "rebuild" else [config.edition]
    folder = options.run_folder(name, config, *further)
    task = Task(config, options.device)
    if config.preset == "course":
        course(task, folder)
        return
    network, result = train(task, folder)
    splits = {"valid": task.valid}
    if options.export and not config.smoke:
        splits = {"test": task.part("test"), **splits}
    answers = [
        bloodmnist_figures.Answers(split, cells, task.probability(network, cells))
        for split, cells in splits.items()
    ]
    metrics, baselines = bloodmnist_figures.figures(task.train, answers)
    if config.model == "best":
        baselines += bloodmnist_figures.pooled(answers, options.exported)
    report.show(metrics, baselines)
    report.write(folder / "report.json", metrics, baselines, seconds=round(result.seconds))
    files = bloodmnist_figures.pictures(result, name, folder, answers[0])
    if options.export:
        write_model(task, network, result, name, metrics, baselines, files, options)
