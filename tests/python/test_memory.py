"""The memory of a scan does not grow with the sequence."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.python.command import names
from tests.python.models import motif_model

MEGABASE = 1_000_000
# The peak of this process image alone: ru_maxrss would also hold that of the process it came from.
SCAN = """
import sys
from seqtile.cli import main
status = main(sys.argv[1:])
lines = open("/proc/self/status").read().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
raise SystemExit(status)
"""


def one_record(megabases: int) -> tuple[bytes, bytes]:
    """Header, and lines of one megabase that repeat."""
    rng = np.random.default_rng(megabases)
    lines = np.full((MEGABASE // 50, 51), ord("\n"), np.uint8)
    lines[:, :50] = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, (len(lines), 50))]
    return b">chr1\n", lines.tobytes()


def write(path: Path, megabases: int) -> Path:
    header, lines = one_record(megabases)
    pack = gzip.compress if path.suffix == ".gz" else bytes
    part = pack(lines)
    with path.open("wb") as file:
        file.write(pack(header))
        for _ in range(megabases):
            file.write(part)
    return path


def peak_mb(model: Path, genome: Path, suffixes: tuple[str, ...], *options: str) -> float:
    folder = genome.parent / f"{genome.name}.out"
    folder.mkdir()
    targets = [f"-o{folder}/a.{suffix}" for suffix in suffixes]
    arguments = [
        "scan",
        model,
        genome,
        "--input-layout=bytes",
        "--threshold=0.5",
        "--quiet",
        *targets,
        *options,
    ]
    result = subprocess.run(
        [sys.executable, "-c", SCAN, *map(str, arguments)], capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert len(names(folder)) == 2 * len(suffixes)
    return int(result.stdout.splitlines()[-1]) / 1024


SPARSE = ("--window=200", "--stride=1000")
DENSE = ("--window=1000", "--stride=1000", "--reduce=mean")  # a score for every base


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
@pytest.mark.parametrize(
    ("name", "suffixes", "options"),
    [
        ("plain.fa", ("bw", "bed", "parquet", "npz"), SPARSE),
        ("packed.fa.gz", ("bw", "bed", "parquet", "npz"), SPARSE),
        ("dense.fa", ("bw", "bed", "npz"), DENSE),
    ],
)
def test_ten_times_the_bases_take_no_more_memory(
    name: str, suffixes: tuple[str, ...], options: tuple[str, ...], tmp_path: Path
) -> None:
    model = motif_model(tmp_path / "m.onnx")
    small = peak_mb(model, write(tmp_path / f"small-{name}", 5), suffixes, *options)
    large = peak_mb(model, write(tmp_path / f"large-{name}", 50), suffixes, *options)
    assert large - small < 60
