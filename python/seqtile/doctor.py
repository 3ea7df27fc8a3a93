"""What this machine can run: versions, processor, threads, providers that really predict."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import __version__, _core
from .errors import ProviderError, SeqtileError
from .zoo import list_models

__all__ = ["Diagnosis", "diagnose"]

_FEATURES = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512_vnni", "amx_tile",
             "asimd", "sve")  # fmt: skip
_PACKAGES = (
    "numpy", "onnxruntime", "onnxruntime-gpu", "rich", "pyarrow", "matplotlib",
    "opencv-python-headless", "opencv-python", "tifffile", "imagecodecs", "pyvips",
)  # fmt: skip


@dataclass(frozen=True)
class Diagnosis:
    """The state of an installation.

    Attributes
    ----------
    versions
        Of seqtile, Python and the packages it uses; None where one is not installed.
    processor
        Name, its vector instructions that matter here, and the level of them in use by our own
        kernels: ``"scalar"``, ``"avx2"``, ``"avx512"`` or ``"neon"``. The environment variable
        ``SEQTILE_ISA`` chooses a lower one.
    threads
        Threads a model uses by default.
    devices
        For each device ``"ok"``, or why it does not run: a shipped model was loaded there and its
        golden inputs predicted.
    problems
        What is wrong.
    mend
        The one command that mends it, or None.
    works
        Whether the device that was asked for works.
    """

    versions: dict[str, str | None]
    processor: dict[str, Any]
    threads: int | None
    devices: dict[str, str]
    problems: list[str]
    mend: str | None
    works: bool

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


def diagnose(device: str = "auto") -> Diagnosis:
    """Look at the installation and run a shipped model on every device.

    Parameters
    ----------
    device
        What must work: ``"cpu"``, ``"cuda"``, ``"cuda:N"``, or ``"auto"`` for any.

    Raises
    ------
    ValueError
        No such device.
    """
    versions = {"seqtile": __version__, "python": platform.python_version()} | {
        name: _version(name) for name in _PACKAGES
    }
    problems: list[str] = []
    devices: dict[str, str] = {}
    mend: str | None = None
    threads = None
    if versions["onnxruntime"] and versions["onnxruntime-gpu"]:
        problems.append("onnxruntime and onnxruntime-gpu are both installed and share one module")
        mend = f"pip uninstall -y onnxruntime onnxruntime-gpu && {_install(device != 'cpu')}"
    if versions["opencv-python"] and versions["opencv-python-headless"]:
        problems.append("opencv-python and opencv-python-headless are both installed and share one "
                        "module")  # fmt: skip
        wheels = "opencv-python opencv-python-headless"
        mend = mend or f"pip uninstall -y {wheels} && pip install opencv-python-headless"
    try:
        from .session import thread_count
    except ImportError as error:
        problems.append(str(error))
        mend = _install(device.startswith("cuda"))
    else:
        threads = thread_count()
        for name in ("cpu", "cuda" if device in ("auto", "cpu") else device):
            devices[name] = _try(name)
    asked = ["cpu", "cuda"] if device == "auto" else [device]
    works = any(devices.get(name) == "ok" for name in asked)
    if not works and devices:
        problems += [devices[name] for name in asked if name in devices]
        _, _, command = problems[-1].partition(": pip ")
        mend = mend or (f"pip {command}" if command else None)
    return Diagnosis(versions, _processor(), threads, devices, problems, mend, works)


def _install(cuda: bool) -> str:
    return "pip install " + ("'onnxruntime-gpu[cuda,cudnn]'" if cuda else "onnxruntime")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> dict[str, Any]:
    info: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            info.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    flags = set((info.get("flags") or info.get("Features") or "").split())
    return {
        "name": info.get("model name") or platform.processor() or platform.machine(),
        "features": [feature for feature in _FEATURES if feature in flags],
        "isa": _core.isa(),
    }


def _try(device: str) -> str:
    from .loading import load

    try:
        load(list_models()[0], device=device)
    except (ProviderError, SeqtileError) as error:
        return str(error)
    except IndexError:
        return "the package holds no model to try: pip install --force-reinstall seqtile"
    return "ok"
