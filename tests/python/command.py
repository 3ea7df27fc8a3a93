"""The command line in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

from seqtile import cli

SEQTILE = [sys.executable, "-m", "seqtile.cli"]
LIMIT_S = 120

# A process that has imported what the commands do forks one for each: imports take a second.
_FORKS = multiprocessing.get_context("forkserver")
_SOURCES = Path(cli.__file__).parent
_FORKS.set_forkserver_preload(
    ["onnxruntime", "numpy.ma", "pytest", "pandas", "pyarrow.parquet", "cv2", "tifffile"]
    + [
        ".".join(["seqtile", *path.relative_to(_SOURCES).with_suffix("").parts])
        for path in sorted(_SOURCES.rglob("[!_]*.py"))
        if "torch" not in str(path)
    ]
)


def seqtile(
    *arguments: object,
    stdin: bytes = b"",
    file_limit: int | None = None,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``seqtile``; ``file_limit`` is the size at which its files hit a full disk.

    With an ``environment`` the process starts anew, as `SEQTILE` does, else it is forked.
    """
    words = [*map(str, arguments)]
    if environment is not None:
        result = subprocess.run(
            [*SEQTILE, *words],
            input=stdin,
            capture_output=True,
            timeout=LIMIT_S,
            preexec_fn=lambda: _limit(file_limit),
            cwd=cwd,
            env=os.environ | environment,
        )
        status, out, err = result.returncode, result.stdout, result.stderr
    else:
        status, out, err = _forked(words, stdin, (file_limit, cwd, dict(os.environ)))
    return subprocess.CompletedProcess([*SEQTILE, *words], status, out.decode(), err.decode())


def _forked(
    arguments: Sequence[str], stdin: bytes, place: tuple[int | None, Path | None, dict[str, str]]
) -> tuple[int | None, bytes, bytes]:
    """Exit status, standard output and standard error."""
    (input_end, writer), (out, output_end), (err, error_end) = (os.pipe() for _ in range(3))
    ends = (input_end, output_end, error_end)
    process = _FORKS.Process(target=_Call(arguments, ends, *place))
    process.start()
    for end in ends:
        os.close(end)
    with ThreadPoolExecutor(3) as pool:
        pool.submit(_write, writer, stdin)
        streams = [pool.submit(_read, end) for end in (out, err)]
        process.join(LIMIT_S)
        stopped = process.exitcode is None
        if stopped:
            process.kill()
    assert not stopped, f"seqtile {' '.join(arguments)}: stopped after {LIMIT_S} s"
    status = process.exitcode
    process.close()
    return status, *(stream.result() for stream in streams)


def _write(end: int, content: bytes) -> None:
    with os.fdopen(end, "wb") as file:
        file.write(content)


def _read(end: int) -> bytes:
    with os.fdopen(end, "rb") as file:
        return file.read()


class _Call:
    """One call of the command line, in the forked process."""

    def __init__(
        self,
        arguments: Sequence[str],
        ends: Sequence[int],
        file_limit: int | None,
        cwd: Path | None,
        environment: dict[str, str],
    ) -> None:
        self.arguments, self.ends = arguments, ends
        self.file_limit, self.cwd, self.environment = file_limit, cwd, environment

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"ends": [DupFd(end) for end in self.ends]}

    def __call__(self) -> None:
        for number, end in enumerate(self.ends):
            given = end.detach()
            os.dup2(given, number)
            os.close(given)
        sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
        os.environ.clear()
        os.environ.update(self.environment)
        if self.cwd is not None:
            os.chdir(self.cwd)
        _limit(self.file_limit)
        sys.argv = [cli.__file__, *self.arguments]
        try:
            status = cli.main()
        except Exception:
            sys.excepthook(*sys.exc_info())
            status = 1
        raise SystemExit(status)


def _limit(file_limit: int | None) -> None:
    if file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))


def check_refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit status 1, nothing on standard output, one line on standard error that has the words."""
    assert result.returncode == 1, result.stderr
    assert result.stdout == ""
    assert result.stderr.startswith("seqtile: error: ")
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith("\n")
    for word in words:
        assert word in result.stderr


def names(folder: Path) -> set[str]:
    """Everything in a folder, hidden files too."""
    return {path.name for path in folder.iterdir()}


def succeed(*arguments: object, stdin: bytes = b"") -> str:
    """What ``seqtile`` prints, with exit status 0 and nothing on standard error."""
    result = seqtile(*arguments, stdin=stdin)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout
