"""Half precision: what becomes fp16, that rounding is what it says, and that nothing undoes it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from seqtile.execution.session import LEVELS, Session
from training.export import half

FLOAT = TensorProto.FLOAT


def build(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, tuple[int, list[int | str]]],
    outputs: dict[str, list[int | str]],
    **weights: np.ndarray,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info(n, kind, shape) for n, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(n, FLOAT, shape) for n, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def run(model: onnx.ModelProto, level: str = "all", **feeds: np.ndarray) -> list[np.ndarray]:
    return Session(model.SerializeToString(), threads=1, optimization=level).run(feeds)


def kinds(model: onnx.ModelProto) -> dict[str, int]:
    return half.Graph.of(model).kinds


# rounding, against arithmetic in float64


def nearest(values: np.ndarray, bits: int = 11) -> np.ndarray:
    """The nearest numbers of so many significant bits, ties to even, in float64."""
    mantissa, exponent = np.frexp(values.astype(np.float64))
    return np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits)


def numbers() -> np.ndarray:
    """Random bit patterns of every magnitude, and ties between two numbers of 11 bits."""
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 2**32, 20_000, np.uint32)
    exponent = (bits >> 23) & 0xFF
    random = bits[(exponent > 0) & (exponent < 254)].view(np.float32)
    ties = ((bits[:4000] & 0x807FE000) | 0x3F801000).view(np.float32) * np.float32(2.0) ** (
        rng.integers(-60, 60, 4000)
    ).astype(np.float32)
    return np.concatenate([random, ties, np.float32([0, -0.0, 1, -1, 255, 1 + 2**-11])])


def test_rounding_of_weights_is_exact() -> None:
    values = numbers()
    np.testing.assert_array_equal(half.round_tf32(values), nearest(values))
    assert half.round_tf32(values.reshape(-1, 2)).shape == (len(values) // 2, 2)


def test_rounding_by_hand() -> None:
    step = 2.0**-10
    values = np.float32([1 + 0.49 * step, 1 + 0.5 * step, 1 + 0.51 * step, 1 + 1.5 * step, -3.0001])
    wanted = np.float32([1, 1, 1 + step, 1 + 2 * step, -3])
    np.testing.assert_array_equal(half.round_tf32(values), wanted)


def identity(n: int) -> onnx.ModelProto:
    """Twice the product with the unit matrix: what comes out was rounded on its way in."""
    nodes = [
        helper.make_node("MatMul", ["x", "unit"], ["y"], name="first"),
        helper.make_node("MatMul", ["y", "unit"], ["z"], name="second"),
    ]
    return build(
        nodes, {"x": (FLOAT, ["batch", n])}, {"z": ["batch", n]}, unit=np.eye(n, dtype="f")
    )


@pytest.mark.parametrize("level", LEVELS)
def test_the_split_in_the_graph_rounds(level: str) -> None:
    """At every optimisation level; a tie may go to either side."""
    values = numbers()
    values = values[np.abs(values) < 2.0**113][:20_000].reshape(-1, 10)
    (found,) = run(half.emulate_tf32(identity(10)), level, x=values)
    exact = nearest(values)
    tie = np.abs(values.astype(np.float64) - exact) * 2 == np.ldexp(
        1.0, np.frexp(values.astype(np.float64))[1] - 11
    )
    assert tie.sum() > 1000
    np.testing.assert_array_equal(found[~tie], exact[~tie])
    np.testing.assert_array_equal(np.abs(found - values)[tie], np.abs(exact - values)[tie])
    assert np.mean(found != values) > 0.9


@pytest.mark.parametrize("level", LEVELS)
def test_fp16_in_the_graph_rounds(level: str) -> None:
    values = np.random.default_rng(2).normal(0, 100, (500, 10)).astype(np.float32)
    (found,) = run(half.emulate_half(identity(10)), level, x=values)
    np.testing.assert_array_equal(found, values.astype(np.float16))


@pytest.mark.parametrize("level", LEVELS)
def test_values_between_two_nodes_are_rounded(level: str) -> None:
    """1 + 2^-11 + 2^-11 is 1 if each sum is rounded to fp16, ties to even, and 1 + 2^-10 if not."""
    nodes = [
        helper.make_node("MatMul", ["x", "unit"], ["y"], name="product"),
        helper.make_node("Add", ["y", "small"], ["z"], name="one"),
        helper.make_node("Add", ["z", "small"], ["w"], name="two"),
    ]
    model = build(
        nodes,
        {"x": (FLOAT, ["batch", 1])},
        {"w": ["batch", 1]},
        unit=np.ones((1, 1), np.float32),
        small=np.float32([2**-11]),
    )
    one = np.ones((1, 1), np.float32)
    assert run(model, level, x=one)[0] == 1 + 2**-10
    assert run(half.emulate_half(model), level, x=one)[0] == 1


# what becomes fp16


def letters(**further: list[int | str]) -> onnx.ModelProto:
    """Letters by a table, a convolution, ReLU, mean of the places, a line, a sigmoid."""
    nodes = [
        helper.make_node("Cast", ["sequence"], ["codes"], to=TensorProto.INT32, name="cast"),
        helper.make_node("Gather", ["table", "codes"], ["rows"], name="gather"),
        helper.make_node("Transpose", ["rows"], ["onehot"], perm=[0, 2, 1], name="transpose"),
        helper.make_node("Conv", ["onehot", "kernel"], ["found"], name="conv"),
        helper.make_node(
            "BatchNormalization",
            ["found", "gain", "shift", "mean", "variance"],
            ["normal"],
            name="norm",
        ),
        helper.make_node("Relu", ["normal"], ["positive"], name="relu"),
        helper.make_node("ReduceMean", ["positive", "places"], ["embedding"], keepdims=0, name="m"),
        helper.make_node("Gemm", ["embedding", "line"], ["logit"], name="gemm"),
        helper.make_node("Sigmoid", ["logit"], ["probability"], name="sigmoid"),
    ]
    rng = np.random.default_rng(4)
    table = np.zeros((256, 4), np.float32)
    table[list(b"ACGT"), range(4)] = 1
    return build(
        nodes,
        {"sequence": (TensorProto.UINT8, ["batch", "length"])},
        {"probability": ["batch", 1], "embedding": ["batch", 6]} | further,
        table=table,
        kernel=rng.normal(0, 1, (6, 4, 5)).astype(np.float32),
        gain=rng.uniform(0.5, 2, 6).astype(np.float32),
        shift=rng.normal(0, 1, 6).astype(np.float32),
        mean=rng.normal(0, 1, 6).astype(np.float32),
        variance=rng.uniform(1e-7, 2, 6).astype(np.float32),
        places=np.array([2], np.int64),
        line=rng.normal(0, 1, (6, 1)).astype(np.float32),
    )


def sequences() -> np.ndarray:
    rng = np.random.default_rng(5)
    return np.frombuffer(b"ACGTN", np.uint8)[rng.integers(0, 5, (9, 30))]


def test_products_and_what_lies_between_are_fp16() -> None:
    model = half.to_half(letters())
    found = kinds(model)
    for name in ("rows", "onehot", "normal", "positive", "logit"):
        assert found[name] == TensorProto.FLOAT16, name
    for name in ("embedding", "probability"):  # a mean of the places, a sigmoid
        assert found[name] == FLOAT, name
    weights = {t.name: t.data_type for t in model.graph.initializer}
    assert sorted(weights.values()) == sorted([TensorProto.FLOAT16] * 4 + [TensorProto.INT64])
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}


def test_inputs_outputs_and_metadata_stay() -> None:
    model = letters()
    model.metadata_props.add(key="k", value="v")
    made = half.to_half(model)
    assert list(made.graph.input) == list(model.graph.input)
    assert list(made.graph.output) == list(model.graph.output)
    assert list(made.metadata_props) == list(model.metadata_props)
    assert made.ir_version == model.ir_version
    assert made.opset_import == model.opset_import
    assert made.SerializeToString() == half.to_half(model).SerializeToString()


@pytest.mark.parametrize("level", LEVELS)
def test_the_answers_are_those_of_fp16(level: str) -> None:
    """Near fp32, and not it: the difference is of fp16's size."""
    wanted = run(letters(), sequence=sequences())
    for make in (half.to_half, half.emulate_half, half.emulate_tf32):
        for want, got in zip(
            wanted, run(make(letters()), level, sequence=sequences()), strict=True
        ):
            error = np.abs(want - got).max() / max(1, np.abs(want).max())
            assert 1e-6 < error < 3e-3


