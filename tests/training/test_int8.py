"""int8: what is quantised, that answers stay near, that the model's face does not change."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from seqtile.execution.session import LEVELS, Session
from seqtile.models.certificate import PRECISION_KEY
from training.export import half
from training.export.int8 import to_int8

from .test_half import letters, run, sequences


def calibration() -> list[dict[str, np.ndarray]]:
    return [{"sequence": sequences()}, {"sequence": sequences()[::-1].copy()}]


def quantised(*, inner: bool = False) -> onnx.ModelProto:
    model = letters()
    model.metadata_props.add(key="k", value="v")
    made = to_int8(model.SerializeToString(), calibration(), inner=inner)
    return onnx.load_model_from_string(made)


@pytest.mark.parametrize("level", LEVELS)
def test_answers_stay_near(level: str) -> None:
    wanted = run(letters(), sequence=sequences())
    for want, got in zip(wanted, run(quantised(), level, sequence=sequences()), strict=True):
        error = np.abs(want - got).max() / max(1, np.abs(want).max())
        assert 1e-4 < error < 0.05


def test_weights_are_of_7_bits_with_a_scale_for_each_channel() -> None:
    made = quantised()
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in made.graph.initializer}
    folded = half.fold_normalisations(letters())
    (conv,) = (node for node in folded.graph.node if node.op_type == "Conv")
    kernel = next(
        onnx.numpy_helper.to_array(t) for t in folded.graph.initializer if t.name == conv.input[1]
    )
    (node,) = (node for node in made.graph.node if node.op_type == "Conv")
    (source,) = (n for n in made.graph.node if node.input[1] in n.output)
    assert source.op_type == "DequantizeLinear"
    codes, scales = (weights[name] for name in source.input[:2])
    assert (codes.dtype, codes.shape, scales.shape) == (np.int8, kernel.shape, (6,))
    assert np.abs(codes).max() <= 64
    step = scales.reshape(-1, 1, 1)
    assert np.abs(codes * step - kernel).max() <= step.max() / 2 + 1e-6


def test_the_first_and_the_last_product_may_stay_fp32() -> None:
    """Here there are but these."""
    assert "QuantizeLinear" in {node.op_type for node in quantised().graph.node}
    (wanted, _), (found, _) = (
        run(model, sequence=sequences()) for model in (letters(), quantised(inner=True))
    )
    many = np.abs(run(quantised(), sequence=sequences())[0] - wanted).max()
    assert np.abs(found - wanted).max() <= many


def test_inputs_outputs_and_metadata_stay() -> None:
    made = quantised()
    assert list(made.graph.input) == list(letters().graph.input)
    assert list(made.graph.output) == list(letters().graph.output)
    assert {p.key: p.value for p in made.metadata_props} == {"k": "v", PRECISION_KEY: "int8"}
    assert (made.producer_name, made.producer_version) == ("seqtile", "")
    assert made.SerializeToString() == quantised().SerializeToString()


def test_it_needs_nothing_but_onnx() -> None:
    """No operator of onnxruntime's own: any runtime takes it."""
    made = quantised()
    assert {node.domain for node in made.graph.node} == {""}
    assert Session(made.SerializeToString(), threads=1).outputs.keys() == {
        "probability",
        "embedding",
    }
