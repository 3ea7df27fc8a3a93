"""Tiny ONNX models built by hand, so small that plain Python can say what they answer."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from msgspec import structs
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from seqtile.models.card import Metric, ModelCard
from seqtile.models.contract import METADATA_KEY, Input, Output, Segmentation, Threshold, json_text

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


def zeros_model(path: Path) -> Path:
    """The inputs and outputs of `motif_model`, and 0 for an answer."""
    constants = {"along": np.array([1], np.int64), "none": np.array(0, np.float32)}
    nodes = [
        helper.make_node("Cast", ["sequence"], ["codes"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["codes", "along"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "none"], ["probability"]),
    ]
    inputs = [helper.make_tensor_value_info("sequence", TensorProto.UINT8, ["batch", "length"])]
    outputs = [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["batch"])]
    return _save(path, nodes, inputs, outputs, constants)


def sums_model(path: Path, *, rows: Axis | None = "batch") -> Path:
    """A model whose rows depend on each other: each row of ``sum`` is the sum of all rows of ``x``.

    Both are float32, (rows, 3).
    """
    constants = {"rows": np.array([0], np.int64), "none": np.array(0, np.float32)}
    nodes = [
        helper.make_node("ReduceSum", ["x", "rows"], ["total"], keepdims=1),
        helper.make_node("Mul", ["x", "none"], ["zeros"]),
        helper.make_node("Add", ["zeros", "total"], ["sum"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 3])]
    outputs = [helper.make_tensor_value_info("sum", TensorProto.FLOAT, [rows, 3])]
    return _save(path, nodes, inputs, outputs, constants)


def over_the_batch_model(path: Path, axes: Sequence[int]) -> Path:
    """A third-party model that does not answer for each sequence: sums of one-hot along ``axes``.

    ``sum`` has the axes of (batch, 4, length) that are left.
    """
    constants = {"along": np.array(axes, np.int64)}
    nodes = [helper.make_node("ReduceSum", ["onehot", "along"], ["sum"], keepdims=0)]
    shape = ["batch", 4, "length"]
    left = [axis for i, axis in enumerate(shape) if i not in axes]
    inputs = [helper.make_tensor_value_info("onehot", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("sum", TensorProto.FLOAT, left)]
    return _save(path, nodes, inputs, outputs, constants)


def ratio_model(path: Path) -> Path:
    """A third-party model (batch, 4, length): the number of A by that of C, so inf and NaN too."""
    constants = {
        "along": np.array([2]),
        "a": np.array(0),
        "c": np.array(1),
    }
    nodes = [
        helper.make_node("ReduceSum", ["onehot", "along"], ["counts"], keepdims=0),
        helper.make_node("Gather", ["counts", "a"], ["as"], axis=1),
        helper.make_node("Gather", ["counts", "c"], ["cs"], axis=1),
        helper.make_node("Div", ["as", "cs"], ["y"]),
    ]
    return _save(path, nodes, *_one_number(), constants)


def endless_model(path: Path) -> Path:
    """A third-party model (batch, 4, length) whose loop adds 1 for ever."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["again"], ["again_out"]),
            helper.make_node("Add", ["value", "one"], ["value_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("again_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value_out", TensorProto.FLOAT, []),
        ],
    )
    nodes = [
        helper.make_node("ReduceSum", ["onehot"], ["first"], keepdims=0),
        helper.make_node("Loop", ["", "true", "first"], ["last"], body=body),
        helper.make_node("ReduceSum", ["onehot", "axes"], ["counts"], keepdims=0),
        helper.make_node("Add", ["counts", "last"], ["y"]),
    ]
    constants = {"true": np.array(True), "one": np.array(1, np.float32), "axes": np.array([1, 2])}
    return _save(path, nodes, *_one_number(), constants)


def long_node_model(path: Path) -> Path:
    """A third-party model (batch, 4, length) with one node that takes hours and little memory."""
    nodes = [
        helper.make_node("ReduceSum", ["onehot"], ["first"]),
        helper.make_node("Expand", ["first", "shape"], ["many"]),
        helper.make_node("Conv", ["many", "kernel"], ["pooled"]),
        helper.make_node("ReduceMax", ["pooled"], ["last"], keepdims=0),
        helper.make_node("ReduceSum", ["onehot", "axes"], ["counts"], keepdims=0),
        helper.make_node("Add", ["counts", "last"], ["y"]),
    ]
    constants = {
        "shape": np.array([1, 1, 3_000_000]),
        "kernel": np.ones((1, 1, 1_000_000), np.float32),
        "axes": np.array([1, 2]),
    }
    return _save(path, nodes, *_one_number(), constants)


