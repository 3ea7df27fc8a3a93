"""Rows of validation of the exported models, and the metric that their cards report on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqtile.models.card import ModelCard
from seqtile.segmenting.labelling import label_objects

from ..lab import metrics, multiclass
from ..tasks.bloodmnist import data as bloodmnist
from ..tasks.dna_binding import data as dna_binding
from ..tasks.jund import data as jund
from ..tasks.liver import data as liver_enhancers
from ..tasks.mnist import data as mnist
from ..tasks.nuclei import instances
from ..tasks.nuclei import task as nuclei_task
from ..tasks.rbp import task as rbp_task

Arrays = Mapping[str, NDArray[Any]]
Outputs = list[NDArray[Any]]

CALIBRATION = 512  # rows of train


@dataclass(frozen=True)
class Subject:
    """What a model is judged by.

    Attributes
    ----------
    train
        Batches of rows of train, to calibrate with.
    valid
        Batches of all rows of validation.
    metric
        Name of the figure in the card, of split ``valid``; larger is better.
    score
        The figure, of all outputs of each batch of ``valid``.
    speed
        A batch to measure speed with.
    """

    train: Sequence[Arrays]
    valid: Sequence[Arrays]
    metric: str
    score: Callable[[Sequence[Outputs]], float]
    speed: Arrays


def subject(card: ModelCard) -> Subject:
    """Of an exported model.

    Raises
    ------
    KeyError
        Not a model of `SUBJECTS`.
    DataError
        Its data cannot be had.
    """
    return SUBJECTS[card.name](card)


def _rows(
    train: Arrays, valid: Arrays, metric: str, score: Callable[[NDArray[Any]], float]
) -> Subject:
    """Of inputs in arrays: a sample of train, validation in batches of 128."""
    n = len(next(iter(train.values())))
    drawn = np.sort(np.random.default_rng(0).permutation(n)[:CALIBRATION])
    parts = _batches(valid)
    return Subject(
        _batches({name: values[drawn] for name, values in train.items()}),
        parts,
        metric,
        lambda outputs: score(np.concatenate([first for first, *_ in outputs])),
        parts[0],
    )


def _batches(inputs: Arrays, size: int = 128) -> list[Arrays]:
    rows = len(next(iter(inputs.values())))
    return [
        {name: np.ascontiguousarray(values[i : i + size]) for name, values in inputs.items()}
        for i in range(0, rows, size)
    ]


def _jund(card: ModelCard) -> Subject:
    train, valid = jund.load("train"), jund.load("valid")

    def inputs(part: jund.Segments) -> Arrays:
        further = {"accessibility": part.accessibility[:, None]} if len(card.inputs) > 1 else {}
        return {"sequence": part.letters, **further}

    return _rows(inputs(train), inputs(valid), "roc_auc", lambda p: metrics.roc_auc(valid.bound, p))


def _dna_binding(_: ModelCard) -> Subject:
    train, valid = dna_binding.load("train"), dna_binding.load("valid")
    return _rows(
        {"sequence": train.letters},
        {"sequence": valid.letters},
        "roc_auc",
        lambda p: metrics.roc_auc(valid.bound, p),
    )


def _liver(_: ModelCard) -> Subject:
    sites = liver_enhancers.load()
    held = (liver_enhancers.VALID, liver_enhancers.TEST)
    train = sites.on(*(c for c in liver_enhancers.CHROMOSOMES if c not in held))
    valid = sites.on(liver_enhancers.VALID)
    return _rows(
        {"sequence": train.letters},
        {"sequence": valid.letters},
        "roc_auc",
        lambda p: metrics.roc_auc(valid.liver, p),
    )


def _rbp(card: ModelCard) -> Subject:
    task = rbp_task.Task(rbp_task.Config(), torch.device("cpu"))
    (train, _), (valid, targets) = task.own(task.train), task.own(task.valid)
    letters = task.probes.letters
    return _rows(
        {"sequence": letters[train]},
        {"sequence": letters[valid]},
        "pearson",
        lambda a: metrics.pearson(targets, a),
    )


def _blood(_: ModelCard) -> Subject:
    train, valid = bloodmnist.load("train"), bloodmnist.load("valid")
    return _rows(
        {"image": train.images},
        {"image": valid.images},
        "accuracy",
        lambda p: multiclass.accuracy(valid.labels, p),
    )


def _digits(_: ModelCard) -> Subject:
    train, valid = mnist.split_train(mnist.load("train"))
    return _rows(
        {"image": train.images},
        {"image": valid.images},
        "accuracy",
        lambda p: multiclass.accuracy(valid.labels, p),
    )


def _nuclei(card: ModelCard) -> Subject:
    task = nuclei_task.Task(nuclei_task.Config(), torch.device("cpu"))
    settings, fields = card.segmentation, task.valid
    assert settings is not None

    def padded(f: Any) -> Arrays:
        image = nuclei_task.prepared(f)
        height, width = image.shape
        edges = ((0, -height % 8), (0, -width % 8))
        return {"image": np.pad(image, edges, mode="reflect")[None]}

    def score(outputs: Sequence[Outputs]) -> float:
        counts = []
        for f, results in zip(fields, outputs, strict=True):
            height, width = f.labels.shape
            mask, marker = (np.ascontiguousarray(r[0, :height, :width]) for r in results)
            counts.append(instances.count(f.labels, label_objects(mask, marker, settings), (0.5,)))
        return float(instances.average_precision(np.sum(counts, 0))[0])

    fluo = [f for f in task.train if f.kind == "fluo"]
    drawn = np.random.default_rng(0).permutation(len(fluo))[:64]
    valid = [padded(f) for f in fields]
    side = 256
    crop = np.resize(valid[0]["image"][:, :side, :side], (8, side, side))
    return Subject([padded(fluo[i]) for i in drawn], valid, "ap50", score, {"image": crop.copy()})


SUBJECTS: dict[str, Callable[[ModelCard], Subject]] = {
    "bloodmnist-best": _blood,
    "bloodmnist-cnn-pool": _blood,
    "dna-binding-bilstm": _dna_binding,
    "jund-cnn": _jund,
    "jund-cnn-seq": _jund,
    "jund-lstm": _jund,
    "jund-mlp": _jund,
    "liver-enhancer-cnn": _liver,
    "mnist-convnet": _digits,
    "nuclei-unet": _nuclei,
    "rbp-bilstm": _rbp,
    "rbp-cnn": _rbp,
    "rbp-cnn-attention": _rbp,
}
