"""`import seqtile` against `import onnxruntime`: what each adds to `import numpy`.

pytest benches/bench_import.py --benchmark-only -s
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

_TIMER = """
import time, numpy
begin = time.perf_counter()
import {module}
print(time.perf_counter() - begin)
"""


def _added(module: str) -> float:
    code = _TIMER.format(module=module)
    # Byte code is cached, as pip leaves it.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    return float(done.stdout)


def test_import(benchmark) -> None:
    pairs = [(_added("seqtile"), _added("onnxruntime")) for _ in range(11)]
    ours = statistics.median(a for a, _ in pairs)
    other = statistics.median(b for _, b in pairs)
    share = statistics.median(a / b for a, b in pairs)
    benchmark.extra_info["share_of_onnxruntime"] = share
    print(
        f"\nimport seqtile adds {ours * 1e3:.1f} ms to import numpy, import onnxruntime "
        f"{other * 1e3:.1f} ms: share {share:.3f} (wanted: at most 0.25)"
    )
    benchmark.pedantic(_added, args=("seqtile",), rounds=5)
