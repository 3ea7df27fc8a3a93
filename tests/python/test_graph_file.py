"""Weights outside of the graph: beside it alone, and in the checksum."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import seqtile
from seqtile import InputSpec, ModelIntegrityError, ModelNotFoundError
from seqtile.execution.graph_file import read_graph, refuse_outside
from seqtile.execution.session import Session
from seqtile.models.zoo import list_models, model_folder
from tests.python.command import check_refused
from tests.python.command import seqtile as run
from tests.python.models import counts_model
from tests.python.oracle import write_fasta


def tensors(message: Any) -> Iterator[onnx.TensorProto]:
    """Every tensor anywhere in a message."""
    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if isinstance(value, Message) else value:
                yield from tensors(part)


def moved_out(model: onnx.ModelProto, location: str = "m.onnx.data") -> bytes:
    """Move all numbers out of a model; what the file of that name is to hold."""
    content = b""
    for tensor in tensors(model):
        data = numpy_helper.to_array(tensor).tobytes()
        for name in ("float_data", "int32_data", "int64_data", "raw_data"):
            tensor.ClearField(name)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entries = {"location": location, "offset": len(content), "length": len(data)}
        for key, value in entries.items():
            entry = tensor.external_data.add()
            entry.key, entry.value = key, str(value)
        content += data
    return content


def number(value: float, name: str) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(value, np.float32), name)


def everywhere(path: Path) -> onnx.ModelProto:
    """Tensors in every place: y is the sum of the letters, and 1 + 20 + 300 + 4000."""
    info = helper.make_tensor_value_info
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node("Identity", [f"inner_{name}"], [f"{name}_out"])],
            name,
            [],
            [info(f"{name}_out", TensorProto.FLOAT, [])],
            [number(value, f"inner_{name}")],
        )
        for name, value in (("then", 20.0), ("else", 99.0))
    }
    function = helper.make_function(
        "local",
        "PlusThousands",
        ["a"],
        ["b"],
        [
            helper.make_node("Constant", [], ["c"], value=number(4000.0, "c")),
            helper.make_node("Add", ["a", "c"], ["b"]),
        ],
        [helper.make_opsetid("", 18)],
    )
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.array([100, 200], np.float32), "sparse"),
        numpy_helper.from_array(np.array([0, 3]), "places"),
        [5],
    )
    nodes = [
        helper.make_node("ReduceSum", ["onehot", "axes"], ["letters"], keepdims=0),
        helper.make_node("Add", ["letters", "one"], ["with_one"]),
        helper.make_node("If", ["true"], ["twenty"], **branches),
        helper.make_node("Add", ["with_one", "twenty"], ["with_twenty"]),
        helper.make_node("ReduceSum", ["sparse"], ["hundreds"], keepdims=0),
        helper.make_node("Add", ["with_twenty", "hundreds"], ["with_hundreds"]),
        helper.make_node("PlusThousands", ["with_hundreds"], ["y"], domain="local"),
    ]
    graph = helper.make_graph(
        nodes,
        "everywhere",
        [info("onehot", TensorProto.FLOAT, ["batch", 4, "length"])],
        [info("y", TensorProto.FLOAT, ["batch"])],
        [
            number(1.0, "one"),
            numpy_helper.from_array(np.array([1, 2]), "axes"),
            numpy_helper.from_array(np.array(True), "true"),
        ],
        sparse_initializer=[sparse],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)]
    model = helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return model


def answer(path: Path) -> float:
    predictor = seqtile.load(path, device="cpu", input=InputSpec())
    return float(predictor.predict(["ACGTAC"])["y"][0])


def test_weights_in_every_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From any folder, one of which holds other weights of that name."""
    path = tmp_path / "model" / "m.onnx"
    path.parent.mkdir()
    model = everywhere(path)
    assert answer(path) == 6 + 4321
    content = moved_out(model)
    assert len(list(tensors(model))) == 8
    path.write_bytes(model.SerializeToString())
    (path.parent / "m.onnx.data").write_bytes(content)
    (tmp_path / "m.onnx.data").write_bytes(bytes(len(content)))
    monkeypatch.chdir(tmp_path)
    assert answer(path) == 6 + 4321
    assert answer(Path("model/m.onnx")) == 6 + 4321
    monkeypatch.chdir(path.parent)
    assert answer(Path("m.onnx")) == 6 + 4321


