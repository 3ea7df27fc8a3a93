"""Networks that name the cell in an image of 28 x 28 pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE = 28
CLASSES = 8


def scaled(image: Tensor) -> Tensor:
    """uint8 pixels (N, H, W, 3) to float32 (N, 3, H, W) from -1 to 1."""
    return image.permute(0, 3, 1, 2).float() / 127.5 - 1


def symmetries(x: Tensor) -> Tensor:
    """Images (N, C, H, H) and their mirror images and quarter turns: (8 N, C, H, H), view by view.

    The first N are the images themselves.
    """
    mirrored = [x, x.flip(3), x.flip(2), x.flip(2).flip(3)]
    return torch.cat(mirrored + [view.transpose(2, 3) for view in mirrored])


class CourseNet(nn.Module):
    """The document's network: convolutions to 32, 64 and 128 channels, 256 units, 8 logits.

    Parameters
    ----------
    pool
        Halve height and width behind each convolution, by the largest of 2 x 2. Without it the
        256 units read all 28 x 28 places of 128 channels: 25.7 million weights.
    """

    embedding = 256

    def __init__(self, *, pool: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for fan_in, fan_out in ((3, 32), (32, 64), (64, 128)):
            layers += [nn.Conv2d(fan_in, fan_out, 3, padding=1), nn.ReLU()]
            if pool:
                layers.append(nn.MaxPool2d(2))
        side = SIDE // 8 if pool else SIDE
        self.trunk = nn.Sequential(*layers, nn.Flatten())
        self.hidden = nn.Linear(128 * side * side, self.embedding)
        self.last = nn.Linear(self.embedding, CLASSES)
        places = "MaxPool(2), " if pool else ""
        self.architecture = (
            "".join(f"Conv({c}, 3) ReLU {places}".rstrip(", ") + ", " for c in (32, 64, 128))
            + f"Linear({self.embedding}) ReLU, Linear({CLASSES}), softmax"
        )

    def logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`scaled` pixels (N, 3, 28, 28) to logits (N, 8) and the 256 units (N, 256)."""
        units = functional.relu(self.hidden(self.trunk(x)))
        return self.last(units), units


class Residual(nn.Module):
    """Norm, ReLU, 3x3 convolution, twice, added to the input (He et al., 2016: pre-activation)."""

    def __init__(self, fan_in: int, fan_out: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(fan_in)
        self.conv1 = nn.Conv2d(fan_in, fan_out, 3, stride, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(fan_out)
        self.conv2 = nn.Conv2d(fan_out, fan_out, 3, padding=1, bias=False)
        same = fan_in == fan_out and stride == 1
        self.skip = nn.Identity() if same else nn.Conv2d(fan_in, fan_out, 1, bias=False)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, fan_in, H, W) to (N, fan_out, H / stride, W / stride)."""
        first = functional.relu(self.norm1(x))
        if isinstance(self.skip, nn.Conv2d):
            x = self.skip(functional.avg_pool2d(first, self.stride) if self.stride > 1 else first)
        return x + self.conv2(functional.relu(self.norm2(self.conv1(first))))


class CellResNet(nn.Module):
    """A small residual network: stages at 28, 14 and 7 pixels, then the mean over the places.

    Parameters
    ----------
    widths, depths
        Channels and blocks of each stage.
    dropout
        Before the last layer.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int] = (48, 96, 192),
        depths: Sequence[int] = (1, 2, 2),
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        blocks: list[nn.Module] = []
        channels = widths[0]
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for block in range(depth):
                blocks.append(Residual(channels, width, 2 if stage and not block else 1))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(channels, CLASSES)
        self.embedding = channels
        stages = "-".join(f"{depth}x{width}" for width, depth in zip(widths, depths, strict=True))
        self.architecture = (
            f"pre-activation ResNet: Conv({widths[0]}, 3), residual blocks {stages}, "
            f"mean over places, Linear({CLASSES}), softmax"
        )

    def logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`scaled` pixels (N, 3, H, W) to logits (N, 8) and the means (N, channels)."""
        means = functional.relu(self.norm(self.blocks(self.stem(x)))).mean((2, 3))
        return self.last(self.dropout(means)), means


class CellClassifier(nn.Module):
    """What is shipped: raw pixels to probabilities, by one network or several.

    Parameters
    ----------
    members
        Networks with ``logits``, whose probabilities are averaged.
    turned
        Average also over the eight `symmetries`: a cell has no up and no left.
    """

    def __init__(self, members: Sequence[CourseNet | CellResNet], *, turned: bool) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.turned = turned
        self.embedding = sum(member.embedding for member in members)
        network = f"mean of {len(members)}: " if len(members) > 1 else ""
        self.architecture = network + members[0].architecture
        if turned:
            self.architecture += ", mean over the 8 symmetries of the square"

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 pixels (N, 28, 28, 3) to probabilities (N, 8) and embeddings (N, `embedding`)."""
        x = scaled(image)
        if self.turned:
            x = symmetries(x)
        probabilities, embeddings = [], []
        for member in self.members:
            logits, embedding = member.logits(x)
            probabilities.append(self._mean(torch.softmax(logits, 1)))
            embeddings.append(self._mean(embedding))
        return torch.stack(probabilities).mean(0), torch.cat(embeddings, 1)

    def _mean(self, values: Tensor) -> Tensor:
        return values.reshape(8, -1, values.shape[1]).mean(0) if self.turned else values
