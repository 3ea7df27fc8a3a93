"""Train `dna-binding-bilstm`: does the protein bind this 101-base segment.

    python -m training dna-binding-bilstm                  # train, report on validation
    python -m training dna-binding-bilstm --export         # and on test, and write exported/
    python -m training dna-binding-bilstm --preset course  # the course's own network, 500 epochs
    python -m training dna-binding-bilstm --split row      # what splitting pairs up would give
    python -m training dna-binding-bilstm --smoke          # on some of the real rows

Preset ``best``: convolutions before the LSTM, both strands, several networks averaged. Unbound
segments are shuffles of bound ones, so each batch shuffles bound segments of train anew
(`dna_binding.shuffle`); the unbound ones of train are not needed. Hiding letters keeps deeper
convolutions from learning the bound ones by heart.

Preset ``course``: problem set 2 of the MIT course "Machine Learning for Molecular Engineering",
2025, part 1, to the letter; what its text leaves open (hidden_dim 16, halving of the rate on a
plateau) is as in its notebook template. Its last epoch is reported on test, as there.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from seqtile.models.card import Baseline, Metric

from ...export import export
from ...export.report import Report
from ...lab import command, report
from ...lab.baselines import KmerLogistic
from ...lab.command import Options
from ...lab.letters import turned
from ...lab.loop import Fit, FitConfig, Shuffled, fit, infer, mean_history, seed_everything
from ...lab.metrics import best_threshold, roc_auc, sigmoid
from ...lab.pictures import plot_history, write_history
from . import data as dna_binding
from .card import NAME, data_fields, make_contract
from .data import Segments, shuffle
from .networks import ConvBiLSTM, CourseLSTM, Mean, Probability

PARTS = {"valid": "valid", "test": "test", "shifted": "shifted test"}  # and how they are reported


@dataclass(frozen=True)
class Config:
    """Everything that decides the result; also the command line.

    Attributes
    ----------
    split
        Whether pairs, or single rows, are dealt out to train, valid and test.
    networks
        Averaged, of seeds that follow each other.
    epochs
        Passes over the bound segments of train.
    batch
        Half of it bound segments, half new shuffles.
    mask
        Largest share of letters that training hides from the network; each row draws its own.
    filters, width, pool, depth, hidden, dropout
        See `ConvBiLSTM`.
    course_hidden, course_epochs
        Of preset ``course``.
    """

    preset: str = dataclasses.field(default="best", metadata={"choices": ("best", "course")})
    seed: int = 0
    split: str = dataclasses.field(default="pair", metadata={"choices": ("pair", "row")})
    networks: int = 3
    epochs: int = 60
    batch: int = 256
    lr: float = 4e-3
    weight_decay: float = 0.1
    ema: float = 0.995
    mask: float = 0.3
    filters: int = 64
    width: int = 13
    pool: int = 4
    depth: int = 2
    hidden: int = 32
    dropout: float = 0.4
    course_hidden: int = 16
    course_epochs: int = 500
    smoke: bool = False


class Task:
    """The data of one run, on a device."""

    def __init__(self, config: Config, device: torch.device) -> None:
        self.config, self.device = config, device
        self.train, self.valid = self.part("train"), self.part("valid")
        if config.smoke:
            self.train, self.valid = self.train[:1024], self.valid[:256]

    def part(self, split: Any) -> Segments:
        """A split of the kind the run asks for."""
        by: Any = self.config.split
        return dna_binding.load(split, by=by)

    def tensor(self, array: NDArray[Any]) -> Tensor:
        """A copy of an array on the run's device."""
        return torch.tensor(array, device=self.device)

    def logits(self, network: nn.Module, letters: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits of a network in ``eval()``, shape (n,)."""
        return infer(network, letters)[0].numpy()

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Figures of an epoch, on validation."""
        logits, bound = self.logits(network, self.valid.letters), self.valid.bound
        loss = float((np.logaddexp(0, logits) - logits * bound).mean())
        return {"valid_loss": loss, "roc_auc": roc_auc(bound, logits)}


def train_best(task: Task, runs: Path) -> Fit:
    """Networks of several seeds, then their mean; one that is done is not trained again."""
    fits = [
        train_network(task, runs, i)
        for i in range(1 if task.config.smoke else task.config.networks)
    ]
    history = mean_history(fits)
    return Fit(
        Mean([each.network for each in fits]).eval(),
        history,
        len(history),
        sum(each.seconds for each in fits),
    )


def train_network(task: Task, runs: Path, number: int) -> Fit:
    """One network, of its last epoch; each batch half bound segments and half new shuffles."""
    config = task.config
    seed = 100 * config.seed + number
    seed_everything(seed)
    network = ConvBiLSTM(
        filters=config.filters,
        width=config.width,
        pool=config.pool,
        depth=config.depth,
        hidden=config.hidden,
        dropout=config.dropout,
    ).to(task.device)
    bound = task.train.letters[task.train.bound > 0.5]
    half = config.batch // 2
    labels = task.tensor(np.repeat(np.array([1, 0], np.float32), half))

    def loss(model: nn.Module, rng: np.random.Generator) -> Tensor:
        rows, others = rng.integers(0, len(bound), (2, half))
        letters = np.concatenate([bound[rows], shuffle(bound[others], rng)])
        letters = turned(letters, rng)
        share = config.mask * rng.random((len(letters), 1))
        letters[rng.random(letters.shape) < share] = ord("N")
        assert isinstance(model, ConvBiLSTM)
        return functional.binary_cross_entropy_with_logits(
            model.one_strand(task.tensor(letters)), labels
        )

    epoch = max(1, len(bound) // half)
    plan = FitConfig(
        steps=epoch * (2 if config.smoke else config.epochs),
        evaluate_every=epoch,
        lr=config.lr,
        weight_decay=config.weight_decay,
        ema=config.ema,
        monitor="epoch",
        seed=seed,
    )
    result = fit(
        network,
        loss,
        task.validate,
        plan,
        checkpoint=runs / f"network-{number}.pt",
        label=f"network {number}",
    )
    last = result.history[-1]
    print(
        f"network {number}: validation ROC AUC {last['roc_auc']:.4f}, loss "
        f"{last['valid_loss']:.4f}, {result.seconds:.0f} s",
        flush=True,
    )
    return result


def train_course(task: Task, runs: Path) -> Fit:
    """The course's network: BCE of probabilities, Adam 1e-2, the rate halved on a plateau."""
    config, train = task.config, task.train
    seed_everything(config.seed)
    network = CourseLSTM(hidden=config.course_hidden).to(task.device)
    batches = Shuffled(len(train), 256)

    def loss(model: nn.Module, rng: np.random.Generator) -> Tensor:
        rows = batches(rng)
        probability = torch.sigmoid(model(task.tensor(train.letters[rows]))[0])
        return functional.binary_cross_entropy(probability, task.tensor(train.bound[rows]))

    epoch = batches.steps_per_epoch
    plan = FitConfig(
        steps=epoch * (2 if config.smoke else config.course_epochs),
        evaluate_every=epoch,
        lr=1e-2,
        optimizer="adam",
        schedule="plateau",
        plateau_factor=0.5,
        monitor="epoch",
        seed=config.seed,
    )
    return fit(network, loss, task.validate, plan, checkpoint=runs / "course.pt", label="course")


def baselines(
    train: Segments, parts: dict[str, Segments], threshold_of: Segments
) -> list[Baseline]:
    """Logistic regression on 7-mers (k and C the best on validation of 5 to 7, 1e-3 to 0.1)."""
    model = KmerLogistic(7, c=1e-2).fit(train.letters, train.bound)
    cut = _threshold(threshold_of, model.predict(threshold_of.letters))
    return [
        row
        for name, part in parts.items()
        for row in report.as_baselines(
            report.binary(part.bound, model.predict(part.letters), name, threshold=cut),
            "logistic regression on 7-mers",
        )
    ]


def _threshold(part: Segments, scores: NDArray[np.floating]) -> float:
    return best_threshold(part.bound, scores, np.ones(len(part)))


def embedding_width(network: Mean) -> int:
    """Values of the embedding: those of each of the networks."""
    first = network.networks[0]
    assert isinstance(first, ConvBiLSTM)
    return len(network.networks) * first.last.in_features


def architecture(network: Mean, config: Config) -> str:
    """The network in a line."""
    count = len(network.networks)
    deep = (
        f"{config.depth} x Conv({config.filters}, 5) added to its input, " if config.depth else ""
    )
    return (
        f"mean of {count} networks, each the mean of both strands: Conv(4->{config.filters}, "
        f"{config.width}) BatchNorm ReLU, max pooling {config.pool}, {deep}"
        f"BiLSTM({config.hidden}), largest and mean states and maps, "
        f"Linear(->{embedding_width(network) // count}) ReLU, Linear(->1); sigmoid"
    )


def golden_inputs(valid: Segments) -> dict[str, NDArray[np.uint8]]:
    """Sixteen validation rows, some in lower case or with unknown letters: uint8 (16, 101)."""
    letters = valid.letters[:16].copy()
    letters[1::4] |= 0x20
    letters[2, ::7] = ord("N")
    return {"sequence": letters}


def main(arguments: list[str] | None = None) -> None:
    """See the module."""
    config, options = command.parse(Config, __doc__, arguments)
    if options.export and config.split == "row":
        raise ValueError("--export takes the split by pair")
    started = time.perf_counter()
    task = Task(config, options.device)
    runs = options.run_folder(NAME, config, *(["row"] if config.split == "row" else []))
    result = (train_course if config.preset == "course" else train_best)(task, runs)
    write_history(runs / "history.csv", result.history)
    plot_history(runs / "training.png", result.history, f"{NAME}, preset {config.preset}")

    # Test is for the last report: of the course's set-up, of what is shipped, of a leak's size.
    last = options.export or config.preset == "course" or config.split == "row"
    names = ("test", "shifted", "valid") if last and not config.smoke else ("valid",)
    parts = {PARTS[name]: task.valid if name == "valid" else task.part(name) for name in names}
    logits = {name: task.logits(result.network, part.letters) for name, part in parts.items()}
    cut = 0.0 if config.preset == "course" else _threshold(task.valid, logits["valid"])
    threshold = round(float(sigmoid(np.array(cut))), 4)
    metrics = [
        row
        for name, part in parts.items()
        for row in report.binary(part.bound, sigmoid(logits[name]), name, threshold=threshold)
    ]
    base = baselines(task.train, parts, task.valid)
    report.show(metrics, base)
    report.write(
        runs / "report.json", metrics, base, seconds=round(result.seconds), split=config.split
    )
    print(
        f"trained in {result.seconds:.0f} s, all in {time.perf_counter() - started:.0f} s; {runs}"
    )
    if options.export:
        ship(task, result, options, runs, threshold, metrics, base)


def ship(
    task: Task,
    result: Fit,
    options: Options,
    runs: Path,
    threshold: float,
    metrics: list[Metric],
    base: list[Baseline],
) -> None:
    """Write the model folder."""
    fields = command.training_fields(
        NAME,
        task.config,
        options,
        seconds=result.seconds,
        window=dna_binding.LENGTH,
        best_epoch=result.best_epoch,
    )
    assert isinstance(result.network, Mean)
    card = export.export(
        Probability(result.network),
        make_contract(threshold, embedding_width(result.network)),
        Report.of(
            "dna_binding",
            result.network,
            fields,
            metrics,
            base,
            architecture=architecture(result.network, task.config),
            data=data_fields(),
        ),
        golden_inputs(task.valid),
        options.exported / NAME,
        files=[runs / "history.csv", runs / "training.png"],
        motif_letters=task.train[task.train.bound > 0.5].letters,
    )
    print(f"wrote {options.exported / NAME}, sha256 {card.sha256}")
