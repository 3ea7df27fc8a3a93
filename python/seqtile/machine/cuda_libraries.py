"""The CUDA libraries that onnxruntime-gpu loads: which, from where, of what version.

What the wheel needs follows from its build information, without importing it.
"""

from __future__ import annotations

import ast
import ctypes
import importlib.metadata
import importlib.util
import mmap
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from ..versions import installed
from .driver import library_path

__all__ = [
    "Library",
    "Wheel",
    "read_libraries",
    "read_wheel",
    "runtime_wheels",
]

_PROVIDER = "libonnxruntime_providers_cuda.so"
_CURAND = "curand.so.10"  # of CUDA 10 to 13
_CUFFT = {"11": "10", "12": "11", "13": "12"}  # by major version of CUDA
_CUDNN = "9"
_CUDNN_PARTS = (
    "graph",
    "ops",
    "cnn",
    "adv",
    "heuristic",
    "engines_precompiled",
    "engines_runtime_compiled",
)


def runtime_wheels() -> dict[str, str]:
    """Installed onnxruntime wheels and their versions; two of them clash."""
    return installed(("onnxruntime", "onnxruntime-gpu"))


@dataclass(frozen=True)
class Wheel:
    """onnxruntime as it lies on the disk; it is not imported for this.

    Attributes
    ----------
    installed
        Distributions that pip knows, with versions.
    module
        ``"onnxruntime"`` or ``"onnxruntime-gpu"``: the build whose files are there; None if none.
    version
        The build's, which a clash can make another than pip's.
    cuda
        CUDA version it was built for, as ``"13.0"``; None for a CPU build. Builds other than
        PyPI's may say ``"12"`` only.
    provider
        Its CUDA library; None where it has none.
    """

    installed: dict[str, str]
    module: str | None
    version: str | None
    cuda: str | None
    provider: str | None


def read_wheel() -> Wheel:
    """Look at the installed onnxruntime."""
    installed = runtime_wheels()
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return Wheel(installed, None, None, None, None)
    folder = Path(spec.origin).parent / "capi"
    facts: dict[str, str] = {}
    try:
        for line in (folder / "build_and_package_info.py").read_text().splitlines():
            name, _, value = line.partition("=")
            if value.strip()[:1] in ("'", '"'):
                facts[name.strip()] = str(ast.literal_eval(value.strip()))
    except (OSError, SyntaxError, ValueError):
        pass
    provider = folder / _PROVIDER
    module, build = facts.get("package_name", "onnxruntime"), facts.get("__version__")
    if not provider.is_file():
        return Wheel(installed, module, build, None, None)
    return Wheel(
        installed, module, build, facts.get("cuda_version") or _linked_cuda(provider), str(provider)
    )


def _linked_cuda(provider: Path) -> str | None:
    """Major version of CUDA that a build without build information links to: its library's name."""
    if provider.stat().st_size == 0:
        return None
    with provider.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        match = re.search(rb"\0libcudart\.so\.(\d+)\0", data)
        return match[1].decode() if match else None


@dataclass(frozen=True)
class Library:
    """One library that the CUDA provider needs.

    Attributes
    ----------
    name
        As the loader knows it, ``"libcudnn.so.9"``.
    use
        ``"always"``, ``"convolutions"`` or ``"rarely"`` (no shipped model needs it).
    path
        The file that was loaded; None if none was.
    source
        The wheel and its version, ``"LD_LIBRARY_PATH"``, ``"CUDA toolkit"`` or ``"system"``.
    version
        What the library says of itself; None where it does not.
    failure
        Why it did not load, or what is wrong with it; None if nothing is.
    """

    name: str
    use: str
    path: str | None
    source: str | None
    version: str | None
    failure: str | None


