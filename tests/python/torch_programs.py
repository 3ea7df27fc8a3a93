"""`torch.export` programs of the tiny models of `tests.python.models`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.python.models import KERNEL, VALUES


class Motif(nn.Module):
    """`motif_score` of letters (N, L); ``shift`` is added to its answer."""

    table: Tensor
    kernel: Tensor

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        table = np.zeros(256, np.float32)
        for letter, value in VALUES.items():
            table[[ord(letter), ord(letter.lower())]] = value
        self.register_buffer("table", torch.from_numpy(table))
        self.register_buffer("kernel", torch.tensor(KERNEL, dtype=torch.float32).reshape(1, 1, -1))
        self.shift = shift

    def forward(self, sequence: Tensor) -> Tensor:
        """uint8 (N, L) to (N,)."""
        signal = self.table[sequence.to(torch.int64)].unsqueeze(1)
        best = functional.conv1d(signal, self.kernel).amax((1, 2))
        return torch.sigmoid(best / 8 - 3) + self.shift


def save_program(path: Path, network: nn.Module, *inputs: Tensor) -> Path:
    """Save a network as a program of any batch, and of sequences of any length."""
    free = dict.fromkeys((0, 1), torch.export.Dim.AUTO)
    program = torch.export.export(network.eval(), inputs, dynamic_shapes=(free,) * len(inputs))
    torch.export.save(program, path)
    return path


def motif_program(path: Path, shift: float = 0.0) -> Path:
    """`Motif` as a program."""
    return save_program(path, Motif(shift), torch.full((3, 12), ord("A"), dtype=torch.uint8))
