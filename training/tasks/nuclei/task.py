"""Nuclei as a task of training: configuration, data, validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from seqtile.images.scaling import scale
from seqtile.models.contract import Segmentation
from seqtile.segmenting.labelling import label_objects

from ...lab.loop import infer
from . import data as nuclei
from . import dsb2018 as nuclei_dsb2018
from . import instances
from .crops import Crops, Example
from .dsb2018 import Field

Floats = NDArray[np.float32]

PERCENTILES = (1.0, 99.8)
NOISE_FLOOR = 8.0  # the dimmest image of train reaches 17: none of train and validation changes
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)  # of IoU, at which two objects are the same
ROTATIONS = ("none", "quarter", "any")


@dataclass(frozen=True)
class Config:
    """Everything that decides the result; also the command line.

    Attributes
    ----------
    course_epochs, course_batch, course_lr, course_width
        Of the course's network: the document's, and its notebook's first width.
    repeats
        Networks of the course per kind of rotation, each of its own seed.
    crops, side, batch
        Of ours: crops to train on in all, their pixels a side, how many make a step.
    epoch
        Steps between two validations.
    finer_crops, finer_batch, finer_epoch, finer_lr
        The same of a second stage, which goes on from the best weights of the first with smaller
        batches: more steps for the same work.
    tissue
        How much likelier an image of stained tissue, inverted, is drawn than one of fluorescence;
        0 leaves them out.
    precision
        Of the convolutions while training: ``bf16`` (autocast) is twice as fast on processors that
        have it. Validation, test and the shipped model are float32.
    """

    preset: str = field(default="best", metadata={"choices": ("best", "course")})
    seed: int = 0
    course_epochs: int = 20
    course_batch: int = 4
    course_lr: float = 1e-3
    course_width: int = 8
    repeats: int = 2
    crops: int = 18_000
    side: int = 192
    batch: int = 12
    epoch: int = 100
    lr: float = 3e-3
    finer_crops: int = 32_000
    finer_batch: int = 4
    finer_epoch: int = 500
    finer_lr: float = 2e-3
    weight_decay: float = 1e-3
    ema: float = 0.995
    tissue: float = 0.0
    precision: str = field(default="bf16", metadata={"choices": ("bf16", "fp32")})
    smoke: bool = False


class Task:
    """The data of one run, on a device."""

    def __init__(self, config: Config, device: torch.device) -> None:
        self.config, self.device = config, device
        self.fields = nuclei_dsb2018.load()
        self.pictures = nuclei.load()
        self.parts = nuclei.parts(self.fields)
        self.train, self.valid = split(self.fields, self.parts)
        if config.smoke:
            self.train, self.valid = self.train[::20], self.valid[::8]

    @property
    def test(self) -> list[Field]:
        """The fields of test, of all kinds."""
        return [f for f in self.fields if f.split == "test"]

    @cached_property
    def examples(self) -> list[tuple[Example, float]]:
        """What crops are drawn from, with how likely each is beside its size."""
        chances = {
            kind: 1.0 if kind == "fluo" else self.config.tissue for kind in nuclei_dsb2018.KINDS
        }
        return [
            (Example.of(prepared(f), f.labels), chances[f.kind])
            for f in self.train
            if chances[f.kind]
        ]

    def crops(self) -> Crops:
        """The source of batches."""
        examples, chances = zip(*self.examples, strict=True)
        return Crops(examples, chances, self.config.side)

    @cached_property
    def prepared(self) -> list[NDArray[np.uint8]]:
        """The images of validation, scaled."""
        return [prepared(f) for f in self.valid]

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Figures of an epoch: loss of the mask, Dice, AP of objects, on validation."""
        settings = Segmentation(marker="marker", reach=12)
        counts, areas, losses = [], [], []
        for f, image in zip(self.valid, self.prepared, strict=True):
            mask, marker = predict(network, image)
            labels = label_objects(mask, marker, settings)
            counts.append(instances.count(f.labels, labels, THRESHOLDS))
            areas.append(instances.pixels(f.labels > 0, mask > 0.5))
            right = np.where(f.labels > 0, mask, 1 - mask)
            losses.append(-np.log(np.maximum(right, 1e-6)).mean())
        ap = instances.average_precision(np.sum(counts, 0))
        return {
            "valid_loss": float(np.mean(losses)),
            "dice": float(instances.dice(np.array(areas)).mean()),
            "ap50": float(ap[0]),
            "ap": float(ap.mean()),
        }


def split(fields: Sequence[Field], parts: nuclei.Parts) -> tuple[list[Field], list[Field]]:
    """Train and validation of the best model.

    Validation are the images of the course's validation and every tenth of the other fluorescence
    images, in the order of their sizes; train is what else is not of test.
    """
    held = set(parts.valid.tolist())
    others = [f for f in fields if f.split == "train" and f.kind == "fluo" and f.course is None]
    others.sort(key=lambda f: (f.labels.size, f.name))
    names = {f.name for f in others[5::10]} | {f.name for f in fields if f.course in held}
    valid = [f for f in fields if f.name in names]
    return [f for f in fields if f.split == "train" and f.name not in names], valid


def scaled(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey levels with the contrast that the contract names."""
    return scale(image, PERCENTILES, NOISE_FLOOR)


def prepared(f: Field) -> NDArray[np.uint8]:
    """An image as the network takes it: grey, nuclei bright, scaled."""
    image = f.image
    if image.ndim == 3:
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    return scaled(image if f.kind == "fluo" else 255 - image)


def predict(network: nn.Module, image: NDArray[np.uint8], stride: int = 8) -> tuple[Floats, Floats]:
    """Mask and marker, float32 (H, W), of an image of any size, in ``eval()``.

    The image is mirrored at its lower and right edges up to a multiple of the stride.
    """
    height, width = image.shape
    padded = np.pad(image, ((0, -height % stride), (0, -width % stride)), mode="reflect")
    mask, marker = (r[0, :height, :width].numpy() for r in infer(network, padded[None]))
    return np.ascontiguousarray(mask), np.ascontiguousarray(marker)
