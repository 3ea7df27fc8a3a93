"""``seqtile predict``: a row for each FASTA record or each image."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import one_line, shown
from ..outputs import check_target, refuse_overwrite
from .image_sources import images_of
from .model_options import add_model_options, batch_size, load_model, print_profile

if TYPE_CHECKING:  # they import onnxruntime, which the arguments do without
    from ..execution.profile import Profile
    from ..models.prediction import PredictionBlock
    from ..models.predictor import Predictor

__all__ = ["add_arguments", "run", "write_answers"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``predict`` and ``embed``."""
    add_model_options(parser)
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="a FASTA file, plain or gzip, - for standard input; or image files, folders, patterns",
    )
    parser.add_argument(
        "-o", "--output", default="-", help="table, or .npz arrays (default: standard output)"
    )
    parser.add_argument("--jsonl", action="store_true", help="JSON lines, not tab-separated")
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a further input of the model: record name, tab, value; repeatable",
    )
    parser.add_argument(
        "--skip-bad",
        action="store_true",
        help="leave out records that the model does not take, as images always: list them, exit 1",
    )
    images = parser.add_argument_group("images")
    images.add_argument("--crop", type=int, metavar="N", help="keep N x N pixels in the middle")
    images.add_argument("--resize", action="store_true", help="to the size that the model takes")


def run(options: argparse.Namespace) -> int:
    """Predict what a FASTA file or images hold; the exit status is 1 if any was left out."""
    return write_answers(options, embed=False)


def write_answers(options: argparse.Namespace, *, embed: bool) -> int:
    """Write a row for each record or image: predictions, or embeddings.

    Images that cannot be read, and with ``--skip-bad`` records that the model does not take, are
    reported, the others go on, and the exit status is 1.

    Raises
    ------
    TypeError
        A model that answers for every pixel.
    ValueError
        Options that the model does not take, an output that would overwrite its input.
    SeqtileError, OSError, ImportError
        A model, device, record or file that does not work.
    """
    from ..execution.profile import Profile
    from ..fasta.fai import with_indices
    from ..models.zoo import model_files
    from .input_tables import read_inputs
    from .progress import progress
    from .tables import write_predictions

    files = [argument.partition("=")[2] for argument in options.input]
    refuse_overwrite(
        [*with_indices(*options.sources), *files, *model_files(options.model)], [options.output]
    )
    check_target(options.output)
    inputs = read_inputs(options.input)
    predictor = load_model(options)
    if predictor.contract.segmentation is not None:
        raise TypeError(f"{predictor.name} answers for every pixel: use seqtile segment")
    profile = Profile()
    counts = _Counts()
    images = predictor.takes == "images"
    if images:
        if inputs:
            raise ValueError(f"{predictor.name} takes images alone, no --input")
        blocks = _image_blocks(predictor, options, embed=embed, failed=counts.fail, profile=profile)
    else:
        skip = counts.fail if options.skip_bad else None
        blocks = _record_blocks(
            predictor, options, inputs, embed=embed, failed=skip, profile=profile
        )
    with progress("images" if images else "records", None, quiet=options.quiet) as advance:
        write_predictions(
            counts.of(blocks),
            options.output,
            contract=predictor.contract,
            as_json=options.jsonl,
            advance=advance,
        )
    if counts.failed and not images:
        print(
            f"seqtile: left out {counts.failed:,} of {counts.failed + counts.rows:,} records",
            file=sys.stderr,
        )
    if counts.not_finite:
        print(
            f"seqtile: {counts.not_finite:,} of {counts.rows:,} rows have a number that is not "
            f"finite (nan or inf), the first {shown(counts.first)}",
            file=sys.stderr,
        )
    print_profile(options, profile)
    return 1 if counts.failed else 0


@dataclass
class _Counts:
    """Rows that were written, those of them whose numbers are not all finite, items left out."""

    rows: int = 0
    failed: int = 0
    not_finite: int = 0
    first: str = ""

    def fail(self, error: Exception) -> None:
        """Report an item that is left out."""
        self.failed += 1
        print(f"seqtile: error: {one_line(error)}", file=sys.stderr)

    def of(self, blocks: Iterable[PredictionBlock]) -> Iterator[PredictionBlock]:
        """The blocks, counted."""
        for block in blocks:
            self.rows += len(block.names)
            finite = block.finite()
            if not finite.all():
                self.first = self.first or block.names[int(finite.argmin())]
                self.not_finite += int((~finite).sum())
            yield block


def _record_blocks(
    predictor: Predictor,
    options: argparse.Namespace,
    inputs: Mapping[str, Mapping[str, float]],
    *,
    embed: bool,
    failed: Callable[[Exception], object] | None,
    profile: Profile,
) -> Iterator[PredictionBlock]:
    if options.crop is not None or options.resize:
        raise ValueError(f"{predictor.name} takes sequences: --crop and --resize are for images")
    if len(options.sources) > 1:
        raise ValueError(
            f"{predictor.name} takes one FASTA file, not {len(options.sources)}: join them (cat "
            f"{' '.join(options.sources[:2])} | seqtile {options.verb} {options.model} -)"
        )
    return predictor.fasta_blocks(
        options.sources[0],
        batch_size=batch_size(options),
        inputs=inputs,
        embed=embed,
        failed=failed,
        profile=profile,
    )


def _image_blocks(
    predictor: Predictor,
    options: argparse.Namespace,
    *,
    embed: bool,
    failed: Callable[[Exception], object],
    profile: Profile,
) -> Iterator[PredictionBlock]:
    paths = images_of(options.sources)
    refuse_overwrite(paths, [options.output])
    return predictor.image_blocks(
        paths,
        batch_size=batch_size(options),
        crop=options.crop,
        resize=options.resize,
        embed=embed,
        failed=failed,
        profile=profile,
    )
