"""The liver enhancers as a task of training: configuration, data, networks, loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ...lab.letters import turned
from ...lab.loop import FitConfig, Shuffled, infer
from ...lab.metrics import pr_auc, roc_auc
from . import data
from .data import Sites
from .networks import CourseCNN, EnhancerCNN

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Config:
    """Everything that decides the result; also the command line.

    Attributes
    ----------
    kernel
        Width of the first convolution; 0 is the best of ``kernel_sizes`` by ROC AUC.
    kernel_sizes
        Widths to compare, with commas; none if empty.
    compare_folds, compare_epochs
        Folds and epochs of that comparison.
    folds
        Folds of the cross-validation of the recipe, of one network.
    networks
        Of which the shipped one is the mean, of different seeds: ``width:pool`` of the first
        convolution of each, with commas; width 0 is that of ``kernel``. Narrow filters are a little
        better; wide ones, most of all before a wide pooling, hold whole motifs, of which narrow
        ones leave the making to the next layer (Koo and Eddy, PLoS Computational Biology 15, 2019).
    shift
        Largest shift of a training sequence, in bases; what comes in is unknown letters.
    """

    preset: str = field(default="best", metadata={"choices": ("best", "course")})
    seed: int = 0
    kernel: int = 0
    kernel_sizes: str = "5,7,11,15,19"
    compare_folds: int = 2
    compare_epochs: int = 2
    folds: int = 5
    networks: str = "0:4,0:4,15:4,19:20"
    epochs: int = 8
    batch: int = 256
    lr: float = 3e-3
    weight_decay: float = 0.02
    dropout: float = 0.4
    ema: float = 0.995
    shift: int = 10
    smoke: bool = False

    @property
    def widths(self) -> list[int]:
        """The kernel sizes to compare."""
        return [int(size) for size in self.kernel_sizes.split(",") if size]

    def shapes(self, kernel: int) -> list[tuple[int, int]]:
        """Width and pooling of the first convolution of each network, given the best width."""
        pairs = [part.split(":") for part in self.networks.split(",")]
        return [(int(width) or kernel, int(pool)) for width, pool in pairs]

    def __post_init__(self) -> None:
        if not self.kernel and not self.widths:
            raise ValueError("--kernel 0 takes the best of --kernel-sizes, but there are none")


class Task:
    """The data of one run but for chromosome 1, on a device."""

    def __init__(self, config: Config, device: torch.device) -> None:
        self.config, self.device = config, device
        sites = data.load()
        self.sites = sites[sites.chromosome != data.CHROMOSOMES.index(data.TEST)]
        if config.smoke:
            self.sites = self.sites[::40]
        self.valid = self.sites.on(data.VALID)
        self.train = self.sites.on(*(c for c in data.CHROMOSOMES if c != data.VALID))

    def fold(self, held: int) -> tuple[Sites, Sites]:
        """The sites of the other folds, and of this one."""
        folds = data.folds()
        others = [name for i, names in enumerate(folds) if i != held for name in names]
        return self.sites.on(*others), self.sites.on(*folds[held])

    def network(self, kernel: int, pool: int = 4) -> nn.Module:
        """A new network of the preset, of this first convolution."""
        if self.config.preset == "course":
            return CourseCNN(width=kernel).to(self.device)
        network = EnhancerCNN(
            width=kernel, pool=pool, length=data.LENGTH, dropout=self.config.dropout
        )
        # Faster on the CPU by a third.
        return network.to(self.device, memory_format=torch.channels_last)

    def scores(self, network: nn.Module, letters: NDArray[np.uint8]) -> Floats:
        """Probabilities of liver, float64, shape (n,), in ``eval()``."""
        (logits,) = infer(network, letters)
        return _probability(logits).double().numpy()

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Figures of an epoch, on chromosome 2."""
        scores, liver = self.scores(network, self.valid.letters), self.valid.liver
        right = np.where(liver > 0.5, scores, 1 - scores)
        return {
            "valid_loss": float(-np.log(np.maximum(right, 1e-12)).mean()),
            "roc_auc": roc_auc(liver, scores),
            "pr_auc": pr_auc(liver, scores),
        }

    def loss(self, train: Sites) -> tuple[Callable[[nn.Module, np.random.Generator], Tensor], int]:
        """The loss of a batch of these sites, and the number of batches in an epoch."""
        config = self.config
        shuffled = Shuffled(len(train), config.batch)
        course = config.preset == "course"
        liver = torch.from_numpy(train.liver).to(self.device)
        cell = torch.from_numpy(train.cell.astype(np.int64)).to(self.device)

        def loss(model: nn.Module, rng: np.random.Generator) -> Tensor:
            rows = shuffled(rng)
            letters = train.letters[rows]
            if not course:
                letters = augmented(letters, rng, config.shift)
            logits = model(torch.from_numpy(letters).to(self.device))
            chosen = torch.from_numpy(rows).to(self.device)
            if course:
                return functional.binary_cross_entropy_with_logits(logits[:, 0], liver[chosen])
            return functional.cross_entropy(logits, cell[chosen])

        return loss, shuffled.steps_per_epoch

    def plan(self, epochs: int, steps: int, *, seed: int, **options: Any) -> FitConfig:
        """How the preset fits: epochs of so many steps."""
        config = self.config
        if config.preset == "course":
            return FitConfig(
                steps=epochs * steps,
                lr=1e-3,
                optimizer="adam",
                schedule="constant",
                seed=seed,
                **options,
            )
        return FitConfig(
            steps=epochs * steps,
            lr=config.lr,
            weight_decay=config.weight_decay,
            ema=config.ema,
            seed=seed,
            **options,
        )


def augmented(
    letters: NDArray[np.uint8], rng: np.random.Generator, shift: int
) -> NDArray[np.uint8]:
    """Half of the rows as their reverse complements, each shifted, N where nothing is known."""
    letters = turned(letters, rng)
    if not shift:
        return letters
    n, length = letters.shape
    padded = np.full((n, length + 2 * shift), ord("N"), np.uint8)
    padded[:, shift : shift + length] = letters
    places = rng.integers(0, 2 * shift + 1, (n, 1)) + np.arange(length)
    return np.take_along_axis(padded, places, 1)


def _probability(logits: Tensor) -> Tensor:
    return torch.sigmoid(logits[:, 0]) if logits.shape[1] == 1 else torch.softmax(logits, 1)[:, 0]
