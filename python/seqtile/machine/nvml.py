"""NVML: what the driver's management library says of devices, by ctypes.

Utilisation, power, energy and memory of one device for benchmarks (`Meter`), and the driver's
version for ``seqtile doctor``. Where NVML does not answer (no driver, a virtual card, a container
without it) a reading is None; nothing here raises for it.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any

from ..closing import Closing
from .driver import library_path

__all__ = ["Management", "Meter", "Usage", "Watch", "read_management"]

_CODES = {
    1: "not initialised",
    2: "invalid argument",
    3: "not supported by this device",
    4: "no permission",
    6: "not found",
    9: "the kernel module is not loaded",
    12: "no libnvidia-ml.so.1",
    15: "the device fell off the bus",
    18: "the driver's library and kernel module differ in version: reboot, or reload the module",
}


class _Memory(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_ulonglong) for name in ("total", "free", "used"))


class _Utilization(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


@dataclass(frozen=True)
class Management:
    """What NVML says of the machine, whatever ``CUDA_VISIBLE_DEVICES`` hides.

    Attributes
    ----------
    failure
        Why it does not answer, in one line; None if it does.
    path
        The library.
    driver
        Version of the driver, as ``"580.65.06"``.
    devices
        Names of all devices, in PCI order.
    """

    failure: str | None
    path: str | None
    driver: str | None
    devices: tuple[str, ...]


def read_management() -> Management:
    """The driver's version and all devices."""
    nvml, failure = _open()
    if nvml is None:
        return Management(failure, None, None, ())
    try:
        text = ctypes.create_string_buffer(96)
        known = _call(nvml, "nvmlSystemGetDriverVersion", text, len(text)) == 0
        count = ctypes.c_uint()
        _call(nvml, "nvmlDeviceGetCount_v2", ctypes.byref(count))
        names = []
        for index in range(count.value):
            device = ctypes.c_void_p()
            if _call(nvml, "nvmlDeviceGetHandleByIndex_v2", index, ctypes.byref(device)) == 0:
                names.append(_name(nvml, device) or "unnamed")
        driver = text.value.decode() if known else None
        return Management(None, library_path(nvml), driver, tuple(names))
    finally:
        _call(nvml, "nvmlShutdown")


def _open() -> tuple[ctypes.CDLL | None, str | None]:
    """NVML, initialised, or why not."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError as error:
        return None, str(error)
    code = _call(nvml, "nvmlInit_v2")
    if code:
        return None, f"nvmlInit answers {code}: {_CODES.get(code, 'see nvmlReturn_t in nvml.h')}"
    return nvml, None


def _call(nvml: ctypes.CDLL, function: str, *arguments: Any) -> int:
    """The function's answer; 13, NVML's own code for it, where the library lacks it."""
    try:
        return int(getattr(nvml, function)(*arguments))
    except AttributeError:
        return 13


def _name(nvml: ctypes.CDLL, device: ctypes.c_void_p) -> str | None:
    text = ctypes.create_string_buffer(96)
    answered = _call(nvml, "nvmlDeviceGetName", device, text, len(text)) == 0
    return text.value.decode() if answered else None


class Meter(Closing):
    """Utilisation, power, energy and memory of one device.

    Parameters
    ----------
    device
        N of ``"cuda:N"``: CUDA's index, after ``CUDA_VISIBLE_DEVICES``. NVML counts in another
        order and sees all devices; the PCI address that CUDA gives joins the two.

    Attributes
    ----------
    why
        Why nothing can be read, in one line; None if NVML answers for the device.
    name
        The card's.
    """

    def __init__(self, device: int = 0) -> None:
        self.name: str | None = None
        self._device = ctypes.c_void_p()
        self._nvml, self.why = _open()
        if self._nvml is None:
            return
        self.why = self._find(self._nvml, device)
        if self.why:
            self.close()
        else:
            self.name = _name(self._nvml, self._device)

    def _find(self, nvml: ctypes.CDLL, index: int) -> str | None:
        bus = _bus_id(index)
        target = ctypes.byref(self._device)
        if bus is not None:
            code = _call(nvml, "nvmlDeviceGetHandleByPciBusId_v2", bus, target)
        elif "CUDA_VISIBLE_DEVICES" in os.environ:
            return f"CUDA does not say which card cuda:{index} is"
        else:
            code = _call(nvml, "nvmlDeviceGetHandleByIndex_v2", index, target)
        return f"NVML has no device {index}: {_CODES.get(code, f'error {code}')}" if code else None

    def utilization(self) -> int | None:
        """Per cent of the driver's last sample period (1/6 to 1 s) in which a kernel ran."""
        rates = _Utilization()
        return int(rates.gpu) if self._read("nvmlDeviceGetUtilizationRates", rates) else None

    def power(self) -> float | None:
        """Watts, now."""
        milliwatts = ctypes.c_uint()
        return milliwatts.value / 1e3 if self._read("nvmlDeviceGetPowerUsage", milliwatts) else None

    def energy(self) -> float | None:
        """Joules since the driver was loaded: the difference of two is a run's."""
        millijoules = ctypes.c_ulonglong()
        known = self._read("nvmlDeviceGetTotalEnergyConsumption", millijoules)
        return millijoules.value / 1e3 if known else None

    def memory(self) -> int | None:
        """Bytes in use on the device, by all processes."""
        memory = _Memory()
        return int(memory.used) if self._read("nvmlDeviceGetMemoryInfo", memory) else None

    def memory_total(self) -> int | None:
        """Bytes the device has."""
        memory = _Memory()
        return int(memory.total) if self._read("nvmlDeviceGetMemoryInfo", memory) else None

    def _read(self, function: str, into: Any) -> bool:
        if self._nvml is None:
            return False
        return _call(self._nvml, function, self._device, ctypes.byref(into)) == 0

    def watch(self, every: float = 0.1) -> Watch:
        """Measure what runs in the ``with`` block; ``every`` is the seconds between samples."""
        return Watch(self, every)

    def close(self) -> None:
        """Let NVML go; later readings are None."""
        nvml, self._nvml = self._nvml, None
        if nvml is not None:
            _call(nvml, "nvmlShutdown")


