"""U-Nets for nuclei: the course's, and ours, which is small, exact under tiling and finds cores."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class CourseUNet(nn.Module):
    """The network that the course hands out, with its widths.

    Two padded 3 x 3 convolutions per level, each with ReLU and then batch norm; four levels of
    ``width`` to ``8 * width`` channels with max pooling between them; one convolution at the
    bottom; transposed convolutions upwards, to which the encoder's maps are added.

    Source: ``psets/ps2-bio/pset2_bio_template.ipynb`` of GitHub coleygroup/ML4MolEng, which gives
    these sizes (first width 8).
    """

    STRIDE = 16

    def __init__(self, width: int = 8, depth: int = 4) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(depth + 1)]
        before = [1, *widths[: depth - 1]]
        self.down = nn.ModuleList(
            _double(a, b) for a, b in zip(before, widths[:depth], strict=True)
        )
        self.bridge = nn.Conv2d(widths[-2], widths[-1], 3, padding=1)
        self.up = nn.ModuleList(
            nn.Sequential(
                _double(2 * w, w),
                nn.ConvTranspose2d(w, w, 3, stride=2, padding=1, output_padding=1),
            )
            for w in reversed(widths[:depth])
        )
        self.last = nn.Conv2d(width, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities of nucleus.

        Parameters
        ----------
        images
            Float32, shape (N, H, W), grey levels / 255; H and W multiples of 16.

        Returns
        -------
        Float32, shape (N, H, W).
        """
        x, skips = images[:, None], []
        for block in self.down:
            skips.append(block(x))
            x = functional.max_pool2d(skips[-1], 2)
        x = self.bridge(x)
        for block, skip in zip(self.up, reversed(skips), strict=True):
            x = block(x) + skip
        return torch.sigmoid(self.last(x)[:, 0].float())


def _double(before: int, after: int) -> nn.Sequential:
    """Convolution, ReLU, batch norm, twice."""
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(after)]
    return nn.Sequential(*layers)


def _unit(before: int, after: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(before, after, size, stride=stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class NucleiUNet(nn.Module):
    """Mask and cores of nuclei, for images of any size that is a multiple of `stride`.

    Strided convolutions down, nearest neighbours up; the encoder's maps are added, not joined,
    which halves the work of a level's first convolution at full resolution, where most of the time
    goes. Grey levels enter as they are and as their square roots, which shows dim nuclei.

    Parameters
    ----------
    widths
        Channels of each level, from full resolution down.
    bottom
        Convolutions at the lowest resolution.

    Attributes
    ----------
    stride
        Height and width are multiples of it; a shift of the input by it shifts the output as much.
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 96), bottom: int = 2) -> None:
        super().__init__()
        self.widths, self.bottom = tuple(widths), bottom
        self.stride = 2 ** (len(widths) - 1)
        self.first = _unit(2, widths[0])
        self.down, self.across, self.up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for i, (fine, coarse) in enumerate(itertools.pairwise(widths)):
            last = i == len(widths) - 2
            units = [_unit(coarse, coarse) for _ in range(bottom if last else 1)]
            self.down.append(nn.Sequential(_unit(fine, coarse, stride=2), *units))
            self.across.append(nn.Conv2d(coarse, fine, 1))
            self.up.append(nn.Sequential(_unit(fine, fine), _unit(fine, fine)))
        self.last = nn.Conv2d(widths[0], 2, 1)

    @property
    def architecture(self) -> str:
        """A line for the card."""
        return (
            f"U-Net of {'-'.join(map(str, self.widths))} channels, {self.bottom} convolutions at "
            "the bottom; strided convolutions, nearest-neighbour upsampling, added skips; input "
            "grey / 255 and its square root; Conv(2) sigmoid"
        )

    @property
    def receptive_field(self) -> int:
        """Side of the square of input pixels, centred on an output pixel, that it depends on.

        The square is that of the output pixel that sees farthest: how far depends on where the
        pixel lies between multiples of `stride`, as a nearest neighbour up may lie on either side.
        """
        radius = 1 + sum(2**i for i in range(len(self.widths) - 1))  # first, strided convolutions
        radius += sum(2**i for i in range(1, len(self.widths) - 1))  # the others on the way down
        radius += self.bottom * self.stride  # those at the bottom
        radius += sum(2 * 2**i for i in range(len(self.widths) - 1))  # on the way up
        return 2 * (radius + self.stride - 1) + 1

    def macs(self) -> float:
        """Multiplications and additions per pixel of the image."""
        total = 0.0

        def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            weight: Tensor = layer.weight
            nonlocal total
            total += weight.numel() * output.shape[2] * output.shape[3]

        layers = [layer for layer in self.modules() if isinstance(layer, nn.Conv2d)]
        handles = [layer.register_forward_hook(add) for layer in layers]
        side, training = 8 * self.stride, self.training
        with torch.inference_mode():
            images = torch.zeros(1, side, side, dtype=torch.uint8, device=self.last.weight.device)
            self.eval().logits(images)
        self.train(training)
        for handle in handles:
            handle.remove()
        return total / side**2

    def logits(self, images: Tensor) -> Tensor:
        """Of mask and core: float32, shape (N, 2, H, W), for uint8 images (N, H, W)."""
        grey = images[:, None].float() / 255
        x = self.first(torch.cat([grey, grey.sqrt()], 1))
        skips = []
        for block in self.down:
            skips.append(x)
            x = block(x)
        for across, up, skip in zip(
            reversed(self.across), reversed(self.up), reversed(skips), strict=True
        ):
            x = up(functional.interpolate(across(x), scale_factor=2.0, mode="nearest") + skip)
        return self.last(x).float()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities of nucleus and of a nucleus's core.

        Parameters
        ----------
        images
            uint8, shape (N, H, W): grey levels; H and W multiples of `stride`.

        Returns
        -------
        Two of float32, shape (N, H, W).
        """
        probabilities = torch.sigmoid(self.logits(images))
        return probabilities[:, 0], probabilities[:, 1]
