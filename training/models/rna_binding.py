"""Networks for RNA-binding proteins: letters of one short RNA in, affinities and features out.

Every network finds the RNA's end itself: trailing unknown letters are padding. Activations beyond
it are set to zero after every layer and left out of every mean, weight and state, so a prediction
does not depend on how far its batch is padded.
"""

from __future__ import annotations

import copy
import math
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from .letters import LetterTable

N = TypeVar("N", bound="RnaNetwork")
REACH = 8.0  # letters over which the marks of both ends fade


class Helices(nn.Module):
    """How likely each position is in a hairpin's stem, from the energies of stacked pairs.

    A stem of ``stacks + 1`` pairs is worth the sum of its stacking energies (kcal/mol, Turner and
    Mathews, 2004; those with G-U rounded) less the loop's cost; a position gets the logarithm of
    one plus the Boltzmann weights of all stems that begin there on their 5' side, and on their 3'.
    """

    energies: Tensor
    KT = 0.616  # kcal/mol at 37 degrees Celsius
    LOOP = 4.5  # cost of closing a hairpin, kcal/mol
    SMALLEST = 3  # letters of a loop

    def __init__(self, stacks: tuple[int, ...] = (2, 3)) -> None:
        super().__init__()
        self.stacks = stacks
        table = torch.zeros(16, 16)
        for first, second, energy in STACKS:
            i, j = (4 * "ACGU".index(pair[0]) + "ACGU".index(pair[1]) for pair in (first, second))
            table[i, j] = table[j, i] = energy
        self.register_buffer("energies", table)

    @property
    def channels(self) -> int:
        """Two for each length of stem."""
        return 2 * len(self.stacks)

    def forward(self, hot: Tensor) -> Tensor:
        """One-hot (N, 4, 1, L) to (N, channels, 1, L)."""
        x = hot.squeeze(2)
        following = functional.pad(x, (0, 1))[:, :, 1:]
        pairs = (x.unsqueeze(2) * following.unsqueeze(1)).flatten(1, 2)  # (N, 16, L)
        stack = pairs.transpose(1, 2) @ (self.energies @ pairs)  # [i, q]: i pairs q + 1
        place = torch.cumsum(torch.ones_like(x[:1, :1]), 2)
        gap = place - place.transpose(1, 2)  # q - i
        total, shifted, rows = stack, stack, []
        whole = stack > 0
        for count in range(2, max(self.stacks) + 1):
            # The next stack inwards stands one row further down and one column to the left.
            shifted = functional.pad(shifted, (1, 0, 0, 1))[:, 1:, :-1]
            total, whole = total + shifted, whole & (shifted > 0)
            if count in self.stacks:
                fits = whole & (gap >= 2 * count + self.SMALLEST)
                weight = torch.where(fits, torch.exp((total - self.LOOP) / self.KT), 0.0)
                rows += [weight.sum(2), weight.sum(1)]
        return torch.log1p(torch.stack(rows, 1)).unsqueeze(2)


# (letters on the 5' strand, letters on the 3' strand, both 5' to 3'; -energy in kcal/mol)
STACKS = (
    ("AA", "UU", 0.93), ("AU", "AU", 1.10), ("UA", "UA", 1.33), ("CU", "AG", 2.08),
    ("CA", "UG", 2.11), ("GU", "AC", 2.24), ("GA", "UC", 2.35), ("CG", "CG", 2.36),
    ("GG", "CC", 3.26), ("GC", "GC", 3.42),
    ("AG", "UU", 0.6), ("UG", "UA", 1.0), ("GA", "UU", 1.3), ("AU", "GU", 1.4),
    ("CG", "UG", 1.4), ("GG", "UC", 1.5), ("GC", "GU", 2.5), ("GG", "CU", 2.1), ("GG", "UU", 0.5),
)  # fmt: skip


