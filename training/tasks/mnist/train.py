"""Train `mnist-convnet`: which handwritten digit is this.

    python -m training.train_mnist                   # train, report on validation
    python -m training.train_mnist --export          # and on test, and write exported/
    python -m training.train_mnist --preset course   # the homework's network; validation and test
    python -m training.train_mnist --smoke           # half a minute, on some real digits

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
from pathlib import Path

from seqtile.models.card import Baseline, Metric

from ...export import export
from ...export.report import Report
from ...lab import command, report
from ...lab.command import Options
from ...lab.loop import Fit
from ...lab.pictures import plot_history, write_history
from . import data as mnist
from . import figures as mnist_figures
from .card import data_fields, make_contract
from .figures import Parts
from .networks import DigitNet, Shifted
from .task import NAME, VIEWS, Config, Task, train, views

GOLDEN = 16


def document_rows(task: Task, folder: Path, parts: Parts) -> list[Baseline]:
    """The homework's network, trained by preset ``course`` on the same digits, as a baseline."""
    course = Task(dataclasses.replace(task.config, preset="course"), task.device)
    network = train(course, folder / "course.pt").network
    found = mnist_figures.metrics(parts, mnist_figures.answers(task, network, parts))
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
        "train_mnist",
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
    scores = mnist_figures.answers(task, network, parts)
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
