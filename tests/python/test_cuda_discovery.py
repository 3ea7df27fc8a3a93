"""What is read of drivers and libraries, against libraries compiled here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seqtile.machine.cuda import cuda_indices
from seqtile.machine.nvml import Meter
from tests.python.fake_cuda import (
    CARD,
    Machine,
    compile_cuda,
    compile_driver,
    compile_library,
    compile_management,
)


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cuda")
    compile_cuda(folder)
    return folder


def ask(folder: Path, code: str, **environment: str) -> Any:
    """The JSON that ``code`` prints in a process that finds its libraries in ``folder``."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("CUDA_")}
    result = subprocess.run(
        [sys.executable, "-c", f"import json\n{code}"],
        capture_output=True,
        text=True,
        timeout=60,
        env=clean | {"LD_LIBRARY_PATH": str(folder)} | environment,
    )
    assert result.stderr == ""
    return json.loads(result.stdout)


# names of devices


@pytest.mark.parametrize(
    ("device", "indices"),
    [("cuda", (0,)), ("cuda:0", (0,)), ("cuda:12", (12,)), ("cuda:3,0,1", (3, 0, 1))],
)
def test_indices(device: str, indices: tuple[int, ...]) -> None:
    assert cuda_indices(device) == indices


@pytest.mark.parametrize("device", ["cpu", "auto", "cuda:", "cuda:1,1"])
def test_no_cuda_device(device: str) -> None:
    with pytest.raises(ValueError, match=f"^device .*{device}"):
        cuda_indices(device)


# the driver

DRIVER = "from seqtile.machine.driver import *\nfrom dataclasses import asdict\n"


def test_the_driver(tmp_path: Path) -> None:
    cards = [CARD, ("Second", 8, 6, 24 << 30, "0000:AF:00.0")]
    compile_driver(tmp_path, version=12080, cards=cards)
    found = ask(tmp_path, f"{DRIVER}print(json.dumps(asdict(read_driver())))")
    assert (found["cuda"], found["code"], found["failure"]) == ("12.8", 0, None)
    assert found["path"] == str(tmp_path / "libcuda.so.1")
    assert [gpu["index"] for gpu in found["devices"]] == [0, 1]
    assert [gpu["name"] for gpu in found["devices"]] == [CARD[0], "Second"]
    assert [gpu["capability"] for gpu in found["devices"]] == ["9.0", "8.6"]
    assert [gpu["memory"] for gpu in found["devices"]] == [80 << 30, 24 << 30]
    assert found["visible"] is None


def test_a_library_that_is_no_driver(tmp_path: Path) -> None:
    compile_library(tmp_path, "libcuda.so.1", "int other(void) { return 0; }")
    found = ask(tmp_path, f"{DRIVER}print(json.dumps(asdict(read_driver())))")
    assert found["code"] is None
    assert "is no NVIDIA driver: " in found["failure"]
    assert "cuInit" in found["failure"]


# libraries


def test_where_libraries_come_from(tmp_path: Path, libraries: Path) -> None:
    """Those of a folder on LD_LIBRARY_PATH, where no wheel has them."""
    machine = Machine(tmp_path / "machine", libraries)
    compile_driver(machine.driver)
    for name in ("cublas", "cuda-runtime", "curand", "cufft", "cuda-nvrtc"):
        machine.drop_distribution(f"nvidia-{name}")
    (machine.site / "nvidia" / "cu13").rename(tmp_path / "toolkit")
    (tmp_path / "cuda-13").symlink_to(tmp_path / "toolkit")
    folders = f"{machine.driver}:{tmp_path}/cuda-13/lib/"
    code = (
        "import json; from seqtile.machine.cuda import examine_cuda;"
        "print(json.dumps(examine_cuda().to_dict()))"
    )
    result = machine.run("-c", code, LD_LIBRARY_PATH=folders)
    assert result.stderr == ""
    found = {x["name"]: x for x in json.loads(result.stdout)["libraries"]}
    assert found["libcublas.so.13"]["source"] == "LD_LIBRARY_PATH"
    assert found["libcublas.so.13"]["path"] == f"{tmp_path}/cuda-13/lib/libcublas.so.13"
    assert found["libcudnn.so.9"]["source"] == "nvidia-cudnn-cu13 9.12.3.4"
    # Without the folder: not at all, or those of this machine's own toolkit.
    state = json.loads(machine.run("-c", code).stdout)
    for x in state["libraries"]:
        if x["name"] != "libcudnn.so.9":
            assert x["failure"] or x["source"] in ("CUDA toolkit", "system")
        if x["failure"] and x["use"] == "always":
            assert any(x["name"] in line for line in state["preload"])


