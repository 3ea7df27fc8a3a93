"""Train `liver-enhancer-cnn`: is this site of open chromatin one of liver cells.

    python -m training liver                  # kernel sizes, 5 folds, the model; validation
    python -m training liver --export         # and test, and write exported/
    python -m training liver --preset course  # the exercise's plain CNN, its kernel sizes
    python -m training liver --smoke          # on some of the real rows

Chromosome 1 is test and is scored by ``--export`` alone. All others stand in five fixed folds of
whole chromosomes, which give the cross-validated figures (mean and standard deviation, each fold
scored by the network after its last step, nothing chosen on it) of kernel sizes and of the recipe.
The shipped network is trained by that recipe on all but chromosomes 1 and 2; chromosome 2 chooses
the epoch and the threshold.

The label is liver or not. Preset ``best`` learns which of the four kinds of cell a site is open in,
which the data tell for every row; preset ``course`` learns the label alone.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from seqtile.models.card import Baseline
from seqtile.motifs.known import compare, pick, recognised
from seqtile.motifs.logos import draw_logos
from seqtile.motifs.meme import write_meme
from seqtile.motifs.motif import Motif

from ...export import export
from ...export.report import Report
from ...lab import command, motifs, report
from ...lab.baselines import KmerLogistic, KmerRidge
from ...lab.loop import fit, mean_history, seed_everything
from ...lab.metrics import best_threshold, pr_auc, roc_auc
from ...lab.pictures import plot_history, write_history
from . import data
from .card import NAME, data_fields, make_contract
from .data import Sites
from .networks import EnsembleCNN, Liver
from .task import Config, Task

SHARE, SITES = 0.5, 50  # of a filter's largest activation; fewest subsequences of a motif
HEIGHT = "height in bits; below it a known motif's consensus"
Row = dict[str, Any]  # figures by name


def cross_validate(task: Task, kernel: int, folds: int, epochs: int, runs: Path) -> list[Row]:
    """A row per fold, scored by the network after its last step; done folds are not done again."""
    rows = []
    for held in range(folds):
        train, rest = task.fold(held)
        seed_everything(task.config.seed)
        loss, steps = task.loss(train)
        # The last of two validations counts; a run that was cut goes on from the first.
        every = epochs // 2 if epochs % 2 == 0 else epochs
        plan = task.plan(
            epochs, steps, seed=task.config.seed, evaluate_every=every * steps, monitor="epoch"
        )

        def validate(network: nn.Module, rest: Sites = rest) -> dict[str, float]:
            scores = task.scores(network, rest.letters)
            return {"roc_auc": roc_auc(rest.liver, scores), "pr_auc": pr_auc(rest.liver, scores)}

        name = f"kernel{kernel}-epochs{epochs}-fold{held}"
        result = fit(
            task.network(kernel), loss, validate, plan, checkpoint=runs / f"{name}.pt", label=name
        )
        last = result.history[-1]
        rows.append(
            {
                "kernel": kernel,
                "fold": held,
                "epochs": epochs,
                "chromosomes": " ".join(data.folds()[held]),
                "n": len(rest),
                "liver": round(float(rest.liver.mean()), 4),
                "roc_auc": round(last["roc_auc"], 4),
                "pr_auc": round(last["pr_auc"], 4),
                "seconds": round(result.seconds),
            }
        )
        print(
            f"kernel {kernel:<3} fold {held}  ROC AUC {last['roc_auc']:.4f}  "
            f"PR AUC {last['pr_auc']:.4f}  {result.seconds:.0f} s",
            flush=True,
        )
    return rows


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Mean and standard deviation (of the sample) over the folds of one kernel size."""
    figures: dict[str, Any] = {
        "kernel": rows[0]["kernel"],
        "folds": len(rows),
        "epochs": rows[0]["epochs"],
    }
    for name in ("roc_auc", "pr_auc"):
        values = [row[name] for row in rows]
        figures[f"{name}_mean"] = round(float(np.mean(values)), 4)
        figures[f"{name}_sd"] = round(float(np.std(values, ddof=1)) if len(rows) > 1 else 0.0, 4)
    return figures | {"seconds": sum(row["seconds"] for row in rows)}


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """A CSV of rows of the same keys."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def show_summary(row: Row, what: str) -> None:
    """One line of `summary`."""
    print(
        f"{what}: kernel {row['kernel']}, {row['folds']} folds, {row['epochs']} epochs: "
        f"ROC AUC {row['roc_auc_mean']:.4f} ± {row['roc_auc_sd']:.4f}, "
        f"PR AUC {row['pr_auc_mean']:.4f} ± {row['pr_auc_sd']:.4f}",
        flush=True,
    )


def compare_kernels(task: Task, runs: Path) -> list[Row]:
    """A summary per kernel size; also as ``kernel_sizes.csv``."""
    config = task.config
    table = []
    for width in config.widths:
        rows = cross_validate(task, width, config.compare_folds, config.compare_epochs, runs)
        table.append(summary(rows))
    for row in table:
        show_summary(row, "kernel size")
    if table:
        write_rows(runs / "kernel_sizes.csv", table)
    return table


@dataclass
class Final:
    """The shipped network, what its parts did in each epoch on average, and their best epochs."""

    network: EnsembleCNN
    history: list[dict[str, float]]
    best_epochs: list[int]
    seconds: float


def train_final(task: Task, kernel: int, runs: Path) -> Final:
    """The recipe on all but chromosomes 1 and 2; the epochs are chosen on 2."""
    config = task.config
    fits = []
    for i, (width, pool) in enumerate(config.shapes(kernel)):
        seed = 100 * config.seed + i
        seed_everything(seed)
        loss, steps = task.loss(task.train)
        plan = task.plan(config.epochs, steps, seed=seed, evaluate_every=steps)
        name = f"final{i}"
        result = fit(
            task.network(width, pool),
            loss,
            task.validate,
            plan,
            checkpoint=runs / f"{name}.pt",
            label=name,
        )
        best = result.history[result.best_epoch - 1]
        print(
            f"network {i}, kernel {width}, pool {pool}: chromosome 2 ROC AUC "
            f"{best['roc_auc']:.4f}, PR AUC {best['pr_auc']:.4f}, "
            f"epoch {result.best_epoch}, {result.seconds:.0f} s",
            flush=True,
        )
        fits.append(result)
    return Final(
        EnsembleCNN([result.network for result in fits]).to(memory_format=torch.contiguous_format),
        mean_history(fits),
        [result.best_epoch for result in fits],
        sum(result.seconds for result in fits),
    )


def baselines(task: Task, parts: dict[str, Sites]) -> list[Baseline]:
    """5-mer ridge and logistic regression, of the same rows as the network."""
    rows = []
    for model, method in (
        (KmerRidge(5, alpha=1.0), "ridge regression on 5-mers"),
        (KmerLogistic(5, c=0.01), "logistic regression on 5-mers"),
    ):
        model.fit(task.train.letters, task.train.liver)
        for name, part in parts.items():
            figures = report.binary(part.liver, model.predict(part.letters), name)
            rows += report.as_baselines(figures, method)
    return rows


def write_motifs(task: Task, network: EnsembleCNN, runs: Path) -> list[str]:
    """``motifs.meme`` and ``motifs.png`` of the first convolution; the known ones it has."""
    rows = np.random.default_rng(0).permutation(len(task.train))[:8000]
    letters, found = task.train.letters[rows], []
    for i, (kernels, bias) in enumerate(network.first_layers()):
        counts = motifs.site_counts(kernels, letters, bias=bias, both_strands=True, share=SHARE)
        found += [
            Motif.from_counts(f"net{i}_filter{j}", table)
            for j, table in enumerate(counts)
            if table[:, 0].sum() >= SITES
        ]
    write_meme(runs / "motifs.meme", found)
    pairs = compare(found, None)
    draw_logos(
        runs / "motifs.png", pick(pairs), f"{NAME}: filters of the first convolution; " + HEIGHT
    )
    return [
        f"{name} {match.similarity:.3f}" for name, (_, match) in recognised(pairs).items() if match
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the script."""
    started = time.perf_counter()
    config, options = command.parse(Config, __doc__, arguments)
    if config.smoke:
        config = dataclasses.replace(
            config,
            kernel_sizes="7,11",
            compare_folds=1,
            compare_epochs=1,
            folds=2,
            epochs=2,
            networks="0:4,19:20",
        )
    task = Task(config, options.device)
    runs = options.run_folder(NAME, config)
    print(
        f"{NAME}, preset {config.preset}, {len(task.sites):,} sites but chromosome 1, "
        f"device {task.device}"
    )

    sizes = compare_kernels(task, runs)
    if config.preset == "course":
        best = max(sizes, key=lambda row: row["roc_auc_mean"])
        show_summary(best, "best")
        (runs / "report.json").write_text(json.dumps({"kernel_sizes": sizes}, indent=2) + "\n")
        print(f"all in {time.perf_counter() - started:.0f} s; {runs}")
        return
    kernel = config.kernel or max(sizes, key=lambda row: row["roc_auc_mean"])["kernel"]
    folds = cross_validate(task, kernel, config.folds, config.epochs, runs)
    cross = summary(folds)
    show_summary(cross, "cross-validation")
    write_rows(runs / "cross_validation.csv", folds)

    result = train_final(task, kernel, runs)
    write_history(runs / "history.csv", result.history)
    count = len(result.best_epochs)
    title = f"{NAME}, mean of {count} networks "
    title += "(train_loss: four cells; valid_loss: liver, chromosome 2)"
    plot_history(runs / "training.png", result.history, title)
    known = write_motifs(task, result.network, runs)
    print(f"known motifs: {', '.join(known) or 'none'}")

    parts = {"valid": task.valid}
    if options.export and not config.smoke:
        parts = {"test": data.load().on(data.TEST)} | parts
    scores = {name: task.scores(result.network, part.letters) for name, part in parts.items()}
    threshold = best_threshold(task.valid.liver, scores["valid"], np.ones(len(task.valid)))
    metrics = [
        metric
        for name, part in parts.items()
        for metric in report.binary(part.liver, scores[name], name, threshold=threshold)
    ]
    base = baselines(task, parts)
    report.show(metrics, base)
    report.write(
        runs / "report.json",
        metrics,
        base,
        cross_validation=cross,
        folds=folds,
        kernel_sizes=sizes,
        known_motifs=known,
    )
    print(
        f"trained in {result.seconds:.0f} s, all in {time.perf_counter() - started:.0f} s; {runs}"
    )

    if options.export:
        golden = task.valid.letters[:: max(1, len(task.valid) // 16)][:16]
        names = [
            "history.csv",
            "training.png",
            "cross_validation.csv",
            "kernel_sizes.csv",
            "motifs.meme",
            "motifs.png",
        ]
        training = command.training_fields(
            NAME,
            task.config,
            options,
            seconds=result.seconds,
            window=data.LENGTH,
            best_epoch=result.best_epochs,
            cross_validation=folds,
        )
        quoted = ("kernel", "roc_auc_mean", "roc_auc_sd")
        card = export.export(
            Liver(result.network),
            make_contract(threshold, result.network.hidden),
            Report.of(
                "liver",
                result.network,
                training,
                metrics,
                base,
                architecture=result.network.describe(),
                data=data_fields(task.train, task.valid),
                facts={"cross_validation": {name: cross[name] for name in quoted}},
            ),
            {"sequence": golden},
            options.exported / NAME,
            files=[runs / name for name in names if (runs / name).exists()],
        )
        print(f"wrote {options.exported / NAME}, sha256 {card.sha256}")
