"""The first layer of every sequence network: raw ASCII letters to one-hot, inside the graph."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from seqtile import reverse_complement
from seqtile.sequences.sequence import one_hot


def turned(letters: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A copy of rows of letters, uint8 (n, L), with half of them as their reverse complements."""
    turn = rng.random(len(letters)) < 0.5
    return np.where(turn[:, None], reverse_complement(letters), letters)


class LetterTable(nn.Module):
    """uint8 letters of shape (N, L) to float32 one-hot of shape (N, C, 1, L), by table look-up.

    The table has a row for each byte: both cases of a letter alike, U as T, zeros for unknown
    letters and for bytes that are no letters. It is built from `seqtile.one_hot`, so that a network
    sees in training exactly what it sees when it serves. The height of 1 lets convolutions be
    written as 2-D ones, which onnxruntime runs faster on the CPU.
    """

    table: Tensor

    def __init__(self, alphabet: str = "dna") -> None:
        super().__init__()
        table = np.zeros((256, one_hot("A", alphabet=alphabet).shape[0]), np.float32)
        for byte in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz*":
            try:
                table[byte] = one_hot(bytes([byte]), alphabet=alphabet)[:, 0]
            except ValueError:  # no letter of this alphabet
                continue
        self.register_buffer("table", torch.from_numpy(table))

    def forward(self, letters: Tensor) -> Tensor:
        """See the class."""
        rows = functional.embedding(letters.to(torch.int32), self.table)
        return rows.transpose(1, 2).unsqueeze(2)