def _bus_id(index: int) -> bytes | None:
    """PCI address of CUDA's device, if CUDA answers."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
        if cuda.cuInit(0):
            return None
        device = ctypes.c_int()
        text = ctypes.create_string_buffer(32)
        if cuda.cuDeviceGet(ctypes.byref(device), index):
            return None
        return None if cuda.cuDeviceGetPCIBusId(text, len(text), device) else text.value
    except (OSError, AttributeError):
        return None


@dataclass(frozen=True)
class Usage:
    """What a device did while something ran.

    Attributes
    ----------
    seconds
        Wall-clock time of the block.
    samples
        Readings of utilisation that NVML answered.
    utilization
        Mean per cent of the samples; None without one.
    memory_peak
        Bytes, the highest sample; all processes on the device.
    energy
        Joules: by the device's counter; where it has none, mean power times the time.
    power
        Watts, mean: energy by time.
    """

    seconds: float
    samples: int
    utilization: float | None
    memory_peak: int | None
    energy: float | None
    power: float | None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


class Watch:
    """A thread that samples a `Meter` while the ``with`` block runs; then ``usage`` is set."""

    usage: Usage

    def __init__(self, meter: Meter, every: float) -> None:
        if not every > 0:
            raise ValueError(f"every must be above 0 seconds, not {every}")
        self._meter = meter
        self._every = every
        self._done = threading.Event()
        self._utilization: list[int] = []
        self._memory: list[int] = []
        self._power: list[float] = []

    def __enter__(self) -> Watch:
        self._begun = time.perf_counter()
        self._energy = self._meter.energy()
        self._thread = threading.Thread(target=self._sample, name="meter", daemon=True)
        if self._meter.why is None:
            self._thread.start()
        return self

    def _sample(self) -> None:
        while True:
            for values, read in self._readings():
                value = read()
                if value is not None:
                    values.append(value)
            if self._done.wait(self._every):
                return

    def _readings(self) -> tuple[tuple[list[Any], Callable[[], float | None]], ...]:
        meter = self._meter
        return (
            (self._utilization, meter.utilization),
            (self._memory, meter.memory),
            (self._power, meter.power),
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()
        seconds = time.perf_counter() - self._begun
        after = self._meter.energy()
        energy = after - self._energy if after is not None and self._energy is not None else None
        if energy is None and self._power:
            energy = _mean(self._power) * seconds
        self.usage = Usage(
            seconds=seconds,
            samples=len(self._utilization),
            utilization=_mean(self._utilization) if self._utilization else None,
            memory_peak=max(self._memory, default=None),
            energy=energy,
            power=energy / seconds if energy is not None and seconds > 0 else None,
        )


def _mean(values: list[Any]) -> float:
    return float(sum(values)) / len(values)
