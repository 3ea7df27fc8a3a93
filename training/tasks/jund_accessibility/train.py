"""Train `jund-mlp`, `jund-cnn` or `jund-lstm`: JUND binding from letters and accessibility.

    python -m training jund-cnn           # report on validation
    python -m training jund-cnn --export  # and on test; exported/
    python -m training jund-cnn --preset course
    python -m training jund-cnn --smoke   # some of the real rows

Preset ``best`` is of `branch`; it trains the student of `jund-cnn-seq` first, unless
``--runs`` has it. Nothing of test is learned from; validation chooses widths, epochs, the trust in
the sequence, and the threshold.

Preset ``course`` is the course's own network, batches of 100 rows, its weights, its optimiser and
epochs; its decision is at logit 0, its epoch the one of the best weighted accuracy on validation.
It is scored on test when it is done, as the course does, and not exported.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ...export import export
from ...export.report import Report
from ...lab import command, report
from ...lab.baselines import KmerLogistic
from ...lab.loop import Fit, FitConfig, Shuffled, fit, seed_everything
from ...lab.metrics import best_threshold, sigmoid, weighted_accuracy
from ...lab.pictures import confusion_matrix, plot_history, write_history
from ..jund import data as jund
from ..jund.card import data_fields
from ..jund.data import Segments
from ..jund.figures import confusion_note, golden_inputs
from ..jund.student import Task
from .branch import Config, column, figures_of, joint_logits, make_task, settled, train_best
from .card import accessibility_contract, architecture
from .networks import (
    FLOOR,
    CourseCNN,
    CourseLSTM,
    CourseMLP,
    ProbabilityWithAccessibility,
    WithAccessibility,
)

# Network, optimiser, learning rate, epochs.
COURSE: dict[str, tuple[type[nn.Module], str, float, int]] = {
    "mlp": (CourseMLP, "adam", 0.005, 20),
    "cnn": (CourseCNN, "sgd", 0.01, 20),
    "lstm": (CourseLSTM, "sgd", 0.01, 15),
}
COURSE_BATCH = 100


def train_course(config: Config, task: Task, runs: Path) -> Fit:
    """The course's network, as it trains it."""
    kind, optimizer, lr, epochs = COURSE[config.model]
    seed_everything(config.seed)
    network = kind(**({"hidden": config.hidden} if config.hidden else {})).to(task.device)
    train, accessibility = task.train, column(task.train, task)
    shuffled = Shuffled(len(train), COURSE_BATCH)

    def loss(model: nn.Module, rng: np.random.Generator) -> Tensor:
        rows = shuffled(rng)
        chosen = task.tensor(rows)
        return functional.binary_cross_entropy_with_logits(
            model(task.tensor(train.letters[rows]), accessibility[chosen])[:, 0],
            task.tensor(train.bound[rows]),
            weight=task.tensor(train.weight[rows]),
        )

    def validate(model: nn.Module) -> dict[str, float]:
        valid = task.valid
        logits = joint_logits(model, valid)
        accuracy = weighted_accuracy(valid.bound, logits, valid.weight, 0.0)
        return figures_of(valid, logits) | {"weighted_accuracy": accuracy}

    plan = FitConfig(
        steps=(1 if config.smoke else epochs) * shuffled.steps_per_epoch,
        evaluate_every=shuffled.steps_per_epoch,
        optimizer=optimizer,
        lr=lr,
        schedule="constant",
        monitor="weighted_accuracy",
        seed=config.seed,
    )
    return fit(network, loss, validate, plan, checkpoint=runs / "course.pt", label="course")


def trivial(train: Segments, parts: dict[str, Segments]) -> dict[str, dict[str, NDArray[Any]]]:
    """Per method and split the scores of what needs no network."""

    def opened(part: Segments) -> NDArray[Any]:
        return np.log(part.accessibility.astype(np.float64) + FLOOR)

    kmers = KmerLogistic(k=7).fit(train.letters, train.bound)
    own, letters = opened(train), kmers.predict(train.letters)
    scores: dict[str, dict[str, NDArray[Any]]] = {}
    for split, part in parts.items():
        near, found = opened(part), kmers.predict(part.letters)
        scores.setdefault("logarithm of accessibility", {})[split] = near
        scores.setdefault("logistic regression on 7-mers", {})[split] = found
        both = (near - own.mean()) / own.std() + (found - letters.mean()) / letters.std()
        scores.setdefault("sum of accessibility and 7-mers", {})[split] = both
    return scores


