"""How many threads this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

__all__ = ["thread_count"]


def thread_count(threads: int | None = None) -> int:
    """Threads to use: as asked, else what this process may use.

    The default is the number of processors in the process's affinity mask, or fewer where a cgroup
    (v1 or v2) grants less processor time. onnxruntime's own default ignores both.

    Raises
    ------
    ValueError
        ``threads`` below 1.
    """
    if threads is not None:
        if threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        return threads
    if hasattr(os, "sched_getaffinity"):
        usable = len(os.sched_getaffinity(0))
    else:
        usable = os.cpu_count() or 1
    quota = _cgroup_quota(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))
    return max(1, min(usable, math.ceil(quota)) if quota else usable)


def _cgroup_quota(root: Path, membership: Path) -> float | None:
    """Processors granted by the cgroup of this process or one above it; None if not limited."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return None
    grants = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, files = root, ["cpu.max"]
        elif "cpu" in controllers.split(","):
            base, files = root / "cpu", ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        else:
            continue
        group = base / path.lstrip("/")
        for folder in [group, *group.parents]:
            if folder == base.parent:
                break
            try:
                words = " ".join((folder / file).read_text() for file in files).split()
            except OSError:
                continue
            if len(words) == 2 and words[0] not in ("max", "-1"):
                grants.append(int(words[0]) / int(words[1]))
    return min(grants, default=None)
