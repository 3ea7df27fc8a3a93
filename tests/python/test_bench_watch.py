"""What is watched during a measurement: memory, stages, several GPUs as one."""

from __future__ import annotations

import numpy as np
import pytest

from seqtile.bench import watch as bench_watch
from seqtile.bench.machine import PeakMemory, machine, versions
from seqtile.bench.watch import Watch
from seqtile.machine.nvml import Usage

USAGES = {
    0: Usage(2.0, 4, 50.0, 1000, 100.0, 50.0),
    1: Usage(2.0, 4, 100.0, 3000, 300.0, 150.0),
    2: Usage(2.0, 0, None, None, None, None),
}


class FakeMeter:
    """NVML of devices 0 and 1; of 2 it does not answer."""

    def __init__(self, device: int) -> None:
        self.device = device
        self.name = None if device == 2 else f"GPU {device}"
        self.why = "no answer" if device == 2 else None
        self.usage = USAGES[device]

    def watch(self) -> FakeMeter:
        return self

    def __enter__(self) -> FakeMeter:
        return self

    def __exit__(self, *error: object) -> None:
        pass


@pytest.fixture
def watch_of(monkeypatch: pytest.MonkeyPatch) -> type[Watch]:
    monkeypatch.setattr(bench_watch, "Meter", FakeMeter)
    return Watch


def test_several_devices_add_up(watch_of: type[Watch]) -> None:
    with watch_of("cuda:0,1") as watch:
        watch.start()
    assert watch.gpu == {
        "name": "GPU 0, GPU 1",
        "why": None,
        "seconds": 2.0,
        "samples": 4,
        "utilization": 75.0,
        "memory_peak": 4000,
        "energy": 400.0,
        "power": 200.0,
    }


def test_one_that_does_not_answer(watch_of: type[Watch]) -> None:
    with watch_of("cuda:0,2") as watch:
        watch.start()
    assert watch.gpu is not None
    assert (watch.gpu["why"], watch.gpu["name"]) == ("no answer", "GPU 0")
    assert (watch.gpu["utilization"], watch.gpu["energy"]) == (50.0, None)


def test_the_cpu_has_no_gpu(watch_of: type[Watch]) -> None:
    with watch_of("cpu") as watch:
        watch.profile.add("compute", 9)
        watch.start()
        watch.profile.add("compute", 3)
        watch.profile.add("encode", 1)
    assert watch.gpu is None
    assert watch.memory["peak"] >= watch.memory["before"] * 0.9
    stages = watch.stages(6)
    assert stages is not None
    assert stages["seconds"] == {"compute": 3, "encode": 1}  # the warm-up's is forgotten
    assert (stages["other"], stages["verdict"]) == (2, "compute-limited")
    assert watch.stages(9) == stages | {"other": 5, "verdict": "overhead-limited"}


def test_no_stages() -> None:
    with Watch("cpu") as watch:
        watch.start()
    assert watch.stages(3) is None


def test_peak_memory_is_that_of_the_moment() -> None:
    """A block of 200 MB that is gone again counts, one before the start does not."""
    first = np.ones(25_000_000)
    del first
    peak = PeakMemory()
    if not peak.reset:
        pytest.skip("the kernel's mark cannot be put back here")
    assert peak.before is not None
    before = peak.peak()
    assert before is not None
    assert before < peak.before + 100_000_000
    second = np.ones(25_000_000)
    del second
    after = peak.peak()
    assert after is not None
    assert after > peak.before + 150_000_000


def test_machine() -> None:
    found = machine()
    assert found["processor"]
    assert 1 <= len(found["affinity"]) <= found["cores"]
    assert 1 <= found["threads"] <= found["cores"]
    assert found["memory_bytes"] % 1024 == 0
    assert versions()["numpy"] == np.__version__
