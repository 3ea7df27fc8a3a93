"""Tiny ONNX models built by hand, so small that plain Python can say what they answer."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from seqtile.cards import METADATA_KEY, Metric, ModelCard, TensorSpec, Threshold

Axis = int | str

VALUES = {"A": 1, "C": 2, "G": 4, "T": 7, "U": 7}
KERNEL = (3, -1, 2)
SHORTEST = len(KERNEL)


def motif_score(letters: str) -> float:
    """What `motif_model` answers for one sequence; any letter but ACGTU counts 0."""
    values = [VALUES.get(letter, 0) for letter in letters.upper()]
    places = range(len(values) - SHORTEST + 1)
    best = max(sum(w * values[i + k] for k, w in enumerate(KERNEL)) for i in places)
    return 1 / (1 + math.exp(3 - best / 8))


def motif_model(path: Path, *, batch: Axis = "batch", length: Axis = "length") -> Path:
    """A model of raw letters, (batch, length) uint8, to ``probability`` (batch,).

    It depends on the order of the letters and on the strand; see `motif_score`.
    """
    table = np.zeros(256, np.float32)
    for letter, value in VALUES.items():
        table[[ord(letter), ord(letter.lower())]] = value
    constants = {
        "table": table,
        "channel": np.array([1], np.int64),
        "kernel": np.array(KERNEL, np.float32).reshape(1, 1, -1),
        "axes": np.array([1, 2], np.int64),
        "eight": np.array(8, np.float32),
        "three": np.array(3, np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["sequence"], ["codes"], to=TensorProto.INT32),
        helper.make_node("Gather", ["table", "codes"], ["values"]),
        helper.make_node("Unsqueeze", ["values", "channel"], ["signal"]),
        helper.make_node("Conv", ["signal", "kernel"], ["matches"]),
        helper.make_node("ReduceMax", ["matches", "axes"], ["best"], keepdims=0),
        helper.make_node("Div", ["best", "eight"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "three"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
    ]
    inputs = [helper.make_tensor_value_info("sequence", TensorProto.UINT8, [batch, length])]
    outputs = [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [batch])]
    return _save(path, nodes, inputs, outputs, constants)


def counts_model(
    path: Path,
    *,
    layout: str = "NCL",
    batch: Axis = "batch",
    length: Axis = "length",
    channels: Axis = 4,
    accessibility: bool = False,
) -> Path:
    """A third-party model of float one-hot letters, whose answers can be counted by hand.

    Outputs ``counts`` (batch, channels): how often each letter stands in the sequence; and
    ``total`` (batch, 1): their sum, plus the input ``accessibility`` (batch, 1) if there is one.
    """
    shape = [batch, channels, length] if layout == "NCL" else [batch, length, channels]
    constants = {
        "along": np.array([2 if layout == "NCL" else 1], np.int64),
        "across": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("ReduceSum", ["onehot", "along"], ["counts"], keepdims=0),
        helper.make_node("ReduceSum", ["counts", "across"], ["sum" if accessibility else "total"]),
    ]
    inputs = [helper.make_tensor_value_info("onehot", TensorProto.FLOAT, shape)]
    if accessibility:
        nodes.append(helper.make_node("Add", ["sum", "accessibility"], ["total"]))
        inputs.append(helper.make_tensor_value_info("accessibility", TensorProto.FLOAT, [batch, 1]))
    outputs = [
        helper.make_tensor_value_info("counts", TensorProto.FLOAT, [batch, channels]),
        helper.make_tensor_value_info("total", TensorProto.FLOAT, [batch, 1]),
    ]
    return _save(path, nodes, inputs, outputs, constants)


def rich_model(path: Path) -> Path:
    """A model with every kind of tensor, whose answers can be counted by hand.

    Letters of a multiple of three and ``accessibility`` (batch, 1) to ``totals`` (batch, 2): the
    letters known, and that plus the accessibility; ``tops`` (batch, 4, codons): which letters stand
    in each three; ``embedding`` (batch, 4): how often each letter stands in the sequence.
    """
    table = np.zeros((256, 4), np.float32)
    for i, letter in enumerate("ACGT"):
        table[[ord(letter), ord(letter.lower())], i] = 1
    constants = {
        "table": table,
        "along": np.array([2], np.int64),
        "across": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["sequence"], ["codes"], to=TensorProto.INT32),
        helper.make_node("Gather", ["table", "codes"], ["rows"]),
        helper.make_node("Transpose", ["rows"], ["onehot"], perm=[0, 2, 1]),
        helper.make_node("MaxPool", ["onehot"], ["tops"], kernel_shape=[3], strides=[3]),
        helper.make_node("ReduceSum", ["onehot", "along"], ["embedding"], keepdims=0),
        helper.make_node("ReduceSum", ["embedding", "across"], ["known"]),
        helper.make_node("Add", ["known", "accessibility"], ["sum"]),
        helper.make_node("Concat", ["known", "sum"], ["totals"], axis=1),
    ]
    inputs = [
        helper.make_tensor_value_info("sequence", TensorProto.UINT8, ["batch", "length"]),
        helper.make_tensor_value_info("accessibility", TensorProto.FLOAT, ["batch", 1]),
    ]
    outputs = [
        helper.make_tensor_value_info("totals", TensorProto.FLOAT, ["batch", 2]),
        helper.make_tensor_value_info("tops", TensorProto.FLOAT, ["batch", 4, "codons"]),
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 4]),
    ]
    return _save(path, nodes, inputs, outputs, constants)


def _save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: Mapping[str, NDArray[np.generic]],
) -> Path:
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path


CARD = ModelCard(
    name="tiny",
    version="1",
    task="binary",
    summary="Finds one motif.",
    architecture="one convolution",
    parameters=3,
    inputs=(
        TensorSpec(
            "sequence", ("batch", "length"), "uint8", "letters",
            alphabet="dna", unknown="zero", min_length=SHORTEST,
        ),
    ),
    outputs=(TensorSpec("probability", ("batch",), "float32", "that the motif is there"),),
    receptive_field=SHORTEST,
    threshold=Threshold(0.5, "by hand"),
    data={"name": "none"},
    training={"window": 12},
    metrics=(Metric("roc_auc", "test", 8, 0.75, (0.5, 1.0)),),
    baselines=(),
    limits=("a toy",),
    opset=18,
    tolerance=1e-5,
)  # fmt: skip

GOLDEN = ("ACGTACGTACGT", "TTTTTTTTTTTT", "acgtnACGTRYK")


RICH_CARD = dataclasses.replace(
    CARD,
    name="rich",
    task="regression",
    inputs=(
        TensorSpec(
            "sequence", ("batch", "length"), "uint8", "letters",
            alphabet="dna", unknown="raise", min_length=3, length_multiple=3,
        ),
        TensorSpec("accessibility", ("batch", 1), "float32", "a number"),
    ),
    outputs=(
        TensorSpec("totals", ("batch", 2), "float32", "sums", labels=("known", "sum")),
        TensorSpec("tops", ("batch", 4, "codons"), "float32", "letters", alphabet="dna"),
        TensorSpec("embedding", ("batch", 4), "float32", "counts"),
    ),
    threshold=None,
)  # fmt: skip


def model_folder(folder: Path) -> Path:
    """A model folder as export writes it: `motif_model` with card, metadata and golden outputs."""
    letters = np.frombuffer("".join(GOLDEN).encode(), np.uint8).reshape(len(GOLDEN), -1)
    answers = np.array([motif_score(s) for s in GOLDEN], np.float32)
    folder.mkdir()
    motif_model(folder / "model.onnx")
    return _finish(folder, CARD, sequence=letters, probability=answers)


def rich_folder(folder: Path) -> Path:
    """The model folder of `rich_model`."""
    folder.mkdir()
    rich_model(folder / "model.onnx")
    letters = np.frombuffer(b"AAACCCGGTTCA", np.uint8).reshape(2, 6)
    tops = np.array([[[1, 0], [0, 1], [0, 0], [0, 0]], [[0, 1], [0, 1], [1, 0], [1, 1]]])
    return _finish(
        folder, RICH_CARD, sequence=letters, accessibility=np.float32([[0.5], [1.5]]),
        totals=np.float32([[6, 6.5], [6, 7.5]]), tops=tops.astype(np.float32),
        embedding=np.float32([[3, 3, 0, 0], [1, 1, 2, 2]]),
    )  # fmt: skip


def _finish(folder: Path, card: ModelCard, **golden: NDArray[np.generic]) -> Path:
    path = folder / "model.onnx"
    model = onnx.load(path)
    model.metadata_props.add(key=METADATA_KEY, value=card.to_json(checksum=False))
    path.write_bytes(model.SerializeToString(deterministic=True))
    write_card(folder, dataclasses.replace(card, sha256=sha256(path)))
    np.savez(folder / "golden.npz", **golden)
    return folder


def write_card(folder: Path, card: ModelCard) -> None:
    (folder / "card.json").write_text(card.to_json(), encoding="utf-8")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
