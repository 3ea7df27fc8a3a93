"""The report of the benches: what it says of rows, failures and noise."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import pytest

from benches import machine, report, results, results_text
from benches.compare import Ratio, of_pairs, peers, record, side_by_side, speed_ratio
from benches.results import HEADLINES, Outcome, Results

ROW = {
    "row": "one thing",
    "limit": "memcpy",
    "target": 0.9,
    "ratio": 0.85,
    "low": 0.8,
    "high": 0.95,
    "peers": {"numpy": 12.345, "other": None},
    "rate": 1234.5,
    "unit": "GB/s",
}


class FakeBenchmark:
    def __init__(self) -> None:
        self.extra_info: dict[str, object] = {}


def outcome(**changes: object) -> Outcome:
    given = {"name": "x", "title": "Xs.", "command": "pytest benches/bench_x.py", "rows": [ROW]}
    return Outcome(**(given | changes))  # type: ignore[arg-type]


def test_ratio_of_pairs() -> None:
    ratio = of_pairs([(1.0, 2.0), (1.0, 4.0), (2.0, 6.0)])
    assert (ratio.median, ratio.low, ratio.high) == (3.0, 2.0, 4.0)
    assert (ratio.ours_s, ratio.other_s) == (1.0, 4.0)
    assert of_pairs([(2.0, 1.0)]) == Ratio(0.5, 0.5, 0.5, 2.0, 1.0)
    assert ratio.times(10) == Ratio(30.0, 20.0, 40.0, 1.0, 40.0)


def test_calls_take_turns() -> None:
    called: list[str] = []
    side_by_side(lambda: called.append("o"), {n: partial(called.append, n) for n in "ab"}, 2)
    assert "".join(called) == "oab" * 3
    called.clear()
    speed_ratio(lambda: called.append("o"), lambda: called.append("a"), 1)
    assert called == ["o", "a"]


@pytest.mark.parametrize("rounds", [1, 3])
def test_peer_that_is_missing(rounds: int) -> None:
    def missing() -> None:
        raise ImportError("no module")

    found = peers(lambda: sum(range(2000)), {"a": missing, "b": lambda: None}, rounds)
    assert list(found) == ["a", "b"]
    assert found["a"] is None
    assert found["b"] is not None
    assert found["b"] > 0


def test_record_makes_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    benchmark = FakeBenchmark()
    record(
        benchmark,
        "thing",
        Ratio(0.5, 0.4, 0.6, 2.0, 1.0),
        limit="memset",
        target=None,
        rate=(10.0, "GB/s"),
        peers={"numpy": 3.0, "jax": None},
    )
    assert benchmark.extra_info["rate"] == 5.0
    assert "jax not installed" in capsys.readouterr().out
    assert results_text.table([("here", [benchmark.extra_info])]).splitlines()[2] == (
        "| thing | memset | - | 5.00 GB/s, **0.50** [0.40, 0.60]<br>numpy 3.00, jax not installed |"
    )


def test_table_has_a_column_a_processor() -> None:
    """What is short is marked; a row that one of them lacks is a dash."""
    fast = ROW | {"ratio": 0.9, "peers": {}}
    lines = results_text.table([("old", [ROW]), ("new", [fast, ROW | {"row": "z"}])]).splitlines()
    short = "1,234 GB/s, **0.85** [0.80, 0.95] (short)<br>numpy 12.35, other not installed"
    assert lines == [
        "| what | to | want | old | new |",
        "| --- | --- | --- | --- | --- |",
        f"| one thing | memcpy | 0.9 | {short} | 1,234 GB/s, **0.90** [0.80, 0.95] |",
        f"| z | memcpy | 0.9 | - | {short} |",
    ]


def test_numbers() -> None:
    assert [results_text.number(v) for v in (None, 0.0123, 0.5, 12.345, 1234.5)] == [
        "-",
        "0.012",
        "0.50",
        "12.35",
        "1,234",
    ]


def found(processor: str, *outcomes: Outcome) -> Results:
    return Results(processor, "python benches/report.py", ["A machine.", "Quiet."], [*outcomes])


def test_document_says_failures_and_skips() -> None:
    bad = outcome(name="y", rows=[], failures=["FAILED y"], skips=["no data"])
    text = results_text.document([found("cpu", outcome(), bad)], {"g": ["y", "x"]}, {})
    assert "1 rows; 1 have a target, 1 of them are short of it. FAILED: y." in text
    assert "- **failed** on cpu: FAILED y" in text
    assert "- left out on cpu: no data" in text
    assert "- A machine.\n- Quiet." in text
    assert "![" not in text
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == ["# Results", "## Processors", "### cpu", "## g", "### y", "### x"]


def test_a_run_brings_its_processor_up_to_date(tmp_path: Path) -> None:
    """Benches that did not run stay, as do other processors; a second store changes nothing."""
    order = ["x", "y", "z"]
    old = [outcome(name=n, day="2026-01-01") for n in "zx"]
    results.store(tmp_path, found("A 1, 2 cores", *old), order)
    other = found("B", outcome(name="y", day="2026-02-01"))
    assert [r.processor for r in results.store(tmp_path, other, order)] == ["B", "A 1, 2 cores"]
    fresh = outcome(name="z", rows=[], day="2026-03-01")
    for _ in range(2):
        first, second = results.store(tmp_path, found("A 1, 2 cores", fresh), order)
        assert first.outcomes == [old[1], fresh]
        assert (first.day, second) == ("2026-03-01", other)
    assert {path.name for path in tmp_path.iterdir()} == {"a-1-2-cores.json", "b.json"}
    with pytest.raises(ValueError, match="a-1-2-cores.json: of A 1, 2 cores, not of A-1 2 cores"):
        results.store(tmp_path, found("A-1 2 cores"), order)


def test_the_results_that_are_shipped() -> None:
    """The document is that of the files beside it, and every headline is in them."""
    files = sorted((report.FOLDER / "results").glob("*.json"))
    known = [Results.from_dict(json.loads(file.read_text())) for file in files]
    known.sort(key=lambda one: one.day, reverse=True)
    assert all(len(one.headlines()) == len(HEADLINES) == 12 for one in known)
    figures = {group: f"results/{group}.png" for group in report.GROUPS} | {"": "RESULTS.png"}
    text = results_text.document(known, report.GROUPS, figures)
    assert text == (report.FOLDER / "RESULTS.md").read_text()
    assert all((report.FOLDER / name).exists() for name in figures.values())


def test_fingerprint_is_of_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a module deep in the package as of a bench, of the compiled core as of a model."""
    import seqtile
    from seqtile import _core

    package, benches = tmp_path / "seqtile", tmp_path / "benches"
    core = package / "_core.so"
    files = [
        package / "__init__.py",
        package / "execution" / "cuda" / "binding.py",
        benches / "bench_x.py",
        tmp_path / "exported" / "m" / "model.onnx",
        tmp_path / "exported" / "m" / "model.fp16.onnx",
        core,
    ]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"1")
    monkeypatch.setattr(seqtile, "__file__", str(files[0]))
    monkeypatch.setattr(_core, "__file__", str(core))
    monkeypatch.setattr(report, "FOLDER", benches)
    seen = {report.fingerprint()}
    for file in files:
        file.write_bytes(b"2")
        seen.add(report.fingerprint())
    files[1].rename(files[1].with_name("another.py"))
    seen.add(report.fingerprint())
    assert len(seen) == len(files) + 2
    (benches / "RESULTS.md").touch()
    assert report.fingerprint() in seen


