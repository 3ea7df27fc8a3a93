"""The contracts of the networks of blood cells, and the words of their cards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqtile.models.card import Metric
from seqtile.models.contract import Contract, Input, Output

from ...export.contracts import embedding
from ...export.report import Report
from . import data as bloodmnist
from .data import CLASSES, SIDE

TARGETS = {"accuracy": 0.975, "roc_auc": 0.998}  # of bloodmnist-best, on test


def make_contract(name: str, width: int) -> Contract:
    """The contract; ``width`` is the embedding's."""
    return Contract(
        name=name,
        version="1.1.0",
        inputs=(Input(name="image", kind="image", shape=("batch", SIDE, SIDE, 3), dtype="uint8"),),
        outputs=(
            Output(
                name="probability",
                kind="classes",
                shape=("batch", len(CLASSES)),
                dtype="float32",
                labels=CLASSES,
            ),
            embedding(width),
        ),
        receptive_field=SIDE,
        training_window=SIDE,
        tolerance=1e-4,
    )


def data_fields(edition: str) -> dict[str, Any]:
    """What it was trained, chosen and tested on."""
    return {
        "checksum": bloodmnist.CHECKSUMS[edition],
        **{split: {"n": n} for split, n in bloodmnist.SIZES.items()},
    }


def words(contract: Contract, report: Report) -> dict[str, Any]:
    """What a reader of the card is told."""
    config = report.training["config"]
    return report.words(
        task="classification",
        summary="Which of eight kinds of blood cell is in the middle of this image "
        "(stained smear, 28 x 28 pixels)?",
        meaning={
            "image": "RGB pixels, rows from the top; the middle 200 x 200 pixels of a photograph "
            "of 360 x 363 (CellaVision DM96), resized by a filter that averages (Pillow's bicubic)",
            "probability": "of each class; they sum to 1",
            "embedding": "activations of the layer before the last, not negative",
        },
        data={
            "name": bloodmnist.NAME,
            "source": bloodmnist.SOURCES[config["edition"]],
            "split": bloodmnist.SPLITS[config["edition"]],
        },
        limits=limits(config["model"], config["edition"], report.metrics),
    )


def limits(model: str, edition: str, metrics: Sequence[Metric]) -> tuple[str, ...]:
    """What the model is not good for."""
    lines = [
        "Not for diagnosis. Normal cells of healthy people, of one laboratory, one stain and one "
        "machine; cells of another, or of the ill, were never seen.",
        "One cell in the middle of the image, about 7 original pixels to one here. It answers with "
        "one of the eight classes whatever is shown.",
    ]
    if edition == "rebuild":
        lines += [
            "The pixels were made anew from the photographs as BloodMNIST describes it, and the "
            "split is not the official one: figures published for BloodMNIST are comparable, but "
            "not to the decimal; do not score this model on the official file, whose test images "
            "are in part in this train.",
            "The source holds 17 pairs of identical photographs, each pair within one split; one "
            "of them is labelled both eosinophil (EO_225902) and neutrophil (BNE_191112).",
        ]
    if model == "best":
        for metric in metrics:
            goal = TARGETS.get(metric.name, 0.0)
            if metric.split == "test" and metric.value < goal:
                lines.append(f"{metric.name} {metric.value:.4f} on test falls short of {goal}.")
        lines.append("An image is read in eight positions, and takes eight times one reading.")
    else:
        lines.append("The document's own network: bloodmnist-best is better.")
    return tuple(lines)
