"""What a benchmark times: onnxruntime through `Predictor`, and a saved program in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import EngineMismatchError
from ..execution.profile import Profile
from ..models.certificate import SHARE
from ..models.inputs import InputSpec
from ..models.loading import load
from ..models.predictor import Predictor
from .inputs import Batch, Shape

__all__ = ["ENGINES", "Engine", "Parity", "check_parity", "open_engine"]

ENGINES = ("onnxruntime", "torch", "torch-compile")

Answers: TypeAlias = Mapping[str, NDArray[np.float32]]

_FOREIGN = 1e-4  # tolerance in fp32 of a model without a contract


@dataclass(frozen=True)
class Engine:
    """A model that is loaded and answers batches.

    Attributes
    ----------
    name
        One of `ENGINES`.
    device, precision, threads
        Where and how it runs; CPU threads of one call.
    providers
        onnxruntime's execution providers; empty for torch.
    graphs
        Whether onnxruntime replays batches as CUDA graphs, or why not; None for torch.
    lanes
        How many batches it can answer at a time if it is given many at once; 0 if it cannot.
    run
        Answers items in batches of a size: outputs by name, float32, items along the first axis.
        Counts the time of its stages, if it has any.
    run_once
        The same in a single call, which runs out of memory rather than halve the batch.
    auto
        The batch size that `Predictor` measures for items of this shape, given a function that
        makes so many.
    fixed_batch
        The only size of batches that the model takes, if so.
    """

    name: str
    device: str
    precision: str
    threads: int
    providers: tuple[str, ...]
    graphs: str | None
    lanes: Callable[[], int]
    run: Callable[[Batch, int, Profile], Answers]
    run_once: Callable[[Batch], Answers]
    auto: Callable[[Shape, Callable[[int], Batch]], int]
    fixed_batch: int | None


def open_engine(
    name: str,
    model: str,
    *,
    device: str,
    precision: str = "fp32",
    threads: int | None = None,
    spec: InputSpec | None = None,
    program: Path | None = None,
) -> Engine:
    """Load a model into an engine.

    Parameters
    ----------
    program
        For torch, what `torch.export.save` wrote: it takes the model's inputs in order, letters
        and pixels as uint8, and gives the model's outputs in order.

    Raises
    ------
    ValueError
        torch without a program.
    ImportError
        torch is not installed; names the command that mends it.
    OSError
        The program cannot be read.
    SeqtileError
        As `seqtile.load`.
    """
    if name == "onnxruntime":
        return _onnxruntime(open_predictor(model, device, precision, threads, spec))
    predictor = open_predictor(model, "auto" if device == "auto" else "cpu", "fp32", threads, spec)
    if program is None:
        raise ValueError(f"engine {name} needs a program")
    from .torch_program import TorchProgram

    engine = TorchProgram(
        program,
        device=predictor.device if device == "auto" else device,
        threads=predictor.threads,
        compile=name == "torch-compile",
        precision=precision,
    )
    further = [tensor.name for tensor in predictor.contract.inputs[1:]]
    outputs = [tensor.name for tensor in predictor.contract.outputs]

    def run(batch: Batch) -> Answers:
        answers = engine(batch.items, *(batch.extra[name] for name in further))
        return dict(zip(outputs, answers, strict=False))

    def auto(shape: Shape, make: Callable[[int], Batch]) -> int:
        there = open_predictor(model, engine.device, precision, threads, spec)
        return _auto(there, shape, make)

    return Engine(
        name,
        engine.device,
        precision,
        engine.threads,
        (),
        None,
        lambda: 0,
        lambda batch, size, profile: run(batch),
        run,
        auto,
        _fixed(predictor),
    )


def _onnxruntime(predictor: Predictor) -> Engine:
    def run(batch: Batch, size: int, profile: Profile) -> Answers:
        further: dict[str, Any] = dict(batch.extra)
        return predictor.predict(batch.items, batch_size=size, profile=profile, **further)

    return Engine(
        "onnxruntime",
        predictor.device,
        predictor.engine.precision,
        predictor.threads,
        predictor.providers,
        predictor.engine.graphs,
        lambda: predictor.executor.lanes,
        run,
        lambda batch: predictor.run_batch(batch.items, batch.extra),
        lambda shape, make: _auto(predictor, shape, make),
        _fixed(predictor),
    )


def _auto(predictor: Predictor, shape: Shape, make: Callable[[int], Batch]) -> int:
    batches = predictor.batches("auto")
    # A size is timed on five batches: with ten of the largest for each lane, no call ends within.
    batch = make(10 * batches.largest(shape) * predictor.executor.lanes)
    further: dict[str, Any] = dict(batch.extra)
    while batches.size(shape) != batches.largest(shape):
        predictor.predict(batch.items, **further)
    predictor.predict(batch.items, **further)  # the largest was the last that was timed
    return batches.size(shape)


def _fixed(predictor: Predictor) -> int | None:
    sizes = {predictor.batches(asked).size((1,)) for asked in (1, 2)}
    return sizes.pop() if len(sizes) == 1 else None


def open_predictor(
    model: str, device: str, precision: str, threads: int | None, spec: InputSpec | None
) -> Predictor:
    """`seqtile.load`."""
    return load(model, device=device, precision=precision, threads=threads, input=spec)


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
        The contract's, for fp32; None for a model without one: 0.0001. In TF32 and fp16
        `certificate.SHARE` counts instead. Each times the output's largest magnitude, if that is
        above 1.

    Raises
    ------
    EngineMismatchError
        An output is missing, of another shape, or further away than the tolerance.
    """
    share = _FOREIGN if tolerance is None else tolerance
    if precision != "fp32":
        share = SHARE[precision]
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
