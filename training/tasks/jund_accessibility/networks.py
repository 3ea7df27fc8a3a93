"""Networks for transcription-factor binding from letters and chromatin accessibility.

Three branches read the sequence: `SequenceCNN`, `SequenceMLP`, `SequenceLSTM`. Accessibility joins
what they found before the last layer. The course's own networks stand below, for its preset.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...lab.letters import LetterTable
from ..jund.networks import SequenceCNN

FLOOR = 5e-4  # added before the logarithm: many segments have accessibility 0


class SequenceMLP(nn.Module):
    """All letters at once: one-hot, flattened, two layers.

    Parameters
    ----------
    length
        Letters of a sequence.
    hidden
        Width of the first layer.
    width
        Of the embedding.
    dropout
        After the first layer.
    """

    def __init__(
        self, *, length: int = 101, hidden: int = 256, width: int = 32, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.letters = LetterTable()
        self.first = nn.Linear(4 * length, hidden)
        self.dropout = nn.Dropout(dropout)
        self.second = nn.Linear(hidden, width)
        self.last = nn.Linear(width, 1)

    def embed(self, letters: Tensor) -> Tensor:
        """uint8 letters (N, length) to what the last layer sees, (N, width)."""
        hidden = functional.relu(self.first(self.letters(letters).flatten(1)))
        return functional.relu(self.second(self.dropout(hidden)))


class SequenceLSTM(nn.Module):
    """A valid convolution, max pooling, then an LSTM in both directions; its last states are read.

    Parameters
    ----------
    filters, kernel, pool
        Of the convolution and the max pooling after it.
    hidden
        Of the LSTM, in each direction.
    width
        Of the embedding.
    dropout
        After the LSTM.
    """

    def __init__(
        self,
        *,
        filters: int = 64,
        kernel: int = 8,
        pool: int = 4,
        hidden: int = 32,
        width: int = 32,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.letters = LetterTable()
        self.trunk = nn.Sequential(
            nn.Conv2d(4, filters, (1, kernel)), nn.ReLU(), nn.MaxPool2d((1, pool))
        )
        self.lstm = nn.LSTM(filters, hidden, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.second = nn.Linear(2 * hidden, width)
        self.last = nn.Linear(width, 1)

    def embed(self, letters: Tensor) -> Tensor:
        """uint8 letters (N, L) to what the last layer sees, (N, width)."""
        maps = self.trunk(self.letters(letters)).squeeze(2)
        _, (states, _) = self.lstm(maps.transpose(1, 2))
        both = torch.cat([states[0], states[1]], 1)
        return functional.relu(self.second(self.dropout(both)))


Branch = SequenceCNN | SequenceMLP | SequenceLSTM


class WithAccessibility(nn.Module):
    """A branch of the sequence, and a head of three numbers that joins accessibility to it.

    Parameters
    ----------
    branch
        Of one logit.
    mean, deviation
        Of the logarithm of accessibility on train.

    Attributes
    ----------
    head
        Float buffer, shape (3,): slopes of the branch's logit and of the standardised logarithm of
        accessibility, and a bias.
    """

    head: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, branch: Branch, mean: float = 0.0, deviation: float = 1.0) -> None:
        super().__init__()
        self.branch = branch
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("deviation", torch.tensor(deviation))
        self.register_buffer("head", torch.tensor([1.0, 1.0, 0.0]))

    def openness(self, accessibility: Tensor) -> Tensor:
        """Accessibility (N, 1) as its standardised logarithm (N, 1)."""
        return (torch.log(accessibility + FLOOR) - self.mean) / self.deviation

    def sequence_logit(self, letters: Tensor) -> Tensor:
        """uint8 letters (N, L) to the branch's logit (N, 1)."""
        return self.branch.last(self.branch.embed(letters))

    def joined(self, sequence_logit: Tensor, accessibility: Tensor) -> Tensor:
        """The branch's logit (N, 1) and accessibility (N, 1) to the logit of binding (N, 1)."""
        opened = self.openness(accessibility)
        return self.head[0] * sequence_logit + self.head[1] * opened + self.head[2]

    def forward(self, letters: Tensor, accessibility: Tensor) -> Tensor:
        """uint8 letters (N, L) and accessibility (N, 1) to logits (N, 1)."""
        return self.joined(self.sequence_logit(letters), accessibility)


