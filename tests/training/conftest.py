"""Fixtures of the tests of training."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="session")
def one_torch_thread() -> None:
    """For tensors as small as the tests' more threads are slower, most of all on a busy machine."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)
