"""Single ONNX operators in torch against onnxruntime, the engine they are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

onnx = pytest.importorskip("onnx", reason="the torch engine needs onnx")
pytest.importorskip("torch", reason="the torch engine needs torch")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from seqtile.errors import ProviderError, UnsupportedOperatorError  # noqa: E402
from seqtile.session import Session  # noqa: E402
from seqtile.torch_engine import load_torch  # noqa: E402
from seqtile.torch_node import OPERATORS  # noqa: E402

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


SCALAR = np.array(2, np.int64)


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
            (-1, np.iinfo(np.int64).min, -1), (-1, -100, -2), (-2, -7, -2), (20, 2, -3),
            (5, -10, -1), (2, 5, -1), (-1, 0, -1), (7, -9, -4),
        ]
    ),
    case("Slice", [X],
         [whole(-1, -1), whole(*[np.iinfo(np.int64).min] * 2), whole(3, 1), -whole(1, 1)]),
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
    case("ReduceSum", [np.arange(6, dtype=np.int32).reshape(2, 3)], [whole(1)],
         kind=TensorProto.INT32),
    case("ReduceMax", [whole(3, 1, 2)], kind=INT),
    case("CumSum", [floats(2, 5)], [np.array(1, np.int64)]),
    case("CumSum", [np.arange(10, dtype=np.int32).reshape(2, 5)], [np.array(-1, np.int32)],
         kind=TensorProto.INT32, reverse=1),
    # layers
    case("Conv", [floats(2, 4, 13)], [floats(6, 4, 3), floats(6)]),
    case("Conv", [floats(2, 4, 1, 13)], [floats(6, 2, 1, 3)],
         group=2, dilations=[1, 2], pads=[0, 2, 0, 2], strides=[1, 2]),
    case("Conv", [X], [floats(5, 4, 3, 2), floats(5)], pads=[1, 0, 2, 3], strides=[2, 1]),
    case("Conv", [X], [floats(4, 1, 3, 3)], group=4, auto_pad="VALID"),
    case("Conv", [floats(1, 2, 4, 5, 6)], [floats(3, 2, 2, 2, 2)], pads=[1] * 6),
    case("ConvTranspose", [X], [floats(4, 3, 3, 2), floats(6)],
         group=2, strides=[2, 3], pads=[1, 0, 1, 0], output_padding=[1, 0], dilations=[1, 2]),
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
        case("Resize", [IMAGE], [None, numbers(1, 1, 2, 3)],
             mode="nearest", coordinate_transformation_mode=place, nearest_mode=rounding)
        for place, rounding in (("asymmetric", "floor"), ("half_pixel", "round_prefer_ceil"))
    ),
    case("Resize", [IMAGE], [None, numbers(1, 1, 1.7, 0.6)],
         mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    *(
        case("Resize", [IMAGE], [None, numbers(1, 1, 2, 1.5)],
             mode=mode, coordinate_transformation_mode=place)
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
]  # fmt: skip


@pytest.mark.parametrize(("op", "arguments", "options"), CASES)
def test_operator(op: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
    check(op, *arguments, **options)


# LSTM


@pytest.mark.parametrize(
    ("lengths", "layout"),
    [(None, 0), ([5, 3, 1], 0), (None, 1)],
    ids=["whole", "lengths", "layout"],
)
@pytest.mark.parametrize("more", ["bias", "starts", "bias starts", ""])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_lstm(direction: str, more: str, lengths: list[int] | None, layout: int) -> None:
    """Gates in ONNX's order, both directions, all three outputs; zeros after a sequence's end."""
    many, steps, batch, channels, hidden = 1 + (direction == "bidirectional"), 5, 3, 4, 6
    constants = {"w": floats(many, 4 * hidden, channels), "r": floats(many, 4 * hidden, hidden)}
    names = ["x", "w", "r", "", "", "", ""]
    if "bias" in more:
        constants["b"] = floats(many, 8 * hidden)
        names[3] = "b"
    feeds: dict[str, NDArray[Any]] = {"x": floats(steps, batch, channels)}
    if lengths:
        feeds["n"] = np.array(lengths, np.int32)
        names[4] = "n"
    if "starts" in more:
        feeds |= {"h": floats(many, batch, hidden), "c": floats(many, batch, hidden)}
        names[5:] = ["h", "c"]
    outputs = ["y", "y_h", "y_c"]

    def model(**attributes: int) -> bytes:
        options = {"hidden_size": hidden, "direction": direction, **attributes}
        node = helper.make_node("LSTM", names, outputs, **options)
        return model_of([node], feeds, constants, outputs)

    if not layout:
        found = assert_alike(model(), feeds)
        assert found[0].shape == (steps, many, batch, hidden)
        assert not lengths or not found[0][lengths[1] :, :, 1].any()
        return
    expected = assert_alike(model(), feeds)  # onnxruntime has no LSTM of layout 1
    turned = {name: array.swapaxes(0, 1) for name, array in feeds.items()}
    found = load_torch(model(layout=1), threads=1)(turned)
    np.testing.assert_allclose(found[0], expected[0].transpose(2, 0, 1, 3), rtol=1e-6)
    for mine, theirs in zip(found[1:], expected[1:], strict=True):
        np.testing.assert_allclose(mine, theirs.swapaxes(0, 1), rtol=1e-6)


# several nodes


def test_shape_arithmetic_stays_on_the_host() -> None:
    """As exporters write a view: sizes of the input, counted and put together."""
    constants = {
        "last": np.array(-1, np.int64), "two": whole(2), "one": whole(1), "zero": whole(0),
        "minus": np.array(-1, np.int64), "half": np.array(2, np.int64), "fours": whole(4, 4),
    }  # fmt: skip
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Shape", ["x"], ["batch"], start=0, end=1),
        helper.make_node("Gather", ["shape", "last"], ["length"]),
        helper.make_node("Add", ["length", "minus"], ["less"]),
        helper.make_node("Div", ["less", "half"], ["pairs"]),
        helper.make_node("Sub", ["pairs", "minus"], ["more"]),
        helper.make_node("Unsqueeze", ["more", "zero"], ["more1"]),
        helper.make_node("Slice", ["shape", "zero", "two"], ["two_axes"]),
        helper.make_node("Squeeze", ["batch"], ["scalar"]),
        helper.make_node("Cast", ["scalar"], ["count"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["two_axes", "two", "more1"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["view"]),
        helper.make_node("Mul", ["view", "count"], ["y"]),
        helper.make_node("Expand", ["count", "shape"], ["z"]),
        helper.make_node("ConstantOfShape", ["two_axes"], ["zeros"]),
    ]
    for batch, length in ((2, 6), (5, 10)):
        feeds = {"x": floats(batch, 3, length)}
        assert_alike(model_of(nodes, feeds, constants, ["y", "z", "zeros"]), feeds)
    model = model_of(nodes, feeds, constants, ["y", "z", "zeros"])
    tensors = [str(node.target) for node in load_torch(model).module.graph.nodes]
    assert sum("full" in target for target in tensors) == 1  # the count alone is a tensor


def test_bytes_look_up_a_table() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["codes"], to=TensorProto.INT32),
        helper.make_node("Gather", ["table", "codes"], ["y"], axis=0),
    ]
    feeds = {"x": np.array([[0, 65], [200, 255]], np.uint8)}
    table = {"table": floats(256, 4)}
    (found,) = assert_alike(model_of(nodes, feeds, table, ["y"]), feeds)
    np.testing.assert_array_equal(found, table["table"][feeds["x"]])


def test_an_index_beyond_its_table_is_an_error() -> None:
    node = helper.make_node("Gather", ["table", "x"], ["y"])
    feeds = {"x": whole(0, 5)}
    engine = load_torch(model_of([node], feeds, {"table": floats(5, 2)}, ["y"]))
    with pytest.raises(ProviderError, match="^model: torch failed on cpu: .*out of bounds"):
        engine(feeds)


def test_a_product_and_its_bias_are_one_layer() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Add", ["b", "product"], ["y"]),
    ]
    feeds, constants = {"x": floats(2, 3, 4)}, {"w": floats(4, 5), "b": floats(5)}
    model = model_of(nodes, feeds, constants, ["y"])
    assert_alike(model, feeds)
    calls = [n for n in load_torch(model).module.graph.nodes if n.op == "call_function"]
    assert [call.target.__name__ for call in calls] == ["linear"]
    # not where the product itself is asked for
    assert_alike(model_of(nodes, feeds, constants, ["product", "y"]), feeds)


def test_constants_are_computed_once() -> None:
    nodes = [
        helper.make_node("Constant", [], ["c"], value_floats=[1.0, 4.0]),
        helper.make_node("Sqrt", ["c"], ["root"]),
        helper.make_node("Add", ["x", "root"], ["y"]),
        helper.make_node("Constant", [], ["unused"], value_int=3),
    ]
    feeds = {"x": floats(3, 2)}
    model = model_of(nodes, feeds, {}, ["y", "root"])
    assert_alike(model, feeds)
    calls = [n for n in load_torch(model).module.graph.nodes if n.op == "call_function"]
    assert [call.target.__name__ for call in calls] == ["add"]


# what is not known


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "why"),
    [
        ("Tan", ["x"], {}, "the operator is unknown to it"),
        ("CumSum", ["x", "one"], {"exclusive": 1}, "it knows exclusive=0 only, not 1"),
        ("MaxPool", ["x"], {"kernel_shape": [2], "ceil_mode": 1},
         "it knows ceil_mode=0 only, not 1"),
        ("MaxPool", ["x"], {"kernel_shape": [2], "auto_pad": "SAME_UPPER"},
         "it knows auto_pad='NOTSET' or 'VALID' only, not 'SAME_UPPER'"),
        ("ConvTranspose", ["x", "w"], {"output_shape": [9]},
         "it does not know the attribute output_shape=[9]"),
        ("Conv", ["x", "x"], {}, "it needs the weights to be constant"),
        ("Pad", ["x", "pads"], {"mode": "reflect"},
         "mode 'reflect' of these pads and an input of rank 3"),
        ("Resize", ["x", "", "scales"], {"mode": "nearest"},
         "mode 'nearest' with 'half_pixel' and 'round_prefer_floor'"),
        ("LSTM", ["x", "w", "w"], {"hidden_size": 1, "clip": 0.5},
         "it does not know the attribute clip=0.5"),
        ("LSTM", ["x", "w", "w"], {"hidden_size": 1, "activations": ["Relu", "Tanh", "Tanh"]},
         "it does not know the activations ['Relu', 'Tanh', 'Tanh']"),
        ("Flatten", ["x"], {"axis": 2}, "it flattens from axis 1 only, not 2"),
    ],
)  # fmt: skip
def test_unknown_forms_are_named(
    op: str, inputs: list[str], attributes: dict[str, Any], why: str
) -> None:
    constants = {
        "w": floats(1, 4, 1), "one": np.array(1, np.int64), "pads": whole(1, 0, 0, 0, 0, 0),
        "scales": numbers(1, 1, 2),
    }  # fmt: skip
    node = helper.make_node(op, inputs, ["y"], name="the_node", **attributes)
    with pytest.raises(UnsupportedOperatorError) as caught:
        load_torch(model_of([node], {"x": floats(2, 1, 8)}, constants, ["y"]), source="tiny")
    assert str(caught.value) == (
        f"tiny: {op} 'the_node': the torch engine cannot run it: {why}; use the engine onnxruntime"
    )
    assert (caught.value.op, caught.value.node) == (op, "the_node")


def test_indices_of_a_pool_are_refused() -> None:
    node = helper.make_node("MaxPool", ["x"], ["y", "places"], kernel_shape=[2])
    model = model_of([node], {"x": floats(2, 1, 8)}, {}, ["y"])
    with pytest.raises(UnsupportedOperatorError, match="MaxPool 'y': .* know the output 2; use"):
        load_torch(model)


def test_every_operator_is_compared() -> None:
    others = {"LSTM", "Shape", "Constant"}  # in tests of their own
    assert {param.values[0] for param in CASES} | others == OPERATORS.keys()
