"""Sessions: strict devices, thread counts, options that onnxruntime really has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from seqtile.errors import ModelIntegrityError, ProviderError
from seqtile.execution import session as module
from seqtile.execution.session import LEVELS, Session, open_session
from seqtile.machine import threads as threads_module
from seqtile.machine.cuda import check_cuda
from seqtile.machine.threads import thread_count
from tests.python.models import GOLDEN, motif_model, motif_score

LETTERS = np.frombuffer("".join(GOLDEN).encode(), np.uint8).reshape(len(GOLDEN), -1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return motif_model(tmp_path_factory.mktemp("models") / "motif.onnx").read_bytes()


@pytest.fixture
def no_cuda() -> None:
    try:
        check_cuda()
    except ProviderError:
        return
    pytest.skip("this machine has CUDA")


# running


@pytest.mark.parametrize("level", LEVELS)
def test_run(model: bytes, level: module.Optimization) -> None:
    session = Session(model, optimization=level)
    (answer,) = session.run({"sequence": LETTERS})
    np.testing.assert_allclose(answer, [motif_score(s) for s in GOLDEN], atol=1e-6)


def test_what_a_session_says_of_its_model(model: bytes) -> None:
    session = Session(model)
    assert session.inputs == {"sequence": ("tensor(uint8)", ["batch", "length"])}
    assert session.outputs == {"probability": ("tensor(float)", ["batch"])}
    assert session.metadata == {}
    assert (session.device, session.providers) == ("cpu", ["CPUExecutionProvider"])


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x09"])
def test_no_model(content: bytes) -> None:
    with pytest.raises(ModelIntegrityError, match="^name: not a model onnxruntime can run: "):
        Session(content, source="name")


def test_truncated_model(model: bytes) -> None:
    with pytest.raises(ModelIntegrityError, match="^name: not a model onnxruntime can run: "):
        Session(model[: len(model) // 2], source="name")


def test_a_run_that_fails_names_the_model(model: bytes) -> None:
    session = Session(model, source="motif")
    with pytest.raises(ProviderError, match="^motif: failed on cpu: .*Conv"):
        session.run({"sequence": LETTERS[:, :2]})


# threads


@pytest.mark.parametrize("threads", [1, 2])
def test_options_carry_the_counts(model: bytes, threads: int) -> None:
    session = Session(model, threads=threads)
    options = session._session.get_session_options()
    assert session.threads == options.intra_op_num_threads == threads
    assert options.inter_op_num_threads == 1
    assert options.execution_mode == module.ort.ExecutionMode.ORT_SEQUENTIAL


def test_options_carry_the_default(model: bytes) -> None:
    options = Session(model)._session.get_session_options()
    assert options.intra_op_num_threads == thread_count()


@pytest.mark.parametrize("threads", [0, -1])
def test_bad_thread_count(threads: int) -> None:
    with pytest.raises(ValueError, match=f"^threads must be at least 1, not {threads}$"):
        thread_count(threads)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_threads_follow_affinity() -> None:
    usable = sorted(os.sched_getaffinity(0))
    code = (
        f"import os; os.sched_setaffinity(0, {{{usable[-1]}}});"
        "from seqtile.machine.threads import thread_count; print(thread_count(), thread_count(3))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("1 3\n", "")


@pytest.mark.parametrize(("quota", "threads"), [(0.5, 1), (1.5, 2), (64.0, 5), (None, 5)])
def test_threads_follow_the_quota(
    quota: float | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads_module, "_cgroup_quota", lambda root, membership: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(5)), raising=False)
    assert thread_count() == threads


CGROUPS = {
    "v2": ("0::/job/step\n", {"job/step/cpu.max": "150000 100000\n"}, 1.5),
    "v2, limited above": (
        "0::/job/step\n",
        {"job/step/cpu.max": "max 100000\n", "job/cpu.max": "50000 100000\n"},
        0.5,
    ),
    "v2, the smallest": (
        "0::/job/step\n",
        {"job/step/cpu.max": "400000 100000", "job/cpu.max": "300000 100000"},
        3.0,
    ),
    "v2, in a container": ("0::/\n", {"cpu.max": "200000 100000\n"}, 2.0),
    "v2, no limit": ("0::/job\n", {"job/cpu.max": "max 100000\n"}, None),
    "v1": (
        "4:memory:/x\n3:cpu,cpuacct:/job\n0::/\n",
        {"cpu/job/cpu.cfs_quota_us": "250000\n", "cpu/job/cpu.cfs_period_us": "100000\n"},
        2.5,
    ),
    "v1, no limit": (
        "3:cpu,cpuacct:/job\n",
        {"cpu/job/cpu.cfs_quota_us": "-1\n", "cpu/job/cpu.cfs_period_us": "100000\n"},
        None,
    ),
    "v1, the host's path": (
        "3:cpu,cpuacct:/docker/0123\n",
        {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"},
        1.0,
    ),
    "v1, cpuset is not cpu": ("5:cpuset:/job\n", {"cpu.max": "50000 100000"}, None),
    "no files": ("0::/job\n", {}, None),
}


@pytest.mark.parametrize("case", CGROUPS)
def test_cgroup_quota(case: str, tmp_path: Path) -> None:
    text, files, quota = CGROUPS[case]
    root, membership = tmp_path / "cgroup", tmp_path / "membership"
    membership.write_text(text)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert threads_module._cgroup_quota(root, membership) == quota


def test_no_cgroups(tmp_path: Path) -> None:
    assert threads_module._cgroup_quota(tmp_path, tmp_path / "missing") is None


# devices


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "CPU", ""])
def test_bad_device(model: bytes, device: str) -> None:
    with pytest.raises(ValueError, match=f"^device must be .* not '{device}'$"):
        open_session(model, device)


@pytest.mark.usefixtures("no_cuda")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_cuda_is_never_replaced_by_the_cpu(model: bytes, device: str) -> None:
    with pytest.raises(ProviderError, match="onnxruntime-gpu|libcuda.so.1"):
        open_session(model, device)


@pytest.mark.usefixtures("no_cuda")
def test_auto_takes_the_cpu_without_cuda(model: bytes) -> None:
    assert open_session(model, "auto").device == "cpu"


@pytest.fixture
def claims_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """An onnxruntime whose GPU build is installed, on a machine that cannot run it."""
    monkeypatch.setattr(module, "check_cuda", lambda device: None)
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(module.ort, "get_available_providers", lambda: providers)


@pytest.mark.usefixtures("no_cuda", "claims_cuda")
@pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider':UserWarning")
def test_a_silent_cpu_session_is_an_error(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime drops a provider it cannot have and goes on with the CPU."""
    with pytest.raises(ProviderError, match="cuda"):
        Session(model, device="cuda", source="motif")


@pytest.mark.usefixtures("no_cuda", "claims_cuda")
@pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider':UserWarning")
def test_auto_says_why_it_takes_the_cpu(
    model: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert open_session(model, "auto").device == "cpu"
    assert "device auto: cpu, because cuda does not run: " in caplog.text
