"""What CUDA lacks on this machine, fault by fault, each with its mend.

The order is that in which things must be there: one onnxruntime wheel, a GPU build, a driver, a
device, a driver new enough for the build, the libraries. `check_cuda` raises the first fault;
`examine_cuda` gathers all for ``seqtile doctor``.
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import ProviderError
from ..versions import version
from .cuda_libraries import Library, Wheel, read_libraries, read_wheel, runtime_wheels
from .devices import parse_devices
from .driver import Driver, read_driver
from .nvml import Management, read_management

__all__ = [
    "CudaState",
    "Fault",
    "check_cuda",
    "cuda_indices",
    "examine_cuda",
    "install_command",
    "preload",
    "runtime_wheels",
]

GPU_WHEEL = "onnxruntime-gpu[cuda,cudnn]"
CONSTRAINTS = ".ci/constraints-gpu.txt"
_LAST_FOR_CUDA_12 = "1.26.0"  # from 1.27 on PyPI's wheels are built for CUDA 13
_DRIVERS = {12: 525, 13: 580}  # first driver branch of each CUDA major version
_CAPABILITY_OF_13 = 7.5  # CUDA 13 dropped Maxwell, Pascal and Volta

_INIT_MENDS = {
    34: "take the CUDA toolkit's stubs folder out of LD_LIBRARY_PATH",
    46: "end the process that holds the device (nvidia-smi lists it)",
    802: "sudo systemctl start nvidia-fabricmanager",
    803: "reboot, so that the kernel module of the driver installed last is loaded",
    804: "take the cuda-compat folder out of LD_LIBRARY_PATH",
    999: "sudo modprobe -r nvidia_uvm && sudo modprobe nvidia_uvm",
}


@dataclass(frozen=True)
class Fault:
    """Something that keeps CUDA from working.

    Attributes
    ----------
    what
        The fact, in one line.
    mend
        A command, or, where none helps, what to do.
    command
        Whether ``mend`` is a command for the shell.
    fatal
        Whether CUDA cannot work with it.
    """

    what: str
    mend: str
    command: bool = True
    fatal: bool = True

    def __str__(self) -> str:
        return f"{self.what}: {self.mend}"


@dataclass(frozen=True)
class CudaState:
    """All that was found."""

    wheel: Wheel
    driver: Driver
    management: Management
    libraries: tuple[Library, ...]
    preload: tuple[str, ...]
    faults: tuple[Fault, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


def cuda_indices(device: str) -> tuple[int, ...]:
    """Indices of ``"cuda"`` (0), ``"cuda:N"`` or ``"cuda:N,M"``.

    Raises
    ------
    ValueError
        No name of a CUDA device, or the same index twice.
    """
    names = parse_devices(device)
    if names == ["cpu"]:
        raise ValueError("device 'cpu' is no CUDA device: expected 'cuda', 'cuda:N' or 'cuda:N,M'")
    return tuple(int(name.removeprefix("cuda:")) for name in names)


@functools.cache  # what is right stays right in a process; an error is no result
def check_cuda(device: str = "cuda") -> None:
    """See that CUDA can work for ``device``; loads the CUDA libraries into this process.

    Raises
    ------
    ValueError
        No name of a CUDA device.
    ProviderError
        Something is missing: two wheels that clash, a CPU build, no driver, no device, a driver or
        a device too old for the build, an index out of range, a library. One line, with the mend.
    """
    indices = cuda_indices(device)
    wheel, driver = read_wheel(), read_driver()
    for fault in (*_early(wheel, driver, indices), *_late(wheel, driver)):
        if fault.fatal:
            raise ProviderError(str(fault))


def examine_cuda(device: str = "cuda") -> CudaState:
    """Everything about CUDA here, and every fault in the way of ``device``.

    Raises
    ------
    ValueError
        No name of a CUDA device.
    """
    indices = cuda_indices(device)
    wheel, driver, management = read_wheel(), read_driver(), read_management()
    printed: list[str] = []
    if wheel.provider:
        try:
            printed = preload()
        except ImportError as error:
            printed = [str(error)]
    libraries = read_libraries(wheel, sources=True)
    faults = [*_early(wheel, driver, indices), *_of_libraries(wheel, driver, libraries)]
    return CudaState(wheel, driver, management, tuple(libraries), tuple(printed), tuple(faults))


def preload() -> list[str]:
    """`onnxruntime.preload_dlls`, which prints to standard output; here its lines are returned."""
    import onnxruntime

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        onnxruntime.preload_dlls()
    return printed.getvalue().splitlines()


def install_command(driver: Driver | None = None) -> str:
    """The command that installs the GPU build that this driver and its devices can run."""
    if driver is not None and _needs_cuda_12(driver):
        return f"pip install '{GPU_WHEEL}=={_LAST_FOR_CUDA_12}'"
    pins = f"-c {CONSTRAINTS} " if Path(CONSTRAINTS).is_file() else ""
    return f"pip install {pins}'{GPU_WHEEL}'"


def _needs_cuda_12(driver: Driver) -> bool:
    capabilities = [float(gpu.capability) for gpu in driver.devices]
    old = bool(capabilities) and min(capabilities) < _CAPABILITY_OF_13
    return old or (driver.cuda or "").startswith("12.")


def _early(wheel: Wheel, driver: Driver, indices: tuple[int, ...]) -> Iterator[Fault]:
    """Faults that are seen without loading a library, first things first."""
    yield from _of_wheel(wheel, driver)
    if driver.path is None or driver.code is None:
        yield _no_driver(driver)
    elif driver.code or not driver.devices:
        yield _no_device(driver)
    yield from _too_old(wheel, driver, indices)
    missing = [index for index in indices if index >= len(driver.devices)]
    if driver.devices and missing:
        names = ", ".join(f"cuda:{gpu.index} {gpu.name}" for gpu in driver.devices)
        hidden = f"; CUDA_VISIBLE_DEVICES is {driver.visible!r}" if driver.visible else ""
        yield Fault(
            f"device 'cuda:{missing[0]}' is out of range, CUDA shows {names}{hidden}",
            f"use device='cuda:{len(driver.devices) - 1}'",
            command=False,
        )


def _of_wheel(wheel: Wheel, driver: Driver) -> Iterator[Fault]:
    gpu = wheel.installed.get("onnxruntime-gpu")
    if len(wheel.installed) > 1:
        yield Fault(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other",
            f"pip uninstall -y onnxruntime onnxruntime-gpu && {install_command(driver)}",
        )
    elif gpu is None and wheel.provider is None:
        before = "pip uninstall -y onnxruntime && " if wheel.module else ""
        what = (
            f"the CPU build of onnxruntime {wheel.version or ''} is installed"
            if wheel.module
            else "no onnxruntime is installed"
        )
        yield Fault(
            f"device 'cuda' needs onnxruntime-gpu, but {what}", before + install_command(driver)
        )
    elif wheel.provider is None or (gpu is not None and wheel.version != gpu):
        build = "GPU" if wheel.provider else "CPU"
        yield Fault(
            f"onnxruntime-gpu {gpu} is installed, but in its place lies the {build} build "
            f"{wheel.version} of another wheel",
            f"pip install --force-reinstall --no-deps onnxruntime-gpu=={gpu}",
        )


def _no_driver(driver: Driver) -> Fault:
    if driver.path is not None or "No such file" not in (driver.failure or ""):
        return Fault(
            f"device 'cuda' needs an NVIDIA driver, but its libcuda.so.1 does not load "
            f"({driver.failure})",
            "install the driver again, or take the folder of that file out of LD_LIBRARY_PATH",
            command=False,
        )
    what = "device 'cuda' needs an NVIDIA driver, but libcuda.so.1 is not on this machine"
    if driver.kernel is not None:
        return Fault(
            f"{what}, though its kernel runs the driver's module {driver.kernel}",
            "start the container with the GPU passed through (docker run --gpus all)",
            command=False,
        )
    if driver.cards == 0:
        what += ", nor is an NVIDIA card"
    return Fault(
        what,
        "install the driver (and in a container pass the GPU through, as `--gpus all`), "
        "or use device='cpu'",
        command=False,
    )


def _no_device(driver: Driver) -> Fault:
    if driver.hidden:
        return Fault(
            f"no CUDA device: CUDA_VISIBLE_DEVICES={driver.visible!r} hides all of them",
            "unset CUDA_VISIBLE_DEVICES",
        )
    mend = _INIT_MENDS.get(driver.code or 0)
    if mend is None:
        mend = "see that nvidia-smi lists the card (in a container: docker run --gpus all)"
    return Fault(
        f"no CUDA device: {driver.failure or 'the driver counts 0 devices'} ({driver.path})",
        mend,
        command=mend.startswith("sudo "),
    )


def _too_old(wheel: Wheel, driver: Driver, indices: tuple[int, ...]) -> Iterator[Fault]:
    """The driver must support the build's major version of CUDA, the build the device."""
    if wheel.cuda is None or driver.cuda is None:
        return
    needed, supported = (int(text.partition(".")[0]) for text in (wheel.cuda, driver.cuda))
    build = f"onnxruntime-gpu {wheel.version} is built for CUDA {wheel.cuda}"
    if supported < needed:
        branch = f"driver {_DRIVERS[needed]} or later" if needed in _DRIVERS else "a later driver"
        what = f"the NVIDIA driver supports CUDA {driver.cuda}, but {build}, which needs {branch}"
        if supported == 12:
            yield Fault(what, _downgrade())
        else:
            yield Fault(what, f"install {branch}", command=False)
        return
    for gpu in driver.devices:
        if gpu.index in indices and needed >= 13 and float(gpu.capability) < _CAPABILITY_OF_13:
            yield Fault(
                f"cuda:{gpu.index} {gpu.name} has compute capability {gpu.capability}, but {build},"
                f" which needs {_CAPABILITY_OF_13}",
                _downgrade(),
            )


