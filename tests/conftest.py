"""Fixtures of all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real data sets (``genomes/`` and others), from ``SEQTILE_DATA``."""
    root = os.environ.get("SEQTILE_DATA")
    if not root:
        pytest.skip("SEQTILE_DATA, the folder of the real data sets, is not set")
    return Path(root)
