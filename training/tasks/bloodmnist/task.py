"""The blood cells as a task of training: configuration, images, validation."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ...lab import multiclass
from ...lab.loop import infer
from . import data as bloodmnist
from .data import Cells
from .networks import scaled

MODELS = ("best", "cnn", "cnn-pool")
# The document's recipe.
COURSE_BATCH, COURSE_LR, COURSE_OPTIMIZER = 64, 1e-3, "adam-fused"
OUTPUTS = ("logits", "softmax")  # what its cross entropy is given


@dataclass(frozen=True)
class Config:
    """Everything that decides the result; also the command line.

    Attributes
    ----------
    edition
        Of the data, see `datasets.bloodmnist`.
    epochs
        0 is the default: 16 for ``best``, 15 for ``cnn-pool``, 6 for ``cnn``, and for preset
        ``course`` the document's 200.
    members
        Of ``best``: networks, each of its own seed, whose mean is shipped.
    batch, lr, weight_decay, ema, smoothing, dropout
        Of ``best``; the document's networks have its batch of 64 and Adam at 1e-3.
    precision
        While training: ``bf16`` (autocast) is faster on processors that have it; the default is
        ``bf16`` for ``best``, ``fp32`` for the document's networks. Validation, test and the
        shipped models are float32.
    """

    preset: str = field(default="best", metadata={"choices": ("best", "course")})
    model: str = field(default="best", metadata={"choices": MODELS})
    edition: str = field(default="rebuild", metadata={"choices": bloodmnist.EDITIONS})
    seed: int = 0
    epochs: int = 0
    members: int = 1
    batch: int = 64
    lr: float = 3e-3
    weight_decay: float = 0.05
    ema: float = 0.998
    smoothing: float = 0.1
    dropout: float = 0.2
    precision: str = field(default="", metadata={"choices": ("", "bf16", "fp32")})
    smoke: bool = False

    @property
    def passes(self) -> int:
        """Epochs that this run takes."""
        if self.smoke:
            return 2
        if self.preset == "course":
            return self.epochs or 200
        return self.epochs or {"best": 16, "cnn-pool": 15, "cnn": 6}[self.model]

    @property
    def half(self) -> bool:
        """Whether training computes in bfloat16."""
        return (self.precision or {"best": "bf16"}.get(self.model, "fp32")) == "bf16"

    @property
    def in_force(self) -> dict[str, Any]:
        """What was in force, for a card."""
        precision = "bf16" if self.half else "fp32"
        fields = asdict(self) | {"epochs": self.passes, "precision": precision}
        if self.model == "best":
            return fields
        names = ("preset", "model", "edition", "seed", "epochs", "precision", "smoke")
        return {name: fields[name] for name in names} | {
            "optimizer": "adam",
            "lr": COURSE_LR,
            "batch": COURSE_BATCH,
        }


def course_loss(logits: Tensor, labels: Tensor, output: str) -> Tensor:
    """Cross entropy of the logits or, in error, of their softmax (`OUTPUTS`)."""
    given = torch.softmax(logits, 1) if output == "softmax" else logits
    return functional.cross_entropy(given, labels)


class Task:
    """The images of one run, on a device. Test is read when it is asked for."""

    def __init__(self, config: Config, device: torch.device) -> None:
        self.config, self.device = config, device
        self.train, self.valid = self.part("train"), self.part("valid")
        if config.smoke:
            self.train, self.valid = self.train[::20], self.valid[::8]
        self.images = scaled(torch.from_numpy(self.train.images)).to(device)
        self.labels = torch.from_numpy(self.train.labels).to(device)

    def part(self, split: Any) -> Cells:
        """A split of the run's edition."""
        edition: Any = self.config.edition
        return bloodmnist.load(split, edition)

    def rows(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """`scaled` images and classes of rows of train, on the device."""
        chosen = torch.from_numpy(rows).to(self.device)
        return self.images[chosen], self.labels[chosen]

    def logits(self, network: nn.Module, cells: Cells) -> Tensor:
        """Logits of a single network in ``eval()``, float32 (n, 8), on the CPU."""
        return infer(
            network, cells.images, batch=256, call=lambda image: network.logits(scaled(image))
        )[0]

    def probability(self, network: nn.Module, cells: Cells) -> NDArray[np.float32]:
        """Probabilities of a `CellClassifier` in ``eval()``, shape (n, 8)."""
        return infer(network, cells.images, batch=64)[0].numpy()

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Figures of an epoch, on validation, of the images as they are."""
        logits, truth = self.logits(network, self.valid), self.valid.labels
        probability = torch.softmax(logits, 1).numpy()
        return {
            "valid_loss": float(functional.cross_entropy(logits, torch.from_numpy(truth))),
            "accuracy": multiclass.accuracy(truth, probability),
            "roc_auc": multiclass.roc_auc(truth, probability),
        }
