"""What several test files share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

import seqtile
from seqtile import Predictor
from seqtile.execution.limits import Limits
from tests.python.models import model_folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's measured batch sizes."""
    monkeypatch.setenv("SEQTILE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def motif_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def motif(motif_folder: Path) -> Predictor:
    return seqtile.load(motif_folder, device="cpu")


@pytest.fixture(scope="module")
def limited(motif_folder: Path) -> Callable[..., Predictor]:
    """The same model with other `Limits`: ``limited(scan_windows=7)``."""
    return cache(lambda **sizes: seqtile.load(motif_folder, device="cpu", limits=Limits(**sizes)))
