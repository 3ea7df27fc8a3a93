"""Nothing is sent, and nothing is written but what was asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.python.command import SEQTILE, succeed
from tests.python.oracle import write_fasta

PEERS = {
    "the peer of the benches": "import benches.bare",
    "training": "import training, onnxruntime",
    "the session": "import seqtile.execution.session",
}


def run(words: Sequence[object], home: Path) -> None:
    """A process that knows nothing of the switch, with folders of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(home), "TMPDIR": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    root = Path(__file__).parents[2]
    subprocess.run([*map(str, words)], env=environment, cwd=root, check=True, capture_output=True)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_predicting_writes_and_sends_nothing(motif_folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    genome = write_fasta(tmp_path / "x.fa", {"a": "ACGT" * 3})
    command = [*SEQTILE, "predict", motif_folder, genome]
    trace = tmp_path / "trace"
    if strace := shutil.which("strace"):
        calls = "trace=connect,sendto,sendmsg,sendmmsg"
        command = [strace, "-f", "-e", calls, "-o", str(trace), *command]
    run(command, home)
    assert files(home) == []
    if strace:
        calls_made = [line for line in trace.read_text().splitlines() if "exited with" not in line]
        assert [line for line in calls_made if "AF_INET" in line or "sendto(" in line] == []


@pytest.mark.parametrize("code", PEERS.values(), ids=PEERS)
def test_whoever_imports_onnxruntime(code: str, tmp_path: Path) -> None:
    run(
        [sys.executable, "-c", f"{code}; assert 'onnxruntime' in __import__('sys').modules"],
        tmp_path,
    )
    assert files(tmp_path) == []


def test_doctor_says_so() -> None:
    lines = succeed("doctor", "--device", "cpu").splitlines()
    assert "telemetry off" in [" ".join(line.split()) for line in lines]


def test_doctor_says_that_it_came_too_late() -> None:
    code = (
        "import sys, types; sys.modules['onnxruntime'] = types.ModuleType('onnxruntime')\n"
        "import seqtile.telemetry; print(seqtile.telemetry.state())"
    )
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert result.stdout.startswith("on: onnxruntime was imported before seqtile")
