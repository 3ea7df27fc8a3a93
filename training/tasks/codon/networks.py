"""The network that translates: a convolution that steps from codon to codon."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqtile import one_hot

from ...lab.letters import LetterTable

RESIDUES = "ACDEFGHIKLMNPQRSTVWY*"  # seqtile's order of the protein alphabet
CODON = 3

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
}


class CodonNet(nn.Module):
    """Convolution of stride 3, norm, activation; 1x1, norm, activation; 1x1, softmax.

    The network of the "Deep learning workshop" homework, question 4b, with its one-dimensional
    convolutions written as two-dimensional ones of height 1. It sees one codon at a time, so the
    sequence may have any number of them.

    Parameters
    ----------
    first, second
        Channels of the first and the second convolution.
    activation
        A key of ACTIVATIONS.
    """

    def __init__(self, *, first: int = 64, second: int = 64, activation: str = "relu") -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {sorted(ACTIVATIONS)}, not {activation!r}")
        self.letters = LetterTable()
        self.trunk = nn.Sequential(
            nn.Conv2d(4, first, (1, CODON), stride=(1, CODON)),
            nn.BatchNorm2d(first),
            ACTIVATIONS[activation](),
            nn.Conv2d(first, second, 1),
            nn.BatchNorm2d(second),
            ACTIVATIONS[activation](),
        )
        self.last = nn.Conv2d(second, len(RESIDUES), 1)

    def logits(self, hot: Tensor) -> tuple[Tensor, Tensor]:
        """float32 one-hot letters (N, 4, L) to logits (N, 21, L // 3) and the second activations.

        The convolution leaves out letters behind the last whole codon without a word; callers
        answer for the length.
        """
        embedding = self.trunk(hot.unsqueeze(2))
        return self.last(embedding).squeeze(2), embedding.squeeze(2)

    def forward(self, sequence: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 letters (N, 3n) to probabilities (N, 21, n) and embeddings (N, second, n).

        Rows of a probability are in the order of RESIDUES, so `seqtile.decode` reads them.
        """
        logits, embedding = self.logits(self.letters(sequence).squeeze(2))
        return torch.softmax(logits, 1), embedding


def residues(protein: str) -> Tensor:
    """A protein as the target of the network: float32 one-hot, shape (21, len(protein))."""
    return torch.from_numpy(one_hot(protein, alphabet="protein", unknown="raise"))
