"""Run the benches and report every row against its limit and its peers.

    python benches/report.py --only data

runs those of the data layer; without ``--only`` all of them. What they find goes into the file of
this processor in ``benches/results``; from all files there ``benches/RESULTS.md`` (``--output``) is
written, a column a processor, and with ``--plot`` the figures. A report that was interrupted goes
on where it was: each finished bench lies in ``build/benches`` (``--work``) until all are done, and
counts as long as neither the package nor the benches change; ``--fresh`` starts again. Exits 1 if a
bench fails, which the file says; a row that is short of what we want is no failure.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

from benches import machine, results_text  # noqa: E402
from benches.results import Outcome, Results, is_short, store, write  # noqa: E402

GROUPS = {
    "runtime": ["import", "predict", "scan", "segment"],
    "verbs": ["verbs"],
    "data": ["onehot", "sequence", "fasta", "faidx", "kmer", "translate", "rows", "tables"],
    "images": ["tiling", "images", "label", "objects"],
    "tracks": ["bigwig", "motifs"],
}
PEERS = [
    "numpy",
    "onnxruntime",
    "torch",
    "biopython",
    "pysam",
    "pyfaidx",
    "pyfastx",
    "deflate",
    "isal",
    "numba",
    "pykmertools",
    "seqpro",
    "tangermeme",
    "scipy",
    "scikit-image",
    "opencv-python-headless",
    "connected-components-3d",
    "rasterio",
    "tifffile",
    "pyvips",
    "pillow",
    "tiler",
    "monai",
    "pyBigWig",
    "pybigtools",
    "memelite",
]
LIMIT_S = 600


def fingerprint() -> str:
    """A digest of what a result depends on: the package, its models, the benches, the versions."""
    import seqtile
    from seqtile import _core

    digest = hashlib.sha256(machine.versions(PEERS).encode())
    for root, pattern in (
        (Path(seqtile.__file__).parent, "**/*.py"),
        (Path(_core.__file__).parent, Path(_core.__file__).name),
        (FOLDER.parent / "exported", "*/model*.onnx"),
        (FOLDER, "*.py"),
    ):
        for path in sorted(root.glob(pattern)):
            digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()


class Cache:
    """Outcomes of a report that is under way, a JSON file for each."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self._fingerprint = fingerprint

    def get(self, name: str) -> Outcome | None:
        """What was found before; None where it failed, or something changed since."""
        try:
            content = json.loads(self._path(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if content.get("fingerprint") != self._fingerprint:
            return None
        outcome = Outcome.from_dict(content["outcome"])
        return None if outcome.failures else outcome

    def put(self, outcome: Outcome) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self._path(outcome.name).with_suffix(".part")
        content = {"fingerprint": self._fingerprint, "outcome": outcome.to_dict()}
        part.write_text(json.dumps(content), encoding="utf-8")
        part.replace(self._path(outcome.name))

    def clear(self) -> None:
        for path in self.folder.glob("*.json"):
            path.unlink()

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def run(name: str, work: Path, limit_s: float = LIMIT_S) -> Outcome:
    """Run one bench file in a process of its own; its output goes to a log in ``work``."""
    work.mkdir(parents=True, exist_ok=True)
    file, found, log = FOLDER / f"bench_{name}.py", work / f"{name}.found", work / f"{name}.log"
    found.unlink(missing_ok=True)
    options = ["--benchmark-only", "-s", "-q", "-rs", "-p", "no:cacheprovider"]
    options += ["-W", "ignore:Not saving anything"]  # all were skipped: no failure
    command = [sys.executable, "-m", "pytest", *options, f"--benchmark-json={found}", str(file)]
    begin, failures = time.perf_counter(), []
    with log.open("w", encoding="utf-8") as out:
        try:
            status = subprocess.run(
                command, cwd=FOLDER.parent, stdout=out, stderr=out, check=False, timeout=limit_s
            ).returncode
        except subprocess.TimeoutExpired:
            status = None
            failures = [f"stopped after {limit_s:.0f} s"]
    text = log.read_text(encoding="utf-8", errors="replace")
    if status not in (0, 5, None):  # 5: all were skipped
        failures = failed_lines(text) or [f"pytest ended with status {status}"]
    benches = json.loads(found.read_text())["benchmarks"] if found.exists() else []
    return Outcome(
        name=name,
        title=title(file),
        command=f"pytest benches/bench_{name}.py --benchmark-only -s",
        rows=[b["extra_info"] for b in benches if "row" in b["extra_info"]],
        failures=failures,
        skips=[line.split("] ", 1)[-1] for line in text.splitlines() if line.startswith("SKIPPED")],
        seconds=time.perf_counter() - begin,
        day=f"{datetime.now(UTC):%Y-%m-%d}",
    )


def failed_lines(log: str) -> list[str]:
    """The lines of pytest's summary that say what failed."""
    return [line for line in log.splitlines() if line.startswith(("FAILED ", "ERROR "))]


def title(file: Path) -> str:
    """The first line of the file's docstring."""
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n")[0]


def say(outcome: Outcome, place: str, *, before: bool) -> None:
    """One line on the terminal for a bench that is done, and one for each row."""
    how = "found before" if before else f"{outcome.seconds:.0f} s"
    print(f"{place} {outcome.name}: {how}, {len(outcome.rows)} rows", flush=True)
    for line in outcome.failures:
        print(f"    FAILED {line}", flush=True)
    for row in outcome.rows:
        mark = " (short)" if is_short(row) else ""
        print(f"    {row['row']}: {results_text.number(row['ratio'])}{mark} of {row['limit']}")


def publish(processors: list[Results], output: Path, *, plot: bool) -> None:
    """Write ``output`` of all processors, and the figures of the first."""
    results, figures = processors[0], {}
    folder = output.parent / "results"
    if plot:
        from benches import results_figure

        title = f"{results.processor}, {results.day}"
        if rows := results.headlines():
            figures[""] = output.with_suffix(".png").name
            results_figure.draw_headlines(rows, output.with_suffix(".png"), title)
        for group, names in GROUPS.items():
            outcomes = [o for o in results.outcomes if o.name in names and o.rows]
            if outcomes:
                figures[group] = f"results/{group}.png"
                results_figure.draw_group(outcomes, folder / f"{group}.png", title)
    write(output, results_text.document(processors, GROUPS, figures))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Run the benches and report their ratios.")
    parser.add_argument("--only", choices=GROUPS, action="append", help="a group; repeatable")
    parser.add_argument("--output", type=Path, default=FOLDER / "RESULTS.md")
    parser.add_argument("--plot", action="store_true", help="draw the figures too")
    parser.add_argument("--fresh", action="store_true", help="forget what was found before")
    parser.add_argument("--work", type=Path, default=FOLDER.parent / "build" / "benches")
    options = parser.parse_args(arguments)
    names = [name for group in options.only or GROUPS for name in GROUPS[group]]
    cache = Cache(options.work, fingerprint())
    if options.fresh:
        cache.clear()
    begin, started = machine.calibrate(), time.perf_counter()
    outcomes: list[Outcome] = []
    for i, name in enumerate(names, 1):
        known = cache.get(name)
        outcome = known or run(name, options.work)
        if known is None:
            cache.put(outcome)
        say(
            outcome,
            f"[{i}/{len(names)}, {time.perf_counter() - started:.0f} s]",
            before=bool(known),
        )
        outcomes.append(outcome)
    noise = machine.drift(begin, machine.calibrate())
    given = arguments if arguments is not None else sys.argv[1:]
    new = Results(
        processor=machine.processor(),
        command=shlex.join(["python", "benches/report.py", *given]),
        facts=[*machine.describe(), f"Versions: {machine.versions(PEERS)}.", noise],
        outcomes=outcomes,
    )
    order = [name for group in GROUPS.values() for name in group]
    processors = store(options.output.parent / "results", new, order)
    publish(processors, options.output, plot=options.plot)
    failed = any(outcome.failures for outcome in outcomes)
    print(f"{results_text.summary(outcomes)} {options.output}")
    if not failed:
        cache.clear()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
