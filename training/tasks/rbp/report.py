"""Figures, pictures and cards of the networks of `train_rbp`."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqtile.models.card import Baseline, Metric, ModelCard
from seqtile.models.contract import Input, Output

from ...export import export
from ...lab import command, report
from ...lab.baselines import KmerRidge
from ...lab.command import Options
from ...lab.loop import Fit
from ...lab.metrics import mse, pearson, spearman
from ...lab.pictures import canvas, compare_histories, plot_history, write_history
from . import data as rnacompete
from .networks import Affinity, RnaAttention
from .task import Config, Task

Rows = NDArray[np.int64]

WORDS = (4, 5, 6)  # lengths of the words of the ridge regressions
PENALTY = 10.0  # the best of 1, 10, 100, 1,000 on validation, for each of them
ROUNDS = 200  # of the bootstrap: set B has 121,031 rows
SHORTEST = 8  # letters of the shortest RNA that a model takes
GOLDEN = 32


def figures(
    task: Task, network: Affinity, splits: Mapping[str, Rows]
) -> tuple[list[Metric], list[Baseline]]:
    """Figures of the network and of the baselines, on each of the splits."""
    metrics: list[Metric] = []
    base: list[Baseline] = []
    fitted_rows, fitted = task.own(task.train)
    letters = task.probes.letters
    ridges = {
        k: KmerRidge(k, alpha=PENALTY, canonical=False).fit(letters[fitted_rows], fitted)
        for k in (WORDS[:1] if task.config.smoke else WORDS)
    }
    for split, rows in splits.items():
        rows, targets = task.own(rows)
        metrics += report.regression(targets, task.predict(network, rows), split, rounds=ROUNDS)
        for k, ridge in ridges.items():
            predictions = ridge.predict(letters[rows]).astype(np.float32)
            base += report.as_baselines(
                report.regression(targets, predictions, split, rounds=ROUNDS),
                f"ridge regression on {k}-mers",
            )
        loss = round(mse(targets, np.full_like(targets, fitted.mean())), 4)
        base.append(Baseline("mse", split, len(rows), loss, method="mean of train"))
    return metrics, base


def repeats(task: Task, rows: Rows) -> dict[str, Any]:
    """How well two measurements of one sequence agree: what no model can pass by much."""
    rows, _ = task.own(rows)
    first, second = task.targets[task.probes.repeats(rows), 0].T
    if len(first) < 3:
        return {"pairs": len(first)}
    return {
        "pairs": len(first),
        "pearson": round(pearson(first, second), 4),
        "spearman": round(spearman(first, second), 4),
    }


def pictures(
    task: Task, network: Affinity, result: Fit, name: str, folder: Path, options: Options
) -> list[Path]:
    """Write history and pictures into the run's folder; the files to ship."""
    files = [folder / "history.csv", folder / "training.png"]
    write_history(files[0], result.history)
    plot_history(files[1], result.history, f"{name}, {task.config.protein}")
    first = network.first
    if isinstance(first, RnaAttention):
        files.append(folder / "attention.png")
        attention_picture(task, first, files[-1])
        without = other_history(folder, options)
        if without is None:
            print("no history of rbp-cnn yet, so no attention_loss.png: train it first")
        else:
            files.append(folder / "attention_loss.png")
            compare_histories(
                files[-1],
                {"rbp-cnn": without, "rbp-cnn-attention": result.history},
                ("train_loss", "valid_loss"),
                "loss without and with attention: train of all proteins, valid of "
                f"{task.config.protein}",
            )
    return files


def other_history(folder: Path, options: Options) -> list[dict[str, float]] | None:
    """History of `rbp-cnn`: of the run of the same kind, else the one that is shipped."""
    for place in (options.runs / "rbp-cnn" / folder.name, options.exported / "rbp-cnn"):
        if (place / "history.csv").exists():
            with (place / "history.csv").open(encoding="utf-8", newline="") as file:
                return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    return None


def attention_picture(task: Task, network: RnaAttention, path: Path, count: int = 4) -> None:
    """Weights of the pooling heads over the strongest probes of validation, letters along x."""
    rows, targets = task.own(task.valid)
    _, places = np.unique(task.probes.groups[rows], return_index=True)
    best = places[np.argsort(-targets[places])][:count]
    rows, targets = rows[best], targets[best]
    with torch.inference_mode():
        _, _, weights = network.attend(task.letters[task.rows(rows)])
    predictions = task.predict(network, rows)
    drawn = weights.cpu().numpy().repeat(2, axis=2)  # a position holds two letters
    heads = drawn.shape[1]
    figure, paper = canvas(9, 0.75 + count * (0.55 + 0.16 * heads))
    for axis, row, target, guess, image in zip(
        figure.subplots(count, 1), rows, targets, predictions, drawn, strict=True
    ):
        length = int(task.probes.lengths[row])
        shown = axis.imshow(image[:, :length], cmap="Blues", vmin=0, aspect="auto")
        axis.set_xticks(range(length), task.probes.letters[row, :length].tobytes().decode())
        axis.set_yticks(range(heads), [f"head {i + 1}" for i in range(heads)], fontsize=7)
        axis.tick_params(length=0)
        axis.set_title(f"measured {target:.2f}, predicted {guess:.2f}", fontsize=8)
        figure.colorbar(shown, ax=axis, pad=0.01).ax.tick_params(labelsize=6)
    figure.suptitle(
        "weights of the attention pooling, the strongest probes of validation", fontsize=10
    )
    paper.print_figure(path, format="png")


