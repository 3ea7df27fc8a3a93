"""What a benchmark measures."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from ..execution.providers import PRECISIONS
from ..machine.threads import thread_count
from ..models.inputs import InputSpec
from .engines import ENGINES
from .inputs import Shape
from .warm_up import WarmUpRule

__all__ = ["Case", "Concurrency", "Plan", "Rate"]

_PROGRAMS = (
    "what torch.export.save wrote; of a shipped model `python -m training.export.program NAME` "
    "makes it, in a checkout"
)


@dataclass(frozen=True)
class Rate:
    """An open loop's rate: requests per second, or a share of what the closed loop reached.

    >>> [Rate.parse("250").text, Rate.parse("80%").share]
    ['250', 0.8]
    """

    text: str
    per_s: float | None
    share: float | None

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Read ``"250"`` or ``"80%"``.

        Raises
        ------
        ValueError
            Neither, or not above 0.
        """
        try:
            value = float(text.removesuffix("%"))
        except ValueError:
            value = 0.0
        if not 0 < value < float("inf"):
            raise ValueError(
                f"a rate is requests per second, or a percentage of the closed loop's throughput "
                f"as 80%, above 0; not {text!r}"
            )
        if text.endswith("%"):
            return cls(text, None, value / 100)
        return cls(text, value, None)


Concurrency: TypeAlias = "int | Literal['lanes']"


@dataclass(frozen=True)
class Plan:
    """What to measure: every combination of models, shapes, batch sizes, devices and so on.

    Attributes
    ----------
    models
        Names, folders or files, as for `seqtile.load`.
    batch_sizes
        Items per request; ``"auto"`` for what `Predictor` finds.
    shapes
        Lengths (L,) for models of sequences and sizes (H, W) for models of images; a model whose
        kind of shape is not among them gets its usual one.
    concurrencies
        Clients of the closed loop and servers of the open one; ``"lanes"``: see `rows.Row`.
    rates
        Arrivals in open loops, each measured beside the closed one of each number of clients.
    threads
        CPU threads of one call. Default: what the process may use, shared among the clients.
    seconds
        Length of a measurement.
    rule
        When a load is warm.
    data, seed
        See `inputs.Source`.
    spec
        For third-party models.
    program
        The model's ``torch.export`` program, for the engines of torch.

    Raises
    ------
    ValueError
        Something of it makes no sense.
    """

    models: tuple[str, ...]
    batch_sizes: tuple[int | Literal["auto"], ...] = (1, "auto")
    shapes: tuple[Shape, ...] = ()
    devices: tuple[str, ...] = ("cpu",)
    precisions: tuple[str, ...] = ("fp32",)
    engines: tuple[str, ...] = ("onnxruntime",)
    concurrencies: tuple[Concurrency, ...] = (1,)
    rates: tuple[Rate, ...] = ()
    threads: int | None = None
    seconds: float = 3.0
    rule: WarmUpRule = dataclasses.field(default_factory=WarmUpRule)
    data: str = "golden"
    seed: int = 0
    spec: InputSpec | None = None
    program: Path | None = None

    def __post_init__(self) -> None:
        for name in ("models", "batch_sizes", "devices", "precisions", "engines", "concurrencies"):
            if not getattr(self, name):
                raise ValueError(f"{name} is empty: nothing to measure")
        for number in (*self.batch_sizes, *self.concurrencies, *itertools.chain(*self.shapes)):
            if isinstance(number, int) and number < 1:
                raise ValueError(
                    f"batch sizes, lengths, sizes and concurrency are at least 1, not {number}"
                )
        if odd := [name for name in self.engines if name not in ENGINES]:
            raise ValueError(f"engine must be one of {', '.join(ENGINES)}, not {odd[0]!r}")
        peers = [name for name in self.engines if name != "onnxruntime"]
        if peers and self.program is None:
            raise ValueError(f"engine {peers[0]} needs --program FILE.pt2: {_PROGRAMS}")
        if self.program is not None and not peers:
            raise ValueError("--program goes with --engine torch or torch-compile")
        if self.program is not None and len(self.models) > 1:
            raise ValueError("--program is of one model, and there are several")
        if odd := [name for name in self.precisions if name not in PRECISIONS]:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {odd[0]!r}")
        if not 0 < self.seconds < float("inf"):
            raise ValueError(f"seconds must be above 0, not {self.seconds:g}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, not {self.seed}")
        thread_count(self.threads)


@dataclass(frozen=True)
class Case:
    """A closed loop, and the open ones that follow it."""

    model: str
    shape: Shape
    asked: int | Literal["auto"]
    device: str
    precision: str
    engine: str
    concurrency: Concurrency

    def __str__(self) -> str:
        shape = "x".join(map(str, self.shape))
        load = "lanes" if self.concurrency == "lanes" else f"c={self.concurrency}"
        return (
            f"{self.model} {self.engine} {self.device} {self.precision}, {shape}, batch "
            f"{self.asked}, {load}"
        )
