"""One protein of RNAcompete as a task of training: configuration, probes, targets."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...lab.loop import infer
from ...lab.metrics import pearson, spearman
from . import data as rnacompete
from .data import Probes, Scale

MODELS = ("cnn", "bilstm", "cnn-attention")


@dataclass(frozen=True)
class Config:
    """Everything that decides the result; also the command line.

    Attributes
    ----------
    auxiliary
        Weight of the mean loss of the other proteins beside the protein's own; 0 leaves them out.
    members
        Networks, each of its own seed, whose mean is shipped.
    ema
        Decay of the moving average of the weights.
    precision
        Of the convolutions while training: ``bf16`` (autocast) is twice as fast on processors that
        have it. Validation, test and the shipped model are float32.
    """

    preset: str = field(default="best", metadata={"choices": ("best", "course")})
    model: str = field(default="cnn", metadata={"choices": MODELS})
    protein: str = field(default="RBP24", metadata={"help": "a column of the data"})
    intensities: str = field(default="", metadata={"help": "table of the user's, tab-separated"})
    seed: int = 0
    members: int = 1
    epochs: int = 7
    batch: int = 512
    lr: float = 3e-3
    weight_decay: float = 0.05
    ema: float = 0.99
    auxiliary: float = 6.0
    dropout: float = 0.3
    course_epochs: int = 8
    precision: str = field(default="bf16", metadata={"choices": ("bf16", "fp32")})
    smoke: bool = False


class Task:
    """The data of one run, on a device."""

    def __init__(self, config: Config, device: torch.device) -> None:
        self.config, self.device = config, device
        table = Path(config.intensities) if config.intensities else None
        alone = config.protein not in rnacompete.PROTEINS or table is not None
        self.probes: Probes = rnacompete.load(config.protein if alone else None, table)
        self.parts = self.probes.split()
        self.train, self.valid = self.parts.train, self.parts.valid
        if config.smoke:
            self.train, self.valid = self.train[::60], self.valid[::20]
        others = [p for p in self.probes.proteins if p not in (config.protein, rnacompete.NOISE)]
        self.proteins = [config.protein]
        if config.preset == "best" and config.auxiliary:
            self.proteins += others
        targets = []
        for protein in self.proteins:
            values = self.probes.of(protein)
            scale = Scale.of(values[self.train], clip=rnacompete.needs_clip(protein))
            targets.append(scale.apply(values))
            if protein == config.protein:
                self.scale = scale
        self.targets = np.stack(targets, 1)
        self.letters = torch.from_numpy(self.probes.letters).to(device)
        self.goal = torch.from_numpy(self.targets).to(device)

    def own(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Those of the rows with an intensity of the protein, and their targets."""
        rows = rows[~np.isnan(self.targets[rows, 0])]
        return rows, self.targets[rows, 0]

    def predict(self, network: nn.Module, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Affinities of the protein, shape (rows,), in ``eval()``."""
        affinity = infer(network, self.probes.letters[rows])[0]
        return affinity.reshape(len(rows), -1)[:, 0].numpy()

    def rows(self, rows: NDArray[np.int64]) -> Tensor:
        """Row numbers on the run's device."""
        return torch.from_numpy(rows).to(self.device)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Figures of an epoch, on validation, of the protein alone."""
        rows, targets = self.own(self.valid)
        predictions = self.predict(network, rows)
        return {
            "valid_loss": float(((predictions - targets) ** 2).mean()),
            "pearson": pearson(targets, predictions),
            "spearman": spearman(targets, predictions),
        }
