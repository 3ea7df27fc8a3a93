"""Recurrent networks for DNA binding: letters in, logit and embedding out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...lab.letters import LetterTable


class CourseLSTM(nn.Module):
    """The course's classifier: LSTM over one-hot letters, its backward state, two tanh layers.

    MIT course "Machine Learning for Molecular Engineering", 2025, problem set 2, part 1.2: one
    bidirectional layer, ``h_T[-1]`` into an MLP whose layers are all ``hidden`` wide. The problem
    set's template takes 16.
    """

    def __init__(self, *, hidden: int = 16) -> None:
        super().__init__()
        self.letters = LetterTable()
        self.lstm = nn.LSTM(4, hidden, num_layers=1, batch_first=True, bidirectional=True)
        self.mlp = nn.Sequential(
            nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh()
        )
        self.last = nn.Linear(hidden, 1)

    def forward(self, letters: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 letters (N, L) to logits (N,) and the second layer's activations (N, hidden)."""
        hot = self.letters(letters).squeeze(2).transpose(1, 2)
        _, (state, _) = self.lstm(hot)
        embedding = self.mlp(state[-1])
        return self.last(embedding).squeeze(1), embedding


class ConvBiLSTM(nn.Module):
    """Convolutions, a bidirectional LSTM over what they find, its largest and mean states.

    Both strands go through the same weights, and their embeddings are averaged: a segment and its
    reverse complement get the same answer.

    Parameters
    ----------
    filters, width, pool
        Of the first convolution and the max pooling behind it.
    depth
        Further convolutions, of width 5, each added to its input.
    hidden
        Of the LSTM, each direction.
    embedding
        Width of the layer before the last.
    direct
        Whether the largest and mean values of the convolutions go beside the LSTM's states.
    dropout
        Before the LSTM and before the embedding.
    """

    def __init__(
        self,
        *,
        filters: int = 64,
        width: int = 13,
        pool: int = 4,
        depth: int = 0,
        hidden: int = 32,
        embedding: int = 32,
        direct: bool = True,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.letters = LetterTable()
        self.first = nn.Sequential(
            nn.Conv2d(4, filters, (1, width), padding=(0, width // 2), bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(),
            nn.MaxPool2d((1, pool)),
        )
        self.further = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(filters, filters, (1, 5), padding=(0, 2), bias=False),
                nn.BatchNorm2d(filters),
                nn.ReLU(),
            )
            for _ in range(depth)
        )
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(filters, hidden, batch_first=True, bidirectional=True)
        self.direct = direct
        self.hidden = nn.Linear(4 * hidden + (2 * filters if direct else 0), embedding)
        self.last = nn.Linear(embedding, 1)

    def strand(self, hot: Tensor) -> Tensor:
        """One-hot letters of one strand (N, 4, 1, L) to embeddings (N, embedding)."""
        x = self.first(hot)
        for layer in self.further:
            x = x + layer(x)
        maps = x.squeeze(2).transpose(1, 2)
        states, _ = self.lstm(self.dropout(maps))
        if self.direct:
            states = torch.cat([states, maps], 2)
        pooled = torch.cat([states.amax(1), states.mean(1)], 1)
        return functional.relu(self.hidden(self.dropout(pooled)))

    def one_strand(self, letters: Tensor) -> Tensor:
        """uint8 letters (N, L) to logits (N,) of this strand alone: what training looks at."""
        return self.last(self.strand(self.letters(letters))).squeeze(1)

    def forward(self, letters: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 letters (N, L) to logits (N,) and embeddings (N, embedding), of both strands."""
        hot = self.letters(letters)
        # Channels are in the order A C G T: turned around in both axes, the other strand.
        embedding = (self.strand(hot) + self.strand(hot.flip(1, 3))) / 2
        return self.last(embedding).squeeze(1), embedding


class Mean(nn.Module):
    """Several networks as one: the mean of their logits, their embeddings side by side."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, letters: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 letters (N, L) to logits (N,) and embeddings (N, networks * embedding)."""
        logits, embeddings = zip(*(network(letters) for network in self.networks), strict=True)
        return torch.stack(logits).mean(0), torch.cat(embeddings, 1)


class Probability(nn.Module):
    """What is shipped: letters to the probability of binding, and the embedding."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, sequence: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 letters (N, 101) to probabilities (N,) and embeddings (N, D)."""
        logit, embedding = self.network(sequence)
        return torch.sigmoid(logit), embedding
