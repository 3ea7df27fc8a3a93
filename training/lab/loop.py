"""Fit a network: steps, moving average of the weights, validation, early stopping, resuming.

Knows nothing of any task: the caller gives a loss and a validation.
"""

from __future__ import annotations

import copy
import functools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "adam-fused": functools.partial(torch.optim.Adam, fused=True),
    "sgd": torch.optim.SGD,
}

Loss = Callable[[nn.Module, np.random.Generator], Tensor]
Validate = Callable[[nn.Module], dict[str, float]]


@dataclass(frozen=True)
class FitConfig:
    """How to fit.

    Attributes
    ----------
    steps
        Optimiser steps at most.
    evaluate_every
        Steps between validations; such a stretch is called an epoch. At least one fits into
        ``steps``; what is left after the last counts for nothing.
    patience
        Epochs without a better ``monitor`` after which to stop; 0 never stops early.
    optimizer
        A key of `OPTIMIZERS`. ``"adam-fused"`` takes the same steps as ``"adam"`` in one pass over
        the weights: faster where these are many.
    lr, weight_decay
        Peak learning rate; decay acts on matrices, not on biases and norms.
    schedule
        ``"onecycle"``; ``"constant"``; or ``"plateau"``: torch's ReduceLROnPlateau on the
        validation figure ``valid_loss``, by ``plateau_factor`` after ``plateau_patience`` epochs.
    ema
        Decay of the moving average of the weights, which is what is validated and kept; 0 is none.
    monitor
        Validation figure that counts; larger is better.
    """

    steps: int
    evaluate_every: int
    patience: int = 0
    lr: float = 1e-3
    weight_decay: float = 0.0
    ema: float = 0.0
    optimizer: str = "adamw"
    schedule: str = "onecycle"
    plateau_patience: int = 10
    plateau_factor: float = 0.1
    monitor: str = "roc_auc"
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.evaluate_every <= self.steps:
            raise ValueError(
                f"evaluate_every must be 1 to {self.steps}, the steps, not {self.evaluate_every}"
            )


@dataclass
class Fit:
    """What a fit gave: the best network (averaged weights), and a row per epoch."""

    network: nn.Module
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    seconds: float = 0.0


