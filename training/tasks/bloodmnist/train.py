"""Train `bloodmnist-best`, `bloodmnist-cnn`, `bloodmnist-cnn-pool`: which blood cell is this.

    python -m training.train_bloodmnist                            # our best; report on validation
    python -m training.train_bloodmnist --export                   # and on test, write exported/
    python -m training.train_bloodmnist --model cnn-pool --export  # the document's, pooled
    python -m training.train_bloodmnist --model cnn --export --exported FOLDER    # 103 MB
    python -m training.train_bloodmnist --model cnn --preset course --epochs 10
    python -m training.train_bloodmnist --edition official         # MedMNIST's file and split
    python -m training.train_bloodmnist --smoke                    # on some of the real rows

``cnn`` and ``cnn-pool`` are the networks of homework 2, question 1 ("Deep Learning", IST Lisbon):
Adam at 1e-3, batches of 64, cross entropy, pixels from -1 to 1 as MedMNIST has them. Preset
``course`` trains each with and without a softmax before the cross entropy, and follows train loss,
validation and test accuracy over the epochs; `bloodmnist_course` draws them and says what they
show. Preset ``best`` of these networks is the same recipe without that softmax, of the epoch with
the best validation accuracy; its exported graph ends in a softmax.

``best`` is a small residual network: cells turned, shifted and stained otherwise in training, label
smoothing, averaged weights, and the mean over the eight symmetries of the square in the graph.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ...lab import command, multiclass, report
from ...lab.loop import Fit, FitConfig, Shuffled, fit, seed_everything
from ...lab.pictures import write_history
from . import figures as bloodmnist_figures
from .augment import augment
from .networks import CellClassifier, CellResNet, CourseNet
from .task import COURSE_BATCH, COURSE_LR, COURSE_OPTIMIZER, OUTPUTS, Config, Task, course_loss


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
    metrics, baselines = bloodmnist_figures.figures(task, answers, options)
    report.show(metrics, baselines)
    report.write(folder / "report.json", metrics, baselines, seconds=round(result.seconds))
    files = bloodmnist_figures.pictures(result, name, folder, answers[0])
    if options.export:
        bloodmnist_figures.export_model(
            task, network, result, name, metrics, baselines, files, options
        )
