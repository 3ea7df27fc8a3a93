"""A lock held by many, or by one alone."""

from __future__ import annotations

import threading
import time

import pytest

from seqtile.execution.locks import SharedLock

SOON = 20.0  # seconds; waited for only by a test that fails


def start(work: object) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread


def test_many_hold_it_together() -> None:
    lock, together = SharedLock(), threading.Barrier(5, timeout=SOON)

    def work() -> None:
        with lock.shared():
            together.wait()

    threads = [start(work) for _ in range(4)]
    with lock.shared():
        together.wait()
    for thread in threads:
        thread.join(SOON)
        assert not thread.is_alive()


def test_one_holds_it_alone() -> None:
    lock = SharedLock()
    users, alone, wrong = 0, 0, []
    guard = threading.Lock()

    def share() -> None:
        nonlocal users
        for _ in range(200):
            with lock.shared():
                with guard:
                    users += 1
                if alone:
                    wrong.append("shared beside alone")
                with guard:
                    users -= 1

    def take() -> None:
        nonlocal alone
        for _ in range(100):
            with lock.alone():
                alone += 1
                if users or alone != 1:
                    wrong.append("not alone")
                alone -= 1

    threads = [start(work) for work in (share, share, share, take, take)]
    for thread in threads:
        thread.join(SOON)
        assert not thread.is_alive()
    assert wrong == []


def test_who_waits_to_be_alone_goes_first() -> None:
    lock, order = SharedLock(), []
    with lock.shared():
        first = start(lambda: _enter(lock.alone, order, "alone"))
        while not lock._waiting:
            time.sleep(0.001)
        second = start(lambda: _enter(lock.shared, order, "shared"))
        time.sleep(0.05)
        assert order == []
    for thread in (first, second):
        thread.join(SOON)
    assert order == ["alone", "shared"]


def _enter(way: object, order: list[str], name: str) -> None:
    with way():  # type: ignore[operator]
        order.append(name)


def test_an_error_lets_go() -> None:
    lock = SharedLock()
    for way in (lock.shared, lock.alone, lock.shared, lock.alone):
        with pytest.raises(KeyError), way():
            raise KeyError
