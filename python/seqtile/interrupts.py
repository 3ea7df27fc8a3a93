"""Ctrl-C, SIGTERM and SIGHUP end the command line: at once, and with nothing left behind.

A handler that raises would do so anywhere: while a library is imported, which then says that it is
missing; in a callback of C, which prints the exception and goes on; while files are removed. So the
handler only notes the signal, but while input is waited for (`reading`). Work heeds it at safe
points, by `check`; what waits or computes is stopped by a function of its own, by `stopping`. A
thread that hears of the signal by a pipe, even while the main thread is in C code, ends the process
when the work has not ended by then.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Python's own handlers count while modules are imported: these are few
    from pathlib import Path

__all__ = [
    "Interrupted",
    "at_end",
    "at_signal",
    "check",
    "heeding",
    "holding",
    "reading",
    "stopping",
    "unbroken",
]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE_S = 0.6  # in which the work may end by itself, so that the process ends within a second
_RENAMES_S = 0.1  # in which files are renamed

_noted = 0  # number of the first signal that came
_raising = False  # in a block of `reading`
_stops: dict[object, Callable[[], object]] = {}
_ends: dict[object, Callable[[], object]] = {}

# Held while files get their final names, so that all have them, or none.
unbroken = threading.RLock()


class Interrupted(BaseException):
    """The work was told by a signal to end.

    Attributes
    ----------
    number
        Of the signal.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"stopped by {signal.Signals(number).name}")


def check() -> None:
    """Raise `Interrupted` if a signal has come; to be called where that is safe."""
    if _noted:
        raise Interrupted(_noted)


def at_signal(stop: Callable[[], object]) -> object:
    """Call a function, in another thread, when a signal comes; what stands for it is returned."""
    key = object()
    _stops[key] = stop
    return key


@contextmanager
def stopping(stop: Callable[[], object]) -> Iterator[None]:
    """Call ``stop``, in another thread, when a signal comes inside the block; it is then to end.

    Raises
    ------
    Interrupted
        A signal had come before the block, or the block ends well after one.
    """
    key = at_signal(stop)
    try:
        check()
        yield
    finally:
        del _stops[key]
    check()


@contextmanager
def reading() -> Iterator[None]:
    """Wait for input in a ``with`` block: here, and nowhere else, the handler itself raises.

    So that what waits for ever, as for standard input, ends at once.
    """
    global _raising
    check()
    if threading.current_thread() is not threading.main_thread():  # where handlers run
        yield
        return
    _raising = True
    try:
        yield
    finally:
        _raising = False


def at_end(remove: Callable[[], object]) -> object:
    """Call a function, in any thread, before a signal ends the process; returned as `at_signal`."""
    key = object()
    _ends[key] = remove
    return key


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """A folder that is temporary: it is removed if the process must end inside the block."""
    import shutil

    key = at_end(lambda: shutil.rmtree(folder, ignore_errors=True))
    try:
        yield
    finally:
        del _ends[key]


def heeding(work: Callable[[], int], *, ends: bool) -> int:
    """Do some work that signals may end.

    Parameters
    ----------
    work
        Called in this thread, which is the main one; gives an exit status.
    ends
        Whether the process ends with it. A signal then ends the process itself, with the exit
        status 128 + its number; by its own default action where the work does not end in time.

    Returns
    -------
    The exit status; 128 + the signal's number if one came.
    """
    global _noted
    if threading.current_thread() is not threading.main_thread():  # which alone hears signals
        return work()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    heard = [number for number in SIGNALS if before[number] is not signal.SIG_IGN]  # as nohup has
    _noted = 0
    for number in heard:
        signal.signal(number, _handle)
    watch = _Watch(ends=ends)
    status = 0
    try:
        with suppress(Interrupted):
            check()
            status = work()
    finally:
        if not (ends and _noted):
            for number in heard:  # from here on a signal ends the process without us
                signal.signal(number, signal.SIG_DFL if ends else before[number])
            watch.close()
        if came := _noted:
            _noted = 0 if not ends else came
            _say(came)
            if ends:
                _remove()
                os._exit(128 + came)
            status = 128 + came
    return status


def _handle(number: int, _: object) -> None:
    global _raising
    _note(number)
    if _raising:
        _raising = False  # once
        check()


def _note(number: int) -> None:
    global _noted
    _noted = _noted or number


class _Watch:
    """A thread that stops what runs when a signal comes, and ends the process in the end."""

    def __init__(self, *, ends: bool) -> None:
        self._ends = ends
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="seqtile signals", daemon=True)
        self._thread.start()
        if _noted:  # before the pipe was there
            os.write(self._writer, bytes([_noted]))

    def _listen(self) -> None:
        while received := os.read(self._reader, 1):
            if received[0] in SIGNALS:
                break
        else:
            return
        _note(received[0])
        threading.Thread(target=_stop, name="seqtile stop", daemon=True).start()
        if not self._closed.wait(PATIENCE_S) and self._ends:
            _end(received[0])

    def close(self) -> None:
        """Listen no more; what came before is noted."""
        signal.set_wakeup_fd(self._before)
        self._closed.set()
        os.close(self._writer)
        self._thread.join()
        os.close(self._reader)


def _stop() -> None:
    for stop in list(_stops.values()):
        stop()


def _say(number: int) -> None:
    for stream, text in ((sys.stderr, "seqtile: interrupted\n"), (sys.stdout, "")):
        with suppress(OSError, ValueError):  # nobody reads it
            if stream is not None:  # closed
                stream.write(text if number == signal.SIGINT else "")
                stream.flush()


def _remove() -> None:
    for remove in list(_ends.values()):
        remove()


def _end(number: int) -> None:
    """End the process by the signal's default action, whatever its main thread is at."""
    import ctypes

    unbroken.acquire(timeout=_RENAMES_S)
    _remove()
    setter = ctypes.pythonapi.PyOS_setsig  # `signal.signal` is for the main thread alone
    setter.argtypes, setter.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    setter(number, None)
    os.kill(os.getpid(), number)
    time.sleep(_RENAMES_S)
    os._exit(128 + number)  # the first process of a container has no default action
