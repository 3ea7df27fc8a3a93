"""``seqtile doctor`` on machines with CUDA in every state of disrepair.

The machines are environments with small C libraries in NVIDIA's places (`fake_cuda`); the command
runs there as a user runs it.
"""

from __future__ import annotations

import ctypes
import shutil
from pathlib import Path

import pytest

from tests.python.fake_cuda import (
    CARD,
    ORT,
    Machine,
    compile_cuda,
    compile_driver,
    compile_management,
)

GPU = "pip install 'onnxruntime-gpu[cuda,cudnn]"


def has_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cuda")
    compile_cuda(folder)
    return folder


@pytest.fixture
def machine(tmp_path: Path, libraries: Path) -> Machine:
    """All there and right, but that no kernel can run."""
    made = Machine(tmp_path / "machine", libraries)
    compile_driver(made.driver)
    return made


def test_all_is_there_but_the_provider_fails(machine: Machine) -> None:
    compile_management(machine.driver)
    status, found = machine.doctor("cuda")
    assert status == 1
    assert found["cuda"]["faults"] == []
    assert found["devices"]["cpu"] == "ok"
    assert f"{found['model']}: cannot run on cuda:0: " in found["devices"]["cuda"]
    assert found["problems"] == [found["devices"]["cuda"]]
    assert list(found["nodes"]["cuda"]) == ["CPUExecutionProvider"]
    driver = found["cuda"]["driver"]
    assert (driver["cuda"], driver["code"]) == ("13.0", 0)
    assert driver["path"] == str(machine.driver / "libcuda.so.1")
    name, major, minor, memory, bus = CARD
    assert driver["devices"] == [
        {"index": 0, "name": name, "memory": memory, "capability": f"{major}.{minor}", "bus": bus}
    ]
    assert found["cuda"]["management"]["driver"] == "580.1.2"
    assert found["versions"]["nvidia-ml-py"]
    assert found["cuda"]["wheel"]["cuda"] == "13.0"
    assert found["cuda"]["preload"] == []
    libraries = {library["name"]: library for library in found["cuda"]["libraries"]}
    assert {n: x["version"] for n, x in libraries.items()} == {
        "libcublasLt.so.13": "13.10.7",
        "libcublas.so.13": "13.10.7",
        "libcurand.so.10": "10.11.12",
        "libcudart.so.13": "13.2",
        "libcudnn.so.9": "9.12.3",
        "libcufft.so.12": "12.12.12",
        "libnvrtc.so.13": "13.2",
    }
    assert libraries["libcudnn.so.9"]["source"] == "nvidia-cudnn-cu13 9.12.3.4"
    assert libraries["libcudart.so.13"]["source"] == "nvidia-cuda-runtime 13.2.1"
    # The same machine runs models on the CPU; asked for any device, it works and says what is not.
    status, found = machine.doctor("auto")
    assert (status, found["works"]) == (0, True)
    assert found["problems"] == [found["devices"]["cuda"]]
    status, found = machine.doctor("cpu")
    assert (status, found["problems"], found["mend"]) == (0, [], None)


@pytest.mark.skipif(has_driver(), reason="this machine has an NVIDIA driver")
def test_no_driver(machine: Machine) -> None:
    (machine.driver / "libcuda.so.1").unlink()
    status, found = machine.doctor("cuda")
    assert status == 1
    assert "needs an NVIDIA driver, but libcuda.so.1 is not on this machine" in found["problems"][0]
    assert "install the driver" in found["mend"]
    assert found["cuda"]["libraries"][0]["failure"] is None


def check(machine: Machine, device: str, problem: str, mend: str, **environment: str) -> None:
    status, found = machine.doctor(device, **environment)
    assert status == 1
    assert found["devices"]["cpu"] == "ok"
    (said,) = found["problems"]
    assert problem in said
    assert found["mend"] == mend
    assert found["devices"][device] == f"{said}: {mend}"
    # What `seqtile.load` would say: the same, as one line.
    code = f"from seqtile.machine.cuda import check_cuda; check_cuda({device!r})"
    result = machine.run("-c", code, **environment)
    assert result.stderr.splitlines()[-1].endswith(f"ProviderError: {said}: {mend}")
    assert result.stdout == ""


def test_a_driver_that_does_not_load(machine: Machine) -> None:
    (machine.driver / "libcuda.so.1").write_text("no library")
    check(
        machine,
        "cuda",
        f"its libcuda.so.1 does not load ({machine.driver}/libcuda.so.1: ",
        "install the driver again, or take the folder of that file out of LD_LIBRARY_PATH",
    )


