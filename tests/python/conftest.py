"""What several test files share."""

from __future__ import annotations

import pytest

import seqtile
from seqtile import Predictor
from tests.python.models import model_folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's measured batch sizes."""
    monkeypatch.setenv("SEQTILE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def motif(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return seqtile.load(model_folder(tmp_path_factory.mktemp("models") / "tiny"), device="cpu")
