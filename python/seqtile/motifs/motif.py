"""A sequence motif: the probabilities of the letters at each place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ShapeError

__all__ = ["LETTERS", "SUM", "Alphabet", "Motif"]

Alphabet = Literal["dna", "rna"]
LETTERS: dict[Alphabet, str] = {"dna": "ACGT", "rna": "ACGU"}
_IUPAC = {
    "A": "A",
    "C": "C",
    "G": "G",
    "T": "T",
    "R": "AG",
    "Y": "CT",
    "S": "CG",
    "W": "AT",
    "K": "GT",
    "M": "AC",
    "B": "CGT",
    "D": "AGT",
    "H": "ACT",
    "V": "ACG",
    "N": "ACGT",
}
_DEGENERATE = {letters: code for code, letters in _IUPAC.items()}
_EXACT = 1e-9  # two probabilities closer than that are equal
SUM = 0.01  # how far the probabilities of a column may be from 1 in a file


@dataclass(frozen=True)
class Motif:
    """A position weight matrix.

    Attributes
    ----------
    name
        Identifier, without blanks.
    probabilities
        float64, shape (4, w): of the letters A C G T (or U) at each of w >= 1 places; columns sum
        to 1.
    nsites
        Number of aligned sequences behind it.
    alphabet
        ``"dna"`` or ``"rna"``.
    label
        A second name, such as that of a protein; may be empty.

    Raises
    ------
    ShapeError
        Probabilities of another shape.
    ValueError
        Columns that do not sum to 1, a name that is empty or has blanks.

    Examples
    --------
    >>> motif = Motif.from_consensus("AP-1", "TGASTCA")
    >>> motif.probabilities[:, 3]
    array([0. , 0.5, 0.5, 0. ])
    >>> motif.consensus, round(motif.information, 1)
    ('TGASTCA', 13.0)
    """

    name: str
    probabilities: NDArray[np.float64] = field(repr=False)
    nsites: int = 20
    alphabet: Alphabet = "dna"
    label: str = ""

    def __post_init__(self) -> None:
        table = np.array(self.probabilities, np.float64)
        table.setflags(write=False)
        object.__setattr__(self, "probabilities", table)
        if table.ndim != 2 or table.shape[0] != 4 or table.shape[1] == 0:
            raise ShapeError(
                f"motif {self.name}: expected probabilities of shape (4, w), found {table.shape}"
            )
        if not self.name or len(self.name.split()) != 1 or len(self.label.split()) > 1:
            raise ValueError(f"motif {self.name!r}, {self.label!r}: expected names without blanks")
        if self.alphabet not in LETTERS:
            raise ValueError(f"alphabet must be 'dna' or 'rna', not {self.alphabet!r}")
        if not (table >= 0).all() or (np.abs(table.sum(0) - 1) > SUM).any():
            raise ValueError(f"motif {self.name}: expected columns of probabilities that sum to 1")

    @classmethod
    def from_counts(
        cls, name: str, counts: NDArray[np.number], *, alphabet: Alphabet = "dna", label: str = ""
    ) -> Motif:
        """A motif of letter counts, shape (4, w); every column has the same sum."""
        table = np.asarray(counts, np.float64)
        total = table.sum(0)
        return cls(name, table / total, round(float(total.max())), alphabet, label)

    @classmethod
    def from_consensus(
        cls, name: str, consensus: str, *, alphabet: Alphabet = "dna", label: str = ""
    ) -> Motif:
        """A motif of IUPAC letters: the letters that a code stands for are equally likely.

        Raises
        ------
        ValueError
            A letter that is no IUPAC code.
        """
        codes = consensus.upper().replace("U", "T")
        unknown = sorted(set(codes) - set(_IUPAC))
        if unknown:
            raise ValueError(f"motif {name}: {unknown[0]!r} in {consensus} is no IUPAC letter")
        table = np.array([[base in _IUPAC[code] for code in codes] for base in "ACGT"], np.float64)
        return cls(name, table / table.sum(0, keepdims=True), 20, alphabet, label)

    def __len__(self) -> int:
        return int(self.probabilities.shape[1])

    @property
    def bits(self) -> NDArray[np.float64]:
        """Information content of each place, shape (w,): 2 less the entropy, 0 to 2 bits."""
        p = np.maximum(self.probabilities, 1e-300)
        bits: NDArray[np.float64] = 2 + (self.probabilities * np.log2(p)).sum(0)
        return bits.clip(0, 2)

    @property
    def information(self) -> float:
        """Information content of all places, in bits, against equally frequent letters."""
        return float(self.bits.sum())

    @property
    def consensus(self) -> str:
        """IUPAC letters by Cavener's rule (Nucleic Acids Research 15, 1987), as in TRANSFAC.

        One letter if it has more than half and more than twice the next; two that have more than
        three quarters; three if the fourth does not occur; N.
        """
        letters = [_degenerate(column) for column in self.probabilities.T]
        return "".join(letters).replace("T", "U" if self.alphabet == "rna" else "T")

    def reverse_complement(self) -> Motif:
        """The same motif read on the other strand."""
        table = self.probabilities[::-1, ::-1]
        return Motif(self.name, table, self.nsites, self.alphabet, self.label)


def _degenerate(column: NDArray[np.float64]) -> str:
    order = np.argsort(-column, kind="stable")
    first, second, _, fourth = column[order] / column.sum()
    if first > 0.5 + _EXACT and first > 2 * second + _EXACT:
        count = 1
    elif first + second > 0.75 + _EXACT:
        count = 2
    else:
        count = 3 if fourth <= _EXACT else 4
    return _DEGENERATE["".join("ACGT"[i] for i in sorted(order[:count].tolist()))]
