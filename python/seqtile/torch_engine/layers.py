"""ONNX layers in torch: convolution, pooling, normalisation, LSTM, matrix products, resizing.

Each function takes a `Node` and the node's inputs, and gives its output, or a tuple of them.
"""

from __future__ import annotations

import operator as python
from typing import Any

import torch
from torch.nn import functional

from .node import Node, Value, operator

_CONV = {3: functional.conv1d, 4: functional.conv2d, 5: functional.conv3d}
_CONV_TRANSPOSE = {
    3: functional.conv_transpose1d,
    4: functional.conv_transpose2d,
    5: functional.conv_transpose3d,
}
_MAX_POOL = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_AVERAGE_POOL = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
_LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}


def _window(node: Node, axes: int) -> tuple[list[int], list[int], list[int], list[int]]:
    """Strides, dilations, and pads before and after of a layer with a kernel."""
    if node.expect("auto_pad", "NOTSET", "VALID") == "VALID":
        node.attribute("pads")
    pads = node.attribute("pads", [0] * (2 * axes))
    strides = node.attribute("strides", [1] * axes)
    return strides, node.attribute("dilations", [1] * axes), pads[:axes], pads[axes:]


def _padded(node: Node, x: Any, before: list[int], after: list[int], value: float) -> Any:
    pairs = [end for pair in reversed(list(zip(before, after, strict=True))) for end in pair]
    return node.call(functional.pad, x, pairs, "constant", value)


# convolution and pooling


@operator("Conv")
def _conv(node: Node, x: Value, weight: Value, bias: Value = None) -> Value:
    rank = node.constant(weight, "the weights").ndim
    if rank not in _CONV:
        node.refuse(f"weights of rank {rank}")
    node.attribute("kernel_shape")  # the weights' own
    strides, dilations, before, after = _window(node, rank - 2)
    x = node.tensor(x)
    if before != after:
        x, before = _padded(node, x, before, after, 0.0), [0] * (rank - 2)
    arguments = (x, node.tensor(weight), node.tensor(bias), strides, before, dilations)
    return node.call(_CONV[rank], *arguments, node.attribute("group", 1))


@operator("ConvTranspose")
def _conv_transpose(node: Node, x: Value, weight: Value, bias: Value = None) -> Value:
    rank = node.constant(weight, "the weights").ndim
    if rank not in _CONV_TRANSPOSE:
        node.refuse(f"weights of rank {rank}")
    node.attribute("kernel_shape")
    strides, dilations, before, after = _window(node, rank - 2)
    if before != after:
        node.refuse("pads that differ between the ends of an axis")
    more = node.attribute("output_padding", [0] * (rank - 2))
    arguments = (node.tensor(x), node.tensor(weight), node.tensor(bias), strides, before, more)
    return node.call(_CONV_TRANSPOSE[rank], *arguments, node.attribute("group", 1), dilations)


def _pool(node: Node) -> tuple[list[int], list[int], list[int], list[int], list[int]]:
    kernel = node.attribute("kernel_shape")
    if len(kernel) not in _MAX_POOL:
        node.refuse(f"a kernel of {len(kernel)} axes")
    node.expect("ceil_mode", 0)
    return kernel, *_window(node, len(kernel))


@operator("MaxPool")
def _max_pool(node: Node, x: Value) -> Value:
    node.attribute("storage_order")  # of the output that `Node` refuses
    kernel, strides, dilations, before, after = _pool(node)
    x = node.tensor(x)
    if before != after or any(2 * pad > size for pad, size in zip(before, kernel, strict=True)):
        if node.integers():
            node.refuse("such pads of integers")
        x, before = _padded(node, x, before, after, -torch.inf), [0] * len(kernel)
    return node.call(_MAX_POOL[len(kernel)], x, kernel, strides, before, dilations)


