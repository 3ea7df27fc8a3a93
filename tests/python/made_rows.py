"""Made-up rows of benchmarks."""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec.structs import replace

from seqtile.bench.latency import PERCENTILES, Window
from seqtile.bench.rows import RULES, Document, Row

ROW = Row(
    model="tiny",
    engine="onnxruntime",
    device="cpu",
    precision="fp32",
    threads=2,
    providers=("CPUExecutionProvider",),
    graphs=None,
    shape="12",
    asked="8",
    batch=8,
    items=8,
    loop="closed",
    concurrency=1,
    rate=None,
    rate_per_s=None,
    requests=2000,
    seconds=20.0,
    items_per_s=800.0,
    interval=(790.0, 810.0),
    units_per_s=9600.0,
    unit="bases",
    latency={"mean": 0.01, **dict.fromkeys(PERCENTILES, 0.01), "max": 0.02},
    windows=(Window(100, 1.0, 0.01),) * 20,
    first_call_s=0.05,
    warm_up={"seconds": 1.0, "spread": 0.01, "stable": True},
    open=None,
    stages=None,
    memory={"before": 10_000_000, "peak": 12_000_000, "reset": True},
    gpu=None,
    joules_per_item=None,
    parity=({"output": "probability", "items": 8, "difference": 1e-7, "tolerance": 1e-5},),
)

DOCUMENT = Document(
    created="2026-01-01T00:00:00+00:00",
    command=("bench", "tiny"),
    seed=0,
    data="golden",
    machine={
        "host": "a",
        "processor": "P",
        "cores": 2,
        "threads": 2,
        "affinity": [0, 1],
        "gpus": [],
    },
    versions={"seqtile": "0.1.0", "onnxruntime": "1.31.1"},
    rules={"warm_up": "none", **RULES},
    models={"tiny": "0" * 64},
    skipped=(),
    rows=(ROW,),
)


def row(rate: float, noise: float = 0.01, seed: int = 0, count: int = 20, **changes: Any) -> Row:
    """A row of windows of about a second whose throughput, in requests per second, varies."""
    rates = rate * np.exp(np.random.default_rng(seed).normal(0, noise, count))
    windows = tuple(Window(100, 100 / r, 1 / r) for r in rates)
    return replace(ROW, windows=windows, **changes)


def arrivals(p50_s: float, *, sustained: bool = True, noise: float = 0.01, seed: int = 0) -> Row:
    """A row of an open loop of 100 arrivals a second whose windows have about this median."""
    medians = np.random.default_rng(seed).normal(p50_s, noise * p50_s, 20)
    state = {
        "sustained": sustained,
        "waiting": 0 if sustained else 99,
        "unanswered": 0,
        "busy": 0.5,
        "late_s": None,
    }
    return replace(
        ROW,
        loop="open",
        rate="100",
        rate_per_s=100.0,
        open=state,
        windows=tuple(Window(100, 1.0, p50) for p50 in medians),
    )


def document(*rows: Row, **changes: Any) -> Document:
    return replace(DOCUMENT, rows=rows, **changes)
