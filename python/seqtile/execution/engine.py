"""Where a model runs: a session for single calls, and lanes for streams of batches."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from ..machine.devices import parse_devices
from ..machine.driver import read_driver
from ..machine.processor import processor_name
from .cuda.binding import BoundRunner
from .cuda.placement import Graphs
from .limits import LIMITS, Limits
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
        ``"cpu"``, ``"cuda"``, ``"cuda:N"``, several as ``"cuda:0,1"``, or ``"auto"``: CUDA where it
        runs, else the CPU (logged).
    threads
        Threads on the CPU; default `thread_count`.
    precision
        ``"fp32"``; on CUDA also ``"tf32"``, and ``"fp16"`` for a model that has float16 inside; on
        the CPU ``"int8"`` for one that has int8 inside.
    graphs
        CUDA graphs: ``"auto"`` where the model allows, True always, False never; see `Session`.
    source
        Name of the model, for errors.
    limits
        Sizes of what is done with it.

    Attributes
    ----------
    device
        Where it runs.
    precision
        As given.
    providers
        onnxruntime's execution providers, in order.
    threads
        Threads on the CPU.
    inputs, outputs
        Type and axes of the graph's tensors by name.
    limits
        As given.
    key
        What its speed depends on beside the model: device, threads, precision, processor, versions.

    Raises
    ------
    ModelIntegrityError
        Not an ONNX model that onnxruntime can run.
    ProviderError
        The device cannot run here, or did not take the model.
    ValueError
        No such device or precision.
    """

    def __init__(
        self,
        model: bytes,
        device: str = "auto",
        *,
        threads: int | None = None,
        precision: str = "fp32",
        graphs: Graphs = "auto",
        source: str = "model",
        limits: Limits = LIMITS,
    ) -> None:
        options: dict[str, Any] = {
            "threads": threads,
            "precision": precision,
            "graphs": graphs,
            "source": source,
        }
        if device == "auto":
            self._sessions = [open_session(model, device, **options)]
        else:
            self._sessions = [Session(model, device=d, **options) for d in parse_devices(device)]
        first = self._sessions[0]
        self._lock = threading.Lock()
        self.limits = limits
        self.device = first.device if device in ("auto", "cuda") else device
        self.precision = precision
        self.providers = list(first.providers)
        self.threads = first.threads
        self.inputs = first.inputs
        self.outputs = first.outputs
        cpu = self.device == "cpu"
        chips = {processor_name()} if cpu else {gpu.name for gpu in read_driver().devices}
        self.key = (
            f"{self.device}, {', '.join(sorted(chips))}, {self.threads} threads, {precision}, "
            f"onnxruntime {first.version}"
        )

    @property
    def graphs(self) -> str:
        """``"on"`` if batches are replayed as CUDA graphs, else ``"off: "`` and why."""
        return self._sessions[0].graphs

    @property
    def single(self) -> Runner:
        """Runs one call at a time, on the CPU with all threads on it: the lowest latency."""
        return self._sessions[0] if self.device == "cpu" else self.lanes[0]

    @property
    def lanes(self) -> Sequence[Runner]:
        """For streams of batches, one for each thread that feeds them.

        On the CPU as many as `threads`, each of one thread, so that reading and encoding overlap
        with computing, and no batch waits for the slowest core. Whether they compute faster than
        all threads on one batch after another depends on model and machine: from 0.7 to 1.3 times
        on 2 cores (``benches/bench_predict.py::test_lanes``). A choice by a few timed batches of
        real work was tried and dropped: beside other work it took the slower way. On CUDA
        `Limits.cuda_lanes` for each device, so that one copies in and another out while the third
        computes.
        """
        with self._lock:  # two threads that ask at once open one session
            return self._lanes

    @cached_property
    def _lanes(self) -> Sequence[Runner]:
        first = self._sessions[0]
        if self.device != "cpu":
            return [
                BoundRunner(session, limits=self.limits)
                for _ in range(self.limits.cuda_lanes)
                for session in self._sessions
            ]
        if self.threads == 1:
            return [first]
        lane = Session(first.model, threads=1, precision=first.precision, source=first.source)
        return [lane] * self.threads
