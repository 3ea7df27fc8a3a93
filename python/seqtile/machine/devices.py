"""Names of devices, the precisions each takes, and their options for onnxruntime."""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias, get_args

from ..errors import ProviderError

__all__ = [
    "CPU",
    "CUDA",
    "ON_CPU",
    "PRECISIONS",
    "Precision",
    "check_precision",
    "parse_devices",
    "providers",
]

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

Precision: TypeAlias = Literal["fp32", "tf32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
ON_CPU = ("fp32", "int8")
_ON_CUDA = ("fp32", "tf32", "fp16")


def parse_devices(device: str) -> list[str]:
    """The devices that a string names, each as `Session` takes it.

    Parameters
    ----------
    device
        ``"cpu"``, ``"cuda"`` (the first GPU), ``"cuda:N"``, or several GPUs, ``"cuda:0,1"``.

    Returns
    -------
    list of str
        ``["cpu"]``, or ``"cuda:N"`` for each GPU, in the order given.

    Raises
    ------
    ValueError
        No such device, or one GPU named twice.
    """
    if device == "cpu":
        return ["cpu"]
    match = re.fullmatch(r"cuda(?::([0-9]{1,4}(?:,[0-9]{1,4})*))?", device)
    if match is None:
        raise ValueError(
            "device must be 'auto', 'cpu', 'cuda', 'cuda:N' or several as 'cuda:0,1', "
            f"not {device!r}"
        )
    numbers = [int(number) for number in (match[1] or "0").split(",")]
    for number in numbers:
        if numbers.count(number) > 1:
            raise ValueError(f"device names cuda:{number} more than once: {device!r}")
    return [f"cuda:{number}" for number in numbers]


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
