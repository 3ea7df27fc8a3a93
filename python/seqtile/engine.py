"""Where a model runs: a session for single calls, and lanes for streams of batches."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property

from .machine import processor_name
from .pipeline import Runner
from .session import Session, open_session

__all__ = ["Engine"]


class Engine:
    """A model's bytes on a device.

    Parameters
    ----------
    model
        Bytes of the ONNX file.
    device
        As for `seqtile.load`.
    threads
        Threads on the CPU; default `thread_count`.
    source
        Name of the model, for errors.

    Attributes
    ----------
    device
        Where it runs.
    providers
        onnxruntime's execution providers, in order.
    threads
        Threads on the CPU.
    inputs, outputs
        Type and axes of the graph's tensors by name.
    key
        What its speed depends on beside the model: device, threads, processor, versions.
    single
        Runs one call at a time with all threads on it: the lowest latency.

    Raises
    ------
    ModelIntegrityError
        Not an ONNX model that onnxruntime can run.
    ProviderError
        The device cannot run here, or did not take the model.
    """

    def __init__(
        self,
        model: bytes,
        device: str = "auto",
        *,
        threads: int | None = None,
        source: str = "model",
    ) -> None:
        session = open_session(model, device, threads=threads, source=source)
        self._model = model
        self._source = source
        self._session = session
        self._lock = threading.Lock()
        self.device = session.device
        self.providers = list(session.providers)
        self.threads = session.threads
        self.inputs = session.inputs
        self.outputs = session.outputs
        self.single: Runner = session
        self.key = (
            f"{session.device}, {self.threads} threads, {processor_name()}, "
            f"onnxruntime {session.version}"
        )

    @property
    def lanes(self) -> Sequence[Runner]:
        """For streams of batches, one for each thread that feeds them: the highest throughput.

        On the CPU as many as `threads`, each of one thread: 1.0 to 1.75 times as fast as all
        threads on one batch after another (``benches/bench_predict.py::test_lanes``).
        """
        with self._lock:  # two threads that ask at once open one session
            return self._lanes

    @cached_property
    def _lanes(self) -> Sequence[Runner]:
        if self.device != "cpu" or self.threads == 1:
            return [self._session]
        return [Session(self._model, threads=1, source=self._source)] * self.threads