class Shuffled:
    """Batches of row numbers, each epoch in a new order.

    Parameters
    ----------
    rows
        How many rows there are.
    batch
        Rows of a batch; the last of an epoch is what is left.

    Attributes
    ----------
    steps_per_epoch
        Batches of an epoch. A fit whose ``evaluate_every`` is a multiple of it resumes at the
        start of an epoch, so that it gives the same as one that was not cut.
    """

    def __init__(self, rows: int, batch: int) -> None:
        self.rows, self.batch = rows, batch
        self.steps_per_epoch = -(-rows // batch)
        self._order: NDArray[np.int64] = np.empty(0, np.int64)
        self._place = rows

    def __call__(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """The next batch, int64, shape (batch or less,)."""
        if self._place >= self.rows:
            self._order, self._place = rng.permutation(self.rows), 0
        chosen = self._order[self._place : self._place + self.batch]
        self._place += self.batch
        return chosen


def infer(
    network: nn.Module,
    *inputs: NDArray[Any],
    batch: int = 512,
    call: Callable[..., Any] | None = None,
) -> list[Tensor]:
    """What a network in ``eval()`` answers to many rows, on the CPU.

    Parameters
    ----------
    inputs
        Arrays of n rows, which go to the network's device a batch at a time.
    call
        What is asked of the network; default its ``forward``.

    Returns
    -------
    Each output, of n rows.
    """
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    network.eval()
    parts = []
    with torch.inference_mode():
        for i in range(0, len(inputs[0]), batch):
            rows = (torch.from_numpy(np.ascontiguousarray(x[i : i + batch])) for x in inputs)
            outputs = (call or network)(*(x.to(device) for x in rows))
            parts.append([y.cpu() for y in (outputs if isinstance(outputs, tuple) else (outputs,))])
    return [torch.cat(column) for column in zip(*parts, strict=True)]


def mean_history(fits: Sequence[Fit]) -> list[dict[str, float]]:
    """What fits of the same plan did in each epoch, on average."""
    return [
        {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        | {"epoch": rows[0]["epoch"], "step": rows[0]["step"]}
        for rows in zip(*(each.history for each in fits), strict=True)
    ]


def seed_everything(seed: int) -> None:
    """Seed torch; NumPy generators are made from the same seed by `fit`."""
    torch.manual_seed(seed)


def pick_device(name: str) -> torch.device:
    """``"cuda"``, ``"cpu"``, or ``"auto"``: CUDA where there is one.

    Raises
    ------
    ValueError
        CUDA asked for, and torch finds none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
        print(f"device auto: {name}")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device {name!r}: this torch ({torch.__version__}) finds no CUDA device")
    return torch.device(name)


def fit(
    network: nn.Module,
    loss: Loss,
    validate: Validate,
    config: FitConfig,
    *,
    checkpoint: Path | None = None,
    label: str = "fit",
) -> Fit:
    """Fit a network on its device.

    Parameters
    ----------
    network
        Trained in place.
    loss
        Draws a batch with the generator and gives its loss.
    validate
        Figures of a network in ``eval()``, without gradients.
    checkpoint
        File that is written at every validation and read at the start: a fit that was cut goes on
        from its last validation, and gives the same as one that was not.
    label
        Of the progress bar.
    """
    rng = np.random.default_rng(config.seed)
    averaged = _averaged(network, config.ema) if config.ema else None
    average: nn.Module = averaged.module if averaged else network
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    if config.optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer must be one of {sorted(OPTIMIZERS)}, not {config.optimizer!r}")
    optimizer = OPTIMIZERS[config.optimizer](
        [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=config.lr,
    )
    schedule = _schedule(optimizer, config)
    state = _State(config, network, average, optimizer, schedule, rng)
    state.resume(checkpoint)
    if averaged:
        averaged.n_averaged.fill_(state.step)
    started, total = time.perf_counter() - state.seconds, 0.0
    network.train()
    progress = tqdm(total=config.steps, initial=state.step, desc=label, leave=False, disable=None)
    with progress:
        while state.step < config.steps and not state.stopped:
            batch_loss = loss(network, rng)
            optimizer.zero_grad(set_to_none=True)
            batch_loss.backward()
            optimizer.step()
            if not isinstance(schedule, ReduceLROnPlateau):
                schedule.step()
            state.step += 1
            if averaged:
                averaged.update_parameters(network)
            total += batch_loss.item()
            progress.update()
            if state.step % config.evaluate_every == 0:
                average.eval()
                with torch.inference_mode():
                    figures = validate(average)
                network.train()
                if isinstance(schedule, ReduceLROnPlateau):
                    schedule.step(figures["valid_loss"])
                row = {
                    "epoch": state.step // config.evaluate_every,
                    "step": state.step,
                    "train_loss": total / config.evaluate_every,
                    **figures,
                }
                total = 0.0
                state.seconds = time.perf_counter() - started
                state.add(row, checkpoint)
                shown = {config.monitor: f"{row[config.monitor]:.4f}"}
                progress.set_postfix(shown, best=f"{state.best:.4f}")
    network.load_state_dict(state.best_weights)
    return Fit(network.eval(), state.history, state.best_epoch, state.seconds)


def _schedule(
    optimizer: torch.optim.Optimizer, config: FitConfig
) -> torch.optim.lr_scheduler.LRScheduler:
    if config.schedule == "onecycle":
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=config.lr, total_steps=config.steps + 1, pct_start=0.1
        )
    if config.schedule == "constant":
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    if config.schedule == "plateau":
        return ReduceLROnPlateau(
            optimizer, patience=config.plateau_patience, factor=config.plateau_factor
        )
    raise ValueError(
        f"schedule must be 'onecycle', 'constant' or 'plateau', not {config.schedule!r}"
    )


def _averaged(network: nn.Module, decay: float) -> AveragedModel:
    """The moving average of a network's weights and buffers; the first steps weigh more.

    The buffers of norms are averaged too: to gather them anew (`update_bn`) would take a pass over
    train before each validation.
    """

    def update(means: list[Tensor], values: list[Tensor], steps: Tensor | int) -> None:
        early = (2 + int(steps)) / (11 + int(steps))
        get_ema_multi_avg_fn(min(decay, early))(means, values, steps)

    return AveragedModel(network, multi_avg_fn=update, use_buffers=True)


class _State:
    """Where a fit stands."""

    def __init__(
        self,
        config: FitConfig,
        network: nn.Module,
        average: nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        rng: np.random.Generator,
    ) -> None:
        self.config = config
        self._parts: dict[str, Any] = {
            "network": network,
            "average": average,
            "optimizer": optimizer,
            "schedule": schedule,
        }
        self._rng = rng
        self.step = 0
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []
        self.best = -np.inf
        self.best_epoch = 0
        self.best_weights: dict[str, Tensor] = copy.deepcopy(average.state_dict())

    @property
    def stopped(self) -> bool:
        patience = self.config.patience
        return bool(patience and len(self.history) - self.best_epoch >= patience)

    def add(self, row: dict[str, float], checkpoint: Path | None) -> None:
        self.history.append(row)
        if row[self.config.monitor] > self.best:
            self.best, self.best_epoch = row[self.config.monitor], len(self.history)
            self.best_weights = copy.deepcopy(self._parts["average"].state_dict())
        if checkpoint is not None:
            self._save(checkpoint)

    def _save(self, path: Path) -> None:
        content = {name: part.state_dict() for name, part in self._parts.items()} | {
            "config": asdict(self.config),
            "rng": self._rng.bit_generator.state,
            "torch": torch.get_rng_state(),
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "best": float(self.best),
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
        }
        if torch.cuda.is_available():
            content["cuda"] = torch.cuda.get_rng_state()
        save(content, path)

    def resume(self, path: Path | None) -> None:
        if path is None or not path.exists():
            return
        content = torch.load(path, map_location="cpu", weights_only=True)
        # A field that came after the checkpoint was written had its default then.
        if FitConfig(**content["config"]) != self.config:
            raise ValueError(
                f"{path}: of another configuration; remove it or choose another --runs folder"
            )
        for name, part in self._parts.items():
            part.load_state_dict(content[name])
        self._rng.bit_generator.state = content["rng"]
        torch.set_rng_state(content["torch"])
        if "cuda" in content and torch.cuda.is_available():
            torch.cuda.set_rng_state(content["cuda"])
        self.step, self.seconds = content["step"], content["seconds"]
        self.history, self.best = content["history"], content["best"]
        self.best_epoch, self.best_weights = content["best_epoch"], content["best_weights"]


def save(content: dict[str, Any], path: Path) -> None:
    """`torch.save`, but the file appears under its name when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    torch.save(content, partial)
    partial.replace(path)
