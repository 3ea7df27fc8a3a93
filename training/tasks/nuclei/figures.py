"""Figures, pictures and card of `nuclei-unet`."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from msgspec import structs
from numpy.typing import NDArray
from torch import nn

from seqtile.models.card import Baseline, Metric
from seqtile.models.contract import Segmentation
from seqtile.segmenting.labelling import label_objects

from ...lab import report
from ...lab.pictures import canvas
from . import data as nuclei
from . import instances
from .card import COURSE_TEST, SMALL
from .dsb2018 import Field
from .task import NOISE_FLOOR, PERCENTILES, THRESHOLDS, Task, predict, prepared, scaled

Counts = NDArray[np.float64]

SMALLEST = 20  # pixels; the source has no nucleus of fewer than 21
GREEN, MAGENTA = (60, 230, 60), (255, 60, 255)
PLAIN = Segmentation(min_area=SMALLEST)


@dataclass(frozen=True)
class Answer:
    """An image and what the network says of it; mask and marker are float32, shape (H, W)."""

    field: Field
    mask: NDArray[np.float32]
    marker: NDArray[np.float32]

    def labels(self, settings: Segmentation) -> NDArray[np.uint32]:
        """The objects, uint32 (H, W)."""
        return label_objects(self.mask, self.marker if settings.marker else None, settings)


def answers(task: Task, network: nn.Module, fields: Sequence[Field]) -> list[Answer]:
    """The network's answers for these images."""
    return [Answer(f, *predict(network, prepared(f))) for f in fields]


def choose(valid: Sequence[Answer], *, marker: bool = True) -> Segmentation:
    """The thresholds of the largest AP on validation, the mean of `THRESHOLDS`.

    Parameters
    ----------
    marker
        Whether cores are used; without, objects are the components of the mask.
    """
    if marker:
        grid = itertools.product((0.4, 0.5, 0.6), (0.4, 0.5, 0.6, 0.7), (6, 12), (0, SMALLEST))
        chosen = [
            Segmentation("mask", "marker", a, b, reach, area, PERCENTILES, NOISE_FLOOR)
            for a, b, reach, area in grid
        ]
    else:
        pairs = itertools.product((0.4, 0.5, 0.6, 0.7), (0, SMALLEST))
        chosen = [
            Segmentation("mask", "", a, 0.5, 0, area, PERCENTILES, NOISE_FLOOR) for a, area in pairs
        ]

    def ap(settings: Segmentation) -> float:
        counts = objects(valid, lambda a: a.labels(settings)).sum(0)
        return float(instances.average_precision(counts).mean())

    return max(chosen, key=ap)


def objects(given: Sequence[Answer], label: Callable[[Answer], NDArray[Any]]) -> Counts:
    """`instances.count` of each image, shape (n, thresholds, 4)."""
    return np.stack([instances.count(a.field.labels, label(a), THRESHOLDS) for a in given])


def object_metrics(counts: Counts, split: str) -> list[Metric]:
    """AP at each threshold and its mean over them, pooled; AP at 0.5 by image; PQ."""
    ap, pq = instances.average_precision, instances.panoptic_quality
    pooled = "TP / (TP + FP + FN), counted over all images"
    rows = [
        _metric(
            f"ap{100 * t:.0f}", split, counts[:, i], lambda c: ap(c.sum(0)), pooled if not i else ""
        )
        for i, t in enumerate(THRESHOLDS)
    ]
    hits, truth, found, iou = counts[:, 0].sum(0)
    note = (
        f"at IoU 0.5: segmentation {iou / max(hits, 1):.3f} x recognition "
        f"{2 * hits / max(truth + found, 1):.3f}"
    )
    return [
        *rows,
        _metric("ap", split, counts, lambda c: ap(c.sum(0)).mean(), "mean of the five"),
        _metric("ap50_by_image", split, counts[:, 0], lambda c: ap(c).mean(), "mean over images"),
        _metric("pq", split, counts[:, 0], lambda c: pq(c.sum(0)), note),
    ]


