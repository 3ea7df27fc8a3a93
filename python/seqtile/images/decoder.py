"""Decoders that may crash, in a process of their own: ``python -m seqtile.images.decoder``.

The libraries of some compressions of TIFF do not survive every damage, or print what they dislike
to standard output. They decode in one child, which is started at the first such tile, outlives the
image, and is started anew after a crash: that costs one image, not the run. A job is a line of JSON
and the bytes that it announces; so is its answer.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import signal
import subprocess
import sys
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["decode_apart"]

SECONDS = 60  # that a job may take
MEMORY = 16 << 30  # bytes of addresses that the child may have


def decode_apart(codec: str, data: bytes, *, most: int, **options: Any) -> NDArray[Any]:
    """Decode an image in the child.

    Parameters
    ----------
    codec
        Name of a function of imagecodecs.
    data
        Its bytes.
    most
        Bytes that the pixels may have.
    options
        Further arguments of the function.

    Raises
    ------
    ValueError
        Damaged data; the message says whether the decoder ended by them.
    """
    return _child.decode(codec, data, {"most": most, "options": options})


class _Child:
    """The process, and the way to it: one job at a time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def decode(self, codec: str, data: bytes, job: dict[str, Any]) -> NDArray[Any]:
        with self._lock:
            process = self._running()
            try:
                answer, pixels = _asked(process, {"codec": codec, "size": len(data), **job}, data)
            except (BrokenPipeError, EOFError):
                self._end()
                raise ValueError(_end_of(process.returncode)) from None
            except BaseException:  # a signal: the answer would be taken for that of the next job
                self._end()
                raise
        if "error" in answer:
            raise ValueError(answer["error"])
        return np.frombuffer(pixels, answer["dtype"]).reshape(answer["shape"])

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "seqtile.images.decoder"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()


def _asked(
    process: subprocess.Popen[bytes], job: dict[str, Any], data: bytes
) -> tuple[dict[str, Any], bytes]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(job).encode() + b"\n" + data)
    process.stdin.flush()
    line = process.stdout.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    answer: dict[str, Any] = json.loads(line)
    pixels = process.stdout.read(answer["size"])
    if len(pixels) < answer["size"]:
        raise EOFError
    return answer, pixels


def _end_of(status: int) -> str:
    if status == -signal.SIGALRM:
        return f"their decoder took more than {SECONDS} seconds"
    how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    return f"their decoder ended by {how}"


_child = _Child()
_of_parents: list[_Child] = []  # after a fork: kept, since closing would write what they had begun
atexit.register(lambda: _child.close())


def _forked() -> None:
    global _child
    _of_parents.append(_child)
    _child = _Child()


os.register_at_fork(after_in_child=_forked)


def main() -> None:
    """Take jobs from standard input until it ends."""
    jobs, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries print
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, with which this ends
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY if hard < 0 else min(MEMORY, hard), hard))
    for line in jobs:
        job = json.loads(line)
        signal.alarm(SECONDS)
        answer, pixels = _answer(job, jobs.read(job["size"]))
        signal.alarm(0)
        answers.write(json.dumps(answer | {"size": pixels.nbytes}).encode() + b"\n")
        answers.write(pixels.data)
        answers.flush()


def _answer(job: dict[str, Any], data: bytes) -> tuple[dict[str, Any], NDArray[Any]]:
    try:
        import imagecodecs

        decoded = getattr(imagecodecs, job["codec"])(data, **job["options"])
        pixels = np.ascontiguousarray(decoded)
        if pixels.nbytes > job["most"]:
            raise ValueError(f"{pixels.shape} pixels, more than the image says")
    except Exception as error:  # of many classes
        reason = " ".join(str(error).split()) or type(error).__name__
        return {"error": reason}, np.empty(0, np.uint8)
    return {"shape": pixels.shape, "dtype": pixels.dtype.str}, pixels


if __name__ == "__main__":
    main()
