"""Benchmarks of a tiny model: figures agree with each other and with what was asked."""

from __future__ import annotations

import dataclasses
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqtile
from seqtile.bench import measure as bench
from seqtile.bench import timing as bench_timing
from seqtile.bench.engines import check_parity, open_engine
from seqtile.bench.inputs import Batch
from seqtile.bench.latency import PERCENTILES, samples_needed
from seqtile.bench.load_generator import poisson_arrivals
from seqtile.bench.measure import Bench
from seqtile.bench.plan import Plan, Rate
from seqtile.bench.rows import Row
from seqtile.bench.warm_up import WarmUpRule
from seqtile.errors import EngineMismatchError, OutOfMemoryError
from seqtile.execution.profile import Profile
from seqtile.models.certificate import SHARE
from tests.python.models import counts_model, image_folder, model_folder

COLD = WarmUpRule(most_s=0)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(model_folder(tmp_path_factory.mktemp("bench") / "tiny"))


def measure(*models: str, **changes: Any) -> list[Row]:
    plan = {"batch_sizes": (4,), "seconds": 0.05, "rule": COLD, "threads": 1, **changes}
    return list(Bench(Plan(models=models, **plan)).rows())


def check(row: Row) -> None:
    """What holds of any row."""
    assert row.items_per_s == pytest.approx(row.items * row.requests / row.seconds)
    units = math.prod(map(int, row.shape.split("x")))
    assert row.units_per_s == pytest.approx(row.items_per_s * units)
    assert sum(w.requests for w in row.windows) == row.requests
    assert sum(w.seconds for w in row.windows) == pytest.approx(row.seconds)
    assert len(row.windows) == min(20, row.requests)
    if len(row.windows) < 5:
        assert row.interval is None
    else:
        assert row.interval is not None
        assert row.interval[0] <= row.items_per_s * 1.05
        assert row.interval[1] >= row.items_per_s * 0.95
    answered = row.requests + (row.open["unanswered"] if row.open else 0)
    values = [row.latency[p] for p in PERCENTILES]
    for p, value in zip(PERCENTILES, values, strict=True):
        assert (value is None) == (answered < samples_needed(p))
    present = [value for value in values if value is not None]
    assert [*present, row.latency["max"]] == sorted([*present, row.latency["max"]])
    assert row.first_call_s > 0
    assert row.memory["peak"] >= row.memory["before"] * 0.9 > 1_000_000
    for parity in row.parity:
        assert parity["difference"] <= parity["tolerance"]


def test_closed_loops(tiny: str) -> None:
    rows = measure(tiny, batch_sizes=(1, 4), concurrencies=(1, 2))
    assert [(row.batch, row.concurrency) for row in rows] == [(1, 1), (1, 2), (4, 1), (4, 2)]
    for row in rows:
        check(row)
        assert (row.model, row.shape, row.unit) == (tiny, "12", "bases")
        assert (row.engine, row.device, row.precision) == ("onnxruntime", "cpu", "fp32")
        assert (row.loop, row.rate, row.open, row.gpu) == ("closed", None, None, None)
        assert row.items == row.batch == int(row.asked)
        assert row.seconds >= 0.05
        assert [p["output"] for p in row.parity] == ["probability"]
        assert row.stages is not None
        assert row.stages["seconds"]["compute"] > 0
        service = row.latency["mean"] * row.requests  # type: ignore[operator]
        parts = sum(row.stages["seconds"].values()) + row.stages["other"]
        assert parts == pytest.approx(service, rel=0.2)


def test_all_lanes(tiny: str) -> None:
    (row,) = measure(tiny, concurrencies=("lanes",), rates=(Rate.parse("50%"),), threads=2)
    check(row)
    assert (row.loop, row.concurrency, row.threads) == ("lanes", 1, 2)
    assert (row.batch, row.items) == (4, 4 * 2 * 8)


def test_arrivals_at_a_rate(tiny: str) -> None:
    closed, fixed, share = measure(
        tiny, rates=(Rate.parse("400"), Rate.parse("20%")), seconds=0.5, seed=3
    )
    for row in (closed, fixed, share):
        check(row)
    assert (fixed.loop, fixed.rate, fixed.rate_per_s) == ("open", "400", 400)
    assert share.rate_per_s == pytest.approx(0.2 * closed.items_per_s / 4)
    assert fixed.open is not None
    assert fixed.requests + fixed.open["unanswered"] == len(poisson_arrivals(400, 0.5, 3))
    assert fixed.load == "400/s c1"
    assert share.load == "20% c1"


