"""Memory of a session in a fresh process: it runs out, and is given back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.python.models import motif_model

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="needs /proc and a limit of address space"
)

TIGHT = """
import resource, sys
import numpy as np
from seqtile.execution.cuda.binding import BoundRunner
from seqtile.errors import OutOfMemoryError
from seqtile.execution.session import Session

model = open(sys.argv[1], "rb").read()
session = Session(model, threads=1, source="motif")
runner = BoundRunner(session) if sys.argv[2] == "bound" else session
large = {"sequence": np.full((1 << 15, 1 << 12), ord("A"), np.uint8)}  # 512 MiB as int32
small = {"sequence": large["sequence"][:16]}
before = runner.run(small)[0]
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20), -1))
for _ in range(2):
    try:
        runner.run(large)
    except OutOfMemoryError as error:
        print(error)
    else:
        print("it went through")
    print(np.array_equal(runner.run(small)[0], before))
"""


@pytest.mark.parametrize("how", ["session", "bound"])
def test_memory_that_really_runs_out(tmp_path: Path, how: str) -> None:
    path = motif_model(tmp_path / "motif.onnx")
    command = [sys.executable, "-c", TIGHT, str(path), how]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stderr == ""
    first, *rest = lines = result.stdout.splitlines()
    assert len(lines) == 4
    assert first.startswith("motif: out of memory on cpu: use a smaller batch, or free memory of ")
    assert "Failed to allocate memory for requested buffer of size" in first
    assert rest == ["True", first, "True"]


SHRINK = """
import resource, sys
import numpy as np
from seqtile.execution.session import Session

session = Session(open(sys.argv[1], "rb").read(), threads=1)
large = np.full((1 << 13, 1 << 12), ord("A"), np.uint8)

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20

session.run({"sequence": large[:1]})  # the arena's first piece, which it keeps
session.run({"sequence": large})
print(resident())
session.shrink({"sequence": large[:1]})
print(resident())
"""


def test_memory_of_large_batches_is_given_back(tmp_path: Path) -> None:
    path = motif_model(tmp_path / "motif.onnx")
    command = [sys.executable, "-c", SHRINK, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stderr == ""
    before, after = map(int, result.stdout.split())
    assert before - after > 128  # MiB: the letters as int32
