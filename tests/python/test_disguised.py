"""The path that batches take on CUDA, on a GPU that is the CPU in disguise.

onnxruntime's CPU provider does the computing; the CUDA runtime is ``cudart.c``.
"""

from __future__ import annotations

import ctypes
import gc
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from seqtile.errors import ModelIntegrityError, OutOfMemoryError, ProviderError
from seqtile.execution import session as module
from seqtile.execution.cuda.binding import BoundRunner
from seqtile.execution.cuda.memory import CudaMemory
from seqtile.execution.limits import Limits
from seqtile.execution.profile import Profile
from seqtile.execution.session import Session
from tests.python.feeds import model_bytes, random_feeds

COMPILER = shutil.which("cc") or shutil.which("gcc")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler")
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
SHRINK = "memory.enable_memory_arena_shrinkage"
STRICT = (
    "[ONNXRuntimeError] : 1 : FAIL : This session contains graph nodes that are assigned to the "
    "default CPU EP, but fallback to CPU EP has been explicitly disabled by the user."
)


@pytest.fixture(scope="module")
def cudart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("cudart") / "libcudart.so.13"
    source = Path(__file__).with_name("cudart.c")
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", library, source], check=True)
    return library


@pytest.fixture
def stand_in(cudart: Path) -> Iterator[ctypes.CDLL]:
    runtime = ctypes.CDLL(str(cudart))
    runtime.stand_in_limit.argtypes = [ctypes.c_size_t]
    yield runtime
    runtime.stand_in_limit(2**62)
    runtime.cudaGetLastError()


class Gpu:
    """What the disguised onnxruntime was asked for, and what it is to answer."""

    def __init__(self) -> None:
        self.on_cpu: set[str] = set()
        self.operators = {"Conv"}
        self.loads = True
        self.captures: str | None = None  # the error of a capture
        self.opened: list[tuple[dict[str, str], dict[str, str]]] = []
        self.threads: set[str] = set()
        self.shrunk: list[tuple[str, int]] = []  # arena, rows


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, cudart: Path) -> Gpu:
    state = Gpu()
    plain = ort.InferenceSession

    class Disguised:
        def __init__(
            self, model: bytes, options: Any, providers: Any, enable_fallback: int
        ) -> None:
            assert enable_fallback == 0
            self.graph = False
            if providers == [CPU]:
                self._session = plain(model, options, providers=[CPU])
                return
            ((name, self.options),) = providers
            assert name == CUDA
            strict = options.get_session_config_entry("session.disable_cpu_ep_fallback") == "1"
            entry = "session.record_ep_graph_assignment_info"
            assert options.get_session_config_entry(entry) == "1"
            if strict and (state.on_cpu or not state.loads):
                raise RuntimeError(STRICT)
            self.graph = self.options["enable_cuda_graph"] == "1"
            if self.graph and state.captures:
                raise RuntimeError(state.captures)
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "0")
            self._session = plain(model, options, providers=[CPU])
            self._captured: tuple[int, int] | None = None
            state.opened.append((self.options, {"strict": str(strict)}))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.__dict__["_session"], name)

        def get_providers(self) -> list[str]:
            return [CUDA, CPU] if state.loads and "options" in vars(self) else [CPU]

        def get_provider_graph_assignment_info(self) -> Any:
            for name, operators in ((CUDA, state.operators), (CPU, state.on_cpu)):
                nodes = [SimpleNamespace(op_type=operator) for operator in operators]
                yield SimpleNamespace(ep_name=name, get_nodes=lambda nodes=nodes: nodes)

        def io_binding(self) -> Any:
            bound = self._session.io_binding()
            for name in ("bind_input", "bind_output"):
                bind = getattr(bound, name)

                def disguised(name: str, kind: str, number: int, *rest: Any, bind: Any) -> None:
                    assert (kind, str(number)) == ("cuda", self.options["device_id"])
                    bind(name, "cpu", 0, *rest)

                setattr(bound, name, partial(disguised, bind=bind))
            return bound

        def run(self, *arguments: Any) -> Any:
            assert not self.graph, "a captured graph has its own memory"
            if len(arguments) == 3:
                with suppress(RuntimeError):  # of a run that gives no memory back
                    arena = arguments[2].get_run_config_entry(SHRINK)
                    state.shrunk.append((arena, len(arguments[1]["sequence"])))
                arguments = arguments[:2]
            return self._session.run(*arguments)

        def run_with_iobinding(self, binding: Any) -> None:
            if self.graph:
                state.threads.add(threading.current_thread().name)
                here = (threading.get_ident(), id(binding))
                assert self._captured in (None, here), "captured for another thread or memory"
                self._captured = here
            self._session.run_with_iobinding(binding)

    monkeypatch.setattr(module.ort, "InferenceSession", Disguised)
    monkeypatch.setattr(module, "check_cuda", lambda device: None)
    monkeypatch.setattr(module.ort, "cuda_version", "13.0", raising=False)

    def memory(device: int, library: str) -> CudaMemory:
        assert library == "libcudart.so.13"
        return CudaMemory(device, str(cudart))

    monkeypatch.setattr(module, "CudaMemory", memory)
    return state


