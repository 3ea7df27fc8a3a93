"""An ONNX graph as a torch module: a `torch.fx` graph, weights as parameters, constants folded."""

from __future__ import annotations

import re

import onnx
import torch
from onnx import numpy_helper
from torch import fx

from ..errors import ModelIntegrityError, UnsupportedOperatorError
from . import layers as torch_layers  # noqa: F401 - they enter operators
from . import lstm as torch_lstm  # noqa: F401 - they enter operators
from . import ops as torch_ops  # noqa: F401 - they enter operators
from . import shapes as torch_shapes  # noqa: F401 - they enter operators
from .node import FLOATS, GraphState, Node, Sizes, Value

__all__ = ["build_module", "read_model"]

OPSETS = range(18, 24)
_FLOAT = onnx.TensorProto.FLOAT


def read_model(content: bytes, *, source: str) -> onnx.ModelProto:
    """Parse and check an ONNX model.

    Raises
    ------
    ModelIntegrityError
        The bytes are no valid ONNX model.
    UnsupportedOperatorError
        An opset outside 18 to 23, external data, or functions of the model's own.
    """
    try:
        model = onnx.load_model_from_string(content)
        opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
        if opset == 0 or opset in OPSETS:  # the checker of another opset speaks of its nodes
            onnx.checker.check_model(model)
    except Exception as error:  # protobuf's and onnx's errors share no base
        reason = (str(error).strip() or repr(error)).splitlines()[0][:300]
        raise ModelIntegrityError(f"{source}: not a valid ONNX model: {reason}") from error
    if opset not in OPSETS:
        raise UnsupportedOperatorError(
            source, "opset", str(opset), f"it knows {OPSETS.start} to {OPSETS.stop - 1}"
        )
    if model.functions:
        raise UnsupportedOperatorError(
            source, "function", model.functions[0].name, "it knows no functions of a model's own"
        )
    return model


def build_module(
    model: onnx.ModelProto,
    *,
    source: str,
    device: str = "cpu",
    float_dtype: torch.dtype = torch.float32,
) -> fx.GraphModule:
    """Turn an ONNX model into a torch module on a device.

    Parameters
    ----------
    model
        From `read_model`.
    source
        Name of the model, for errors.
    device
        Where the module's tensors live.
    float_dtype
        What the module computes in. Its float outputs are float32 all the same.

    Returns
    -------
    torch.fx.GraphModule
        In eval mode; takes the graph's inputs in their order, gives a tuple of its outputs.

    Raises
    ------
    UnsupportedOperatorError
        A node, attribute or form of input without a translation.
    """
    state = GraphState(model.graph, source, _kinds(model), float_dtype, device)
    for initializer in model.graph.initializer:
        tensor = torch.from_numpy(numpy_helper.to_array(initializer).copy())
        state.values[initializer.name] = tensor
        state.name_constant(initializer.name, tensor)
    for value in model.graph.input:
        if value.name not in state.values:
            placeholder = state.record("placeholder", re.sub(r"\W", "_", value.name))
            if state.kinds[value.name][0] in FLOATS and float_dtype != torch.float32:
                placeholder = placeholder.to(float_dtype)
            state.values[value.name] = placeholder
    for proto in model.graph.node:
        if all(name in state.values for name in proto.output if name):
            continue  # done together with a node before it
        node = Node(state, proto)
        for name, result in zip(proto.output, node.translate(), strict=False):
            if name:
                state.values[name] = result
                if isinstance(result, torch.Tensor):
                    state.name_constant(name, result)
    outputs = [_output(state, value.name) for value in model.graph.output]
    state.graph.output(tuple(output.node for output in outputs))
    module = fx.GraphModule(state.root, state.graph, class_name="OnnxModule")
    module.graph.eliminate_dead_code()
    module.graph.lint()
    module.recompile()
    return module.eval().to(device=device, dtype=float_dtype)


def _output(state: GraphState, name: str) -> fx.Proxy:
    value: Value = state.values[name]
    if isinstance(value, torch.Tensor):
        value = state.live(value).clone()  # the caller may write to its answer
    elif isinstance(value, Sizes):
        raise UnsupportedOperatorError(state.source, "Shape", name, "an output of sizes")
    if state.kinds[name][0] == _FLOAT and state.float_dtype != torch.float32:
        value = value.to(torch.float32)
    return value


def _kinds(model: onnx.ModelProto) -> dict[str, tuple[int, int | None]]:
    """Element type and rank of each value, as far as onnx infers them."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.graph.value_info[:]  # what the file says of its inner values may be wrong
    inferred = onnx.shape_inference.infer_shapes(bare, data_prop=True)
    kinds = {}
    for value in [*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output]:
        kind = value.type.tensor_type
        rank = len(kind.shape.dim) if kind.HasField("shape") else None
        kinds[value.name] = (kind.elem_type, rank)
    for initializer in model.graph.initializer:
        kinds[initializer.name] = (initializer.data_type, len(initializer.dims))
    return kinds
