"""Pictures of motifs: a grid of sequence logos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ..escaping import escaped
from ..outputs import require
from .matching import Match
from .motif import Motif

__all__ = ["draw_logos", "require_logos"]

# Dark enough on white, and told apart by most colour-blind readers (Okabe and Ito, 2008).
_COLOURS = {"A": "#009e73", "C": "#0072b2", "G": "#e69f00", "T": "#d55e00", "U": "#d55e00"}
_INK, _MUTED, _FAINT = "#1f2933", "#5c6770", "#eef2f5"
_ACROSS = 3


def require_logos(purpose: str) -> None:
    """Raise `ImportError` with the command that mends it if the drawing libraries are missing."""
    for module in ("matplotlib", "logomaker"):
        require(module, purpose)


def draw_logos(
    file: Path | BinaryIO, motifs: Sequence[tuple[Motif, Match | None]], title: str
) -> None:
    """Draw motifs as sequence logos, a grid three across, as PNG.

    The height of a column is its information content, that of a letter its share of it. A motif
    that matches a known one is turned to the known one's strand, and the known one's consensus
    stands below the columns it covers.

    Parameters
    ----------
    file
        To write to.
    motifs
        Each with the match to show, as `best_match` gives it.

    Raises
    ------
    ValueError
        No motif.
    """
    if not motifs:
        raise ValueError("there is no motif to draw")
    import logomaker
    import pandas
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = min(_ACROSS, len(motifs))
    down = -(-len(motifs) // across)
    figure = Figure(figsize=(3.5 * across, 0.55 + 1.45 * down), dpi=150, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for axis in axes[len(motifs) :]:
        axis.set_axis_off()
    for axis, (motif, known) in zip(axes, motifs, strict=False):
        turned = known is not None and known.strand == "-"
        shown = motif.reverse_complement() if turned else motif
        letters = "ACGT" if motif.alphabet == "dna" else "ACGU"
        table = pandas.DataFrame((shown.probabilities * shown.bits).T, columns=list(letters))
        logomaker.Logo(table, ax=axis, color_scheme=_COLOURS, show_spines=False, vpad=0.02)
        _label(axis, motif, known, turned=turned)
    figure.suptitle(escaped(title), parse_math=False, x=0.01, ha="left", fontsize=9, color=_MUTED)
    canvas.print_figure(file, format="png")


def _label(axis: Any, motif: Motif, known: Match | None, *, turned: bool) -> None:
    width = len(motif)
    axis.set_xlim(-0.6, width - 0.4)
    axis.set_ylim(0, 2)
    axis.set_yticks([0, 1, 2])
    axis.tick_params(axis="y", labelsize=6.5, colors=_MUTED, length=2)
    axis.tick_params(axis="x", labelsize=8, colors=_INK, length=0, pad=2)
    axis.spines["left"].set_visible(True)
    axis.spines["left"].set_color(_MUTED)
    axis.set_xticks([])
    strand = ", reverse complement" if turned else ""
    detail = escaped(f"{motif.name}{strand}, {motif.nsites:,} sites")
    if known is None:
        axis.set_title(detail, parse_math=False, loc="left", fontsize=7, color=_MUTED, pad=3)
        return
    length = len(known.target)
    start = known.offset if not turned else width - known.offset - length
    covered = range(max(0, start), min(width, start + length))
    consensus = known.target.consensus
    axis.set_xticks(list(covered), [consensus[place - start] for place in covered])
    axis.axvspan(covered[0] - 0.5, covered[-1] + 0.5, color=_FAINT, zorder=-10)
    axis.set_title(
        escaped(f"{known.target.name}  {known.similarity:.2f}"),
        parse_math=False,
        loc="left",
        fontsize=9,
        color=_INK,
        fontweight="bold",
        pad=3,
    )
    axis.set_title(detail, parse_math=False, loc="right", fontsize=6.5, color=_MUTED, pad=3)
