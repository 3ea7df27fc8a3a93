"""NVML: what the driver's management library says of devices, through nvidia-ml-py.

Utilisation, power, energy and memory of one device for benchmarks (`Meter`), and the driver's
version for ``seqtile doctor``. Where NVML does not answer (no nvidia-ml-py, no driver, a virtual
card) a reading is None, with the reason beside it; nothing here raises for it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any

from ..closing import Closing
from .driver import library_path, read_driver

__all__ = ["Management", "Meter", "Usage", "Watch", "read_management"]


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
        names = [
            nvml.nvmlDeviceGetName(nvml.nvmlDeviceGetHandleByIndex(index))
            for index in range(nvml.nvmlDeviceGetCount())
        ]
        path = library_path(nvml.nvmlLib)
        return Management(None, path, nvml.nvmlSystemGetDriverVersion(), tuple(names))
    except nvml.NVMLError as error:
        return Management(f"NVML: {error}", None, None, ())
    finally:
        nvml.nvmlShutdown()


def _open() -> tuple[Any, str | None]:
    """The module of NVML, initialised, or why not."""
    try:
        import pynvml
    except ImportError:
        return None, "nvidia-ml-py is not installed: pip install nvidia-ml-py"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return None, f"NVML: {error}"
    return pynvml, None


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
        self._device: Any = None
        self._nvml, self.why = _open()
        if self._nvml is None:
            return
        bus = {gpu.index: gpu.bus for gpu in read_driver().devices}.get(device)
        if not bus and "CUDA_VISIBLE_DEVICES" in os.environ:
            self.why = f"CUDA does not say which card cuda:{device} is"
            self.close()
            return
        try:
            self._device = (
                self._nvml.nvmlDeviceGetHandleByPciBusId(bus)
                if bus
                else self._nvml.nvmlDeviceGetHandleByIndex(device)
            )
        except self._nvml.NVMLError as error:
            self.why = f"NVML has no device {device}: {error}"
            self.close()
            return
        self.name = self._read("nvmlDeviceGetName")

    def utilization(self) -> int | None:
        """Per cent of the driver's last sample period (1/6 to 1 s) in which a kernel ran."""
        rates = self._read("nvmlDeviceGetUtilizationRates")
        return None if rates is None else int(rates.gpu)

    def power(self) -> float | None:
        """Watts, now."""
        milliwatts = self._read("nvmlDeviceGetPowerUsage")
        return None if milliwatts is None else milliwatts / 1e3

    def energy(self) -> float | None:
        """Joules since the driver was loaded: the difference of two is a run's."""
        millijoules = self._read("nvmlDeviceGetTotalEnergyConsumption")
        return None if millijoules is None else millijoules / 1e3

    def memory(self) -> int | None:
        """Bytes in use on the device, by all processes."""
        memory = self._read("nvmlDeviceGetMemoryInfo")
        return None if memory is None else int(memory.used)

    def memory_total(self) -> int | None:
        """Bytes the device has."""
        memory = self._read("nvmlDeviceGetMemoryInfo")
        return None if memory is None else int(memory.total)

    def _read(self, function: str) -> Any:
        """What NVML answers for the device; None where it does not."""
        if self._nvml is None:
            return None
        try:
            return getattr(self._nvml, function)(self._device)
        except self._nvml.NVMLError:
            return None

    def watch(self, every: float = 0.1) -> Watch:
        """Measure what runs in the ``with`` block; ``every`` is the seconds between samples."""
        return Watch(self, every)

    def close(self) -> None:
        """Let NVML go; later readings are None."""
        nvml, self._nvml = self._nvml, None
        if nvml is not None:
            nvml.nvmlShutdown()


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