@pytest.mark.parametrize(
    ("version", "words", "mend"),
    [
        (
            12040,
            "supports CUDA 12.4, ",
            f"pip uninstall -y onnxruntime-gpu nvidia-cudnn-cu13 && {GPU}==1.26.0'",
        ),
        (11080, "supports CUDA 11.8, ", "install driver 580 or later"),
    ],
)
def test_a_driver_too_old(machine: Machine, version: int, words: str, mend: str) -> None:
    compile_driver(machine.driver, version=version)
    check(machine, "cuda", words, mend)


def test_a_card_too_old(machine: Machine) -> None:
    compile_driver(machine.driver, cards=[("Tesla V100", 7, 0, 16 << 30, CARD[4])])
    mend = f"pip uninstall -y onnxruntime-gpu nvidia-cudnn-cu13 && {GPU}==1.26.0'"
    check(machine, "cuda:0", "cuda:0 Tesla V100 has compute capability 7.0, but ", mend)


@pytest.mark.parametrize(
    ("init", "words", "mend"),
    [
        (100, "CUDA_ERROR_NO_DEVICE", "see that nvidia-smi lists the card"),
        (802, "the fabric manager is not running", "sudo systemctl start nvidia-fabricmanager"),
        (803, "libcuda and the kernel module differ in version", "reboot, "),
        (12345, "CUDA error 12345", "see that nvidia-smi lists the card"),
    ],
)
def test_no_device(machine: Machine, init: int, words: str, mend: str) -> None:
    compile_driver(machine.driver, init=init)
    status, found = machine.doctor("cuda")
    assert status == 1
    assert f"cuInit answers {init}, " in found["problems"][0]
    assert words in found["problems"][0]
    assert found["mend"].startswith(mend)


def test_devices_that_are_hidden(machine: Machine) -> None:
    check(
        machine,
        "cuda",
        "no CUDA device: CUDA_VISIBLE_DEVICES='' hides all of them",
        "unset CUDA_VISIBLE_DEVICES",
        CUDA_VISIBLE_DEVICES="",
    )


@pytest.mark.parametrize("device", ["cuda:2", "cuda:10"])
def test_an_index_out_of_range(machine: Machine, device: str) -> None:
    compile_driver(machine.driver, cards=[CARD, CARD])
    cards = f"CUDA shows cuda:0 {CARD[0]}, cuda:1 {CARD[0]}"
    check(machine, device, f"device {device!r} is out of range, {cards}", "use device='cuda:1'")


def test_each_of_several_devices(machine: Machine) -> None:
    status, found = machine.doctor("cuda:0,1")
    assert status == 1
    assert list(found["devices"]) == ["cpu", "cuda:0", "cuda:1"]
    assert "device 'cuda:1' is out of range" in found["problems"][0]


def test_cudnn_was_never_installed(machine: Machine) -> None:
    machine.drop_distribution("nvidia-cudnn-cu13")
    for file in (machine.site / "nvidia" / "cudnn" / "lib").iterdir():
        file.unlink()
    check(machine, "cuda", f"{ORT} needs libcudnn.so.9, which did not load", f"{GPU}=={ORT}'")


@pytest.mark.parametrize("name", ["libcudnn.so.9", "libcudnn_ops.so.9"])
def test_a_file_of_cudnn_is_gone(machine: Machine, name: str) -> None:
    (machine.site / "nvidia" / "cudnn" / "lib" / name).unlink()
    mend = "pip install --force-reinstall --no-deps nvidia-cudnn-cu13==9.12.3.4"
    check(machine, "cuda", f"{ORT} needs libcudnn.so.9, which did not load (", mend)


def test_what_no_model_needs_may_lack(machine: Machine) -> None:
    (machine.site / "nvidia" / "cu13" / "lib" / "libcufft.so.12").unlink()
    status, found = machine.doctor("cuda")
    assert status == 1
    assert "cannot run on cuda:0: " in found["devices"]["cuda"]
    (fault,) = found["cuda"]["faults"]
    assert fault["fatal"] is False
    assert "libcufft.so.12 did not load" in fault["what"]


def test_nvidia_ml_py_may_lack(machine: Machine) -> None:
    """It is said, as a fact and not as a fault; the kernel module's version stands in."""
    (machine.site / "pynvml.py").unlink()
    _, found = machine.doctor("cuda")
    assert found["cuda"]["management"] == {
        "failure": "nvidia-ml-py is not installed: pip install nvidia-ml-py",
        "path": None,
        "driver": None,
        "devices": [],
    }
    assert found["cuda"]["faults"] == []
    assert "nvidia-ml-py is not installed" in machine.run("-m", "seqtile.cli", "doctor").stdout


