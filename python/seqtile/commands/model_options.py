"""What every verb that runs a model takes: which model, where, how, and its batches."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # they import onnxruntime, which the arguments do without
    from ..execution.batching import BatchSize
    from ..execution.profile import Profile
    from ..models.inputs import InputSpec
    from ..models.predictor import Predictor

__all__ = [
    "add_foreign_options",
    "add_model_options",
    "batch_size",
    "input_spec",
    "load_model",
    "print_profile",
]


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """MODEL, and the options of its sessions and batches."""
    parser.add_argument("model", help="a shipped model's name, a model folder, or an .onnx file")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or cuda:0,1")
    parser.add_argument(
        "--precision", default="fp32", help="fp32 (default); tf32, fp16 on CUDA; int8 on the CPU"
    )
    parser.add_argument("--threads", type=int, help="CPU threads (default: what the job may use)")
    parser.add_argument("--batch-size", type=int, metavar="N", help="items per call")
    parser.add_argument("--profile", action="store_true", help="say what each stage took")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_foreign_options(parser)


def add_foreign_options(parser: argparse.ArgumentParser) -> None:
    """What a third-party model does not say of itself."""
    foreign = parser.add_argument_group("a third-party .onnx file")
    foreign.add_argument("--input-layout", choices=["NCL", "NLC", "bytes"], help="of its input")
    foreign.add_argument("--alphabet", help="its channels' letters (default: dna)")


def input_spec(options: argparse.Namespace) -> InputSpec | None:
    """The input of a third-party model, None where none is given.

    Raises
    ------
    ValueError
        An alphabet without a layout.
    """
    from ..models.inputs import InputSpec

    if options.input_layout:
        return InputSpec(layout=options.input_layout, alphabet=options.alphabet or "dna")
    if options.alphabet:
        raise ValueError("--alphabet goes with --input-layout, for a third-party .onnx file")
    return None


def load_model(options: argparse.Namespace) -> Predictor:
    """The model, verified, on its device.

    Raises
    ------
    ValueError
        A model and a file in the wrong order; and as `seqtile.load`.
    """
    from ..models.loading import load

    _refuse_swapped(options)
    return load(
        options.model,
        device=options.device,
        threads=options.threads,
        precision=options.precision,
        input=input_spec(options),
    )


def _refuse_swapped(options: argparse.Namespace) -> None:
    """Raise `ValueError` where a file stands in the place of the model, and a model in its."""
    from ..models.zoo import list_models

    names = list_models()

    def is_model(word: str) -> bool:
        path = Path(word)
        return word in names or path.suffix == ".onnx" or (path / "contract.json").is_file()

    given = vars(options)
    sources = given.get("sources") or given.get("images") or [given.get("fasta", "")]
    if not is_model(options.model) and (models := [*filter(is_model, sources)]):
        raise ValueError(
            f"{options.model} is no model, {models[0]} is: the model comes first "
            f"(seqtile {options.verb} {models[0]} {options.model})"
        )


def batch_size(options: argparse.Namespace) -> BatchSize:
    """Items per call; ``"auto"`` where none are given."""
    size: int | None = options.batch_size
    return "auto" if size is None else size


def print_profile(options: argparse.Namespace, profile: Profile) -> None:
    """What each stage took, on standard error, if it was asked for."""
    if options.profile:
        print(f"seqtile: {profile}", file=sys.stderr)
