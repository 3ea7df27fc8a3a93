"""The ordered pipeline: order, bounds, errors once, an end at any time; and its clock."""

from __future__ import annotations

import gc
import itertools
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtile.execution.pipeline import Lane, Stopped, ordered
from seqtile.execution.profile import Profile


class Echo:
    """Answers with what it is fed."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def run(self, feeds: Any, outputs: Any = None, *, profile: Profile | None = None) -> list[Any]:
        self.threads.add(threading.get_ident())
        if profile is not None:
            profile.add("compute", 0.001)
        return [feeds["x"]]


def lanes_left() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("seqtile lane")]


@pytest.fixture(autouse=True)
def _no_lane_stays() -> Iterator[None]:
    yield
    for thread in lanes_left():
        thread.join(2)
    assert not lanes_left()


def run(item: int, lane: Lane) -> int:
    return int(lane.run({"x": np.array(item)})[0])


# order and bounds


@given(
    pauses=st.lists(st.integers(0, 3), max_size=30),
    lanes=st.integers(1, 5),
    ahead=st.integers(0, 3),
)
@settings(max_examples=40, deadline=None)
def test_answers_come_in_order(pauses: list[int], lanes: int, ahead: int) -> None:
    def work(pair: tuple[int, int], lane: Lane) -> int:
        time.sleep(pair[1] / 1000)
        return run(pair[0], lane)

    found = list(ordered(enumerate(pauses), work, [Echo()] * lanes, ahead=ahead))
    assert found == list(range(len(pauses)))


def test_lanes_work_at_the_same_time() -> None:
    """Each waits for the other: one thread alone would never end."""
    barrier = threading.Barrier(3, timeout=10)

    def work(item: int, lane: Lane) -> int:
        barrier.wait()
        return item

    assert list(ordered(range(9), work, [Echo()] * 3)) == list(range(9))


def test_each_lane_keeps_its_runner() -> None:
    runners = [Echo(), Echo(), Echo()]
    assert list(ordered(range(60), run, runners)) == list(range(60))
    used = [runner.threads for runner in runners if runner.threads]
    assert sum(map(len, used)) == len(set().union(*used)) == len(used)


def test_reads_no_further_ahead_than_said() -> None:
    given_out = 0

    def source() -> Iterator[int]:
        nonlocal given_out
        for i in itertools.count():
            given_out += 1
            yield i

    work = ordered(source(), run, [Echo()] * 2, ahead=1)
    for taken in range(1, 40):
        assert next(work) == taken - 1
        time.sleep(0.001)
        assert given_out <= taken + 4
    work.close()


def test_the_source_is_read_by_one_lane_at_a_time() -> None:
    inside = 0

    def source() -> Iterator[int]:
        nonlocal inside
        for i in range(50):
            assert inside == 0
            inside += 1
            time.sleep(0.0005)
            inside -= 1
            yield i

    assert list(ordered(source(), run, [Echo()] * 4)) == list(range(50))


def test_nothing_runs_before_it_is_asked_for() -> None:
    ordered(iter([1]), run, [Echo()])
    assert not lanes_left()


def test_an_empty_source() -> None:
    assert list(ordered([], run, [Echo()] * 2)) == []


# errors


@pytest.mark.parametrize("lanes", [1, 3])
def test_an_error_of_the_work_comes_once_after_what_was_before_it(lanes: int) -> None:
    def work(item: int, lane: Lane) -> int:
        if item >= 5:
            raise ValueError(f"bad {item}")
        time.sleep(0.002)  # the error is there before the answers that come before it
        return item

    rows = ordered(range(100), work, [Echo()] * lanes)
    assert list(itertools.islice(rows, 5)) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="^bad 5$"):
        next(rows)
    assert list(rows) == []


def test_an_error_of_the_source_comes_in_its_place() -> None:
    def source() -> Iterator[int]:
        yield from range(7)
        raise OSError("broken pipe line 8")

    rows = ordered(source(), run, [Echo()] * 3)
    assert list(itertools.islice(rows, 7)) == list(range(7))
    with pytest.raises(OSError, match="line 8"):
        next(rows)


def test_a_stop_is_no_error_for_the_caller() -> None:
    """A lane that is told to stop ends at its next batch, and closes the source."""
    closed = threading.Event()
    stopped = threading.Event()

    def source() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed.set()

    def work(item: int, lane: Lane) -> int:
        try:
            for _ in range(10_000 if item else 1):
                run(item, lane)
                time.sleep(0.001)
        except Stopped:
            stopped.set()
            raise
        return item

    rows = ordered(source(), work, [Echo()] * 2)
    assert next(rows) == 0
    begin = time.monotonic()
    rows.close()
    assert time.monotonic() - begin < 5
    assert stopped.is_set()
    assert closed.is_set()
    assert not lanes_left()


def test_a_lane_that_hangs_on_its_input_holds_nobody_up() -> None:
    go_on = threading.Event()

    def source() -> Iterator[int]:
        yield 0
        go_on.wait(10)

    rows = ordered(source(), run, [Echo()] * 2)
    assert next(rows) == 0
    begin = time.monotonic()
    rows.close()
    assert time.monotonic() - begin < 5
    assert lanes_left()
    go_on.set()


def test_a_lane_may_collect_what_nobody_takes_from() -> None:
    forgotten = threading.Event()
    failures: list[object] = []

    def work(item: int, lane: Lane) -> int:
        if item:
            forgotten.wait(10)
            gc.collect()
        return item

    rows = ordered(range(100), work, [Echo()] * 2)
    assert next(rows) == 0
    circle: list[Any] = [rows]
    circle.append(circle)
    gc.disable()
    hook, sys.unraisablehook = sys.unraisablehook, failures.append
    try:
        del rows, circle
        forgotten.set()
        for thread in lanes_left():
            thread.join(10)
    finally:
        gc.enable()
        sys.unraisablehook = hook
    assert failures == []


def test_a_forked_child_is_told(tmp_path: Path) -> None:
    """Lanes do not cross a fork: to wait for them in the child would be to wait for ever."""
    rows = ordered(itertools.count(), run, [Echo()] * 2)
    assert next(rows) == 0
    child = os.fork()
    if child == 0:
        try:
            next(rows)
        except RuntimeError as error:
            (tmp_path / "said").write_text(str(error))
        os._exit(0)
    os.waitpid(child, 0)
    assert "both sides of a fork" in (tmp_path / "said").read_text()
    assert next(rows) == 1
    rows.close()


# the clock


def test_time_is_counted_by_stage() -> None:
    profile = Profile()

    def source() -> Iterator[int]:
        for i in range(10):
            time.sleep(0.002)
            yield i

    for _ in ordered(source(), run, [Echo()] * 2, profile=profile):
        time.sleep(0.001)
    assert profile.lanes == 2
    assert profile.seconds["read"] >= 0.02
    assert profile.seconds["write"] >= 0.01
    assert profile.seconds["compute"] == pytest.approx(0.010)


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [
        ({"read": 2.0, "compute": 1.0}, "feed-limited"),
        ({"read": 0.5, "encode": 0.4, "wait_read": 0.3, "compute": 1.1}, "feed-limited"),
        ({"read": 1.0, "h2d": 0.4, "compute": 0.4, "d2h": 0.4}, "compute-limited"),
        ({"compute": 1.0, "wait_write": 1.5, "write": 9.0}, "write-limited"),
        ({"compute": 1.0, "write": 9.0}, "compute-limited"),
    ],
)
def test_verdict(seconds: dict[str, float], verdict: str) -> None:
    profile = Profile()
    for stage, value in seconds.items():
        profile.add(stage, value)
    assert profile.verdict() == verdict == profile.to_dict()["verdict"]
    assert str(profile).startswith(verdict)
    assert sum(profile.shares().values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("slow", "verdict"),
    [("read", "feed-limited"), ("compute", "compute-limited"), ("write", "write-limited")],
)
def test_the_verdict_of_a_real_run(slow: str, verdict: str) -> None:
    """Each stage in turn takes ten times as long as the others together."""
    profile = Profile()

    def pause(stage: str) -> None:
        time.sleep(0.02 if stage == slow else 0.001)

    def source() -> Iterator[int]:
        for i in range(12):
            pause("read")
            yield i

    def work(item: int, lane: Lane) -> int:
        with lane.profile.stage("compute"):
            pause("compute")
        return item

    for _ in ordered(source(), work, [Echo()] * 2, profile=profile):
        pause("write")
    assert profile.verdict() == verdict
