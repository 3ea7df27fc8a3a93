"""What a benchmark times: onnxruntime through `Predictor`, and PyTorch on the same weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from .bench_inputs import Batch, model_file
from .errors import EngineMismatchError
from .inputs import InputSpec
from .loading import load
from .predictor import Predictor
from .session import Session

__all__ = ["ENGINES", "Engine", "EngineName", "Parity", "check_parity", "open_engine"]

EngineName: TypeAlias = Literal["onnxruntime", "torch", "torch-compile"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)

Answers: TypeAlias = Mapping[str, NDArray[np.float32]]

# Of the largest magnitude of an output, or of 1 where that is larger.
_SHARE = {"fp32": 1e-4, "tf32": 0.005, "fp16": 0.01}


@dataclass(frozen=True)
class Engine:
    """A model that is loaded and answers batches.

    Attributes
    ----------
    name
        Of `ENGINES`.
    device, precision, threads
        Where and how it runs; CPU threads of one call.
    providers
        onnxruntime's execution providers; empty for torch.
    run
        Answers a batch: outputs by name, float32, the batch's items along the first axis.
    """

    name: EngineName
    device: str
    precision: str
    threads: int
    providers: tuple[str, ...]
    run: Callable[[Batch], Answers]


def open_engine(
    name: EngineName,
    model: str,
    *,
    device: str,
    precision: str = "fp32",
    threads: int | None = None,
    spec: InputSpec | None = None,
) -> Engine:
    """Load a model into an engine.

    Raises
    ------
    ValueError
        torch for a model without a card, or in another precision than fp32.
    ImportError
        torch, or what it needs, is not installed; names the command that mends it.
    SeqtileError
        As `seqtile.load`.
    """
    predictor = open_predictor(model, device, precision, threads, spec)
    if name == "onnxruntime":
        return Engine(
            name, predictor.device, precision, predictor.threads, predictor.providers,
            lambda batch: predictor.predict(batch.items, batch_size=len(batch), **batch.extra),
        )  # fmt: skip
    if precision != "fp32":
        raise ValueError(f"engine {name} runs in fp32 only, not {precision}")
    if predictor.card is None:
        raise ValueError(f"{model}: engine {name} needs a model with a card")
    from .torch_engine import load_torch

    content = model_file(model).read_bytes()
    call = load_torch(
        content, device=predictor.device, threads=predictor.threads, compile=name == "torch-compile"
    )
    first = predictor.card.inputs[0].name
    names = list(Session(content, threads=1, source=model).outputs)

    def run(batch: Batch) -> Answers:
        return dict(zip(names, call({first: batch.items, **batch.extra}), strict=True))

    return Engine(name, predictor.device, precision, predictor.threads, (), run)


def open_predictor(
    model: str, device: str, precision: str, threads: int | None, spec: InputSpec | None
) -> Predictor:
    """`seqtile.load`."""
    further: dict[str, Any] = {} if precision == "fp32" else {"precision": precision}
    return load(model, device=device, threads=threads, input=spec, **further)


@dataclass(frozen=True)
class Parity:
    """How far an engine's output is from onnxruntime's in fp32 on the CPU.

    Attributes
    ----------
    items
        Compared.
    difference, tolerance
        Largest absolute difference, and what it may be.
    """

    output: str
    items: int
    difference: float
    tolerance: float

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


def check_parity(
    answers: Answers, reference: Answers, *, what: str, precision: str, tolerance: float | None
) -> list[Parity]:
    """Compare an engine's outputs with the reference's, of which it may give more.

    Parameters
    ----------
    reference
        Outputs of onnxruntime in fp32 on the CPU; of the first items of the batch.
    what
        The engine, for the error.
    tolerance
        The card's, of fp32, times the output's largest magnitude if that is above 1; None for a
        model without a card: a ten-thousandth. In TF32 a share of 0.005, in fp16 of 0.01.

    Raises
    ------
    EngineMismatchError
        An output is missing, of another shape, or further away than the tolerance.
    """
    share = _SHARE[precision] if precision != "fp32" or tolerance is None else tolerance
    rows = []
    for name, expected in reference.items():
        found = answers.get(name)
        if found is None or found.shape[1:] != expected.shape[1:] or len(found) < len(expected):
            shape = "no such output" if found is None else f"shape {found.shape}"
            raise EngineMismatchError(
                f"{what}: output {name!r}: expected items of shape {expected.shape[1:]} as "
                f"onnxruntime gives, found {shape}"
            )
        allowed = share * max(1.0, float(np.max(np.abs(expected), initial=0)))
        difference = float(np.max(np.abs(found[: len(expected)] - expected), initial=0))
        if not difference <= allowed:
            raise EngineMismatchError(
                f"{what}: output {name!r} differs from onnxruntime's (fp32, CPU) by "
                f"{difference:.3g}, more than {allowed:.3g}: not timed"
            )
        rows.append(Parity(name, len(expected), difference, allowed))
    return rows
