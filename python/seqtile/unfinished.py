"""Files that are being written: beside their final place, under names of their own, locked.

A writer that is killed leaves its file behind, and its lock is gone. The next one that writes to
that folder removes what is older than an hour and not locked.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import os
import re
import secrets
import signal
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from . import interrupts
from .errors import OutputError

__all__ = ["Unfinished", "locked", "remove_unfinished", "uninterrupted"]

_NAME = re.compile(r"\.seqtile-[0-9a-f]{16}\.(part|lock)")
_OLD_S = 3600
_PATIENCE_S = 60
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_unfinished: set[Unfinished] = set()
_locks: dict[Path, int] = {}  # lock files that this process holds, and their descriptors
_swept: set[Path] = set()


class Unfinished:
    """A file that takes its final name when it is whole.

    It has the mode, and as far as allowed the owner, of the file whose place it will take; else
    those that the umask gives.

    Parameters
    ----------
    final
        What it will be called; no link.

    Attributes
    ----------
    path
        What it is called until then.
    descriptor
        Open for reading and writing; holds a lock.

    Raises
    ------
    OSError
        No file can be made there.
    """

    def __init__(self, final: Path) -> None:
        if final.parent not in _swept:
            _swept.add(final.parent)
            _sweep(final.parent)
        self.final = final
        before = None
        with suppress(FileNotFoundError):
            before = final.stat()
        with uninterrupted():
            self._make(0o600 if before else 0o666)
            _unfinished.add(self)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if before is not None:
            for owner in ((-1, before.st_gid), (before.st_uid, -1)):
                with suppress(OSError):
                    os.fchown(self.descriptor, *owner)
            with suppress(OSError):
                os.fchmod(self.descriptor, before.st_mode & 0o777)

    def _make(self, mode: int) -> None:
        while True:
            self.path = self.final.with_name(f".seqtile-{secrets.token_hex(8)}.part")
            with suppress(FileExistsError):
                self.descriptor = os.open(self.path, _FLAGS | os.O_CREAT | os.O_EXCL, mode)
                return

    def sync(self) -> None:
        """Bring what was written to the disk.

        Raises
        ------
        OSError
            The disk does not take it; the file is no longer there.
        """
        os.fsync(self.descriptor)
        if not _is(self.path, self.descriptor):
            raise OSError(f"its temporary file {self.path} was removed or replaced meanwhile")

    def finish(self) -> None:
        """Give it its final name."""
        os.replace(self.path, self.final)  # noqa: PTH105
        self._end()

    def remove(self) -> None:
        """Remove it, unless it is finished."""
        if self in _unfinished:
            with suppress(OSError):
                self.path.unlink()
            self._end()

    def _end(self) -> None:
        _unfinished.discard(self)
        os.close(self.descriptor)


@contextmanager
def locked(files: Iterable[Path]) -> Iterator[None]:
    """Held by one process at a time, for each of these files, while it replaces them together.

    Of two that write the same set of files, one then replaces all of them after the other. A file
    system that takes no locks goes without. Not to be asked for again inside the block.

    Raises
    ------
    OutputError
        Another process has held one of them for a minute.
    """
    held: list[Path] = []
    try:
        for file in sorted(set(files)):
            name = hashlib.sha256(os.fsencode(file.name)).hexdigest()[:16]
            _hold(file.with_name(f".seqtile-{name}.lock"), file, held)
        yield
    finally:
        with uninterrupted():
            for path in held:
                _release(path)


def _hold(path: Path, file: Path, held: list[Path]) -> None:
    give_up = time.monotonic() + _PATIENCE_S
    while True:
        with uninterrupted():
            try:
                descriptor = os.open(path, _FLAGS | os.O_CREAT, 0o666)
            except OSError:  # of another user, or no place for it
                return
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is(path, descriptor):  # not removed by who held it before
                    _locks[path] = descriptor
                    held.append(path)
                    return
            except BlockingIOError:
                pass
            except OSError:
                os.close(descriptor)
                path.unlink(missing_ok=True)
                return
            os.close(descriptor)
        interrupts.check()
        if time.monotonic() > give_up:
            raise OutputError(f"{file}: another process has been about to replace it for a minute")
        time.sleep(0.01)


def _release(path: Path) -> None:
    descriptor = _locks.pop(path, None)
    if descriptor is not None:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


@atexit.register
def remove_unfinished() -> None:
    """Remove all unfinished files of this process, which is about to end; from any thread."""
    for file in list(_unfinished):
        file.remove()
    for path in list(_locks):
        _release(path)


interrupts.at_end(remove_unfinished)


def _forget() -> None:
    """Leave them to the process that this one was forked from."""
    for descriptor in (*(file.descriptor for file in _unfinished), *_locks.values()):
        os.close(descriptor)
    _unfinished.clear()
    _locks.clear()


os.register_at_fork(after_in_child=_forget)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put off signals that end the process until the block has ended."""
    with interrupts.unbroken, _put_off():
        yield


@contextmanager
def _put_off() -> Iterator[None]:
    """The same for handlers that raise, as Python's own does."""
    if threading.current_thread() is not threading.main_thread():  # Python handles signals there
        yield
        return
    came: list[int] = []

    def note(number: int, frame: Any) -> None:
        came.append(number)

    handlers = [(kind, signal.getsignal(kind)) for kind in _SIGNALS]
    handlers = [(kind, handler) for kind, handler in handlers if callable(handler)]
    try:
        for kind, _ in handlers:
            signal.signal(kind, note)
        yield
    finally:
        for kind, handler in handlers:
            signal.signal(kind, handler)
        for number in came:
            signal.raise_signal(number)


def _sweep(folder: Path) -> None:
    """Remove what writers that were killed have left in a folder."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name):
                with suppress(OSError):
                    _remove_left(Path(entry.path))


def _remove_left(path: Path) -> None:
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or time.time() - status.st_mtime < _OLD_S:
        return
    descriptor = os.open(path, _FLAGS)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(descriptor)


def _is(path: Path, descriptor: int) -> bool:
    """Whether a path is that of an open file."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
