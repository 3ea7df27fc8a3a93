"""Rows in batches, chunks in order, requests joined: every answer is as if it ran alone."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import wait as wait_for
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seqtile import Predictor
from seqtile.errors import OutOfMemoryError, ShapeError
from seqtile.execution.executor import Executor
from seqtile.execution.limits import Limits
from seqtile.execution.padding import padded
from seqtile.execution.profile import Profile
from seqtile.execution.rows import Rows

Y = ("y",)


class Sum:
    """A model: y is the sum of each row of x, plus z; it refuses a batch in which a row is bad."""

    BAD = 255

    def __init__(self, order: list[int]) -> None:
        self.calls: list[int] = []
        self.order = order  # of the calls of all lanes
        self.most = 10**9  # rows that memory holds
        self.gate: threading.Event | None = None  # to wait for
        self.entered = threading.Event()

    def run(
        self, feeds: Any, outputs: Sequence[str] | None = None, *, profile: Profile | None = None
    ) -> list[NDArray[Any]]:
        x = feeds["x"]
        self.calls.append(len(x))
        self.order.append(len(x))
        self.entered.set()
        if self.gate is not None:
            assert self.gate.wait(20)
        if len(x) > self.most:
            raise OutOfMemoryError("sum: out of memory")
        if (x == self.BAD).any():
            raise ValueError("a bad row")
        y = x.reshape(len(x), -1).sum(1, dtype=np.float32)
        return [y + feeds["z"][:, 0] if "z" in feeds else y]


class FakeEngine:
    """Lanes of a model, and the way of single calls."""

    device = "cpu"

    def __init__(self, lanes: int = 2, **limits: Any) -> None:
        self.calls: list[int] = []
        self.single = Sum(self.calls)
        self.lanes = [Sum(self.calls) for _ in range(lanes)]
        self.limits = Limits(**limits)

    def gate(self) -> threading.Event:
        """Every call waits for it."""
        event = threading.Event()
        for runner in (self.single, *self.lanes):
            runner.gate = event
        return event


def executor_of(engine: Any, batch: int | None = None) -> Executor:
    return Executor(engine, "x", lambda items: items, Y, batch=batch, key="sum")


def rows_of(n: int, width: int = 3, seed: int = 0) -> Rows:
    rng = np.random.default_rng([n, width, seed])
    return Rows(rng.integers(0, 200, (n, width)).astype(np.uint8))


def sums(rows: Rows) -> NDArray[np.float32]:
    y = rows.items.reshape(len(rows), -1).sum(1, dtype=np.float32)
    return y + rows.extra["z"][:, 0] if rows.extra else y


def check(outputs: Any, rows: Rows) -> None:
    np.testing.assert_array_equal(outputs["y"], sums(rows))
    assert outputs["y"].dtype == np.float32


@pytest.fixture(autouse=True)
def _no_thread_is_left_at_work() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("seqtile lane"):
            thread.join(2)
            assert not thread.is_alive()


# run


@given(n=st.integers(1, 40), size=st.integers(1, 50), most=st.integers(1, 50), extra=st.booleans())
@settings(max_examples=60, deadline=None)
def test_rows_are_answered_whatever_the_batches(n: int, size: int, most: int, extra: bool) -> None:
    engine = FakeEngine()
    engine.single.most = most
    rows = rows_of(n)
    if extra:
        rows = Rows(rows.items, {"z": np.arange(n, dtype=np.float32)[:, None]})
    executor = executor_of(engine)
    batches = executor.batches(size)
    check(executor.run(rows, batches=batches), rows)
    assert max(engine.single.calls) <= size
    tried = [n for n in engine.single.calls if n > most]
    assert sorted(tried, reverse=True) == tried  # halved each time, and never asked for again
    assert batches.asked == size if not tried else batches.asked <= tried[-1] // 2 or most == 1


def test_one_row_too_much_is_an_error() -> None:
    engine = FakeEngine()
    engine.single.most = 0
    with pytest.raises(OutOfMemoryError):
        executor_of(engine).run(rows_of(9))
    assert engine.single.calls[-1] == 1


@pytest.mark.parametrize("n", [1, 4, 5, 8, 11])
def test_a_fixed_batch_is_filled_up(n: int) -> None:
    engine = FakeEngine()
    rows = Rows(rows_of(n).items, {"z": np.arange(n, dtype=np.float32)[:, None]})
    check(executor_of(engine, batch=4).run(rows), rows)
    assert set(engine.single.calls) == {4}


def test_padding_repeats_the_first_row() -> None:
    rows = np.array([[1, 2], [3, 4]])
    np.testing.assert_array_equal(padded(rows, 4), [[1, 2], [3, 4], [1, 2], [1, 2]])
    assert padded(rows, 2) is rows
    out = np.zeros((3, 2), np.int64)
    assert padded(rows, 3, out) is out
    np.testing.assert_array_equal(out, [[1, 2], [3, 4], [1, 2]])


def test_an_answer_without_a_row_for_each_is_refused() -> None:
    class Wrong(Sum):
        def run(self, *args: Any, **options: Any) -> list[NDArray[Any]]:
            return [np.zeros(1)]

    engine = FakeEngine()
    engine.single = Wrong([])
    with pytest.raises(
        ShapeError, match=r"output 'y' of the model has the shape \(1,\) for 5 item"
    ):
        executor_of(engine).run(rows_of(5))


# map


@given(
    chunks=st.lists(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 3)), max_size=3)),
    lanes=st.integers(1, 4),
    peek=st.booleans(),
    interruptible=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_chunks_are_answered_in_order(
    chunks: list[list[tuple[int, int]]], lanes: int, peek: bool, interruptible: bool
) -> None:
    """Each chunk has rows of some shapes, or none."""
    engine = FakeEngine(lanes)

    def prepare(chunk: list[tuple[int, int]]) -> tuple[Iterator[Rows], list[Rows]]:
        made = [rows_of(n, width) for n, width in chunk]
        return iter(made), made

    def finish(made: list[Rows], found: list[Any]) -> int:
        for rows, outputs in zip(made, found, strict=True):
            check(outputs, rows)
        return sum(map(len, made))

    executor = executor_of(engine)
    found = list(
        executor.map(iter(chunks), prepare, finish, peek=peek, interruptible=interruptible)
    )
    assert found == [sum(n for n, _ in chunk) for chunk in chunks]
    if peek and len(chunks) == 1:
        assert sum(engine.single.calls) == found[0]
        assert not any(lane.calls for lane in engine.lanes)
    else:
        assert engine.single.calls == []


def test_without_peek_an_answer_may_make_the_next_item() -> None:
    engine = FakeEngine()
    answered = threading.Semaphore(1)

    def source() -> Iterator[int]:
        for i in range(1, 6):
            assert answered.acquire(timeout=20)
            yield i

    found = executor_of(engine).map(
        source(), lambda n: ([rows_of(n)], n), lambda n, outputs: (n, outputs[0]["y"])
    )
    for count, (n, y) in enumerate(found, 1):
        assert n == count == len(y)
        answered.release()


def test_an_interrupt_does_not_wait_for_a_single_chunk() -> None:
    engine = FakeEngine()
    gate = engine.gate()

    def interrupt() -> None:
        assert engine.single.entered.wait(20)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    answers = executor_of(engine).map(
        [3], lambda n: ([rows_of(n)], n), lambda n, found: n, peek=True, interruptible=True
    )
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            next(answers)
    finally:
        signal.signal(signal.SIGINT, before)
        gate.set()
    assert engine.single.calls == [3]


@pytest.mark.parametrize("where", ["items", "prepare", "run", "finish"])
@pytest.mark.parametrize("peek", [False, True])
def test_an_error_comes_in_its_place_and_closes_the_source(where: str, peek: bool) -> None:
    closed = threading.Event()

    def fail(here: str, i: int) -> None:
        if here == where and i == 7:
            raise KeyError(here)

    def source() -> Iterator[int]:
        try:
            for i in range(1, 100):
                fail("items", i)
                yield i
        finally:
            closed.set()

    def prepare(i: int) -> tuple[list[Rows], int]:
        fail("prepare", i)
        bad = where == "run" and i == 7
        return [Rows(np.full((2, 2), Sum.BAD if bad else 1, np.uint8))], i

    def finish(i: int, found: list[Any]) -> int:
        fail("finish", i)
        return i

    answers = executor_of(FakeEngine()).map(source(), prepare, finish, peek=peek)
    assert list(itertools.islice(answers, 6)) == [1, 2, 3, 4, 5, 6]
    with pytest.raises(ValueError if where == "run" else KeyError):
        next(answers)
    assert closed.wait(5)


# submit


@given(
    arrivals=st.lists(
        st.tuples(
            st.integers(1, 6),  # rows
            st.integers(1, 3),  # letters
            st.booleans(),  # bad
            st.sampled_from([0.0, 0.0, 0.001]),  # seconds to the next
        ),
        max_size=30,
    ),
    lanes=st.integers(1, 3),
    size=st.sampled_from([1, 4, 128]),
    most=st.sampled_from([1, 5, 10**9]),
)
@settings(max_examples=60, deadline=None)
def test_any_arrivals_are_answered_as_if_alone(
    arrivals: list[tuple[int, int, bool, float]], lanes: int, size: int, most: int
) -> None:
    engine = FakeEngine(lanes, cpu_batch=size, cpu_batches=(size,))
    for runner in (engine.single, *engine.lanes):
        runner.most = most
    executor = executor_of(engine)
    futures: dict[int, Future[Any]] = {}

    def client(first: int) -> None:
        for i in range(first, len(arrivals), 2):
            n, width, bad, pause = arrivals[i]
            rows = rows_of(n, width, i)
            if bad:
                rows.items[0] = Sum.BAD
            futures[i] = executor.submit(rows)
            time.sleep(pause)

    clients = [threading.Thread(target=client, args=(first,)) for first in range(2)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    for i, (n, width, bad, _) in enumerate(arrivals):
        if bad:
            with pytest.raises(ValueError, match="^a bad row$"):
                futures[i].result(20)
        else:
            check(futures[i].result(20), rows_of(n, width, i))
    assert executor.waiting == 0
    executor.close()


def test_what_waits_for_a_busy_lane_is_joined() -> None:
    engine = FakeEngine(1, cpu_batch=6, cpu_batches=(6,))
    executor, gate = executor_of(engine), engine.gate()
    first = executor.submit(rows_of(1))
    assert engine.single.entered.wait(20)
    requests = [rows_of(n, seed=n) for n in (1, 2, 3, 4, 9, 1)]
    futures = [executor.submit(rows) for rows in requests]
    other = executor.submit(rows_of(1, width=7))
    assert executor.waiting == 21
    gate.set()
    for future, rows in zip(futures, requests, strict=True):
        check(future.result(20), rows)
    check(first.result(20), rows_of(1))
    check(other.result(20), rows_of(1, width=7))
    # 6 rows at most; then the other shape has its turn; more rows than a batch are cut.
    assert engine.calls == [1, 6, 1, 4, 6, 3, 1]
    assert executor.waiting == 0
    executor.close()


def test_further_inputs_and_outputs_are_joined_with_their_own_kind() -> None:
    engine = FakeEngine(1)
    executor, gate = executor_of(engine), engine.gate()
    executor.submit(rows_of(1))
    assert engine.single.entered.wait(20)
    plain = [rows_of(2, seed=i) for i in range(3)]
    more = [Rows(rows.items, {"z": np.full((2, 1), i, np.float32)}) for i, rows in enumerate(plain)]
    futures = [
        (executor.submit(rows), rows) for pair in zip(plain, more, strict=True) for rows in pair
    ]
    gate.set()
    for future, rows in futures:
        check(future.result(20), rows)
    assert sorted(engine.calls) == [1, 6, 6]
    executor.close()


def test_an_idle_executor_runs_at_once_with_all_threads() -> None:
    engine = FakeEngine(3)
    executor = executor_of(engine)
    for seed in range(5):
        check(executor.submit(rows_of(2, seed=seed)).result(20), rows_of(2, seed=seed))
        time.sleep(0.01)  # the lane is done with the request before this
    assert engine.single.calls == [2] * 5
    executor.close()


def test_many_run_in_all_lanes() -> None:
    engine = FakeEngine(3, cpu_batch=1, cpu_batches=(1,))
    executor = executor_of(engine)
    barrier = threading.Barrier(3)
    for runner in (engine.single, *engine.lanes):
        runner.gate = type("Gate", (), {"wait": lambda self, s: barrier.wait(s) >= 0})()
    futures = [executor.submit(rows_of(1, seed=i)) for i in range(9)]
    assert not wait_for(futures, 20).not_done  # each run waits for two others
    executor.close()


def test_a_bad_request_fails_alone() -> None:
    engine = FakeEngine(1)
    executor, gate = executor_of(engine), engine.gate()
    executor.submit(rows_of(1))
    assert engine.single.entered.wait(20)
    requests = [rows_of(2, seed=i) for i in range(5)]
    requests[2].items[1] = Sum.BAD
    futures = [executor.submit(rows) for rows in requests]
    gate.set()
    for i, (future, rows) in enumerate(zip(futures, requests, strict=True)):
        if i == 2:
            with pytest.raises(ValueError, match="^a bad row$"):
                future.result(20)
        else:
            check(future.result(20), rows)
    executor.close()


@pytest.mark.parametrize(
    "rows",
    [
        Rows(np.zeros((0, 3), np.uint8)),
        Rows(np.zeros((2, 3), np.uint8), {"z": np.zeros((1, 1), np.float32)}),
    ],
)
def test_requests_that_would_shift_others_are_refused(rows: Rows) -> None:
    executor = executor_of(FakeEngine())
    with pytest.raises(ShapeError, match="^expected as many rows of each input, from 1: "):
        executor.submit(rows)


def test_a_cancelled_request_is_not_run() -> None:
    engine = FakeEngine(1)
    executor, gate = executor_of(engine), engine.gate()
    running = executor.submit(rows_of(1))
    assert engine.single.entered.wait(20)
    futures = [executor.submit(rows_of(2, seed=i)) for i in range(4)]
    assert not running.cancel()
    assert futures[0].cancel()
    assert futures[2].cancel()
    gate.set()
    for i in (1, 3):
        check(futures[i].result(20), rows_of(2, seed=i))
    with pytest.raises(CancelledError):
        futures[0].result(20)
    assert sum(engine.calls) == 5
    executor.close()


def test_closing_ends_what_runs_and_refuses_what_waits() -> None:
    engine = FakeEngine(1)
    executor, gate = executor_of(engine), engine.gate()
    running = executor.submit(rows_of(1))
    assert engine.single.entered.wait(20)
    waiting = [executor.submit(rows_of(2, seed=i)) for i in range(3)]
    waiting[1].cancel()
    threading.Timer(0.05, gate.set).start()
    executor.close()
    check(running.result(0), rows_of(1))
    for i in (0, 2):
        with pytest.raises(RuntimeError, match="^the executor was closed before its turn"):
            waiting[i].result(0)
    assert waiting[1].cancelled()
    assert executor.waiting == 0
    with pytest.raises(RuntimeError, match="^the executor was closed"):
        executor.submit(rows_of(1))
    check(executor.run(rows_of(3)), rows_of(3))
    executor.close()


def test_a_callback_may_submit_and_close() -> None:
    engine = FakeEngine(2)
    executor = executor_of(engine)
    done = threading.Event()
    second: list[Future[Any]] = []

    def then(future: Future[Any]) -> None:
        second.append(executor.submit(rows_of(4)))
        second[0].add_done_callback(lambda _: (executor.close(), done.set()))

    executor.submit(rows_of(2)).add_done_callback(then)
    assert done.wait(20)
    check(second[0].result(20), rows_of(4))


def test_threads_that_have_nothing_to_do_end() -> None:
    engine = FakeEngine(2, idle_s=0.02)
    executor = executor_of(engine)
    for seed in range(3):
        check(executor.submit(rows_of(2, seed=seed)).result(20), rows_of(2, seed=seed))
        time.sleep(0.1)
    assert not [t for t in threading.enumerate() if t.name.startswith("seqtile request")]
    forgotten = weakref.ref(executor)
    del executor
    gc.collect()
    assert forgotten() is None


def test_a_forked_child_starts_anew() -> None:
    """The threads of its parent are not there."""
    engine = FakeEngine(1)
    executor = executor_of(engine)
    check(executor.submit(rows_of(2)).result(20), rows_of(2))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            check(executor.submit(rows_of(3)).result(20), rows_of(3))
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    check(executor.submit(rows_of(4)).result(20), rows_of(4))
    executor.close()


def test_requests_of_a_real_model(motif: Predictor) -> None:
    rng = np.random.default_rng(0)
    letters = np.frombuffer(b"ACGT", np.uint8)
    requests = [
        Rows(letters[rng.integers(0, 4, (rng.integers(1, 9), rng.integers(12, 15)))])
        for _ in range(60)
    ]
    futures = [motif.executor.submit(rows) for rows in requests]
    for future, rows in zip(futures, requests, strict=True):
        expected = motif.executor.run(rows)
        found = future.result(20)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, atol=1e-6)


INTERRUPTED = """
import signal, time, numpy as np
signal.signal(signal.SIGINT, signal.default_int_handler)  # nohup and & leave it ignored
from seqtile.execution.executor import Executor
from seqtile.execution.limits import LIMITS
from seqtile.execution.rows import Rows

class Slow:
    device, limits = "cpu", LIMITS
    def run(self, feeds, outputs, profile):
        print("running", flush=True)
        time.sleep(60)

engine = Slow()
engine.single, engine.lanes = engine, [engine]
executor = Executor(engine, "x", lambda items: items, ("y",))
try:  # the first may run before the last is submitted
    futures = [executor.submit(Rows(np.zeros((1, 3), np.uint8))) for _ in range(3)]
    futures[0].result()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_who_waits_can_be_interrupted() -> None:
    """And the process then ends, whatever its lanes are at."""
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[0] == "interrupted\n"
    assert process.returncode == 0