def used_parameters(network: ProbabilityWithAccessibility) -> int:
    """Number of those that the answer depends on: the branch's own last layer is not asked."""
    branch = network.network.branch
    used = [*branch.parameters(), *network.last.parameters()]
    return sum(p.numel() for p in used) - sum(p.numel() for p in branch.last.parameters())


def main(arguments: list[str] | None = None) -> None:
    """See the module."""
    config, options = command.parse(Config, __doc__, arguments)
    name, best = f"jund-{config.model}", config.preset == command.BEST
    config = settled(config) if best else config
    started = time.perf_counter()
    task, student_runs = make_task(config, options)
    runs = options.run_folder(name, config)
    print(
        f"{name}, preset {config.preset}, {len(task.train):,} rows, "
        f"{len(task.bound_rows)} bound, device {task.device}"
    )

    share = 1.0
    if best:
        result, share = train_best(config, task, runs, student_runs)
    else:
        result = train_course(config, task, runs)
    write_history(runs / "history.csv", result.history)
    title = f"{name}, preset {config.preset}"
    if best:
        branch = "its branch alone" if config.model == "cnn" else "branch and head"
        title += f": {branch} (train_loss: squared error of the branch; valid_loss: weighted BCE)"
    plot_history(runs / "training.png", result.history, title)

    # The figure that stands first on the card is the last report's.
    last = (options.export or not best) and not config.smoke
    parts = {"test": jund.load("test")} if last else {}
    parts["valid"] = task.valid
    scores = {s: sigmoid(joint_logits(result.network, p)) for s, p in parts.items()}
    valid = task.valid
    chosen = best_threshold(valid.bound, scores["valid"], valid.weight) if best else 0.5
    threshold = round(chosen, 4)
    metrics = [
        m
        for s, p in parts.items()
        for m in report.binary(p.bound, scores[s], s, threshold=threshold, weights=p.weight)
    ]
    base = []
    for method, by_split in ({} if config.smoke else trivial(task.train, parts)).items():
        cut = best_threshold(valid.bound, by_split["valid"], valid.weight)
        for s, part in parts.items():
            rows = report.binary(
                part.bound, by_split[s], s, threshold=cut, weights=part.weight, rounds=300
            )
            base += report.as_baselines(rows[:3], method)
    split = next(iter(parts))
    counts = confusion_matrix(
        runs / "confusion.png",
        parts[split].bound,
        scores[split] >= threshold,
        ("unbound", "bound"),
        f"{name}, {split}, at {threshold:.4f}",
    )
    metrics = [
        msgspec.structs.replace(m, note=f"{m.note}: {confusion_note(counts)}")
        if (m.name, m.split) == ("weighted_accuracy", split)
        else m
        for m in metrics
    ]
    report.show(metrics, base)
    report.write(
        runs / "report.json", metrics, base, confusion={split: counts.tolist()}, share=share
    )
    print(
        f"trained in {result.seconds:.0f} s, all in {time.perf_counter() - started:.0f} s; {runs}"
    )

    if options.export:
        assert isinstance(result.network, WithAccessibility)
        training = command.training_fields(
            name,
            config,
            options,
            seconds=result.seconds,
            window=jund.LENGTH,
            best_epoch=result.best_epoch,
            share=share,
        )
        network = ProbabilityWithAccessibility(result.network)
        card = export.export(
            network,
            accessibility_contract(name, threshold, network.last.in_features),
            Report.of(
                "jund_accessibility",
                network,
                training,
                metrics,
                base,
                architecture=architecture(name, config.hidden),
                parameters=used_parameters(network),
                data=data_fields(task.train, task.valid),
            ),
            golden_inputs(valid, accessibility=True),
            options.exported / name,
            files=[runs / "history.csv", runs / "training.png", runs / "confusion.png"],
            motif_letters=None if config.model == "mlp" else task.train.letters[::10],
        )
        print(f"wrote {options.exported / name}, sha256 {card.sha256}")
