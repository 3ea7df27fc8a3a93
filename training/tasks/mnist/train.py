"""Train `mnist-convnet`: which handwritten digit is this.

    python -m training mnist-convnet                  # train, report on validation
    python -m training mnist-convnet --export         # and on test, and write exported/
    python -m training mnist-convnet --preset course  # the homework's network; validation and test
    python -m training mnist-convnet --smoke          # half a minute, on some real digits

"Deep learning workshop", summary and homework. Preset ``course`` is its network (`DigitNet` with
its defaults). The homework leaves the training to a script of its own; here it is Adam with a
constant rate of 1e-3, batches of 64, the likelihood of the softmax, and 10 epochs of which
validation chooses the best.

Preset ``best``: five padded 3x3 convolutions in three blocks, batch normalisation, one hidden
layer; every training image is turned, sheared, scaled, shifted and bent a little, each time anew;
label smoothing, AdamW with one cycle of the rate, the moving average of the weights. Its last epoch
counts. Validation, 500 of each digit of MNIST's train, is not trained on. The mean answer to shifts
of the image (``--views 5`` or ``9``) reads no more of it, and is left out.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from seqtile.models.card import Baseline, Metric

from ...export import export
from ...export.report import Report
from ...lab import command, report
from ...lab.command import Options
from ...lab.loop import Fit, FitConfig, Shuffled, fit, infer, seed_everything
from ...lab.pictures import plot_history, write_history
from . import data as mnist
from . import figures as mnist_figures
from .augment import distort
from .card import data_fields, make_contract
from .figures import Parts, Probability
from .networks import DigitNet, Shifted

NAME = "mnist-convnet"
GOLDEN = 16  # digits that the model folder is checked with
_CROSS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
VIEWS: dict[int, tuple[tuple[int, int], ...]] = {
    1: ((0, 0),),
    5: _CROSS,
    9: (*_CROSS, (1, 1), (1, -1), (-1, 1), (-1, -1)),
}


@dataclass(frozen=True)
class Config:
    """Everything that decides the result; also the command line.

    Attributes
    ----------
    blocks
        Channels of the convolutions: blocks by ``/``, convolutions of a block by ``,``.
    rotate, shear
        Largest angles of a training image's random distortion, in degrees.
    scale
        Largest factor, and one over the smallest.
    shift
        Largest shift in pixels.
    elastic
        Standard deviation of the elastic distortion's knots, in pixels.
    smoothing
        Of the labels.
    ema
        Decay of the moving average of the weights.
    settle, settle_lr, settle_strength
        Epochs after those, at what peak rate, on images distorted by this share of the above and
        labels that are not smoothed.
    views
        Copies of an image whose answers the shipped model averages: the image alone, with its four
        shifts by a pixel, or with all eight.
    precision
        Of the layers while training: ``bf16`` (autocast) is nearly twice as fast on processors that
        have it. Validation, test and the shipped model are float32.
    """

    preset: str = field(default="best", metadata={"choices": ("best", "course")})
    seed: int = 0
    blocks: str = "32,32/64,64/128"
    kernel: int = 3
    hidden: int = 128
    epochs: int = 24
    batch: int = 128
    lr: float = 3e-3
    weight_decay: float = 0.02
    dropout: float = 0.2
    smoothing: float = 0.02
    ema: float = 0.998
    rotate: float = 12.0
    shear: float = 10.0
    scale: float = 1.12
    shift: float = 2.0
    elastic: float = 0.8
    settle: int = 2
    settle_lr: float = 3e-4
    settle_strength: float = 0.15
    views: int = field(default=1, metadata={"choices": tuple(VIEWS)})
    course_epochs: int = 10
    precision: str = field(default="bf16", metadata={"choices": ("bf16", "fp32")})
    smoke: bool = False

    @property
    def widths(self) -> list[list[int]]:
        """`blocks` as numbers."""
        try:
            return [[int(width) for width in block.split(",")] for block in self.blocks.split("/")]
        except ValueError:
            raise ValueError(
                f"--blocks must be like 32,32/64,64/128, not {self.blocks!r}"
            ) from None


class Task:
    """Train and validation of one run, on a device."""

    def __init__(self, config: Config, device: torch.device) -> None:
        self.config, self.device = config, device
        self.train, self.valid = mnist.split_train(mnist.load("train"))
        if config.smoke:
            self.train, self.valid = self.train[::50], self.valid[::20]
        self.images = torch.from_numpy(self.train.images).to(device)
        self.labels = torch.from_numpy(self.train.labels.astype(np.int64)).to(device)

    def predict(self, network: nn.Module, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities, float32 (n, 10), of uint8 images (n, 28, 28), in ``eval()``."""
        return infer(network, images, batch=500)[0].numpy()

    def answers(self, network: nn.Module, parts: Parts) -> dict[str, Probability]:
        """Probabilities of each part."""
        return {name: self.predict(network, part.images) for name, part in parts.items()}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Figures of an epoch, on validation."""
        return figures(self.predict(network, self.valid.images), self.valid.labels)


def figures(probability: NDArray[np.float32], labels: NDArray[np.uint8]) -> dict[str, float]:
    """``valid_loss``, the mean negative log likelihood, and ``accuracy``."""
    likelihood = probability[np.arange(len(labels)), labels].astype(np.float64)
    return {
        "valid_loss": float(-np.log(np.maximum(likelihood, 1e-12)).mean()),
        "accuracy": float((probability.argmax(1) == labels).mean()),
    }


def build(config: Config) -> DigitNet:
    """The network of a configuration."""
    if config.preset == "course":
        return DigitNet()
    return DigitNet(
        blocks=config.widths,
        kernel=config.kernel,
        padding=True,
        hidden=(config.hidden,),
        activate="after",
        norm=True,
        dropout=config.dropout,
    )


def train(task: Task, checkpoint: Path) -> Fit:
    """Fit the network of the preset; of ``best`` the last epoch counts, of ``course`` the best.

    ``best`` is fitted twice, the second time to digits that are hardly distorted.
    """
    config = task.config
    seed_everything(config.seed)
    network = build(config).to(task.device, memory_format=torch.channels_last)
    first = _fit(task, network, config, checkpoint)
    if config.preset == "course":
        return first
    share = config.settle_strength
    light = dataclasses.replace(
        config,
        rotate=share * config.rotate,
        shear=share * config.shear,
        scale=config.scale**share,
        shift=share * config.shift,
        elastic=share * config.elastic,
        epochs=config.settle,
        lr=config.settle_lr,
        smoothing=0.0,
        seed=config.seed + 5,
    )
    second = _fit(task, network, light, checkpoint.with_name(f"{checkpoint.stem}-settle.pt"))
    before = first.history[-1]
    history = [
        row | {key: before[key] + row[key] for key in ("epoch", "step")} for row in second.history
    ]
    return Fit(
        second.network,
        first.history + history,
        int(history[-1]["epoch"]),
        first.seconds + second.seconds,
    )


def _fit(task: Task, network: DigitNet, config: Config, checkpoint: Path) -> Fit:
    course = config.preset == "course"
    batch = 32 if config.smoke else 64 if course else config.batch
    batches = Shuffled(len(task.train), batch)

    def loss(model: nn.Module, rng: np.random.Generator) -> Tensor:
        rows = torch.from_numpy(batches(rng)).to(task.device)
        grey = task.images[rows].unsqueeze(1).float() / 255
        if course:  # the likelihood of a softmax, its log taken in one step
            return functional.cross_entropy(model.logits(grey)[0], task.labels[rows])
        grey = distort(grey, config, rng)
        half = config.precision == "bf16"
        with torch.autocast(task.device.type, torch.bfloat16, enabled=half):
            logits, _ = model.logits(grey)
        return functional.cross_entropy(
            logits.float(), task.labels[rows], label_smoothing=config.smoothing
        )

    epoch = batches.steps_per_epoch
    plan = FitConfig(
        steps=config.epochs * epoch,
        evaluate_every=epoch,
        lr=config.lr,
        weight_decay=config.weight_decay,
        ema=config.ema,
        monitor="epoch",
        seed=config.seed,
    )
    if course:
        plan = dataclasses.replace(
            plan,
            steps=config.course_epochs * epoch,
            optimizer="adam",
            schedule="constant",
            lr=1e-3,
            weight_decay=0.0,
            ema=0.0,
            monitor="accuracy",
        )
    if config.smoke:
        plan = dataclasses.replace(plan, steps=2 * epoch, ema=0.0 if course else 0.9)
    return fit(network, loss, task.validate, plan, checkpoint=checkpoint, label=config.preset)


def views(network: nn.Module, count: int) -> DigitNet | Shifted:
    """The network's mean answer to ``count`` views of an image."""
    assert isinstance(network, DigitNet)
    return network if count == 1 else Shifted(network, VIEWS[count])


