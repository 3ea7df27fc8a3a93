"""Comparison of two runs: faster, slower, noise, what cannot be compared."""

from __future__ import annotations

import io
import json

import pytest
from msgspec.structs import replace
from rich.console import Console

from seqtile.bench.compare import compare
from seqtile.bench.report import print_comparison, say_slower
from tests.python.made_rows import arrivals, document, row


@pytest.mark.parametrize(
    ("speed", "verdict", "slower"),
    [
        (2.0, "faster", []),
        (1.05, "faster", []),
        (1.0, "within the noise", []),
        (0.95, "slower", [0.01]),
        (0.7, "slower", [0.01, 0.1, 0.2]),
    ],
)
def test_throughput(speed: float, verdict: str, slower: list[float]) -> None:
    """Windows have 1 % of noise, hence the ratio of twenty about 0.3 %."""
    result = compare(document(row(100 * speed, seed=1)), document(row(100, seed=2)))
    (found,) = result.rows
    assert found.measure == "items/s"
    assert found.ratio == pytest.approx(speed, rel=0.02)
    assert found.before == pytest.approx(800, rel=0.01)
    assert found.after == pytest.approx(800 * speed, rel=0.01)
    assert found.interval is not None
    assert found.interval[0] <= found.ratio <= found.interval[1]
    assert found.interval[1] - found.interval[0] < 0.03 * speed
    assert found.verdict == verdict
    assert [by for by in (0.01, 0.1, 0.2, 0.5) if result.slower(by)] == slower


def test_noise_hides_a_difference() -> None:
    """The same difference, with windows that vary by half: no claim, no failure."""
    old = document(row(100, 0.5, seed=3))
    result = compare(document(row(95, 0.5, seed=8)), old)
    assert result.rows[0].verdict == "within the noise"
    assert result.slower(0.1) == []


def test_at_the_bar() -> None:
    """0.85 with an interval above 0.8 passes a bar of 20 %, whatever the ratio."""
    result = compare(document(row(81, 0.05, seed=1)), document(row(100, 0.05, seed=2)))
    (found,) = result.rows
    assert found.interval is not None
    assert found.interval[0] < 0.8 < found.interval[1]
    assert found.verdict == "slower"
    assert result.slower(0.2) == []
    assert result.slower(1 - found.interval[1] - 1e-9) == [found]


def test_the_same_run_is_not_slower_than_itself() -> None:
    result = compare(document(row(100)), document(row(100)))
    assert result.rows[0].ratio == 1
    assert result.rows[0].verdict == "within the noise"
    assert result.remarks == ()


def test_too_few_windows() -> None:
    result = compare(document(row(50, count=4)), document(row(100)))
    assert result.rows[0].verdict == "too few windows to tell"
    assert result.rows[0].interval is None
    assert result.slower(0.1) == []
    assert result.undecided == list(result.rows)
    assert compare(document(row(50)), document(row(100))).undecided == []


def test_latency_of_arrivals() -> None:
    """A third of the latency is three times as fast."""
    result = compare(document(arrivals(0.01, seed=1)), document(arrivals(0.03, seed=2)))
    (found,) = result.rows
    assert (found.measure, found.verdict) == ("p50", "faster")
    assert found.ratio == pytest.approx(3, rel=0.02)
    assert (found.before, found.after) == pytest.approx((0.03, 0.01), rel=0.02)
    back = compare(document(arrivals(0.03, seed=2)), document(arrivals(0.01, seed=1)))
    assert back.rows[0].verdict == "slower"
    assert back.slower(0.5) == list(back.rows)
    assert back.slower(0.7) == []


@pytest.mark.parametrize(
    ("was", "is_", "verdict"),
    [(True, False, "rate no longer sustained"), (False, True, "rate now sustained")],
)
def test_rate_that_is_sustained_in_one_run(was: bool, is_: bool, verdict: str) -> None:
    old, new = document(arrivals(1, sustained=was)), document(arrivals(1, sustained=is_))
    result = compare(new, old)
    assert result.rows[0].verdict == verdict
    assert result.rows[0].measure == "items/s"
    assert bool(result.slower(0.9)) is was
    if was:
        assert say_slower(result.rows[0], 0.9).endswith("rate no longer sustained")


def test_batch_size_auto_may_differ() -> None:
    """Requests of twice the items, as many a second: twice as fast."""
    small = row(100, asked="auto", batch=8, items=8)
    large = row(100, asked="auto", batch=16, items=16)
    (found,) = compare(document(large), document(small)).rows
    assert found.ratio == pytest.approx(2)
    assert found.interval is not None
    assert found.interval[0] < 2 < found.interval[1]


def test_rows_without_a_partner() -> None:
    same, per_cent = row(100), replace(arrivals(1), rate="80%")
    new_only, old_only = row(100, threads=4), row(100, device="cuda")
    result = compare(document(same, new_only, per_cent), document(per_cent, old_only, same))
    assert [found.new for found in result.rows] == [same]
    assert result.only_new == (new_only, per_cent)
    assert result.only_old == (per_cent, old_only)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"engine": "torch"},
        {"device": "cuda"},
        {"precision": "fp16"},
        {"threads": 1},
        {"shape": "13"},
        {"asked": "auto"},
        {"loop": "lanes"},
        {"concurrency": 2},
        {"rate": "7"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_makes_a_row_another(change: dict[str, object]) -> None:
    result = compare(document(replace(row(100), **change)), document(row(100)))
    assert result.rows == ()
    assert len(result.only_new) == len(result.only_old) == 1


def test_remarks() -> None:
    old = document(row(100))
    new = replace(
        old,
        data="random",
        models={"tiny": "1" * 64, "new": "2" * 64},
        machine={**old.machine, "processor": "Q"},
        versions={"seqtile": "0.2.0", "torch": "2.13"},
    )
    assert compare(new, old).remarks == (
        "processor: P before, Q now",
        "onnxruntime: 1.31.1 before, none now",
        "seqtile: 0.1.0 before, 0.2.0 now",
        "torch: none before, 2.13 now",
        "tiny: another model file",
        "data: golden before, random now",
    )


def test_text() -> None:
    old = document(row(100, seed=1), arrivals(0.01, seed=1), row(9, threads=7))
    new = document(
        row(50, seed=2), arrivals(0.01, seed=2), *(row(9, asked=f"{i}") for i in range(10, 19))
    )
    console = Console(width=100, record=True, file=io.StringIO())
    result = compare(new, old)
    print_comparison(result, "old.json", console, 0.125)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 100
    text = " ".join(" ".join(lines).split())
    assert "old.json: speed of this run over that one's, 95% interval" in text
    first, second = result.rows
    assert first.interval is not None
    low, high = first.interval
    assert f"items/s {first.before:.0f} {first.after:.0f} 0.50x {low:.2f}-{high:.2f} slower" in text
    assert f"p50 ms {second.before * 1e3:.1f} {second.after * 1e3:.1f} 1.00x" in text
    assert "fails where all of the interval is below 0.875, or a rate is no longer" in text
    assert "batch 10, c1, threads 2: not in the old run" in text
    assert "not compared: 3 more, not in the old run" in text
    assert "threads 7: in the old run only" in text
    (slower,) = result.slower(0.1)
    assert say_slower(slower, 0.1).startswith(
        "tiny 12 onnxruntime cpu fp32, batch 8, c1, threads 2: 0.50 times as fast as before"
    )
    assert say_slower(slower, 0.1).endswith("all of it below 0.90")
    json.dumps(result.to_dict(), allow_nan=False)
