"""The torch engine: the shipped models held to onnxruntime, its errors, what it leaves alone."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import seqtile
from seqtile.errors import (
    ModelIntegrityError,
    ProviderError,
    ShapeError,
    UnsupportedOperatorError,
)
from seqtile.execution.session import Session
from seqtile.models import zoo
from tests.python.models import GOLDEN, motif_model, motif_score, rich_model

pytest.importorskip("onnx", reason="the torch engine needs onnx")
torch = pytest.importorskip("torch", reason="the torch engine needs torch")

from onnx import TensorProto, helper  # noqa: E402

from seqtile.torch_engine.engine import TorchEngine, load_torch  # noqa: E402

LETTERS = np.frombuffer("".join(GOLDEN).encode(), np.uint8).reshape(len(GOLDEN), -1)
Feeds = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def motif(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return motif_model(tmp_path_factory.mktemp("models") / "motif.onnx").read_bytes()


# the shipped models


def other_shapes(golden: Feeds, card: seqtile.ModelCard) -> list[Feeds]:
    """Golden inputs in other batches, and where the model allows in other lengths or sizes."""
    names = [tensor.name for tensor in card.inputs]
    first = card.inputs[0]
    cases = [{name: golden[name][:count] for name in names} for count in (1, 3)]
    free = [axis for axis, size in enumerate(first.shape) if axis and isinstance(size, str)]
    for times, fewer in ((2, 0), (1, 2)):
        if free:
            array = golden[first.name][:2]
            for axis in free:
                array = np.concatenate([array] * times, axis)
                less = fewer * (axis + 1) * first.length_multiple
                array = array.take(range(array.shape[axis] - less), axis)
            cases.append({first.name: array})
    return cases


@pytest.mark.parametrize("name", seqtile.list_models())
def test_shipped_models(name: str) -> None:
    """Golden outputs, and onnxruntime's on other shapes, within the card's tolerance."""
    folder = zoo.model_folder(name)
    card = seqtile.card(name)
    model = (folder / "model.onnx").read_bytes()
    engine = load_torch(model, threads=1, source=name)
    session = Session(model, threads=1)
    with np.load(folder / "golden.npz") as file:
        golden = dict(file)
    assert list(engine.inputs) == [tensor.name for tensor in card.inputs]
    assert engine.outputs == list(session.outputs)
    feeds = {tensor: golden[tensor] for tensor in engine.inputs}
    for output, found in zip(engine.outputs, engine(feeds), strict=True):
        np.testing.assert_allclose(found, golden[output], atol=card.tolerance, rtol=0, strict=True)
    for feeds in other_shapes(golden, card):
        for expected, found in zip(session.run(feeds), engine(feeds), strict=True):
            assert found.dtype == np.float32
            np.testing.assert_allclose(
                found, expected, atol=card.tolerance, rtol=card.tolerance, strict=True
            )


@pytest.mark.parametrize("channels_last", [True, False])
def test_memory_formats_agree(channels_last: bool) -> None:
    folder = zoo.model_folder("mnist-convnet")
    model = (folder / "model.onnx").read_bytes()
    with np.load(folder / "golden.npz") as golden:
        engine = load_torch(model, threads=1, channels_last=channels_last)
        assert engine.describe()["channels_last"] is channels_last
        found, _ = engine({"image": golden["image"]})
        np.testing.assert_allclose(found, golden["probability"], atol=1e-5)


# compiled


def test_compile(motif: bytes) -> None:
    """Counted: a graph of the whole model for each shape, and none made twice."""
    try:
        engine = load_torch(motif, threads=1, compile=True)
    except ProviderError as error:
        pytest.skip(str(error))
    assert engine.describe()["compiled_graphs"] == 0
    for count, graphs in ((3, 1), (2, 2), (3, 2)):
        (found,) = engine({"sequence": LETTERS[:count]})
        np.testing.assert_allclose(found, [motif_score(s) for s in GOLDEN[:count]], atol=1e-6)
        assert engine.describe()["compiled_graphs"] == graphs
    report = engine.describe()
    assert (report["engine"], report["compile"]["fullgraph"]) == ("torch-compile", True)


def test_no_compiler(motif: bytes) -> None:
    load_torch(motif)  # needs none
    config = pytest.importorskip("torch._inductor.config")
    with (
        config.patch({"cpp.cxx": (None, "no-such-compiler")}),
        pytest.raises(ProviderError, match=r"C\+\+ compiler, and no-such-compiler is not on PATH"),
    ):
        load_torch(motif, compile=True)


def test_what_cannot_be_compiled_whole_is_an_error(
    motif: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph break raises; it never runs the rest eagerly under the name of compiled."""

    def breaks(x: Any) -> Any:
        torch._dynamo.graph_break()
        return torch.sigmoid(x)

    monkeypatch.setitem(
        sys.modules["seqtile.torch_engine.node"].OPERATORS,
        "Sigmoid",
        lambda node, x: node.call(breaks, node.tensor(x)),
    )
    try:
        engine = load_torch(motif, threads=1, compile=True)
    except ProviderError as error:
        pytest.skip(str(error))
    with pytest.raises(ProviderError, match="^model: torch.compile failed on cpu: .*graph.break"):
        engine({"sequence": LETTERS})
    assert engine.compiled == 0