def test_both_cudnn_wheels(machine: Machine) -> None:
    machine.add_distribution("nvidia-cudnn-cu12", "9.1", [])
    _, found = machine.doctor("cuda")
    both = "nvidia-cudnn-cu12 nvidia-cudnn-cu13"
    assert found["mend"] == (f"pip uninstall -y {both} && pip install nvidia-cudnn-cu13==9.12.3.4")


def test_both_onnxruntime_wheels(machine: Machine) -> None:
    machine.add_distribution("onnxruntime", ORT, [])
    gone = "pip uninstall -y onnxruntime onnxruntime-gpu && "
    check(machine, "cuda", "onnxruntime and onnxruntime-gpu are both installed", f"{gone}{GPU}'")
    status, found = machine.doctor("cpu")
    assert (status, found["mend"]) == (0, f"{gone}pip install onnxruntime")


def test_a_cpu_module_in_the_place_of_the_gpu_wheel(machine: Machine) -> None:
    (machine.site / "onnxruntime" / "capi" / "libonnxruntime_providers_cuda.so").unlink()
    mend = f"pip install --force-reinstall --no-deps onnxruntime-gpu=={ORT}"
    check(machine, "cuda", f"onnxruntime-gpu {ORT} is installed, but in its place lies", mend)


def test_a_cpu_wheel(machine: Machine) -> None:
    (machine.site / "onnxruntime" / "capi" / "libonnxruntime_providers_cuda.so").unlink()
    machine.drop_distribution("onnxruntime-gpu")
    machine.add_distribution("onnxruntime", ORT, [])
    mend = f"pip uninstall -y onnxruntime && {GPU}'"
    check(machine, "cuda", "device 'cuda' needs onnxruntime-gpu, but the CPU build of", mend)


@pytest.mark.parametrize(
    ("device", "mend"),
    [("cpu", "pip install onnxruntime"), ("cuda", f"{GPU}'"), ("auto", f"{GPU}'")],
)
def test_no_onnxruntime(machine: Machine, device: str, mend: str) -> None:
    machine.drop_distribution("onnxruntime-gpu")
    shutil.rmtree(machine.site / "onnxruntime")
    status, found = machine.doctor(device)
    assert (status, found["works"], found["devices"]) == (1, False, {})
    assert found["problems"] == ["no onnxruntime is installed"]
    assert found["mend"] == mend


def test_a_broken_onnxruntime(machine: Machine) -> None:
    (machine.site / "onnxruntime" / "capi" / "_pybind_state.py").unlink()
    status, found = machine.doctor("cpu")
    assert (status, found["works"], found["devices"]) == (1, False, {})
    assert "No module named 'onnxruntime.capi._pybind_state'" in found["problems"][0]
    assert found["mend"] == f"pip install --force-reinstall --no-deps onnxruntime-gpu=={ORT}"


def test_the_constraints_are_used_where_they_lie(machine: Machine) -> None:
    (machine.folder / ".ci").mkdir()
    (machine.folder / ".ci" / "constraints-gpu.txt").write_text("")
    machine.add_distribution("onnxruntime", ORT, [])
    _, found = machine.doctor("cuda")
    assert found["mend"].endswith(
        " && pip install -c .ci/constraints-gpu.txt 'onnxruntime-gpu[cuda,cudnn]'"
    )


def test_a_broken_provider_file(machine: Machine) -> None:
    provider = machine.site / "onnxruntime" / "capi" / "libonnxruntime_providers_cuda.so"
    provider.write_bytes(provider.read_bytes()[:70])
    mend = f"pip install --force-reinstall --no-deps onnxruntime-gpu=={ORT}"
    check(machine, "cuda", f"{provider} has 70 bytes, its wheel ", mend)


@pytest.mark.parametrize("start", ["abort()", "exit(3)"])
def test_a_driver_that_ends_the_process(machine: Machine, start: str) -> None:
    """The command survives what the driver does to the process that tries it."""
    compile_driver(machine.driver, start=start)
    status, found = machine.doctor("cuda")
    ends = {"abort()": "died of SIGABRT", "exit(3)": "ended with status 3"}[start]
    assert status == 1
    assert found["devices"]["cpu"] == "ok"
    assert found["problems"] == [f"the process that tried CUDA {ends}"]


def test_a_driver_that_prints(machine: Machine) -> None:
    compile_driver(machine.driver, start='puts("NVIDIA says hello")', version=11000)
    status, found = machine.doctor("cuda")
    assert (status, found["mend"]) == (1, "install driver 580 or later")
