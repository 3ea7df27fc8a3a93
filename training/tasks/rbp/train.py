"""Train `rbp-cnn`, `rbp-bilstm`, `rbp-cnn-attention`: how strongly a protein holds a short RNA.

    python -m training rbp-cnn             # train, report on validation
    python -m training rbp-cnn --export    # and on set B, and write exported/
    python -m training rbp-bilstm --preset course
    python -m training rbp-cnn --smoke     # half a minute, on some real rows
    python -m training rbp --protein A1CF  # RBP1 to RBP38, A1CF, ANKHD1
    python -m training rbp --protein RBFOX1 --intensities norm_data.txt.gz

RNAcompete: the network learns on set A of the array and is tested on set B. RBFOX1 is in the
authors' table, which the user gets from them (`datasets.rnacompete`); without it the protein is
RBP24, whose two measurements of one sequence agree best.

Preset ``best``: beside its protein the network learns the other proteins of the table, on the same
probes (a masked mean squared error each; RBP35 is noise and left out). They share what is the
probe's own, its folding and its ends, and are not shipped; the loss of train is their weighted
mean, that of validation the protein's alone. Preset ``course``: smaller networks of
the protein alone, Adam with a constant rate, the epoch chosen by Spearman on validation.

`rbp-cnn-attention` is `rbp-cnn` with multi-head self-attention over the positions, and attention
pooling beside the largest and the mean value. Four heads: a probe's 21 positions (letters by two)
hold few sites, and of 128 channels each head keeps 32, enough to tell motifs apart.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqtile.models.card import Baseline, Metric, ModelCard

from ...export import export
from ...export.report import Report
from ...lab import command, report
from ...lab.command import Options
from ...lab.loop import Fit, FitConfig, Shuffled, fit, seed_everything
from . import data as rnacompete
from . import figures as rbp_figures
from .card import make_contract
from .networks import Affinity, RnaAttention, RnaBiLSTM, RnaCNN, RnaNetwork, first_only
from .task import Config, Task

NETWORKS: dict[str, type[RnaNetwork]] = {
    "cnn": RnaCNN,
    "bilstm": RnaBiLSTM,
    "cnn-attention": RnaAttention,
}
GOLDEN = 32  # probes that the model folder is checked with
# The course's networks: of the same kinds, smaller.
COURSE: dict[str, dict[str, Any]] = {
    "cnn": {"motifs": 64, "filters": 64, "depth": 1, "hidden": 64},
    "bilstm": {"motifs": 32, "states": 32, "hidden": 64},
    "cnn-attention": {"motifs": 64, "filters": 64, "depth": 1, "hidden": 64},
}


def masked_mse(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error of each column over its known targets.

    Parameters
    ----------
    predictions, targets
        Shape (N, T); NaN among the targets is unknown.

    Returns
    -------
    Shape (T,); 0 for a column without known targets.
    """
    known = ~torch.isnan(targets)
    errors = torch.where(known, predictions - torch.nan_to_num(targets), 0.0) ** 2
    return errors.sum(0) / known.sum(0).clamp(min=1)


def build(config: Config, outputs: int) -> RnaNetwork:
    """The network of a configuration."""
    kind = NETWORKS[config.model]
    sizes = COURSE[config.model] if config.preset == "course" else {}
    return kind(**sizes, outputs=outputs, dropout=config.dropout)


def train(task: Task, folder: Path) -> tuple[Affinity, Fit]:
    """Fit the networks of the task: what is shipped, and the fit of the first with all seconds."""
    config = task.config
    fits = []
    for i in range(config.members):
        # A run of more members goes on from one of fewer.
        fits.append(train_member(task, config.seed + 1000 * i, folder / f"fit-{i}.pt"))
        if config.members > 1:
            best = fits[i].history[fits[i].best_epoch - 1]
            print(f"member {i}: validation Pearson {best['pearson']:.4f}, {fits[i].seconds:.0f} s")
    model = Affinity([first_only(one.network) for one in fits]).to(task.device)
    seconds = sum(one.seconds for one in fits)
    return model.eval(), dataclasses.replace(fits[0], seconds=seconds)