class ProbabilityWithAccessibility(nn.Module):
    """What is shipped: `WithAccessibility` with its two last linear steps as one layer."""

    def __init__(self, network: WithAccessibility) -> None:
        super().__init__()
        self.network = network
        inner = network.branch.last
        self.last = nn.Linear(inner.in_features + 1, 1)
        with torch.no_grad():
            slope, openness, bias = network.head
            self.last.weight.copy_(torch.cat([slope * inner.weight, openness.view(1, 1)], 1))
            self.last.bias.copy_(slope * inner.bias + bias)

    def forward(self, sequence: Tensor, accessibility: Tensor) -> tuple[Tensor, Tensor]:
        """Letters (N, L) and accessibility (N, 1) to probabilities (N,) and embeddings (N, D+1)."""
        opened = self.network.openness(accessibility)
        embedding = torch.cat([self.network.branch.embed(sequence), opened], 1)
        return torch.sigmoid(self.last(embedding)).squeeze(1), embedding


class CourseMLP(nn.Module):
    """The course's: the flattened one-hot, one layer of 256, accessibility before the last."""

    def __init__(self, *, length: int = 101, hidden: int = 256) -> None:
        super().__init__()
        self.letters = LetterTable()
        self.first = nn.Linear(4 * length, hidden)
        self.last = nn.Linear(hidden + 1, 1)

    def forward(self, letters: Tensor, accessibility: Tensor) -> Tensor:
        """uint8 letters (N, length) and accessibility (N, 1) to logits (N, 1)."""
        hidden = functional.relu(self.first(self.letters(letters).flatten(1)))
        return self.last(torch.cat([hidden, accessibility], 1))


class CourseCNN(nn.Module):
    """The course's: 8 filters of 8, dropout, max pooling by 16, accessibility, two layers.

    ``hidden`` cannot be read in the document.
    """

    def __init__(self, *, length: int = 101, hidden: int = 128) -> None:
        super().__init__()
        self.letters = LetterTable()
        self.trunk = nn.Sequential(
            nn.Conv2d(4, 8, (1, 8)),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.MaxPool2d((1, 16), stride=(1, 4)),
        )
        places = (length - 7 - 16) // 4 + 1
        self.second = nn.Linear(8 * places + 1, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.last = nn.Linear(hidden, 1)

    def forward(self, letters: Tensor, accessibility: Tensor) -> Tensor:
        """uint8 letters (N, length) and accessibility (N, 1) to logits (N, 1)."""
        maps = self.trunk(self.letters(letters)).flatten(1)
        hidden = functional.relu(self.second(torch.cat([maps, accessibility], 1)))
        return self.last(self.norm(hidden))


class CourseLSTM(nn.Module):
    """The course's: an LSTM over the letters, accessibility, two layers with dropout 0.2, the last.

    The three widths cannot be read in the document.
    """

    def __init__(self, *, hidden: int = 32, first: int = 64, second: int = 32) -> None:
        super().__init__()
        self.letters = LetterTable()
        self.lstm = nn.LSTM(4, hidden, batch_first=True)
        self.layers = nn.Sequential(
            nn.Linear(hidden + 1, first),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(first, second),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(second, 1),
        )

    def forward(self, letters: Tensor, accessibility: Tensor) -> Tensor:
        """uint8 letters (N, L) and accessibility (N, 1) to logits (N, 1)."""
        hot = self.letters(letters).squeeze(2).transpose(1, 2)
        _, (states, _) = self.lstm(hot)
        return self.layers(torch.cat([states[0], accessibility], 1))
