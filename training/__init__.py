"""Train the models of the zoo: ``python -m training NAME``."""

import seqtile  # noqa: F401 - which switches onnxruntime's telemetry off, before its import
