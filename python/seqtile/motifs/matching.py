"""How alike two motifs are, and when one may be called by the other's name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .motif import Motif

__all__ = ["Match", "best_match", "is_recognised", "similarity"]


@dataclass(frozen=True)
class Match:
    """How a motif lies on another one.

    Attributes
    ----------
    target
        The other motif.
    similarity
        See `similarity`.
    offset
        Place of the motif on which the target's first place lies; negative if it hangs over.
    strand
        ``"-"`` if the target's reverse complement fits.
    """

    target: Motif
    similarity: float
    offset: int
    strand: Literal["+", "-"]


def similarity(motif: Motif, target: Motif, *, min_overlap: int = 5) -> Match:
    """How alike two motifs are, at the offset and on the strand where they fit best.

    The correlation (Pearson) of the four probabilities is taken at each place where the two
    overlap, and its sum divided by the length of the shorter motif: 1 for a motif within itself,
    about 0 for places that are unrelated, and places that hang over count 0. The sum of column
    correlations is Pietrokovski's (Nucleic Acids Research 24, 1996), one of the measures of Tomtom
    (Gupta et al., Genome Biology 8, 2007). A column of four equal probabilities correlates 0 with
    any other, but 1 with one of its kind.

    Parameters
    ----------
    motif, target
        Of one alphabet; for RNA the target is taken as it is, for DNA on both strands.
    min_overlap
        Fewest places that overlap, or all of the shorter motif's.

    Raises
    ------
    ValueError
        Motifs of different alphabets.
    """
    if motif.alphabet != target.alphabet:
        raise ValueError(f"motif {motif.name} is {motif.alphabet}, {target.name} {target.alphabet}")
    strands: list[Literal["+", "-"]] = ["+", "-"] if motif.alphabet == "dna" else ["+"]
    found = []
    for strand in strands:
        other = target if strand == "+" else target.reverse_complement()
        value, offset = _best_offset(motif.probabilities, other.probabilities, min_overlap)
        found.append(Match(target, value, offset, strand))
    return max(found, key=lambda match: match.similarity)


def _best_offset(
    a: NDArray[np.float64], b: NDArray[np.float64], min_overlap: int
) -> tuple[float, int]:
    columns = _correlations(a, b)
    n, m = columns.shape
    least = min(min_overlap, n, m)
    sums = {
        offset: min(1.0, float(np.trace(columns, offset=-offset)) / min(n, m))
        for offset in range(least - m, n - least + 1)
    }
    best = max(sums, key=lambda offset: (sums[offset], -abs(offset)))
    return sums[best], best


def _correlations(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson correlations of all columns of a with all of b."""
    centred = [table - table.mean(0) for table in (a, b)]
    lengths = [np.sqrt((table**2).sum(0)) for table in centred]
    flat = [length < 1e-6 for length in lengths]
    units = [
        table / np.where(none, 1, length)
        for table, length, none in zip(centred, lengths, flat, strict=True)
    ]
    values: NDArray[np.float64] = units[0].T @ units[1]
    values[np.logical_or.outer(*flat)] = 0
    values[np.logical_and.outer(*flat)] = 1
    return values


def best_match(motif: Motif, targets: Sequence[Motif], *, min_overlap: int = 5) -> Match | None:
    """The target most like a motif, None without targets; see `similarity`."""
    matches = [similarity(motif, target, min_overlap=min_overlap) for target in targets]
    return max(matches, key=lambda match: match.similarity, default=None)


def is_recognised(motif: Motif, match: Match | None) -> bool:
    """Whether a match may be called by its target's name.

    It is at least 0.8 alike, and the places that the target covers hold at least 0.4 of its
    information. The correlation of two columns does not see how strong they are, so that a weak
    motif is like some known one by chance: those of 768 random filters of 15 reach 0.91 against the
    motifs known here, but not one of them holds 0.4 of the information (of 256 random filters of 7,
    one does).
    """
    if match is None or match.similarity < 0.8:
        return False
    covered = motif.bits[max(0, match.offset) : match.offset + len(match.target)]
    return float(covered.sum()) >= 0.4 * match.target.information
