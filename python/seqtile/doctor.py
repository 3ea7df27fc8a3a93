"""What this machine can run: versions, processor, threads, CUDA, devices that really predict."""

from __future__ import annotations

import json
import platform
import re
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any

from . import __version__, _core, interrupts, telemetry
from .errors import ProviderError, SeqtileError
from .machine.cuda import cuda_indices, examine_cuda, install_command
from .machine.processor import cpu_info, processor_name
from .models.zoo import list_models, model_folder
from .versions import version

__all__ = ["Diagnosis", "diagnose", "probe"]

_FEATURES = (
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "avx512f",
    "avx512bw",
    "avx512_vnni",
    "amx_tile",
    "asimd",
    "sve",
)
_PACKAGES = (
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "nvidia-ml-py",
    "rich",
    "pyarrow",
    "matplotlib",
    "opencv-python-headless",
    "opencv-python",
    "tifffile",
    "imagecodecs",
    "pyvips",
)
_PATIENCE = 300  # seconds; a first run on a new device compiles its kernels


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
    telemetry
        Of onnxruntime: ``"off"``, or why it is not and the mend.
    model
        The shipped model that was run on every device; None if there is none.
    devices
        For each device ``"ok"``, or why it does not run: the model was loaded there and its golden
        inputs predicted.
    nodes
        For each device that ran the model, how many nodes of its graph ran on which of
        onnxruntime's providers, by onnxruntime's profile of a run in which it was free to fall
        back: a node of a CUDA device on ``"CPUExecutionProvider"`` fell back.
    cuda
        `CudaState` as JSON types: wheel, driver, management (NVML), libraries, what
        `onnxruntime.preload_dlls` printed, faults; None if it could not be examined.
    problems
        What is wrong with what was asked for.
    mend
        The one command that mends it, or what to do where no command does, or None.
    works
        Whether the device that was asked for works.
    """

    versions: dict[str, str | None]
    processor: dict[str, Any]
    threads: int | None
    telemetry: str
    model: str | None
    devices: dict[str, str]
    nodes: dict[str, dict[str, int]]
    cuda: dict[str, Any] | None
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
        What must work: ``"cpu"``, ``"cuda"``, ``"cuda:N"``, ``"cuda:N,M"`` (each of them), or
        ``"auto"`` for any. CUDA is examined in a process of its own, so that a driver or library
        that crashes does not take this one along.

    Raises
    ------
    ValueError
        No such device.
    """
    wanted = _cuda_names("cuda" if device in ("auto", "cpu") else device)
    versions = {"seqtile": __version__, "python": platform.python_version()} | {
        name: version(name) for name in _PACKAGES
    }
    found = _Problems()
    devices: dict[str, str] = {}
    nodes: dict[str, dict[str, int]] = {}
    threads = None
    model = _smallest_model()
    _clashes(versions, found, cuda=device not in ("cpu", "auto"))
    cuda, answers, death = _examine("cuda" if device in ("auto", "cpu") else device)
    try:
        from .execution import session  # noqa: F401
        from .machine.threads import thread_count
    except ImportError as error:
        found.add(*_no_runtime(error.__cause__ or error, versions, device, cuda))
    else:
        threads = thread_count()
        devices["cpu"] = _try("cpu", model)
        if model is not None and devices["cpu"] == "ok":
            nodes["cpu"] = _nodes("cpu", model)
    faults = cuda["faults"] if cuda else []
    fatal = [fault for fault in faults if fault["fatal"]]
    if threads is not None:
        for name in wanted:
            answer = answers.get(name, {})
            devices[name] = (
                f"{fatal[0]['what']}: {fatal[0]['mend']}" if fatal else answer.get("state", death)
            )
            if answer.get("nodes"):
                nodes[name] = answer["nodes"]
    asked = {"auto": ["cpu", *wanted], "cpu": ["cpu"]}.get(device, wanted)
    ok = [devices.get(name) == "ok" for name in asked]
    works = any(ok) if device == "auto" else all(ok)
    if device != "cpu" and (not works or _has_card(cuda)):
        found.add_faults(faults)
        failed = [devices[name] for name in wanted if devices.get(name, "ok") != "ok"]
        if not fatal:
            for state in failed:
                found.add(state)
    if not works and device in ("auto", "cpu") and devices:
        _, _, command = devices["cpu"].partition(": pip ")
        found.add(devices["cpu"], f"pip {command}" if command else None)
    return Diagnosis(
        versions,
        _processor(),
        threads,
        telemetry.state(),
        model,
        devices,
        nodes,
        cuda,
        found.texts,
        found.mend,
        works,
    )


_CPU_WHEEL = "pip install onnxruntime"


def _no_runtime(
    error: BaseException, versions: dict[str, str | None], device: str, cuda: dict[str, Any] | None
) -> tuple[str, str]:
    """Why no model can run at all, and the mend."""
    for name in ("onnxruntime-gpu", "onnxruntime"):
        if versions[name]:
            wheel = f"{name}=={versions[name]}"
            return (
                f"{name} {versions[name]} is installed, but does not import: {error}",
                f"pip install --force-reinstall --no-deps {wheel}",
            )
    gpu = device.startswith("cuda") or (device == "auto" and _has_card(cuda))
    return "no onnxruntime is installed", install_command() if gpu else _CPU_WHEEL