class Front(nn.Module):
    """Letters to one-hot, with channels of the ends and of stems, and the mask of the RNA.

    Two marks fall off from the first and from the last letter: the ends of a probe are bound
    otherwise than its middle.
    """

    def __init__(self, stems: bool = True) -> None:
        super().__init__()
        self.letters = LetterTable("rna")
        self.stems = Helices() if stems else None
        self.channels = 6 + (self.stems.channels if self.stems else 0)

    def forward(self, letters: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (N, L) to float32 (N, channels, 1, L) and a mask of ones and zeros (N, 1, 1, L)."""
        hot = self.letters(letters)
        known = hot.sum(1, keepdim=True)
        place = torch.cumsum(torch.ones_like(known), 3)  # 1 to L
        length = (place * known).amax(3, keepdim=True)  # 0 where all is unknown
        mask = (place <= length).to(hot.dtype)
        ends = (torch.exp((1 - place) / REACH), torch.exp((place - length) / REACH))
        parts = [hot, *(torch.clamp(end, max=1.0) * mask for end in ends)]
        if self.stems is not None:
            parts.append(self.stems(hot) * mask)
        return torch.cat(parts, 1), mask


class Conv(nn.Module):
    """A convolution that keeps the length, norm, ReLU, mask; optionally added to its input."""

    def __init__(
        self, inputs: int, filters: int, width: int, *, dilation: int = 1, residual: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, filters, (1, width), padding=(0, dilation * (width // 2)),
            dilation=(1, dilation), bias=False,
        )  # fmt: skip
        self.norm = nn.BatchNorm2d(filters)
        self.residual = residual

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(N, inputs, 1, L) to (N, filters, 1, L)."""
        y = functional.relu(self.norm(self.conv(x))) * mask
        return x + y if self.residual else y


class Stem(nn.Module):
    """The first convolution, whose filters are motifs, and pooling by two."""

    def __init__(self, filters: int, width: int, stems: bool = True) -> None:
        super().__init__()
        self.front = Front(stems)
        self.motifs = Conv(self.front.channels, filters, width)
        self.architecture = (
            f"one-hot and marks of the ends{' and of stems' if stems else ''}; "
            f"Conv({filters}, {width}) ReLU, max pooling by 2"
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
        self, *, motifs: int = 192, width: int = 7, filters: int = 128, depth: int = 3,
        hidden: int = 128, stems: bool = True, outputs: int = 1, dropout: float = 0.2,
    ) -> None:  # fmt: skip
        super().__init__(2 * filters, hidden=hidden, outputs=outputs, dropout=dropout)
        self.stem = Stem(motifs, width, stems)
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


class RnaBiLSTM(RnaNetwork):
    """Motif filters, then an LSTM in each direction over the RNA, then largest and mean state.

    The second LSTM reads the RNA backwards from its last letter, not from the padding.
    """

    def __init__(
        self, *, motifs: int = 128, width: int = 7, states: int = 96, hidden: int = 128,
        stems: bool = True, outputs: int = 1, dropout: float = 0.2,
    ) -> None:  # fmt: skip
        super().__init__(4 * states, hidden=hidden, outputs=outputs, dropout=dropout)
        self.stem = Stem(motifs, width, stems)
        self.architecture = (
            f"{self.stem.architecture}; LSTM({states}) in each direction, largest and mean state, "
            f"Linear({hidden}) ReLU, Linear({outputs})"
        )
        self.forwards = nn.LSTM(motifs, states, batch_first=True)
        self.backwards = nn.LSTM(motifs, states, batch_first=True)

    def describe(self, letters: Tensor) -> Tensor:
        """See the class."""
        x, mask = self.stem(letters)
        x, mask = x.squeeze(2).transpose(1, 2), mask.squeeze(2).transpose(1, 2)  # (N, T, C)
        place = torch.cumsum(torch.ones_like(mask), 1)
        turned = (mask.sum(1, keepdim=True) - place).clamp(min=0.0).to(torch.int64)
        right, _ = self.forwards(x)
        left, _ = self.backwards(torch.gather(x, 1, turned.expand(-1, -1, x.shape[2])))
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
        self, *, motifs: int = 192, width: int = 7, filters: int = 128, depth: int = 3,
        heads: int = 4, hidden: int = 128, stems: bool = True, outputs: int = 1,
        dropout: float = 0.2,
    ) -> None:  # fmt: skip
        super().__init__(
            motifs=motifs, width=width, filters=filters, depth=depth, hidden=hidden, stems=stems,
            outputs=outputs, dropout=dropout,
        )  # fmt: skip
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
def first_only(network: N, scale: float = 1.0, shift: float = 0.0) -> N:
    """A copy in ``eval()`` with the first output alone, times ``scale`` plus ``shift``."""
    bare = copy.deepcopy(network).eval()
    bare.last = nn.Linear(network.last.in_features, 1, device=network.last.weight.device)
    bare.last.weight.copy_(network.last.weight[:1] * scale)
    bare.last.bias.copy_(network.last.bias[:1] * scale + shift)
    bare.architecture = f"{network.architecture.rpartition('Linear(')[0]}Linear(1)"
    return bare


class Affinity(nn.Module):
    """What is shipped: letters to the affinity and the embedding."""

    def __init__(self, network: RnaNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, sequence: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 letters (N, L) to affinities (N,) and the embedding (N, hidden)."""
        affinity, embedding = self.network(sequence)
        return affinity.squeeze(1), embedding
