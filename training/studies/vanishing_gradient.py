"""Where does the gradient go in a deep network, and what keeps it alive.

    python -m training.studies.vanishing_gradient     # a minute; figure, CSV and table

Assignment 1 of "Machine Learning for Bioinformatics", Freie Universität Berlin, summer 2024, week
11: which of skip connections, batch normalisation, ReLU and ELU "seems most efficient to obtain
uniformly distributed magnitudes of the gradient, where at no point the gradient magnitudes drop to
zero"? Sixteen hidden layers of 32 units learn whether a point lies in a ring, with a tenth of the
labels wrong so that no network can bring its loss, and with it its gradient, to zero. Measured is
the root mean square of the loss's derivatives by each layer's weights, over all points: before
training, and after it. Weights start as torch's `Linear` has them; ReLU is shown a second time
with He's larger ones, made for it.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..lab.command import ROOT, run
from ..lab.pictures import canvas
from .rows import read_csv, write_csv

STAGES = ("initial", "trained")
METHODS = ("plain", "skip", "batch norm", "ReLU", "ELU", "ReLU from He's start")
WRONG = 0.1  # share of wrong labels


@dataclass(frozen=True)
class Study:
    """Size of the study."""

    depth: int = 16
    width: int = 32
    points: int = 512
    steps: int = 500
    lr: float = 0.005
    seeds: int = 5


@dataclass(frozen=True)
class Row:
    """The gradient of one layer, of one kind of network at one stage.

    Attributes
    ----------
    layer
        Hidden layer, from 1 at the input.
    median, low, high
        Root mean square of the derivatives by the layer's weights; over the seeds.
    accuracy
        Of the network on its points, mean over the seeds, against the labels before some were made
        wrong.
    """

    method: str
    stage: str
    layer: int
    median: float
    low: float
    high: float
    accuracy: float


class Deep(nn.Module):
    """Hidden layers of one kind, then one logit.

    Parameters
    ----------
    method
        One of METHODS. ``plain``, ``skip`` and ``batch norm`` have sigmoids; ``skip`` adds each
        layer's input to its output, ``batch norm`` normalises what goes into the sigmoid.
    """

    def __init__(self, method: str, *, depth: int, width: int) -> None:
        super().__init__()
        self.skip = method == "skip"
        self.layers = nn.ModuleList(nn.Linear(2 if i == 0 else width, width) for i in range(depth))
        self.norms = nn.ModuleList(
            nn.BatchNorm1d(width) if method == "batch norm" else nn.Identity() for _ in range(depth)
        )
        self.last = nn.Linear(width, 1)
        self.activation: Callable[[Tensor], Tensor] = torch.sigmoid
        if method.startswith("ReLU"):
            self.activation = functional.relu
        elif method == "ELU":
            self.activation = functional.elu
        if method.endswith("start"):
            for layer in self.layers:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Points (N, 2) to logits (N,)."""
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            out = self.activation(norm(layer(x)))
            x = x + out if self.skip and i else out
        return self.last(x).squeeze(1)


def ring(points: int, seed: int) -> tuple[Tensor, Tensor]:
    """Points (N, 2) of a square, and whether they lie in a ring (N,): both float32."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1.5, 1.5, (points, 2)).astype(np.float32)
    radius = np.hypot(*x.T)
    inside = ((radius > 0.6) & (radius < 1.2)).astype(np.float32)
    return torch.from_numpy(x), torch.from_numpy(inside)


def gradients(network: Deep, x: Tensor, y: Tensor) -> list[float]:
    """Root mean square of the loss's derivatives by the weights of each hidden layer."""
    network.zero_grad(set_to_none=True)
    functional.binary_cross_entropy_with_logits(network(x), y).backward()
    sizes = []
    for layer in network.layers:
        gradient = layer.get_parameter("weight").grad
        assert gradient is not None
        sizes.append(float(gradient.double().square().mean().sqrt()))
    return sizes