def test_the_checksum_is_of_all_weights(tmp_path: Path) -> None:
    model = everywhere(tmp_path / "m.onnx")
    content = moved_out(model, "weights/w.bin")
    graph = model.SerializeToString()
    (tmp_path / "m.onnx").write_bytes(graph)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "w.bin").write_bytes(content)
    genome = write_fasta(tmp_path / "x.fa", {"a": "ACGTAC"})
    words = ["scan", tmp_path / "m.onnx", genome, "--input-layout", "NCL", "--window", "6"]
    run(*words, "-o", tmp_path / "a.bw")
    digest = hashlib.sha256(graph + content).hexdigest()
    assert read_graph(tmp_path / "m.onnx").sha256 == digest
    assert digest in (tmp_path / "a.bw.manifest.json").read_text()


def test_a_model_folder_has_weights_beside_its_graph(motif_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for file in motif_folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    model = onnx.load(folder / "model.onnx")
    content = moved_out(model, "model.onnx.data")
    graph = model.SerializeToString()
    (folder / "model.onnx").write_bytes(graph)
    (folder / "model.onnx.data").write_bytes(content)
    with pytest.raises(ModelIntegrityError, match="sha256 is"):
        seqtile.load(folder)
    contract = folder / "contract.json"
    before = hashlib.sha256((motif_folder / "model.onnx").read_bytes()).hexdigest()
    after = hashlib.sha256(graph + content).hexdigest()
    contract.write_text(contract.read_text().replace(before, after))
    assert seqtile.load(folder, device="cpu").sha256 == after
    (folder / "model.onnx.data").write_bytes(content[:-1] + b"\1")
    with pytest.raises(ModelIntegrityError, match="sha256 is"):
        seqtile.load(folder)


def outside(path: Path, location: str) -> bytes:
    model = onnx.load(counts_model(path))
    content = moved_out(model, location)
    path.write_bytes(model.SerializeToString())
    return content


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("../w.bin", "expected a file beside the model"),
        ("/etc/passwd", "expected a file beside the model"),
        ("sub/../../w.bin", "expected a file beside the model"),
        ("", "expected a file beside the model"),
        ("w\0.bin", "expected a file beside the model"),
        ("*/_ORT_MEM_ADDR_/*", "is not beside it"),
        ("missing.bin", "is not beside it: copy that file beside the model, or export it with"),
        ("link.bin", "a link to outside of the model's folder"),
        ("linked/w.bin", "a link to outside of the model's folder"),
        ("pipe.bin", "found a pipe or a device"),
        ("sub", "cannot be read"),
        ("short.bin", "which has 3: it is cut short or another model's"),
    ],
)
def test_a_file_that_is_not_read(location: str, words: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    path = folder / "m.onnx"
    content = outside(path, location)
    (tmp_path / "w.bin").write_bytes(content)
    (folder / "link.bin").symlink_to(tmp_path / "w.bin")
    (folder / "linked").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.bin")
    (folder / "short.bin").write_bytes(content[:3])
    with pytest.raises(ModelIntegrityError, match=re.escape(words)):
        read_graph(path)
    genome = write_fasta(tmp_path / "x.fa", {"a": "ACGTAC"})
    check_refused(run("predict", path, genome, "--input-layout", "NCL"), words)


def test_links_inside_of_the_folder(tmp_path: Path) -> None:
    content = outside(tmp_path / "m.onnx", "link.bin")
    (tmp_path / "w.bin").write_bytes(content)
    (tmp_path / "link.bin").symlink_to("w.bin")
    assert read_graph(tmp_path / "m.onnx").model


@pytest.mark.parametrize(
    ("key", "value"), [("offset", "-1"), ("offset", "x"), ("length", "-1"), ("length", "9" * 30)]
)
def test_an_impossible_place(key: str, value: str, tmp_path: Path) -> None:
    model = onnx.load(counts_model(tmp_path / "m.onnx"))
    content = moved_out(model)
    for entry in next(tensors(model)).external_data:
        if entry.key == key:
            entry.value = value
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "m.onnx.data").write_bytes(content)
    with pytest.raises(ModelIntegrityError, match="expected weights at bytes"):
        read_graph(tmp_path / "m.onnx")


def test_a_graph_alone_is_what_it_was() -> None:
    for name in list_models():
        path = model_folder(name) / "model.onnx"
        found = read_graph(path)
        assert found.model == path.read_bytes()
        assert found.sha256 == hashlib.sha256(found.model).hexdigest()


