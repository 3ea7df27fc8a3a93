"""Train `nuclei-unet`: which pixels of a fluorescence image are of a nucleus, and of which.

    python -m training.train_nuclei                       # train, report on validation
    python -m training.train_nuclei --export              # and on test, and write exported/
    python -m training.train_nuclei --preset course       # the course's, with and without rotation
    python -m training.train_nuclei --smoke               # half a minute, on some real images

Preset ``course``: the course's network on its JPEGs / 255, masks / 255, Dice loss, batch 4, Adam at
1e-3, 20 epochs, the epoch chosen by Dice on validation; each kind of rotation on the same seeds.
Its test images are scored, which decides nothing of the shipped model.

Preset ``best``: a smaller network with a second output, the cores of nuclei, so that those which
touch come apart. It learns on random crops of images scaled by percentiles, as it will be used, in
two stages; the second has smaller batches.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from msgspec import structs
from torch import Tensor, nn
from torch.nn import functional

from ...lab import command, report
from ...lab.loop import Fit, FitConfig, fit, seed_everything
from ...lab.pictures import plot_history, write_history
from . import card as nuclei_card
from . import course as nuclei_course
from . import report as nuclei_report
from .crops import WEIGHT
from .networks import NucleiUNet
from .task import Config, Task


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


def main(arguments: list[str] | None = None) -> None:
    """Train, report, and with ``--export`` write the model."""
    config, options = command.parse(Config, __doc__, arguments)
    folder = options.run_folder("nuclei-unet", config)
    task = Task(config, options.device)
    if config.preset == "course":
        nuclei_course.run(task, folder)
        return
    network, result = train(task, folder)
    settings = nuclei_report.choose(nuclei_report.answers(task, network, task.valid))
    metrics, base, answers = nuclei_report.figures(
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
    plot_history(files[1], result.history, nuclei_card.NAME)
    nuclei_report.show_examples(files[2], answers, settings)
    if options.export:
        nuclei_card.export_model(task, network, result, settings, metrics, base, files, options)
