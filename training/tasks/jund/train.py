"""Train `jund-cnn-seq`: does JUND bind this 101-base segment, from its letters alone.

    python -m training jund-cnn-seq                  # train, report on validation
    python -m training jund-cnn-seq --export         # and on test, and write exported/
    python -m training jund-cnn-seq --preset course  # the book's own network
    python -m training jund-cnn-seq --smoke          # half a minute, on some of the real rows

Preset ``best`` is of `jund_student`: teachers, then a student of their logits. Nothing of
validation or test is learned from; validation chooses the epoch and the thresholds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from ...export import export
from ...export.report import Report
from ...lab import command, report
from ...lab.loop import Fit, FitConfig, fit, seed_everything
from ...lab.metrics import roc_auc, sigmoid
from ...lab.pictures import plot_history, write_history
from . import data as jund
from .card import data_fields, sequence_contract
from .data import Segments
from .figures import baselines, choose_cuts, figures, golden_inputs, strand_note
from .networks import BookCNN, Probability, SequenceCNN
from .student import NAME, Config, Task, train_student


def train_course(task: Task, runs: Path) -> Fit:
    """The book's network and loss: every row, its weights, Adam 1e-3, batches of 1,000."""
    config = task.config
    seed_everything(config.seed)
    network = BookCNN().to(task.device)
    train = task.train

    def loss(model: nn.Module, rng: np.random.Generator) -> Tensor:
        rows = rng.integers(0, len(train), 1000)
        logits = model(task.tensor(train.letters[rows]))[:, 0]
        losses = functional.binary_cross_entropy_with_logits(
            logits, task.tensor(train.bound[rows]), reduction="none"
        )
        return (losses * task.tensor(train.weight[rows])).mean()

    epoch = 10 if config.smoke else len(train) // 1000
    plan = FitConfig(
        steps=epoch * (2 if config.smoke else config.course_epochs),
        evaluate_every=epoch,
        patience=15,
        lr=1e-3,
        schedule="constant",
        seed=config.seed,
    )
    return fit(network, loss, task.validate, plan, checkpoint=runs / "course.pt", label="course")


def both_strands(task: Task, network: nn.Module, part: Segments) -> dict[str, float]:
    """ROC AUC of the two strands together, as a scan scores them (max) and as their mean."""
    logits = task.strand_logits(network, part.letters)
    return {
        "max": roc_auc(part.bound, logits.max(0)),
        "mean": roc_auc(part.bound, logits.mean(0)),
    }


PRESETS: dict[str, Callable[[Task, Path], Fit]] = {"best": train_student, "course": train_course}


def either(task: Task, network: SequenceCNN, peak: float) -> float:
    """Share of the unbound rows of validation of which a strand reaches the threshold."""
    unbound = task.valid[task.valid.bound < 0.5].letters
    scores = sigmoid(task.strand_logits(network, unbound).max(0))
    return round(float((scores >= peak).mean()), 4)


def main(arguments: list[str] | None = None) -> None:
    """See the module."""
    config, options = command.parse(Config, __doc__, arguments)
    if options.export and config.hold_out >= 0:
        raise ValueError("--export takes the network that saw all of train, not --hold-out")
    started = time.perf_counter()
    task = Task(config, options.device)
    held = [f"held{config.hold_out}"] if config.hold_out >= 0 else []
    runs = options.run_folder(NAME, config, *held)
    print(
        f"{NAME}, preset {config.preset}, {len(task.train):,} rows, "
        f"{len(task.bound_rows)} bound, device {task.device}"
    )

    result = PRESETS[config.preset](task, runs)
    write_history(runs / "history.csv", result.history)
    title = f"{NAME}, preset {config.preset}"
    if config.preset == command.BEST:
        title += " (train_loss: squared error against the teachers; valid_loss: weighted BCE)"
    plot_history(runs / "training.png", result.history, title)
    # The figure that stands first on the card is the last report's.
    parts = {"test": jund.load("test")} if options.export and not config.smoke else {}
    parts |= {"valid": task.valid} | ({"held-out blocks": task.held} if task.held else {})
    scores = {
        name: sigmoid(task.logits(result.network, part.letters)[:, 0])
        for name, part in parts.items()
    }
    cuts = choose_cuts(task.valid, scores["valid"])
    metrics = [m for name in parts for m in figures(parts[name], scores[name], name, cuts)]
    base = [] if config.smoke else baselines(task.train, parts)
    report.show(metrics, base)
    strands = {name: both_strands(task, result.network, part) for name, part in parts.items()}
    for name, row in strands.items():
        print(f"{name:<17}ROC AUC of both strands: max {row['max']:.4f}, mean {row['mean']:.4f}")
    report.write(runs / "report.json", metrics, base, strands=strands)
    print(
        f"trained in {result.seconds:.0f} s, all in {time.perf_counter() - started:.0f} s; {runs}"
    )

    if options.export:
        assert isinstance(result.network, SequenceCNN)
        metrics = [
            msgspec.structs.replace(m, note=m.note or strand_note(strands[m.split]))
            for m in metrics
        ]
        training = command.training_fields(
            NAME,
            config,
            options,
            seconds=result.seconds,
            window=jund.LENGTH,
            best_epoch=result.best_epoch,
        )
        card = export.export(
            Probability(result.network),
            sequence_contract(NAME, cuts.peak, result.network),
            Report.of(
                "jund",
                result.network,
                training,
                metrics,
                base,
                architecture="Conv(4->128, 8, valid) ReLU, global max and mean, Linear(256->32) "
                "ReLU, Linear(32->1), sigmoid",
                data=data_fields(task.train, task.valid),
                facts={"either": either(task, result.network, cuts.peak)},
            ),
            golden_inputs(task.valid),
            options.exported / NAME,
            files=[runs / "history.csv", runs / "training.png"],
            motif_letters=task.train.letters[::10],
        )
        print(f"wrote {options.exported / NAME}, sha256 {card.sha256}")
