"""Train `nuclei-unet`: which pixels of a fluorescence image are of a nucleus, and of which.

    python -m training nuclei-unet                  # train, report on validation
    python -m training nuclei-unet --export         # and on test, and write exported/
    python -m training nuclei-unet --preset course  # the course's, with and without rotation
    python -m training nuclei-unet --smoke          # half a minute, on some real images

Preset ``course``: the course's network on its JPEGs / 255, masks / 255, Dice loss, batch 4, Adam at
1e-3, 20 epochs, the epoch chosen by Dice on validation; each kind of rotation on the same seeds.
Its test images are scored, which decides nothing of the shipped model.

Preset ``best``: a smaller network with a second output, the cores of nuclei, so that those which
touch come apart. It learns on random crops of images scaled by percentiles, as it will be used, in
two stages; the second has smaller batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from msgspec import structs
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from seqtile.models.card import Baseline, Metric
from seqtile.models.contract import Segmentation

from ...export import export
from ...export.report import Report
from ...lab import command, report
from ...lab.command import Options
from ...lab.loop import Fit, FitConfig, fit, seed_everything
from ...lab.pictures import plot_history, write_history
from . import course as nuclei_course
from . import data, dsb2018
from . import figures as nuclei_figures
from .card import NAME, make_contract
from .crops import WEIGHT
from .networks import NucleiUNet
from .task import Config, Task, prepared

GOLDEN, GOLDEN_SIDE = 8, 128
TESTS = 90  # fluorescence images of test
WINDOW, SMOKE_WINDOW = 256, 32  # usual side; proving large ones takes a minute


def loss_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy, in which pixels between nuclei weigh more, and soft Dice, of mask and core.

    Parameters
    ----------
    logits
        Shape (N, 2, H, W).
    targets
        Shape (N, 3, H, W), 0 or 1: nucleus, core, close to two nuclei.
    """
    wanted = targets[:, :2]
    weights = 1 + (WEIGHT - 1) * targets[:, 2:]
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, weights.expand_as(wanted))
    p = torch.sigmoid(logits)
    common = (p * wanted).sum((0, 2, 3))
    dice = (2 * common + 1) / (p.sum((0, 2, 3)) + wanted.sum((0, 2, 3)) + 1)
    return entropy + (1 - dice).mean()


def train(task: Task, folder: Path) -> tuple[NucleiUNet, Fit]:
    """Fit the network of preset ``best``."""
    config, device = task.config, task.device
    seed_everything(config.seed)
    network = NucleiUNet().to(device, memory_format=torch.channels_last)
    crops = task.crops()
    history: list[dict[str, float]] = []
    seconds, best_epoch = 0.0, 0
    finer = (config.finer_crops, config.finer_batch, config.finer_epoch, config.finer_lr)
    stages = ((config.crops, config.batch, config.epoch, config.lr), finer)
    for number, (count, batch, epoch, lr) in enumerate(stages):

        def loss(model: nn.Module, rng: np.random.Generator, batch: int = batch) -> Tensor:
            images, targets = (torch.from_numpy(a).to(device) for a in crops(rng, batch))
            with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
                logits = model.logits(images)
            return loss_of(logits, targets.permute(0, 3, 1, 2).float() / 255)

        epochs, steps = (1, 4) if config.smoke else (max(1, count // (batch * epoch)), epoch)
        plan = FitConfig(
            steps=epochs * steps,
            evaluate_every=steps,
            lr=lr,
            weight_decay=config.weight_decay,
            ema=config.ema,
            monitor="ap",
            seed=config.seed + number,
        )
        result = fit(
            network,
            loss,
            task.validate,
            plan,
            checkpoint=folder / f"fit-{number}.pt",
            label=f"nuclei-unet, stage {number + 1}",
        )
        before, steps_before = len(history), int(history[-1]["step"]) if history else 0
        best_epoch = before + result.best_epoch
        history += [
            row | {"epoch": before + row["epoch"], "step": steps_before + row["step"]}
            for row in result.history
        ]
        seconds += result.seconds
    return network, Fit(network.eval(), history, best_epoch, seconds)


def golden(task: Task) -> NDArray[np.uint8]:
    """Middles of images of validation, scaled: uint8, shape (8, 128, 128)."""
    fields = [f for f in task.valid if f.kind == "fluo"]
    middles = []
    for f in [*fields, *fields][:GOLDEN]:
        image = prepared(f)
        top, left = ((size - GOLDEN_SIDE) // 2 for size in image.shape)
        middles.append(image[top : top + GOLDEN_SIDE, left : left + GOLDEN_SIDE])
    return np.stack(middles)


def data_fields(task: Task) -> dict[str, Any]:
    """What it was trained, chosen and tested on."""
    return {
        "train": {"n": len(task.examples)},
        "valid": {"n": len(task.valid), "course": len(task.parts.valid)},
        "test": {"n": TESTS, "course": len(task.parts.test)},
        "sha256": f"{dsb2018.CHECKSUM} (pixels and labels), {data.CHECKSUM} ({data.NAME}, archive)",
    }


def ship(
    task: Task,
    network: NucleiUNet,
    result: Fit,
    settings: Segmentation,
    metrics: Sequence[Metric],
    base: Sequence[Baseline],
    files: Sequence[Path],
    options: Options,
) -> None:
    """Write ``exported/nuclei-unet``."""
    window = SMOKE_WINDOW if task.config.smoke else WINDOW
    training = command.training_fields(
        NAME,
        task.config,
        options,
        seconds=result.seconds,
        window=window,
        best_epoch=result.best_epoch,
        kmacs_per_pixel=round(network.macs() / 1000, 1),
    )
    export.export(
        network,
        make_contract(
            settings,
            stride=network.stride,
            receptive_field=network.receptive_field,
            window=window,
        ),
        Report.of("nuclei", network, training, metrics, base, data=data_fields(task)),
        {"image": golden(task)},
        options.exported / NAME,
        files=files,
    )


def main(arguments: list[str] | None = None) -> None:
    """Train, report, and with ``--export`` write the model."""
    config, options = command.parse(Config, __doc__, arguments)
    folder = options.run_folder(NAME, config)
    task = Task(config, options.device)
    if config.preset == "course":
        nuclei_course.run(task, folder)
        return
    network, result = train(task, folder)
    settings = nuclei_figures.choose(nuclei_figures.answers(task, network, task.valid))
    metrics, base, answers = nuclei_figures.figures(
        task,
        network,
        settings,
        folder.parent / f"course-seed{config.seed}" / "report.json",
        test=options.export and not config.smoke,
    )
    report.show(metrics, base)
    report.write(
        folder / "report.json",
        metrics,
        base,
        segmentation=structs.asdict(settings),
        seconds=round(result.seconds),
    )
    files = [folder / name for name in ("history.csv", "training.png", "examples.png")]
    write_history(files[0], result.history)
    plot_history(files[1], result.history, NAME)
    nuclei_figures.show_examples(files[2], answers, settings)
    if options.export:
        ship(task, network, result, settings, metrics, base, files, options)