class _Problems:
    """What is wrong, and the one mend: the first command, else the first hint."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str | None, bool]] = []

    def add(self, text: str, mend: str | None = None, *, command: bool = True) -> None:
        self._found.append((text, mend, command))

    def add_faults(self, faults: list[dict[str, Any]]) -> None:
        """Add what is not said yet, be it in fewer words."""
        for fault in faults:
            if not any(fault["what"].endswith(text) for text, _, _ in self._found):
                self.add(fault["what"], fault["mend"], command=fault["command"])

    @property
    def mend(self) -> str | None:
        mends = sorted(
            (not command, i, mend) for i, (_, mend, command) in enumerate(self._found) if mend
        )
        return mends[0][2] if mends else None

    @property
    def texts(self) -> list[str]:
        """Each with its hint, where that is neither a command nor the mend itself."""
        return [
            f"{text}: {mend}" if mend and not command and mend != self.mend else text
            for text, mend, command in self._found
        ]


def _clashes(versions: dict[str, str | None], found: _Problems, *, cuda: bool) -> None:
    """Wheels that share one module."""
    if versions["onnxruntime"] and versions["onnxruntime-gpu"]:
        found.add(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other",
            "pip uninstall -y onnxruntime onnxruntime-gpu && "
            + (install_command() if cuda else _CPU_WHEEL),
        )
    if versions["opencv-python"] and versions["opencv-python-headless"]:
        found.add(
            "opencv-python and opencv-python-headless are both installed and overwrite each other",
            "pip uninstall -y opencv-python opencv-python-headless && "
            "pip install opencv-python-headless",
        )


def _processor() -> dict[str, Any]:
    info = cpu_info()
    flags = set((info.get("flags") or info.get("Features") or "").split())
    return {
        "name": processor_name(),
        "features": [feature for feature in _FEATURES if feature in flags],
        "isa": _core.isa(),
    }


def _smallest_model() -> str | None:
    """The model that is run: the smallest file of the zoo."""
    sizes = {n: (model_folder(n) / "model.onnx").stat().st_size for n in list_models()}
    return min(sizes, key=lambda name: sizes[name], default=None)


def _cuda_names(device: str) -> list[str]:
    """Names of the single devices of ``"cuda:0,1"``."""
    indices = cuda_indices(device)
    return [device] if len(indices) == 1 else [f"cuda:{index}" for index in indices]


def _has_card(cuda: dict[str, Any] | None) -> bool:
    """Whether there is an NVIDIA card that a user may believe in use."""
    return cuda is not None and bool(cuda["driver"]["devices"] or cuda["driver"]["cards"])


def _try(device: str, model: str | None) -> str:
    from .models.loading import load

    if model is None:
        return "the package holds no model to try: pip install --force-reinstall seqtile"
    try:
        load(model, device=device)
    except (ProviderError, SeqtileError) as error:
        return str(error)
    return "ok"


def _examine(device: str) -> tuple[dict[str, Any] | None, dict[str, dict[str, Any]], str]:
    """What `probe` says in a process of its own: CUDA's state, each device's, how it ended."""
    code = f"from seqtile.doctor import probe; probe({device!r})"
    command = [sys.executable, "-P", "-c", code]
    status: int | None = None
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe) as process:
        try:
            with interrupts.stopping(process.kill):
                output, errors = process.communicate(timeout=_PATIENCE)
                status = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
        finally:
            process.kill()  # if it is still there
    text = errors.decode(errors="replace")
    logged = _logged(text)
    state: dict[str, Any] | None = None
    answers: dict[str, dict[str, Any]] = {}
    for line in output.splitlines():
        try:
            content = json.loads(line)
        except ValueError:  # a library that prints
            continue
        if "faults" in content:
            state = content
            continue
        answers[content["device"]] = content
        if content["state"] != "ok" and logged[:60] not in content["state"]:
            content["state"] += f"; onnxruntime logs: {logged}" if logged else ""
    last = logged or "".join(text.strip().splitlines()[-1:])[:400]
    return state, answers, _death(status) + (f": {last}" if last else "")


def _logged(errors: str) -> str:
    """The first error in onnxruntime's log: why a provider fails; its exceptions do not say."""
    match = re.search(r"\[E:onnxruntime:[^\]]*\](.*)", errors)
    if match is None:
        return ""
    return match[1].rpartition(" FAIL : ")[2].replace("\x1b[m", "").strip()[:400]


def _death(status: int | None) -> str:
    """Why the process gave no answer."""
    if status is None:
        return f"the process that tried CUDA gave no answer in {_PATIENCE} s"
    if status < 0:
        return f"the process that tried CUDA died of {signal.Signals(-status).name}"
    return f"the process that tried CUDA ended with status {status}"


def probe(device: str) -> None:
    """Print CUDA's state as a line of JSON; then, if nothing is in the way, a line per device."""
    state = examine_cuda(device)
    sys.stdout.write(json.dumps(state.to_dict()) + "\n")
    sys.stdout.flush()
    if any(fault.fatal for fault in state.faults):
        return
    model = _smallest_model()
    for name in _cuda_names(device):
        answer: dict[str, Any] = {"device": name, "state": "ok", "nodes": {}}
        # First the run that may fall back: a strict session silences onnxruntime's log.
        if model is not None:
            try:
                answer["nodes"] = _nodes(name, model)
            except Exception as error:  # onnxruntime's exceptions share no base but Exception
                answer["state"] = str(error).splitlines()[0]
        strict = _try(name, model)
        if strict != "ok":
            answer["state"] = strict.replace(" (seqtile doctor says what is missing)", "")
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _nodes(device: str, model: str) -> dict[str, int]:
    from .execution.node_providers import nodes_by_provider

    return nodes_by_provider(model_folder(model), device)
