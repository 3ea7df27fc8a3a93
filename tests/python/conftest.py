"""What several test files share."""

from __future__ import annotations

import pytest

import seqtile
from seqtile import Predictor
from tests.python.models import model_folder


@pytest.fixture(scope="module")
def motif(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return seqtile.load(model_folder(tmp_path_factory.mktemp("models") / "tiny"), device="cpu")
