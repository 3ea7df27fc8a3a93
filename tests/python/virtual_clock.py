"""A clock for tests of threads: time passes only when all of them wait for it."""

from __future__ import annotations

import threading


class VirtualClock:
    """Seconds from 0 on, moved to the earliest moment waited for once all threads wait.

    Parameters
    ----------
    threads
        Threads that will use the clock; one that has ended no longer counts.
    """

    def __init__(self, threads: int) -> None:
        self._time = 0.0
        self._threads = threads
        self._seen: set[threading.Thread] = set()
        self._waiting: dict[threading.Thread, float] = {}
        self._moved = threading.Condition()

    def now(self) -> float:
        with self._moved:
            if threading.current_thread() is not threading.main_thread():
                self._seen.add(threading.current_thread())
            return self._time

    def wait_until(self, moment: float, stop: threading.Event | None = None) -> None:
        me = threading.current_thread()
        with self._moved:
            self._seen.add(me)
            self._waiting[me] = moment
            while self._time < moment and not (stop is not None and stop.is_set()):
                alive = {thread for thread in self._seen if thread.is_alive()}
                if len(self._seen) >= self._threads and alive == self._waiting.keys():
                    self._time = max(self._time, min(self._waiting.values()))
                    self._moved.notify_all()
                    if self._time >= moment:
                        break
                self._moved.wait(0.001)
            del self._waiting[me]

    def work(self, seconds: float) -> None:
        """Take so long."""
        self.wait_until(self.now() + seconds)