def on_gpu(name: str = "jund-cnn", **options: Any) -> Session:
    return Session(model_bytes(name), **{"device": "cuda", "source": name, **options})


def runner_of(session: Session) -> BoundRunner:
    """It captures as soon as it may."""
    return BoundRunner(session, limits=Limits(capture_s=0.0))


# sessions


@pytest.mark.parametrize(("device", "number"), [("cuda", "0"), ("cuda:1", "1")])
@pytest.mark.parametrize(("precision", "tf32"), [("fp32", "0"), ("tf32", "1"), ("fp16", "0")])
def test_a_session_on_cuda(gpu: Gpu, device: str, number: str, precision: str, tf32: str) -> None:
    session = on_gpu(device=device, precision=precision)
    assert (session.device, session.precision) == (f"cuda:{number}", precision)
    assert (session.graphs, session.on_cpu) == ("on", [])
    ((options, how),) = gpu.opened
    assert (options["device_id"], options["use_tf32"]) == (number, tf32)
    assert (options["enable_cuda_graph"], how["strict"]) == ("0", "True")


def test_sums_on_shapes_may_stay_on_the_cpu(gpu: Gpu, caplog: pytest.LogCaptureFixture) -> None:
    gpu.on_cpu = {"Shape", "Concat", "Gather"}
    with caplog.at_level("INFO", "seqtile"):
        session = on_gpu("jund-lstm")
    assert session.on_cpu == ["Concat", "Gather", "Shape"]
    assert "jund-lstm: sums on shapes stay on the CPU: Concat, Gather, Shape" in caplog.text


@pytest.mark.parametrize("operator", ["Conv", "LSTM", "MatMul", "DynamicQuantizeLSTM"])
def test_computing_may_not(gpu: Gpu, operator: str) -> None:
    gpu.on_cpu = {"Shape", operator}
    with pytest.raises(ProviderError, match=f"^jund-cnn: cuda:0 cannot run {operator}, which "):
        on_gpu()


def test_a_provider_that_did_not_load(gpu: Gpu) -> None:
    gpu.loads = False
    with pytest.raises(ProviderError, match=r"^jund-cnn: cannot run on cuda:0: .*\(seqtile doctor"):
        on_gpu()


