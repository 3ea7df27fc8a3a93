"""onnxruntime: options, threads, strict providers, run; what else needs it asks here."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import interrupts
from ..errors import ModelIntegrityError, ProviderError
from ..machine.cuda import check_cuda
from ..machine.devices import parse_devices
from ..machine.threads import thread_count
from .cuda.memory import CudaMemory, HostMemory, Memory
from .cuda.placement import OF_SHAPES, Graphs, graphs_verdict, placement
from .failures import explain, is_out_of_memory, load_failure, reason
from .graph_file import refuse_outside
from .locks import DEVICE
from .profile import Profile
from .providers import CPU, CUDA, check_precision, providers

_GPU_WHEEL = "'onnxruntime-gpu[cuda,cudnn]'"

try:
    import onnxruntime as ort
except ImportError as error:
    raise ImportError(
        "seqtile's runtime needs onnxruntime: pip install onnxruntime, or, on a machine with CUDA, "
        f"pip install {_GPU_WHEEL} ({error})"
    ) from error

ort.disable_telemetry_events()  # if it was imported before `seqtile`, which else keeps it off

__all__ = ["Session", "open_session"]

log = logging.getLogger(__name__)

Axes: TypeAlias = dict[str, tuple[str, list[int | str | None]]]
Optimization: TypeAlias = Literal["disable", "basic", "extended", "layout", "all"]

_LEVELS = {
    "disable": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "layout": ort.GraphOptimizationLevel.ORT_ENABLE_LAYOUT,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
LEVELS: tuple[Optimization, ...] = ("disable", "basic", "extended", "layout", "all")
_BROKEN = ("InvalidGraph", "InvalidProtobuf", "NoModel", "NoSuchFile")

_running = ort.RunOptions()  # of all runs, so that a signal ends them, each after the node it is at


def _end_runs() -> None:
    global _running
    ended, _running = _running, ort.RunOptions()
    ended.terminate = True


interrupts.at_signal(_end_runs)


class Session:
    """One onnxruntime session on one device, shared by threads.

    Parameters
    ----------
    model
        Bytes of the ONNX file, which holds all its weights; see `graph_file.read_graph`.
    device
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``. On CUDA no node that computes may fall back to the
        CPU; only sums on shapes may be there.
    threads
        Threads of one operator on the CPU; default `thread_count`. Operators run one by one.
    optimization
        Graph optimisation level.
    source
        Name of the model, for errors.
    precision
        ``"fp32"``; on CUDA also ``"tf32"``, the same numbers multiplied in TF32, and ``"fp16"``,
        for a model that has float16 inside.
    graphs
        Whether batches are replayed as CUDA graphs: ``"auto"`` where the model allows, True always
        (an error where it cannot), False never.

    Attributes
    ----------
    device
        ``"cpu"`` or ``"cuda:N"``.
    graphs
        ``"on"``, or ``"off: "`` and why.
    on_cpu
        Operators that a session on CUDA leaves to the CPU, sorted; empty on the CPU.

    Raises
    ------
    ModelIntegrityError
        Not an ONNX model that onnxruntime can run.
    ProviderError
        The device cannot run here, or did not take the model; CUDA graphs asked for in vain.
    OutOfMemoryError
        The model does not fit into the device's memory.
    ValueError
        No such device, optimisation level or precision, or several devices.
    """

    def __init__(
        self,
        model: bytes,
        *,
        device: str = "cpu",
        threads: int | None = None,
        optimization: Optimization = "all",
        source: str = "model",
        precision: str = "fp32",
        graphs: Graphs = "auto",
    ) -> None:
        devices = parse_devices(device)
        if len(devices) > 1:
            raise ValueError(f"a session runs on one device, not on {device!r}")
        (self.device,) = devices
        self.precision = check_precision(precision, self.device)
        self.version = str(ort.__version__)
        self.source = source
        self.threads = thread_count(threads)
        if self.device != "cpu":
            check_cuda(self.device)
            ort.set_default_logger_severity(4)  # what is wrong is raised
        refuse_outside(model, source)
        self.model = model
        self._level = _LEVELS[optimization]
        with DEVICE.shared():
            self._session = self._open_strict()
        self.providers: list[str] = self._session.get_providers()
        self.inputs: Axes = {n.name: (n.type, n.shape) for n in self._session.get_inputs()}
        self.outputs: Axes = {n.name: (n.type, n.shape) for n in self._session.get_outputs()}
        placed = placement(self._session) if self.device != "cpu" else {}
        self.on_cpu = sorted(placed.get(CPU, ()))
        self.graphs = graphs_verdict(graphs, self.device, set().union(*placed.values()))
        self.graphs_wanted = graphs
        if graphs is True and self.graphs != "on":
            raise ProviderError(f"{source}: graphs=True, but CUDA graphs are {self.graphs}")

    def open(self, sizes: Mapping[str, int] | None = None, *, graphs: bool = False) -> Any:
        """Another onnxruntime session of this model, on this device.

        Parameters
        ----------
        sizes
            Sizes for axes that the model names; sums on its shapes are then done beforehand.
        graphs
            Let it capture a CUDA graph; it may then only be run with the same bound memory.
        """
        return self._open(sizes or {}, graphs, strict=True)

    def _open(self, sizes: Mapping[str, int], graphs: bool, strict: bool) -> Any:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = self._level
        options.log_severity_level = 4  # its errors are raised; printed too they would be twice
        for name, size in sizes.items():
            options.add_free_dimension_override_by_name(name, size)
        if self.device != "cpu":
            options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
            options.add_session_config_entry("session.disable_cpu_ep_fallback", str(int(strict)))
        wanted = providers(self.device, self.precision, graphs=graphs)
        try:
            with interrupts.stopping(lambda: options.set_load_cancellation_flag(True)):
                # Its own fallback would print to stdout and go on with the CPU.
                return ort.InferenceSession(
                    self.model, options, providers=wanted, enable_fallback=0
                )
        except Exception as error:  # onnxruntime's exceptions share no base but Exception
            interrupts.check()
            if self.device == "cpu" or type(error).__name__ in _BROKEN:
                if is_out_of_memory(error):
                    raise self.failure(error, "cannot be loaded") from error
                raise ModelIntegrityError(
                    f"{self.source}: not a model onnxruntime can run: {reason(error)}"
                ) from error
            raise self.failure(error, "cannot run") from error

    def _open_strict(self) -> Any:
        """The session; refused if the device is not in it, or leaves computing to the CPU."""
        try:
            session = self.open()
        except ProviderError as error:
            if "assigned to the default CPU EP" not in str(error):
                raise
            # Sums on shapes may be what it refused, or the whole provider failed to load.
            session = self._open({}, graphs=False, strict=False)
        wanted = CPU if self.device == "cpu" else CUDA
        providers = session.get_providers()
        if providers[0] != wanted:
            library = Path(ort.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so"
            raise ProviderError(
                f"{self.source}: cannot run on {self.device}: {load_failure(library)} "
                "(seqtile doctor says what is missing)"
            )
        if wanted == CUDA:
            left = sorted(placement(session).get(CPU, ()))
            if refused := [name for name in left if name not in OF_SHAPES]:
                raise ProviderError(
                    f"{self.source}: {self.device} cannot run {', '.join(refused)}, which "
                    "onnxruntime has for the CPU only: use device='cpu'"
                )
            if left:
                log.info("%s: sums on shapes stay on the CPU: %s", self.source, ", ".join(left))
        return session

    @property
    def handle(self) -> Any:
        """The `onnxruntime.InferenceSession`, for batches of any shape."""
        return self._session

    def memory(self) -> Memory:
        """Memory to copy batches through, for one thread at a time."""
        if self.device == "cpu":
            return HostMemory()
        major = ort.cuda_version.split(".")[0]
        return CudaMemory(int(self.device.removeprefix("cuda:")), f"libcudart.so.{major}")

    def shrink(self, feeds: Mapping[str, NDArray[Any]]) -> None:
        """Give memory back that earlier runs took and this small batch does not need."""
        options = ort.RunOptions()
        arena = self.device.replace("cuda", "gpu") if self.device != "cpu" else "cpu:0"
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", arena)
        try:
            self._session.run(None, dict(feeds), options)
        except Exception as error:  # onnxruntime's exceptions share no base but Exception
            raise self.failure(error) from error

    def failure(self, error: Exception, doing: str = "failed") -> ProviderError:
        """The error to raise for one of onnxruntime; `OutOfMemoryError` where it was that."""
        return explain(error, source=self.source, device=self.device, doing=doing)

    @property
    def metadata(self) -> dict[str, str]:
        """The model file's own metadata."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def run(
        self,
        feeds: Mapping[str, NDArray[Any]],
        outputs: Sequence[str] | None = None,
        *,
        profile: Profile | None = None,
    ) -> list[NDArray[Any]]:
        """Outputs for one batch, in the order of ``outputs`` (default: the graph's).

        Parameters
        ----------
        feeds
            An array for each input.
        outputs
            Names of the outputs wanted.
        profile
            Gets the seconds of the run as ``"compute"``, copies to and from a GPU among them.

        Raises
        ------
        OutOfMemoryError
            The batch is too large for the device's memory.
        ProviderError
            The device could not run this batch, as one of a shape the model does not take.
        """
        interrupts.check()
        started = perf_counter()
        try:
            with DEVICE.shared() if self.device != "cpu" else contextlib.nullcontext():
                results = self._session.run(outputs, dict(feeds), _running)
        except Exception as error:  # onnxruntime's exceptions share no base but Exception
            interrupts.check()
            raise self.failure(error) from error
        if profile is not None:
            profile.add("compute", perf_counter() - started)
        return [np.asarray(result) for result in results]


def open_session(model: bytes, device: str, **options: Any) -> Session:
    """A session on the device asked for; ``"auto"`` prefers CUDA and logs what it chose.

    ``options`` are those of `Session`.
    """
    if device != "auto":
        return Session(model, device=device, **options)
    if CUDA in ort.get_available_providers():
        try:
            session = Session(model, device="cuda", **options)
        except ProviderError as error:
            log.warning("device auto: cpu, because cuda does not run: %s", error)
        else:
            log.info("device auto: cuda")
            return session
    else:
        log.info("device auto: cpu (this onnxruntime has no CUDA)")
    return Session(model, device="cpu", **options)
