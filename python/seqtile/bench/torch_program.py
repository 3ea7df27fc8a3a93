"""The peer engine: a saved ``torch.export`` program run by PyTorch, eager or compiled.

The only module of the package that imports torch: when this engine is asked for, never otherwise.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelIntegrityError, OutOfMemoryError, ProviderError
from ..machine.threads import thread_count

try:
    import torch
except ImportError as error:
    raise ImportError(
        f"the torch engine needs torch: pip install torch, or use the engine onnxruntime ({error})"
    ) from error

__all__ = ["PRECISIONS", "TorchProgram"]

PRECISIONS = ("fp32", "tf32", "fp16")
MOST_SHAPES = 256  # of inputs, each compiled for itself, before torch gives up; its own limit is 8


class TorchProgram:
    """A program on one device.

    Call it with the program's inputs in order; it gives its outputs in order, float32. It may be
    called from any thread, but from one at a time: threads and TF32 are settings of the whole
    process, which it makes at each call (TF32, on CUDA, is put back after it, the threads are not).

    Parameters
    ----------
    path
        What `torch.export.save` wrote. Of its checks only the ranges of sizes stay: a benchmark
        compares the outputs.
    device
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    threads
        Threads within an operator on the CPU; default `thread_count`.
    compile
        torch.compile of the whole program, once for each shape of the inputs, at the first call
        with it (seconds to minutes); on the CPU with the weights frozen into the code, on CUDA with
        CUDA graphs.
    precision
        ``"fp32"`` (TF32 off), and on CUDA also ``"tf32"`` or ``"fp16"`` (`torch.autocast`: products
        in half precision).

    Raises
    ------
    ModelIntegrityError
        The file is no such program.
    ProviderError
        The device, the precision on it or a compiler is missing.
    ValueError
        An unknown device, precision or number of threads.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        device: str = "cpu",
        threads: int | None = None,
        compile: bool = False,
        precision: str = "fp32",
    ) -> None:
        self.device = _check_device(device)
        self.precision = _check_precision(precision, device)
        self.threads = thread_count(threads)
        self._source = str(path)
        self._doing = "torch.compile" if compile else "torch"
        self._run: Any = self._load(path)
        # On the CPU eager torch is then mostly faster, up to twice, on the models of this package
        # with convolutions; on CUDA tensor cores of fp16 want it.
        if device == "cpu" or precision == "fp16":
            self._run = self._run.to(memory_format=torch.channels_last)
        if compile:
            self._run = self._compiled(self._run)

    def __call__(self, *inputs: NDArray[Any]) -> list[NDArray[np.float32]]:
        """Outputs of one batch.

        Raises
        ------
        OutOfMemoryError
            The device has not the memory for the batch.
        ProviderError
            torch cannot run or compile the program on such a batch.
        """
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        try:
            with torch.inference_mode():
                if self.device == "cpu":
                    return [result.numpy() for result in self._results(_host_tensors(inputs))]
                half = torch.autocast("cuda", torch.float16, enabled=self.precision == "fp16")
                with _tf32(self.precision == "tf32"), half:
                    return self._run_on_cuda(inputs)
        except Exception as error:  # torch's own errors share no base but Exception
            reason = _reason(error)
            full = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in reason
            raise (OutOfMemoryError if full else ProviderError)(
                f"{self._source}: {self._doing} failed on {self.device}: {reason}"
            ) from error

    def _results(self, tensors: list[Any]) -> list[Any]:
        found = self._run(*tensors)
        if isinstance(found, torch.Tensor):
            found = [found]
        elif isinstance(found, Mapping):
            found = found.values()
        return [result.float().contiguous() for result in found]

    def _run_on_cuda(self, inputs: tuple[NDArray[Any], ...]) -> list[NDArray[np.float32]]:
        pinned = [tensor.pin_memory() for tensor in _host_tensors(inputs)]
        results = self._results([tensor.to(self.device, non_blocking=True) for tensor in pinned])
        hosts = [torch.empty(result.shape, pin_memory=True) for result in results]
        for host, result in zip(hosts, results, strict=True):
            host.copy_(result, non_blocking=True)
        torch.cuda.synchronize(self.device)
        return [host.numpy() for host in hosts]

    def _load(self, path: str | Path) -> Any:
        from torch.export.passes import move_to_device_pass

        content = Path(path).read_bytes()
        try:
            with warnings.catch_warnings():  # torch's own code, of which it disapproves
                warnings.simplefilter("ignore")
                program = torch.export.load(io.BytesIO(content))
                return move_to_device_pass(program, self.device).module(check_guards=False)
        except Exception as error:  # torch's own errors share no base but Exception
            raise ModelIntegrityError(
                f"{path}: not a program that torch.export.save wrote: {_reason(error)}"
            ) from error

    def _compiled(self, module: Any) -> Any:
        if torch._dynamo.config.disable:
            raise ProviderError(
                "torch.compile is switched off, and would run the program as it is: unset "
                "TORCH_COMPILE_DISABLE, or use the engine torch"
            )
        with warnings.catch_warnings():  # torch's own code, of which it disapproves
            warnings.simplefilter("ignore", DeprecationWarning)
            from torch._inductor import compile_fx  # noqa: F401

        torch._dynamo.config.recompile_limit = MOST_SHAPES
        if self.device != "cpu":
            return torch.compile(module, fullgraph=True, dynamic=False, mode="reduce-overhead")
        _check_compiler()
        return torch.compile(module, fullgraph=True, dynamic=False, options={"freezing": True})


def _reason(error: Exception) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0][:300]


def _host_tensors(arrays: tuple[NDArray[Any], ...]) -> list[Any]:
    # torch takes no negative strides, and warns of arrays that may not be written to
    return [torch.from_numpy(np.require(array, requirements=["C", "W"])) for array in arrays]


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