def test_a_broken_model_is_no_fault_of_the_device(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    class InvalidProtobuf(Exception):  # noqa: N818 - onnxruntime's name
        pass

    def refuse(*arguments: Any, **options: Any) -> None:
        raise InvalidProtobuf("Protobuf parsing failed.")

    monkeypatch.setattr(module.ort, "InferenceSession", refuse)
    with pytest.raises(ModelIntegrityError, match="^jund-cnn: not a model onnxruntime can run: "):
        on_gpu()


def test_graphs_that_cannot_be_are_refused_where_insisted_upon(gpu: Gpu) -> None:
    gpu.operators = {"Loop"}
    assert on_gpu().graphs == "off: control flow (Loop)"
    with pytest.raises(ProviderError, match=r"^jund-cnn: graphs=True, but .* control flow \(Loop"):
        on_gpu(graphs=True)
    with pytest.raises(ProviderError, match="^jund-cnn: graphs=True, but .* device cpu$"):
        Session(model_bytes("jund-cnn"), source="jund-cnn", graphs=True)


def test_one_session_runs_on_one_device(gpu: Gpu) -> None:
    with pytest.raises(ValueError, match="^a session runs on one device, not on 'cuda:0,1'$"):
        on_gpu(device="cuda:0,1")


# runners


@pytest.mark.parametrize("graphs", ["auto", False, True])
@pytest.mark.parametrize("name", ["jund-cnn", "nuclei-unet", "codon-convnet"])
def test_the_answers_of_the_cpu(gpu: Gpu, name: str, graphs: Any) -> None:
    session = on_gpu(name, graphs=graphs)
    runner = runner_of(session)
    profile = Profile()
    with_graphs = 0
    for step, n in enumerate([6, 2, 6, 5, 6, 3, 6, 6]):
        feeds = random_feeds(name, n, size=32, seed=step)
        found = runner.run(feeds, profile=profile)
        for mine, theirs in zip(found, session.run(feeds), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
    assert set(profile.seconds) == {"h2d", "compute", "d2h"}
    with_graphs = sum(options["enable_cuda_graph"] == "1" for options, _ in gpu.opened)
    assert with_graphs == (0 if graphs is False else 1)
    assert runner.replay(3) > 0


@pytest.mark.parametrize(("graphs", "captured"), [("auto", 0), (True, 1)])
def test_a_capture_has_to_pay(gpu: Gpu, graphs: Any, captured: int) -> None:
    runner = BoundRunner(on_gpu(graphs=graphs), limits=Limits(capture_s=3600.0))
    for step in range(9):
        runner.run(random_feeds("jund-cnn", 4, size=101, seed=step))
    assert sum(options["enable_cuda_graph"] == "1" for options, _ in gpu.opened) == captured
    runner.warm_up(random_feeds("jund-cnn", 7, size=101, seed=0))
    assert sum(options["enable_cuda_graph"] == "1" for options, _ in gpu.opened) == captured + 1


def test_each_runner_captures_in_a_thread_of_its_own(gpu: Gpu) -> None:
    session = on_gpu()
    runners = [runner_of(session) for _ in range(3)]
    wrong: list[int] = []

    def work(number: int) -> None:
        for step in range(10):  # runners change threads on the way
            runner = runners[(number + step // 5) % 3]
            feeds = random_feeds("jund-cnn", 4, size=101, seed=step)
            if not np.allclose(runner.run(feeds)[0], session.run(feeds)[0], atol=1e-6):
                wrong.append(step)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert session.graphs == "on"
    assert sum(options["enable_cuda_graph"] == "1" for options, _ in gpu.opened) == 3


def test_a_refused_capture_ends_the_attempts(gpu: Gpu, caplog: pytest.LogCaptureFixture) -> None:
    gpu.captures = "This session cannot use the graph capture feature as requested by the user"
    session = on_gpu()
    first, second = runner_of(session), runner_of(session)
    feeds = random_feeds("jund-cnn", 4, size=101, seed=0)
    for runner in (first, second, first, second, first, second, first, second):
        np.testing.assert_allclose(runner.run(feeds)[0], session.run(feeds)[0], atol=1e-6)
    assert session.graphs == f"off: {gpu.captures}"
    assert first.graphs == second.graphs == session.graphs
    assert caplog.text.count("CUDA graphs off") == 1


# memory


def test_copies_are_waited_for(stand_in: ctypes.CDLL, cudart: Path) -> None:
    memory = CudaMemory(1, str(cudart))
    block, there = memory.empty(1000), np.zeros(1000, np.uint8)
    block[:] = np.arange(1000) % 251
    memory.copy(there.ctypes.data, block.ctypes.data, 1000)
    assert not there.any()
    memory.wait()
    np.testing.assert_array_equal(there, block)


def test_pinned_memory_goes_with_its_last_view(stand_in: ctypes.CDLL, cudart: Path) -> None:
    gc.collect()
    before = stand_in.stand_in_blocks(), stand_in.stand_in_streams()
    memory = CudaMemory(0, str(cudart))
    view = memory.empty(4000).view(np.float32).reshape(10, 100)[3:, ::2]
    assert memory.empty(0).shape == (0,)
    gc.collect()
    assert stand_in.stand_in_blocks() == before[0] + 1
    block = memory.block(1 << 20)
    assert stand_in.stand_in_blocks() == before[0] + 2
    view[:] = 2.5
    assert view.sum() == 2.5 * view.size
    del view, block, memory
    gc.collect()
    assert (stand_in.stand_in_blocks(), stand_in.stand_in_streams()) == before


def test_errors_are_told_and_cleared(stand_in: ctypes.CDLL, cudart: Path) -> None:
    """One left behind would be taken by onnxruntime for an error of its next kernel."""
    memory = CudaMemory(0, str(cudart))
    stand_in.stand_in_limit(100)
    with pytest.raises(RuntimeError, match="^CUDA failure 2: out of memory ; cudaHostAlloc$"):
        memory.empty(101)
    assert stand_in.stand_in_last_error() == 0
    with pytest.raises(RuntimeError, match="^CUDA failure 101: invalid device ordinal ; cudaSetD"):
        CudaMemory(2, str(cudart))
    assert stand_in.stand_in_last_error() == 0


def test_memory_that_runs_out_in_a_runner(gpu: Gpu, stand_in: ctypes.CDLL) -> None:
    session = on_gpu()
    runner = runner_of(session)
    stand_in.stand_in_limit(64 * 101)
    with pytest.raises(OutOfMemoryError, match="^jund-cnn: out of memory on cuda:0: use a smaller"):
        runner.run(random_feeds("jund-cnn", 65, size=101, seed=0))
    feeds = random_feeds("jund-cnn", 40, size=101, seed=1)
    np.testing.assert_allclose(runner.run(feeds)[0], session.run(feeds)[0], atol=1e-6)


def test_the_session_gives_back_what_a_large_batch_took(gpu: Gpu, stand_in: ctypes.CDLL) -> None:
    """Its arena would keep it from the bound memory of the smaller batch that follows."""
    session = on_gpu(device="cuda:1")
    runner = runner_of(session)
    for n in (40, 65, 45):
        stand_in.stand_in_limit(64 * 101)
        feeds = random_feeds("jund-cnn", n, size=101, seed=0)
        if n <= 64:
            runner.run(feeds)
        else:
            with pytest.raises(OutOfMemoryError):
                runner.run(feeds)
    assert gpu.shrunk == [("gpu:1", 1)]


def test_a_device_that_is_not_there(gpu: Gpu) -> None:
    with pytest.raises(ProviderError, match="^jund-cnn: failed on cuda:5: no such GPU"):
        runner_of(on_gpu(device="cuda:5"))