def read_libraries(wheel: Wheel, *, sources: bool = False) -> list[Library]:
    """Load each library that the wheel's CUDA provider needs, and say where it came from.

    A library that is loaded already (`onnxruntime.preload_dlls`) stays the one that it is. Without
    a CUDA build there is nothing to look for. ``sources`` looks through the installed wheels for
    the one that each file is of.
    """
    if wheel.provider is None:
        return []
    if failure := _damage(Path(wheel.provider)):
        return [Library(_PROVIDER, "always", wheel.provider, None, None, failure)]
    major = (wheel.cuda or "").partition(".")[0]
    names = {}
    if major:
        linked = (f"cublasLt.so.{major}", f"cublas.so.{major}", _CURAND, f"cudart.so.{major}")
        names = dict.fromkeys((f"lib{name}" for name in linked), "always")
    names[f"libcudnn.so.{_CUDNN}"] = "convolutions"
    if major in _CUFFT:
        names |= {f"libcufft.so.{_CUFFT[major]}": "rarely", f"libnvrtc.so.{major}": "rarely"}
    owners = _owners() if sources else {}
    found = [_load(name, use, owners) for name, use in names.items()]
    return [_with_parts(library) for library in found]


def _damage(provider: Path) -> str | None:
    """What is wrong with the wheel's CUDA library: another size than pip installed."""
    for name in runtime_wheels():
        for file in importlib.metadata.files(name) or ():
            found = provider.stat().st_size
            if file.name == provider.name and file.size not in (None, found):
                return f"{provider} has {found:,} bytes, its wheel {file.size:,}"
    return None


def _load(name: str, use: str, owners: dict[str, str]) -> Library:
    try:
        library = ctypes.CDLL(name)
    except OSError as error:
        return Library(name, use, None, None, None, str(error))
    path = library_path(library)
    return Library(name, use, path, _source(path, owners), _own_version(name, library), None)


def _with_parts(library: Library) -> Library:
    """The library, with what is wrong with the parts that cuDNN loads when it needs them."""
    if not library.name.startswith("libcudnn.") or library.path is None:
        return library
    for part in _CUDNN_PARTS:
        name = f"libcudnn_{part}.so.{_CUDNN}"
        beside = Path(library.path).parent / name
        if beside.is_file() and part.startswith("engines"):  # large, and one of them needs libcuda
            continue
        try:
            ctypes.CDLL(str(beside) if beside.is_file() else name)
        except OSError as error:
            return replace(library, failure=f"its part does not load: {error}")
    return library


def _owners() -> dict[str, str]:
    """The wheel, with version, that each library of NVIDIA's wheels belongs to, by real path."""
    found = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"] or ""
        if name.startswith("nvidia-"):
            for file in distribution.files or ():
                if ".so" in file.name:
                    path = os.path.realpath(str(distribution.locate_file(file)))
                    found[path] = f"{name} {distribution.version}"
    return found


def _source(path: str | None, owners: dict[str, str]) -> str | None:
    if path is None:
        return None
    real = os.path.realpath(path)
    if real in owners:
        return owners[real]
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    if str(Path(path).parent) in (folder.rstrip("/") for folder in folders if folder):
        return "LD_LIBRARY_PATH"
    return "CUDA toolkit" if "/cuda" in real else "system"


def _own_version(name: str, library: ctypes.CDLL) -> str | None:
    """What the library's own version call answers; none of them needs a driver."""
    stem = name.partition(".")[0].removeprefix("lib")
    try:
        if stem == "cudnn":
            library.cudnnGetVersion.restype = ctypes.c_size_t
            number = int(library.cudnnGetVersion())
            return f"{number // 10000}.{number // 100 % 100}.{number % 100}"
        if stem == "cudart":
            value = ctypes.c_int()
            if library.cudaRuntimeGetVersion(ctypes.byref(value)):
                return None
            return f"{value.value // 1000}.{value.value % 1000 // 10}"
        if stem == "nvrtc":
            major, minor = ctypes.c_int(), ctypes.c_int()
            if library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)):
                return None
            return f"{major.value}.{minor.value}"
        parts = [_property(library, f"{stem}GetProperty", kind) for kind in range(3)]
        return ".".join(map(str, parts))
    except AttributeError:
        return None


def _property(library: ctypes.CDLL, function: str, kind: int) -> int:
    """Major, minor or patch (kind 0, 1, 2), as cuBLAS, cuFFT and cuRAND give them."""
    value = ctypes.c_int()
    getattr(library, function)(kind, ctypes.byref(value))
    return value.value
