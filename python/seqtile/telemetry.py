"""Nothing is sent: onnxruntime's telemetry is off, before anything imports onnxruntime.

Its builds of 1.31 and later otherwise write a device's number and a database to the user's cache
folder when they are imported, and look a host up to send them to.
"""

from __future__ import annotations

import os
import sys

__all__ = ["state", "switch_off"]

_SWITCH = "ORT_DISABLE_TELEMETRY"
_late = False


def switch_off() -> None:
    """Switch it off; `import seqtile` does so before anything else."""
    global _late
    _late = "onnxruntime" in sys.modules and os.environ.get(_SWITCH) != "1"
    os.environ[_SWITCH] = "1"


def state() -> str:
    """``"off"``, or why it is not and the mend."""
    if _late:
        return (
            f"on: onnxruntime was imported before seqtile; import seqtile first, or set {_SWITCH}=1"
        )
    return "off"
