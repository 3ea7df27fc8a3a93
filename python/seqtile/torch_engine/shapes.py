"""ONNX operators of shapes and indices in torch; sizes stay Python integers where they can.

Each function takes a `Node` and the node's inputs, and gives its output, or a tuple of them.
"""

from __future__ import annotations

import operator as python

import torch
from onnx import numpy_helper
from torch.nn import functional

from .node import Node, Sizes, Value, as_sizes, operator

_FAR = 1 << 31  # an end beyond any axis: exporters write the limits of int64


# functions called by the module at run time


def broadcast_to(x: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    """Expand both ways: an axis of size 1 in ``sizes`` keeps what ``x`` has."""
    return x.expand(torch.broadcast_shapes(x.shape, sizes))


def wrapped(index: torch.Tensor, size: int) -> torch.Tensor:
    """Indices counted from 0, negative ones from the end."""
    return torch.where(index < 0, index + size, index)


def backward_slice(x: torch.Tensor, axis: int, start: int, end: int, step: int) -> torch.Tensor:
    """``x[start:end:step]`` along an axis for a negative step."""
    places = range(x.size(axis))[start:end:step]
    if len(places) == 0:
        return x.narrow(axis, 0, 0)
    part = x.narrow(axis, places[-1], places[0] - places[-1] + 1).flip(axis)
    return part[(slice(None),) * axis + (slice(None, None, -step),)]


# shapes


@operator("Constant")
def _constant(node: Node) -> Value:
    tensor = node.attribute("value")
    if tensor is not None:
        return torch.from_numpy(numpy_helper.to_array(tensor).copy())
    for name, dtype in (("float", torch.float32), ("int", torch.int64)):
        for suffix in ("", "s"):
            value = node.attribute(f"value_{name}{suffix}")
            if value is not None:
                return torch.tensor(value, dtype=dtype)
    return node.refuse("a constant that is neither numbers nor a tensor")


@operator("ConstantOfShape")
def _constant_of_shape(node: Node, sizes: Value) -> Value:
    value = node.attribute("value")
    fill = torch.zeros(1) if value is None else torch.tensor(numpy_helper.to_array(value))
    shape = node.sizes(sizes, "the shape")
    one = fill.reshape(())
    return node.call(broadcast_to, one if node.folding else node.state.live(one), shape)


@operator("Shape")
def _shape(node: Node, x: Value) -> Value:
    axes = range(node.rank())[slice(node.attribute("start", 0), node.attribute("end"))]
    if isinstance(x, Sizes):
        return Sizes(tuple(len(x.items) for _ in axes))
    if isinstance(x, torch.Tensor):
        return torch.tensor([x.size(axis) for axis in axes], dtype=torch.int64)
    return Sizes(tuple(x.size(axis) for axis in axes))


@operator("Reshape")
def _reshape(node: Node, x: Value, sizes: Value) -> Value:
    target = node.sizes(sizes, "the shape")
    zero_is_zero = node.expect("allowzero", 0, 1)
    known = all(isinstance(size, int) for size in target)
    if isinstance(x, Sizes) and known and target in ([], [-1], [len(x.items)]):
        return Sizes(x.items, scalar=not target)
    x = node.tensor(x)
    if not zero_is_zero:
        for axis, size in enumerate(target):
            if isinstance(size, int) and size == 0:
                target[axis] = node.call(torch.Tensor.size, x, axis)
    return node.call(torch.reshape, x, tuple(target))


@operator("Flatten")
def _flatten(node: Node, x: Value) -> Value:
    rank = node.rank()
    axis = node.attribute("axis", 1)
    if axis not in (1, 1 - rank) or rank < 2:
        node.refuse(f"it flattens from axis 1 only, not {axis}")
    return node.call(torch.flatten, node.tensor(x), 1)


@operator("Expand")
def _expand(node: Node, x: Value, sizes: Value) -> Value:
    return node.call(broadcast_to, node.tensor(x), node.sizes(sizes, "the shape"))


@operator("Transpose")
def _transpose(node: Node, x: Value) -> Value:
    order = node.attribute("perm") or list(reversed(range(node.rank())))
    return node.call(torch.permute, node.tensor(x), tuple(order))


@operator("Squeeze")
def _squeeze(node: Node, x: Value, axes: Value = None) -> Value:
    if isinstance(x, Sizes) and len(x.items) == 1:
        return Sizes(x.items, scalar=True)
    if axes is None:
        return node.call(torch.squeeze, node.tensor(x))
    return node.call(torch.squeeze, node.tensor(x), tuple(node.ints(axes, "the axes")))


@operator("Unsqueeze")
def _unsqueeze(node: Node, x: Value, axes: Value) -> Value:
    wanted = node.ints(axes, "the axes")
    if isinstance(x, Sizes) and x.scalar and wanted in ([0], [-1]):
        return Sizes(x.items)
    rank = node.rank() + len(wanted) if min(wanted) < 0 else 1 << 10
    x = node.tensor(x)
    for axis in sorted(node.axis(axis, rank) for axis in wanted):
        x = node.call(torch.unsqueeze, x, axis)
    return x


@operator("Concat")
def _concat(node: Node, *values: Value) -> Value:
    axis = node.attribute("axis")
    sizes = [as_sizes(value) for value in values]
    if not node.folding and axis in (0, -1) and None not in sizes:
        return Sizes(tuple(item for part in sizes if part for item in part.items))
    return node.call(torch.cat, [node.tensor(value) for value in values], axis)


@operator("Split")
def _split(node: Node, x: Value, sizes: Value = None) -> Value:
    axis = node.attribute("axis", 0)
    parts = node.attribute("num_outputs", len(node.proto.output))
    x = node.tensor(x)
    if sizes is None:
        length = node.call(torch.Tensor.size, x, axis)
        upwards = node.call(python.add, length, parts - 1)
        each = node.call(python.floordiv, upwards, parts)
    else:
        each = node.ints(sizes, "the sizes")
    pieces = node.call(torch.split, x, each, axis)
    return tuple(node.call(python.getitem, pieces, i) for i in range(parts))


@operator("Slice")
def _slice(
    node: Node, x: Value, starts: Value, ends: Value, axes: Value = None, steps: Value = None
) -> Value:
    first, last = node.sizes(starts, "the starts"), node.sizes(ends, "the ends")
    along = list(range(len(first))) if axes is None else node.ints(axes, "the axes")
    strides = [1] * len(first) if steps is None else node.ints(steps, "the steps")
    if isinstance(x, Sizes):
        cut = slice(first[0], last[0], strides[0])
        if all(isinstance(end, int) for end in (first[0], last[0])):
            return Sizes(x.items[cut])
    if any(axis < 0 for axis in along):
        along = [node.axis(axis, node.rank()) for axis in along]
    x = node.tensor(x)
    flips = []
    for axis, start, end, step in zip(along, first, last, strides, strict=True):
        if step < 0:
            whole = all(isinstance(edge, int) for edge in (start, end)) and end <= -_FAR
            if whole and (start, step) == (-1, -1):
                flips.append(axis)
            else:
                x = node.call(backward_slice, x, axis, start, end, step)
            continue
        end = None if isinstance(end, int) and end >= _FAR else end
        cut = slice(None if isinstance(start, int) and start == 0 else start, end, step)
        x = node.call(python.getitem, x, (slice(None),) * axis + (cut,))
    return node.call(torch.flip, x, flips) if flips else x


# indices


@operator("Gather")
def _gather(node: Node, x: Value, index: Value) -> Value:
    axis = node.attribute("axis", 0)
    if isinstance(x, Sizes) and isinstance(index, torch.Tensor) and index.ndim < 2:
        places = node.ints(index, "the indices")
        return Sizes(tuple(x.items[place] for place in places), scalar=index.ndim == 0)
    if isinstance(index, torch.Tensor) and index.ndim == 0:
        return node.call(torch.select, node.tensor(x), axis, int(index))
    rank = node.rank()
    x, index = node.tensor(x), node.tensor(index)
    axis = node.axis(axis, rank)
    if axis == 0 and rank == 2 and node.state.nonnegative(node.proto.input[1]):
        return node.call(functional.embedding, index, x)
    index = node.call(torch.Tensor.long, index)  # uint8 would be a mask
    return node.call(python.getitem, x, (slice(None),) * axis + (index,))


@operator("GatherElements")
def _gather_elements(node: Node, x: Value, index: Value) -> Value:
    axis = node.axis(node.attribute("axis", 0), node.rank())
    x, places = node.tensor(x), node.call(torch.Tensor.long, node.tensor(index))
    if not node.state.nonnegative(node.proto.input[1]):
        places = node.call(wrapped, places, node.call(torch.Tensor.size, x, axis))
    return node.call(torch.gather, x, axis, places)
