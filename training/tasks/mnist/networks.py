"""The network that reads handwritten digits: convolutions, max pooling, a small perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..codon.networks import ACTIVATIONS

SIDE, CLASSES = 28, 10
ACTIVATE = ("before", "after")


class DigitNet(nn.Module):
    """Blocks of convolutions that end in max pooling by two, then a perceptron and softmax.

    The defaults are the network of the "Deep learning workshop" homework, question 1: 1 to 8
    channels, 8 to 16 (both 5x5), 256 and 64 hidden units. The homework writes it twice, as a class
    and as an ``nn.Sequential``; this class has the two ``nn.Sequential``, ``features`` and
    ``head``, that the class would have, so it is both.

    Parameters
    ----------
    blocks
        Channels of the convolutions of each block; a max pooling by two ends a block.
    kernel
        Side of the convolutions' kernels, odd if there is padding.
    padding
        Whether a convolution keeps the size (``kernel // 2`` zeros on each side) or shrinks it by
        ``kernel - 1``.
    hidden
        Units of the hidden layers.
    activation
        A key of `translation.ACTIVATIONS`.
    activate
        Whether the last activation of a block comes ``"before"`` or ``"after"`` the max pooling.
        The results are the same if the activation never decreases (ReLU, ELU, tanh; not GELU);
        after it there is a quarter of the numbers to activate.
    norm
        Batch normalisation between each layer and its activation: ``BatchNorm2d`` of a
        convolution, ``BatchNorm1d`` of a hidden layer; the layer's own bias is then left out.
    dropout
        Share of the last hidden layer's inputs, and of its outputs, that training leaves out.

    Raises
    ------
    ValueError
        An unknown activation or place of it; no hidden layer; blocks that leave no pixel.
    """

    def __init__(
        self,
        *,
        blocks: Sequence[Sequence[int]] = ((8,), (16,)),
        kernel: int = 5,
        padding: bool = False,
        hidden: Sequence[int] = (256, 64),
        activation: str = "relu",
        activate: str = "before",
        norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {sorted(ACTIVATIONS)}, not {activation!r}")
        if activate not in ACTIVATE:
            raise ValueError(f"activate must be one of {ACTIVATE}, not {activate!r}")
        if not hidden:
            raise ValueError("hidden must name at least one layer: it is the embedding")
        if padding and kernel % 2 == 0:
            raise ValueError(f"padding needs an odd kernel, not {kernel}")
        self.activation, self.norm = activation, norm
        layers: list[nn.Module] = []
        channels, side = 1, SIDE
        for block in blocks:
            for i, width in enumerate(block):
                side -= 0 if padding else kernel - 1
                layers.append(
                    nn.Conv2d(channels, width, kernel, padding=kernel // 2 * padding, bias=not norm)
                )
                layers += [nn.BatchNorm2d(width)] if norm else []
                last = i == len(block) - 1
                if not last or activate == "before":
                    layers.append(ACTIVATIONS[activation]())
                channels = width
            layers.append(nn.MaxPool2d(2, 2))
            side //= 2
            if activate == "after":
                layers.append(ACTIVATIONS[activation]())
            if side < 1:
                raise ValueError(f"blocks {blocks} of kernel {kernel} leave no pixel of {SIDE}")
        self.features = nn.Sequential(*layers, nn.Flatten())
        layers = []
        widths = [channels * side * side, *hidden]
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            if dropout and i == len(hidden) - 1:
                layers.append(nn.Dropout(dropout))
            layers.append(nn.Linear(inputs, outputs, bias=not norm))
            layers += [nn.BatchNorm1d(outputs)] if norm else []
            layers.append(ACTIVATIONS[activation]())
        self.head = nn.Sequential(*layers)
        self.last = nn.Sequential(nn.Dropout(dropout), nn.Linear(widths[-1], CLASSES))

    @property
    def dimension(self) -> int:
        """Of the embedding."""
        return self.last[1].in_features

    def logits(self, grey: Tensor) -> tuple[Tensor, Tensor]:
        """Grey levels float32 (N, 1, 28, 28), 0 to 1, to logits (N, 10) and embeddings (N, D)."""
        embedding = self.head(self.features(grey))
        return self.last(embedding), embedding

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 images (N, 28, 28) to probabilities (N, 10) and embeddings (N, D)."""
        logits, embedding = self.logits(image.unsqueeze(1).float() / 255)
        return torch.softmax(logits, 1), embedding

    def describe(self) -> str:
        """One line on the layers."""
        words = []
        norm = " BatchNorm" if self.norm else ""
        for layer in (*self.features, *self.head, *self.last):
            if isinstance(layer, nn.Conv2d):
                k, pad = layer.kernel_size[0], ", padded" if layer.padding[0] else ""
                words.append(f"Conv({layer.in_channels}->{layer.out_channels}, {k}x{k}{pad}){norm}")
            elif isinstance(layer, nn.Linear):
                after = norm if layer.out_features != CLASSES else ""
                words.append(f"Linear({layer.in_features}->{layer.out_features}){after}")
            elif isinstance(layer, nn.MaxPool2d):
                words[-1] += " max pool 2"
            elif isinstance(layer, ACTIVATIONS[self.activation]):
                words[-1] += f" {self.activation}"
        return ", ".join([*words, "softmax"])


class Shifted(nn.Module):
    """The mean answer of a network to an image and to copies moved by a pixel or more.

    Parameters
    ----------
    network
        Which answers.
    shifts
        ``(down, right)`` in pixels of each copy; what comes in is black. ``(0, 0)`` is the image.
    """

    def __init__(self, network: DigitNet, shifts: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.network, self.shifts = network, tuple(shifts)
        self.reach = max(abs(pixels) for shift in self.shifts for pixels in shift)

    @property
    def dimension(self) -> int:
        """Of the embedding."""
        return self.network.dimension

    def describe(self) -> str:
        """One line on the layers."""
        return f"{self.network.describe()}; mean over {len(self.shifts)} shifts of the image"

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 images (N, 28, 28) to mean probabilities (N, 10) and embeddings (N, D)."""
        reach = self.reach
        padded = nn.functional.pad(image.float() / 255, (reach,) * 4)
        views = [
            padded[:, reach - down : reach - down + SIDE, reach - right : reach - right + SIDE]
            for down, right in self.shifts
        ]
        logits, embedding = self.network.logits(torch.cat(views).unsqueeze(1))
        count = len(self.shifts)
        probability = torch.softmax(logits, 1).reshape(count, -1, CLASSES).mean(0)
        return probability, embedding.reshape(count, -1, self.dimension).mean(0)