def test_cache_goes_on(tmp_path: Path) -> None:
    cache = report.Cache(tmp_path, "now")
    cache.put(outcome())
    cache.put(outcome(name="failed", failures=["FAILED"]))
    assert cache.get("x") == outcome()
    assert cache.get("failed") is None
    assert cache.get("never") is None
    assert report.Cache(tmp_path, "later").get("x") is None
    (tmp_path / "x.json").write_text("{")
    assert cache.get("x") is None
    cache.clear()
    assert list(tmp_path.iterdir()) == []


def test_groups_name_every_bench() -> None:
    named = [name for group in report.GROUPS.values() for name in group]
    files = {path.stem.removeprefix("bench_") for path in report.FOLDER.glob("bench_*.py")}
    assert sorted(named) == sorted(files)


@pytest.mark.parametrize(
    ("body", "failed", "rows", "skips"),
    [
        ("record(benchmark, 'r', ONE, limit='l', target=1, rate=(1, 'x'))", 0, 1, 0),
        ("assert 1 == 2, 'unlike'", 1, 0, 0),
        ("pytest.skip('no data here')", 0, 0, 1),
    ],
)
def test_run_one_bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, failed: int, rows: int, skips: int
) -> None:
    folder = tmp_path / "benches"
    folder.mkdir()
    (folder / "bench_z.py").write_text(
        '"""Zs.\n\nMore."""\nimport pytest\nfrom benches.compare import Ratio, record\n'
        "ONE = Ratio(1, 1, 1, 1, 1)\n"
        f"def test_z(benchmark):\n    {body}\n    benchmark.pedantic(int, rounds=1)\n"
    )
    (tmp_path / "pytest.ini").write_text(
        f"[pytest]\npythonpath = {report.FOLDER.parent}\npython_files = bench_*.py\n"
        "filterwarnings = error\n"
    )
    monkeypatch.setattr(report, "FOLDER", folder)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # a worker's benchmarks are off
    found = report.run("z", tmp_path / "work")
    assert (len(found.failures), len(found.rows), len(found.skips)) == (failed, rows, skips)
    assert found.title == "Zs."
    assert Outcome.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_report_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def run(name: str, work: Path) -> Outcome:
        ran.append(name)
        return outcome(name=name, failures=["FAILED it"] if ran == ["tiling"] else [])

    monkeypatch.setattr(report, "run", run)
    monkeypatch.setattr(report, "GROUPS", {"g": ["tiling", "onehot"], "h": ["kmer"]})
    monkeypatch.setattr(machine, "calibrate", partial(machine.calibrate, rounds=2))
    target = tmp_path / "R.md"
    call = ["--only", "g", "--output", str(target), "--work", str(tmp_path / "work"), "--plot"]
    assert report.main(call) == 1
    assert "FAILED it" in target.read_text()
    assert report.main(call) == 0  # what passed is not run again
    assert ran == ["tiling", "onehot", "tiling"]
    text = target.read_text()
    assert "No bench failed." in text
    assert "(results/g.png)" in text
    assert (tmp_path / "results" / "g.png").read_bytes()[:4] == b"\x89PNG"
    assert "R.png" not in text  # none of the headlines was measured
    assert "(short)" in capsys.readouterr().out
    assert report.main(call) == 0  # a whole report is measured anew
    assert len(ran) == 5
    call[1] = "h"  # another group: what was found of the first stays
    assert report.main(call) == 0
    assert {line for line in target.read_text().splitlines() if line[:4] == "### "} >= {
        "### tiling",
        "### onehot",
        "### kmer",
    }


def test_figures(tmp_path: Path) -> None:
    from benches import results_figure

    rows = [ROW, ROW | {"row": "another", "target": None, "peers": {}}]
    results_figure.draw_headlines(rows, tmp_path / "a.png", "title")
    results_figure.draw_group([outcome(rows=rows), outcome()], tmp_path / "b.png", "title")
    for name in ("a.png", "b.png"):
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"


def test_noise() -> None:
    noise = machine.calibrate(rounds=5)
    assert noise.compute_ms > 0
    assert 0 <= noise.compute_spread < 100
    begin = machine.Noise(1.0, 0.05, 2.0, 0.1, 0.5)
    end = machine.Noise(1.5, 0.25, 2.0, 0.1, None)
    text = machine.drift(begin, end)
    assert "compute 1.00 ms (quartiles 5% apart) at the start, 1.50 ms (25%) at the end" in text
    assert "load average 0.5, -" in text
    assert "not quiet" in text
    assert "not quiet" not in machine.drift(begin, begin)


def test_machine_is_described() -> None:
    text = " ".join(machine.describe())
    assert re.search(r"\d+ cores", text)
    assert "kernels for " in text
    assert machine.versions(["numpy", "no-such-thing"]).endswith("no-such-thing not installed")
