"""What every training script shares: its command line, its run folder, its account of itself."""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import onnxruntime
import torch

from seqtile.errors import SeqtileError
from seqtile.machine.threads import thread_count

from .loop import pick_device

ROOT = Path(__file__).resolve().parents[2]
BEST = "best"  # the preset that is shipped

C = TypeVar("C")

_KINDS: dict[str, type] = {"int": int, "float": float, "str": str}


@dataclass(frozen=True)
class Options:
    """Where and how to run; nothing here decides the result.

    Attributes
    ----------
    device
        Of the training.
    runs
        Folder of all runs.
    export
        Whether to report on test and write the model folder.
    exported
        The folder of model folders.
    """

    device: torch.device
    runs: Path
    export: bool
    exported: Path

    def run_folder(self, name: str, config: Any, *further: str) -> Path:
        """``runs/<name>/<preset>-<seed>[-further]``, made; goes on with the config it began with.

        Raises
        ------
        ValueError
            The folder was begun with another configuration.
        """
        kind = "smoke" if config.smoke else f"seed{config.seed}"
        folder = self.runs / name / "-".join([config.preset, kind, *further])
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "config.json"
        text = json.dumps(dataclasses.asdict(config), indent=2) + "\n"
        if path.exists() and path.read_text() != text:
            raise ValueError(f"{path}: of another configuration; remove its folder or give --runs")
        path.write_text(text)
        return folder


def parse(
    kind: type[C], description: str | None, arguments: Sequence[str] | None = None
) -> tuple[C, Options]:
    """The configuration and the options that a command line asks for.

    Parameters
    ----------
    kind
        A frozen dataclass whose fields, int, float, str or bool, become options of the same names.
        ``preset``, ``seed`` and ``smoke`` are among them. ``metadata={"choices": (...)}`` limits
        a field, ``metadata={"help": "..."}`` explains it.
    description
        The script's docstring; its first line is shown.
    arguments
        Default those of the process.

    Raises
    ------
    SystemExit
        A wrong call, with status 2.
    ValueError
        A device that is not there.
    """
    task = kind.__module__.split(".")[-2:][0]  # training.tasks.<task>.data
    parser = argparse.ArgumentParser(
        prog=f"python -m training {task}", description=(description or "").splitlines()[0]
    )
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        flag = f"--{field.name.replace('_', '-')}"
        hint = field.metadata.get("help")
        if field.type == "bool":
            parser.add_argument(flag, action="store_true", help=hint)
        else:
            choices = field.metadata.get("choices")
            parser.add_argument(
                flag,
                type=_KINDS[str(field.type)],
                default=field.default,
                choices=choices,
                help=hint,
            )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="checkpoints, histories")
    parser.add_argument("--export", action="store_true", help="report on test, write the model")
    parser.add_argument("--exported", type=Path, default=ROOT / "exported", help="its folder")
    given = vars(parser.parse_args(arguments))
    if given["export"] and given["preset"] != BEST:
        parser.error(f"only preset {BEST} is exported")
    if given["export"] and given["smoke"] and given["exported"] == ROOT / "exported":
        parser.error("--smoke --export needs a folder of its own: --exported")
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    config = kind(**{name: value for name, value in given.items() if name in names})
    torch.set_num_threads(thread_count(given["threads"]))
    device = pick_device(given["device"])
    return config, Options(device, given["runs"], given["export"], given["exported"])


def training_fields(
    name: str,
    config: Any,
    options: Options,
    *,
    seconds: float,
    window: int,
    best_epoch: int | list[int] | None = None,
    **further: Any,
) -> dict[str, Any]:
    """How a model was trained, for its card.

    Parameters
    ----------
    name
        Of the model, with further arguments that choose it.
    seconds
        Of the training, resumed parts included.
    window
        Usual length of a sequence, which the parity gate takes for a dynamic one.
    """
    fields: dict[str, Any] = {
        "command": f"python -m training {name} --export",
        "window": window,
        "config": dataclasses.asdict(config),
        "device": device_name(options.device),
        "seconds": round(seconds),
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
    }
    if best_epoch is not None:
        fields["best_epoch"] = best_epoch
    return fields | further


def device_name(device: torch.device) -> str:
    """The card or processor, and the threads of the latter."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_processor()}, {torch.get_num_threads()} threads"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else f"{platform.machine()} CPU"


def run(main: Callable[[], object], name: str) -> None:
    """Run a command; what a user can mend ends as one line on standard error, with status 1."""
    try:
        main()
    except (SeqtileError, ValueError) as error:
        raise SystemExit(f"{name}: error: {error}") from error
