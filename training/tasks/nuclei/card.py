"""The contract of `nuclei-unet`, and the words of its card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqtile.models.card import Metric
from seqtile.models.contract import Contract, Input, Output, Segmentation

from ...export.report import Report
from . import data as nuclei
from . import dsb2018 as nuclei_dsb2018

NAME = "nuclei-unet"
COURSE_TEST = "course test"  # the split of the course's images
SMALL = 45  # pixels of a nucleus that counts as large


def make_contract(
    settings: Segmentation, *, stride: int, receptive_field: int, window: int
) -> Contract:
    """The contract of a network of this stride, trained on images of this side."""
    size = ("batch", "height", "width")
    return Contract(
        name=NAME,
        version="1.2.0",
        inputs=(
            Input(
                name="image",
                kind="image",
                shape=size,
                dtype="uint8",
                min_length=stride,
                length_multiple=stride,
            ),
        ),
        outputs=tuple(
            Output(name=name, kind="mask", shape=size, dtype="float32")
            for name in ("mask", "marker")
        ),
        segmentation=settings,
        receptive_field=receptive_field,
        training_window=window,
        tolerance=1e-4,
    )


def words(contract: Contract, report: Report) -> dict[str, Any]:
    """What a reader of the card is told."""
    return report.words(
        task="segmentation",
        summary="Which pixels of a fluorescence image are of a nucleus, and of which one.",
        meaning={
            "image": "grey levels, nuclei bright, scaled so that the percentiles of "
            "`segmentation` are 0 and 255; what becomes 255 lies at least `noise_floor` standard "
            "deviations of the background's noise above the background",
            "mask": "probability that the pixel is of a nucleus",
            "marker": "probability that it is of a nucleus's core: the nucleus without its rim, so "
            "that nuclei which touch are apart",
        },
        data={
            "name": f"{nuclei_dsb2018.NAME}, {nuclei.NAME}",
            "source": f"{nuclei_dsb2018.SOURCE}; Dice on {nuclei.SOURCE}",
            "split": "80/20 by hash of the image's id within each size and kind, a tenth of the "
            "fluorescence images of train for validation; the course's 70/10/20 follows it, as "
            "its 334 images are among them",
        },
        limits=limits(report.metrics, tissue=bool(report.training["config"]["tissue"])),
    )


def limits(metrics: Sequence[Metric], *, tissue: bool) -> tuple[str, ...]:
    """What the model is not good for; ``tissue`` says whether stained images were trained on."""
    of = {(m.name, m.split): m.value for m in metrics}
    lines = [
        "Nuclei of about 5 to 80 pixels across, bright on a darker ground; an image of other "
        "magnification is to be resized first.",
        "Contrast comes from the whole image. Noise is not stretched: fields of 0, 1, 3 and 10 "
        "discs in white noise give as many objects. A background that is uneven counts as noisy.",
        "Some images of train and test are of the same experiment; on another laboratory's images "
        "expect less.",
    ]
    stained = of.get(("ap50", "stained test"))
    if stained is not None:
        trained = "few such images were trained on" if tissue else "none was trained on"
        lines.append(
            f"Not for stained tissue: inverted, its six test images give AP {stained:.2f} at IoU "
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
