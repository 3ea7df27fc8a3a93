"""Networks for RNA-binding proteins: letters of one short RNA in, affinities and features out.

Every network finds the RNA's end itself: trailing unknown letters are padding. Activations beyond
it are set to zero after every layer and left out of every mean, weight and state, so a prediction
does not depend on how far its batch is padded.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...lab.letters import LetterTable

N = TypeVar("N", bound="RnaNetwork")
REACH = 8.0  # letters over which the marks of both ends fade


class Front(nn.Module):
    """Letters to one-hot, with two further channels that mark the ends, and the mask of the RNA.

    The marks fall off from the first and from the last letter: the ends of a probe are bound
    otherwise than its middle.
    """

    channels = 6

    def __init__(self) -> None:
        super().__init__()
        self.letters = LetterTable("rna")

    def forward(self, letters: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (N, L) to float32 (N, 6, 1, L) and a mask of ones and zeros (N, 1, 1, L)."""
        hot = self.letters(letters)
        known = hot.sum(1, keepdim=True)
        place = torch.cumsum(torch.ones_like(known), 3)  # 1 to L
        length = (place * known).amax(3, keepdim=True)  # 0 where all is unknown
        mask = (place <= length).to(hot.dtype)
        ends = (torch.exp((1 - place) / REACH), torch.exp((place - length) / REACH))
        return torch.cat([hot, *(torch.clamp(end, max=1.0) * mask for end in ends)], 1), mask


