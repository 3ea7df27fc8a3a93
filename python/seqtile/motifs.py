"""Sequence motifs: matrices of letter probabilities, MEME files, likeness of two motifs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .errors import MotifParseError, ShapeError

__all__ = [
    "KNOWN_DNA",
    "KNOWN_RNA",
    "Match",
    "Motif",
    "best_match",
    "is_recognised",
    "known_motifs",
    "read_meme",
    "similarity",
    "write_meme",
]

Alphabet = Literal["dna", "rna"]
_LETTERS: dict[Alphabet, str] = {"dna": "ACGT", "rna": "ACGU"}
_IUPAC = {
    "A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT",
    "M": "AC", "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip
_DEGENERATE = {letters: code for code, letters in _IUPAC.items()}
_EXACT = 1e-9  # two probabilities closer than that are equal
_SUM = 0.01  # how far the probabilities of a column may be from 1 in a file


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
            raise ShapeError(f"motif {self.name}: expected probabilities of shape (4, w), "
                             f"found {table.shape}")  # fmt: skip
        if not self.name or len(self.name.split()) != 1 or len(self.label.split()) > 1:
            raise ValueError(f"motif {self.name!r}, {self.label!r}: expected names without blanks")
        if self.alphabet not in _LETTERS:
            raise ValueError(f"alphabet must be 'dna' or 'rna', not {self.alphabet!r}")
        if not (table >= 0).all() or (np.abs(table.sum(0) - 1) > _SUM).any():
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


def write_meme(path: str | os.PathLike[str], motifs: Iterable[Motif]) -> None:
    """Write motifs in the minimal MEME format, version 5; probabilities have six decimals.

    Raises
    ------
    ValueError
        No motif, or motifs of different alphabets.
    """
    Path(path).write_text(meme_text(motifs), encoding="ascii")


def meme_text(motifs: Iterable[Motif]) -> str:
    """Motifs in the minimal MEME format: see `write_meme`."""
    items = list(motifs)
    alphabets = {motif.alphabet for motif in items}
    if len(alphabets) != 1:
        raise ValueError(f"a MEME file needs motifs of one alphabet, found {sorted(alphabets)}")
    letters = _LETTERS[items[0].alphabet]
    strands = "strands: + -\n\n" if letters == "ACGT" else ""
    background = " ".join(f"{letter} 0.25" for letter in letters)
    parts = [
        f"MEME version 5\n\nALPHABET= {letters}\n\n{strands}"
        f"Background letter frequencies\n{background}\n\n"
    ]
    for motif in items:
        rows = "".join(
            " ".join(f"{p:.6f}" for p in column) + "\n" for column in motif.probabilities.T.tolist()
        )
        parts.append(
            f"MOTIF {motif.name} {motif.label}".rstrip() + "\nletter-probability matrix: "
            f"alength= 4 w= {len(motif)} nsites= {motif.nsites} E= 0\n{rows}\n"
        )
    return "".join(parts)


def read_meme(path: str | os.PathLike[str]) -> list[Motif]:
    """Read the motifs of a file in the minimal MEME format, in its order.

    Raises
    ------
    MotifParseError
        What is no such file, or a broken one; names the file and the line.
    FileNotFoundError
        No such file.
    """
    source = os.fspath(path)
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise MotifParseError(source, 0, "is no text") from None
    return list(_Reader(source, lines))


class _Reader:
    """The lines of a MEME file, and the one that is read."""

    def __init__(self, source: str, lines: list[str]) -> None:
        self.source, self.lines, self.line = source, lines, 0
        self.alphabet: Alphabet = "dna"

    def fail(self, problem: str) -> MotifParseError:
        return MotifParseError(self.source, self.line, problem)

    def __iter__(self) -> Iterator[Motif]:
        version, name = False, list[str]()
        for number, text in enumerate(self.lines, 1):
            self.line = number
            if not version and text.strip():
                if not text.startswith("MEME version"):
                    raise self.fail("expected a line 'MEME version N' first")
                version = True
            elif text.startswith("ALPHABET"):
                self.alphabet = self._alphabet(text)
            elif text.startswith("MOTIF"):
                if name:
                    raise self.fail(f"motif {name[0]} has no letter-probability matrix")
                name = text.split()[1:3]
                if not name:
                    raise self.fail("expected a motif's name after MOTIF")
            elif text.startswith("letter-probability matrix:"):
                if not name:
                    raise self.fail("a letter-probability matrix without a MOTIF line")
                yield self._motif(name, text)
                name = []
        if not version:
            raise self.fail("expected a line 'MEME version N' first")
        if name:
            raise self.fail(f"motif {name[0]} has no letter-probability matrix")

    def _alphabet(self, text: str) -> Alphabet:
        letters = text.removeprefix("ALPHABET").lstrip("=").strip()
        for alphabet, known in _LETTERS.items():
            if letters == known:
                return alphabet
        raise self.fail(f"expected ALPHABET= ACGT or ACGU, found {letters!r}")

    def _motif(self, name: list[str], head: str) -> Motif:
        width = self._number(head, "w=", None)
        letters = self._number(head, "alength=", 4)
        if letters != 4:
            raise self.fail(f"motif {name[0]}: expected alength= 4, found {letters}")
        sites = self._number(head, "nsites=", 20)
        columns, start = [], self.line
        for text in self.lines[start : None if width is None else start + width]:
            if width is None and not text.strip():
                break
            self.line += 1
            columns.append(self._column(name[0], text))
        if not columns or (width is not None and len(columns) != width):
            found = f"found {len(columns)} rows"
            raise self.fail(f"motif {name[0]}: expected w= {width or '1 or more'}, {found}")
        label = name[1] if len(name) > 1 else ""
        return Motif(name[0], np.array(columns).T, sites or 0, self.alphabet, label)

    def _number(self, head: str, key: str, default: int | None) -> int | None:
        _, found, rest = head.partition(f" {key}")
        if not found:
            return default
        word = (rest.split() or [""])[0]
        try:
            number = round(float(word))
        except (ValueError, OverflowError):
            number = -1
        if number < (0 if key == "nsites=" else 1):
            raise self.fail(f"expected a positive number after {key}, found {word!r}")
        return number

    def _column(self, name: str, text: str) -> list[float]:
        try:
            values = [float(word) for word in text.split()]
        except ValueError:
            values = []
        if len(values) != 4:
            raise self.fail(f"motif {name}: expected 4 probabilities, found {text.strip()[:60]!r}")
        if not all(0 <= value <= 1 for value in values) or abs(sum(values) - 1) > _SUM:
            raise self.fail(f"motif {name}: expected probabilities that sum to 1, "
                            f"found {text.strip()[:60]!r}")  # fmt: skip
        return values
