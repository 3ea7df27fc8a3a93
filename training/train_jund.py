"""Train `jund-cnn-seq`: does JUND bind this 101-base segment, from its letters alone.

    python -m training.train_jund --device auto            # train, report on validation
    python -m training.train_jund --device auto --export   # and on test, and write exported/
    python -m training.train_jund --preset course          # the book's own network
    python -m training.train_jund --smoke                  # half a minute, on some of the real rows

Preset ``best``: 849 bound rows are too few for a network to learn what open chromatin looks like,
so teachers learn binding beside ten denser targets of every row (accessibility and the labels
around it), from windows shifted into their neighbours, on both strands; a student then learns the
mean of the teachers' logits on shifted windows of train. The auxiliary targets are not shipped; the
student needs the sequence alone. Nothing of validation or test is learned from; validation chooses
the epoch and the thresholds.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from seqtile import reverse_complement
from seqtile.cards import Baseline, Metric, ModelCard, TensorSpec, Threshold
from seqtile.errors import SeqtileError
from seqtile.session import thread_count

from . import export
from .datasets import jund
from .datasets.jund import Segments
from .datasets.jund_windows import TrainWindows
from .figures import plot_history, write_history
from .jund_report import (
    Cuts,
    baselines,
    choose_cuts,
    describe,
    golden_inputs,
    report,
    show,
    sigmoid,
    strand_note,
)
from .loop import Fit, FitConfig, fit, pick_device, save, seed_everything
from .metrics import pr_auc, roc_auc
from .models.tf_binding import BookCNN, Probability, SequenceCNN

NAME = "jund-cnn-seq"
ROOT = Path(__file__).resolve().parents[1]
BLOCK = 500_000  # bases of a held-out block

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Config:
    """Everything that decides the result; also the command line.

    Attributes
    ----------
    rounds
        Networks trained of each kind of teacher.
    batch, positives
        Rows of a batch, and bound ones among them.
    reach
        Largest shift, in bases.
    binding
        Weight of the binding loss beside the auxiliary one, per teacher (see TEACHERS).
    auxiliary
        Weight of the auxiliary targets in the student's loss.
    hold_out
        Fold (0 to 4) of 500-kb blocks of the chromosome that is left out of train and scored:
        validation segments have neighbours in train, such blocks do not.
    """

    preset: str = "best"
    seed: int = 0
    rounds: int = 2
    batch: int = 256
    positives: int = 16
    reach: int = 50
    teacher_steps: int = 1500
    student_steps: int = 2400
    teacher_lr: float = 2e-3
    student_lr: float = 4e-3
    weight_decay: float = 0.01
    ema: float = 0.998
    auxiliary: float = 0.3
    course_epochs: int = 60
    hold_out: int = -1
    smoke: bool = False


ONE: dict[str, Any] = {"convs": ((128, 8, 1),)}
TWO: dict[str, Any] = {"convs": ((128, 8, 4), (96, 3, 1))}
# (network, weight of the binding loss): teachers that err differently.
TEACHERS: tuple[tuple[dict[str, Any], float], ...] = (
    (ONE | {"tied": True}, 0.2),
    (ONE, 0.2),
    (ONE, 1.0),
    (TWO | {"tied": True}, 0.2),
)


class Task:
    """The data of one run, on a device."""

    def __init__(self, config: Config, device: torch.device) -> None:
        self.config, self.device = config, device
        train, self.valid = jund.load("train"), jund.load("valid")
        fold = np.random.default_rng(0).permutation(200)[train.start // BLOCK] % 5
        self.held = train[fold == config.hold_out] if config.hold_out >= 0 else None
        train = train[fold != config.hold_out]
        if config.smoke:
            keep = (np.arange(len(train)) % 50 == 0) | (train.bound > 0)
            train, self.valid = train[keep], self.valid[: len(self.valid) // 16]
        self.train = train
        self.windows = TrainWindows(train, jund.load_labels())
        self.bound_rows = np.flatnonzero(train.bound > 0.5)
        self.other_rows = np.flatnonzero(train.bound <= 0.5)

    def tensor(self, array: NDArray[Any]) -> Tensor:
        """An array on the run's device."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def logits(self, network: nn.Module, letters: NDArray[np.uint8]) -> NDArray[np.float32]:
        """All logits of a network, shape (n, outputs), in ``eval()``."""
        network.eval()
        with torch.inference_mode():
            parts = [network(self.tensor(letters[i : i + 256])).cpu() for i in
                     range(0, len(letters), 256)]  # fmt: skip
        return torch.cat(parts).numpy()

    def strand_logits(self, network: nn.Module, letters: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits of binding on the + and the - strand, shape (2, n)."""
        strands = (letters, reverse_complement(letters))
        return np.stack([self.logits(network, strand)[:, 0] for strand in strands])

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Figures of an epoch, on validation, of the + strand."""
        scores = self.logits(network, self.valid.letters)[:, 0]
        loss = _weighted_loss(scores, self.valid)
        return {
            "valid_loss": loss,
            "roc_auc": roc_auc(self.valid.bound, scores),
            "pr_auc": pr_auc(self.valid.bound, scores),
        }


def _weighted_loss(logits: Floats, part: Segments) -> float:
    losses = np.logaddexp(0, logits) - logits * part.bound
    return float((losses * part.weight).sum() / part.weight.sum())


def train_teacher(task: Task, network: nn.Module, binding: float, seed: int, label: str) -> Fit:
    """A network of 1 + 10 logits, on binding and the auxiliary targets."""
    config = task.config
    count, others = config.positives, config.batch - config.positives
    weights = task.tensor(
        np.repeat([0.5 / count, 0.5 / others], [count, others]).astype(np.float32)
    )  # both classes weigh the same

    def loss(model: nn.Module, rng: np.random.Generator) -> Tensor:
        rows = np.concatenate(
            [rng.choice(task.bound_rows, count), rng.choice(task.other_rows, others)]
        )
        starts, bound, auxiliary = task.windows.shifted(rows, rng, config.reach)
        letters = _turned(task.windows.letters(starts), rng)
        logits = model(task.tensor(letters))
        losses = functional.binary_cross_entropy_with_logits(
            logits[:, 0], task.tensor(bound.astype(np.float32)), reduction="none"
        )
        return binding * (losses * weights).sum() + (
            functional.binary_cross_entropy_with_logits(
                logits[:, 1:], task.tensor(auxiliary.astype(np.float32))
            )
        )

    steps = _steps(config, config.teacher_steps)
    plan = FitConfig(
        steps=steps, evaluate_every=steps // 5, lr=config.teacher_lr,
        weight_decay=config.weight_decay, ema=config.ema, seed=seed,
    )  # fmt: skip
    return fit(network, loss, task.validate, plan, label=label)


def distill(task: Task, teachers: list[nn.Module], checkpoint: Path) -> Fit:
    """A student of the mean logit of all teachers on both strands."""
    config = task.config
    rng = np.random.default_rng(config.seed)
    every = np.arange(len(task.train))
    rows = np.concatenate([every, np.repeat(task.bound_rows, 10)])
    starts, _, _ = task.windows.shifted(rows, rng, config.reach)
    targets = np.empty((len(starts), 1 + task.windows.auxiliary.shape[1]), np.float32)
    for i in tqdm(range(0, len(starts), 2048), desc="targets", leave=False, disable=None):
        letters = task.windows.letters(starts[i : i + 2048])
        both = (letters, reverse_complement(letters))
        targets[i : i + 2048] = np.mean(
            [task.logits(teacher, strand) for teacher in teachers for strand in both], axis=0
        )
    mean, deviation = targets.mean(0), targets.std(0)
    goal = task.tensor((targets - mean) / deviation)
    network = SequenceCNN(**ONE, outputs=targets.shape[1]).to(task.device)

    def loss(model: nn.Module, rng: np.random.Generator) -> Tensor:
        chosen = rng.integers(0, len(starts), config.batch)
        logits = model(task.tensor(task.windows.letters(starts[chosen])))
        errors = (logits - goal[torch.from_numpy(chosen).to(task.device)]) ** 2
        return errors[:, 0].mean() + config.auxiliary * errors[:, 1:].mean()

    def rescaled(model: nn.Module) -> SequenceCNN:
        """A copy on the teachers' scale of logits."""
        copy = SequenceCNN(**ONE, outputs=targets.shape[1]).to(task.device).eval()
        copy.load_state_dict(model.state_dict())
        with torch.no_grad():
            copy.last.weight.mul_(task.tensor(deviation)[:, None])
            copy.last.bias.mul_(task.tensor(deviation)).add_(task.tensor(mean))
        return copy

    steps = _steps(config, config.student_steps)
    plan = FitConfig(
        steps=steps, evaluate_every=steps // 12, patience=6, lr=config.student_lr,
        weight_decay=config.weight_decay, ema=config.ema, seed=config.seed + 50,
    )  # fmt: skip
    result = fit(
        network, loss, lambda m: task.validate(rescaled(m)), plan,
        checkpoint=checkpoint, label="student",
    )  # fmt: skip
    return dataclasses.replace(result, network=rescaled(result.network).binding_only())


def train_best(task: Task, runs: Path) -> Fit:
    """Teachers, then the student; a teacher that is done is not trained again."""
    config = task.config
    teachers: list[nn.Module] = []
    seconds = 0.0
    chosen = TEACHERS[1:2] if config.smoke else TEACHERS * config.rounds
    for i, (network, binding) in enumerate(chosen):
        seed = 100 * config.seed + i
        seed_everything(seed)
        outputs = 1 + task.windows.auxiliary.shape[1]
        model = SequenceCNN(**network, outputs=outputs, dropout=0.5).to(task.device)
        done = runs / f"teacher-{i}.pt"
        if done.exists():
            content = torch.load(done, map_location="cpu", weights_only=True)
            model.load_state_dict(content["network"])
            seconds += content["seconds"]
            print(f"teacher {i}: from {done}")
        else:
            result = train_teacher(task, model, binding, seed, f"teacher {i}")
            save({"network": result.network.state_dict(), "seconds": result.seconds}, done)
            best = result.history[result.best_epoch - 1]
            print(f"teacher {i}: validation ROC AUC {best['roc_auc']:.4f}, {result.seconds:.0f} s")
            seconds += result.seconds
        teachers.append(model.eval())
    logits = np.mean([task.strand_logits(t, task.valid.letters).mean(0) for t in teachers], axis=0)
    print(f"teachers together: validation ROC AUC {roc_auc(task.valid.bound, logits):.4f}")
    seed_everything(100 * config.seed + 50)
    result = distill(task, teachers, runs / "student.pt")
    result.seconds += seconds
    return result


def train_course(task: Task, runs: Path) -> Fit:
    """The book's network and loss: every row, its weights, Adam 1e-3, batches of 1,000."""
    config = task.config
    seed_everything(config.seed)
    network = BookCNN().to(task.device)
    train = task.train

    def loss(model: nn.Module, rng: np.random.Generator) -> Tensor:
        rows = rng.integers(0, len(train), 1000)
        logits = model(task.tensor(train.letters[rows]))[:, 0]
        losses = functional.binary_cross_entropy_with_logits(
            logits, task.tensor(train.bound[rows]), reduction="none"
        )
        return (losses * task.tensor(train.weight[rows])).mean()

    epoch = 10 if config.smoke else len(train) // 1000
    plan = FitConfig(
        steps=epoch * (2 if config.smoke else config.course_epochs), evaluate_every=epoch,
        patience=15, lr=1e-3, schedule="constant", seed=config.seed,
    )  # fmt: skip
    return fit(network, loss, task.validate, plan, checkpoint=runs / "course.pt", label="course")


def _steps(config: Config, steps: int) -> int:
    return 60 if config.smoke else steps


def _turned(letters: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Half of the rows as their reverse complements."""
    turn = rng.random(len(letters)) < 0.5
    letters[turn] = reverse_complement(letters[turn])
    return letters


PRESETS: dict[str, Callable[[Task, Path], Fit]] = {"best": train_best, "course": train_course}


def make_card(
    network: SequenceCNN, config: Config, task: Task, result: Fit, cuts: Cuts,
    metrics: list[Metric], base: list[Baseline],
) -> ModelCard:  # fmt: skip
    """The card, but for the checksum."""
    unbound = task.valid[task.valid.bound < 0.5].letters
    either = sigmoid(task.strand_logits(network, unbound).max(0))
    either_share = float((either >= cuts.peak).mean())
    share = len(task.train) / jund.TRAIN_ROWS
    return ModelCard(
        name=NAME,
        version="1.0.0",
        task="binary-classification",
        summary="Does the transcription factor JUND bind this 101-base segment (HepG2 cells)?",
        architecture="Conv(4->128, 8, valid) ReLU, global max and mean, Linear(256->32) ReLU, "
        "Linear(32->1), sigmoid",
        parameters=sum(p.numel() for p in network.parameters()),
        inputs=(
            TensorSpec(
                "sequence", ("batch", jund.LENGTH), "uint8", "ASCII letters of one strand; case is "
                "ignored, U counts as T", alphabet="dna", unknown="zero", min_length=jund.LENGTH,
            ),
        ),
        outputs=(
            TensorSpec(
                "probability", ("batch",), "float32", "probability of binding if bound and unbound "
                "segments were equally frequent; of chromosome 22's segments 0.4 % are bound",
                labels=("unbound", "bound"),
            ),
        ),
        receptive_field=network.receptive_field,
        threshold=Threshold(
            cuts.peak,
            "reached by 1 % of the unbound validation segments on one strand, "
            f"by {either_share:.2%} on either",
        ),
        data={
            "name": jund.NAME,
            "source": jund.SOURCE,
            "assembly": "hg19, chromosome 22",
            "split": "the book's: random over segments of 101 bases that tile the chromosome",
            "train": {**describe(task.train), "sha256": jund.train_checksum(len(task.train))},
            "valid": {**describe(task.valid), "sha256": jund.CHECKSUMS["valid"]},
            "test": {"sha256": jund.CHECKSUMS["test"]},
        },
        training={
            "command": "python -m training.train_jund --export",
            "window": jund.LENGTH,
            "config": dataclasses.asdict(config),
            "device": _device_name(task.device),
            "seconds": round(result.seconds),
            "best_epoch": result.best_epoch,
            "torch": torch.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
        metrics=tuple(metrics),
        baselines=tuple(base),
        limits=(
            "One factor, one cell line: a segment is called bound if its letters look like "
            "those of JUND's peaks in HepG2 cells, open chromatin included; most sites with the "
            "motif are not bound.",
            "The split is random over neighbouring segments, so peaks stand on both of its sides; "
            "on 500-kb blocks kept out of train the ROC AUC is lower "
            "(`python -m training.train_jund --hold-out 0`).",
            f"Trained on {share:.0%} of the book's rows"
            + (": those that align between primates." if share < 1 else "."),
            "The strands are scored apart and differ a little; a scan takes the larger score.",
        ),
        opset=export.OPSET,
        tolerance=1e-5,
    )  # fmt: skip


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def both_strands(task: Task, network: nn.Module, part: Segments) -> dict[str, float]:
    """ROC AUC of the two strands together, as a scan scores them (max) and as their mean."""
    logits = task.strand_logits(network, part.letters)
    return {
        "max": roc_auc(part.bound, logits.max(0)),
        "mean": roc_auc(part.bound, logits.mean(0)),
    }


def main(arguments: list[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for field in dataclasses.fields(Config):
        flag = f"--{field.name.replace('_', '-')}"
        if field.type == "bool":
            parser.add_argument(flag, action="store_true")
        else:
            kind = {"int": int, "float": float, "str": str}[str(field.type)]
            choices = list(PRESETS) if field.name == "preset" else None
            parser.add_argument(flag, type=kind, default=field.default, choices=choices)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument(
        "--runs", type=Path, default=ROOT / "runs", help="checkpoints and histories"
    )
    parser.add_argument("--export", action="store_true", help="report on test, write the model")
    parser.add_argument("--exported", type=Path, default=ROOT / "exported", help="its folder")
    options = vars(parser.parse_args(arguments))
    if not -1 <= options["hold_out"] <= 4:
        parser.error(f"--hold-out takes a fold from 0 to 4, not {options['hold_out']}")
    if options["export"] and options["preset"] != "best":
        parser.error("only preset best is exported: the book's network pads its edges")
    if options["export"] and options["hold_out"] >= 0:
        parser.error("--export takes the network that saw all of train, not --hold-out")
    if options["export"] and options["smoke"] and options["exported"] == ROOT / "exported":
        parser.error("--smoke --export needs a folder of its own: --exported")
    names = {field.name for field in dataclasses.fields(Config)}
    config = Config(**{name: value for name, value in options.items() if name in names})
    torch.set_num_threads(thread_count(options["threads"]))
    started = time.perf_counter()
    task = Task(config, pick_device(options["device"]))
    kind = "smoke" if config.smoke else f"seed{config.seed}"
    held = f"-held{config.hold_out}" if config.hold_out >= 0 else ""
    runs: Path = options["runs"] / NAME / f"{config.preset}-{kind}{held}"
    runs.mkdir(parents=True, exist_ok=True)
    _check_config(runs / "config.json", config)
    print(f"{NAME}, preset {config.preset}, {len(task.train):,} rows, "
          f"{len(task.bound_rows)} bound, device {task.device}")  # fmt: skip

    result = PRESETS[config.preset](task, runs)
    write_history(runs / "history.csv", result.history)
    title = f"{NAME}, preset {config.preset}"
    if config.preset == "best":
        title += " (train_loss: squared error against the teachers; valid_loss: weighted BCE)"
    plot_history(runs / "training.png", result.history, title)
    # The figure that stands first on the card is the last report's.
    parts = {"test": jund.load("test")} if options["export"] and not config.smoke else {}
    parts |= {"valid": task.valid} | ({"held-out blocks": task.held} if task.held else {})
    scores = {name: sigmoid(task.logits(result.network, part.letters)[:, 0])
              for name, part in parts.items()}  # fmt: skip
    cuts = choose_cuts(task.valid, scores["valid"])
    metrics = [m for name in parts for m in report(parts[name], scores[name], name, cuts)]
    base = [] if config.smoke else baselines(task.train, parts)
    show(metrics, base)
    strands = {name: both_strands(task, result.network, part) for name, part in parts.items()}
    for name, row in strands.items():
        print(f"{name:<17}ROC AUC of both strands: max {row['max']:.4f}, mean {row['mean']:.4f}")
    content = {"metrics": [dataclasses.asdict(m) for m in [*metrics, *base]], "strands": strands}
    (runs / "report.json").write_text(json.dumps(content, indent=2) + "\n")
    print(
        f"trained in {result.seconds:.0f} s, all in {time.perf_counter() - started:.0f} s; {runs}"
    )

    if options["export"]:
        assert isinstance(result.network, SequenceCNN)
        metrics = [dataclasses.replace(m, note=m.note or strand_note(strands[m.split]))
                   for m in metrics]  # fmt: skip
        card = export.export(
            Probability(result.network),
            make_card(result.network, config, task, result, cuts, metrics, base),
            golden_inputs(task.valid),
            options["exported"] / NAME,
            files=[runs / "history.csv", runs / "training.png"],
        )
        print(f"wrote {options['exported'] / NAME}, sha256 {card.sha256}")


def _check_config(path: Path, config: Config) -> None:
    """A run folder goes on with the configuration it began with."""
    text = json.dumps(dataclasses.asdict(config), indent=2) + "\n"
    if path.exists() and path.read_text() != text:
        raise ValueError(f"{path}: of another configuration; remove its folder or give --runs")
    path.write_text(text)


if __name__ == "__main__":
    try:
        main()
    except (SeqtileError, ValueError) as error:
        raise SystemExit(f"train_jund: error: {error}") from error