class Conv(nn.Module):
    """A convolution that keeps the length, norm, ReLU, mask; optionally added to its input."""

    def __init__(
        self, inputs: int, filters: int, width: int, *, dilation: int = 1, residual: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs,
            filters,
            (1, width),
            padding=(0, dilation * (width // 2)),
            dilation=(1, dilation),
            bias=False,
        )
        self.norm = nn.BatchNorm2d(filters)
        self.residual = residual

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(N, inputs, 1, L) to (N, filters, 1, L)."""
        y = functional.relu(self.norm(self.conv(x))) * mask
        return x + y if self.residual else y


class Stem(nn.Module):
    """The first convolution, whose filters are motifs, and pooling by two."""

    def __init__(self, filters: int, width: int) -> None:
        super().__init__()
        self.front = Front()
        self.motifs = Conv(Front.channels, filters, width)
        self.architecture = (
            f"one-hot and marks of the ends; Conv({filters}, {width}) ReLU, max pooling by 2"
        )

    def forward(self, letters: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (N, L) to (N, filters, 1, L // 2 + 1 or less) and its mask."""
        x, mask = self.front(letters)
        return halve(self.motifs(x, mask)), halve(mask)


def halve(x: Tensor) -> Tensor:
    """The larger of two neighbours; a last one alone counts too, however far it is padded."""
    return functional.max_pool2d(functional.pad(x, (0, 1)), (1, 2))


def pool(x: Tensor, mask: Tensor) -> Tensor:
    """Largest and mean value of each channel, (N, C, 1, T) to (N, 2 C); values are not negative."""
    count = mask.sum(3).clamp(min=1.0)
    return torch.cat([x.amax(3), x.sum(3) / count], 1).squeeze(2)


class RnaNetwork(nn.Module):
    """What the three have in common: features, a hidden layer, outputs.

    Parameters
    ----------
    features
        Values that `describe` gives.
    hidden
        Width of the layer before the last: the embedding.
    outputs
        Affinities; the first is the protein's, the others, of further proteins on the same probes,
        help in training and are not shipped.
    """

    def __init__(self, features: int, *, hidden: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(features)
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(features, hidden)
        self.last = nn.Linear(hidden, outputs)

    def describe(self, letters: Tensor) -> Tensor:
        """uint8 letters (N, L) to features (N, F)."""
        raise NotImplementedError

    def forward(self, sequence: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 letters (N, L) to affinities (N, outputs) and the embedding (N, hidden)."""
        features = self.dropout(self.norm(self.describe(sequence)))
        embedding = functional.relu(self.hidden(features))
        return self.last(embedding), embedding


class RnaCNN(RnaNetwork):
    """Motif filters, then residual convolutions of growing dilation, then largest and mean."""

    def __init__(
        self,
        *,
        motifs: int = 192,
        width: int = 7,
        filters: int = 128,
        depth: int = 3,
        hidden: int = 128,
        outputs: int = 1,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(2 * filters, hidden=hidden, outputs=outputs, dropout=dropout)
        self.stem = Stem(motifs, width)
        self.mix = Conv(motifs, filters, 3)
        self.architecture = (
            f"{self.stem.architecture}; Conv({filters}, 3) ReLU, residual Conv({filters}, 3) ReLU "
            f"of dilation {', '.join(str(2**i) for i in range(depth))}, largest and mean value, "
            f"Linear({hidden}) ReLU, Linear({outputs})"
        )
        self.trunk = nn.ModuleList(
            Conv(filters, filters, 3, dilation=2**i, residual=True) for i in range(depth)
        )

    def maps(self, letters: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 letters (N, L) to activations (N, filters, 1, T) and their mask."""
        x, mask = self.stem(letters)
        x = self.mix(x, mask)
        for block in self.trunk:
            x = block(x, mask)
        return x, mask

    def describe(self, letters: Tensor) -> Tensor:
        """See the class."""
        return pool(*self.maps(letters))


class Lstm(nn.LSTM):
    """An LSTM in one direction, (N, T, inputs) to (N, T, states).

    To ONNX it goes as the operator of that name: torch's own way there unrolls the steps, which
    fixes the length, from the second export of a process on.
    """

    def __init__(self, inputs: int, states: int) -> None:
        super().__init__(inputs, states, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        if not torch.onnx.is_in_onnx_export():
            return super().forward(x)[0]
        bias = torch.cat([self._sorted(self.bias_ih_l0), self._sorted(self.bias_hh_l0)], 1)
        weights = (self._sorted(self.weight_ih_l0), self._sorted(self.weight_hh_l0), bias)
        states = torch.onnx.ops.symbolic(
            "LSTM",
            (x.transpose(0, 1), *weights),
            {"hidden_size": self.hidden_size},
            dtype=x.dtype,
            shape=(x.shape[1], 1, x.shape[0], self.hidden_size),
            version=18,
        )
        return states.squeeze(1).transpose(0, 1)

    def _sorted(self, values: Tensor) -> Tensor:
        """Gates from torch's order (input, forget, cell, output) to ONNX's (i, o, f, c)."""
        n = self.hidden_size
        parts = [values[i * n : (i + 1) * n] for i in (0, 3, 1, 2)]
        return torch.cat(parts).unsqueeze(0)


class RnaBiLSTM(RnaNetwork):
    """Motif filters, then an LSTM in each direction over the RNA, then largest and mean state.

    The second LSTM reads the RNA backwards from its last letter, not from the padding.
    """

    def __init__(
        self,
        *,
        motifs: int = 128,
        width: int = 7,
        states: int = 96,
        hidden: int = 128,
        outputs: int = 1,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(4 * states, hidden=hidden, outputs=outputs, dropout=dropout)
        self.stem = Stem(motifs, width)
        self.architecture = (
            f"{self.stem.architecture}; LSTM({states}) in each direction, largest and mean state, "
            f"Linear({hidden}) ReLU, Linear({outputs})"
        )
        self.forwards = Lstm(motifs, states)
        self.backwards = Lstm(motifs, states)

    def describe(self, letters: Tensor) -> Tensor:
        """See the class."""
        x, mask = self.stem(letters)
        x, mask = x.squeeze(2).transpose(1, 2), mask.squeeze(2).transpose(1, 2)  # (N, T, C)
        place = torch.cumsum(torch.ones_like(mask), 1)
        turned = (mask.sum(1, keepdim=True) - place).clamp(min=0.0).to(torch.int64)
        right = self.forwards(x)
        left = self.backwards(torch.gather(x, 1, turned.expand(-1, -1, x.shape[2])))
        left = torch.gather(left, 1, turned.expand(-1, -1, left.shape[2]))
        states = torch.cat([right, left], 2)
        largest = torch.where(mask > 0, states, -1.0).amax(1)  # a state is above -1
        return torch.cat([largest, (states * mask).sum(1) / mask.sum(1).clamp(min=1.0)], 1)


class SelfAttention(nn.Module):
    """Multi-head self-attention over the RNA's positions, added to its input."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"{channels} channels do not divide among {heads} heads")
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.parts = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(N, T, C), mask (N, T, 1), to (N, T, C) and the weights (N, heads, T, T)."""
        count, steps, channels = x.shape
        parts = self.parts(self.norm(x)).reshape(count, steps, 3, self.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        scores = query @ key.transpose(2, 3) / math.sqrt(channels // self.heads)
        known = mask.reshape(count, 1, 1, steps) > 0
        weights = torch.softmax(torch.where(known, scores, -1e4), 3)
        mixed = (weights @ value).transpose(1, 2).reshape(count, steps, channels)
        return (x + self.out(mixed)) * mask, weights


class RnaAttention(RnaCNN):
    """`RnaCNN` with self-attention over its positions, and attention pooling beside the other.

    ``heads`` act twice: in the self-attention, where positions far apart (two motifs, two arms of a
    stem) meet, and in the pooling, where each head weighs the positions by one linear score.
    """

    def __init__(
        self,
        *,
        motifs: int = 192,
        width: int = 7,
        filters: int = 128,
        depth: int = 3,
        heads: int = 4,
        hidden: int = 128,
        outputs: int = 1,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(
            motifs=motifs,
            width=width,
            filters=filters,
            depth=depth,
            hidden=hidden,
            outputs=outputs,
            dropout=dropout,
        )
        self.attention = SelfAttention(filters, heads)
        self.architecture = self.architecture.replace(
            "largest and mean value",
            f"self-attention of {heads} heads, attention pooling of {heads} heads beside largest "
            "and mean value",
        )
        self.score = nn.Linear(filters, heads)
        self.norm = nn.BatchNorm1d((2 + heads) * filters)
        self.hidden = nn.Linear((2 + heads) * filters, hidden)

    def attend(self, letters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """uint8 letters (N, L) to features and both weights: (N, heads, T, T), (N, heads, T)."""
        maps, mask = self.maps(letters)
        flat = mask.squeeze(2).transpose(1, 2)
        x, between = self.attention(maps.squeeze(2).transpose(1, 2), flat)
        scores = torch.where(flat > 0, self.score(x), -1e4)
        weights = torch.softmax(scores, 1).transpose(1, 2)  # (N, heads, T)
        pooled = (weights @ x).flatten(1)
        positive = functional.relu(x).transpose(1, 2).unsqueeze(2)
        return torch.cat([pool(positive, mask), pooled], 1), between, weights

    def describe(self, letters: Tensor) -> Tensor:
        """See the class."""
        return self.attend(letters)[0]


@torch.no_grad()
def first_only(network: N) -> N:
    """A copy in ``eval()`` with the first output alone."""
    bare = copy.deepcopy(network).eval()
    bare.last = nn.Linear(network.last.in_features, 1, device=network.last.weight.device)
    bare.last.weight.copy_(network.last.weight[:1])
    bare.last.bias.copy_(network.last.bias[:1])
    bare.architecture = f"{network.architecture.rpartition('Linear(')[0]}Linear(1)"
    return bare


class Affinity(nn.Module):
    """What is shipped: letters to the affinity and the embedding, of one network or of several.

    Parameters
    ----------
    members
        Networks of one output, which differ by their seed; the affinity is their mean, the
        embedding theirs side by side.
    """

    def __init__(self, members: Sequence[RnaNetwork]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @property
    def first(self) -> RnaNetwork:
        """The first of the networks."""
        first = self.members[0]
        assert isinstance(first, RnaNetwork)
        return first

    @property
    def width(self) -> int:
        """Values of the embedding."""
        return len(self.members) * self.first.hidden.out_features

    @property
    def architecture(self) -> str:
        """In words."""
        count = len(self.members)
        mean = f"mean of {count} networks that differ by their seed; " if count > 1 else ""
        return mean + self.first.architecture

    def forward(self, sequence: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 letters (N, L) to affinities (N,) and the embedding (N, width)."""
        answers = [member(sequence) for member in self.members]
        affinities = torch.stack([affinity.squeeze(1) for affinity, _ in answers])
        return affinities.mean(0), torch.cat([embedding for _, embedding in answers], 1)
