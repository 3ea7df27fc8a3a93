"""The physical limit of a network on a GPU: its arithmetic at the card's highest rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

# Tflop/s without sparsity, from NVIDIA's data sheets of the SXM cards: fp32 by the ordinary units,
# TF32 and fp16 by the matrix units.
PEAKS = {
    "H200": {"fp32": 67.0, "tf32": 494.7, "fp16": 989.4},
    "H100": {"fp32": 67.0, "tf32": 494.7, "fp16": 989.4},
    "A100": {"fp32": 19.5, "tf32": 156.0, "fp16": 312.0},
}


def peak(card: str | None, precision: str) -> float | None:
    """Tflop/s of a card by its name, None for one that is not listed."""
    for name, rates in PEAKS.items():
        if name in (card or ""):
            return rates[precision]
    return None


def flop(model: bytes, shapes: dict[str, tuple[int, ...]]) -> int | None:
    """Multiplications and additions of one call in convolutions, matrix products and LSTMs.

    Parameters
    ----------
    model
        Bytes of the ONNX file.
    shapes
        Axes of the inputs, batch included.

    Returns
    -------
    their number; None where the shape of such an operator is not known beforehand.
    """
    import onnx

    proto = onnx.load_model_from_string(model)
    for value in proto.graph.input:
        for axis, size in zip(
            value.type.tensor_type.shape.dim, shapes.get(value.name, ()), strict=False
        ):
            axis.dim_value = size
    # Axes of other values were named before the inputs had sizes.
    del proto.graph.value_info[:]
    for value in proto.graph.output:
        value.type.tensor_type.ClearField("shape")
    graph = onnx.shape_inference.infer_shapes(proto, data_prop=True).graph
    known: dict[str, tuple[int, ...]] = {t.name: tuple(t.dims) for t in graph.initializer}
    for value in [*graph.input, *graph.value_info, *graph.output]:
        dims = value.type.tensor_type.shape.dim
        if all(axis.HasField("dim_value") for axis in dims):
            known[value.name] = tuple(axis.dim_value for axis in dims)
    total = 0
    for node in graph.node:
        if node.op_type not in _WORK:
            continue
        wanted = [*node.input[:2], node.output[0], *(node.input[2:3] * (node.op_type == "LSTM"))]
        if any(name not in known for name in wanted):
            return None
        total += _WORK[node.op_type](node, *(known[name] for name in wanted))
    return total


def _conv(_: Any, x: tuple[int, ...], w: tuple[int, ...], y: tuple[int, ...]) -> int:
    return 2 * math.prod(y) * math.prod(w[1:])


def _transposed(_: Any, x: tuple[int, ...], w: tuple[int, ...], y: tuple[int, ...]) -> int:
    return 2 * math.prod(x) * math.prod(w[1:])


def _product(node: Any, a: tuple[int, ...], b: tuple[int, ...], y: tuple[int, ...]) -> int:
    transposed = any(item.name == "transA" and item.i for item in node.attribute)
    return 2 * math.prod(y) * (a[0] if transposed else a[-1])


def _lstm(
    _: Any, x: tuple[int, ...], w: tuple[int, ...], y: tuple[int, ...], r: tuple[int, ...]
) -> int:
    return 2 * x[0] * x[1] * (math.prod(w) + math.prod(r))


_WORK: dict[str, Callable[..., int]] = {
    "Conv": _conv,
    "ConvTranspose": _transposed,
    "MatMul": _product,
    "Gemm": _product,
    "LSTM": _lstm,
}
