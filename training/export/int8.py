"""A model in int8: what `half.plan` puts into fp16, with values of 8 bits and a scale per tensor.

Weights have a scale for each output channel, and 7 bits, because processors without VNNI add pairs
of products of 8 bits in 16 and would overflow.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from seqtile.models.certificate import PRECISION_KEY

from . import half

Arrays = Mapping[str, NDArray[Any]]


class _Rows(CalibrationDataReader):
    """Batches for the calibration."""

    def __init__(self, batches: Sequence[Arrays]) -> None:
        self._left = iter(batches)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        batch = next(self._left, None)
        return None if batch is None else dict(batch)


def to_int8(model: bytes, calibration: Sequence[Arrays], *, inner: bool = False) -> bytes:
    """The model with quantised products and steps between them (QDQ).

    Parameters
    ----------
    model
        Bytes of ``model.onnx``.
    calibration
        Batches of inputs of train, whose least and largest activations become the scales.
    inner
        Leave the first and the last product in fp32.
    """
    folded = half.fold_normalisations(onnx.load_model_from_string(model))
    for i, node in enumerate(folded.graph.node):  # the quantiser tells nodes by their names
        node.name = f"{node.op_type}_{i}"
    inside = half.plan(half.Graph.of(folded))
    chosen = [
        node
        for node in folded.graph.node
        if node.output[0] in inside and node.op_type not in ("Cast", "LSTM")
    ]
    if inner:
        products = [node for node in chosen if node.op_type in half.PRODUCTS]
        chosen = [node for node in chosen if node not in (products[0], products[-1])]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "model.onnx"
        quantize_static(
            folded,
            str(path),
            _Rows(calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=[node.name for node in chosen],
        )
        made = onnx.load(path)
    made.producer_name, made.producer_version = "seqtile", ""
    del made.metadata_props[:]
    made.metadata_props.extend(folded.metadata_props)
    made.metadata_props.add(key=PRECISION_KEY, value="int8")
    del made.graph.value_info[:]
    onnx.checker.check_model(made, full_check=True)
    return made.SerializeToString(deterministic=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the quantiser's advice, which goes to the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
