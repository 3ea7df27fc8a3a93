"""``seqtile doctor`` on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import seqtile
from seqtile import _core, doctor
from seqtile.doctor import diagnose
from seqtile.errors import ProviderError
from seqtile.execution.node_providers import nodes_by_provider
from seqtile.machine.cuda import check_cuda
from seqtile.machine.threads import thread_count
from seqtile.models.zoo import list_models, model_folder
from tests.python.command import check_refused
from tests.python.command import seqtile as run

# this machine


@pytest.fixture
def no_cuda() -> str:
    try:
        check_cuda()
    except ProviderError as error:
        return str(error)
    pytest.skip("this machine has CUDA")


def test_the_cpu_works() -> None:
    result = run("doctor", "--device", "cpu")
    assert (result.returncode, result.stderr) == (0, "")
    found = dict(line.split(maxsplit=1) for line in result.stdout.splitlines() if line[:2] == "  ")
    assert found["version"].startswith(f"{seqtile.__version__}, ")
    assert f"numpy {np.__version__}, " in found["packages"]
    assert found["kernels"] == _core.isa()
    assert found["cpu"].startswith("ok; nodes of ")


def test_json() -> None:
    result = run("doctor", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    content = json.loads(result.stdout)
    assert content["works"] is True
    assert content["devices"]["cpu"] == "ok"
    assert content["threads"] == thread_count()
    assert content["processor"]["isa"] == _core.isa()
    assert content["model"] in list_models()
    assert list(content["nodes"]["cpu"]) == ["CPUExecutionProvider"]


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_what_cuda_lacks_here(no_cuda: str, device: str) -> None:
    result = run("doctor", "--device", device, "--json")
    assert (result.returncode, result.stderr) == (1, "")
    content = json.loads(result.stdout)
    assert content["works"] is False
    assert content["devices"] == {"cpu": "ok", device: no_cuda}
    assert no_cuda.startswith(content["problems"][0])
    lines = run("doctor", "--device", device).stdout.splitlines()
    assert f"problem     {content['problems'][0]}" in lines
    assert no_cuda.endswith(f": {content['mend']}") or "driver" in no_cuda
    assert f"  {content['mend']}" in lines or f"to mend it  {content['mend']}" in lines


def test_both_wheels_of_opencv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("opencv_python", "opencv_python_headless"):
        folder = tmp_path / f"{name}-5.0.dist-info"
        folder.mkdir()
        text = f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 5.0\n"
        (folder / "METADATA").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert diagnose("cpu").mend == (
        "pip uninstall -y opencv-python opencv-python-headless && "
        "pip install opencv-python-headless"
    )


def test_a_package_without_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "list_models", list)
    found = diagnose("cpu")
    assert not found.works
    assert found.mend == "pip install --force-reinstall seqtile"


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "cuda:", "cuda:0,0", "cuda:1,"])
def test_an_unknown_device(device: str) -> None:
    check_refused(run("doctor", "--device", device), "device ", f"{device!r}")


def test_nodes_are_those_of_the_graph(tmp_path: Path) -> None:
    """One node, so one on the CPU: the count is of nodes, not of events or of calls."""
    import onnx
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
    )
    opset = helper.make_opsetid("", 18)
    onnx.save(
        helper.make_model(graph, opset_imports=[opset], ir_version=10), tmp_path / "model.onnx"
    )
    np.savez(tmp_path / "golden.npz", x=np.float32([-1, 1]), y=np.float32([0, 1]))
    assert nodes_by_provider(tmp_path, "cpu") == {"CPUExecutionProvider": 1}
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "golden.npz"}


def test_nodes_of_a_shipped_model() -> None:
    counts = nodes_by_provider(model_folder("jund-cnn-seq"), "cpu")
    assert list(counts) == ["CPUExecutionProvider"]
    assert counts["CPUExecutionProvider"] > 1


def test_the_reason_in_the_log() -> None:
    """onnxruntime-gpu 1.31.1 on a machine whose libcuda lacks a function."""
    log = (
        "\x1b[1;31m2026-11-21 17:24:48.870 [E:onnxruntime:Default, provider_bridge_ort.cc:2458 "
        "operator()] /onnxruntime_src/provider_bridge_ort.cc:2043 ProviderLibrary::Get() "
        "[ONNXRuntimeError] : 1 : FAIL : Failed to load library x.so with error: x.so: undefined "
        "symbol: cuTensorMapEncodeTiled\n\x1b[m\n2026-11-21 [W:onnxruntime:Default, y] Failed\n"
    )
    assert doctor._logged(log) == (
        "Failed to load library x.so with error: x.so: undefined symbol: cuTensorMapEncodeTiled"
    )
    assert doctor._logged("  warnings.warn(\n") == ""