def test_a_session_opens_no_other_file(tmp_path: Path) -> None:
    content = outside(tmp_path / "m.onnx", "m.onnx.data")
    (tmp_path / "m.onnx.data").write_bytes(content)
    with pytest.raises(ModelIntegrityError, match="in another file: load the model by its path"):
        Session((tmp_path / "m.onnx").read_bytes())


def test_a_tensor_in_two_parts() -> None:
    """A parser merges them: one says that the numbers are outside, the other where."""
    place = TensorProto(external_data=[{"key": "location", "value": "w"}])  # type: ignore[arg-type]
    parts = [TensorProto(data_location=TensorProto.EXTERNAL), place]
    attribute = b"".join(onnx.AttributeProto(t=part).SerializeToString() for part in parts)
    node = b"\x2a" + bytes([len(attribute)]) + attribute
    graph = b"\x0a" + bytes([len(node)]) + node
    model = b"\x3a" + bytes([len(graph)]) + graph
    merged = onnx.ModelProto.FromString(model).graph.node[0].attribute[0].t
    assert merged.data_location == TensorProto.EXTERNAL
    assert merged.external_data[0].value == "w"
    with pytest.raises(ModelIntegrityError, match="in another file"):
        refuse_outside(model, "m")


def test_graphs_in_graphs_for_ever() -> None:
    graph = b"location"
    for _ in range(200):
        for tag in (0x32, 0x2A, 0x0A):
            size = len(graph)
            graph = bytes([tag, size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + graph
    size = len(graph)
    model = bytes([0x3A, size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + graph
    with pytest.raises(ModelIntegrityError, match="more than 100 messages in each other"):
        refuse_outside(model, "m")


@given(st.binary(max_size=200), st.integers(0, 400))
def test_a_damaged_graph_is_an_error(noise: bytes, place: int) -> None:
    """Or none, if nothing of it is about weights."""
    tensor = numpy_helper.from_array(np.zeros(3, np.float32), "location")
    model = helper.make_model(helper.make_graph([], "location", [], [], [tensor]))
    content = model.SerializeToString()
    with suppress(ModelIntegrityError):
        refuse_outside(content[:place] + noise + content[place:], "m.onnx")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_a_model_that_is_no_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    wanted = ModelNotFoundError if kind == "folder" else ModelIntegrityError
    with pytest.raises(wanted, match="m.onnx"):
        read_graph(path)


@pytest.mark.parametrize("name", ["model.onnx", "contract.json", "card.json", "golden.npz"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_folder_of_pipes(name: str, kind: str, motif_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for file in motif_folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / name).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to("/dev/zero")
    result = run("models", "verify", folder)
    assert result.returncode == 1
    assert f"{name}: expected a file, found a pipe or a device" in result.stdout


@pytest.mark.parametrize(
    ("golden", "words"),
    [
        ({"sequence": np.zeros((0, 12), np.uint8)}, "the golden arrays of 'sequence' are empty"),
        ({"probability": np.zeros(0, np.float32)}, "the golden arrays of 'probability' are empty"),
        ({"probability": np.zeros((9, 0))}, "the golden arrays of 'probability' are empty"),
        ({"probability": np.zeros(1, np.float32)}, "its golden array the shape (1,)"),
        ({"probability": np.full(1, "x")}, "its golden array the shape (1,) of <U1"),
    ],
)
def test_golden_arrays_that_prove_nothing(
    golden: dict[str, Any], words: str, motif_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for file in motif_folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    with np.load(folder / "golden.npz") as before:
        arrays = {**before, **golden}
    np.savez(folder / "golden.npz", **arrays)
    result = run("models", "verify", folder)
    assert result.returncode == 1
    assert words in result.stdout


@pytest.mark.parametrize("tolerance", ["1e308", "1", "-1e-9", "1e999", "Infinity", "NaN"])
def test_a_tolerance_that_proves_nothing(
    tolerance: str, motif_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for file in motif_folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    contract = folder / "contract.json"
    contract.write_text(contract.read_text().replace("{", f'{{"tolerance": {tolerance},', 1))
    result = run("models", "verify", folder)
    assert (result.returncode, result.stderr) == (1, "")
    assert "FAILED" in result.stdout
