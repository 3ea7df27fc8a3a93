"""Networks for enhancers: letters in, a logit per kind of cell out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .letters import LetterTable


class EnhancerCNN(nn.Module):
    """Convolutions over the one-hot letters, then two layers; in ``eval()`` over both strands.

    While it trains it sees the strand that it is given. In ``eval()`` it sees both, and the hidden
    layer is their mean: a sequence and its reverse complement give the same answer.

    Parameters
    ----------
    filters, width, pool
        Of the first convolution: kernels, their width, and the max pooling after it.
    further
        (filters, width, max pooling) of each further convolution.
    length
        Letters of a sequence; 0 for any length: then the largest and the mean value of each filter
        is all that goes on, otherwise its value at every place.
    hidden
        Width of the layer before the last.
    outputs
        Logits.
    dropout
        Share of values set to zero before and after the hidden layer.
    """

    def __init__(
        self,
        *,
        filters: int = 128,
        width: int = 13,
        pool: int = 4,
        further: Sequence[tuple[int, int, int]] = ((96, 5, 2), (96, 3, 2)),
        length: int = 0,
        hidden: int = 64,
        outputs: int = 4,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.letters = LetterTable()
        layers: list[nn.Module] = []
        channels, places = 4, length
        for number, size, step in ((filters, width, pool), *further):
            layers += [
                nn.Conv2d(channels, number, (1, size), padding=(0, size // 2), bias=False),
                nn.BatchNorm2d(number),
                nn.ReLU(),
            ]
            if step > 1:
                layers.append(nn.MaxPool2d((1, step)))
            channels, places = number, (places + 2 * (size // 2) - size + 1) // step
        self.trunk = nn.Sequential(*layers)
        self.fixed = length > 0
        self.before = nn.Dropout(dropout)
        self.hidden = nn.Linear(channels * (places if length else 2), hidden)
        self.after = nn.Dropout(dropout)
        self.last = nn.Linear(hidden, outputs)

    @property
    def first(self) -> Tensor:
        """Weights of the first convolution, shape (filters, 4, width)."""
        layer = self.trunk[0]
        assert isinstance(layer, nn.Conv2d)
        return layer.weight.squeeze(2)

    def strand(self, hot: Tensor) -> Tensor:
        """One-hot (N, 4, 1, L) to the hidden layer (N, hidden)."""
        maps = self.trunk(hot).squeeze(2)
        flat = maps.flatten(1) if self.fixed else torch.cat([maps.amax(2), maps.mean(2)], 1)
        return functional.relu(self.hidden(self.before(flat)))

    def embed(self, letters: Tensor) -> Tensor:
        """uint8 letters (N, L) to the hidden layer (N, hidden)."""
        hot = self.letters(letters)
        if self.training:
            return self.strand(hot)
        # Channels are in the order A C G T: turned around in both axes is the other strand.
        return (self.strand(hot) + self.strand(hot.flip(1, 3))) / 2

    def forward(self, letters: Tensor) -> Tensor:
        """uint8 letters (N, L) to logits (N, outputs)."""
        return self.last(self.after(self.embed(letters)))