@operator("AveragePool")
def _average_pool(node: Node, x: Value) -> Value:
    counted = bool(node.expect("count_include_pad", 0, 1))
    kernel, strides, dilations, before, after = _pool(node)
    if any(dilation != 1 for dilation in dilations):
        node.refuse("dilations")
    x = node.tensor(x)
    if before != after or any(2 * pad > size for pad, size in zip(before, kernel, strict=True)):
        if not counted:
            node.refuse("such pads that are not counted")
        x, before = _padded(node, x, before, after, 0.0), [0] * len(kernel)
    return node.call(_AVERAGE_POOL[len(kernel)], x, kernel, strides, before, False, counted)


@operator("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(node: Node, x: Value) -> Value:
    axes = list(range(2, node.rank()))
    compute = torch.amax if node.op == "GlobalMaxPool" else torch.mean
    return node.call(compute, node.tensor(x), axes, True)


@operator("Pad")
def _pad(node: Node, x: Value, pads: Value, fill: Value = None, axes: Value = None) -> Value:
    mode = node.expect("mode", "constant", "reflect", "edge", "wrap")
    rank, sizes = node.rank(), node.ints(pads, "the pads")
    along = list(range(rank)) if axes is None else node.ints(axes, "the axes")
    before, after = [0] * rank, [0] * rank
    for place, axis in enumerate(along):
        before[axis], after[axis] = sizes[place], sizes[place + len(along)]
    touched = [axis for axis in range(rank) if before[axis] or after[axis]]
    first = min(touched, default=rank - 1)
    if mode != "constant":
        # torch knows these of the last axes only, and of that many in an input of this rank
        if first < 2 or min(*before, *after) < 0 or rank > 5:
            node.refuse(f"mode {mode!r} of these pads and an input of rank {rank}")
        first = 2
    value = 0.0 if fill is None else node.constant(fill, "the value").item()
    pairs = [end for axis in reversed(range(first, rank)) for end in (before[axis], after[axis])]
    names = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    return node.call(functional.pad, node.tensor(x), pairs, names[mode], value)


@operator("Resize")
def _resize(
    node: Node, x: Value, roi: Value = None, scales: Value = None, sizes: Value = None
) -> Value:
    rank = node.rank()
    mode = node.attribute("mode", "nearest")
    place = node.attribute("coordinate_transformation_mode", "half_pixel")
    rounding = node.attribute("nearest_mode", "round_prefer_floor")
    coefficient = node.attribute("cubic_coeff_a", -0.75)
    node.attribute("extrapolation_value")  # of a coordinate mode not known here
    for name, only in (("antialias", 0), ("exclude_outside", 0)):
        node.expect(name, only)
    node.expect("keep_aspect_ratio_policy", "stretch")
    if node.attribute("axes", list(range(rank))) != list(range(rank)):
        node.refuse("axes")
    corners = None
    if mode == "nearest" and (place, rounding) == ("asymmetric", "floor"):
        kind = "nearest"
    elif mode == "nearest" and (place, rounding) == ("half_pixel", "round_prefer_ceil"):
        kind = "nearest-exact"
    elif mode in ("linear", "cubic") and place in ("half_pixel", "align_corners"):
        kind = _LINEAR.get(rank, "") if mode == "linear" else "bicubic"
        corners = place == "align_corners"
    else:
        node.refuse(f"mode {mode!r} with {place!r} and {rounding!r}")
    cubic = kind != "bicubic" or (rank == 4 and coefficient == -0.75)
    if rank not in _LINEAR or not cubic:
        node.refuse(f"mode {mode!r} of an input of rank {rank}, cubic_coeff_a {coefficient}")
    x = node.tensor(x)
    if sizes is not None:
        size, factor = node.sizes(sizes, "the sizes"), None
        # sizes of batch and channels are the input's own: what a Resize of images can change
        if not all(isinstance(item, int) for item in size[2:]):
            node.refuse("sizes known at run time only")
        return node.call(_resized, x, size, kind, corners)
    factor = node.constant(scales, "the scales").tolist()
    if factor[:2] != [1.0, 1.0]:
        node.refuse("a scale of batch or channels")
    return node.call(
        functional.interpolate, x, scale_factor=factor[2:], mode=kind, align_corners=corners
    )


def _resized(x: torch.Tensor, size: list[int], kind: str, corners: bool | None) -> torch.Tensor:
    if list(x.shape[:2]) != list(size[:2]):
        raise ValueError(f"Resize from {list(x.shape)} to {size}: batch or channels change")
    return functional.interpolate(x, size=size[2:], mode=kind, align_corners=corners)


# matrix products


@operator("Gemm")
def _gemm(node: Node, a: Value, b: Value, c: Value = None) -> Value:
    alpha, beta = node.attribute("alpha", 1.0), node.attribute("beta", 1.0)
    left, right = node.expect("transA", 0, 1), node.expect("transB", 0, 1)
    plain = (alpha, beta, left) == (1.0, 1.0, 0) and isinstance(b, torch.Tensor)
    if plain and (c is None or (isinstance(c, torch.Tensor) and c.ndim == 1)):
        weight = b if right else b.T.contiguous()
        if c is None or c.shape[0] == weight.shape[0]:
            return node.call(functional.linear, node.tensor(a), node.tensor(weight), node.tensor(c))
    a, b, c = node.tensor(a), node.tensor(b), node.operand(c)
    a = node.call(torch.t, a) if left else a
    b = node.call(torch.t, b) if right else b
    product = node.call(python.mul, node.call(torch.matmul, a, b), alpha)
    return product if c is None else node.call(python.add, product, node.call(python.mul, c, beta))


@operator("MatMul")
def _matmul(node: Node, a: Value, b: Value) -> Value:
    if node.folding or not isinstance(b, torch.Tensor) or b.ndim != 2:
        return node.call(torch.matmul, node.tensor(a), node.tensor(b))
    bias = _bias_after(node, b.shape[1])
    weight = node.tensor(b.T.contiguous())
    result = node.call(functional.linear, node.tensor(a), weight, node.tensor(bias))
    if bias is not None:
        (addition,) = node.state.consumers[node.outputs[0]]
        node.state.values[addition.output[0]] = result
    return result


def _bias_after(node: Node, width: int) -> torch.Tensor | None:
    """The constant that the only reader of a product adds to its last axis, if that is so."""
    name = node.outputs[0]
    readers = node.state.consumers.get(name, [])
    if len(readers) != 1 or readers[0].op_type != "Add" or name in node.state.outputs:
        return None
    others = [node.state.values.get(other) for other in readers[0].input if other != name]
    if len(others) == 1 and isinstance(others[0], torch.Tensor) and others[0].shape == (width,):
        return others[0]
    return None


# normalisation


@operator("BatchNormalization")
def _batch_norm(
    node: Node, x: Value, scale: Value, shift: Value, mean: Value, variance: Value
) -> Value:
    node.expect("training_mode", 0)
    node.attribute("momentum")  # of training
    parts = [node.tensor(part) for part in (mean, variance, scale, shift)]
    epsilon = node.attribute("epsilon", 1e-5)
    return node.call(functional.batch_norm, node.tensor(x), *parts, False, 0.0, epsilon)


@operator("LayerNormalization")
def _layer_norm(node: Node, x: Value, scale: Value, shift: Value = None) -> Value:
    weight = node.constant(scale, "the scale")
    rank = node.rank()
    if rank - node.axis(node.attribute("axis", -1), rank) != weight.ndim:
        node.refuse(f"a scale of rank {weight.ndim}")
    node.expect("stash_type", 1)
    epsilon = node.attribute("epsilon", 1e-5)
    parts = (node.tensor(scale), node.tensor(shift))
    return node.call(functional.layer_norm, node.tensor(x), tuple(weight.shape), *parts, epsilon)


@operator("InstanceNormalization")
def _instance_norm(node: Node, x: Value, scale: Value, shift: Value) -> Value:
    parts = {"weight": node.tensor(scale), "bias": node.tensor(shift)}
    epsilon = node.attribute("epsilon", 1e-5)
    return node.call(functional.instance_norm, node.tensor(x), **parts, eps=epsilon)
