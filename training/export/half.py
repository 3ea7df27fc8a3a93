"""A model in half precision: its convolutions, products and what lies between them in fp16.

Normalisations become part of the convolution before them, or a product and a sum. Inputs, outputs,
scaling, sums over places and the last activation stay in fp32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16

# In fp16 always: what the hardware multiplies and sums up in fp32.
PRODUCTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM"})
# In fp16 where one thing that they read is, or all that read them are: they only move values.
MOVES = frozenset(
    {
        "Concat",
        "Expand",
        "Gather",
        "GatherElements",
        "Pad",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)
# In fp16 where one thing that they read is: one rounding each at most.
STEPS = MOVES | {"Add", "AveragePool", "Clip", "MaxPool", "Mul", "ReduceMax", "Relu", "Resize"}
# Inputs that are fp32 by the operator's definition.
_ALWAYS_FLOAT = {"Resize": (1, 2)}
_LARGEST = float(np.finfo(np.float16).max)

Array = NDArray[np.float32]


class HalfError(ValueError):
    """A model that cannot be put into half precision."""


@dataclass
class Graph:
    """A model's graph with what is needed to rewrite it."""

    model: onnx.ModelProto
    weights: dict[str, TensorProto]
    kinds: dict[str, int]  # element type by value
    added: dict[Any, str] = field(default_factory=dict)

    @classmethod
    def of(cls, model: onnx.ModelProto) -> Graph:
        """Of a copy of the model; its values' types are inferred.

        Raises
        ------
        HalfError
            A node with a graph of its own, which may read any value.
        """
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        for node in copy.graph.node:
            if any(a.HasField("g") or a.graphs for a in node.attribute):
                raise HalfError(f"{node.op_type} {node.name!r} has a graph of its own")
        inferred = onnx.shape_inference.infer_shapes(copy, strict_mode=True).graph
        values = (*inferred.input, *inferred.output, *inferred.value_info)
        kinds = {value.name: value.type.tensor_type.elem_type for value in values}
        weights = {tensor.name: tensor for tensor in copy.graph.initializer}
        kinds |= {name: tensor.data_type for name, tensor in weights.items()}
        return cls(copy, weights, kinds)

    @property
    def outputs(self) -> set[str]:
        """Names of the graph's outputs."""
        return {value.name for value in self.model.graph.output}

    def array(self, name: str) -> Array:
        """A weight's values."""
        return np.asarray(numpy_helper.to_array(self.weights[name]))

    def readers(self, name: str) -> list[onnx.NodeProto]:
        """The nodes that read a value."""
        return [node for node in self.model.graph.node if name in node.input]

    def floats(self, node: onnx.NodeProto) -> list[int]:
        """Which inputs of a node are floating point and follow its precision."""
        fixed = _ALWAYS_FLOAT.get(node.op_type, ())
        return [
            i
            for i, name in enumerate(node.input)
            if i not in fixed and self.kinds.get(name) in (FLOAT, HALF)
        ]

    def finish(self, nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
        """The model with these nodes, in order, and the weights that they read, by name."""
        graph = self.model.graph
        del graph.node[:]
        graph.node.extend(nodes)
        read = {name for node in nodes for name in node.input}
        del graph.initializer[:]
        graph.initializer.extend(self.weights[n] for n in sorted(self.weights) if n in read)
        del graph.value_info[:]
        onnx.checker.check_model(self.model, full_check=True)
        return self.model

    def add_weight(self, name: str, values: NDArray[np.generic]) -> str:
        """A further weight; its name, or that of an equal one: both strands may share a layer."""
        tensor = numpy_helper.from_array(np.ascontiguousarray(values), name)
        key = (tensor.data_type, tuple(tensor.dims), tensor.raw_data)
        if key in self.added:
            return self.added[key]
        self.added[key] = name
        self.weights[name] = tensor
        self.kinds[name] = tensor.data_type
        return name


def fold_normalisations(model: onnx.ModelProto) -> onnx.ModelProto:
    """Put each batch normalisation into the convolution before it, or make it a product and a sum.

    The same function in exact arithmetic; computed in float64.
    """
    graph = Graph.of(model)
    makers = {name: node for node in graph.model.graph.node for name in node.output}
    nodes: list[onnx.NodeProto] = []
    for node in list(graph.model.graph.node):
        if node.op_type != "BatchNormalization":
            nodes.append(node)
            continue
        value, (gain, shift, mean, variance) = node.input[0], node.input[1:5]
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        scale = graph.array(gain) / np.sqrt(graph.array(variance).astype(np.float64) + epsilon)
        offset = graph.array(shift) - graph.array(mean) * scale
        maker = makers.get(value)
        alone = value not in graph.outputs and len(graph.readers(value)) == 1
        if maker is not None and maker.op_type == "Conv" and alone:
            kernel, *bias = maker.input[1:]
            weights = graph.array(kernel) * scale.reshape(-1, *[1] * (graph.array(kernel).ndim - 1))
            if bias:
                offset = offset + graph.array(bias[0]) * scale
            del maker.input[1:]
            maker.input.append(graph.add_weight(f"{node.output[0]}.kernel", _single(weights)))
            maker.input.append(graph.add_weight(f"{node.output[0]}.bias", _single(offset)))
            maker.output[0] = node.output[0]
        else:
            shape = (1, -1, *[1] * (_rank(graph, value) - 2))
            scaled = f"{node.output[0]}.scaled"
            factor = graph.add_weight(f"{node.output[0]}.factor", _single(scale.reshape(shape)))
            term = graph.add_weight(f"{node.output[0]}.term", _single(offset.reshape(shape)))
            nodes.append(helper.make_node("Mul", [value, factor], [scaled], name=f"fold.{scaled}"))
            nodes.append(
                helper.make_node(
                    "Add", [scaled, term], [node.output[0]], name=f"fold.{node.output[0]}"
                )
            )
    return graph.finish(nodes)


def _single(values: NDArray[np.floating]) -> Array:
    return values.astype(np.float32)


def _rank(graph: Graph, name: str) -> int:
    inferred = onnx.shape_inference.infer_shapes(graph.model).graph
    values = (*inferred.input, *inferred.output, *inferred.value_info)
    return next(len(v.type.tensor_type.shape.dim) for v in values if v.name == name)


def plan(graph: Graph) -> set[str]:
    """Which nodes compute in fp16, by the name of their first output."""
    nodes = list(graph.model.graph.node)
    makers = {name: node for node in nodes for name in node.output}
    half: set[str] = set()

    def is_half(name: str) -> bool:
        return name in makers and makers[name].output[0] in half

    for node in nodes:
        inputs = [node.input[i] for i in graph.floats(node) if node.input[i] not in graph.weights]
        follows = node.op_type in STEPS and any(map(is_half, inputs))
        if node.op_type in PRODUCTS or follows:
            half.add(node.output[0])
    for node in reversed(nodes):
        exact = node.op_type in MOVES or (
            node.op_type == "Cast"
            and graph.kinds.get(node.input[0]) in (TensorProto.UINT8, TensorProto.BOOL)
        )
        if not exact or graph.kinds.get(node.output[0]) != FLOAT:
            continue
        readers = [reader for name in node.output for reader in graph.readers(name)]
        if (
            readers
            and all(
                reader.output[0] in half and _follows(graph, reader, node) for reader in readers
            )
            and not graph.outputs & set(node.output)
        ):
            half.add(node.output[0])
    return half


def _follows(graph: Graph, reader: onnx.NodeProto, node: onnx.NodeProto) -> bool:
    """Whether what a reader takes of a node is in the reader's own precision."""
    read = {reader.input[i] for i in graph.floats(reader)}
    return set(node.output) & set(reader.input) <= read


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the nodes of `plan` in fp16, and casts where the precision changes.

    Raises
    ------
    HalfError
        A weight beyond fp16's range, a node with a graph of its own.
    """
    graph = Graph.of(fold_normalisations(model))
    half = plan(graph)
    held = {name: kind for name, kind in graph.kinds.items() if kind in (FLOAT, HALF)}
    results = {name: f"{name}.half" for name in graph.outputs}
    nodes: list[onnx.NodeProto] = []

    def cast(name: str, kind: int) -> str:
        if held[name] == kind:
            return name
        if name in graph.weights:
            return graph.add_weight(f"{name}.half", _half(graph, name))
        other = f"{name}.{'half' if kind == HALF else 'float'}"
        if other not in held:
            held[other] = kind
            nodes.append(helper.make_node("Cast", [name], [other], to=kind, name=f"cast.{other}"))
        return other

    renamed: dict[str, str] = {}
    for node in list(graph.model.graph.node):
        inside = node.output[0] in half
        floats = graph.floats(node)
        for i in range(len(node.input)):
            node.input[i] = renamed.get(node.input[i], node.input[i])
            if i in floats:
                node.input[i] = cast(node.input[i], HALF if inside else FLOAT)
        for i, name in enumerate(node.output):
            if inside and graph.kinds.get(name) == FLOAT:
                if name in results:
                    node.output[i] = renamed[name] = results[name]
                held[node.output[i]] = HALF
        if inside and node.op_type == "Cast":
            node.attribute[0].i = HALF
        nodes.append(node)
    for name, inner in renamed.items():
        nodes.append(helper.make_node("Cast", [inner], [name], to=FLOAT, name=f"cast.{name}"))
    return graph.finish(nodes)


def _half(graph: Graph, name: str) -> NDArray[np.float16]:
    values = graph.array(name)
    if np.abs(values).max(initial=0) > _LARGEST:
        raise HalfError(f"weight {name!r} goes beyond fp16's largest number, {_LARGEST:g}")
    return values.astype(np.float16)


# emulation


def emulate_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in fp32, with every value that `to_half` holds in fp16 rounded to fp16.

    What hardware answers that sums up in fp32 and stores in fp16.
    """
    graph = Graph.of(fold_normalisations(model))
    half = plan(graph)

    def rounded(name: str, tag: str) -> Iterator[onnx.NodeProto]:
        yield helper.make_node("Cast", [name], [f"{tag}.half"], to=HALF, name=f"round.{tag}.half")
        yield helper.make_node("Cast", [f"{tag}.half"], [tag], to=FLOAT, name=f"round.{tag}")

    return _emulate(
        graph,
        lambda node: graph.floats(node) if node.output[0] in half else [],
        lambda node: node.output[0] in half,
        rounded,
        lambda values: values.astype(np.float16).astype(np.float32),
    )


def emulate_tf32(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in fp32, with both factors of every product rounded to 10 bits of mantissa.

    What hardware answers that multiplies in TF32. The state that an LSTM carries from step to step
    stays as it is: the operator does not show it.
    """
    graph = Graph.of(model)
    factor = graph.add_weight("tf32.factor", np.array(SPLIT, np.float32))

    def rounded(name: str, tag: str) -> Iterator[onnx.NodeProto]:
        yield helper.make_node("Mul", [name, factor], [f"{tag}.scaled"], name=f"round.{tag}.scaled")
        low = [f"{tag}.scaled", name]
        yield helper.make_node("Sub", low, [f"{tag}.rest"], name=f"round.{tag}.rest")
        high = [f"{tag}.scaled", f"{tag}.rest"]
        yield helper.make_node("Sub", high, [tag], name=f"round.{tag}")

    def factors(node: onnx.NodeProto) -> list[int]:
        if node.op_type not in PRODUCTS:
            return []
        return [0, 1, 2] if node.op_type == "LSTM" else [0, 1]

    return _emulate(graph, factors, lambda _: False, rounded, round_tf32)


# Dekker's and Veltkamp's constant: x * SPLIT - (x * SPLIT - x) keeps 24 - 13 = 11 bits of x.
SPLIT = float(2**13 + 1)


def round_tf32(values: Array) -> Array:
    """The nearest numbers of 10 bits of mantissa, ties to even, of finite fp32 values."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    odd = (bits >> np.uint32(13)) & np.uint32(1)
    near = (bits + np.uint32(0xFFF) + odd) & np.uint32(0xFFFFE000)
    return near.view(np.float32).reshape(np.shape(values))


def _emulate(
    graph: Graph,
    inputs: Callable[[onnx.NodeProto], list[int]],
    outputs: Callable[[onnx.NodeProto], bool],
    rounded: Callable[[str, str], Iterator[onnx.NodeProto]],
    of_weights: Callable[[Array], Array],
) -> onnx.ModelProto:
    """Round the chosen inputs of each node, and the outputs of the chosen nodes."""
    nodes: list[onnx.NodeProto] = []
    done: set[str] = set()
    for node in list(graph.model.graph.node):
        for i in inputs(node):
            name = node.input[i]
            tag = f"{name}.near"
            if name in done:  # it left its node rounded
                continue
            if name in graph.weights:
                node.input[i] = graph.add_weight(tag, of_weights(graph.array(name)))
                continue
            if tag not in done:
                done.add(tag)
                nodes.extend(rounded(name, tag))
            node.input[i] = tag
        nodes.append(node)
        if not outputs(node):
            continue
        for i, name in enumerate(node.output):
            if graph.kinds.get(name) == FLOAT:
                done.add(name)
                node.output[i] = f"{name}.wide"
                nodes.extend(rounded(f"{name}.wide", name))
    return graph.finish(nodes)