def _one_number() -> tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]]:
    """The input ``onehot`` (batch, 4, length) and the output ``y`` (batch,)."""
    info = helper.make_tensor_value_info
    return (
        [info("onehot", TensorProto.FLOAT, ["batch", 4, "length"])],
        [info("y", TensorProto.FLOAT, ["batch"])],
    )


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
        Input(
            name="sequence",
            kind="letters",
            shape=("batch", "length"),
            dtype="uint8",
            meaning="letters",
            alphabet="dna",
            unknown="zero",
            min_length=SHORTEST,
        ),
    ),
    outputs=(
        Output(
            name="probability",
            kind="score",
            shape=("batch",),
            dtype="float32",
            meaning="that the motif is there",
        ),
    ),
    receptive_field=SHORTEST,
    threshold=Threshold(0.5, "by hand"),
    data={"name": "none"},
    training={"window": 12},
    training_window=12,
    metrics=(Metric("roc_auc", "test", 8, 0.75, (0.5, 1.0)),),
    baselines=(),
    limits=("a toy",),
    opset=18,
    tolerance=1e-5,
)

GOLDEN = ("ACGTACGTACGT", "TTTTTTTTTTTT", "acgtnACGTRYK")


RICH_CARD = structs.replace(
    CARD,
    name="rich",
    task="regression",
    inputs=(
        Input(
            name="sequence",
            kind="letters",
            shape=("batch", "length"),
            dtype="uint8",
            meaning="letters",
            alphabet="dna",
            unknown="raise",
            min_length=3,
            length_multiple=3,
        ),
        Input(
            name="accessibility",
            kind="number",
            shape=("batch", 1),
            dtype="float32",
            meaning="a number",
        ),
    ),
    outputs=(
        Output(
            name="totals",
            kind="score",
            shape=("batch", 2),
            dtype="float32",
            meaning="sums",
            labels=("known", "sum"),
        ),
        Output(
            name="tops",
            kind="letters",
            shape=("batch", 4, "codons"),
            dtype="float32",
            meaning="letters",
            alphabet="dna",
        ),
        Output(
            name="embedding",
            kind="embedding",
            shape=("batch", 4),
            dtype="float32",
            meaning="counts",
        ),
    ),
    threshold=None,
)


def model_folder(folder: Path) -> Path:
    """A model folder as export writes it: `motif_model` with card, metadata and golden outputs."""
    letters = np.frombuffer("".join(GOLDEN).encode(), np.uint8).reshape(len(GOLDEN), -1)
    answers = np.array([motif_score(s) for s in GOLDEN], np.float32)
    folder.mkdir()
    motif_model(folder / "model.onnx")
    return _finish(folder, CARD, sequence=letters, probability=answers)


IMAGE_CARD = structs.replace(
    CARD,
    name="cells",
    task="segmentation",
    summary="Bright pixels.",
    inputs=(
        Input(
            name="image",
            kind="image",
            shape=("batch", "height", "width"),
            dtype="uint8",
            meaning="grey levels",
            min_length=4,
            length_multiple=4,
        ),
    ),
    outputs=(
        Output(
            name="mask",
            kind="mask",
            shape=("batch", "height", "width"),
            dtype="float32",
            meaning="mean of 3 x 3 pixels",
        ),
        Output(
            name="marker",
            kind="mask",
            shape=("batch", "height", "width"),
            dtype="float32",
            meaning="the same, squared",
        ),
    ),
    receptive_field=3,
    threshold=None,
    segmentation=Segmentation(
        marker="marker",
        mask_threshold=0.5,
        marker_threshold=0.5,
        reach=4,
        min_area=2,
        percentiles=(0.0, 100.0),
    ),
)

COLOUR_CARD = structs.replace(
    CARD,
    name="colours",
    task="classification",
    summary="Mean of each channel.",
    inputs=(
        Input(name="image", kind="image", shape=("batch", 6, 5, 3), dtype="uint8", meaning="RGB"),
    ),
    outputs=(
        Output(
            name="share",
            kind="classes",
            shape=("batch", 3),
            dtype="float32",
            meaning="of each channel",
            labels=("red", "green", "blue"),
        ),
        Output(
            name="embedding", kind="embedding", shape=("batch", 3), dtype="float32", meaning="means"
        ),
    ),
    threshold=None,
)


