"""What softmax before cross entropy and what pooling do: the document's four runs, compared.

    python -m training.train_bloodmnist --model cnn --preset course --epochs 10
    python -m training.train_bloodmnist --model cnn-pool --preset course --epochs 10
    python -m training.studies.bloodmnist_course        # figure, CSV, table with times, a paragraph

Homework 2, question 1 of "Deep Learning" (IST Lisbon, 2025/26) has a network of three convolutions
trained on blood cells with the logits, and with their softmax, as the input of
`nn.CrossEntropyLoss`, which takes a softmax of its own; then the same with three max poolings. The
figure shows train loss, validation and test accuracy by epoch. Nothing is chosen on test. Further
seeds of a network (``--seed 1``) go into the CSV and the paragraph, not into the figure.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import math
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from seqtile.execution.session import thread_count

from ..lab.command import ROOT, run
from ..lab.loop import OPTIMIZERS, pick_device
from ..lab.pictures import canvas
from ..lab.source import DataError
from ..tasks.bloodmnist.data import CLASSES, SIDE, SIZES
from ..tasks.bloodmnist.networks import CourseNet
from ..tasks.bloodmnist.task import COURSE_BATCH, COURSE_LR, COURSE_OPTIMIZER, OUTPUTS, course_loss

NETWORKS = {"plain": "cnn", "pooled": "cnn-pool"}
# The softmax of the softmax: with all of the probability on the right class, -log(e / (e + 7)).
FLOOR = math.log(math.e + len(CLASSES) - 1) - 1
STUCK = 0.002  # a test accuracy that moves by less over the epochs has not moved


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
                    f"{runs}: no run of {network}, {output}: python -m training.train_bloodmnist "
                    f"--model {NETWORKS[network]} --preset course"
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


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """A line per row; numbers with four digits behind the point."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in dataclasses.fields(Row)])
        for row in rows:
            values = dataclasses.astuple(row)
            writer.writerow([f"{v:.4f}" if isinstance(v, float) else v for v in values])


def read_csv(path: Path) -> list[Row]:
    """What `write_csv` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Row(
                r["network"],
                r["output"],
                int(r["seed"]),
                int(r["epoch"]),
                *(
                    float(r[k])
                    for k in ("train_loss", "valid_accuracy", "test_accuracy", "seconds")
                ),
            )
            for r in csv.DictReader(file)
        ]


def parameters(network: str) -> int:
    """Weights of a network."""
    return sum(p.numel() for p in CourseNet(pool=network == "pooled").parameters())


def table(rows: Sequence[Row]) -> str:
    """Epochs, time and what came of it, a line per network and output, of seed 0, as Markdown."""
    lines = [
        "| network | cross entropy of | parameters | epochs | processor seconds an epoch "
        "| train loss, last | validation, last | test, last | test, best epoch by validation |",
        "| --- " * 9 + "|",
    ]
    for network in NETWORKS:
        for output in OUTPUTS:
            run = one(rows, network, output)
            last, best = run[-1], max(run, key=lambda r: r.valid_accuracy)
            lines.append(
                f"| {network} | {output} | {parameters(network):,} | {last.epoch} "
                f"| {last.seconds:.1f} | {last.train_loss:.3f} | {last.valid_accuracy:.3f} "
                f"| {last.test_accuracy:.3f} | {best.test_accuracy:.3f} (epoch {best.epoch}) |"
            )
    return "\n".join(lines)


def conclude(rows: Sequence[Row]) -> str:
    """The answer the numbers support, in a paragraph."""
    text = [_softmax(rows, network) for network in NETWORKS]
    text.insert(
        0,
        f"Cross entropy of a softmax cannot fall below log(e + 7) - 1 = {FLOOR:.3f} with eight "
        "classes, and its gradients shrink as the first softmax saturates.",
    )
    plain, pooled = one(rows, "plain", "logits"), one(rows, "pooled", "logits")
    epochs = min(len(plain), len(pooled))
    mean = [max(r.test_accuracy for r in run[:epochs]) for run in (plain, pooled)]
    text.append(
        f"Pooling, with logits: {parameters('plain') / parameters('pooled'):.0f} times fewer "
        f"parameters and {plain[0].seconds / pooled[0].seconds:.0f} times less time an epoch; "
        f"after {epochs} epochs test accuracy is {pooled[epochs - 1].test_accuracy:.3f} against "
        f"{plain[epochs - 1].test_accuracy:.3f}, at its highest {mean[1]:.3f} against "
        f"{mean[0]:.3f}, and train loss {pooled[epochs - 1].train_loss:.3f} against "
        f"{plain[epochs - 1].train_loss:.3f}: " + _verdict(plain[:epochs], pooled[:epochs])
    )
    first, count = plain[0], min(int(plain[0].seconds / pooled[0].seconds), len(pooled))
    if count:
        text.append(
            f"By time: in the {first.seconds:.0f} s of the plain network's first epoch, which "
            f"ends at {first.test_accuracy:.3f}, the pooled one can do {count} epochs in "
            f"{count * pooled[0].seconds:.0f} s, and is at {pooled[count - 1].test_accuracy:.3f}."
        )
    return " ".join(text)


def _softmax(rows: Sequence[Row], network: str) -> str:
    """What the softmax did to one network, over all seeds of it."""
    told = []
    for seed in sorted({r.seed for r in rows if r.network == network}):
        with_logits, with_softmax = (one(rows, network, output, seed) for output in OUTPUTS)
        epochs = min(len(with_logits), len(with_softmax))
        if not epochs:
            continue
        a, b = with_logits[epochs - 1], with_softmax[epochs - 1]
        tests = [r.test_accuracy for r in with_softmax[:epochs]]
        line = (
            f"{b.test_accuracy:.3f} against {a.test_accuracy:.3f} with logits after {epochs} "
            f"epochs (seed {seed}, train loss {b.train_loss:.3f})"
        )
        if max(tests) - min(tests) < STUCK:
            line += ", stuck at its start"
        told.append(line)
    return f"With it, test accuracy of the {network} network is " + "; ".join(told) + "."


def _verdict(plain: Sequence[Row], pooled: Sequence[Row]) -> str:
    faster = pooled[0].seconds < plain[0].seconds
    better = max(r.test_accuracy for r in pooled) > max(r.test_accuracy for r in plain)
    fitted = pooled[-1].train_loss > plain[-1].train_loss
    text = "it is " + ("cheaper" if faster else "no cheaper")
    text += " and " if faster == better else " but "
    text += "better" if better else "no better"
    return text + (
        ", and learns train less by heart." if fitted else ", and fits train as closely."
    )


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
    write_csv(path, [dataclasses.replace(r, seconds=seconds[r.network, r.output]) for r in rows])
    rows = read_csv(path)  # what is drawn and said is what the file holds
    draw(given.out / "bloodmnist_course.png", rows)
    print(table(rows))
    print()
    print(conclude(rows))
    print(f"wrote {path} and .png")


if __name__ == "__main__":
    run(main, "bloodmnist_course")
