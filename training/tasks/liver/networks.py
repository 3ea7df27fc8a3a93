"""Networks for enhancers: letters in, a logit per kind of cell out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...lab.letters import LetterTable


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
                nn.MaxPool2d((1, step)) if step > 1 else nn.Identity(),
                nn.BatchNorm2d(number),
                nn.ReLU(),
            ]
            channels, places = number, (places + 2 * (size // 2) - size + 1) // step
        self.trunk = nn.Sequential(*layers)
        self.fixed = length > 0
        self.before = nn.Dropout(dropout)
        self.hidden = nn.Linear(channels * (places if length else 2), hidden)
        self.after = nn.Dropout(dropout)
        self.last = nn.Linear(hidden, outputs)

    def first_folded(self) -> tuple[Tensor, Tensor]:
        """Kernels (filters, 4, width) and biases (filters,) of the first layer, norm folded in.

        The pooling stands before the norm, so that a filter whose norm has a negative factor still
        tells the place where its kernel fits best: it counts as one of a positive factor and no
        further bias.
        """
        convolution, norm = self.trunk[0], self.trunk[2]
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        with torch.no_grad():
            scale = norm.weight.abs() / torch.sqrt(norm.running_var + norm.eps)
            kernels = convolution.weight.squeeze(2) * scale[:, None, None]
            return kernels, norm.bias.where(norm.weight > 0, 0) - norm.running_mean * scale

    def describe(self) -> str:
        """The layers in a line."""
        layers = list(self.trunk)
        parts = []
        for convolution, pool in zip(layers[::4], layers[1::4], strict=True):
            assert isinstance(convolution, nn.Conv2d)
            into, out, width = (
                convolution.in_channels,
                convolution.out_channels,
                convolution.kernel_size[1],
            )
            step = f" max pool {pool.kernel_size[1]}" if isinstance(pool, nn.MaxPool2d) else ""
            parts.append(f"Conv({into}->{out}, {width}){step} BatchNorm ReLU")
        ends = "" if self.fixed else "global max and mean, "
        hidden, last = self.hidden, self.last
        return (
            f"{', '.join(parts)}, {ends}Linear({hidden.in_features}->{hidden.out_features}) ReLU, "
            f"mean of both strands, Linear({last.in_features}->{last.out_features}), softmax"
        )

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


class CourseCNN(nn.Module):
    """The plain network of the exercise: two convolutions, global max pooling, one layer.

    The sheet asks for a CNN whose kernel size is tried out and leaves the rest open.
    """

    def __init__(self, *, filters: int = 32, width: int = 11) -> None:
        super().__init__()
        self.letters = LetterTable()
        self.trunk = nn.Sequential(
            nn.Conv2d(4, filters, (1, width), padding=(0, width // 2)),
            nn.MaxPool2d((1, 4)),
            nn.ReLU(),
            nn.Conv2d(filters, 2 * filters, (1, 5), padding=(0, 2)),
            nn.ReLU(),
        )
        self.last = nn.Linear(2 * filters, 1)

    def forward(self, letters: Tensor) -> Tensor:
        """uint8 letters (N, L) to logits (N, 1)."""
        return self.last(self.trunk(self.letters(letters)).squeeze(2).amax(2))


class EnsembleCNN(nn.Module):
    """The mean logits of some networks of one shape.

    Parameters
    ----------
    networks
        Trained alike, from different seeds.
    """

    def __init__(self, networks: Sequence[EnhancerCNN]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.hidden = sum(network.last.in_features for network in networks)

    def embed(self, letters: Tensor) -> Tensor:
        """uint8 letters (N, L) to the hidden layers side by side (N, hidden)."""
        return torch.cat([network.embed(letters) for network in self.networks], 1)

    def head(self, embedding: Tensor) -> Tensor:
        """Hidden layers (N, hidden) to logits (N, outputs)."""
        parts = embedding.split(self.hidden // len(self.networks), 1)
        logits = [net.last(part) for net, part in zip(self.networks, parts, strict=True)]
        return torch.stack(logits).mean(0)

    def forward(self, letters: Tensor) -> Tensor:
        """uint8 letters (N, L) to logits (N, outputs)."""
        return self.head(self.embed(letters))

    def first_layers(self) -> list[tuple[Tensor, Tensor]]:
        """Kernels and biases of each first layer: see `EnhancerCNN.first_folded`."""
        return [network.first_folded() for network in self.networks]

    def describe(self) -> str:
        """The layers in a line."""
        parts = "; ".join(network.describe() for network in self.networks)
        return f"mean logits of {len(self.networks)} networks: {parts}"


class Liver(nn.Module):
    """What is shipped: letters to the probability of liver, and the hidden layers."""

    def __init__(self, network: EnsembleCNN) -> None:
        super().__init__()
        self.network = network

    def forward(self, sequence: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 letters (N, 200) to probabilities (N,) and activations (N, hidden)."""
        embedding = self.network.embed(sequence)
        return torch.softmax(self.network.head(embedding), 1)[:, 0], embedding
