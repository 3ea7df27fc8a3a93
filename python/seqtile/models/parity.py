"""Prove a model equal to a reference: the inputs, the comparison, what follows from the outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import ShapeError
from ..execution.providers import Precision
from .certificate import CHANGED, Arrays, ParityRow, finite, tolerances
from .contract import Contract

__all__ = ["case_size", "cases", "compare", "decide", "difference"]

BATCHES = (1, 2, 7, 64)
Run: TypeAlias = Callable[[Arrays], Sequence[NDArray[Any]]]


def cases(contract: Contract, golden: Arrays) -> list[dict[str, NDArray[Any]]]:
    """Inputs on which to prove a model: batches times sizes, the same at every call.

    Parameters
    ----------
    contract
        Of the model.
    golden
        Real inputs by name; rows are drawn from them, repeated or cut to the size. Some letters
        become unknown or small.
    """
    rng = np.random.default_rng(0)
    return [_case(contract, golden, n, size, rng) for n in BATCHES for size in _sizes(contract)]


def _sizes(contract: Contract) -> list[tuple[int, ...]]:
    """Sizes of the first input to prove: its own, or the least, the usual, and a larger odd one."""
    first = contract.first
    fixed = tuple(axis for axis in first.size if axis is not None)
    if len(fixed) == len(first.size):
        return [fixed]
    usual, step = contract.training_window, first.length_multiple
    if first.kind == "letters":
        return [(first.min_length,), (usual,), ((2 * usual + 13) // step * step,)]
    large = usual + 3 * step
    return [(first.min_length,) * 2, (usual, usual), (usual - step, large), (large, usual // 2)]


def _case(
    contract: Contract, golden: Arrays, n: int, size: tuple[int, ...], rng: np.random.Generator
) -> dict[str, NDArray[Any]]:
    case = {}
    for tensor in contract.inputs:
        rows = rng.integers(0, len(golden[tensor.name]), n)
        values = golden[tensor.name][rows]
        if tensor.kind != "number":
            for axis, length in enumerate(size, 1):
                places = np.arange(length) % values.shape[axis]
                values = np.take(values, places, axis)
        if tensor.kind == "letters":
            odd = rng.random(values.shape)
            values[odd < 0.02] = ord("N")
            values[odd > 0.9] |= 0x20
        case[tensor.name] = values
    return case


def case_size(contract: Contract, case: Arrays) -> tuple[int, dict[str, Any]]:
    """Rows of a case, and its length or height and width by name."""
    first = case[contract.first.name]
    axes = ("length",) if contract.first.kind == "letters" else ("height", "width")
    return len(first), dict(zip(axes, map(int, first.shape[1:]), strict=False))


def difference(reference: NDArray[Any], actual: NDArray[Any]) -> tuple[float, float]:
    """Largest absolute and relative difference, in float64; infinite where either is not finite.

    Raises
    ------
    ShapeError
        The shapes differ.
    """
    if reference.shape != actual.shape:
        raise ShapeError(f"expected the shape {reference.shape}, found {actual.shape}")
    wanted, found = reference.astype(np.float64), actual.astype(np.float64)
    if not (np.isfinite(wanted).all() and np.isfinite(found).all()):
        return float("inf"), float("inf")
    error = np.abs(wanted - found)
    relative = error / np.maximum(np.abs(wanted), 1e-6)
    return float(error.max(initial=0)), float(relative.max(initial=0))


def compare(
    contract: Contract,
    golden: Arrays,
    precision: Precision,
    reference: Run,
    actual: Run,
    *,
    provider: str,
    optimization: str = "all",
    emulated: bool = False,
) -> list[ParityRow]:
    """Run a reference and what is to be proven on the same inputs, and compare every output.

    The inputs are those of `cases`; besides, the golden inputs, whose reference is torch.

    Parameters
    ----------
    contract, golden
        Of the model.
    precision
        Of ``actual``.
    reference, actual
        Take inputs by name, give all outputs in the contract's order; ``reference`` is fp32 on the
        CPU.
    provider, optimization, emulated
        As `ParityRow` has them, of ``actual``.

    Raises
    ------
    ShapeError
        Outputs of different shapes.

    Examples
    --------
    >>> import seqtile
    >>> from seqtile.models.loading import read_golden
    >>> from seqtile.models.zoo import model_folder
    >>> folder = model_folder("jund-cnn-seq")
    >>> card, golden = seqtile.card("jund-cnn-seq"), read_golden(folder / "golden.npz")
    >>> session = seqtile.execution.session.Session((folder / "model.onnx").read_bytes())
    >>> names = [tensor.name for tensor in card.outputs]
    >>> run = lambda feeds: session.run(feeds, names)
    >>> rows = compare(card, golden, "fp32", run, run, provider="CPUExecutionProvider")
    >>> all(row.passed for row in rows)
    True
    """
    allowed = tolerances(contract, golden, precision)
    rows = []
    own = {tensor.name: golden[tensor.name] for tensor in contract.inputs}
    recorded = [golden[tensor.name] for tensor in contract.outputs]
    for case in (own, *cases(contract, golden)):
        n, size = case_size(contract, case)
        wanted = recorded if case is own else reference(case)
        for tensor, want, got in zip(contract.outputs, wanted, actual(case), strict=True):
            error, relative = difference(want, got)
            limit = allowed[tensor.name]
            first = decide(contract, tensor.name, want) if case is own else None
            second = None if first is None else decide(contract, tensor.name, got)
            count = 0 if first is None else first.size
            changed = 0 if first is None else int(np.sum(first != second))
            rows.append(
                ParityRow(
                    output=tensor.name,
                    batch=n,
                    **size,
                    optimization=optimization,
                    provider=provider,
                    precision=precision,
                    max_abs=finite(error),
                    max_rel=finite(relative),
                    tolerance=limit,
                    passed=bool(error <= limit and changed <= CHANGED[precision] * count),
                    reference="torch" if case is own else "onnxruntime fp32",
                    emulated=emulated,
                    decisions=count,
                    changed=changed,
                )
            )
    return rows


def decide(contract: Contract, name: str, values: NDArray[Any]) -> NDArray[Any] | None:
    """What follows from an output: class, side of the threshold, pixels of objects, or nothing.

    Parameters
    ----------
    contract
        Of the model.
    name
        Of the output.
    values
        The output: (n,), (n, classes), (n, classes, places) or (n, height, width).

    Returns
    -------
    bool, or indexes of classes: one of each row, place or pixel. None if nothing follows.
    """
    if contract.segmentation is not None:
        limits = {
            contract.segmentation.mask: contract.segmentation.mask_threshold,
            contract.segmentation.marker: contract.segmentation.marker_threshold,
        }
        return values > limits[name] if name in limits else None
    if name != contract.outputs[0].name:
        return None
    if contract.threshold is not None:
        return values >= contract.threshold.value
    if contract.outputs[0].kind in ("classes", "letters"):
        return np.asarray(values.argmax(1))
    return None