def recall_by_size(given: Sequence[Answer], settings: Segmentation, split: str) -> list[Metric]:
    """Share of nuclei found, at IoU 0.5: of those of fewer than `SMALL` pixels, and of others."""
    rows = []
    for answer in given:
        truth = answer.field.labels
        areas = np.bincount(truth.ravel())[1:]
        areas = areas[areas > 0]
        iou = instances.overlaps(truth, answer.labels(settings))
        found = iou.max(1, initial=0) >= THRESHOLDS[0]
        small = areas < SMALL
        rows.append([(found & small).sum(), small.sum(), (found & ~small).sum(), (~small).sum()])
    counts = np.array(rows, np.float64)

    def share(column: int) -> Callable[[Counts], Any]:
        return lambda c: c[:, column].sum() / max(c[:, column + 1].sum(), 1)

    return [
        _metric("recall_small", split, counts, share(0), f"nuclei of fewer than {SMALL} pixels"),
        _metric("recall_large", split, counts, share(2), f"of {SMALL} pixels or more"),
    ]


def pixel_metrics(areas: Counts, split: str) -> list[Metric]:
    """Dice and IoU of `instances.pixels` of images, shape (n, 3): mean over images, and pooled."""
    dice, iou = instances.dice, instances.iou
    by_image = "mean over images"
    return [
        _metric("dice", split, areas, lambda a: dice(a).mean(), by_image),
        _metric("iou", split, areas, lambda a: iou(a).mean(), by_image),
        _metric("dice_pooled", split, areas, lambda a: dice(a.sum(0)), "all pixels as one image"),
        _metric("iou_pooled", split, areas, lambda a: iou(a.sum(0)), "all pixels as one image"),
    ]


def _metric(
    name: str, split: str, counts: Counts, score: Callable[[NDArray[Any]], Any], note: str
) -> Metric:
    """A figure of counts of images; the images are resampled."""
    return report.metric(
        name, split, lambda c, _: float(score(c)), counts, counts, note=note, by_class=False
    )