def _downgrade() -> str:
    gone = [n for n in ("onnxruntime-gpu", "nvidia-cudnn-cu13") if version(n) is not None]
    remove = f"pip uninstall -y {' '.join(gone)} && " if gone else ""
    return f"{remove}pip install '{GPU_WHEEL}=={_LAST_FOR_CUDA_12}'"


def _late(wheel: Wheel, driver: Driver) -> Iterator[Fault]:
    """Faults that are seen by loading the libraries."""
    if wheel.provider:
        preload()
    yield from _of_libraries(wheel, driver, read_libraries(wheel))


def _of_libraries(wheel: Wheel, driver: Driver, libraries: list[Library]) -> Iterator[Fault]:
    broken = [library for library in libraries if library.failure]
    fatal = [library for library in broken if library.use != "rarely"]
    if fatal:
        names = ", ".join(library.name for library in fatal)
        yield Fault(
            f"onnxruntime-gpu {wheel.version} needs {names}, which did not load "
            f"({fatal[0].failure})",
            _reinstall(wheel, driver, fatal),
        )
    elif broken:
        names = ", ".join(library.name for library in broken)
        yield Fault(
            f"{names} did not load ({broken[0].failure}); no shipped model needs it",
            _reinstall(wheel, driver, broken),
            fatal=False,
        )
    both = [name for name in ("nvidia-cudnn-cu12", "nvidia-cudnn-cu13") if version(name)]
    if wheel.cuda and len(both) > 1:
        right = f"nvidia-cudnn-cu{wheel.cuda.partition('.')[0]}"
        yield Fault(
            f"{' and '.join(both)} are both installed and overwrite each other's files",
            f"pip uninstall -y {' '.join(both)} && pip install {right}=={version(right)}",
            fatal=bool(fatal),
        )


_WHEELS = {
    "cublas": "cublas",
    "cublasLt": "cublas",
    "cudart": "cuda-runtime",
    "cufft": "cufft",
    "curand": "curand",
    "nvrtc": "cuda-nvrtc",
}


def _reinstall(wheel: Wheel, driver: Driver, libraries: list[Library]) -> str:
    """What brings the libraries: their wheels again if pip believes them there, else the extras."""
    major = (wheel.cuda or "").partition(".")[0]
    pins = []
    for library in libraries:
        stem = library.name.partition(".")[0].removeprefix("lib")
        suffix = f"-cu{major}" if stem == "cudnn" or major == "12" else ""
        name = f"nvidia-{_WHEELS.get(stem, stem)}{suffix}"
        known = version(name)
        if stem.startswith("onnxruntime"):
            return f"pip install --force-reinstall --no-deps onnxruntime-gpu=={wheel.version}"
        if known is None:
            return (
                f"pip install '{GPU_WHEEL}=={wheel.version}'"
                if wheel.version
                else (install_command(driver))
            )
        pins.append(f"{name}=={known}")
    return f"pip install --force-reinstall --no-deps {' '.join(dict.fromkeys(pins))}"
