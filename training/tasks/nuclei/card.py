"""Card and export of `nuclei-unet`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqtile.models.card import Baseline, Metric, ModelCard
from seqtile.models.contract import Input, Output, Segmentation

from ...export import export
from ...lab import command
from ...lab.command import Options
from ...lab.loop import Fit
from . import data as nuclei
from . import dsb2018 as nuclei_dsb2018
from .networks import NucleiUNet
from .report import COURSE_TEST, SMALL
from .task import Task, prepared

NAME = "nuclei-unet"
GOLDEN, GOLDEN_SIDE = 8, 128
TESTS = 90  # fluorescence images of test
WINDOW, SMOKE_WINDOW = 256, 32  # usual side; proving large ones takes a minute


def golden(task: Task) -> NDArray[np.uint8]:
    """Middles of images of validation, scaled: uint8, shape (8, 128, 128)."""
    fields = [f for f in task.valid if f.kind == "fluo"]
    middles = []
    for f in [*fields, *fields][:GOLDEN]:
        image = prepared(f)
        top, left = ((size - GOLDEN_SIDE) // 2 for size in image.shape)
        middles.append(image[top : top + GOLDEN_SIDE, left : left + GOLDEN_SIDE])
    return np.stack(middles)


def make_card(
    task: Task,
    network: NucleiUNet,
    result: Fit,
    settings: Segmentation,
    metrics: Sequence[Metric],
    base: Sequence[Baseline],
    options: Options,
) -> ModelCard:
    """The card, but for the checksum."""
    size = ("batch", "height", "width")
    training = command.training_fields(
        "train_nuclei",
        task.config,
        options,
        seconds=result.seconds,
        window=SMOKE_WINDOW if task.config.smoke else WINDOW,
        best_epoch=result.best_epoch,
        kmacs_per_pixel=round(network.macs() / 1000, 1),
    )
    return ModelCard(
        name=NAME,
        version="1.0.0",
        task="segmentation",
        summary="Which pixels of a fluorescence image are of a nucleus, and of which one.",
        architecture=network.architecture,
        parameters=sum(p.numel() for p in network.parameters()),
        inputs=(
            Input(
                name="image",
                kind="image",
                shape=size,
                dtype="uint8",
                meaning="grey levels, nuclei bright, scaled so that the "
                "percentiles of `segmentation` are 0 and 255",
                min_length=network.stride,
                length_multiple=network.stride,
            ),
        ),
        outputs=(
            Output(
                name="mask",
                kind="mask",
                shape=size,
                dtype="float32",
                meaning="probability that the pixel is of a nucleus",
            ),
            Output(
                name="marker",
                kind="mask",
                shape=size,
                dtype="float32",
                meaning="probability that it is of a nucleus's core: the "
                "nucleus without its rim, so that nuclei which touch are apart",
            ),
        ),
        receptive_field=network.receptive_field,
        threshold=None,
        segmentation=settings,
        data={
            "name": f"{nuclei_dsb2018.NAME}, {nuclei.NAME}",
            "source": f"{nuclei_dsb2018.SOURCE}; Dice on {nuclei.SOURCE}",
            "split": "80/20 by hash of the image's id within each size and kind, a tenth of the "
            "fluorescence images of train for validation; the course's 70/10/20 follows it, as "
            "its 334 images are among them",
            "train": {"n": len(task.examples)},
            "valid": {"n": len(task.valid), "course": len(task.parts.valid)},
            "test": {"n": TESTS, "course": len(task.parts.test)},
            "sha256": f"{nuclei_dsb2018.CHECKSUM} (pixels and labels), "
            f"{nuclei.CHECKSUM} ({nuclei.NAME}, archive)",
        },
        training=training,
        training_window=training["window"],
        metrics=tuple(metrics),
        baselines=tuple(base),
        limits=limits(task, metrics),
        opset=export.OPSET,
        tolerance=1e-4,
    )


def limits(task: Task, metrics: Sequence[Metric]) -> tuple[str, ...]:
    """What the card says the model is not good for."""
    of = {(m.name, m.split): m.value for m in metrics}
    lines = [
        "Nuclei of about 5 to 80 pixels across, bright on a darker ground; an image of other "
        "magnification is to be resized first.",
        "Contrast comes from the whole image: one without nuclei has its noise amplified, and may "
        "get objects.",
        "Some images of train and test are of the same experiment; on another laboratory's images "
        "expect less.",
    ]
    tissue = of.get(("ap50", "stained test"))
    if tissue is not None:
        trained = "few such images were trained on" if task.config.tissue else "none was trained on"
        lines.append(
            f"Not for stained tissue: inverted, its six test images give AP {tissue:.2f} at IoU "
            f"0.5; {trained}."
        )
    small = of.get(("recall_small", "test"))
    if small is not None:
        lines.append(
            f"Nuclei of fewer than {SMALL} pixels, often dim dots, are found in {small:.0%} of the "
            f"cases, others in {of['recall_large', 'test']:.0%}."
        )
    for name, split, what, aim in (
        ("ap50", "test", "AP at IoU 0.5", 0.86),
        ("dice", COURSE_TEST, "Dice on the course's test images", 0.92),
        ("iou", COURSE_TEST, "IoU on the course's test images", 0.86),
    ):
        value = of.get((name, split))
        if value is not None and value < aim:
            lines.append(
                f"{what} is {value:.3f}, short of the {aim:.2f} aimed at; longer training on more "
                "crops is what was not tried."
            )
    return tuple(lines)


def export_model(
    task: Task,
    network: NucleiUNet,
    result: Fit,
    settings: Segmentation,
    metrics: Sequence[Metric],
    base: Sequence[Baseline],
    files: Sequence[Path],
    options: Options,
) -> ModelCard:
    """Write ``exported/nuclei-unet``."""
    card = make_card(task, network, result, settings, metrics, base, options)
    return export.export(
        network, card, {"image": golden(task)}, options.exported / NAME, files=files
    )