def make_card(
    task: Task,
    network: Affinity,
    result: Fit,
    name: str,
    metrics: list[Metric],
    base: list[Baseline],
    options: Options,
) -> ModelCard:
    """The card, but for the checksum."""
    config, probes, parts = task.config, task.probes, task.parts
    training = command.training_fields(
        f"train_rbp --model {config.model}",
        config,
        options,
        seconds=result.seconds,
        window=rnacompete.LENGTH,
        best_epoch=result.best_epoch,
    )
    scale = task.scale
    local = config.protein in rnacompete.PROTEINS
    return ModelCard(
        name=name,
        version="1.0.0",
        task="regression",
        summary=f"How strongly the protein {config.protein} holds a short RNA "
        "(RNAcompete, set A to set B).",
        architecture=network.architecture,
        parameters=sum(p.numel() for p in network.parameters()),
        inputs=(
            Input(
                name="sequence",
                kind="letters",
                shape=("batch", "length"),
                dtype="uint8",
                meaning="ASCII letters of an RNA, 5' to 3'; case "
                "is ignored, T counts as U; unknown letters at the end are padding and change "
                "nothing",
                alphabet="rna",
                unknown="zero",
                min_length=SHORTEST,
            ),
        ),
        outputs=(
            Output(
                name="affinity",
                kind="score",
                shape=("batch",),
                dtype="float32",
                meaning="binding intensity, in standard deviations from "
                f"train's mean: intensity = {scale.mean:.4f} + {scale.deviation:.4f} x affinity",
            ),
            Output(
                name="embedding",
                kind="embedding",
                shape=("batch", network.width),
                dtype="float32",
                meaning="activations of the layer before the last, not negative",
            ),
        ),
        receptive_field=rnacompete.LENGTH,
        threshold=None,
        data={
            "name": rnacompete.NAME,
            "source": rnacompete.SOURCE
            if local
            else config.intensities or rnacompete.SUBSET_SOURCE,
            "protein": config.protein,
            "split": "the array's: train and valid of set A (copies of a sequence together), test "
            "all of set B; no sequence is in both",
            "train": {"n": len(task.train)},
            "valid": {"n": len(task.valid), "repeats": repeats(task, task.valid)},
            "test": {"n": len(parts.test), "repeats": repeats(task, parts.test)}
            if any(m.split == "test" for m in metrics)
            else {"n": len(parts.test)},
            "sha256": rnacompete.CHECKSUMS.get("all" if local else config.protein, ""),
            "probes": len(probes),
            "without_measurement": int(np.isnan(task.targets[:, 0]).sum()),
        },
        training=training,
        training_window=training["window"],
        metrics=tuple(metrics),
        baselines=tuple(base),
        limits=limits(config, metrics),
        opset=export.OPSET,
        tolerance=1e-4,
    )


def limits(config: Config, metrics: list[Metric]) -> tuple[str, ...]:
    """What the card says the model is not good for."""
    lines = [
        f"Trained on RNAs of 30 to {rnacompete.LENGTH} letters that all begin with AGA or AGG; a "
        "longer RNA is cut into windows of that size.",
        "Binding of a purified protein in a tube, not in a cell.",
        "Probes without a measurement (filled in at the source with one value) are left out of "
        "training and of every figure.",
    ]
    if config.protein in rnacompete.PROTEINS:
        lines.insert(
            0,
            f"The source does not name {config.protein}; by its motif (UAG) it may be a Musashi "
            "protein. It stands in for RBFOX1, whose intensities are not in the data.",
        )
    first = metrics[0]
    if first.split == "test" and first.value < 0.9 and config.protein == "RBP24":
        lines.append(f"Pearson {first.value:.3f} on set B falls short of the 0.90 aimed at.")
    return tuple(lines)


def export_model(
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
    card = make_card(task, network, result, name, metrics, base, options)
    return export.export(
        network,
        card,
        {"sequence": letters},
        options.exported / name,
        files=files,
        motif_letters=task.probes.letters[task.train[::10]],
    )
