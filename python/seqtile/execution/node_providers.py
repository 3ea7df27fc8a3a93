"""Which of onnxruntime's providers really runs each node of a model."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from .. import interrupts
from ..machine.cuda import preload
from ..machine.devices import parse_devices
from .providers import CPU, providers

__all__ = ["nodes_by_provider"]

_RAN = "_kernel_time"


def nodes_by_provider(folder: Path, device: str) -> dict[str, int]:
    """Run a model folder's golden inputs once and count the nodes that ran, by provider.

    The session may fall back to the CPU, unlike those of `seqtile.load`, so that what does not run
    on the device is seen. The counts are those of onnxruntime's own profile of the run: of the
    graph after its optimisation, without what was folded into constants.

    Parameters
    ----------
    folder
        A model folder: ``model.onnx`` and ``golden.npz``.
    device
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.

    Returns
    -------
    dict
        Number of nodes for each provider, the most first.
    """
    import onnxruntime as ort

    (one,) = parse_devices(device)
    if one != "cpu":
        preload()
    wanted = [*providers(one, "fp32", graphs=False), *([] if one == "cpu" else [CPU])]
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.enable_profiling = True
    with (
        tempfile.TemporaryDirectory(prefix="seqtile-") as scratch,
        interrupts.holding(Path(scratch)),
    ):
        options.profile_file_prefix = str(Path(scratch) / "profile")
        with warnings.catch_warnings():  # that CUDA is not there is what the counts say
            warnings.simplefilter("ignore", UserWarning)
            session = ort.InferenceSession(
                str(folder / "model.onnx"), options, providers=wanted, enable_fallback=0
            )
        with np.load(folder / "golden.npz") as golden:
            feeds = {node.name: golden[node.name] for node in session.get_inputs()}
        session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text())
    ran = [e for e in events if e.get("cat") == "Node" and e["name"].endswith(_RAN)]
    return dict(Counter(event["args"]["provider"] for event in ran).most_common())
