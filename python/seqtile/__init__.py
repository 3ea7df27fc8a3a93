"""Ready-trained predictors for DNA, RNA, protein and images, fast.

The data layer (`one_hot`, `read_fasta`, `Fasta`, `tile`, ...) needs numpy and the compiled core
alone. The runtime (`load`, `scan`, `segment`, ...) imports onnxruntime when first used, and what
reads images OpenCV, tifffile or libvips; torch is never imported.
"""

from __future__ import annotations

import os
import re
from importlib import import_module

try:
    from . import _core  # noqa: F401
except ImportError as error:
    if "SEQTILE_ISA" in str(error):
        raise
    raise ImportError(
        f"seqtile's compiled core is missing ({error}): install the package with "
        "`pip install .` in its source folder (needs a C++20 compiler)"
    ) from error

from . import errors, telemetry
from .errors import *  # noqa: F403

telemetry.switch_off()  # before anything of the package imports onnxruntime

__version__ = "0.1.0"


def _homes() -> dict[str, str]:
    """The public names, and the module that each comes from, as the stub beside this file has them.

    They are imported when first used, so that `import seqtile` costs next to nothing.
    """
    stub = os.path.join(os.path.dirname(__file__), "__init__.pyi")  # noqa: PTH118, PTH120
    with open(stub, encoding="utf-8") as file:  # noqa: PTH123
        lines = re.findall(r"^from (\S+) import (\w+) as \2$", file.read(), re.MULTILINE)
    return {name: module for module, name in lines}


_HOMES = _homes()
__all__ = sorted([*_HOMES, *errors.__all__])


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name], __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
