"""The course's U-Net for nuclei, with and without rotated images, to see whether rotation helps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqtile.models.card import Metric

from ...lab import report
from ...lab.loop import Fit, FitConfig, Shuffled, fit, infer, mean_history, seed_everything
from ...lab.pictures import compare_histories, write_history
from . import instances
from .data import Pictures
from .networks import CourseUNet
from .task import ROTATIONS, Task

Floats = NDArray[np.float32]


def dice_loss(predicted: Tensor, wanted: Tensor) -> Tensor:
    """1 - (2 sum(p t) + 1) / (sum(p) + sum(t) + 1), over a batch's pixels (document, 4)."""
    common = (predicted * wanted).sum()
    return 1 - (2 * common + 1) / (predicted.sum() + wanted.sum() + 1)


def rotated(
    images: Floats, masks: Floats, kind: str, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Each image turned at random, its mask alike.

    Parameters
    ----------
    images, masks
        Shape (n, H, W), H equal to W.
    kind
        ``"none"``; ``"quarter"``: by multiples of a quarter turn; ``"any"``: by any angle, with
        bilinear interpolation and zeros from beyond the edges.

    Raises
    ------
    ValueError
        Another kind.
    """
    if kind == "none":
        return images, masks
    pairs = np.stack([images, masks], -1)
    if kind == "quarter":
        turned = [np.rot90(pair, int(rng.integers(4))) for pair in pairs]
    elif kind == "any":
        size = images.shape[2], images.shape[1]
        centre = ((size[0] - 1) / 2, (size[1] - 1) / 2)
        turned = [
            cv2.warpAffine(pair, cv2.getRotationMatrix2D(centre, rng.uniform(0, 360), 1.0), size)
            for pair in pairs
        ]
    else:
        raise ValueError(f"rotation must be one of {ROTATIONS}, not {kind!r}")
    both = np.stack(turned).astype(np.float32)
    return both[..., 0], both[..., 1]


def predict(network: nn.Module, images: NDArray[np.uint8]) -> Floats:
    """Probabilities, float32, shape (n, H, W), in ``eval()``."""
    return infer(network, images, batch=8, call=lambda x: network(x.float() / 255))[0].numpy()


def train(task: Task, kind: str, seed: int, checkpoint: Path) -> Fit:
    """Fit one network, with this kind of rotation."""
    config = task.config
    seed_everything(seed)
    network = CourseUNet(config.course_width)
    network.to(task.device, memory_format=torch.channels_last)
    rows, held = task.parts.train, task.parts.valid
    if config.smoke:
        rows, held = rows[:16], held[:4]
    own, valid = task.pictures[rows], task.pictures[held]
    images, masks = (a.astype(np.float32) / np.float32(255) for a in (own.images, own.masks))
    batches = Shuffled(len(own), config.course_batch)

    def loss(model: nn.Module, rng: np.random.Generator) -> Tensor:
        chosen = batches(rng)
        pair = rotated(images[chosen], masks[chosen], kind, rng)
        x, wanted = (torch.from_numpy(np.ascontiguousarray(a)).to(task.device) for a in pair)
        return dice_loss(model(x), wanted)

    def validate(model: nn.Module) -> dict[str, float]:
        p = predict(model, valid.images)
        wanted = valid.masks / 255
        losses = [
            float(dice_loss(*(torch.from_numpy(a[i : i + 4]) for a in (p, wanted))))
            for i in range(0, len(p), 4)
        ]
        areas = pixels(valid, p)
        return {"valid_loss": float(np.mean(losses)), "dice": float(instances.dice(areas).mean())}

    steps = batches.steps_per_epoch
    epochs = 2 if config.smoke else config.course_epochs
    plan = FitConfig(
        steps=epochs * steps,
        evaluate_every=steps,
        lr=config.course_lr,
        optimizer="adam",
        schedule="constant",
        monitor="dice",
        seed=seed,
    )
    return fit(network, loss, validate, plan, checkpoint=checkpoint, label=f"{kind} {seed}")


def pixels(pictures: Pictures, probabilities: Floats) -> NDArray[np.float64]:
    """`instances.pixels` of each image, shape (n, 3)."""
    pairs = zip(pictures.nuclei, probabilities > 0.5, strict=True)
    return np.stack([instances.pixels(truth, found) for truth, found in pairs])


def turning_error(network: nn.Module, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How much an answer depends on how an image lies: 1 - Dice, shape (n,).

    Between the mask of the image and that of the image turned by one, two and three quarters,
    turned back; the mean of the three. 0 is a network that does not care.
    """
    upright = predict(network, images) > 0.5
    errors = []
    for quarters in (1, 2, 3):
        turned = np.ascontiguousarray(np.rot90(images, quarters, (1, 2)))
        back = np.rot90(predict(network, turned) > 0.5, -quarters, (1, 2))
        areas = [instances.pixels(a, b) for a, b in zip(upright, back, strict=True)]
        errors.append(1 - instances.dice(np.stack(areas)))
    return np.asarray(np.mean(errors, 0))


def run(task: Task, folder: Path) -> None:
    """Fit all networks, report on test (on validation in a smoke run), draw the comparison."""
    config = task.config
    repeats = 1 if config.smoke else config.repeats
    rows = task.parts.valid[:4] if config.smoke else task.parts.test
    split, pictures = "course valid" if config.smoke else "course test", task.pictures[rows]
    histories, figures = {}, {}
    for kind in ROTATIONS:
        fits = [
            train(task, kind, config.seed + i, folder / f"fit-{kind}-{i}.pt")
            for i in range(repeats)
        ]
        histories[f"rotation: {kind}"] = mean_history(fits)
        write_history(folder / f"history-{kind}.csv", histories[f"rotation: {kind}"])
        areas = [pixels(pictures, predict(f.network, pictures.images)) for f in fits]
        errors = [turning_error(f.network, pictures.images) for f in fits]
        figures[kind] = {
            "dice": np.stack([instances.dice(a) for a in areas]),
            "iou": np.stack([instances.iou(a) for a in areas]),
            "turning_error": np.stack(errors),
            "valid_dice": np.array([max(r["dice"] for r in f.history) for f in fits])[:, None],
            "seconds": np.array([f.seconds for f in fits])[:, None],
        }
    metrics = [
        _metric(name, split, figures[kind][name].mean(0), f"rotation: {kind}; networks: {repeats}")
        for kind in ROTATIONS
        for name in ("dice", "iou", "turning_error")
    ]
    metrics += [
        _metric(
            "dice_gain",
            split,
            (figures[kind]["dice"] - figures["none"]["dice"]).mean(0),
            f"rotation: {kind}, over none, image by image",
        )
        for kind in ROTATIONS[1:]
    ]
    report.show(metrics)
    report.write(folder / "report.json", metrics, [], networks=_networks(figures))
    compare_histories(
        folder / "rotation.png",
        histories,
        ("train_loss", "valid_loss", "dice"),
        f"the course's U-Net, networks each: {repeats}; dice of validation",
    )


def _networks(figures: dict[str, dict[str, NDArray[Any]]]) -> list[dict[str, Any]]:
    """The mean figures of each network."""
    return [
        {"rotation": kind, "network": i}
        | {name: round(float(values[i].mean()), 4) for name, values in named.items()}
        for kind, named in figures.items()
        for i in range(len(named["dice"]))
    ]


def _metric(name: str, split: str, values: NDArray[Any], note: str) -> Metric:
    """The mean over images, shape (n,), with its interval."""
    return report.metric(
        name, split, lambda v, _: float(v.mean()), values, values, note=note, by_class=False
    )
