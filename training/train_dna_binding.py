"""Train `dna-binding-bilstm`: does the protein bind this 101-base segment.

python -m training.train_dna_binding --preset course   # the course's own network, 500 epochs
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from . import command, report
from .command import Options
from .datasets import dna_binding
from .datasets.dna_binding import Segments
from .figures import plot_history, write_history
from .loop import Fit, FitConfig, Shuffled, fit, seed_everything
from .metrics import best_threshold, roc_auc
from .models.dna_bilstm import ConvBiLSTM, CourseLSTM

NAME = "dna-binding-bilstm"


@dataclass(frozen=True)
class Config:
    preset: str = dataclasses.field(default="best", metadata={"choices": ("best", "course")})
    seed: int = 0
    smoke: bool = False
    split: str = dataclasses.field(default="pair", metadata={"choices": ("pair", "row")})
    course_hidden: int = 16
    course_epochs: int = 500


class Task:
    def __init__(self, config: Config, device: torch.device) -> None:
        self.config, self.device = config, device
        self.train = dna_binding.load("train", by=config.split)
        self.valid = dna_binding.load("valid", by=config.split)

    def tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def scores(self, network: nn.Module, letters: NDArray[np.uint8]) -> NDArray[np.float32]:
        network.eval()
        with torch.inference_mode():
            parts = [network(self.tensor(letters[i : i + 512]))[0].cpu()
                     for i in range(0, len(letters), 512)]  # fmt: skip
        return torch.cat(parts).numpy()

    def validate(self, network: nn.Module) -> dict[str, float]:
        logits = self.scores(network, self.valid.letters)
        bound = self.valid.bound
        loss = float((np.logaddexp(0, logits) - logits * bound).mean())
        return {"valid_loss": loss, "roc_auc": roc_auc(bound, logits)}


def train_course(task: Task, runs: Path) -> Fit:
    config, train = task.config, task.train
    seed_everything(config.seed)
    network = CourseLSTM(hidden=config.course_hidden).to(task.device)
    batches = Shuffled(len(train), 256)

    def loss(model: nn.Module, rng: np.random.Generator) -> Tensor:
        rows = batches(rng)
        probability = torch.sigmoid(model(task.tensor(train.letters[rows]))[0])
        return functional.binary_cross_entropy(probability, task.tensor(train.bound[rows]))

    epoch = batches.steps_per_epoch
    plan = FitConfig(
        steps=epoch * config.course_epochs, evaluate_every=epoch, lr=1e-2, optimizer="adam",
        schedule="plateau", plateau_factor=0.5, monitor="epoch", seed=config.seed,
    )  # fmt: skip
    return fit(network, loss, task.validate, plan, checkpoint=runs / "course.pt", label="course")


def main(arguments: list[str] | None = None) -> None:
    config, options = command.parse(Config, __doc__, arguments)
    runs = options.run_folder(NAME, config, *(["row"] if config.split == "row" else []))
    task = Task(config, options.device)
    result = train_course(task, runs)
    write_history(runs / "history.csv", result.history)
    plot_history(runs / "training.png", result.history, "course")
    valid = task.scores(result.network, task.valid.letters)
    threshold = 0.0
    rows = report.binary(task.valid.bound, valid, "valid", threshold=threshold)
    test = dna_binding.load("test", by=config.split)
    rows += report.binary(
        test.bound, task.scores(result.network, test.letters), "test", threshold=threshold
    )
    shifted = dna_binding.load("shifted")
    rows += report.binary(
        shifted.bound,
        task.scores(result.network, shifted.letters),
        "shifted test",
        threshold=threshold,
    )
    report.show(rows)
    report.write(runs / "report.json", rows, [], seconds=result.seconds)


if __name__ == "__main__":
    command.run(main)
