"""Run the benches and report every row against its limit and its peers.

    python benches/report.py --only data

runs those of the data layer; without ``--only`` all of them. Each row is measured in one run with
its limit and its peers, as the median of interleaved rounds; results are compared first. Writes
``benches/RESULTS.md`` (``--output``) and exits 1 if a bench fails; a row that is short of what we
want is no failure.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
GROUPS = {
    "data": ["onehot", "fasta", "faidx", "kmer", "translate", "tiling"],
    "runtime": ["import", "predict", "scan"],
}
PEERS = [
    "numpy", "biopython", "pysam", "pyfaidx", "pyfastx", "deflate", "isal", "numba", "pykmertools",
    "seqpro", "tangermeme", "tiler", "torch", "onnxruntime",
]  # fmt: skip


def run(names: list[str]) -> tuple[list[dict[str, Any]], bool]:
    """The rows that the benches left, and whether all passed."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "benchmark.json"
        files = [str(FOLDER / f"bench_{name}.py") for name in names]
        options = ["--benchmark-only", "-s", "-q", f"--benchmark-json={output}", *files]
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", *options], cwd=FOLDER.parent, check=False
        )
        found = json.loads(output.read_text())["benchmarks"] if output.exists() else []
    rows = [bench["extra_info"] for bench in found if "row" in bench["extra_info"]]
    return rows, ran.returncode == 0


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def versions() -> str:
    found = []
    for name in PEERS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
    return ", ".join(found)


def number(value: Any) -> str:
    return "-" if value is None else f"{value:.2f}"


def table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table of the rows."""
    lines = [
        "| what | speed | ratio [quartiles] | to | want | our speed over each peer's |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        peers = ", ".join(
            f"{name} {'not installed' if times is None else number(times)}"
            for name, times in row.get("peers", {}).items()
        )
        speed = f"{number(row['rate'])} {row['unit']}" if "rate" in row else "-"
        spread = f"[{number(row.get('low'))}, {number(row.get('high'))}]"
        met = "" if row["ratio"] >= row["target"] else " (short)"
        lines.append(
            f"| {row['row']} | {speed} | {number(row['ratio'])} {spread}{met} | {row['limit']} "
            f"| {row['target']:g} | {peers} |"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the benches and report their ratios.")
    parser.add_argument("--only", choices=GROUPS, help="one group of benches")
    parser.add_argument("--output", type=Path, default=FOLDER / "RESULTS.md")
    options = parser.parse_args()
    groups = [options.only] if options.only else list(GROUPS)
    rows, passed = run([name for group in groups for name in GROUPS[group]])
    text = (
        "# Results\n\n"
        f"`python benches/report.py{f' --only {options.only}' if options.only else ''}`, "
        f"{datetime.now(UTC):%Y-%m-%d}. Ratios of speed: above 1 we are faster. Each is the median "
        "of interleaved pairs in one run, its quartiles behind it; results were compared first.\n\n"
        f"Machine: {processor()}, {len(os.sched_getaffinity(0))} cores; Python "
        f"{platform.python_version()}; {versions()}.\n\n{table(rows)}\n"
    )
    options.output.write_text(text, encoding="utf-8")
    print(text)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