def image_model(path: Path, *, counts: bool = False) -> Path:
    """Grey levels (batch, height, width) to ``mask``: means of 3 x 3 pixels, 0 outside, of 0..1.

    ``marker`` is its square; or, where it ``counts``, the batch's number of images / 100.
    """
    constants = {
        "hundred": np.array(100, np.float32),
        "channel": np.array([1], np.int64),
        "kernel": np.full((1, 1, 3, 3), 1 / (9 * 255), np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["float", "channel"], ["grey"]),
        helper.make_node("Conv", ["grey", "kernel"], ["mean"], pads=[1, 1, 1, 1]),
        helper.make_node("Squeeze", ["mean", "channel"], ["mask"]),
        helper.make_node("Mul", ["mask", "mask"], ["square"]),
    ]
    if counts:
        nodes += [
            helper.make_node("Shape", ["image"], ["shape"]),
            helper.make_node("Shape", ["image"], ["batch"], start=0, end=1),
            helper.make_node("Cast", ["batch"], ["number"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["number", "hundred"], ["share"]),
            helper.make_node("Expand", ["share", "shape"], ["marker"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["square"], ["marker"]))
    axes = ["batch", "height", "width"]
    inputs = [helper.make_tensor_value_info("image", TensorProto.UINT8, axes)]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, axes) for name in ("mask", "marker")
    ]
    return _save(path, nodes, inputs, outputs, constants)


def image_mean(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What `image_model` answers for one image."""
    padded = np.pad(image.astype(np.float64), 1)
    height, width = image.shape
    parts = [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return (np.sum(parts, 0) / 9 / 255).astype(np.float32)


def image_folder(folder: Path, *, counts: bool = False) -> Path:
    """The model folder of `image_model`."""
    folder.mkdir()
    image_model(folder / "model.onnx", counts=counts)
    images = np.random.default_rng(1).integers(0, 256, (8, 8, 12), np.uint8)
    mask = np.stack([image_mean(image) for image in images])
    marker = np.full_like(mask, len(images) / 100) if counts else mask * mask
    return _finish(folder, IMAGE_CARD, image=images, mask=mask, marker=marker)


def colour_folder(folder: Path) -> Path:
    """A model folder: RGB (batch, 6, 5, 3) to ``share`` of each channel; embedding: their means."""
    folder.mkdir()
    constants = {
        "places": np.array([1, 2], np.int64),
        "across": np.array([1], np.int64),
        "one": np.array(1, np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "places"], ["embedding"], keepdims=0),
        helper.make_node("ReduceSum", ["embedding", "across"], ["total"]),
        helper.make_node("Max", ["total", "one"], ["at_least"]),
        helper.make_node("Div", ["embedding", "at_least"], ["share"]),
    ]
    inputs = [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 6, 5, 3])]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3])
        for name in ("share", "embedding")
    ]
    _save(folder / "model.onnx", nodes, inputs, outputs, constants)
    images = np.random.default_rng(2).integers(1, 256, (8, 6, 5, 3), np.uint8)
    means = images.mean((1, 2)).astype(np.float32)
    share = means / means.sum(1, keepdims=True)
    return _finish(folder, COLOUR_CARD, image=images, share=share, embedding=means)


def rich_folder(folder: Path) -> Path:
    """The model folder of `rich_model`."""
    folder.mkdir()
    rich_model(folder / "model.onnx")
    letters = np.frombuffer(b"AAACCCGGTTCA", np.uint8).reshape(2, 6)
    tops = np.array([[[1, 0], [0, 1], [0, 0], [0, 0]], [[0, 1], [0, 1], [1, 0], [1, 1]]])
    return _finish(
        folder,
        RICH_CARD,
        sequence=letters,
        accessibility=np.float32([[0.5], [1.5]]),
        totals=np.float32([[6, 6.5], [6, 7.5]]),
        tops=tops.astype(np.float32),
        embedding=np.float32([[3, 3, 0, 0], [1, 1, 2, 2]]),
    )


def _finish(folder: Path, card: ModelCard, **golden: NDArray[np.generic]) -> Path:
    path = folder / "model.onnx"
    model = onnx.load(path)
    text = card.contract().to_json(checksum=False)
    model.metadata_props.add(key=METADATA_KEY, value=text)
    path.write_bytes(model.SerializeToString(deterministic=True))
    write_card(folder, structs.replace(card, sha256=sha256(path)))
    np.savez(folder / "golden.npz", **golden)
    return folder


def write_card(folder: Path, card: ModelCard) -> None:
    """Contract and card of a model folder."""
    (folder / "contract.json").write_text(card.contract().to_json(), encoding="utf-8")
    (folder / "card.json").write_text(json_text(card.words()), encoding="utf-8")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
