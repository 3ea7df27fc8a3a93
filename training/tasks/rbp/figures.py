"""What the networks of one protein are worth: figures, baselines, pictures."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqtile.models.card import Baseline, Metric

from ...lab import report
from ...lab.baselines import KmerRidge
from ...lab.command import Options
from ...lab.loop import Fit
from ...lab.metrics import mse, pearson, spearman
from ...lab.pictures import canvas, compare_histories, plot_history, write_history
from .networks import Affinity, RnaAttention
from .task import Task

Rows = NDArray[np.int64]

WORDS = (4, 5, 6)  # lengths of the words of the ridge regressions
PENALTY = 10.0  # the best of 1, 10, 100, 1,000 on validation, for each of them
ROUNDS = 200  # of the bootstrap: set B has 121,031 rows


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