def document_rows(task: Task, folder: Path, parts: Parts) -> list[Baseline]:
    """The homework's network, trained by preset ``course`` on the same digits, as a baseline."""
    course = Task(dataclasses.replace(task.config, preset="course"), task.device)
    network = train(course, folder / "course.pt").network
    found = mnist_figures.metrics(parts, task.answers(network, parts))
    return report.as_baselines(found, mnist_figures.DOCUMENT)


def by_views(task: Task, network: DigitNet) -> dict[str, dict[str, float]]:
    """Figures on validation of the network with each number of views."""
    return {str(count): task.validate(views(network, count)) for count in VIEWS}


def write_model(
    task: Task,
    result: Fit,
    network: DigitNet | Shifted,
    metrics: list[Metric],
    base: list[Baseline],
    folder: Path,
    options: Options,
) -> None:
    """``exported/mnist-convnet``, with some digits of validation as the golden inputs."""
    step = max(1, len(task.valid) // GOLDEN)
    fields = command.training_fields(
        NAME,
        task.config,
        options,
        seconds=result.seconds,
        window=mnist.SIDE,
        best_epoch=result.best_epoch,
    )
    card = export.export(
        network,
        make_contract(NAME, network.dimension),
        Report.of(
            "mnist",
            network,
            fields,
            metrics,
            base,
            architecture=network.describe(),
            data=data_fields(task.train, task.valid),
        ),
        {"image": task.valid.images[::step][:GOLDEN]},
        options.exported / NAME,
        files=[folder / "history.csv", *sorted(folder.glob("*.png"))],
    )
    print(f"wrote {options.exported / NAME}, sha256 {card.sha256}")


def main(arguments: list[str] | None = None) -> None:
    """See the module."""
    config, options = command.parse(Config, __doc__, arguments)
    started = time.perf_counter()
    folder = options.run_folder(NAME, config)
    task = Task(config, options.device)
    result = train(task, folder / "fit.pt")
    assert isinstance(result.network, DigitNet)
    course = config.preset == "course"
    network = views(result.network, 1 if course else config.views)
    title = f"{NAME}, preset {config.preset}"
    write_history(folder / "history.csv", result.history)
    note = "" if course else " (train_loss: of distorted images and smoothed labels)"
    plot_history(folder / "training.png", result.history, title + note)

    parts = {"valid": task.valid}
    if (options.export or course) and not config.smoke:
        parts = {"test": mnist.load("test"), **parts}
    scores = task.answers(network, parts)
    metrics = mnist_figures.metrics(parts, scores)
    base = mnist_figures.baselines(task.train, parts)
    if options.export:
        base = document_rows(task, folder, parts) + base
    report.show(metrics, base)
    by = {} if course else by_views(task, result.network)
    for count, row in by.items():
        print(f"valid, {count} views: {row['accuracy']:.4f}, loss {row['valid_loss']:.4f}")
    report.write(folder / "report.json", metrics, base, seconds=round(result.seconds), views=by)
    name = next(iter(parts))
    mnist_figures.draw_confusion(
        folder / "confusion.png", parts[name], scores[name], f"{title}, {name}"
    )
    mnist_figures.draw_misread(
        folder / "misread.png", parts[name], scores[name], f"{title}: the misread digits of {name}"
    )
    print(
        f"trained in {result.seconds:.0f} s, all in {time.perf_counter() - started:.0f} s; {folder}"
    )
    if options.export:
        write_model(task, result, network, metrics, base, folder, options)
