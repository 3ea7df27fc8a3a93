"""Memory of a device, and memory of the host that copies to and from it at full speed.

Not through onnxruntime's own allocator for bound values: its arena keeps what is freed, which
is then missing to the session, and two threads may not be the first to use it.
"""

from __future__ import annotations

import ctypes
import weakref
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Block", "CudaMemory", "HostMemory", "Memory"]

_PORTABLE = 1  # cudaHostAllocPortable: pinned for every device of the process
_NON_BLOCKING = 1  # cudaStreamNonBlocking: not ordered with the default stream
_EITHER_WAY = 4  # cudaMemcpyDefault: the addresses say from where to where


@dataclass(eq=False)
class Block:
    """Memory of a device, freed with the last reference to it.

    Attributes
    ----------
    address
        Where it begins, on the device.
    owner
        What it lives in, if anything of Python.
    """

    address: int
    owner: object = None


class Memory(Protocol):
    """Memory of a device, memory of the host for staging, and copies between them."""

    def block(self, size: int) -> Block:
        """Uninitialised bytes of the device."""
        ...

    def empty(self, size: int) -> NDArray[np.uint8]:
        """Uninitialised bytes of the host, (size,)."""
        ...

    def copy(self, to: int, start: int, size: int) -> None:
        """Begin to copy ``size`` bytes from address ``start`` to address ``to``."""
        ...

    def wait(self) -> None:
        """Return when all copies begun are done."""
        ...


class HostMemory:
    """Memory of a device that is the host."""

    def block(self, size: int) -> Block:
        """Uninitialised bytes."""
        array = np.empty(size, np.uint8)
        return Block(array.ctypes.data, array)

    def empty(self, size: int) -> NDArray[np.uint8]:
        """Uninitialised bytes, (size,)."""
        return np.empty(size, np.uint8)

    def copy(self, to: int, start: int, size: int) -> None:
        """Copy ``size`` bytes from address ``start`` to address ``to``."""
        ctypes.memmove(to, start, size)

    def wait(self) -> None:
        """Nothing is ever under way."""


class CudaMemory:
    """A GPU's memory, pinned memory, and copies on a stream of its own, by the CUDA runtime.

    Parameters
    ----------
    device
        Number of the GPU.
    library
        The CUDA runtime, as ``"libcudart.so.13"``: the one that onnxruntime has loaded.

    Raises
    ------
    OSError
        No such library.
    RuntimeError
        A call failed; the message is as onnxruntime's own, ``"CUDA failure N: ..."``.
    """

    def __init__(self, device: int, library: str) -> None:
        self._device = device
        self._runtime = ctypes.CDLL(library)
        self._runtime.cudaGetErrorString.restype = ctypes.c_char_p
        stream = ctypes.c_void_p()
        self._call("cudaSetDevice", ctypes.c_int(device))
        self._call("cudaStreamCreateWithFlags", ctypes.byref(stream), ctypes.c_uint(_NON_BLOCKING))
        self._stream = stream
        weakref.finalize(self, self._runtime.cudaStreamDestroy, stream).atexit = False

    def block(self, size: int) -> Block:
        """Uninitialised bytes of the GPU."""
        address = ctypes.c_void_p()
        self._call("cudaSetDevice", ctypes.c_int(self._device))
        self._call("cudaMalloc", ctypes.byref(address), ctypes.c_size_t(max(size, 1)))
        assert address.value is not None  # cudaMalloc succeeded
        block = Block(address.value)
        weakref.finalize(block, self._runtime.cudaFree, address).atexit = False
        return block

    def empty(self, size: int) -> NDArray[np.uint8]:
        """Uninitialised pinned bytes, (size,); freed with the last array on them."""
        address = ctypes.c_void_p()
        self._call("cudaSetDevice", ctypes.c_int(self._device))
        self._call(
            "cudaHostAlloc",
            ctypes.byref(address),
            ctypes.c_size_t(max(size, 1)),
            ctypes.c_uint(_PORTABLE),
        )
        assert address.value is not None  # cudaHostAlloc succeeded
        block = (ctypes.c_uint8 * size).from_address(address.value)
        # At exit the driver frees it, perhaps before Python would.
        weakref.finalize(block, self._runtime.cudaFreeHost, address).atexit = False
        return np.ctypeslib.as_array(block)

    def copy(self, to: int, start: int, size: int) -> None:
        """Begin to copy ``size`` bytes from address ``start`` to address ``to``."""
        self._call("cudaSetDevice", ctypes.c_int(self._device))
        self._call(
            "cudaMemcpyAsync",
            ctypes.c_void_p(to),
            ctypes.c_void_p(start),
            ctypes.c_size_t(size),
            ctypes.c_int(_EITHER_WAY),
            self._stream,
        )

    def wait(self) -> None:
        """Return when all copies begun are done."""
        self._call("cudaStreamSynchronize", self._stream)

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._runtime, name)(*arguments)
        if code:
            self._runtime.cudaGetLastError()  # else onnxruntime takes it for one of its own
            text = self._runtime.cudaGetErrorString(ctypes.c_int(code)).decode()
            raise RuntimeError(f"CUDA failure {code}: {text} ; {name}")
