"""Fixtures of the tests of training."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for scripts in processes of their own


@pytest.fixture(autouse=True)
def one_torch_thread() -> None:
    """For tensors as small as the tests' more threads are slower: 20 times on a busy machine.

    For each test anew, since a run of training sets its own number.
    """
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def one_table_of_operators() -> Iterator[None]:
    """Every export of a process translates by the same table, whose making is a third of it."""
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry
    except ImportError:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        table = staticmethod(functools.cache(ONNXRegistry.from_torchlib))
        patch.setattr(ONNXRegistry, "from_torchlib", table)
        yield


@pytest.fixture(scope="module")
def exported_once() -> Iterator[None]:
    """An export converts once, which takes seconds, and takes the result for the second one too.

    For what is trained in a module; that two exports are the same is tested with toy networks.
    """
    from training.export import export

    convert, held = export.convert, []

    def once(*arguments: Any) -> bytes:
        if held:
            return held.pop()
        held.append(convert(*arguments))
        return held[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "convert", once)
        yield


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""


@pytest.fixture
def serve() -> Iterator[Callable[[Path], str]]:
    """Serves a folder over HTTP on this machine, and gives its address."""
    servers = []

    def start(folder: Path) -> str:
        handler = functools.partial(_Quiet, directory=str(folder))
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
