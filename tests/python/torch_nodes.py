"""Small ONNX models made of nodes, run by torch and by onnxruntime, and the arrays for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from seqtile.execution.session import Session
from seqtile.torch_engine.engine import load_torch

Arrays = Mapping[str, NDArray[Any]]
RANDOM = np.random.default_rng(0)


def floats(*shape: int) -> NDArray[np.float32]:
    return RANDOM.standard_normal(shape).astype(np.float32)


def positive(*shape: int) -> NDArray[np.float32]:
    return RANDOM.uniform(0.1, 3, shape).astype(np.float32)


def whole(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def numbers(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def model_of(
    nodes: Sequence[Any],
    feeds: Arrays,
    constants: Arrays,
    outputs: Sequence[str],
    kind: int = TensorProto.FLOAT,
    opset: int = 18,
) -> bytes:
    """A model of some nodes whose inputs have ranks, but no sizes."""
    inputs = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(array.dtype),
            [f"{name}{i}" for i in range(array.ndim)],
        )
        for name, array in feeds.items()
    ]
    results = [helper.make_tensor_value_info(name, kind, None) for name in outputs]
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, results, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    known = onnx.shape_inference.infer_shapes(model, data_prop=True).graph.output
    if any(not value.type.tensor_type.HasField("shape") for value in known):
        known = [
            helper.make_tensor_value_info(name, kind, [None] * array.ndim)
            for name, array in zip(
                outputs, Session(model.SerializeToString()).run(feeds), strict=True
            )
        ]
    del model.graph.output[:]
    model.graph.output.extend(known)
    return bytes(model.SerializeToString())


def assert_alike(model: bytes, feeds: Arrays) -> list[NDArray[Any]]:
    expected = Session(model, threads=1, optimization="disable").run(feeds)
    engine = load_torch(model, threads=1)
    found = engine(feeds)
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=2e-5, atol=2e-6, strict=True)
    return found
