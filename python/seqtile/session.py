"""onnxruntime, and the only file that imports it: options, threads, strict providers, run."""

from __future__ import annotations

import ctypes
import importlib.metadata
import logging
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .errors import ModelIntegrityError, ProviderError
from .pipeline import Profile
from .threads import thread_count

_GPU_WHEEL = "'onnxruntime-gpu[cuda,cudnn]'"

try:
    import onnxruntime as ort
except ImportError as error:
    raise ImportError(
        "seqtile's runtime needs onnxruntime: pip install onnxruntime, or, on a machine with CUDA, "
        f"pip install {_GPU_WHEEL} ({error})"
    ) from error

__all__ = ["Session", "check_cuda", "runtime_wheels", "thread_count"]

log = logging.getLogger(__name__)

Optimization: TypeAlias = Literal["disable", "basic", "extended", "layout", "all"]

_LEVELS = {
    "disable": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "layout": ort.GraphOptimizationLevel.ORT_ENABLE_LAYOUT,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
LEVELS: tuple[Optimization, ...] = ("disable", "basic", "extended", "layout", "all")
_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"


def runtime_wheels() -> dict[str, str]:
    """Installed onnxruntime wheels and their versions; two of them clash."""
    found = {}
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def check_cuda() -> None:
    """Raise `ProviderError` that says what CUDA lacks here, if anything can be seen to."""
    wheels = runtime_wheels()
    if len(wheels) > 1:
        raise ProviderError(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other: "
            f"pip uninstall -y onnxruntime onnxruntime-gpu && pip install {_GPU_WHEEL}"
        )
    if _CUDA not in ort.get_available_providers():
        raise ProviderError(
            "device 'cuda' needs onnxruntime-gpu, but the CPU build of onnxruntime "
            f"{ort.__version__} is installed: "
            f"pip uninstall -y onnxruntime && pip install {_GPU_WHEEL}"
        )
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        raise ProviderError(
            "device 'cuda' needs an NVIDIA driver, but libcuda.so.1 is not on this machine: "
            "install the driver (and in a container pass the GPU through, as `--gpus all`), "
            "or use device='cpu'"
        ) from None


def _providers(device: str) -> list[Any]:
    if device == "cpu":
        return [_CPU]
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    if match is None:
        raise ValueError(f"device must be 'auto', 'cpu', 'cuda' or 'cuda:N', not {device!r}")
    check_cuda()
    ort.preload_dlls()
    options = {
        "device_id": match[1] or "0",
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
        "use_tf32": "0",
    }
    return [(_CUDA, options)]


class Session:
    """One onnxruntime session on one device, shared by threads.

    Parameters
    ----------
    model
        Bytes of the ONNX file.
    device
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``. On CUDA no node may fall back to the CPU.
    threads
        Threads of one operator on the CPU; default `thread_count`. Operators run one by one.
    optimization
        Graph optimisation level.
    source
        Name of the model, for errors.

    Raises
    ------
    ModelIntegrityError
        Not an ONNX model that onnxruntime can run.
    ProviderError
        The device cannot run here, or did not take the model.
    """

    def __init__(
        self,
        model: bytes,
        *,
        device: str = "cpu",
        threads: int | None = None,
        optimization: Optimization = "all",
        source: str = "model",
    ) -> None:
        providers = _providers(device)
        self.device = device
        self.version = str(ort.__version__)
        self.source = source
        self.threads = thread_count(threads)
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = _LEVELS[optimization]
        options.log_severity_level = 4  # its errors are raised; printed too they would be twice
        if device != "cpu":
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        try:
            self._session = ort.InferenceSession(model, options, providers=providers)
        except Exception as error:  # onnxruntime's exceptions share no base but Exception
            if device != "cpu":
                raise ProviderError(
                    f"{source}: cannot run on {device}: {_reason(error)}"
                ) from error
            raise ModelIntegrityError(
                f"{source}: not a model onnxruntime can run: {_reason(error)}"
            ) from error
        self.providers: list[str] = self._session.get_providers()
        wanted = _CPU if device == "cpu" else _CUDA
        if self.providers[0] != wanted:
            raise ProviderError(
                f"{source}: asked for {wanted}, onnxruntime gave {self.providers[0]}: the CUDA or "
                "cuDNN libraries did not load (seqtile doctor says which)"
            )
        self.inputs: dict[str, tuple[str, list[int | str | None]]] = {
            node.name: (node.type, node.shape) for node in self._session.get_inputs()
        }
        self.outputs: dict[str, tuple[str, list[int | str | None]]] = {
            node.name: (node.type, node.shape) for node in self._session.get_outputs()
        }

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

        Its seconds are counted as the ``profile``'s stage ``"compute"``.

        Raises
        ------
        ProviderError
            The device could not run this batch: too large for its memory, or of a shape the model
            does not take.
        """
        begin = time.perf_counter()
        try:
            results = self._session.run(outputs, dict(feeds))
        except Exception as error:  # onnxruntime's exceptions share no base but Exception
            raise ProviderError(
                f"{self.source}: failed on {self.device}: {_reason(error)}"
            ) from error
        if profile is not None:
            profile.add("compute", time.perf_counter() - begin)
        return [np.asarray(result) for result in results]


def _reason(error: Exception) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0][:300]


def open_session(
    model: bytes, device: str, *, threads: int | None = None, source: str = "model"
) -> Session:
    """A session on the device asked for; ``"auto"`` prefers CUDA and logs what it chose."""
    if device != "auto":
        return Session(model, device=device, threads=threads, source=source)
    if _CUDA in ort.get_available_providers():
        try:
            session = Session(model, device="cuda", threads=threads, source=source)
        except ProviderError as error:
            log.warning("device auto: cpu, because cuda does not run: %s", error)
        else:
            log.info("device auto: cuda")
            return session
    else:
        log.info("device auto: cpu (this onnxruntime has no CUDA)")
    return Session(model, device="cpu", threads=threads, source=source)
