"""What the figures were measured on, and how quiet it was."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from benches.compare import seconds

# Instruction sets that the kernels, numpy and onnxruntime choose by.
_FLAGS = (
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "avx512f",
    "avx512bw",
    "avx512vbmi",
    "avx512_vnni",
    "avx512_bf16",
    "amx_tile",
    "asimd",
    "sve",
)
_QUIET = 0.1  # quartiles of the compute loop further apart than that: others were at work
_VARIABLES = ("OMP_NUM_THREADS", "SEQTILE_ISA", "CUDA_VISIBLE_DEVICES")


@dataclass(frozen=True)
class Noise:
    """Two fixed pieces of work, again and again: the median in ms, and quartiles over the median.

    Attributes
    ----------
    compute_ms, memory_ms
        A loop of Python's interpreter in one thread; a copy of 32 MB.
    compute_spread, memory_spread
        (third quartile - first quartile) / median.
    load
        Load average of the last minute, None where the system does not tell.
    """

    compute_ms: float
    compute_spread: float
    memory_ms: float
    memory_spread: float
    load: float | None

    def to_dict(self) -> dict[str, float | None]:
        return asdict(self)


def spread(call: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median in ms, and the distance of the quartiles over the median."""
    call()
    low, median, high = statistics.quantiles((seconds(call) for _ in range(rounds)), n=4)
    return median * 1e3, (high - low) / median


def calibrate(rounds: int = 40) -> Noise:
    """Measure the noise; takes about half a second."""
    source = np.ones(32_000_000, np.uint8)
    target = np.ones_like(source)
    compute = spread(lambda: sum(i * i for i in range(50_000)), rounds)
    memory = spread(lambda: np.copyto(target, source), rounds)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return Noise(*compute, *memory, load)


def drift(begin: Noise, end: Noise) -> str:
    """One sentence on how quiet the machine was."""
    parts = []
    for what in ("compute", "memory"):
        first, last = (getattr(noise, f"{what}_ms") for noise in (begin, end))
        spreads = [100 * getattr(noise, f"{what}_spread") for noise in (begin, end)]
        parts.append(
            f"{what} {first:.2f} ms (quartiles {spreads[0]:.0f}% apart) at the start, "
            f"{last:.2f} ms ({spreads[1]:.0f}%) at the end"
        )
    quiet = max(noise.compute_spread for noise in (begin, end)) < _QUIET
    rough = "" if quiet else " The machine was not quiet: the figures are rough."
    loads = ", ".join("-" if noise.load is None else f"{noise.load:.1f}" for noise in (begin, end))
    return f"Noise, by two fixed loops: {'; '.join(parts)}; load average {loads}.{rough}"


def governor() -> str:
    """How the clock is ruled, as far as the system shows."""
    path = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return path.read_text().strip() if path.exists() else "not shown"


def memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def versions(names: list[str]) -> str:
    """Name and version of each package, or that it is not installed."""
    found = []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
    return ", ".join(found)


def cores() -> int:
    """What this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """Name, cores and kernels: what the results of a run stand under."""
    from seqtile import _core
    from seqtile.machine.processor import processor_name

    return f"{processor_name()}, {cores()} cores, {_core.isa()}"


def describe() -> list[str]:
    """The machine, a fact a line."""
    import seqtile
    from seqtile import _core
    from seqtile.machine.processor import cpu_info, processor_name

    info = cpu_info()
    flags = (info.get("flags") or info.get("Features") or "").split()
    set_here = [f"{name}={os.environ[name]}" for name in _VARIABLES if name in os.environ]
    return [
        f"Processor: {processor_name()}, {cores()} cores for this process; governor {governor()}; "
        f"{' '.join(flag for flag in _FLAGS if flag in flags) or 'flags not shown'}.",
        f"Memory: {memory_gib():.0f} GiB. System: {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}.",
        f"seqtile {seqtile.__version__}, kernels for {_core.isa()}. "
        f"Threads and kernels by environment: {', '.join(set_here) or 'nothing set'}; real data "
        f"{'from SEQTILE_DATA' if 'SEQTILE_DATA' in os.environ else 'missing (SEQTILE_DATA)'}.",
    ]
