"""What this machine is."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

__all__ = ["cpu_info", "processor_name"]


@cache
def cpu_info() -> dict[str, str]:
    """The first processor's fields in ``/proc/cpuinfo``; empty where there is no such file."""
    info: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            info.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    return info


def processor_name() -> str:
    """What the processor calls itself."""
    return cpu_info().get("model name") or platform.processor() or platform.machine()
