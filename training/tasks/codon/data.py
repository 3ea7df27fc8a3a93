"""Three DNA sequences and the proteins they encode, of a "Deep learning workshop" homework.

The handout prints them and names a file, ``w5.fasta``, that was not found published; no licence is
stated. Character recognition damaged the print, and the copy read here is the repaired one: each
DNA translates to its protein letter for letter, starts with ATG, and ends at its only stop. Of the
64 codons 62 occur; CCA and CCG, two of the four of proline, do not.

There is nothing to download: ``$SEQTILE_DATA/dna_to_protein`` holds ``dna.fasta`` and
``protein.fasta``.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqtile import read_fasta, translate

from ...lab.source import DataError, check_content, local_copy

NAME = "dna_to_protein"
SOURCE = '"Deep learning workshop" homework, question 4, print repaired (no licence stated)'
CODON = 3
CODONS = tuple("".join(bases) for bases in itertools.product("ACGT", repeat=CODON))
PROLINE = ("CCT", "CCC", "CCA", "CCG")  # the first two occur
# SHA-256 of the content: letters (uint8 ASCII) of the three sequences, one after the other.
CHECKSUMS = {
    "dna": "357e916483eb6d4ad9c70fd0577f119e1ae83b0297fa09e1bd94b65af887a05e",
    "protein": "75d4ae848690d7f4eda1fe1a60784b0985c11206b0d1f224f3decd700805d0bb",
}


def load() -> list[tuple[str, str]]:
    """The pairs of DNA and protein, its closing ``*`` included.

    Raises
    ------
    DataError
        The data cannot be had, or are not those of the checksums.
    """
    folder = local_copy(NAME)
    if folder is None:
        raise DataError(f"{NAME} has no official source: set SEQTILE_DATA to a folder with {NAME}/")
    dna, protein = (_read(folder, kind) for kind in ("dna", "protein"))
    return list(zip(dna, protein, strict=True))


def _read(folder: Path, kind: str) -> list[str]:
    path = folder / f"{kind}.fasta"
    if not path.exists():
        raise DataError(f"{folder}: no {path.name}")
    sequences = [record.sequence for record in read_fasta(path)]
    check_content(f"{NAME} {kind}", CHECKSUMS[kind], *sequences)
    return [sequence.tobytes().decode("ascii") for sequence in sequences]


def split(dna: str) -> list[str]:
    """The codons of a sequence whose length is a multiple of 3."""
    return [dna[i : i + CODON] for i in range(0, len(dna), CODON)]


def seen_codons(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Codon to residue, of the codons that occur, in the order of CODONS."""
    table = {
        codon: residue
        for dna, protein in pairs
        for codon, residue in zip(split(dna), protein, strict=True)
    }
    return {codon: table[codon] for codon in CODONS if codon in table}


def without(pairs: list[tuple[str, str]], codons: set[str]) -> list[tuple[str, str]]:
    """The pairs with every occurrence of some codons cut out, residue and all."""
    kept = []
    for dna, protein in pairs:
        both = [c for c in zip(split(dna), protein, strict=True) if c[0] not in codons]
        kept.append(("".join(c for c, _ in both), "".join(r for _, r in both)))
    return kept


def hidden_twins() -> list[tuple[str, str]]:
    """For each residue of four codons alike but in their last base, bar proline, the last two.

    What CCA and CCG are to proline: leaving them out says how a network does on unseen codons.
    """
    boxes = [a + b for a, b in itertools.product("ACGT", repeat=2)]
    whole = [box for box in boxes if len({str(translate(box + c)) for c in "ACGT"}) == 1]
    return [(box + "A", box + "G") for box in whole if box != "CC"]


def letters(dna: str) -> NDArray[np.uint8]:
    """A sequence as the networks take it: uint8 ASCII, shape (1, length)."""
    return np.frombuffer(dna.encode("ascii"), np.uint8)[None]