def otsu(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels above Otsu's threshold of an image's grey levels, shape (H, W)."""
    return np.asarray(cv2.threshold(image, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1] > 0)


def figures(
    task: Task, network: nn.Module, settings: Segmentation, course_report: Path, *, test: bool
) -> tuple[list[Metric], list[Baseline], list[Answer]]:
    """Figures and baselines, on test if asked, and on validation; the answers for the first split.

    Parameters
    ----------
    course_report
        ``report.json`` of preset course, for its Dice; without the file it is left out.
    """
    metrics: list[Metric] = []
    base: list[Baseline] = []
    valid = answers(task, network, task.valid)
    masks_alone = choose(valid, marker=False)
    splits = {"valid": valid}
    if test:
        tests = answers(task, network, task.test)
        splits = {"test": [a for a in tests if a.field.kind == "fluo"], **splits}
    for split, given in splits.items():
        metrics += object_metrics(objects(given, lambda a: a.labels(settings)), split)
        metrics += recall_by_size(given, settings, split)
        for method, label in (
            ("the same network, components of the mask", lambda a: a.labels(masks_alone)),
            (
                "Otsu's threshold, connected components",
                lambda a: label_objects(otsu(prepared(a.field)).astype(np.float32), None, PLAIN),
            ),
        ):
            base += report.as_baselines(object_metrics(objects(given, label), split), method)
    if test:
        tissue = [a for a in tests if a.field.kind != "fluo"]
        stained = object_metrics(objects(tissue, lambda a: a.labels(settings)), "stained test")
        metrics += [
            structs.replace(row, note="inverted; " + row.note)
            for row in stained
            if row.name in ("ap50", "pq")
        ]
    for split, rows in ([(COURSE_TEST, task.parts.test)] if test else []) + [
        ("course valid", task.parts.valid)
    ]:
        if task.config.smoke:
            rows = rows[:4]
        pictures = task.pictures[rows]
        inputs = [scaled(image) for image in pictures.images]
        found = [predict(network, image)[0] > settings.mask_threshold for image in inputs]
        metrics += pixel_metrics(_areas(pictures, found), split)
        trivial = _areas(pictures, [otsu(image) for image in pictures.images])
        base += report.as_baselines(pixel_metrics(trivial, split), "Otsu's threshold")
        if course_report.exists():
            base += _course(course_report, split)
    return metrics, base, next(iter(splits.values()))


def _areas(pictures: nuclei.Pictures, found: Sequence[NDArray[np.bool_]]) -> Counts:
    return np.stack([instances.pixels(*pair) for pair in zip(pictures.nuclei, found, strict=True)])


def _course(path: Path, split: str) -> list[Baseline]:
    """The figures of the course's network, from its own report."""
    rows = [Metric(**row) for row in json.loads(path.read_text())["metrics"]]
    return [
        Baseline(
            **structs.asdict(structs.replace(row, note="")),
            method=f"the course's U-Net, 20 epochs, {row.note.partition(';')[0]}",
        )
        for row in rows
        if row.split == split and row.name in ("dice", "iou")
    ]


def show_examples(path: Path, given: Sequence[Answer], settings: Segmentation) -> None:
    """Three images with truth, prediction and the outlines of both, as PNG.

    Of each of the three commonest sizes the image whose number of nuclei is the median.
    """
    sizes: dict[tuple[int, ...], list[Answer]] = {}
    for answer in given:
        sizes.setdefault(answer.mask.shape, []).append(answer)
    chosen = []
    for group in sorted(sizes.values(), key=len, reverse=True)[:3]:
        group.sort(key=lambda a: (int(a.field.labels.max()), a.field.name))
        chosen.append(group[len(group) // 2])
    ratios = [answer.mask.shape[0] / answer.mask.shape[1] for answer in chosen]
    figure, paper = canvas(14, sum(3.4 * ratio + 0.25 for ratio in ratios))
    grid = figure.subplots(len(chosen), 4, squeeze=False, gridspec_kw={"height_ratios": ratios})
    titles = (
        "image (square roots)",
        "truth",
        "prediction",
        "outlines: truth green, prediction magenta",
    )
    for axes, answer in zip(grid, chosen, strict=True):
        truth, found = answer.field.labels, answer.labels(settings)
        # Square roots show dim nuclei.
        grey = (np.sqrt(prepared(answer.field) / 255.0) * 255).astype(np.uint8)
        grey = np.repeat(grey[..., None], 3, -1)
        both = _outline(_outline(grey, truth, GREEN), found, MAGENTA)
        counts = (f"{len(np.unique(truth)) - 1} nuclei", f"{int(found.max())} nuclei")
        for axis, picture, title, below in zip(
            axes,
            (grey, _coloured(truth), _coloured(found), both),
            titles,
            (f"{answer.field.name}, {grey.shape[0]} x {grey.shape[1]}", *counts, ""),
            strict=True,
        ):
            axis.imshow(picture)
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_xlabel(below, fontsize=8)
            if answer is chosen[0]:
                axis.set_title(title, fontsize=8)
    paper.print_figure(path, format="png")


def _coloured(labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Labels as colours, neighbours in number unlike; black is background."""
    hues = np.arange(int(labels.max()) + 1) * 97 % 180
    colours = np.stack([hues, np.full_like(hues, 170), np.full_like(hues, 255)], -1)
    palette = cv2.cvtColor(colours[None].astype(np.uint8), cv2.COLOR_HSV2RGB)[0]
    palette[0] = 0
    return np.asarray(palette[labels], np.uint8)


def _outline(
    picture: NDArray[np.uint8], labels: NDArray[Any], colour: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """The picture with the pixels of objects that touch another label in a colour."""
    values = labels.astype(np.uint16)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    edge = (cv2.erode(values, cross) != values) & (values > 0)
    edge |= (cv2.dilate(values, cross) != values) & (values > 0)
    result = picture.copy()
    result[edge] = colour
    return result
