"""What else happens during a measurement: stages, memory of the process, the GPU."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from ..execution.profile import Profile
from ..machine.devices import parse_devices
from ..machine.nvml import Meter
from ..machine.nvml import Watch as MeterWatch
from .machine import PeakMemory

__all__ = ["Watch"]


class Watch:
    """Watches from `start` to the end of the ``with`` block.

    Parameters
    ----------
    device
        As an engine's.

    Attributes
    ----------
    profile
        Where the engine counts its stages.
    memory, gpu
        After the block: see `rows.Row`.
    """

    def __init__(self, device: str) -> None:
        self.profile = Profile()
        self.memory: dict[str, Any] = {}
        self.gpu: dict[str, Any] | None = None
        self._devices = [] if device == "cpu" else parse_devices(device)
        self._stack = ExitStack()
        self._meters: list[Meter] = []
        self._watches: list[MeterWatch] = []
        self._peak: PeakMemory | None = None

    def __enter__(self) -> Watch:
        for device in self._devices:
            meter = Meter(int(device.removeprefix("cuda:")))
            self._meters.append(self._stack.enter_context(meter))
        return self

    def start(self) -> None:
        """The measurement begins: forget the warm-up."""
        self.profile.seconds.clear()
        self._peak = PeakMemory()
        self._watches = [self._stack.enter_context(meter.watch()) for meter in self._meters]

    def __exit__(self, *error: object) -> None:
        if self._peak is not None:
            peak = self._peak
            self.memory = {"before": peak.before, "peak": peak.peak(), "reset": peak.reset}
        whys = [meter.why for meter in self._meters if meter.why]
        names = [meter.name for meter in self._meters if meter.name]
        self._stack.close()
        if self._watches:
            usages = [watch.usage for watch in self._watches]
            shares = [usage.utilization for usage in usages if usage.utilization is not None]
            self.gpu = {
                "name": ", ".join(names) or None,
                "why": whys[0] if whys else None,
                "seconds": usages[0].seconds,
                "samples": usages[0].samples,
                "utilization": sum(shares) / len(shares) if shares else None,
                "memory_peak": _sum([usage.memory_peak for usage in usages]),
                "energy": _sum([usage.energy for usage in usages]),
                "power": _sum([usage.power for usage in usages]),
            }

    def stages(self, service: float) -> dict[str, Any] | None:
        """The profile, None for an engine without stages; ``service``: seconds of all calls."""
        if not self.profile.seconds:
            return None
        found = self.profile.to_dict()
        known = sum(s for name, s in self.profile.seconds.items() if name != "write")
        total = service * self.profile.lanes
        other = max(0.0, total - known)
        if other > total / 2:  # checks, calls, waiting for a core: not the model
            found["verdict"] = "overhead-limited"
        return found | {"other": other}


def _sum(values: list[Any]) -> Any:
    """None if one is unknown."""
    return None if None in values else sum(values)