def test_a_build_without_build_information(tmp_path: Path, libraries: Path) -> None:
    """As other packagers ship it: what it links to tells the CUDA version."""
    machine = Machine(tmp_path / "machine", libraries)
    machine.drop_distribution("onnxruntime-gpu")
    machine.add_distribution("onnxruntime", "1.31.1", [])
    (machine.site / "onnxruntime" / "capi" / "build_and_package_info.py").unlink()
    code = (
        "import json; from dataclasses import asdict; from seqtile.machine.cuda_libraries import *;"
        "print(json.dumps(asdict(read_wheel())))"
    )
    found = json.loads(machine.run("-c", code).stdout)
    assert (found["module"], found["cuda"]) == ("onnxruntime", "13")
    (machine.site / "onnxruntime" / "capi" / "libonnxruntime_providers_cuda.so").write_bytes(b"")
    assert json.loads(machine.run("-c", code).stdout)["cuda"] is None


# the meter

METER = "from seqtile.machine.nvml import *\nimport time\n"


def test_the_meter_reads_the_card_that_cuda_means(tmp_path: Path) -> None:
    """NVML counts in another order than CUDA: its card 0 is another one here."""
    compile_driver(tmp_path)
    compile_management(tmp_path)
    code = """
m = Meter(0)
first = m.energy()
print(json.dumps([m.why, m.name, m.utilization(), m.utilization(), m.power(), m.memory(),
                  m.memory_total(), m.energy() - first]))
"""
    why, name, *readings = ask(tmp_path, METER + code)
    assert (why, name) == (None, CARD[0])
    assert readings == [40, 60, 250.0, 3 << 30, 80 << 30, 5.0]


@pytest.mark.parametrize("counter", [True, False])
def test_what_a_run_used(counter: bool, tmp_path: Path) -> None:
    compile_driver(tmp_path)
    compile_management(tmp_path, counter=counter)
    code = """
with Meter().watch(0.01) as watch:
    time.sleep(0.3)
print(json.dumps(watch.usage.to_dict()))
"""
    usage = ask(tmp_path, METER + code)
    assert usage["seconds"] >= 0.3
    assert usage["samples"] >= 2
    assert 40 <= usage["utilization"] <= 60
    assert usage["memory_peak"] == 3 << 30
    if counter:  # two readings, before and after
        assert usage["energy"] == 5.0
    else:
        assert usage["energy"] == pytest.approx(250 * usage["seconds"])
    assert usage["power"] == pytest.approx(usage["energy"] / usage["seconds"])


@pytest.mark.parametrize(
    ("init", "index", "why"),
    [
        (9, 0, "NVML: Driver Not Loaded"),
        (18, 0, "NVML: RM has detected an NVML/RM version mismatch"),
        (0, 5, "NVML has no device 5: Invalid Argument"),
    ],
)
def test_a_meter_that_cannot_read(init: int, index: int, why: str, tmp_path: Path) -> None:
    compile_driver(tmp_path)
    compile_management(tmp_path, init=init)
    code = f"""
m = Meter({index})
with m.watch() as watch:
    pass
readings = [m.utilization(), m.power(), m.energy(), m.memory(), m.memory_total()]
print(json.dumps([m.why, readings, watch.usage.to_dict()]))
"""
    said, readings, usage = ask(tmp_path, METER + code)
    assert said.startswith(why)
    assert readings == [None] * 5
    assert usage.pop("seconds") > 0
    assert usage.pop("samples") == 0
    assert set(usage.values()) == {None}


def test_cards_that_cuda_hides_are_not_guessed(tmp_path: Path) -> None:
    """Without CUDA's word NVML's index would be another card's."""
    compile_management(tmp_path)
    compile_driver(tmp_path, init=999)
    code = "print(json.dumps([Meter(0).why, Meter(0).name]))"
    why, name = ask(tmp_path, METER + code, CUDA_VISIBLE_DEVICES="1")
    assert (why, name) == ("CUDA does not say which card cuda:0 is", None)


def test_a_closed_meter_reads_nothing(tmp_path: Path) -> None:
    compile_driver(tmp_path)
    compile_management(tmp_path)
    code = "with Meter() as m: first = m.memory()\nprint(json.dumps([first, m.memory()]))"
    assert ask(tmp_path, METER + code) == [3 << 30, None]


@pytest.mark.parametrize("every", [0, -1.0, float("nan")])
def test_samples_take_time(every: float) -> None:
    with pytest.raises(ValueError, match="every must be above 0 seconds, not "):
        Meter().watch(every)


def test_a_machine_without_nvml() -> None:
    """A reason, never a zero: no nvidia-ml-py, and no library for it."""
    code = """
def said():
    m = Meter(0)
    return [m.why, m.power(), m.memory(), read_management().failure]
first = said()
sys.modules["pynvml"] = None
print(json.dumps([first, said()]))
"""
    library, package = ask(Path("/nowhere"), f"import sys\n{METER}{code}")
    if library[0] is not None:  # no driver here
        assert library == ["NVML: NVML Shared Library Not Found", None, None, library[0]]
    why = "nvidia-ml-py is not installed: pip install nvidia-ml-py"
    assert package == [why, None, None, why]


def test_management_lists_all_cards(tmp_path: Path) -> None:
    compile_management(tmp_path)
    code = (
        "found = read_management()\nprint(json.dumps([found.failure, found.driver, found.devices]))"
    )
    assert ask(tmp_path, METER + code) == [None, "580.1.2", ["NVIDIA Other", CARD[0]]]