def test_a_rate_beyond_the_model_is_not_sustained(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that takes 10 ms answers at most a hundred requests a second, not a thousand."""
    opened = open_engine("onnxruntime", tiny, device="cpu", threads=1)

    def slow(batch: Batch, size: int, profile: Profile) -> Any:
        time.sleep(0.01)
        return opened.run(batch, size, profile)

    monkeypatch.setattr(
        bench, "open_engine", lambda *_, **__: dataclasses.replace(opened, run=slow)
    )
    _, row = measure(tiny, rates=(Rate.parse("1000"),), seconds=0.5)
    check(row)
    assert row.open is not None
    assert not row.open["sustained"]
    assert row.open["unanswered"] == row.open["waiting"] > 300
    assert row.items_per_s <= 4 * 101
    assert row.open["busy"] > 0.5
    assert row.latency["max"] > 0.2  # type: ignore[operator]


def test_rates_that_cannot_be_measured_leave_the_others(tiny: str) -> None:
    rates = tuple(map(Rate.parse, ("0.001", "1e9", "200")))
    made = Bench(
        Plan(
            models=(tiny,),
            batch_sizes=(4,),
            concurrencies=(1,),
            rates=rates,
            seconds=0.2,
            rule=COLD,
            threads=1,
        )
    )
    assert [row.rate for row in made.rows()] == [None, "200"]
    none, many = made.skipped
    assert none["why"] == "no request arrived at 0.001/s: raise --seconds"
    assert many["why"] == "1e+09 requests/s are too many to count: lower --rate"


def test_devices_and_precisions_that_do_not_go_together(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CPU has no fp16 and a GPU no int8: left out, said; alone they are errors."""
    opened = open_engine("onnxruntime", tiny, device="cpu", threads=1)
    asked: list[tuple[str, str]] = []

    def open_any(name: str, model: str, *, device: str, precision: str, **_: Any) -> Any:
        if (device, precision) not in asked:
            asked.append((device, precision))
        return opened

    monkeypatch.setattr(bench, "open_engine", open_any)
    made = Bench(
        Plan(
            models=(tiny,),
            batch_sizes=(4,),
            devices=("cpu", "cuda"),
            seconds=0.05,
            rule=COLD,
            precisions=("fp32", "fp16", "int8"),
            threads=1,
        )
    )
    assert len(list(made.rows())) == 4
    assert asked == [("cpu", "fp32"), ("cpu", "int8"), ("cuda", "fp32"), ("cuda", "fp16")]
    fp16, int8 = made.skipped
    assert "cpu fp16" in fp16["what"]
    assert "needs a GPU" in fp16["why"]
    assert "cuda int8" in int8["what"]
    monkeypatch.undo()
    with pytest.raises(seqtile.ProviderError, match="fp16"):
        measure(tiny, precisions=("fp16",))


def test_shapes_and_images(tiny: str, tmp_path: Path) -> None:
    cells = str(image_folder(tmp_path / "cells"))
    rows = measure(tiny, cells, shapes=((5,), (30,), (8, 16)))
    assert [(Path(row.model).name, row.shape, row.unit) for row in rows] == [
        ("tiny", "5", "bases"),
        ("tiny", "30", "bases"),
        ("cells", "8x16", "pixels"),
    ]
    for row in rows:
        check(row)
    assert [p["output"] for p in rows[2].parity] == ["mask", "marker"]


def test_auto_is_what_predict_finds(tiny: str) -> None:
    (row,) = measure(tiny, batch_sizes=("auto",))
    check(row)
    predictor = seqtile.load(tiny, device="cpu", threads=1)  # finds it in the cache
    assert row.asked == "auto"
    assert row.batch == predictor.batches("auto").size((12,)) == predictor.batches().largest((12,))


def test_warm_up_is_reported(tiny: str) -> None:
    (row,) = measure(tiny, rule=WarmUpRule(window_s=0.02, most_s=0.3))
    check(row)
    assert row.warm_up["seconds"] >= 0.06
    assert row.warm_up["stable"] == (row.warm_up["spread"] <= 0.05)


def test_threads_are_shared_by_clients(tiny: str) -> None:
    total = bench.thread_count()
    rows = measure(tiny, concurrencies=(1, 2, 64), threads=None)
    assert [row.threads for row in rows] == [total, max(1, total // 2), max(1, total // 64)]


def test_a_third_party_model(tmp_path: Path) -> None:
    path = str(counts_model(tmp_path / "m.onnx", batch=2))
    made = Bench(
        Plan(
            models=(path,),
            batch_sizes=(2, 3),
            shapes=((9,),),
            data="random",
            seconds=0.05,
            rule=COLD,
            spec=seqtile.InputSpec(),
        )
    )
    (row,) = made.rows()
    check(row)
    assert row.batch == 2
    assert [skipped["why"] for skipped in made.skipped] == ["the model's batch is fixed at 2"]


def test_memory_that_runs_out_leaves_the_others(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_engine("onnxruntime", tiny, device="cpu", threads=1)

    def limited(batch: Batch) -> Any:
        if len(batch) > 8:
            raise OutOfMemoryError("batch of 16: no memory")
        return opened.run_once(batch)

    monkeypatch.setattr(
        bench, "open_engine", lambda *_, **__: dataclasses.replace(opened, run_once=limited)
    )
    made = Bench(Plan(models=(tiny,), batch_sizes=(16, 8), seconds=0.05, rule=COLD))
    assert [row.batch for row in made.rows()] == [8]
    assert made.skipped[0]["why"] == "batch of 16: no memory"
    assert "batch 16" in made.skipped[0]["what"]


def test_an_engine_with_other_answers_is_not_timed(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_engine("onnxruntime", tiny, device="cpu", threads=1)

    def wrong(batch: Batch, size: int, profile: Profile) -> Any:
        return {name: v + 0.01 for name, v in opened.run(batch, size, profile).items()}

    monkeypatch.setattr(
        bench, "open_engine", lambda *_, **__: dataclasses.replace(opened, run=wrong)
    )
    timed: list[object] = []
    monkeypatch.setattr(bench_timing, "closed_loop", lambda *_, **__: timed.append(1))
    with pytest.raises(EngineMismatchError, match=r"'probability' differs .* by 0\.01, more than"):
        measure(tiny)
    assert timed == []


def test_parity() -> None:
    reference = {"a": np.float32([1, 2]), "b": np.float32([[100, 3]])}
    good = {"b": np.float32([[100.5, 3], [7, 7]]), "a": np.float32([1, 2, 9]), "more": np.zeros(3)}
    a, b = check_parity(good, reference, what="x", precision="fp16", tolerance=1e-5)
    assert (a.output, a.items, a.difference) == ("a", 2, 0)
    assert a.tolerance == pytest.approx(2 * SHARE["fp16"])
    assert (b.items, b.difference, b.tolerance) == pytest.approx((1, 0.5, 100 * SHARE["fp16"]))
    with pytest.raises(EngineMismatchError, match="'b' differs"):
        check_parity(good, reference, what="x", precision="fp32", tolerance=1e-5)
    (c,) = check_parity(
        {"a": reference["a"]}, {"a": reference["a"]}, what="x", precision="fp32", tolerance=None
    )
    assert c.tolerance == pytest.approx(2e-4)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({}, "no such output"),
        ({"a": np.zeros((2, 3), np.float32)}, r"shape \(2, 3\)"),
        ({"a": np.zeros(1, np.float32)}, r"shape \(1,\)"),
        ({"a": np.float32([np.nan, 0])}, "differs"),
    ],
)
def test_answers_of_another_kind(answers: dict[str, Any], words: str) -> None:
    with pytest.raises(EngineMismatchError, match=words):
        check_parity(
            answers, {"a": np.zeros(2, np.float32)}, what="x", precision="fp32", tolerance=1e-5
        )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"models": ()}, "models is empty"),
        ({"batch_sizes": (0,)}, "at least 1, not 0"),
        ({"concurrencies": (-1,)}, "at least 1, not -1"),
        ({"shapes": ((0, 5),)}, "at least 1, not 0"),
        ({"engines": ("tensorflow",)}, "engine must be one of onnxruntime, torch"),
        ({"engines": ("torch",)}, "needs --program FILE.pt2: .*python -m training.export.program"),
        ({"program": Path("x.pt2")}, "--program goes with --engine torch"),
        (
            {"models": ("a", "b"), "engines": ("torch",), "program": Path("x.pt2")},
            "--program is of one model",
        ),
        ({"precisions": ("fp64",)}, "precision must be one of fp32"),
        ({"seconds": 0.0}, "seconds must be above 0"),
        ({"seconds": float("nan")}, "seconds must be above 0"),
        ({"threads": 0}, "threads must be at least 1"),
    ],
)
def test_plans_that_make_no_sense(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Plan(**{"models": ("tiny",), **changes})


@pytest.mark.parametrize("text", ["0", "-5", "nan", "inf", "", "%", "0%", "fast", "1/s"])
def test_rates_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="a rate is requests per second"):
        Rate.parse(text)


def test_what_cannot_work_fails_before_anything_is_timed(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[object] = []
    monkeypatch.setattr(bench_timing, "closed_loop", lambda *_, **__: timed.append(1))
    with pytest.raises(seqtile.ShapeError, match="the model takes at least 3"):
        measure(tiny, shapes=((12,), (2,)))
    with pytest.raises(seqtile.ModelNotFoundError):
        measure(tiny, "no-such-model")
    assert timed == []
