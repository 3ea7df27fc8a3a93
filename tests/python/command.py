"""The command line in a process of its own."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

SEQTILE = [sys.executable, "-m", "seqtile.cli"]


def seqtile(
    *arguments: object,
    stdin: bytes = b"",
    file_limit: int | None = None,
    environment: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``seqtile``; ``file_limit`` is the size at which its files hit a full disk."""

    def limit() -> None:
        if file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    result = subprocess.run(
        [*SEQTILE, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=120,
        preexec_fn=limit,
        cwd=cwd,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"} | (environment or {}),
    )
    return subprocess.CompletedProcess(
        result.args, result.returncode, result.stdout.decode(), result.stderr.decode()
    )


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
