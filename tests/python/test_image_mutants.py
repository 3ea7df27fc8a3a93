"""Damage anywhere in a file of any kind: pixels or an error, no other exception, no signal."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

for library in ("tifffile", "imagecodecs", "pyvips", "cv2"):
    pytest.importorskip(library)


def test_mutants() -> None:
    command = [sys.executable, "-m", "tests.python.image_mutants", "300"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    assert re.fullmatch(r"\d+ \w+(, \d+ \w+)*\n", result.stdout)  # decoders print nothing
    counts = {kind: int(times) for times, kind in re.findall(r"(\d+) (\w+)", result.stdout)}
    assert sum(counts.values()) == 300
    assert counts["read"] > 30
    assert counts["refused"] > 100