def test_compiling_switched_off_is_an_error(motif: bytes) -> None:
    """The environment variable makes torch.compile give back what it got."""
    with torch._dynamo.config.patch(disable=True):
        try:
            engine = load_torch(motif, threads=1, compile=True)
        except ProviderError as error:
            pytest.skip(str(error))
        with pytest.raises(ProviderError, match="torch.compile failed on cpu: .*compiled"):
            engine({"sequence": LETTERS})


# inputs and outputs


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    model = rich_model(tmp_path / "rich.onnx").read_bytes()
    feeds = {"sequence": LETTERS, "accessibility": np.array([[0.5], [1], [2]], np.float32)}
    engine = load_torch(model, threads=1)
    assert engine.outputs == ["totals", "tops", "embedding"]
    for found, expected in zip(engine(feeds), Session(model).run(feeds), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_arrays_as_they_come(motif: bytes) -> None:
    """Read-only and reversed views are read; the caller's arrays stay and answers are its own."""
    engine = load_torch(motif, threads=1)
    assert not LETTERS.flags.writeable
    (straight,) = engine({"sequence": LETTERS})
    (turned,) = engine({"sequence": LETTERS[::-1, ::-1]})
    np.testing.assert_allclose(turned, [motif_score(s[::-1]) for s in GOLDEN[::-1]], atol=1e-6)
    np.testing.assert_allclose(straight, [motif_score(s) for s in GOLDEN], atol=1e-6)
    straight[:] = 0
    assert engine({"sequence": LETTERS})[0].all()


def test_answers_share_no_memory() -> None:
    """Neither with the inputs, where a graph passes one through, nor with a constant of it."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "yc"]
    nodes = [
        helper.make_node("Identity", ["x"], ["y"]),
        helper.make_node("Constant", [], ["c"], value_floats=[1.0, 2.0]),
    ]
    graph = helper.make_graph(nodes, "tiny", [x], outputs)
    opsets = [helper.make_opsetid("", 18)]
    content = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    engine, given = load_torch(content), np.array([3, 4], np.float32)
    for _ in range(2):
        for found, expected in zip(engine({"x": given}), ([3, 4], [1, 2]), strict=True):
            np.testing.assert_array_equal(found, np.float32(expected))
            found[:] = 0
    assert given.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("feeds", "why"),
    [
        ({}, r"expected the inputs \['sequence'\], found \[\]"),
        ({"sequence": LETTERS, "x": LETTERS}, r"found \['sequence', 'x'\]"),
        ({"sequence": LETTERS[0]}, r"must be uint8 \(\?, \?\), not uint8 \(12\)"),
        ({"sequence": LETTERS.astype("i4")}, r"must be uint8 \(\?, \?\), not int32 \(3, 12\)"),
    ],
)
def test_wrong_inputs(feeds: Feeds, why: str, motif: bytes) -> None:
    with pytest.raises(ShapeError, match=f"^tiny: .*{why}$"):
        load_torch(motif, source="tiny")(feeds)


def test_a_length_that_is_not_the_models(tmp_path: Path) -> None:
    model = motif_model(tmp_path / "m.onnx", length=11).read_bytes()
    with pytest.raises(ShapeError, match=r"must be uint8 \(\?, 11\), not uint8 \(3, 12\)"):
        load_torch(model)({"sequence": LETTERS})


def test_a_length_too_short_for_torch(motif: bytes) -> None:
    with pytest.raises(ProviderError, match="^model: torch failed on cpu: .*ernel size"):
        load_torch(motif)({"sequence": LETTERS[:, :2]})


# what it asks of the process


def test_threads_are_set_at_each_call(motif: bytes) -> None:
    before = torch.get_num_threads()
    try:
        one, two = (load_torch(motif, threads=threads) for threads in (1, 2))
        for engine in (one, two, one):
            engine({"sequence": LETTERS})
            assert torch.get_num_threads() == engine.threads
        other = threading.Thread(target=two, args=({"sequence": LETTERS},))
        other.start()
        other.join()
        one({"sequence": LETTERS})
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("before", ["tf32", "ieee"])
@pytest.mark.parametrize("allowed", [True, False])
def test_tf32_is_put_back(allowed: bool, before: str) -> None:
    from seqtile.torch_engine.engine import _tf32

    settings = [torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn]
    usual = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = before
        with contextlib.suppress(KeyError), _tf32(allowed):
            within = [setting.fp32_precision for setting in settings]
            raise KeyError
        assert within == ["tf32" if allowed else "ieee"] * 3
        assert [setting.fp32_precision for setting in settings] == [before] * 3
    finally:
        for setting, value in zip(settings, usual, strict=True):
            setting.fp32_precision = value


# errors of loading


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x09"])
def test_no_model(content: bytes) -> None:
    with pytest.raises(ModelIntegrityError, match="^name: not a valid ONNX model: "):
        load_torch(content, source="name")


def test_an_opset_not_known(motif: bytes) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_model_from_string(motif)
    model.opset_import[0].version = 17
    with pytest.raises(
        UnsupportedOperatorError, match="^name: opset '17': .*: it knows 18 to 23; "
    ):
        load_torch(model.SerializeToString(), source="name")


@pytest.mark.parametrize(
    ("options", "error", "why"),
    [
        ({"device": "gpu"}, ValueError, "device must be 'cpu', 'cuda' or 'cuda:N', not 'gpu'"),
        ({"precision": "fp8"}, ValueError, "one of fp32, tf32, fp16, not 'fp8'"),
        ({"threads": 0}, ValueError, "threads must be at least 1, not 0"),
        ({"precision": "fp16"}, ProviderError, "'fp16' of the torch engine needs device='cuda'"),
    ],
)
def test_wrong_options(
    options: dict[str, Any], error: type[Exception], why: str, motif: bytes
) -> None:
    with pytest.raises(error, match=why):
        load_torch(motif, **options)


def test_no_cuda(motif: bytes) -> None:
    if torch.cuda.is_available():
        with pytest.raises(ProviderError, match="this machine has . CUDA devices"):
            load_torch(motif, device="cuda:99")
    else:
        with pytest.raises(
            ProviderError, match="'cuda' of the torch engine: .* finds no CUDA here"
        ):
            load_torch(motif, device="cuda")


def test_half_precision_weights_keep_float32_outside(tmp_path: Path) -> None:
    """The module of fp16, which engines have on CUDA alone, on the CPU."""
    from seqtile.torch_engine.graph import build_module, read_model

    content = rich_model(tmp_path / "rich.onnx").read_bytes()
    module = build_module(
        read_model(content, source="rich"), source="rich", float_dtype=torch.float16
    )
    assert {weight.dtype for weight in module.parameters()} == {torch.float16}
    feeds = {"sequence": LETTERS, "accessibility": np.array([[0.5], [1], [2]], np.float32)}
    found = module(*(torch.from_numpy(array.copy()) for array in feeds.values()))
    for mine, expected in zip(found, Session(content).run(feeds), strict=True):
        assert mine.dtype == torch.float32
        np.testing.assert_array_equal(mine.numpy(), expected)  # small numbers, exact in both


def test_without_torch() -> None:
    """The error names the mend; and torch_engine is all that needs torch."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import seqtile.models.predictor\n"
        "try: import seqtile.torch_engine.engine\n"
        "except ImportError as error: print(error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith(
        "the torch engine needs torch and onnx: pip install torch onnx,"
    )


def test_describe(motif: bytes) -> None:
    engine = load_torch(motif, threads=1)
    assert isinstance(engine, TorchEngine)
    report = json.loads(json.dumps(engine.describe()))
    assert report["engine"] == "torch"
    assert report["torch"] == torch.__version__
    assert (report["compiled_graphs"], report["compile"]) == (None, {})
    assert (report["device"], report["precision"], report["threads"]) == ("cpu", "fp32", 1)
