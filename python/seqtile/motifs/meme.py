"""Motifs in MEME's minimal format."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ..errors import MotifParseError
from ..outputs import Outputs, output_errors
from .motif import LETTERS, SUM, Alphabet, Motif

__all__ = ["meme_text", "read_meme", "write_meme"]


def write_meme(path: str | os.PathLike[str], motifs: Iterable[Motif]) -> None:
    """Write motifs in the minimal MEME format, version 5; probabilities have six decimals.

    Raises
    ------
    ValueError
        No motif, or motifs of different alphabets.
    OutputError
        A file that cannot be written.
    """
    content = meme_text(motifs).encode()
    with Outputs() as files, output_errors(path):
        files.open(path).write(content)


def meme_text(motifs: Iterable[Motif]) -> str:
    """Motifs in the minimal MEME format: see `write_meme`."""
    items = list(motifs)
    alphabets = {motif.alphabet for motif in items}
    if len(alphabets) != 1:
        raise ValueError(f"a MEME file needs motifs of one alphabet, found {sorted(alphabets)}")
    letters = LETTERS[items[0].alphabet]
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
        for alphabet, known in LETTERS.items():
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
        if not all(0 <= value <= 1 for value in values) or abs(sum(values) - 1) > SUM:
            raise self.fail(
                f"motif {name}: expected probabilities that sum to 1, found {text.strip()[:60]!r}"
            )
        return values
