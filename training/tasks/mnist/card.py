"""The contract of `mnist-convnet`, and the words of its card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqtile.models.card import Metric
from seqtile.models.contract import Contract, Input, Output

from ...export.contracts import embedding
from ...export.report import Report
from . import data as mnist
from .data import Digits

TARGET = 0.997  # accuracy on test


def make_contract(name: str, width: int) -> Contract:
    """The contract; ``width`` is the embedding's."""
    return Contract(
        name=name,
        version="1.1.0",
        inputs=(
            Input(
                name="image",
                kind="image",
                shape=("batch", mnist.SIDE, mnist.SIDE),
                dtype="uint8",
            ),
        ),
        outputs=(
            Output(
                name="probability",
                kind="classes",
                shape=("batch", mnist.CLASSES),
                dtype="float32",
                labels=mnist.LABELS,
            ),
            embedding(width),
        ),
        receptive_field=mnist.SIDE,
        training_window=mnist.SIDE,
        tolerance=1e-4,
    )


def data_fields(train: Digits, valid: Digits) -> dict[str, Any]:
    """What it was trained and chosen on."""
    return {
        "sha256": mnist.CHECKSUMS,
        "train": {"n": len(train), "per_class": train.per_class()},
        "valid": {"n": len(valid), "per_class": valid.per_class()},
    }


def words(contract: Contract, report: Report) -> dict[str, Any]:
    """What a reader of the card is told."""
    return report.words(
        task="classification",
        summary="Which handwritten digit is this?",
        meaning={
            "image": "grey levels, a white digit (255) on black (0), as in MNIST: 20 pixels high "
            "or wide, its centre of mass in the middle",
            "probability": "probability of each digit",
            "embedding": "activations of the last hidden layer, not negative",
        },
        data={
            "name": mnist.NAME,
            "source": mnist.SOURCE,
            "licence": mnist.LICENCE,
            "split": "MNIST's own train and test; of train 500 of each digit, drawn at random, are "
            "validation",
        },
        limits=(
            "Knows digits prepared as MNIST's are: one digit, centred, white on black, without "
            "lines or frames. A photograph, a dark digit on white or a letter gets an answer too, "
            "and often a sure one.",
            "Validation shares its writers with train; those of test are others.",
            "Some of MNIST's own labels are doubtful (see misread.png); part of the errors are "
            "theirs.",
            *_shortfall(report.metrics),
        ),
    )


def _shortfall(figures: Sequence[Metric]) -> list[str]:
    first = figures[0]
    if first.split != "test" or first.value >= TARGET:
        return []
    return [f"Accuracy {first.value} on test falls short of the {TARGET} aimed at."]
