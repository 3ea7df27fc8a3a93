"""`Predictor.predict` against bare `session.run` on pre-built batches of the same model.

pytest benches/bench_predict.py --benchmark-only -s
"""

from __future__ import annotations

import numpy as np
import pytest

import seqtile
from benches.compare import record, seconds, speed_ratio

MODEL = "jund-cnn-seq"


@pytest.fixture(scope="module")
def predictor():
    return seqtile.load(MODEL, device="cpu")


@pytest.fixture(scope="module")
def letters(predictor):
    """100,000 random windows, uint8 (n, window)."""
    window = predictor.window or predictor.card.training["window"]
    rng = np.random.default_rng(0)
    return np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, (100_000, window))]


def _bare(predictor, batches):
    """The floor: the session alone, on arrays that are ready."""
    session, name = predictor.engine.single._session, predictor._input.name
    return [session.run([predictor.outputs[0]], {name: batch})[0] for batch in batches]


def test_predict(benchmark, predictor, letters) -> None:
    size = predictor.batches().size(letters.shape[1:])
    batches = [np.ascontiguousarray(letters[i : i + size]) for i in range(0, len(letters), size)]
    expected = np.concatenate(_bare(predictor, batches))
    actual = predictor.predict(letters)[predictor.outputs[0]]
    np.testing.assert_allclose(actual, expected, atol=1e-6)
    ratio = speed_ratio(lambda: predictor.predict(letters), lambda: _bare(predictor, batches))
    record(
        benchmark, "predict, 100,000 windows", ratio, limit="bare onnxruntime", target=0.95,
        rate=(len(letters) / 1e3, "thousand windows/s"),
    )  # fmt: skip
    benchmark.pedantic(predictor.predict, args=(letters,), rounds=3)


def test_batch_size(benchmark, predictor, letters) -> None:
    letters = letters[:32_768]
    rates = {}
    for _ in range(3):
        for size in (16, 32, 64, 128, 256, 512, 1024, 4096):
            taken = seconds(lambda size=size: predictor.predict(letters, batch_size=size))
            rates[size] = max(rates.get(size, 0.0), len(letters) / taken)
    benchmark.extra_info["windows_per_s"] = rates
    print("\n" + "  ".join(f"{size}: {rate:,.0f}/s" for size, rate in rates.items()))
    benchmark.pedantic(predictor.predict, args=(letters,), rounds=3)
