"""onnxruntime's execution providers: their names, options, and the precisions each has."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

from ..errors import ProviderError

__all__ = [
    "CPU",
    "CUDA",
    "ON_CPU",
    "PRECISIONS",
    "Precision",
    "check_precision",
    "providers",
]

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

Precision: TypeAlias = Literal["fp32", "tf32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
ON_CPU = ("fp32", "int8")
_ON_CUDA = ("fp32", "tf32", "fp16")


def check_precision(precision: str, device: str) -> Precision:
    """The precision, if there is one of that name and the device has it.

    Parameters
    ----------
    precision
        Of `PRECISIONS`.
    device
        As of `parse_devices`, or ``"auto"``, which has them all.

    Raises
    ------
    ValueError
        Unknown precision.
    ProviderError
        One that needs a GPU asked of the CPU, or int8 of a GPU.
    """
    for known in PRECISIONS:
        if precision == known:
            break
    else:
        names = ", ".join(repr(known) for known in PRECISIONS)
        raise ValueError(f"precision must be one of {names}, not {precision!r}")
    if device == "cpu" and precision not in ON_CPU:
        raise ProviderError(
            f"precision {precision!r} needs a GPU: use device='cuda', or precision='fp32'"
        )
    if device not in ("cpu", "auto") and precision not in _ON_CUDA:
        raise ProviderError(
            f"precision {precision!r} is for the CPU: use device='cpu', or, on a GPU, 'fp16'"
        )
    return known


def providers(device: str, precision: Precision, *, graphs: bool) -> list[Any]:
    """The execution provider of a device with its options, as onnxruntime takes them.

    Parameters
    ----------
    device
        ``"cpu"`` or ``"cuda:N"``.
    precision
        In what the device multiplies.
    graphs
        Whether the session may capture CUDA graphs.
    """
    if device == "cpu":
        return [CPU]
    options = {
        "device_id": device.removeprefix("cuda:"),
        "cudnn_conv_algo_search": "HEURISTIC",
        "cudnn_conv1d_pad_to_nc1d": "1",  # as (1, k), which cuDNN has faster kernels for
        "arena_extend_strategy": "kSameAsRequested",
        "do_copy_in_default_stream": "1",  # a stream of its own races (onnxruntime #4829)
        "use_tf32": "1" if precision == "tf32" else "0",
        "enable_cuda_graph": "1" if graphs else "0",
    }
    return [(CUDA, options)]