def test_an_output_that_is_fp16_inside_is_cast_once() -> None:
    """And those who read it inside take the fp16 value."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["embedding"], name="one"),
        helper.make_node("Relu", ["embedding"], ["r"], name="two"),
        helper.make_node("MatMul", ["r", "w"], ["y"], name="three"),
    ]
    w = np.random.default_rng(0).normal(0, 1, (4, 4)).astype(np.float32)
    shapes: dict[str, list[int | str]] = {"y": ["batch", 4], "embedding": ["batch", 4]}
    model = half.to_half(build(nodes, {"x": (FLOAT, ["batch", 4])}, shapes, w=w))
    casts = [node for node in model.graph.node if node.op_type == "Cast"]
    assert len(casts) == 3  # one in, two out
    x = np.random.default_rng(1).normal(0, 1, (5, 4)).astype(np.float32)
    y, embedding = run(model, x=x)
    np.testing.assert_allclose(embedding, x @ w, atol=0.01)
    np.testing.assert_allclose(y, np.maximum(x @ w, 0) @ w, atol=0.05)


def test_numbers_of_inputs_stay_fp32_until_a_product_needs_them() -> None:
    """The logarithm of 1e6 + 1 is taken in fp32; in fp16 it would be that of infinity."""
    nodes = [
        helper.make_node("Add", ["x", "one"], ["more"], name="add"),
        helper.make_node("Log", ["more"], ["log"], name="log"),
        helper.make_node("MatMul", ["log", "w"], ["y"], name="product"),
    ]
    model = build(
        nodes,
        {"x": (FLOAT, ["batch", 1])},
        {"y": ["batch", 1]},
        one=np.float32([1]),
        w=np.ones((1, 1), np.float32),
    )
    for make in (half.to_half, half.emulate_half):
        (found,) = run(make(model), x=np.float32([[1e6]]))
        np.testing.assert_allclose(found, [[np.log(1e6 + 1)]], rtol=2**-11)


def test_the_scales_of_a_resize_stay_fp32() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], name="conv"),
        helper.make_node("Resize", ["c", "", "scales"], ["y"], mode="nearest", name="resize"),
    ]
    model = half.to_half(
        build(
            nodes,
            {"x": (FLOAT, ["batch", 1, 2, 2])},
            {"y": ["batch", 1, 4, 4]},
            k=np.ones((1, 1, 1, 1), np.float32),
            scales=np.float32([1, 1, 2, 2]),
        )
    )
    assert {t.name: t.data_type for t in model.graph.initializer}["scales"] == FLOAT
    x = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
    np.testing.assert_array_equal(run(model, x=x)[0], x.repeat(2, 2).repeat(2, 3))


def test_a_weight_beyond_the_range() -> None:
    big = identity(2)
    big.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.float32([[7e4, 0], [0, 1]]), "unit")
    )
    with pytest.raises(half.HalfError, match="weight 'unit' goes beyond fp16's largest number"):
        half.to_half(big)


def test_a_node_with_a_graph_of_its_own() -> None:
    """It may read any value by name."""
    shape: list[int | str] = ["batch", 1]
    inner = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["inside"])],
        "inner",
        [],
        [helper.make_tensor_value_info("inside", FLOAT, shape)],
    )
    node = helper.make_node(
        "If", ["so"], ["y"], then_branch=inner, else_branch=inner, name="choice"
    )
    model = build([node], {"x": (FLOAT, shape), "so": (TensorProto.BOOL, [])}, {"y": shape})
    for make in (half.to_half, half.emulate_half, half.emulate_tf32):
        with pytest.raises(half.HalfError, match="If 'choice' has a graph of its own"):
            make(model)


def test_the_model_given_stays_as_it_is() -> None:
    model = letters()
    before = model.SerializeToString()
    for make in (half.to_half, half.emulate_half, half.emulate_tf32, half.fold_normalisations):
        make(model)
    assert model.SerializeToString() == before


# normalisations


def test_a_normalisation_goes_into_its_convolution() -> None:
    folded = half.fold_normalisations(letters())
    assert [n.op_type for n in folded.graph.node].count("Conv") == 1
    assert not {"BatchNormalization", "Mul", "Add"} & {n.op_type for n in folded.graph.node}
    for want, got in zip(
        run(letters(), sequence=sequences()), run(folded, sequence=sequences()), strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_a_normalisation_of_what_others_read_becomes_a_product_and_a_sum() -> None:
    """Here of an output."""
    model = letters(found=["batch", 6, "places"])
    folded = half.fold_normalisations(model)
    ops = [n.op_type for n in folded.graph.node]
    assert ("BatchNormalization" in ops, ops.count("Mul"), ops.count("Add")) == (False, 1, 1)
    for want, got in zip(
        run(model, sequence=sequences()), run(folded, sequence=sequences()), strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


# recurrent networks


def test_a_recurrent_network() -> None:
    """Its inputs and weights are rounded; the state goes on as it is."""
    rng = np.random.default_rng(7)
    nodes = [helper.make_node("LSTM", ["x", "w", "r", "b"], ["y"], hidden_size=3, name="lstm")]
    model = build(
        nodes,
        {"x": (FLOAT, ["steps", "batch", 2])},
        {"y": ["steps", 1, "batch", 3]},
        w=rng.normal(0, 1, (1, 12, 2)).astype(np.float32),
        r=rng.normal(0, 1, (1, 12, 3)).astype(np.float32),
        b=rng.normal(0, 1, (1, 24)).astype(np.float32),
    )
    x = rng.normal(0, 1, (5, 4, 2)).astype(np.float32)
    (wanted,) = run(model, x=x)
    tf32 = half.emulate_tf32(model)
    rounded = {t.name: numpy_helper.to_array(t) for t in tf32.graph.initializer}
    lstm = next(node for node in tf32.graph.node if node.op_type == "LSTM")
    for name in lstm.input[1:3]:
        np.testing.assert_array_equal(rounded[name], half.round_tf32(rounded[name]))
    assert lstm.input[3] == "b"
    for made in (tf32, half.emulate_half(model), half.to_half(model)):
        (found,) = run(made, x=x)
        assert 1e-6 < np.abs(found - wanted).max() < 3e-3
