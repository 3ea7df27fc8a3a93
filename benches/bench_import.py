"""Start-up: `import seqtile` and the shortest commands, against the imports they cannot do without.

pytest benches/bench_import.py --benchmark-only -s
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from benches.compare import of_pairs, record, speed_ratio

ROUNDS = 11
_TIMER = """
import time, numpy
begin = time.perf_counter()
import {module}
print(time.perf_counter() - begin)
"""
# Byte code is cached, as pip leaves it.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
ENVIRONMENT["ORT_DISABLE_TELEMETRY"] = "1"
# The least that `seqtile doctor` has to do to know that a graph runs.
_SESSION = """
from seqtile.models.zoo import model_folder
import onnxruntime
onnxruntime.InferenceSession(model_folder("jund-mlp") / "model.onnx")
"""


def python(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True, env=ENVIRONMENT
    )
    return done.stdout


def added(module: str) -> float:
    """Seconds that an import takes in a new process that has numpy."""
    return float(python("-c", _TIMER.format(module=module)))


def test_import(benchmark: Any) -> None:
    pairs = [(added("seqtile"), added("onnxruntime")) for _ in range(ROUNDS)]
    record(
        benchmark,
        "import seqtile, beyond import numpy",
        of_pairs(pairs),
        limit="import onnxruntime, the same way",
        target=4,
        rate=(1e-3, "thousand/s"),
    )
    benchmark.pedantic(added, args=("seqtile",), rounds=1)


@pytest.mark.parametrize(
    ("command", "limit", "code"),
    [
        ("--version", "python -c 'import numpy'", "import numpy"),
        ("models list --json", "python -c 'import numpy'", "import numpy"),
        ("doctor --json --device cpu", "onnxruntime imported, a session made", _SESSION),
    ],
)
def test_command(benchmark: Any, command: str, limit: str, code: str) -> None:
    def ours() -> str:
        return python("-m", "seqtile", *command.split())

    printed = ours()
    if command.startswith("models"):
        assert "jund-mlp" in printed
    if command.startswith("doctor"):
        assert json.loads(printed)
    ratio = speed_ratio(ours, lambda: python("-c", code), ROUNDS)
    record(benchmark, f"seqtile {command}", ratio, limit=limit, target=None, rate=(1, "commands/s"))
    benchmark.pedantic(ours, rounds=1)
