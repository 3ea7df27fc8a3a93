"""Crops of images of nuclei to train on: what is to be predicted, and what may vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]

# A core lacks the outermost pixels of a nucleus: up to RIM of them, but no more than this share of
# the largest distance of any of its pixels from the outside.
RIM, SHARE = 4.0, 0.45
GAP = 5  # side of the square that sees two nuclei: where the loss weighs more
WEIGHT = 8.0


@dataclass(frozen=True)
class Example:
    """An image to draw crops from.

    Attributes
    ----------
    image
        uint8, shape (H, W), scaled by percentiles.
    targets
        uint8, shape (H, W, 3), each 0 or 255: nucleus, core, close to two nuclei.
    """

    image: Grey
    targets: Grey

    @classmethod
    def of(cls, image: Grey, labels: NDArray[np.uint16]) -> Example:
        """Of an image and its nuclei, shape (H, W) both."""
        parts = (labels > 0, cores(labels), between(labels))
        return cls(image, np.stack([part.astype(np.uint8) * 255 for part in parts], -1))


def cores(labels: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Which pixels are of a nucleus's core, shape (H, W); each nucleus has at least one.

    A nucleus that the image's edge cuts is taken to go on beyond it.
    """
    result = np.zeros(labels.shape, bool)
    rows, columns = labels.shape
    order = np.argsort(labels, axis=None, kind="stable")
    sorted_labels = labels.ravel()[order]
    starts = np.flatnonzero(np.diff(sorted_labels, prepend=0))
    for part in np.split(order, starts)[1:]:
        y, x = np.divmod(part, columns)
        top, left, bottom, right = y.min(), x.min(), y.max() + 1, x.max() + 1
        inside = np.zeros((bottom - top + 2, right - left + 2), np.uint8)
        inside[y - top + 1, x - left + 1] = 1
        if top == 0:
            inside[0] = inside[1]
        if left == 0:
            inside[:, 0] = inside[:, 1]
        if bottom == rows:
            inside[-1] = inside[-2]
        if right == columns:
            inside[:, -1] = inside[:, -2]
        distance = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        own = distance[y - top + 1, x - left + 1]
        result.ravel()[part[own > min(RIM, SHARE * float(own.max()))]] = True
    return result


def between(labels: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Which pixels have two nuclei or more near them, shape (H, W)."""
    square = np.ones((GAP, GAP), np.uint8)
    largest = cv2.dilate(labels, square)
    smallest = 65535 - cv2.dilate(np.where(labels > 0, 65535 - labels, 0).astype(np.uint16), square)
    return (largest > 0) & (smallest < largest)


class Crops:
    """Random crops of examples: turned, mirrored, scaled, brighter or darker, blurred, noisy.

    Parameters
    ----------
    examples
        An image is drawn with a chance that grows as the root of its pixels.
    chances
        Shape (examples,): to multiply these with.
    side
        Pixels of a crop.
    """

    def __init__(self, examples: Sequence[Example], chances: Sequence[float], side: int) -> None:
        self.examples, self.side = list(examples), side
        sizes = np.array([example.image.size for example in examples], np.float64)
        weights = np.sqrt(sizes) * np.asarray(chances)
        self.chances = weights / weights.sum()

    def __call__(self, rng: np.random.Generator, count: int) -> tuple[Grey, Grey]:
        """Crops, uint8 (count, side, side), and their targets, uint8 (count, side, side, 3)."""
        drawn = rng.choice(len(self.examples), count, p=self.chances)
        pairs = [self._crop(self.examples[i], rng) for i in drawn]
        return np.stack([image for image, _ in pairs]), np.stack([t for _, t in pairs])

    def _crop(self, example: Example, rng: np.random.Generator) -> tuple[Grey, Grey]:
        matrix = _view(example.image.shape, self.side, rng)
        size = (self.side, self.side)
        image = cv2.warpAffine(
            example.image,
            matrix,
            size,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        targets = cv2.warpAffine(
            example.targets,
            matrix,
            size,
            flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        return vary(np.asarray(image, np.uint8), rng), np.asarray(targets, np.uint8)


def _view(shape: Sequence[int], side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """From a crop's pixels to an image's, shape (2, 3).

    Half of the crops are turned by quarters, so that their pixels are the image's own; the others
    by any angle, 0.7 to 1.4 times as large. Half of both are mirrored.
    """
    own = rng.random() < 0.5
    scale = 1.0 if own else np.exp(rng.uniform(np.log(1 / 1.4), np.log(1 / 0.7)))
    angle = rng.integers(4) * np.pi / 2 if own else rng.uniform(0, 2 * np.pi)
    mirror = rng.choice([-1.0, 1.0])
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[cosine * mirror, -sine], [sine * mirror, cosine]])
    # The centre lies where most of the crop is of the image; what is beyond is mirrored.
    middle = (side - 1) / 2
    centre = np.empty(2)
    for axis, size in enumerate((shape[1], shape[0])):
        margin = min(scale * side, size) / 2
        centre[axis] = rng.uniform(margin, size - margin) - 0.5
        if own:
            centre[axis] = np.round(centre[axis] - middle) + middle
    offset = centre - turn @ np.full(2, middle)
    return np.concatenate([turn, offset[:, None]], 1)


def vary(image: Grey, rng: np.random.Generator) -> Grey:
    """Mostly another gamma, contrast and brightness; sometimes blur, sometimes noise."""
    if rng.random() < 0.3:
        return image
    levels = np.linspace(0, 1, 256)
    levels = levels ** np.exp(rng.uniform(-0.5, 0.5))
    levels = levels * rng.uniform(0.6, 1.3) + rng.uniform(-0.05, 0.1)
    varied: NDArray[Any] = cv2.LUT(image, np.clip(levels * 255, 0, 255).round().astype(np.uint8))
    if rng.random() < 0.25:
        varied = cv2.GaussianBlur(varied, (0, 0), rng.uniform(0.5, 1.5))
    if rng.random() < 0.25:
        noise = rng.normal(0, rng.uniform(1, 12), image.shape)
        varied = np.clip(varied + noise, 0, 255).round().astype(np.uint8)
    return np.asarray(varied, np.uint8)
