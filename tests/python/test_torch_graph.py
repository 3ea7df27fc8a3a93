"""ONNX graphs in torch: LSTM, sizes on the host, constants, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnx", reason="the torch engine needs onnx")
pytest.importorskip("torch", reason="the torch engine needs torch")

from onnx import TensorProto, helper

from seqtile.errors import OutOfMemoryError, ProviderError, UnsupportedOperatorError
from seqtile.torch_engine.engine import load_torch
from tests.python.torch_nodes import assert_alike, floats, model_of, numbers, whole

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
        "last": np.array(-1, np.int64),
        "two": whole(2),
        "one": whole(1),
        "zero": whole(0),
        "minus": np.array(-1, np.int64),
        "half": np.array(2, np.int64),
        "fours": whole(4, 4),
    }
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


def test_out_of_memory() -> None:
    nodes = [
        helper.make_node("Expand", ["x", "sizes"], ["wide"]),
        helper.make_node("Exp", ["wide"], ["y"]),
    ]
    feeds = {"x": floats(2, 1)}
    assert_alike(model_of(nodes, feeds, {"sizes": whole(1, 4)}, ["y"]), feeds)
    sizes = {"sizes": whole(1, 1 << 50)}
    with pytest.raises(OutOfMemoryError, match="^model: torch failed on cpu: .*allocate memory"):
        load_torch(model_of(nodes, feeds, sizes, ["y"]))(feeds)


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
        (
            "MaxPool",
            ["x"],
            {"kernel_shape": [2], "ceil_mode": 1},
            "it knows ceil_mode=0 only, not 1",
        ),
        (
            "MaxPool",
            ["x"],
            {"kernel_shape": [2], "auto_pad": "SAME_UPPER"},
            "it knows auto_pad='NOTSET' or 'VALID' only, not 'SAME_UPPER'",
        ),
        (
            "ConvTranspose",
            ["x", "w"],
            {"output_shape": [9]},
            "it does not know the attribute output_shape=[9]",
        ),
        ("Conv", ["x", "x"], {}, "it needs the weights to be constant"),
        (
            "Pad",
            ["x", "pads"],
            {"mode": "reflect"},
            "mode 'reflect' of these pads and an input of rank 3",
        ),
        (
            "Resize",
            ["x", "", "scales"],
            {"mode": "nearest"},
            "mode 'nearest' with 'half_pixel' and 'round_prefer_floor'",
        ),
        (
            "LSTM",
            ["x", "w", "w"],
            {"hidden_size": 1, "clip": 0.5},
            "it does not know the attribute clip=0.5",
        ),
        (
            "LSTM",
            ["x", "w", "w"],
            {"hidden_size": 1, "activations": ["Relu", "Tanh", "Tanh"]},
            "it does not know the activations ['Relu', 'Tanh', 'Tanh']",
        ),
        ("Flatten", ["x"], {"axis": 2}, "it flattens from axis 1 only, not 2"),
    ],
)
def test_unknown_forms_are_named(
    op: str, inputs: list[str], attributes: dict[str, Any], why: str
) -> None:
    constants = {
        "w": floats(1, 4, 1),
        "one": np.array(1, np.int64),
        "pads": whole(1, 0, 0, 0, 0, 0),
        "scales": numbers(1, 1, 2),
    }
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
