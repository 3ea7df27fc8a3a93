"""What softmax before cross entropy and what pooling do: the document's four runs, compared.

    python -m training bloodmnist-cnn --preset course --epochs 10
    python -m training bloodmnist-cnn-pool --preset course --epochs 10
    python -m training.studies.bloodmnist_course        # figure, CSV, table with times

Homework 2, question 1 of "Deep Learning" (IST Lisbon, 2025/26) has a network of three convolutions
trained on blood cells with the logits, and with their softmax, as the input of
`nn.CrossEntropyLoss`, which takes a softmax of its own; then the same with three max poolings. The
figure shows train loss, validation and test accuracy by epoch. Nothing is chosen on test. Further
seeds of a network (``--seed 1``) go into the CSV alone. What it all shows is in training/README.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from seqtile.machine.threads import thread_count

from ..lab.command import ROOT, run
from ..lab.loop import OPTIMIZERS, pick_device
from ..lab.pictures import canvas
from ..lab.source import DataError
from ..tasks.bloodmnist.data import CLASSES, SIDE, SIZES
from ..tasks.bloodmnist.networks import CourseNet
from ..tasks.bloodmnist.train import COURSE_BATCH, COURSE_LR, COURSE_OPTIMIZER, OUTPUTS, course_loss
from .rows import read_csv, write_csv

NETWORKS = {"plain": "cnn", "pooled": "cnn-pool"}
# The softmax of the softmax: with all of the probability on the right class, -log(e / (e + 7)).
FLOOR = math.log(math.e + len(CLASSES) - 1) - 1


@dataclass(frozen=True)
class Row:
    """One epoch of one run.

    Attributes
    ----------
    network, output
        ``plain`` or ``pooled``; what the cross entropy was given, ``logits`` or ``softmax``.
    train_loss
        Mean over the epoch.
    seconds
        Of an epoch's training, see `clock`.
    """

    network: str
    output: str
    seed: int
    epoch: int
    train_loss: float
    valid_accuracy: float
    test_accuracy: float
    seconds: float = math.nan


def clock(network: str, output: str, device: torch.device, batches: int = 8) -> float:
    """Seconds that an epoch of training takes on a device, without scoring.

    The fastest of some batches, times the batches of an epoch; on a CPU the processor's time. A
    run's own time would depend on what else the machine did meanwhile.
    """
    now = time.perf_counter if device.type == "cuda" else time.process_time
    model = CourseNet(pool=network == "pooled").to(device)
    optimizer = OPTIMIZERS[COURSE_OPTIMIZER](model.parameters(), lr=COURSE_LR)
    x = torch.randn(COURSE_BATCH, 3, SIDE, SIDE, device=device)
    labels = torch.arange(COURSE_BATCH, device=device) % len(CLASSES)
    times = []
    for _ in range(batches):
        started = now()
        optimizer.zero_grad(set_to_none=True)
        course_loss(model.logits(x)[0], labels, output).backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(now() - started)
    return min(times) * -(-SIZES["train"] // COURSE_BATCH)


def gather(runs: Path) -> list[Row]:
    """The epochs of the runs of preset ``course`` in a folder of runs, from their checkpoints.

    A run may still go on: of all, as many epochs are taken as the shortest has.

    Raises
    ------
    DataError
        One of the four runs of seed 0 is not there.
    """
    rows = []
    for network, model in NETWORKS.items():
        for path in sorted(runs.glob(f"bloodmnist-{model}/course-seed*/fit-*.pt")):
            seed = re.fullmatch(r"course-seed(\d+)", path.parent.name)
            if seed:
                rows += list(_read_run(path, network, int(seed[1])))
    for network in NETWORKS:
        for output in OUTPUTS:
            if not one(rows, network, output):
                raise DataError(
                    f"{runs}: no run of {network}, {output}: python -m training "
                    f"bloodmnist-{NETWORKS[network]} --preset course"
                )
    shortest = min(Counter((r.network, r.output, r.seed) for r in rows).values())
    return [r for r in rows if r.epoch <= shortest]


def _read_run(path: Path, network: str, seed: int) -> Iterator[Row]:
    content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    for r in content["history"]:
        yield Row(
            network,
            path.stem.removeprefix("fit-"),
            seed,
            r["epoch"],
            r["train_loss"],
            r["accuracy"],
            r["test_accuracy"],
        )


def one(rows: Sequence[Row], network: str, output: str, seed: int = 0) -> list[Row]:
    """The epochs of one run."""
    return [r for r in rows if (r.network, r.output, r.seed) == (network, output, seed)]


def parameters(network: str) -> int:
    """Weights of a network."""
    return sum(p.numel() for p in CourseNet(pool=network == "pooled").parameters())


def table(rows: Sequence[Row]) -> str:
    """Time and what came of it, a line per network and output, of seed 0, as Markdown."""
    lines = [
        "| network | cross entropy of | weights | s an epoch | train loss | validation | test |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for network in NETWORKS:
        for output in OUTPUTS:
            last = one(rows, network, output)[-1]
            lines.append(
                f"| {network} | {output} | {parameters(network):,} | {last.seconds:.1f} "
                f"| {last.train_loss:.3f} | {last.valid_accuracy:.3f} | {last.test_accuracy:.3f} |"
            )
    return "\n".join(lines)


def draw(path: Path, rows: Sequence[Row]) -> None:
    """Train loss, validation and test accuracy by epoch, a line per run of seed 0, as PNG."""
    figure, paper = canvas(11, 3.6)
    panels = {
        "train_loss": "train loss",
        "valid_accuracy": "validation accuracy",
        "test_accuracy": "test accuracy",
    }
    colours = {"plain": "#d55e00", "pooled": "#0072b2"}
    for axis, (key, title) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        for network in NETWORKS:
            for output in OUTPUTS:
                run = one(rows, network, output)
                axis.plot(
                    [r.epoch for r in run],
                    [getattr(r, key) for r in run],
                    marker=".",
                    color=colours[network],
                    linestyle="-" if output == "logits" else "--",
                    label=f"{network}, {output}",
                )
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("epoch")
        axis.spines[["top", "right"]].set_visible(False)
        if key == "train_loss":
            axis.axhline(FLOOR, color="#888888", linewidth=0.8, linestyle=":")
            axis.annotate(
                f"log(e + 7) - 1 = {FLOOR:.3f}",
                (0.98, FLOOR),
                fontsize=7,
                ha="right",
                va="bottom",
                xycoords=("axes fraction", "data"),
            )
        else:
            axis.set_ylim(top=1)
        axis.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=4,
        frameon=False,
        fontsize=8,
    )
    paper.print_figure(path, format="png")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="where the runs are")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda: to time an epoch on")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "bloodmnist-course")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "bloodmnist_course.csv"
    device = pick_device(given.device)
    torch.set_num_threads(thread_count(given.threads))
    rows = gather(given.runs)
    seconds = {(n, o): clock(n, o, device) for n in NETWORKS for o in OUTPUTS}
    write_csv(
        path, [dataclasses.replace(r, seconds=seconds[r.network, r.output]) for r in rows], ".4f"
    )
    rows = read_csv(path, Row)  # what is drawn and shown is what the file holds
    draw(given.out / "bloodmnist_course.png", rows)
    print(table(rows))
    print(f"wrote {path} and .png")


if __name__ == "__main__":
    run(main, "bloodmnist_course")
