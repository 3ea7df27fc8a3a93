"""ONNX operators of elements and reductions in torch.

Each function takes a `Node` and the node's inputs, and gives its output, or a tuple of them.
"""

from __future__ import annotations

import operator as python
from collections.abc import Callable
from typing import Any

import onnx
import torch
from torch.nn import functional

from .node import Node, Sizes, Value, as_sizes, operator

_TYPES = {
    onnx.TensorProto.FLOAT: torch.float32,
    onnx.TensorProto.DOUBLE: torch.float64,
    onnx.TensorProto.UINT8: torch.uint8,
    onnx.TensorProto.INT8: torch.int8,
    onnx.TensorProto.INT32: torch.int32,
    onnx.TensorProto.INT64: torch.int64,
    onnx.TensorProto.BOOL: torch.bool,
}
_INTEGERS = {onnx.TensorProto.INT32: torch.int32, onnx.TensorProto.INT64: torch.int64}


def quotient(a: int, b: int) -> int:
    """Integer division as ONNX has it: towards zero."""
    whole = abs(a) // abs(b)
    return whole if (a < 0) == (b < 0) else -whole


# elements


def _binary(compute: Callable[[Any, Any], Any]) -> Callable[[Node, Value, Value], Value]:
    def handler(node: Node, a: Value, b: Value) -> Value:
        sizes = _size_pairs(node, a, b)
        if sizes is not None:
            return sizes
        return node.call(compute, node.operand(a), node.operand(b))

    return handler


for _name, _compute in {
    "Add": python.add,
    "Sub": python.sub,
    "Mul": python.mul,
    "Pow": python.pow,
    "Equal": python.eq,
    "Greater": python.gt,
    "GreaterOrEqual": python.ge,
    "Less": python.lt,
    "LessOrEqual": python.le,
    "And": python.and_,
    "Or": python.or_,
}.items():
    operator(_name)(_binary(_compute))

_ON_SIZES = {"Add": python.add, "Sub": python.sub, "Mul": python.mul, "Div": quotient}


def _size_pairs(node: Node, a: Value, b: Value) -> Sizes | None:
    """Arithmetic of sizes, if it is that."""
    compute = _ON_SIZES.get(node.op)
    pair = [as_sizes(value) for value in (a, b)]
    if compute is None or node.folding or pair[0] is None or pair[1] is None:
        return None
    first, second = pair[0].items, pair[1].items
    count = max(len(first), len(second))
    if {len(first), len(second)} - {1, count}:
        node.refuse("sizes that do not broadcast")
    first, second = (items * (count // len(items)) for items in (first, second))
    items = tuple(
        compute(p, q)
        if isinstance(p, int) and isinstance(q, int)
        else node.state.record("call_function", compute, p, q)
        for p, q in zip(first, second, strict=True)
    )
    return Sizes(items, pair[0].scalar and pair[1].scalar)


@operator("Div")
def _divide(node: Node, a: Value, b: Value) -> Value:
    sizes = _size_pairs(node, a, b)
    if sizes is not None:
        return sizes
    if node.integers():
        return node.call(torch.div, node.tensor(a), node.tensor(b), rounding_mode="trunc")
    return node.call(python.truediv, node.operand(a), node.operand(b))


def _unary(compute: Callable[[Any], Any]) -> Callable[[Node, Value], Value]:
    return lambda node, x: node.call(compute, node.tensor(x))


for _name, _function in {
    "Abs": torch.abs,
    "Ceil": torch.ceil,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "Log": torch.log,
    "Neg": torch.neg,
    "Not": torch.logical_not,
    "Reciprocal": torch.reciprocal,
    "Relu": functional.relu,
    "Sigmoid": torch.sigmoid,
    "Softplus": functional.softplus,
    "Sqrt": torch.sqrt,
    "Tanh": torch.tanh,
}.items():
    operator(_name)(_unary(_function))


@operator("Identity")
def _identity(node: Node, x: Value) -> Value:
    return x


@operator("LeakyRelu")
def _leaky_relu(node: Node, x: Value) -> Value:
    return node.call(functional.leaky_relu, node.tensor(x), node.attribute("alpha", 0.01))


@operator("Elu")
def _elu(node: Node, x: Value) -> Value:
    return node.call(functional.elu, node.tensor(x), node.attribute("alpha", 1.0))


@operator("Gelu")
def _gelu(node: Node, x: Value) -> Value:
    return node.call(
        functional.gelu, node.tensor(x), approximate=node.expect("approximate", "none", "tanh")
    )


@operator("Softmax", "LogSoftmax")
def _softmax(node: Node, x: Value) -> Value:
    compute = functional.softmax if node.op == "Softmax" else functional.log_softmax
    return node.call(compute, node.tensor(x), node.attribute("axis", -1))


@operator("Clip")
def _clip(node: Node, x: Value, low: Value = None, high: Value = None) -> Value:
    if low is None and high is None:
        return x
    return node.call(torch.clamp, node.tensor(x), node.operand(low), node.operand(high))


@operator("Where")
def _where(node: Node, condition: Value, a: Value, b: Value) -> Value:
    return node.call(torch.where, node.tensor(condition), node.tensor(a), node.tensor(b))


@operator("Cast")
def _cast(node: Node, x: Value) -> Value:
    to = node.attribute("to")
    node.attribute("saturate")  # of 8-bit floats, which `_TYPES` lacks
    if to not in _TYPES:
        node.refuse(f"a cast to {onnx.TensorProto.DataType.Name(to)}")
    if isinstance(x, Sizes) and to in _INTEGERS:
        return x
    dtype = node.state.float_dtype if to == onnx.TensorProto.FLOAT else _TYPES[to]
    if isinstance(x, torch.Tensor):
        dtype = _TYPES[to]  # a constant is made float16 with the module
    return node.call(torch.Tensor.to, node.tensor(x), dtype)


# reductions


@operator("ReduceMax", "ReduceMin", "ReduceMean", "ReduceSum")
def _reduce(node: Node, x: Value, axes: Value = None) -> Value:
    keep = bool(node.expect("keepdims", 1, 0))
    nothing = bool(node.expect("noop_with_empty_axes", 0, 1))
    along = [] if axes is None else node.ints(axes, "the axes")
    if not along and nothing:
        return x
    along = along or list(range(node.rank()))
    x = node.tensor(x)
    if node.op in ("ReduceMax", "ReduceMin"):
        return node.call(torch.amax if node.op == "ReduceMax" else torch.amin, x, along, keep)
    total = torch.mean if node.op == "ReduceMean" else torch.sum
    return node.call(total, x, along, keep, dtype=_INTEGERS.get(node.element_type()))


@operator("CumSum")
def _cumsum(node: Node, x: Value, axis: Value) -> Value:
    node.expect("exclusive", 0)
    (along,) = node.ints(axis, "the axis")
    x = node.tensor(x)
    backwards = node.expect("reverse", 0, 1)
    x = node.call(torch.flip, x, [along]) if backwards else x
    x = node.call(torch.cumsum, x, along, dtype=_INTEGERS.get(node.element_type()))
    return node.call(torch.flip, x, [along]) if backwards else x
