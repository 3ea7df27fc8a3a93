"""Networks for transcription-factor binding: letters in, logits out."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...lab.letters import LetterTable


class TiedConv(nn.Module):
    """A first convolution whose second half of filters is the first half's reverse complements.

    Channels are in the order A C G T, so a filter turned around in both axes is its reverse
    complement.
    """

    def __init__(self, filters: int, width: int) -> None:
        super().__init__()
        if filters % 2:
            raise ValueError(f"tied filters come in pairs, not {filters}")
        self.free = nn.Conv2d(4, filters // 2, (1, width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, 1, L) to (N, filters, 1, L - width + 1)."""
        weight, bias = self.free.weight, self.free.bias
        assert bias is not None
        weight = torch.cat([weight, weight.flip(1, 3)])
        return functional.conv2d(x, weight, torch.cat([bias, bias]))


class SequenceCNN(nn.Module):
    """Valid convolutions, then the largest and the mean value of each filter, then two layers.

    Every position is treated alike, so the network can be slid along a genome.

    Parameters
    ----------
    convs
        (filters, width, max pooling) of each convolution; no padding, ReLU after each.
    tied
        Whether the first convolution is a `TiedConv`.
    hidden
        Width of the layer before the last.
    outputs
        Logits; the first is binding, the others are auxiliary and are not shipped.
    dropout
        Before the hidden layer.
    """

    def __init__(
        self,
        *,
        convs: Sequence[tuple[int, int, int]] = ((128, 8, 1),),
        tied: bool = False,
        hidden: int = 32,
        outputs: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.letters = LetterTable()
        layers: list[nn.Module] = []
        channels, self.receptive_field, step = 4, 1, 1
        for i, (filters, width, pool) in enumerate(convs):
            convolution = (
                TiedConv(filters, width)
                if tied and i == 0
                else nn.Conv2d(channels, filters, (1, width))
            )
            layers += [convolution, nn.ReLU()]
            self.receptive_field += (width - 1) * step
            if pool > 1:
                layers.append(nn.MaxPool2d((1, pool)))
                self.receptive_field += (pool - 1) * step
                step *= pool
            channels = filters
        self.trunk = nn.Sequential(*layers)
        self.norm: nn.Module = nn.BatchNorm1d(2 * channels)
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(2 * channels, hidden)
        self.last = nn.Linear(hidden, outputs)

    def embed(self, letters: Tensor) -> Tensor:
        """uint8 letters (N, L) to what the last layer sees, (N, hidden)."""
        maps = self.trunk(self.letters(letters)).squeeze(2)
        pooled = torch.cat([maps.amax(2), maps.mean(2)], 1)
        return functional.relu(self.hidden(self.dropout(self.norm(pooled))))

    def forward(self, letters: Tensor) -> Tensor:
        """uint8 letters (N, L) to logits (N, outputs)."""
        return self.last(self.embed(letters))

    @torch.no_grad()
    def binding_only(self) -> SequenceCNN:
        """The same network in ``eval()``, with the binding logit alone and the norm folded away."""
        bare = copy.deepcopy(self).eval()
        scale = self.norm.weight / torch.sqrt(self.norm.running_var + self.norm.eps)
        shift = self.norm.bias - self.norm.running_mean * scale
        bare.hidden.bias.add_(bare.hidden.weight @ shift)
        bare.hidden.weight.mul_(scale)
        bare.norm = nn.Identity()
        bare.last = nn.Linear(self.last.in_features, 1, device=self.last.weight.device)
        bare.last.weight.copy_(self.last.weight[:1])
        bare.last.bias.copy_(self.last.bias[:1])
        return bare


class BookCNN(nn.Module):
    """The book's network: three padded convolutions of 15 filters of 10, dropout, one layer.

    Ramsundar, Eastman, Walters, Pande, "Deep Learning for the Life Sciences" (2019), chapter 6.
    """

    def __init__(self, *, length: int = 101, filters: int = 15, width: int = 10) -> None:
        super().__init__()
        self.letters = LetterTable()
        layers: list[nn.Module] = []
        for channels in (4, filters, filters):
            # An even width pads one more on the right, as TensorFlow's "same" does.
            left = (width - 1) // 2
            layers += [
                nn.ZeroPad2d((left, width - 1 - left, 0, 0)),
                nn.Conv2d(channels, filters, (1, width)),
                nn.ReLU(),
                nn.Dropout(0.5),
            ]
        self.trunk = nn.Sequential(*layers)
        self.last = nn.Linear(filters * length, 1)

    def forward(self, letters: Tensor) -> Tensor:
        """uint8 letters (N, length) to logits (N, 1)."""
        return self.last(self.trunk(self.letters(letters)).flatten(1))


class Probability(nn.Module):
    """What is shipped: letters to the probability of binding, and the embedding."""

    def __init__(self, network: SequenceCNN) -> None:
        super().__init__()
        self.network = network

    def forward(self, sequence: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 letters (N, 101) to probabilities (N,) and embeddings (N, hidden)."""
        embedding = self.network.embed(sequence)
        return torch.sigmoid(self.network.last(embedding)).squeeze(1), embedding
