"""Batch sizes: measured once, remembered, halved where memory runs out; answers stay the same."""

from __future__ import annotations

import json
import logging
import pwd
import statistics
from pathlib import Path

import numpy as np
import pytest

import seqtile
from seqtile import Predictor
from seqtile.errors import ProviderError
from seqtile.execution.batching import Tuner, cache_file, tuner_for
from tests.python.models import model_folder
from tests.python.sessions import batch_sizes


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQTILE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def own(tmp_path: Path) -> Predictor:
    """A model of its own: what memory does to it is no other test's."""
    return seqtile.load(model_folder(tmp_path / "tiny"), device="cpu")


def feed(tuner: Tuner, seconds_per_item: dict[int, float]) -> None:
    for _ in range(1000):
        if tuner.found:
            return
        size = tuner.size()
        tuner.record(size, size * seconds_per_item[size])


@pytest.mark.parametrize("best", [16, 64, 256])
def test_the_fastest_size_is_found(best: int) -> None:
    found: list[int] = []
    tuner = Tuner(64, (16, 64, 256), found.append)
    assert tuner.size() == 64
    assert tuner.largest == 256
    feed(tuner, {size: 1.0 if size == best else 1.2 for size in (16, 64, 256)})
    assert tuner.found == tuner.size() == tuner.largest == best
    assert found == [best]


def test_a_gain_within_the_noise_changes_nothing() -> None:
    tuner = Tuner(64, (16, 64, 256), lambda size: None)
    feed(tuner, {16: 0.99, 64: 1.0, 256: 1.0})
    assert tuner.found == 64


def test_the_first_batch_of_a_size_is_not_counted() -> None:
    tuner = Tuner(64, (64, 256), lambda size: None)
    first = set()
    while not tuner.found:
        size = tuner.size()
        tuner.record(size, size * (100.0 if size not in first and size == 256 else 1 / size))
        first.add(size)
    assert tuner.found == 256


def test_a_size_too_large_for_the_memory_is_not_asked_for_again() -> None:
    tuner = Tuner(64, (16, 64, 256), lambda size: None)
    tuner.give_up(64)
    assert tuner.size() <= 32
    assert tuner.largest <= 32
    feed(tuner, {16: 1.0, 32: 2.0})
    assert tuner.found == 16
    tuner.give_up(16)
    assert tuner.size() == 8


def test_other_lanes_have_a_size_while_the_best_is_worked_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    tuner = Tuner(64, (16, 64), lambda size: None)

    def median(seconds: list[float]) -> float:
        asked.append(tuner.size())
        return seconds[0]

    monkeypatch.setattr(statistics, "median", median)
    feed(tuner, {16: 1.0, 64: 2.0})
    assert tuner.found == 16
    assert set(asked) <= {16, 64}
    assert len(asked) == 2


def test_what_was_found_is_remembered() -> None:
    tuner = tuner_for("cpu", (128,), "model machine")
    feed(tuner, {size: 1.0 if size == 32 else 1.5 for size in (16, 32, 64, 128, 256, 512)})
    assert json.loads(cache_file().read_text()) == {"model machine 128": 32}
    assert tuner_for("cpu", (128,), "model machine").found == 32
    assert tuner_for("cpu", (256,), "model machine").found is None
    assert tuner_for("cpu", (128,), "another").found is None
    assert list(cache_file().parent.iterdir()) == [cache_file()]


@pytest.mark.parametrize("content", ["", "[1]", '{"key 128": "x"}', '{"key 128": 7}', "\x00"])
def test_a_damaged_cache_is_measured_anew(content: str) -> None:
    cache_file().parent.mkdir()
    cache_file().write_text(content)
    tuner = tuner_for("cpu", (128,), "key")
    assert tuner.found is None
    feed(tuner, dict.fromkeys((16, 32, 64, 128, 256, 512), 1.0))
    assert tuner_for("cpu", (128,), "key").found == 128


def test_a_cache_that_cannot_be_written_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEQTILE_CACHE", str(tmp_path / "file"))
    tuner = tuner_for("cpu", (128,), "key")
    feed(tuner, dict.fromkeys((16, 32, 64, 128, 256, 512), 1.0))
    assert tuner.found == 128


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SEQTILE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    with pytest.raises(RuntimeError, match="home"):
        cache_file()
    tuner = tuner_for("cpu", (128,), "key")
    feed(tuner, dict.fromkeys((16, 32, 64, 128, 256, 512), 1.0))
    assert tuner.found == 128


@pytest.mark.parametrize(
    ("device", "item", "start"),
    [
        ("cpu", (101,), 128),
        ("cuda:1", (101,), 32_768),
        ("cpu", (16_384,), 8),
        ("cpu", (1 << 20,), 1),
        ("cpu", (32, 32), 128),
        ("cpu", (256, 256, 3), 4),
        ("cpu", (1024, 1024), 1),
        ("cuda", (1024, 1024), 64),
    ],
)
def test_where_it_begins(device: str, item: tuple[int, ...], start: int) -> None:
    assert tuner_for(device, item, "key").size() == start


def test_auto_measures_real_work_and_answers_stay_the_same(own: Predictor) -> None:
    rng = np.random.default_rng(0)
    letters = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, (20_000, 12))]
    fixed = own.predict(letters, batch_size=100)["probability"]
    np.testing.assert_allclose(own.predict(letters)["probability"], fixed, atol=1e-6)
    (size,) = json.loads(cache_file().read_text()).values()
    assert own.batches().size((12,)) == size


# memory that runs out


@pytest.mark.parametrize("batch_size", ["auto", 100])
@pytest.mark.parametrize("lanes", [1, 3])
def test_a_batch_too_large_is_halved(
    tmp_path: Path,
    batch_size: int | str,
    lanes: int,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = seqtile.load(model_folder(tmp_path / "tiny"), device="cpu", threads=lanes)
    rng = np.random.default_rng(0)
    letters = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, (3000, 12))]
    expected = own.predict(letters, batch_size=7)["probability"]
    sizes = batch_sizes(monkeypatch, most=20)
    with caplog.at_level(logging.WARNING):
        found = own.predict(letters, batch_size=batch_size)["probability"]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert "out of memory; trying batches of" in caplog.text
    assert (
        sum(size > 20 for size in sizes) <= 4 * lanes
    )  # 128 or 100, 64, 32, and other lanes at once


def test_a_single_item_too_large_is_an_error(
    own: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_sizes(monkeypatch, most=0)
    with pytest.raises(ProviderError, match="out of memory") as caught:
        own.predict(["ACGTACGTACGT"] * 1000)
    assert isinstance(caught.value, MemoryError)
