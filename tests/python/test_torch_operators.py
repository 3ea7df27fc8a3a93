"""Single ONNX operators in torch against onnxruntime, the engine they are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnx", reason="the torch engine needs onnx")
pytest.importorskip("torch", reason="the torch engine needs torch")

from onnx import TensorProto, helper

from seqtile.torch_engine.node import OPERATORS
from tests.python.torch_nodes import (
    assert_alike,
    floats,
    model_of,
    numbers,
    positive,
    whole,
)

SCALAR = np.array(2, np.int64)


def check(
    op: str,
    feeds: Sequence[NDArray[Any] | None],
    constants: Sequence[NDArray[Any] | None] = (),
    kind: int = TensorProto.FLOAT,
    results: int = 1,
    opset: int = 18,
    **attributes: Any,
) -> None:
    """Compare one node; its inputs are first those fed, then constants, None left out."""
    fed = {f"x{i}": array for i, array in enumerate(feeds) if array is not None}
    fixed = {f"c{i}": array for i, array in enumerate(constants) if array is not None}
    names = [f"x{i}" if f"x{i}" in fed else "" for i in range(len(feeds))]
    names += [f"c{i}" if f"c{i}" in fixed else "" for i in range(len(constants))]
    outputs = [f"y{i}" for i in range(results)]
    node = helper.make_node(op, names, outputs, **attributes)
    assert_alike(model_of([node], fed, fixed, outputs, kind, opset), fed)


def case(op: str, *arguments: Any, **options: Any) -> Any:
    shown = [f"{key}={value}" for key, value in options.items() if key != "kind"]
    return pytest.param(op, arguments, options, id=" ".join([op, *shown])[:70])


INT, BOOL = TensorProto.INT64, TensorProto.BOOL
X = floats(2, 4, 6, 9)
IMAGE = floats(2, 3, 5, 6)

CASES = [
    *(case(op, [floats(3, 4)]) for op in ("Relu", "Sigmoid", "Tanh", "Exp", "Neg", "Abs", "Erf")),
    *(case(op, [floats(3, 4)]) for op in ("Floor", "Ceil", "Identity", "Softplus")),
    *(case(op, [positive(3, 4)]) for op in ("Log", "Sqrt", "Reciprocal")),
    *(case(op, [floats(3, 4), floats(4)]) for op in ("Add", "Sub", "Mul", "Div")),
    *(case(op, [floats(3, 4)], [np.float32(2.5)]) for op in ("Add", "Sub", "Mul", "Div")),
    case("Pow", [positive(3, 4)], [np.float32(1.7)]),
    case("Div", [whole(-7, 7, -8, 9)], [whole(2, -2, 3, -4)], kind=INT),
    case("Div", [whole(-7, 7, -8, 9)], [SCALAR], kind=INT),
    *(
        case(op, [numbers(1, 2, 3), numbers(2, 2, 2)], kind=BOOL)
        for op in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
    ),
    case("And", [np.array([True, True, False]), np.array([True, False, False])], kind=BOOL),
    case("Or", [np.array([True, True, False]), np.array([True, False, False])], kind=BOOL),
    case("Not", [np.array([True, False])], kind=BOOL),
    case("LeakyRelu", [floats(3, 4)], alpha=0.2),
    case("Gelu", [floats(3, 4)], opset=20),
    case("Gelu", [floats(3, 4)], opset=20, approximate="tanh"),
    case("Elu", [floats(3, 4)], alpha=0.7),
    case("Softmax", [floats(3, 4, 5)], axis=1),
    case("Softmax", [floats(3, 4, 5)]),
    case("LogSoftmax", [floats(3, 4, 5)], axis=-2),
    case("Clip", [floats(3, 4)], [None, np.float32(0.3)]),
    case("Clip", [floats(3, 4)], [np.float32(-0.3)]),
    case("Clip", [floats(3, 4), np.array(-0.3, np.float32), np.array(0.3, np.float32)]),
    case("Clip", [floats(3, 4)]),
    case("Where", [floats(3, 4) > 0, floats(3, 4)], [np.float32(-1)]),
    case("Cast", [numbers(-1.7, 1.7, 2.5)], kind=INT, to=INT),
    case("Cast", [np.array([0, 200, 255], np.uint8)], to=TensorProto.FLOAT),
    case("Cast", [numbers(0, 0.5, -2)], kind=BOOL, to=BOOL),
    # shapes
    case("Reshape", [floats(2, 3, 4)], [whole(0, -1)], allowzero=0),
    case("Reshape", [floats(2, 3, 4)], [whole(-1, 6)], allowzero=1),
    case("Reshape", [floats(0, 3)], [whole(3, 0)], allowzero=1),
    case("Reshape", [floats(2, 3, 4)], [whole(4, 0, -1)]),
    case("Flatten", [floats(2, 3, 4)]),
    case("Expand", [floats(3, 1)], [whole(2, 1, 4)]),
    case("Expand", [floats(3, 4)], [whole(1, 1)]),
    case("Transpose", [floats(2, 3, 4)], perm=[2, 0, 1]),
    case("Transpose", [floats(2, 3, 4)]),
    case("Squeeze", [floats(1, 3, 1)], [whole(-1)]),
    case("Squeeze", [floats(1, 3, 1)]),
    case("Unsqueeze", [floats(3, 4)], [whole(3, 0)]),
    case("Unsqueeze", [floats(3, 4)], [whole(-2, -4)]),
    case("Concat", [floats(2, 3), floats(2, 1)], [floats(2, 2)], axis=-1),
    case("Split", [floats(2, 7)], results=3, axis=1, num_outputs=3),
    case("Split", [floats(2, 7)], [whole(2, 5)], results=2, axis=-1),
    case("Slice", [floats(3, 9)], [whole(1), whole(8), whole(1), whole(3)]),
    case("Slice", [floats(3, 9)], [whole(-7, 0), whole(np.iinfo(np.int64).max, 2), whole(-1, 0)]),
    case("Slice", [floats(3, 9)], [whole(1, 2), whole(3, -1)]),
    *(
        case("Slice", [floats(3, 9)], [whole(start), whole(end), whole(1), whole(step)])
        for start, end, step in [
            (-1, np.iinfo(np.int64).min, -1),
            (-1, -100, -2),
            (-2, -7, -2),
            (20, 2, -3),
            (5, -10, -1),
            (2, 5, -1),
            (-1, 0, -1),
            (7, -9, -4),
        ]
    ),
    case(
        "Slice",
        [X],
        [whole(-1, -1), whole(*[np.iinfo(np.int64).min] * 2), whole(3, 1), -whole(1, 1)],
    ),
    case("Pad", [IMAGE], [whole(0, 0, 1, 2, 0, 0, 3, 4), np.float32(1.5)]),
    case("Pad", [IMAGE], [whole(1, 0, 0, 0, 0, 2, 0, 0)]),
    case("Pad", [IMAGE], [whole(0, 0, -1, 2, 0, 0, 0, -2)]),
    case("Pad", [IMAGE], [whole(2, 1), None, whole(-1)], mode="constant"),
    *(
        case("Pad", [IMAGE], [whole(0, 0, 1, 2, 0, 0, 3, 4)], mode=mode)
        for mode in ("reflect", "edge", "wrap")
    ),
    case("Pad", [floats(2, 3, 7)], [whole(0, 0, 3, 0, 0, 1)], mode="reflect"),
    # indices
    case("Gather", [floats(5, 3), np.array([[0, -1], [4, -5]], np.int64)]),
    case("Gather", [floats(2, 5, 3)], [np.array([[1, -1]], np.int32)], axis=1),
    case("Gather", [floats(2, 5, 3)], [np.array(-2, np.int64)], axis=-2),
    case("GatherElements", [floats(2, 5), np.array([[0, -1, 2], [-5, 4, 1]], np.int64)], axis=1),
    # reductions
    *(
        case(op, [floats(2, 3, 4)], [whole(-1, 0)], keepdims=keep)
        for op in ("ReduceMax", "ReduceMin", "ReduceMean", "ReduceSum")
        for keep in (0, 1)
    ),
    case("ReduceSum", [floats(2, 3, 4)], keepdims=0),
    case("ReduceSum", [floats(2, 3, 4)], noop_with_empty_axes=1),
    case(
        "ReduceSum",
        [np.arange(6, dtype=np.int32).reshape(2, 3)],
        [whole(1)],
        kind=TensorProto.INT32,
    ),
    case("ReduceMax", [whole(3, 1, 2)], kind=INT),
    case("CumSum", [floats(2, 5)], [np.array(1, np.int64)]),
    case(
        "CumSum",
        [np.arange(10, dtype=np.int32).reshape(2, 5)],
        [np.array(-1, np.int32)],
        kind=TensorProto.INT32,
        reverse=1,
    ),
    # layers
    case("Conv", [floats(2, 4, 13)], [floats(6, 4, 3), floats(6)]),
    case(
        "Conv",
        [floats(2, 4, 1, 13)],
        [floats(6, 2, 1, 3)],
        group=2,
        dilations=[1, 2],
        pads=[0, 2, 0, 2],
        strides=[1, 2],
    ),
    case("Conv", [X], [floats(5, 4, 3, 2), floats(5)], pads=[1, 0, 2, 3], strides=[2, 1]),
    case("Conv", [X], [floats(4, 1, 3, 3)], group=4, auto_pad="VALID"),
    case("Conv", [floats(1, 2, 4, 5, 6)], [floats(3, 2, 2, 2, 2)], pads=[1] * 6),
    case(
        "ConvTranspose",
        [X],
        [floats(4, 3, 3, 2), floats(6)],
        group=2,
        strides=[2, 3],
        pads=[1, 0, 1, 0],
        output_padding=[1, 0],
        dilations=[1, 2],
    ),
    case("ConvTranspose", [floats(2, 4, 7)], [floats(4, 3, 3)], strides=[2]),
    case("MaxPool", [X], kernel_shape=[2, 3], strides=[2, 1]),
    case("MaxPool", [X], kernel_shape=[3, 3], pads=[1, 1, 1, 1], dilations=[1, 2]),
    case("MaxPool", [-positive(2, 3, 9)], kernel_shape=[3], pads=[0, 2]),
    case("AveragePool", [X], kernel_shape=[2, 2], strides=[2, 2]),
    *(
        case("AveragePool", [X], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=count)
        for count in (0, 1)
    ),
    case("AveragePool", [floats(2, 3, 9)], kernel_shape=[4], pads=[3, 1], count_include_pad=1),
    case("GlobalAveragePool", [X]),
    case("GlobalMaxPool", [X]),
    *(
        case(
            "Resize",
            [IMAGE],
            [None, numbers(1, 1, 2, 3)],
            mode="nearest",
            coordinate_transformation_mode=place,
            nearest_mode=rounding,
        )
        for place, rounding in (("asymmetric", "floor"), ("half_pixel", "round_prefer_ceil"))
    ),
    case(
        "Resize",
        [IMAGE],
        [None, numbers(1, 1, 1.7, 0.6)],
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    ),
    *(
        case(
            "Resize",
            [IMAGE],
            [None, numbers(1, 1, 2, 1.5)],
            mode=mode,
            coordinate_transformation_mode=place,
        )
        for mode in ("linear", "cubic")
        for place in ("half_pixel", "align_corners")
    ),
    case("Resize", [IMAGE], [None, None, whole(2, 3, 7, 4)], mode="linear"),
    case("Resize", [floats(2, 3, 5)], [None, numbers(1, 1, 2)], mode="linear"),
    case("Gemm", [floats(3, 4)], [floats(5, 4), floats(5)], transB=1),
    case("Gemm", [floats(3, 4)], [floats(4, 5)]),
    case("Gemm", [floats(4, 3), floats(4, 5)], [floats(3, 1)], transA=1, alpha=0.5, beta=2.0),
    case("Gemm", [floats(3, 4)], [floats(5, 4), np.float32(1.5)], transB=1),
    case("MatMul", [floats(2, 3, 4)], [floats(4, 5)]),
    case("MatMul", [floats(2, 3, 4), floats(2, 4, 5)]),
    case("MatMul", [floats(2, 3, 4)], [floats(4)]),
    case("BatchNormalization", [X], [floats(4), floats(4), floats(4), positive(4)], epsilon=0.01),
    case("LayerNormalization", [X], [floats(9), floats(9)], epsilon=0.01),
    case("LayerNormalization", [X], [floats(6, 9)], axis=2),
    case("InstanceNormalization", [X], [floats(4), floats(4)]),
    case("ConstantOfShape", [], [whole(2, 3)]),
]


@pytest.mark.parametrize(("op", "arguments", "options"), CASES)
def test_operator(op: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
    check(op, *arguments, **options)


def test_every_operator_is_compared() -> None:
    others = {"LSTM", "Shape", "Constant"}  # in test_torch_graph.py
    assert {param.values[0] for param in CASES} | others == OPERATORS.keys()
