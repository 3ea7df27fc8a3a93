"""``seqtile motifs``: what the first layer of a network looks for, as a table, a file, logos."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..errors import ModelNotFoundError
from ..models.zoo import model_folder
from ..motifs.matching import (
    Match,
    Motif,
    best_match,
    is_recognised,
    known_motifs,
    read_meme,
    write_meme,
)
from ..outputs import AtomicOutputs, output_errors

__all__ = ["compare", "motif_file", "pick", "print_motifs", "recognised", "write_outputs"]

FILE = "motifs.meme"
_DRAWN = 12

Matched = tuple[Motif, Match | None]


def motif_file(model: str) -> Path:
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
    if not (folder / FILE).is_file():
        raise ModelNotFoundError(
            f"{model}: its folder has no {FILE}; networks with a first convolution over letters, "
            "trained here, have one"
        )
    return folder / FILE


def compare(motifs: Sequence[Motif], against: str | None) -> list[Matched]:
    """Each motif with the known one that it is most like: recognised ones, then by likeness.

    Parameters
    ----------
    against
        MEME file of known motifs; None for the few that seqtile knows.

    Raises
    ------
    MotifParseError
        A file that is no MEME file.
    ValueError
        Motifs of another alphabet.
    """
    if not motifs:
        return []
    known = known_motifs(motifs[0].alphabet) if against is None else read_meme(against)
    pairs = [(motif, best_match(motif, known)) for motif in motifs]
    return sorted(pairs, key=_order)


def _order(pair: Matched) -> tuple[bool, float]:
    return not is_recognised(*pair), -pair[1].similarity if pair[1] else 0.0


def recognised(pairs: Sequence[Matched]) -> dict[str, Matched]:
    """The best motif of each known one, by its name, the most alike first."""
    best: dict[str, Matched] = {}
    for motif, match in pairs:
        if match and is_recognised(motif, match):
            best.setdefault(match.target.name, (motif, match))
    return best


def pick(pairs: Sequence[Matched], count: int = _DRAWN) -> list[Matched]:
    """The motifs to draw: the best of each known one, then the most informative unlike any."""
    chosen = list(recognised(pairs).values())[:count]
    rest: list[Matched] = [
        (motif, None) for motif, match in pairs if not is_recognised(motif, match)
    ]
    rest.sort(key=lambda pair: -pair[0].information)
    return chosen + rest[: count - len(chosen)]


def write_outputs(
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
    with AtomicOutputs() as files:
        if meme:
            target = files.path_for(Path(meme))
            with output_errors(meme):
                write_meme(target, [_labelled(*pair) for pair in pairs])
        if plot:
            from ..motifs.logos import draw_logos

            target = files.path_for(Path(plot))
            with output_errors(plot):
                draw_logos(target, pick(pairs), title)


def check_outputs(plot: str | None) -> None:
    """Refuse a picture that cannot be drawn here, before any work.

    Raises
    ------
    ImportError
        A library is missing; names the command that mends it.
    """
    if plot:
        from ..motifs.logos import require_logos

        require_logos(f"{plot}: drawing logos")


def _labelled(motif: Motif, match: Match | None) -> Motif:
    if match is None or not is_recognised(motif, match):
        return motif
    return dataclasses.replace(motif, label="_".join(match.target.name.split()))


def print_motifs(pairs: Sequence[Matched], source: str, *, top: int, as_json: bool) -> None:
    """A row per motif: consensus, sites, information content, best known match.

    Parameters
    ----------
    source
        The model or file, for the first line.
    top
        Rows of the table; 0 for all. JSON has all.
    """
    if as_json:
        print(json.dumps([_to_dict(*pair) for pair in pairs], indent=2))  # noqa: T201
        return
    table = Table(
        "filter",
        "consensus",
        "sites",
        "bits",
        "known",
        "similarity",
        "recognised",
        box=None,
        pad_edge=False,
    )
    for column in table.columns[2:4]:
        column.justify = "right"
    table.columns[5].justify = "right"
    for motif, match in pairs[: top or None]:
        known = f"{match.target.name} {match.target.consensus} ({match.strand})" if match else ""
        table.add_row(
            motif.name,
            motif.consensus,
            f"{motif.nsites:,}",
            f"{motif.information:.1f}",
            known,
            f"{match.similarity:.3f}" if match else "",
            "yes" if is_recognised(motif, match) else "",
        )
    left = f", the {top} most like a known one" if 0 < top < len(pairs) else ""
    print(f"{source}: {len(pairs)} motifs{left}")  # noqa: T201
    Console(width=None if sys.stdout.isatty() else 120).print(table)


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
