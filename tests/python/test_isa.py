"""The kernels give the same at every level of vector instructions."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from seqtile import _core

LEVELS = ("scalar", "avx2", "avx512", "neon")

SCRIPT = """
import hashlib
import itertools

import numpy as np

import seqtile

random = np.random.default_rng(11)
digest = hashlib.sha256()
dna = [random.choice(list(b"ACGTUNacgtrynX-*."), n).astype(np.uint8) for n in (0, 1, 63, 300, 9001)]
protein = [random.choice(list(b"ACDEFWY*acdXB"), n).astype(np.uint8) for n in (0, 5, 70, 5000)]
for name, batch in (("dna", dna), ("protein", protein)):
    for codes in seqtile.encode(batch, alphabet=name):
        digest.update(codes)
    for layout, dtype in itertools.product(("NCL", "NLC"), ("float32", "float16", "uint8")):
        options = {"alphabet": name, "layout": layout, "dtype": dtype, "length": 9003}
        for unknown in ("zero",) if dtype == "uint8" else ("zero", "uniform"):
            digest.update(seqtile.one_hot(batch, unknown=unknown, **options))
for letters in seqtile.reverse_complement(dna):
    digest.update(letters)
print(seqtile._core.isa(), digest.hexdigest())
"""


def python(script: str, level: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"SEQTILE_ISA": level},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_gives_the_same(level: str) -> None:
    result = python(SCRIPT, level)
    if "this machine has" in result.stderr:
        pytest.skip(f"this machine has no {level}")
    assert result.returncode == 0, result.stderr
    used, digest = result.stdout.split()
    assert used == level
    assert digest == python(SCRIPT, "").stdout.split()[1]


def test_the_level_in_use() -> None:
    assert _core.isa() in LEVELS


def test_an_unknown_level() -> None:
    result = python("import seqtile", "sse9")
    assert result.returncode == 1
    assert "ImportError: SEQTILE_ISA=sse9: this machine has scalar" in result.stderr
    assert "compiler" not in result.stderr


def test_the_core_refuses_alphabets_of_other_bytes() -> None:
    for letters in ("A\N{SNOWMAN}", "A" * 255):
        with pytest.raises(ValueError, match="an alphabet holds ASCII letters"):
            _core.Alphabet(letters, "N")
