"""The peer engine: the same ONNX file run by PyTorch, eager or compiled, for `seqtile bench`.

The only modules of the package that import torch and onnx are this one and the ``torch_*`` modules
behind it; they are imported when this engine is asked for and never otherwise.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelIntegrityError, OutOfMemoryError, ProviderError, ShapeError
from ..machine.threads import thread_count

try:
    import onnx
    import torch
except ImportError as error:
    raise ImportError(
        "the torch engine needs torch and onnx: pip install torch onnx, "
        f"or use the engine onnxruntime ({error})"
    ) from error

from .graph import build_module, read_model

__all__ = ["TorchEngine", "load_torch"]

PRECISIONS = ("fp32", "tf32", "fp16")
# Shapes of input that one engine compiles before torch gives up; its own limit is 8.
MOST_SHAPES = 256


class TorchEngine:
    """A model run by torch on one device; made by `load_torch`.

    Call it with arrays by input name; it gives the graph's outputs in their order. It may be called
    from any thread, but from one at a time: threads and TF32 are settings of the whole process,
    which it makes at each call (TF32, on CUDA, is put back after it, the count of threads is not).

    Attributes
    ----------
    device, precision, threads
        As asked for; ``threads`` is the number within an operator on the CPU.
    module
        The `torch.fx.GraphModule`; its ``code`` is what runs.
    compiled
        Number of graphs that torch.compile made so far, one for each shape of the inputs; None
        where it was not asked for. Each is the whole model: a part left out would be an error.
    settings
        What torch.compile was asked for.
    """

    def __init__(
        self,
        model: bytes,
        *,
        device: str,
        threads: int | None,
        compile: bool,
        precision: str,
        channels_last: bool | None,
        source: str,
    ) -> None:
        self.device = _check_device(device)
        self.precision = _check_precision(precision, device)
        self.threads = thread_count(threads)
        self.source = source
        proto = read_model(model, source=source)
        constants = {initializer.name for initializer in proto.graph.initializer}
        self.inputs = {
            value.name: _signature(value)
            for value in proto.graph.input
            if value.name not in constants
        }
        self.outputs = [value.name for value in proto.graph.output]
        dtype = torch.float16 if precision == "fp16" else torch.float32
        self.module = build_module(proto, source=source, device=device, float_dtype=dtype)
        if channels_last is None:
            channels_last = _prefers_channels_last(self.module, device, precision)
        self.channels_last = channels_last
        if self.channels_last:
            self.module = self.module.to(memory_format=torch.channels_last)
        self.compiled: int | None = 0 if compile else None
        self.settings: dict[str, Any] = {}
        self._run: Callable[..., Any] = self._compile() if compile else self.module

    def __call__(self, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Outputs of one batch as arrays of the caller's own.

        Raises
        ------
        ShapeError
            An input missing, unknown, or of a dtype or shape that is not the graph's.
        OutOfMemoryError
            The device has not the memory for the batch.
        ProviderError
            torch cannot run or compile the model on such a batch.
        """
        self._check(feeds)
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        try:
            with torch.inference_mode():
                if self.device == "cpu":
                    return self._run_on_cpu(feeds)
                with _tf32(self.precision == "tf32"):
                    return self._run_on_cuda(feeds)
        except Exception as error:  # torch's own errors share no base but Exception
            doing = "torch" if self.compiled is None else "torch.compile"
            reason = (str(error).strip() or repr(error)).splitlines()[0][:300]
            full = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in reason
            raise (OutOfMemoryError if full else ProviderError)(
                f"{self.source}: {doing} failed on {self.device}: {reason}"
            ) from error

    def describe(self) -> dict[str, Any]:
        """What runs, for a report: version, device, memory format, what was compiled and how."""
        settings = dict(self.settings)
        if settings and self.device != "cpu":
            from torch._dynamo.utils import counters

            # of the whole process: graphs that run without CUDA graphs, as they cannot be captured
            settings["cudagraph_skips"] = counters["inductor"]["cudagraph_skips"]
        return {
            "engine": "torch" if self.compiled is None else "torch-compile",
            "torch": str(torch.__version__),
            "onnx": str(onnx.__version__),
            "device": self.device,
            "precision": self.precision,
            "threads": self.threads,
            "channels_last": self.channels_last,
            "compiled_graphs": self.compiled,
            "compile": settings,
        }

    def _compile(self) -> Callable[..., Any]:
        with warnings.catch_warnings():  # torch's own code, of which it disapproves
            warnings.simplefilter("ignore", DeprecationWarning)
            from torch._inductor import compile_fx

        if self.device == "cpu":
            _check_compiler()
            mode, options = "default", {"freezing": True}
        else:
            mode, options = "reduce-overhead", {}
        patches = {**torch._inductor.list_mode_options(mode), **options}
        self.settings = {"backend": "inductor", "mode": mode, "fullgraph": True, **options}

        def backend(graph: Any, examples: Any) -> Any:
            result = compile_fx.compile_fx(graph, examples, config_patches=patches)
            self.compiled = (self.compiled or 0) + 1
            return result

        run = torch.compile(self.module, backend=backend, fullgraph=True, dynamic=False)
        seen = set()

        def compiled(*inputs: Any) -> Any:
            shapes = tuple(tensor.shape for tensor in inputs)
            if shapes in seen:
                return run(*inputs)
            before = self.compiled
            # LSTM is refused by default; with it torch calls its own kernel from the whole graph.
            with torch._dynamo.config.patch(allow_rnn=True, recompile_limit=MOST_SHAPES):
                result = run(*inputs)
            if self.compiled == before:
                raise RuntimeError("nothing was compiled; is TORCH_COMPILE_DISABLE set?")
            seen.add(shapes)
            return result

        return compiled

    def _check(self, feeds: Mapping[str, NDArray[Any]]) -> None:
        if feeds.keys() != self.inputs.keys():
            raise ShapeError(
                f"{self.source}: expected the inputs {sorted(self.inputs)}, found {sorted(feeds)}"
            )
        for name, (dtype, shape) in self.inputs.items():
            array = feeds[name]
            fits = len(array.shape) == len(shape) and all(
                size is None or size == found
                for size, found in zip(shape, array.shape, strict=True)
            )
            if array.dtype != dtype or not fits:
                raise ShapeError(
                    f"{self.source}: input {name!r} must be {dtype} {_shown(shape)}, "
                    f"not {array.dtype} {_shown(array.shape)}"
                )

    def _run_on_cpu(self, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        inputs = [_host_tensor(feeds[name]) for name in self.inputs]
        results = [result.contiguous() for result in self._run(*inputs)]
        lent = {tensor.untyped_storage().data_ptr() for tensor in inputs}
        return [
            (result.clone() if result.untyped_storage().data_ptr() in lent else result).numpy()
            for result in results
        ]

    def _run_on_cuda(self, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        pinned = [_host_tensor(feeds[name]).pin_memory() for name in self.inputs]
        results = self._run(*(tensor.to(self.device, non_blocking=True) for tensor in pinned))
        hosts = []
        for result in results:
            host = torch.empty(result.shape, dtype=result.dtype, pin_memory=True)
            hosts.append(host.copy_(result, non_blocking=True))
        torch.cuda.synchronize(self.device)
        return [host.numpy() for host in hosts]


def _host_tensor(array: NDArray[Any]) -> torch.Tensor:
    # torch takes no negative strides, and warns of arrays that may not be written to
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def load_torch(
    model: bytes,
    *,
    device: str = "cpu",
    threads: int | None = None,
    compile: bool = False,
    precision: str = "fp32",
    channels_last: bool | None = None,
    source: str = "model",
) -> TorchEngine:
    """Run an ONNX model by torch.

    Parameters
    ----------
    model
        Bytes of the ONNX file.
    device
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    threads
        Threads within an operator on the CPU (`torch.set_num_threads`, for the whole process);
        default `thread_count`.
    compile
        torch.compile of the whole model, once for each shape of the inputs, at the first call with
        it (seconds to minutes); on the CPU with the weights frozen into the code, on CUDA with
        CUDA graphs.
    precision
        ``"fp32"`` (TF32 off), and on CUDA also ``"tf32"`` or ``"fp16"`` (weights and sums in half
        precision, float outputs in float32).
    channels_last
        Whether 2-D convolutions keep the channels of a pixel together; default: on the CPU, where
        that is the faster on the models of this package, and for fp16.
    source
        Name of the model, for errors.

    Returns
    -------
    TorchEngine
        ``engine({"sequence": letters})`` gives the outputs as a list of arrays.

    Raises
    ------
    ModelIntegrityError
        The bytes are no valid ONNX model.
    UnsupportedOperatorError
        A node, attribute or form of input that this engine does not know.
    ProviderError
        The device, the precision on it or a compiler is missing.
    ValueError
        An unknown device, precision or number of threads.
    """
    return TorchEngine(
        model,
        device=device,
        threads=threads,
        compile=compile,
        precision=precision,
        channels_last=channels_last,
        source=source,
    )


def _check_device(device: str) -> str:
    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", device)
    if match is None:
        raise ValueError(f"device must be 'cpu', 'cuda' or 'cuda:N', not {device!r}")
    if device == "cpu":
        return device
    if not torch.cuda.is_available():
        raise ProviderError(
            f"device {device!r} of the torch engine: torch {torch.__version__} finds no CUDA here: "
            "install a torch built for CUDA (pytorch.org/get-started) and the NVIDIA driver, "
            "or use device='cpu'"
        )
    if int(match[1] or 0) >= torch.cuda.device_count():
        raise ProviderError(
            f"device {device!r}: this machine has {torch.cuda.device_count()} CUDA devices, "
            "counted from 0"
        )
    return device


def _check_precision(precision: str, device: str) -> str:
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    if precision != "fp32" and device == "cpu":
        raise ProviderError(
            f"precision {precision!r} of the torch engine needs device='cuda'; "
            "on the CPU use 'fp32'"
        )
    return precision


def _check_compiler() -> None:
    from torch._inductor import config

    names = [name for name in config.cpp.cxx if name]
    if not any(shutil.which(name) for name in names):
        raise ProviderError(
            f"torch.compile on the CPU needs a C++ compiler, and {' or '.join(names)} is not on "
            "PATH: install g++, name one in the environment variable CXX, or use the engine torch"
        )


def _signature(value: onnx.ValueInfoProto) -> tuple[np.dtype[Any], list[int | None]]:
    kind = value.type.tensor_type
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
    if not kind.HasField("shape"):
        raise ModelIntegrityError(f"input {value.name!r} has no shape")
    sizes = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
    return dtype, sizes


def _prefers_channels_last(module: torch.nn.Module, device: str, precision: str) -> bool:
    # On the CPU eager torch is then mostly faster, up to twice, on the models of this package with
    # convolutions, the 1 × k ones of sequences included; on CUDA tensor cores of fp16 want it.
    convolves = any(weight.ndim == 4 for weight in module.parameters())
    return convolves and (device == "cpu" or precision == "fp16")


@contextlib.contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    """Whether CUDA may round the inputs of float32 products to TF32, set and put back."""
    backends = torch.backends
    settings = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)
    before = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = "tf32" if allowed else "ieee"
        yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.fp32_precision = value


def _shown(shape: Any) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"
