"""onnxruntime alone on the files of shipped models: the limit that the runtime is measured against.

Nothing of seqtile runs in it, so that it stays what it is while seqtile's engine changes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from seqtile.models.zoo import model_folder  # before onnxruntime, whose telemetry seqtile ends

# isort: split
import onnxruntime as ort

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
THREADED = f"bare onnxruntime, one session, {CORES} threads"
LANES = f"onnxruntime by {CORES} threads, each its own batches"


class Bare:
    """A model file in onnxruntime sessions on the CPU.

    Parameters
    ----------
    model
        Name of a shipped model.
    output
        The output to ask for; default the graph's first.
    """

    def __init__(self, model: str, output: str | None = None) -> None:
        self.path = model_folder(model) / "model.onnx"
        self.session = self.open(CORES)
        self.input: str = self.session.get_inputs()[0].name
        self.output: str = output or self.session.get_outputs()[0].name
        self._single: Any = None

    def open(self, threads: int) -> Any:
        """A session whose operators take so many threads."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        return ort.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])

    def run(self, batches: Sequence[Any]) -> list[Any]:
        """The output of each batch: batches one after another, all threads on each."""
        outputs, name = [self.output], self.input
        return [self.session.run(outputs, {name: batch})[0] for batch in batches]

    def lanes(self, batches: Sequence[Any]) -> list[Any]:
        """The same by single-threaded sessions side by side, one for each core."""
        if self._single is None:
            self._single = self.open(1)
        single, outputs, name = self._single, [self.output], self.input
        with ThreadPoolExecutor(CORES) as pool:
            return list(pool.map(lambda batch: single.run(outputs, {name: batch})[0], batches))


def cut(rows: Any, size: int) -> list[Any]:
    """Batches of ``size`` rows, each an array of its own."""
    return [np.array(rows[i : i + size]) for i in range(0, len(rows), size)]
