"""Train a task or a shipped model: `python -m training NAME [--export] [options of the task]`.

Without a name it lists them; `python -m training NAME --help` lists the options.
"""

from __future__ import annotations

import importlib
import sys

# By task its models, and the options that choose each.
TASKS: dict[str, dict[str, tuple[str, ...]]] = {
    "bloodmnist": {
        "bloodmnist-best": ("--model", "best"),
        "bloodmnist-cnn": ("--model", "cnn"),
        "bloodmnist-cnn-pool": ("--model", "cnn-pool"),
    },
    "codon": {"codon-convnet": ()},
    "dna_binding": {"dna-binding-bilstm": ()},
    "jund": {"jund-cnn-seq": ()},
    "jund_accessibility": {f"jund-{kind}": ("--model", kind) for kind in ("mlp", "cnn", "lstm")},
    "liver": {"liver-enhancer-cnn": ()},
    "mnist": {"mnist-convnet": ()},
    "nuclei": {"nuclei-unet": ()},
    "rbp": {f"rbp-{kind}": ("--model", kind) for kind in ("cnn", "bilstm", "cnn-attention")},
    "rbp_multi": {"rbp-multi": ()},
}


def listing() -> str:
    """A line for each task: its name, what it is about, its models."""
    lines = []
    for task, models in TASKS.items():
        about = importlib.import_module(f"{__package__}.tasks.{task}").__doc__
        lines.append(f"{task:<20}{about}\n{'':<20}{', '.join(models)}")
    return "\n".join(lines)


def main(*arguments: str) -> None:
    """Run a task.

    Parameters
    ----------
    arguments
        A name and the task's options; those of the process follow.

    Raises
    ------
    SystemExit
        Status 2 for a wrong call, 1 for what else a user can mend, each with a line of error.
    """
    name, *options = [*arguments, *sys.argv[1:]] or ["--help"]
    if name in ("-h", "--help"):
        print(f"{(__doc__ or '').strip()}\n\n{listing()}")
        return
    task = next((task for task, models in TASKS.items() if name in (task, *models)), None)
    if task is None:
        print(
            f"training: error: no task or model {name!r}; there are\n{listing()}", file=sys.stderr
        )
        raise SystemExit(2)
    train = importlib.import_module(f"{__package__}.tasks.{task}.train")
    command = importlib.import_module(f"{__package__}.lab.command")  # not before: it needs torch
    chosen = TASKS[task].get(name, ())
    command.run(lambda: train.main([*chosen, *options]), name)


if __name__ == "__main__":
    main()
