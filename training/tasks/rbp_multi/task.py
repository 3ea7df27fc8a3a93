"""21 proteins of RNAcompete as one task of training: configuration, probes, targets."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...lab.loop import infer
from ..rbp import data as rnacompete
from ..rbp.data import Scale

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Config:
    """Everything that decides the result; also the command line.

    Attributes
    ----------
    passes, same_passes, longer_passes
        Over the probes of train: of the shipped network, of each of those compared, and of the one
        that is trained longer.
    motifs, filters, depth
        Of the shipped network, see `RnaMulti`; ``same_`` of those compared.
    held
        Proteins, with commas, that are kept from a network and then added.
    """

    preset: str = field(default="best", metadata={"choices": ("best",)})
    seed: int = 0
    passes: int = 8
    motifs: int = 192
    filters: int = 128
    depth: int = 3
    same_passes: int = 2
    longer_passes: int = 10
    same_motifs: int = 64
    same_filters: int = 64
    same_depth: int = 2
    width: int = 9
    hidden: int = 128
    identity: int = 32
    dropout: float = 0.1
    batch: int = 512
    lr: float = 4e-3
    weight_decay: float = 0.01
    ema: float = 0.995
    held: str = "RBP24,RBP15,RBP30"
    smoke: bool = False


class Task:
    """The data of one run, on a device."""

    def __init__(self, config: Config, device: torch.device) -> None:
        self.config, self.device = config, device
        self.probes = rnacompete.load()
        known = [p for p in self.probes.proteins if p != rnacompete.NOISE]
        self.proteins = tuple(known[-8:-4] if config.smoke else known)
        self.columns = [self.probes.proteins.index(p) for p in self.proteins]
        parts = self.probes.split()
        self.train = parts.train
        values = self.probes.intensity[:, self.columns]
        # Figures are of the probes that every protein has a value of, training is of all.
        complete = ~np.any(np.isnan(values), axis=1)
        self.valid, self.test = (rows[complete[rows]] for rows in (parts.valid, parts.test))
        self.set_a = np.flatnonzero(self.probes.set_a & complete)
        self.complete = complete
        if config.smoke:
            self.train, self.valid = self.train[::27], self.valid[::12]
        self.scales = [Scale.of(column, clip=False) for column in values[self.train].T]
        scaled = [scale.apply(column) for scale, column in zip(self.scales, values.T, strict=True)]
        self.targets = torch.from_numpy(np.stack(scaled, 1)).to(device)
        self.letters = torch.from_numpy(self.probes.letters).to(device)

    def known(self, rows: NDArray[np.int64]) -> Floats:
        """Intensities of rows, shape (n, proteins)."""
        return self.probes.intensity[rows][:, self.columns]

    def run(self, network: nn.Module, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Scaled affinities (n, outputs) and embeddings (n, hidden) of rows, in ``eval()``."""
        affinity, embedding = infer(network, self.probes.letters[rows])
        return affinity, embedding

    def predict(self, network: nn.Module, rows: NDArray[np.int64]) -> Floats:
        """Scaled affinities of rows."""
        return self.run(network, rows)[0].numpy()
