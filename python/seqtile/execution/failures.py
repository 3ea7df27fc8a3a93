"""What the messages of onnxruntime and of the libraries under it mean, and the mend."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

from ..errors import OutOfMemoryError, ProviderError

__all__ = ["explain", "is_out_of_memory", "load_failure", "reason"]

# onnxruntime raises one class for all of these; only the text tells them apart. In turn: its arena
# (CPU and CUDA), its arena with a limit, malloc, CUDA (error 2), cuDNN 8 and 9, cuBLAS, cuFFT.
_OUT_OF_MEMORY = re.compile(
    r"Failed to allocate memory|smaller than requested bytes|Memory allocation failed"
    r"|bad_alloc|bad allocation|out of memory|cudaErrorMemoryAllocation"
    r"|STATUS_ALLOC_FAILED|ALLOCATION_FAILED|CUFFT_ALLOC_FAILED",
    re.IGNORECASE,
)
_DRIVER_TOO_OLD = re.compile(
    r"driver version is insufficient|cudaErrorInsufficientDriver|CUDA (?:failure|error) 35\b"
)
_NO_DEVICE = re.compile(r"no CUDA-capable device|cudaErrorNoDevice|CUDA (?:failure|error) 100\b")
_NO_SUCH_DEVICE = re.compile(
    r"Invalid device ID: \d+, must be between 0 \(inclusive\) and (?P<count>\d+) "
    r"|Invalid device id\. Device id should be less than total number of devices"
    r"|invalid device ordinal|cudaErrorInvalidDevice\b|CUDA (?:failure|error) 101\b"
)
_NO_KERNEL = re.compile(
    r"no kernel image is available|cudaErrorNoKernelImageForDevice|CUDA (?:failure|error) 209\b"
)


# The point of a message that begins with the signatures of templates.
_POINT = re.compile(
    r"(?:CUDA|CUDNN|CUBLAS|CUFFT)(?:_FE)? (?:failure|error) -?\d+.*?(?= ; |$)"
    r"|Failed to allocate memory for requested buffer of size \d+"
)


def reason(error: BaseException) -> str:
    """The point of an error's text: one line, at most 300 characters."""
    line = (str(error).strip() or repr(error)).splitlines()[0]
    point = _POINT.search(line)
    return (point[0] if point else line)[:300]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it says that memory, of the host or of a GPU, could not be had."""
    return isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)) is not None


def explain(error: BaseException, *, source: str, device: str, doing: str) -> ProviderError:
    """The error to raise in the place of one of onnxruntime.

    Parameters
    ----------
    error
        What onnxruntime raised.
    source
        Name of the model.
    device
        Where it ran.
    doing
        What failed, as ``"cannot run"`` or ``"failed"``.

    Returns
    -------
    ProviderError
        `OutOfMemoryError` where memory lacked; else its text names the mend where one is known.
    """
    text = str(error)
    if is_out_of_memory(error):
        where = "this machine" if device == "cpu" else device
        return OutOfMemoryError(
            f"{source}: out of memory on {device}: use a smaller batch, or free memory of {where} "
            f"({reason(error)})"
        )
    mend = ""
    if _DRIVER_TOO_OLD.search(text):
        mend = (
            "the NVIDIA driver is older than the CUDA libraries need: update the driver "
            "(seqtile doctor says which version), or use device='cpu'"
        )
    elif _NO_DEVICE.search(text):
        mend = (
            "no GPU can be seen: check nvidia-smi and CUDA_VISIBLE_DEVICES (in a container pass "
            "the GPU through, as `--gpus all`), or use device='cpu'"
        )
    elif match := _NO_SUCH_DEVICE.search(text):
        there = f", this machine has {match['count']}" if match["count"] else ""
        mend = f"no such GPU{there}: nvidia-smi -L lists them, and the first is cuda:0"
    elif _NO_KERNEL.search(text):
        mend = "this onnxruntime-gpu has no kernels for this GPU: install another version of it"
    if mend:
        return ProviderError(f"{source}: {doing} on {device}: {mend} ({reason(error)})")
    return ProviderError(f"{source}: {doing} on {device}: {reason(error)}")


def load_failure(library: Path) -> str:
    """Why a library of onnxruntime does not load; onnxruntime itself only logs it."""
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        if "undefined symbol" not in str(error):  # of onnxruntime, which loads it otherwise
            return str(error)
    return f"{library.name} did not load"
