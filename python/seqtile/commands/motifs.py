"""``seqtile motifs``: what the first layer of a network looks for, as a table, a file, logos."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from ..errors import ModelNotFoundError
from ..models.zoo import model_files, model_folder
from ..motifs.known import Matched, compare, labelled, pick
from ..motifs.logos import draw_logos, require_logos
from ..motifs.matching import Match, is_recognised
from ..motifs.meme import meme_text, read_meme
from ..motifs.motif import Motif
from ..outputs import Outputs, check_targets, is_stdout, output_errors, refuse_overwrite
from .printing import add_row, print_json, print_lines, print_table, table

__all__ = ["add_arguments", "run"]

_FILE = "motifs.meme"
_WIDTH = 120  # of a table that goes to no terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``motifs``."""
    parser.add_argument("model", help="a shipped model's name, a model folder, or a MEME file")
    parser.add_argument("--against", metavar="MEME", help="known motifs (default: a few)")
    parser.add_argument("--top", type=int, default=20, help="rows, 0 for all (default: 20)")
    parser.add_argument("--plot", metavar="PNG", help="draw logos of the best motifs")
    parser.add_argument("--meme", metavar="FILE", help="write the motifs, named by their matches")
    parser.add_argument("--json", action="store_true", help="print all motifs as JSON")


def run(options: argparse.Namespace) -> None:
    """Name a network's filters.

    Raises
    ------
    ModelNotFoundError
        No such model, or one without motifs.
    MotifParseError
        A file that is no MEME file.
    ValueError
        Motifs of another alphabet, an option out of its range, an output that is the input.
    ImportError
        Logos without matplotlib or logomaker.
    OutputError
        A file that cannot be written.
    """
    if options.top < 0:
        raise ValueError(f"top must not be negative, not {options.top}")
    if options.plot:
        require_logos(f"{options.plot}: drawing logos")
    source = _motif_file(options.model)
    targets = [target for target in (options.meme, options.plot) if target]
    known = [options.against] if options.against else []
    refuse_overwrite([source, *known, *model_files(options.model)], targets)
    check_targets(targets)
    pairs = compare(read_meme(source), options.against)
    title = f"{options.model}: motifs of the first convolution, height in bits"
    _write_outputs(pairs, meme=options.meme, plot=options.plot, title=title)
    out = sys.stderr if any(map(is_stdout, targets)) else sys.stdout
    _print_motifs(pairs, options.model, top=options.top, as_json=options.json, out=out)


def _motif_file(model: str) -> Path:
    """The MEME file of a shipped model, a model folder, or the path itself if it is a file.

    Raises
    ------
    ModelNotFoundError
        No such model, or one without motifs.
    """
    path = Path(model)
    if path.is_file() and path.suffix != ".onnx":
        return path
    folder = path if path.is_dir() else path.parent if path.is_file() else model_folder(model)
    if not (folder / _FILE).is_file():
        raise ModelNotFoundError(
            f"{model}: its folder has no {_FILE}; networks with a first convolution over letters, "
            "trained here, have one"
        )
    return folder / _FILE


def _write_outputs(
    pairs: Sequence[Matched], *, meme: str | None, plot: str | None, title: str
) -> None:
    """Write the motifs as a MEME file, and logos of the best of them as PNG, both or none.

    In the MEME file the name of the known motif is the second name of one that is recognised.

    Raises
    ------
    ImportError
        Logos without matplotlib or logomaker.
    OutputError
        A folder missing or not writable, a disk that is full; nothing is left behind.
    """
    with Outputs() as files:
        if meme:
            with output_errors(meme):
                text = meme_text(labelled(*pair) for pair in pairs)
                files.open(meme).write(text.encode())
        if plot:
            with output_errors(plot):
                draw_logos(files.open(plot), pick(pairs), title)


def _print_motifs(
    pairs: Sequence[Matched], source: str, *, top: int, as_json: bool, out: TextIO
) -> None:
    """A row per motif: consensus, sites, information content, best known match.

    Parameters
    ----------
    source
        The model or file, for the first line.
    top
        Rows of the table; 0 for all. JSON has all.
    out
        To print to.
    """
    if as_json:
        print_json([_to_dict(*pair) for pair in pairs], out)
        return
    rows = table("filter", "consensus", "sites", "bits", "known", "similarity", "recognised")
    for place in (2, 3, 5):
        rows.columns[place].justify = "right"
    for motif, match in pairs[: top or None]:
        known = f"{match.target.name} {match.target.consensus} ({match.strand})" if match else ""
        add_row(
            rows,
            motif.name,
            motif.consensus,
            f"{motif.nsites:,}",
            f"{motif.information:.1f}",
            known,
            f"{match.similarity:.3f}" if match else "",
            "yes" if is_recognised(motif, match) else "",
        )
    left = f", the {top} most like a known one" if 0 < top < len(pairs) else ""
    print_lines(f"{source}: {len(pairs)} motifs{left}", file=out)
    print_table(rows, width=_WIDTH, file=out)


def _to_dict(motif: Motif, match: Match | None) -> dict[str, Any]:
    return {
        "name": motif.name,
        "label": motif.label,
        "consensus": motif.consensus,
        "nsites": motif.nsites,
        "information": motif.information,
        "probabilities": motif.probabilities.T.tolist(),
        "match": match
        and {
            "name": match.target.name,
            "consensus": match.target.consensus,
            "similarity": match.similarity,
            "strand": match.strand,
            "offset": match.offset,
            "recognised": is_recognised(motif, match),
        },
    }
