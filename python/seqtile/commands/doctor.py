"""``seqtile doctor``: what runs on this machine, in the order in which things are needed."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.text import Text

from ..doctor import Diagnosis, diagnose
from ..escaping import escaped
from .printing import print_json

__all__ = ["add_arguments", "run"]

_NAMES = 12  # columns of the names
_WHEELS = "/site-packages/"
_PROVIDERS = {"CUDAExecutionProvider": "CUDA", "CPUExecutionProvider": "the CPU"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``doctor``."""
    parser.add_argument(
        "--device", default="auto", help="what must work: auto, cpu, cuda, cuda:N, cuda:N,M"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Examine the installation; the exit status is 1 if the device does not work.

    Raises
    ------
    ValueError
        No such device.
    """
    found = diagnose(options.device)
    if options.json:
        print_json(found.to_dict())
    else:
        _print_diagnosis(found)
    return 0 if found.works else 1


def _print_diagnosis(found: Diagnosis) -> None:
    """Sections of named rows, then the problems and the command that mends them.

    Rows are folded to a terminal's width; in a pipe each is one line. The command is never folded,
    so that it can be copied.
    """
    console = Console(highlight=False, soft_wrap=True)
    width = console.width if sys.stdout.isatty() else 0
    cuda = found.cuda
    _section(console, "seqtile", _base(found), width)
    if cuda is not None:
        _section(console, "CUDA", _cuda(cuda), width)
    if found.devices:
        _section(console, "devices", _devices(found), width)
    for problem in found.problems:
        console.print()
        _row(console, "problem", problem, width, "bold red")
    if found.mend and found.problems:
        console.print()
        if _is_command(found):
            console.print(Text("to mend it:", "bold"))
            console.print(Text(f"  {escaped(found.mend)}"))
        else:
            _row(console, "to mend it", found.mend, width, "bold")


def _is_command(found: Diagnosis) -> bool:
    faults = found.cuda["faults"] if found.cuda else []
    return not any(f["mend"] == found.mend and not f["command"] for f in faults)


def _section(console: Console, title: str, rows: Iterator[tuple[str, str]], width: int) -> None:
    if title != "seqtile":
        console.print()
    console.print(Text(title, "bold"))
    for name, value in rows:
        _row(console, f"  {name}", value, width)


def _row(console: Console, name: str, value: str, width: int, style: str = "") -> None:
    value = escaped(value)
    lines = [value]
    if width > _NAMES + 20:
        lines = textwrap.wrap(
            value, width - _NAMES, break_long_words=False, break_on_hyphens=False
        ) or [""]
    state = {"ok": "green", "no": "red"}.get(value[:2] if value[2:3] in ",:;" else "", "")
    for i, line in enumerate(lines):
        console.print(Text.assemble((f"{'' if i else name:<{_NAMES}}", style), (line, state)))


def _base(found: Diagnosis) -> Iterator[tuple[str, str]]:
    yield "version", f"{found.versions['seqtile']}, Python {found.versions['python']}"
    rest = {k: v for k, v in found.versions.items() if k not in ("seqtile", "python")}
    yield "packages", ", ".join(f"{name} {known}" for name, known in rest.items() if known)
    missing = ", ".join(name for name, known in rest.items() if not known)
    if missing:
        yield "without", missing
    features = " ".join(found.processor["features"])
    yield "processor", f"{found.processor['name']} ({features})"
    yield "kernels", found.processor["isa"]
    yield "threads", str(found.threads or "unknown")
    yield "telemetry", found.telemetry


def _cuda(cuda: dict[str, Any]) -> Iterator[tuple[str, str]]:
    wheel, driver = cuda["wheel"], cuda["driver"]
    if wheel["provider"]:
        yield "wheel", f"{wheel['module']} {wheel['version']}, built for CUDA {wheel['cuda']}"
    elif wheel["module"]:
        yield "wheel", f"{wheel['module']} {wheel['version']}, the CPU build"
    else:
        yield "wheel", "no onnxruntime"
    yield from _driver(driver, cuda["management"])
    for gpu in driver["devices"]:
        memory = f"{gpu['memory'] / 2**30:.0f} GiB"
        yield f"cuda:{gpu['index']}", f"{gpu['name']}, {memory}, capability {gpu['capability']}"
    if not driver["devices"]:
        yield "cards", "none that CUDA shows"
    if driver["visible"] is not None:
        yield "visible", f"CUDA_VISIBLE_DEVICES={driver['visible']!r}"
    places = {path.partition(_WHEELS)[0] for path in _paths(cuda) if _WHEELS in path}
    for place in sorted(places):
        yield "wheels", f"in {place}{_WHEELS.rstrip('/')}"
    for library in cuda["libraries"]:
        yield library["name"].partition(".so")[0][3:], _library(library)
    for line in cuda["preload"]:
        yield "preload", line


def _driver(driver: dict[str, Any], management: dict[str, Any]) -> Iterator[tuple[str, str]]:
    release = management["driver"] or driver["kernel"]
    if driver["path"] is None:
        yield "driver", f"no: {driver['failure']}"
    else:
        number = f"{release}, " if release else ""
        yield "driver", f"{number}CUDA up to {driver['cuda'] or 'unknown'} ({driver['path']})"
        if driver["failure"]:
            yield "", driver["failure"]
    if management["failure"]:
        yield "NVML", f"no: {management['failure']}"
    else:
        names = ", ".join(management["devices"]) or "no device"
        yield "NVML", f"{names} ({management['path']})"


def _library(library: dict[str, Any]) -> str:
    if library["failure"]:
        rarely = "; no shipped model needs it" if library["use"] == "rarely" else ""
        return f"no: {library['failure']}{rarely}"
    number = library["version"] or "of unknown version"
    folder, _, _ = (library["path"] or "").rpartition("/")
    short = folder.partition(_WHEELS)[2] or folder
    return f"{number} from {library['source'] or 'an unknown place'} in {short}"


def _paths(cuda: dict[str, Any]) -> list[str]:
    return [library["path"] for library in cuda["libraries"] if library["path"]]


def _devices(found: Diagnosis) -> Iterator[tuple[str, str]]:
    for name, state in found.devices.items():
        counts = [f"{n} on {_PROVIDERS.get(p, p)}" for p, n in found.nodes.get(name, {}).items()]
        ran = f"nodes of {found.model} that ran: {', '.join(counts)}"
        if state == "ok":
            yield name, f"ok; {ran}" if counts else "ok"
            continue
        told = any(state.startswith(problem) for problem in found.problems)
        yield name, "no, see below" if told else f"no: {state}"
        if counts:
            yield "", f"free to fall back, {ran}"
