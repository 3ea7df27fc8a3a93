"""The machine under a benchmark, and the memory of this process."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from .. import __version__
from ..machine.processor import processor_name
from ..machine.threads import thread_count
from ..versions import installed

__all__ = ["PeakMemory", "machine", "versions"]

_PACKAGES = ("numpy", "onnxruntime", "onnxruntime-gpu", "torch", "onnx")
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def machine() -> dict[str, Any]:
    """Processor, cores, what of them this process may use, memory, operating system."""
    affinity = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return {
        "host": platform.node(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "affinity": affinity,
        "threads": thread_count(),
        "memory_bytes": _field(Path("/proc/meminfo"), "MemTotal"),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    """Versions of seqtile, Python, and the packages that compute, as far as they are installed."""
    ours = {"seqtile": __version__, "python": platform.python_version()}
    return ours | installed(_PACKAGES)


def _field(path: Path, name: str) -> int | None:
    """A field in kB of a file of the kernel's, in bytes."""
    try:
        for line in path.read_text().splitlines():
            key, _, value = line.partition(":")
            if key == name:
                return int(value.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


class PeakMemory:
    """Largest resident memory of this process since this object was made.

    Attributes
    ----------
    before
        Bytes resident then; None where the system does not tell.
    reset
        Whether the kernel's mark was put back then. If not, `peak` is that since the process
        began.
    """

    def __init__(self) -> None:
        try:
            _CLEAR.write_text("5")
            self.reset = True
        except OSError:
            self.reset = False
        self.before = _field(_STATUS, "VmRSS")

    def peak(self) -> int | None:
        """Bytes; None where the system does not tell."""
        return _field(_STATUS, "VmHWM")
