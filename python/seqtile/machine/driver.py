"""The NVIDIA driver through its own library, libcuda, without any package."""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Driver", "Gpu", "library_path", "read_driver"]

# CUresult of cuda.h, with what each one means to a user.
_CODES = {
    2: ("CUDA_ERROR_OUT_OF_MEMORY", "the device has no memory left for a context"),
    34: ("CUDA_ERROR_STUB_LIBRARY", "this libcuda.so.1 is the toolkit's stub for linking"),
    46: ("CUDA_ERROR_DEVICE_UNAVAILABLE", "another process holds the device alone"),
    100: ("CUDA_ERROR_NO_DEVICE", "the driver shows this process no device"),
    101: ("CUDA_ERROR_INVALID_DEVICE", "no such device"),
    304: ("CUDA_ERROR_OPERATING_SYSTEM", "a call of the operating system failed"),
    802: ("CUDA_ERROR_SYSTEM_NOT_READY", "the fabric manager is not running"),
    803: ("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "libcuda and the kernel module differ in version"),
    804: ("CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", "the compat libcuda does not fit this card"),
    999: ("CUDA_ERROR_UNKNOWN", "the driver does not say why"),
}
_NO_DEVICE = 100
_NAME = 96  # bytes for a device's name
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


@dataclass(frozen=True)
class Gpu:
    """One device as CUDA counts them.

    Attributes
    ----------
    index
        N of ``"cuda:N"``, after ``CUDA_VISIBLE_DEVICES``.
    name
        The card's.
    memory
        Bytes.
    capability
        Compute capability, as ``"9.0"``.
    bus
        PCI address, as ``"0000:1B:00.0"``; empty where the driver does not say.
    """

    index: int
    name: str
    memory: int
    capability: str
    bus: str


@dataclass(frozen=True)
class Driver:
    """What libcuda says.

    Attributes
    ----------
    path
        The library that was loaded; None if none was.
    failure
        Why it did not load, or why ``cuInit`` failed; None if neither did.
    code
        ``cuInit``'s answer, 0 for success; None if the library did not load.
    cuda
        Highest CUDA version the driver supports, as ``"13.0"``.
    devices
        Visible devices, in CUDA's order.
    visible
        ``CUDA_VISIBLE_DEVICES``, None where it is not set.
    kernel
        Version of the kernel module that is loaded; None if none is.
    cards
        NVIDIA display or compute cards on the PCI bus; None if it cannot be read.
    """

    path: str | None
    failure: str | None
    code: int | None
    cuda: str | None
    devices: tuple[Gpu, ...]
    visible: str | None
    kernel: str | None
    cards: int | None

    @property
    def hidden(self) -> bool:
        """Whether ``CUDA_VISIBLE_DEVICES`` may be why there is no device."""
        return self.code == _NO_DEVICE and self.visible is not None


def read_driver() -> Driver:
    """Ask the driver; initialises CUDA in this process, which must not fork afterwards."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return _driver(None, str(error))
    path = library_path(cuda) or "libcuda.so.1"
    try:
        code = int(cuda.cuInit(0))
        version = ctypes.c_int()
        known = cuda.cuDriverGetVersion(ctypes.byref(version)) == 0
        devices = () if code else _devices(cuda)
    except AttributeError as error:
        return _driver(path, f"{path} is no NVIDIA driver: {error}")
    supported = f"{version.value // 1000}.{version.value % 1000 // 10}" if known else None
    failure = None
    if code:
        name, meaning = _CODES.get(code, (f"CUDA error {code}", "see CUresult in cuda.h"))
        failure = f"cuInit answers {code}, {name}: {meaning}"
    return _driver(path, failure, code, supported, devices)


def _driver(
    path: str | None,
    failure: str | None,
    code: int | None = None,
    cuda: str | None = None,
    devices: tuple[Gpu, ...] = (),
) -> Driver:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return Driver(path, failure, code, cuda, devices, visible, _kernel_module(), _cards())


def _devices(cuda: ctypes.CDLL) -> tuple[Gpu, ...]:
    count = ctypes.c_int()
    if cuda.cuDeviceGetCount(ctypes.byref(count)):
        return ()
    return tuple(_device(cuda, index) for index in range(count.value))


def _device(cuda: ctypes.CDLL, index: int) -> Gpu:
    device = ctypes.c_int()
    cuda.cuDeviceGet(ctypes.byref(device), index)
    name = ctypes.create_string_buffer(_NAME)
    cuda.cuDeviceGetName(name, _NAME, device)
    memory = ctypes.c_size_t()
    cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    major, minor = ctypes.c_int(), ctypes.c_int()
    cuda.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
    bus = ctypes.create_string_buffer(32)
    if cuda.cuDeviceGetPCIBusId(bus, len(bus), device):
        bus.value = b""
    capability = f"{major.value}.{minor.value}"
    return Gpu(index, name.value.decode(), memory.value, capability, bus.value.decode())


def _kernel_module() -> str | None:
    """From ``/proc/driver/nvidia/version``; also there in a container that lacks libcuda."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text()
    except OSError:
        return None
    words = text.splitlines()[0].split() if text else []
    return next((word for word in words if word[:1].isdigit() and "." in word), "unknown")


def _cards(root: Path = Path("/sys/bus/pci/devices")) -> int | None:
    """NVIDIA's (vendor 0x10de) display (0x03) and accelerator (0x12) cards."""
    found = 0
    try:
        for folder in root.iterdir():
            vendor = (folder / "vendor").read_text().strip()
            kind = (folder / "class").read_text().strip()
            found += vendor == "0x10de" and kind[:4] in ("0x03", "0x12")
    except OSError:
        return None
    return found


class _LinkMap(ctypes.Structure):
    _fields_ = (("address", ctypes.c_void_p), ("name", ctypes.c_char_p))


def library_path(library: ctypes.CDLL) -> str | None:
    """The file that a loaded library came from; None where the system cannot say (dlinfo)."""
    if not sys.platform.startswith("linux"):
        return None
    link = ctypes.POINTER(_LinkMap)()
    try:
        dlinfo = ctypes.CDLL(None).dlinfo
    except AttributeError:
        return None
    dlinfo.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    if dlinfo(library._handle, 2, ctypes.byref(link)) or not link:  # RTLD_DI_LINKMAP
        return None
    name = link.contents.name
    return os.fsdecode(name) if name else None
