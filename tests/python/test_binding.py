"""Bound runners: batches in memory that stays on the device, here on the CPU as the device."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seqtile.errors import OutOfMemoryError, ProviderError
from seqtile.execution.cuda.binding import BoundRunner
from seqtile.execution.cuda.memory import Block, HostMemory
from seqtile.execution.limits import LIMITS
from seqtile.execution.profile import Profile
from seqtile.execution.session import Session
from tests.python.feeds import SHIPPED, model_bytes, random_feeds
from tests.python.models import (
    counts_model,
    motif_model,
    motif_score,
    rich_model,
    sums_model,
    zeros_model,
)

Make = Callable[..., Path]


def open_model(folder: Path, make: Make, **options: Any) -> Session:
    return Session(make(folder / "model.onnx", **options).read_bytes(), threads=1, source="tiny")


def letters(n: int, length: int, seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng([seed, n, length])
    return rng.choice(np.frombuffer(b"ACGTN", np.uint8), (n, length))


def scores(batch: NDArray[np.uint8]) -> list[float]:
    return [motif_score(row.tobytes().decode()) for row in batch]


def assert_equal(found: list[NDArray[Any]], expected: list[NDArray[Any]]) -> None:
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


# the same answers as without


@pytest.mark.parametrize("name", SHIPPED)
def test_as_the_session_on_every_shipped_model(name: str) -> None:
    session = Session(model_bytes(name), threads=1, source=name)
    runners = [BoundRunner(session, fixed=fixed) for fixed in (False, True)]

    def check(n: int, seed: int) -> None:
        feeds = random_feeds(name, n, size=48, seed=seed)
        expected = session.run(feeds)
        for runner in runners:
            assert_equal(runner.run(feeds), expected)

    for step, n in enumerate([3, 1, 7, 2, 8, 5, 5, 5, 3]):
        check(n, step)
    for runner in runners:
        runner.warm_up(random_feeds(name, 9, size=48, seed=99))
    check(6, 100)
    for runner in runners:
        runner.close()


@pytest.mark.parametrize("fixed", [False, True], ids=["dynamic", "fixed"])
@pytest.mark.parametrize("name", ["codon-convnet", "nuclei-unet", "rbp-bilstm"])
def test_many_sizes_of_item(name: str, fixed: bool) -> None:
    session = Session(model_bytes(name), threads=1, source=name)
    runner = BoundRunner(session, fixed=fixed)
    for step, size in enumerate([32, 48, 24, 48, 48, 32, 48, 40, 64, 72, 80, 88, 96, 104, 48]):
        feeds = random_feeds(name, 1 + step % 3, size=size, seed=step)
        assert_equal(runner.run(feeds), session.run(feeds))
    runner.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    batches=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4)), max_size=12),
    fixed=st.booleans(),
)
def test_any_order_of_sizes(
    tmp_path_factory: pytest.TempPathFactory, batches: list[tuple[int, int]], fixed: bool
) -> None:
    folder = tmp_path_factory.mktemp("counts")
    runner = BoundRunner(open_model(folder, counts_model, accessibility=True), fixed=fixed)
    for step, (n, length) in enumerate(batches):
        rng = np.random.default_rng(step)
        onehot = rng.integers(0, 9, (n, 4, length)).astype(np.float32)
        extra = rng.integers(0, 9, (n, 1)).astype(np.float32)
        counts, total = runner.run({"onehot": onehot, "accessibility": extra})
        np.testing.assert_array_equal(counts, onehot.sum(2))
        np.testing.assert_array_equal(total, onehot.sum((1, 2))[:, None] + extra)
    runner.close()


def test_outputs_wanted_in_the_order_asked(tmp_path: Path) -> None:
    runner = BoundRunner(open_model(tmp_path, rich_model))
    batch = letters(5, 6)
    feeds = {"sequence": batch, "accessibility": np.ones((5, 1), np.float32)}
    totals, tops, embedding = runner.run(feeds)
    for names in (["embedding"], ["tops", "totals"], ["embedding", "tops"]):
        wanted = {"totals": totals, "tops": tops, "embedding": embedding}
        assert_equal(runner.run(feeds, names), [wanted[name] for name in names])


def test_answers_are_the_callers_own(tmp_path: Path) -> None:
    runner = BoundRunner(open_model(tmp_path, motif_model))
    first = runner.run({"sequence": letters(4, 8)})[0]
    kept = first.copy()
    runner.run({"sequence": letters(4, 8, seed=1)})[0][:] = -1
    np.testing.assert_array_equal(first, kept)


def test_feeds_of_any_strides(tmp_path: Path) -> None:
    runner = BoundRunner(open_model(tmp_path, motif_model))
    batch = letters(6, 20)[::-1, ::2]
    np.testing.assert_allclose(runner.run({"sequence": batch})[0], scores(batch), atol=1e-6)


# buckets


def bucket_rows(runner: BoundRunner) -> list[int]:
    return [key[0] for key in runner._buckets]


def test_rows_are_rounded_up_but_not_beyond_the_largest(tmp_path: Path) -> None:
    runner = BoundRunner(open_model(tmp_path, motif_model))
    for n in (100, 3, 60, 70, 100, 1):
        runner.run({"sequence": letters(n, 8)})
    assert bucket_rows(runner) == [4, 64, 100, 1]


@pytest.mark.parametrize("fixed", [False, True], ids=["dynamic", "fixed"])
def test_pads_with_the_first_row_and_with_no_older_one(tmp_path: Path, fixed: bool) -> None:
    """The model adds up all rows that it is given, so that the padding shows."""
    runner = BoundRunner(open_model(tmp_path, sums_model), fixed=fixed)
    runner.run({"x": np.full((8, 3), 100, np.float32)})
    for step in range(5):
        x = np.arange(15, dtype=np.float32).reshape(5, 3) + step
        rows = x.sum(0) + 3 * x[0]
        np.testing.assert_array_equal(runner.run({"x": x})[0], np.tile(rows, (5, 1)))


def test_memory_is_reused_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_model(tmp_path, motif_model)
    made: list[weakref.ref[Block]] = []

    class Watched(HostMemory):
        def block(self, size: int) -> Block:
            block = super().block(size)
            made.append(weakref.ref(block))
            return block

    monkeypatch.setattr(session, "memory", Watched)
    runner = BoundRunner(session)
    for _ in range(3):
        for n in (4, 3, 4):
            runner.run({"sequence": letters(n, 8)})
    assert len(made) == 2  # one input, one output
    for length in range(9, 40):
        runner.run({"sequence": letters(4, length)})
    gc.collect()
    assert sum(value() is not None for value in made) <= 2 * LIMITS.buckets < len(made)
    runner.close()
    gc.collect()
    assert sum(value() is not None for value in made) == 0
    batch = letters(3, 9)
    np.testing.assert_allclose(runner.run({"sequence": batch})[0], scores(batch), atol=1e-6)


def test_a_model_of_a_fixed_batch(tmp_path: Path) -> None:
    runner = BoundRunner(open_model(tmp_path, motif_model, batch=3))
    batch = letters(3, 8)
    np.testing.assert_allclose(runner.run({"sequence": batch})[0], scores(batch), atol=1e-6)
    with pytest.raises(ProviderError, match="^tiny: failed on cpu: .*[Ii]nvalid dimensions"):
        runner.run({"sequence": letters(2, 8)})
    np.testing.assert_allclose(runner.run({"sequence": batch})[0], scores(batch), atol=1e-6)


@pytest.mark.parametrize("fixed", [False, True], ids=["dynamic", "fixed"])
def test_axes_without_names_are_not_padded(tmp_path: Path, fixed: bool) -> None:
    session = open_model(tmp_path, sums_model, rows=None)
    assert session.inputs["x"][1] == [None, 3]
    runner = BoundRunner(session, fixed=fixed)
    for n in (5, 5, 5, 5, 2):
        x = np.arange(n * 3, dtype=np.float32).reshape(n, 3)
        np.testing.assert_array_equal(runner.run({"x": x})[0], np.tile(x.sum(0), (n, 1)))


def test_a_batch_of_none(tmp_path: Path) -> None:
    session = open_model(tmp_path, counts_model)
    feeds = {"onehot": np.zeros((0, 4, 7), np.float32)}
    assert_equal(BoundRunner(session).run(feeds), session.run(feeds))


# sessions of fixed shapes


def fixed_rows(runner: BoundRunner) -> dict[int, Any]:
    return {
        key[0]: bucket.session.get_inputs()[0].shape
        for key, bucket in runner._buckets.items()
        if bucket.fixed
    }


def test_a_bucket_that_comes_again_gets_its_own_session(tmp_path: Path) -> None:
    runner = BoundRunner(open_model(tmp_path, motif_model), fixed=True)
    for n in (8, 3, 3):
        runner.run({"sequence": letters(n, 8)})
    assert fixed_rows(runner) == {}
    runner.run({"sequence": letters(4, 8)})
    assert fixed_rows(runner) == {4: [4, 8]}
    runner.warm_up({"sequence": letters(20, 8)})
    assert fixed_rows(runner) == {4: [4, 8], 20: [20, 8]}
    batch = letters(17, 8)
    np.testing.assert_allclose(runner.run({"sequence": batch})[0], scores(batch), atol=1e-6)
    assert bucket_rows(runner)[-1] == 20


@pytest.mark.parametrize("insisted", [False, True])
def test_a_replay_that_differs_is_found_out(
    tmp_path: Path, insisted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    session = open_model(tmp_path, motif_model)
    other = open_model(tmp_path, zeros_model)
    session.open = lambda sizes, graphs: other.handle  # type: ignore[method-assign]
    if insisted:
        session.graphs_wanted = True  # which a session on the CPU would refuse
    runner = BoundRunner(session, fixed=True)
    batch = letters(4, 8)
    if insisted:
        with pytest.raises(
            ProviderError, match="^tiny: graphs=True, but its replay gives other numbers$"
        ):
            runner.warm_up({"sequence": batch})
        return
    runner.warm_up({"sequence": batch})
    assert runner.graphs == session.graphs == "off: its replay gives other numbers"
    assert "tiny: CUDA graphs off: its replay gives other numbers" in caplog.text
    for _ in range(5):
        np.testing.assert_allclose(runner.run({"sequence": batch})[0], scores(batch), atol=1e-6)
    assert fixed_rows(runner) == {}


def test_a_capture_that_fails_is_told_and_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    session = open_model(tmp_path, motif_model)

    def refuse(sizes: Any, graphs: bool) -> Any:
        raise ProviderError("tiny: cannot run on cuda:0: as all compute graph nodes have not")

    session.open = refuse  # type: ignore[method-assign]
    runner = BoundRunner(session, fixed=True)
    batch = letters(4, 8)
    for _ in range(5):
        np.testing.assert_allclose(runner.run({"sequence": batch})[0], scores(batch), atol=1e-6)
    assert runner.graphs.startswith("off: tiny: cannot run on cuda:0: as all compute graph nodes")
    assert caplog.text.count("CUDA graphs off") == 1


def test_a_fixed_session_keeps_to_one_thread(tmp_path: Path) -> None:
    """onnxruntime keeps a captured graph for the thread that captured it."""
    session = open_model(tmp_path, motif_model)
    seen: list[str] = []
    plain = session.open

    def watched(sizes: Any, graphs: bool) -> Any:
        seen.append(threading.current_thread().name)
        return plain(sizes, graphs=graphs)

    session.open = watched  # type: ignore[method-assign]
    runner = BoundRunner(session, fixed=True)
    for n in (8, 4):
        thread = threading.Thread(target=runner.warm_up, args=({"sequence": letters(n, 8)},))
        thread.start()
        thread.join()
    assert len(seen) == 2
    assert set(seen) == {"seqtile-cuda_0"}


# threads


@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
@pytest.mark.parametrize("fixed", [False, True], ids=["dynamic", "fixed"])
def test_threads(tmp_path: Path, shared: bool, fixed: bool) -> None:
    session = open_model(tmp_path, motif_model)
    one = BoundRunner(session, fixed=fixed)
    wrong: list[int] = []

    def work(number: int) -> None:
        runner = one if shared else BoundRunner(session, fixed=fixed)
        for step in range(12):
            batch = letters(1 + (step * 5 + number) % 9, 8, seed=number)
            answer = runner.run({"sequence": batch})[0]
            if not np.allclose(answer, scores(batch), atol=1e-6):
                wrong.append(step)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# time


def test_stages_are_timed(tmp_path: Path) -> None:
    runner = BoundRunner(open_model(tmp_path, motif_model))
    profile = Profile()
    runner.run({"sequence": letters(4, 8)}, profile=profile)
    assert set(profile.seconds) == {"h2d", "compute", "d2h"}
    assert min(profile.seconds.values()) > 0


def test_a_session_times_its_runs(tmp_path: Path) -> None:
    profile = Profile()
    session = open_model(tmp_path, motif_model)
    session.run({"sequence": letters(4, 8)}, profile=profile)
    assert set(profile.seconds) == {"compute"}


@pytest.mark.parametrize("fixed", [False, True], ids=["dynamic", "fixed"])
def test_replay_runs_the_batch_that_is_there(tmp_path: Path, fixed: bool) -> None:
    session = open_model(tmp_path, motif_model)
    runner = BoundRunner(session, fixed=fixed)
    with pytest.raises(ProviderError, match="^tiny: nothing to replay, run a batch first$"):
        runner.replay(3)
    runner.warm_up({"sequence": letters(64, 200)})
    assert 0 < runner.replay(2) < runner.replay(100)


# errors


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, r"takes the inputs \['onehot', 'accessibility'\], not \[\]"),
        ({"onehot": np.zeros((2, 4, 5), np.float32)}, r"takes the inputs .*, not \['onehot'\]"),
        (
            {"onehot": np.zeros((2, 4, 5)), "accessibility": np.zeros((2, 1), np.float32)},
            r"input 'onehot' takes a tensor\(float\), not float64",
        ),
        (
            {"onehot": np.zeros((2, 4), np.float32), "accessibility": np.zeros((2, 1), np.float32)},
            r"input 'onehot' takes the axes \['batch', 4, 'length'\], not shape \(2, 4\)",
        ),
        (
            {
                "onehot": np.zeros((2, 4, 5), np.float32),
                "accessibility": np.zeros((3, 1), np.float32),
            },
            r"input 'accessibility' has shape \(3, 1\), but 'batch' is 2 in another input",
        ),
        (
            {
                "onehot": np.zeros((2, 5, 5), np.float32),
                "accessibility": np.zeros((2, 1), np.float32),
            },
            r"failed on cpu: .*[Ii]nvalid dimensions for input: onehot",
        ),
    ],
)
@pytest.mark.parametrize("fixed", [False, True], ids=["dynamic", "fixed"])
def test_bad_feeds(
    tmp_path: Path, feeds: dict[str, NDArray[Any]], message: str, fixed: bool
) -> None:
    runner = BoundRunner(open_model(tmp_path, counts_model, accessibility=True), fixed=fixed)
    for _ in range(4):
        with pytest.raises(ProviderError, match=f"^tiny: {message}"):
            runner.run(feeds)
    good = {"onehot": np.ones((2, 4, 5), np.float32), "accessibility": np.ones((2, 1), np.float32)}
    np.testing.assert_array_equal(runner.run(good)[1], [[21], [21]])


def test_an_output_that_is_not_there(tmp_path: Path) -> None:
    runner = BoundRunner(open_model(tmp_path, motif_model))
    with pytest.raises(ProviderError, match=r"has the outputs \['probability'\], not \['logit'\]"):
        runner.run({"sequence": letters(2, 8)}, ["logit"])


@pytest.fixture
def small_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BoundRunner]:
    """A device with memory for 1,000 bytes of bound tensors."""
    session = open_model(tmp_path, motif_model)
    alive: dict[int, int] = {}

    class Small(HostMemory):
        def block(self, size: int) -> Block:
            if sum(alive.values()) + size > 1000:
                raise RuntimeError("CUDA failure 2: out of memory ; cudaMalloc")
            block = super().block(size)
            alive[id(block)] = size
            weakref.finalize(block, alive.pop, id(block))
            return block

    monkeypatch.setattr(session, "memory", Small)
    return BoundRunner(session)


def test_other_buckets_make_room(small_device: BoundRunner) -> None:
    for n in (32, 40, 2, 50):  # 12 bytes a row: the first three fit together, the last does not
        batch = letters(n, 8)
        answer = small_device.run({"sequence": batch})[0]
        np.testing.assert_allclose(answer, scores(batch), atol=1e-6)
    assert bucket_rows(small_device) == [50]


def test_a_batch_too_large_is_told_and_leaves_nothing(small_device: BoundRunner) -> None:
    small_device.run({"sequence": letters(32, 8)})
    with pytest.raises(OutOfMemoryError, match="^tiny: out of memory on cpu: use a smaller batch"):
        small_device.run({"sequence": letters(100, 8)})
    batch = letters(80, 8)
    answer = small_device.run({"sequence": batch})[0]
    np.testing.assert_allclose(answer, scores(batch), atol=1e-6)
