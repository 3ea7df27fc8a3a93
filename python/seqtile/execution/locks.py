"""Locks that several parts of the package share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["DEVICE", "SharedLock"]


class SharedLock:
    """A lock held by many at once, or by one alone; who waits to be alone goes first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._users = 0
        self._waiting = 0
        self._alone = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Held together with others; not to be asked for twice by one thread."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone and not self._waiting)
            self._users += 1
        try:
            yield
        finally:
            with self._changed:
                self._users -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Held by this thread only."""
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: not self._alone and not self._users)
                self._alone = True
            finally:
                self._waiting -= 1
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()


# While one thread captures a CUDA graph, no other of the process may call CUDA: onnxruntime
# captures in CUDA's global mode, in which an allocation anywhere breaks the capture.
DEVICE = SharedLock()
