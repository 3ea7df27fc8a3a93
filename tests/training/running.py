"""The command of training, called in this process: a new one takes seconds to import torch."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from training import __main__ as entry


def train(data_root: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``python -m training NAME --smoke OPTION...``; it writes below ``folder`` alone."""
    name, *options = arguments
    call = [name, "--smoke", "--device", "cpu", "--threads", "1", "--runs", str(folder / "runs")]
    call += ["--exported", str(folder / "exported"), *options]
    printed, errors, status = io.StringIO(), io.StringIO(), 0
    with (
        pytest.MonkeyPatch.context() as patch,
        warnings.catch_warnings(),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(errors),
    ):
        patch.setenv("SEQTILE_DATA", str(data_root.resolve()))
        patch.setattr(sys, "argv", ["training", *call])
        warnings.simplefilter("ignore")  # torch's exporter warns of itself
        try:
            entry.main()
        except SystemExit as stop:  # as the interpreter takes it
            status = stop.code if isinstance(stop.code, int) else 1
            errors.write(f"{stop.code}\n")
    return subprocess.CompletedProcess(call, status, printed.getvalue(), errors.getvalue())