def measure(method: str, study: Study, seed: int) -> dict[str, tuple[list[float], float]]:
    """Gradients by layer and accuracy, at each stage, of one network."""
    torch.manual_seed(seed)
    x, inside = ring(study.points, seed)
    wrong = torch.rand(len(inside)) < WRONG
    y = torch.where(wrong, 1 - inside, inside)
    network = Deep(method, depth=study.depth, width=study.width)
    optimizer = torch.optim.Adam(network.parameters(), lr=study.lr)
    found = {}
    for stage in STAGES:
        if stage == "trained":
            for _ in range(study.steps):
                optimizer.zero_grad(set_to_none=True)
                functional.binary_cross_entropy_with_logits(network(x), y).backward()
                optimizer.step()
        with torch.no_grad():
            right = ((network(x) > 0) == (inside > 0.5)).float().mean()
        found[stage] = gradients(network, x, y), float(right)
    return found


def run_study(study: Study, methods: Sequence[str] = METHODS) -> list[Row]:
    """All networks, a row per method, stage and layer."""
    rows = []
    for method in methods:
        runs = [measure(method, study, seed) for seed in range(study.seeds)]
        for stage in STAGES:
            sizes = np.array([found[stage][0] for found in runs])
            accuracy = float(np.mean([found[stage][1] for found in runs]))
            rows += [
                Row(method, stage, i + 1, float(np.median(s)), s.min(), s.max(), accuracy)
                for i, s in enumerate(sizes.T)
            ]
    return rows


def spread(rows: Sequence[Row], method: str, stage: str) -> float:
    """How many times larger the largest layer's median gradient is than the smallest layer's."""
    sizes = [row.median for row in rows if (row.method, row.stage) == (method, stage)]
    return max(sizes) / max(min(sizes), np.finfo(np.float64).tiny)


def table(rows: Sequence[Row]) -> str:
    """Spread of the gradient at each stage and accuracy after training, as Markdown."""
    lines = ["| layers | initial | trained | accuracy |", "| --- | --- | --- | --- |"]
    for method in dict.fromkeys(row.method for row in rows):
        spreads = (f"{spread(rows, method, stage):.3g}" for stage in STAGES)
        last = next(row for row in rows if (row.method, row.stage) == (method, "trained"))
        lines.append(f"| {method} | {' | '.join(spreads)} | {last.accuracy:.2f} |")
    return "\n".join(lines)


def draw(path: Path, rows: Sequence[Row]) -> None:
    """Gradient by layer, a panel per stage and a line per method, as PNG."""
    figure, paper = canvas(8, 3.5)
    methods = list(dict.fromkeys(row.method for row in rows))
    colours = ("#444444", "#0072b2", "#009e73", "#d55e00", "#cc79a7", "#e69f00")
    axes = figure.subplots(1, len(STAGES), sharey=True)
    for axis, stage in zip(axes, STAGES, strict=True):
        for method, colour in zip(methods, colours, strict=False):
            chosen = [row for row in rows if (row.method, row.stage) == (method, stage)]
            layers = [row.layer for row in chosen]
            axis.plot(
                layers, [row.median for row in chosen], marker=".", color=colour, label=method
            )
            axis.fill_between(
                layers,
                [row.low for row in chosen],
                [row.high for row in chosen],
                color=colour,
                alpha=0.15,
                linewidth=0,
            )
        axis.set_yscale("log")
        axis.set_title(stage, fontsize=10)
        axis.set_xticks(range(2, max(row.layer for row in rows) + 1, 2))
        axis.set_xlabel("hidden layer, from the input")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("gradient by the weights, root mean square")
    axes[1].legend(frameon=False, fontsize=8, loc="center left")
    paper.print_figure(path, format="png")


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for field in dataclasses.fields(Study):
        kind = float if field.type == "float" else int
        parser.add_argument(f"--{field.name}", type=kind, default=field.default)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "vanishing-gradient")
    given = vars(parser.parse_args(arguments))
    folder = given.pop("out")
    torch.set_num_threads(1)  # for layers as small as these more threads are slower
    folder.mkdir(parents=True, exist_ok=True)
    rows = run_study(Study(**given))
    write_csv(folder / "vanishing_gradient.csv", rows, ".4g")
    # What is drawn and shown is what the file holds.
    rows = read_csv(folder / "vanishing_gradient.csv", Row)
    draw(folder / "vanishing_gradient.png", rows)
    print(table(rows))
    print(f"wrote {folder / 'vanishing_gradient.csv'} and .png")


if __name__ == "__main__":
    run(main, "vanishing_gradient")