def train_member(task: Task, seed: int, checkpoint: Path) -> Fit:
    """Fit one network."""
    config = task.config
    seed_everything(seed)
    count = len(task.proteins)
    network = build(config, count).to(task.device, memory_format=torch.channels_last)
    weights = torch.full((count,), config.auxiliary / max(count - 1, 1), device=task.device)
    weights[0] = 1.0
    weights /= weights.sum()
    batches = Shuffled(len(task.train), config.batch)

    def loss(model: nn.Module, rng: np.random.Generator) -> Tensor:
        rows = task.rows(task.train[batches(rng)])
        half = config.precision == "bf16"
        with torch.autocast(task.device.type, torch.bfloat16, enabled=half):
            predictions, _ = model(task.letters[rows])
        return (masked_mse(predictions.float(), task.goal[rows]) * weights).sum()

    plan = FitConfig(
        steps=config.epochs * batches.steps_per_epoch,
        evaluate_every=batches.steps_per_epoch,
        lr=config.lr,
        weight_decay=config.weight_decay,
        ema=config.ema,
        monitor="pearson",
        seed=seed,
    )
    if config.preset == "course":
        plan = dataclasses.replace(
            plan,
            steps=config.course_epochs * batches.steps_per_epoch,
            patience=3,
            optimizer="adam",
            schedule="constant",
            lr=1e-3,
            weight_decay=0.0,
            ema=0.0,
            monitor="spearman",
        )
    if config.smoke:
        plan = dataclasses.replace(plan, steps=2 * batches.steps_per_epoch)
    label = f"{config.model} {config.protein}"
    return fit(network, loss, task.validate, plan, checkpoint=checkpoint, label=label)


def data_fields(task: Task, metrics: list[Metric]) -> dict[str, Any]:
    """What it was trained, chosen and tested on."""
    config, parts = task.config, task.parts
    local = config.protein in rnacompete.PROTEINS
    test: dict[str, Any] = {"n": len(parts.test)}
    if any(m.split == "test" for m in metrics):
        test["repeats"] = rbp_figures.repeats(task, parts.test)
    return {
        "train": {"n": len(task.train)},
        "valid": {"n": len(task.valid), "repeats": rbp_figures.repeats(task, task.valid)},
        "test": test,
        "sha256": rnacompete.CHECKSUMS.get("all" if local else config.protein, ""),
        "probes": len(task.probes),
        "without_measurement": int(np.isnan(task.targets[:, 0]).sum()),
    }


def write_model(
    task: Task,
    network: Affinity,
    result: Fit,
    name: str,
    metrics: list[Metric],
    base: list[Baseline],
    files: list[Path],
    options: Options,
) -> ModelCard:
    """Write ``exported/<name>``."""
    rows = task.valid[:GOLDEN]
    letters = task.probes.letters[rows].copy()
    config = task.config
    training = command.training_fields(
        name,
        config,
        options,
        seconds=result.seconds,
        window=rnacompete.LENGTH,
        best_epoch=result.best_epoch,
    )
    scale = task.scale
    return export.export(
        network,
        make_contract(name, network.width),
        Report.of(
            "rbp",
            network,
            training,
            metrics,
            base,
            data=data_fields(task, metrics),
            facts={
                "mean": round(float(scale.mean), 4),
                "deviation": round(float(scale.deviation), 4),
            },
        ),
        {"sequence": letters},
        options.exported / name,
        files=files,
        motif_letters=task.probes.letters[task.train[::10]],
    )


def main(arguments: list[str] | None = None) -> None:
    """Train, report, and with ``--export`` write the model."""
    config, options = command.parse(Config, __doc__, arguments)
    name = f"rbp-{config.model}"
    further = [] if config.protein == "RBP24" else [config.protein]
    folder = options.run_folder(name, config, *further)
    task = Task(config, options.device)
    network, result = train(task, folder)
    splits = {"valid": task.valid}
    if options.export and not config.smoke:
        splits = {"test": task.parts.test, **splits}
    metrics, baselines = rbp_figures.figures(task, network, splits)
    report.show(metrics, baselines)
    report.write(folder / "report.json", metrics, baselines, seconds=round(result.seconds))
    files = rbp_figures.pictures(task, network, result, name, folder, options)
    if options.export:
        write_model(task, network, result, name, metrics, baselines, files, options)
