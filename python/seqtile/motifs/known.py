"""Motifs that are known, and which of a network's filters are like them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeAlias

from .matching import Match, best_match, is_recognised
from .meme import read_meme
from .motif import Alphabet, Motif

__all__ = [
    "KNOWN_DNA",
    "KNOWN_RNA",
    "Matched",
    "compare",
    "known_motifs",
    "labelled",
    "pick",
    "recognised",
]

# A motif, and the known one that it is most like; None where there is none to compare with.
Matched: TypeAlias = tuple[Motif, Match | None]

# Consensus of factors that networks on human sequences find again and again, as JASPAR has them.
KNOWN_DNA: dict[str, str] = {
    "HNF4A": "CAAAGTCC",
    "FOXA": "TGTTTAC",
    "GATA": "AGATAA",
    "AP-1": "TGASTCA",
    "CREB": "TGACGTCA",
    "CTCF": "CCASYAGRKGGCR",
    "E-box": "CACGTG",
    "HNF1": "GTTAATNATTAA",
    "CEBP": "TTRCGCAA",
    "ETS": "ACCGGAAGT",
    "SP/KLF": "GGGGCGGGG",
    "NRF1": "TGCGCATGCGC",
    "RUNX": "TGTGGTTT",
    "IRF": "GAAANTGAAA",
    "NF-kB": "GGGRNNYYCC",
    "EBF1": "TCCCNNGGGA",
    "OCT": "ATGCAAAT",
    "SOX": "CCTTTGTT",
    "TEAD": "ACATTCCA",
    "MEF2": "CTAAAAATAG",
    "NFI": "TTGGCNNNNNGCCAA",
}
# Of RNA: Ray et al., Nature 499 (2013), and for PUM Galgano et al., PLoS ONE 3 (2008).
KNOWN_RNA: dict[str, str] = {
    "RBFOX": "UGCAUG",
    "PUM": "UGUANAUA",
    "QKI": "ACUAAY",
    "ELAVL": "UUUUUUU",
    "PTBP": "UUUCUUU",
    "HNRNPA": "UAGGGA",
    "SRSF1": "GGAGGA",
    "PCBP": "CCCUCCC",
}


def known_motifs(alphabet: Alphabet = "dna") -> list[Motif]:
    """A few well-known motifs to compare with, made of their consensus."""
    known = KNOWN_DNA if alphabet == "dna" else KNOWN_RNA
    return [Motif.from_consensus(n, text, alphabet=alphabet) for n, text in known.items()]


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


def pick(pairs: Sequence[Matched], count: int = 12) -> list[Matched]:
    """The motifs to draw: the best of each known one, then the most informative unlike any."""
    chosen = list(recognised(pairs).values())[:count]
    rest: list[Matched] = [
        (motif, None) for motif, match in pairs if not is_recognised(motif, match)
    ]
    rest.sort(key=lambda pair: -pair[0].information)
    return chosen + rest[: count - len(chosen)]


def labelled(motif: Motif, match: Match | None) -> Motif:
    """A motif whose second name is that of the known one, if it is recognised."""
    if match is None or not is_recognised(motif, match):
        return motif
    return dataclasses.replace(motif, label="_".join(match.target.name.split()))
