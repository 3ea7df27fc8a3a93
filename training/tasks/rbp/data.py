"""RNAcompete: how strongly RNA-binding proteins hold 241,357 short RNAs of two sets.

Source: Ray et al., "A compendium of RNA-binding motifs for decoding gene regulation", Nature 499
(2013). The probes are from GitHub ``morrislab/RNAcompete`` (MIT), the intensities of 22 proteins
that are not named there, ``RBP1`` to ``RBP38``, from a course's files in GitHub
``OrezriceWasHere/DeepBiologyRnaCompete`` (no licence stated): numbers without sequences, in an
order that was found by their repeats. That join cannot be made again from a download, so these
columns are read from ``$SEQTILE_DATA/rnacompete`` alone. 1,239 of its probes hold one and the same
value in 20 of the columns (each column its own): filled in where the measurement is missing. They
are NaN here.

Without that folder there are A1CF and ANKHD1, downloaded as subsets from GitHub
``jiapengzhu5/RDense`` (set A; no licence stated) and ``ilanbb/dlprb`` (set B, its top values cut
off; MIT), and every protein of the publication, RBFOX1 (RNCMPT00168) among them, from the authors'
table, which `read_table` reads: ``norm_data.txt.gz`` at
http://hugheslab.ccbr.utoronto.ca/supplementary-data/RNAcompete_eukarya/
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...lab.source import DataError, cache_folder, check_content, download, local_copy

NAME = "rnacompete"
SOURCE = "GitHub morrislab/RNAcompete (MIT), OrezriceWasHere/DeepBiologyRnaCompete (no licence)"
SUBSET_SOURCE = "GitHub jiapengzhu5/RDense (no licence), ilanbb/dlprb (MIT)"
TABLE = "http://hugheslab.ccbr.utoronto.ca/supplementary-data/RNAcompete_eukarya/norm_data.txt.gz"
LENGTH = 41  # of the longest probe; shorter ones are padded on the right with N
PROTEINS = tuple(
    f"RBP{i}"
    for i in (1, 3, 4, 7, 8, 11, 12, 13, 15, 16, 17, 18, 20, 21, 22, 23, 24, 27, 29, 30, 35, 38)
)
NOISE = "RBP35"  # its repeats do not agree at all
SUBSETS = {"A1CF": "RNCMPT00001", "ANKHD1": "RNCMPT00002"}
NUMBERS = {**SUBSETS, "RBFOX1": "RNCMPT00168"}  # of experiments, in the authors' table

# SHA-256 of the content: letters (uint8), sets (bool, A is 1), intensities (uint16, thousandths;
# float32 of the subsets).
CHECKSUMS = {
    "all": "cfb8eb0dba3fd30ac863e68c850a110d8e984d87254b8d4e77026185c6af6d75",
    "A1CF": "bddc55b82675efc09cafce8410c23053f76bacd73092d78235f00dda94786c04",
    "ANKHD1": "a286a533777ad22040e368d578eaa938c36ff38bdf397d6cf9806268e02820e6",
}
_RDENSE = (
    "https://raw.githubusercontent.com/jiapengzhu5/RDense/561fe7a4fc977b1c73dcdbad74737c7068d1ccf2"
)
_DLPRB = "https://raw.githubusercontent.com/ilanbb/dlprb"
_FILES = {
    "A1CF": (
        f"{_RDENSE}/train/RNCMPT00001.seq-train.txt",
        f"{_RDENSE}/test/RNCMPT00001.seq-test.txt",
        f"{_DLPRB}/fb56d5f7cdc50933e57ca58a7daa852da8d10d59/data/test/"
        "RNCMPT00001.txt.sequences_B.RNAcontext.clamp-sample",
    ),
    "ANKHD1": (
        f"{_RDENSE}/train/RNCMPT00002.seq-train.txt",
        f"{_RDENSE}/test/RNCMPT00002.seq-train.txt",
        f"{_DLPRB}/6f4c1fb5f2620233639cd7bd2aee2211e23aad0b/data/test/"
        "RNCMPT00002.txt.sequences.RNAcontext.clamp-sample",
    ),
}
_PARTS = ("rdense_train", "rdense_test", "dlprb_test_clamped")
_CLIP = 99.95  # percentile of train at which raw values are cut, as dlprb does
_SEQUENCE, _SET = ("RNA_Seq", "seq", "sequence"), ("Probe_Set", "set")
_VALUE = ("value", "intensity")


class Parts(NamedTuple):
    """Row numbers, int64: train and valid of set A, test all of set B."""

    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]


@dataclass(frozen=True)
class Probes:
    """Probes and their intensities.

    Attributes
    ----------
    letters
        uint8 ASCII (A, C, G, U), shape (n, 41), padded on the right with N.
    lengths
        int32, shape (n,): letters of each probe.
    set_a
        bool, shape (n,): of set A; else of set B. No sequence is in both.
    intensity
        float32, shape (n, proteins): NaN where missing.
    proteins
        Names of the columns.
    groups
        int32, shape (n,): the same number for the same sequence, which may stand on the array
        twice.
    """

    letters: NDArray[np.uint8]
    lengths: NDArray[np.int32]
    set_a: NDArray[np.bool_]
    intensity: NDArray[np.float32]
    proteins: tuple[str, ...]
    groups: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.letters)

    def of(self, protein: str) -> NDArray[np.float32]:
        """The intensities of a protein, shape (n,).

        Raises
        ------
        DataError
            There is no such column.
        """
        if protein not in self.proteins:
            raise DataError(f"no protein {protein!r}, only {', '.join(self.proteins)}")
        return self.intensity[:, self.proteins.index(protein)]

    def split(self, seed: int = 0, *, share: float = 0.1) -> Parts:
        """Set A at random into train and valid (``share`` of it), copies of a sequence together."""
        rows = np.flatnonzero(self.set_a)
        numbers = np.unique(self.groups[rows])
        drawn = np.random.default_rng(seed).random(len(numbers)) < share
        valid = drawn[np.searchsorted(numbers, self.groups[rows])]
        return Parts(rows[~valid], rows[valid], np.flatnonzero(~self.set_a))

    def repeats(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Pairs of ``rows`` that hold the same sequence, shape (pairs, 2)."""
        order = rows[np.argsort(self.groups[rows], kind="stable")]
        same = np.flatnonzero(np.diff(self.groups[order]) == 0)
        return np.stack([order[same], order[same + 1]], 1)


@dataclass(frozen=True)
class Scale:
    """Intensities to targets of mean 0 and deviation 1, by figures of train alone.

    Attributes
    ----------
    low, high
        Values are cut to these first.
    mean, deviation
        Of the cut values.
    """

    low: float
    high: float
    mean: float
    deviation: float

    @classmethod
    def of(cls, values: NDArray[np.floating], *, clip: bool) -> Scale:
        """The scale of train's values, shape (n,), NaN left out.

        ``clip`` is for raw, heavy-tailed values: they are cut at their 99.95th percentile.
        """
        known = values[~np.isnan(values)].astype(np.float64)
        low, high = -np.inf, float(np.percentile(known, _CLIP)) if clip else np.inf
        cut = np.clip(known, low, high)
        return cls(low, high, float(cut.mean()), float(cut.std()))

    def apply(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Targets of intensities; NaN stays."""
        cut = np.clip(values, self.low, self.high)
        return ((cut - self.mean) / self.deviation).astype(np.float32)


def needs_clip(protein: str) -> bool:
    """Whether a protein's values are raw ones, as those of the authors and the subsets are."""
    return protein not in PROTEINS


def load(protein: str | None = None, table: Path | None = None) -> Probes:
    """Probes with all 22 columns, or with one protein's.

    Parameters
    ----------
    protein
        Default the 22 of the local copy. One of them; ``A1CF`` or ``ANKHD1``, which are downloaded
        where there is no local copy; with ``table`` any of its columns.
    table
        A file of the user's, for `read_table`.

    Raises
    ------
    DataError
        The data cannot be had, or are not those of the checksum.
    """
    if table is not None:
        if protein is None:
            raise DataError(f"{table}: which protein of it?")
        return read_table(table, protein)
    if protein in SUBSETS:
        return _load_subset(protein)
    if protein is not None and protein not in PROTEINS:
        raise DataError(
            f"no intensities of {protein!r}: there are {', '.join((*PROTEINS, *SUBSETS))}; of any "
            f"other protein give a table such as {TABLE}, in which RBFOX1 is RNCMPT00168"
        )
    return _load_all()


def _load_all() -> Probes:
    folder = local_copy(NAME)
    if folder is None:
        raise DataError(
            f"{', '.join(PROTEINS)} are read from $SEQTILE_DATA/{NAME} (probes.tsv.gz, "
            "intensities.npz), and SEQTILE_DATA is not set: their source has no sequences beside "
            "the numbers. Choose A1CF or ANKHD1, which are downloaded, or give a table such as "
            f"{TABLE}"
        )
    try:
        with gzip.open(folder / "probes.tsv.gz", "rt", encoding="ascii") as file:
            rows = [line.rstrip("\n").split("\t") for line in file][1:]
        with np.load(folder / "intensities.npz") as data:
            names, milli = tuple(map(str, data["names"])), data["Y_milli"]
    except FileNotFoundError as error:
        raise DataError(f"{folder}: no {Path(error.filename).name}") from None
    values = np.where(_filled(milli), np.float32(np.nan), milli / np.float32(1000))
    probes = _probes([row[0] for row in rows], [row[1] == "A" for row in rows], values, names)
    check_content(NAME, CHECKSUMS["all"], probes.letters, probes.set_a, milli)
    return probes


def _filled(milli: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Where a value stands for a missing one: see the module.

    Such a row has in most columns the value that is the most frequent of the column.
    """
    modes = np.array([np.bincount(column).argmax() for column in milli.T])
    same = milli == modes
    rows = same.mean(1) > 0.5
    columns = same[rows].mean(0) > 0.5
    return same & rows[:, None] & columns


def _load_subset(protein: str) -> Probes:
    folder = local_copy(NAME)
    name = f"{SUBSETS[protein]}_{protein}_subset.tsv.gz"
    if folder is None:
        folder = cache_folder(NAME)
        if not (folder / name).exists():
            fetch_subset(folder, protein)
    try:
        with gzip.open(folder / name, "rt", encoding="ascii") as file:
            rows = [line.rstrip("\n").split("\t") for line in file][1:]
    except FileNotFoundError:
        raise DataError(f"{folder}: no {name}") from None
    values = np.array([row[3] for row in rows], np.float32)
    probes = _probes(
        [row[0] for row in rows], [row[1] == "A" for row in rows], values[:, None], (protein,)
    )
    what = f"{NAME} {protein}"
    check_content(what, CHECKSUMS[protein], probes.letters, probes.set_a, probes.intensity)
    return probes


def fetch_subset(folder: Path, protein: str) -> None:
    """Download a subset's three files and write them as one table into ``folder``.

    Raises
    ------
    DataError
        A file cannot be had, or is not a table of intensity and sequence.
    """
    name = f"{SUBSETS[protein]}_{protein}_subset.tsv.gz"
    lines = ["seq\tset\tpart\tintensity"]
    for part, url in zip(_PARTS, _FILES[protein], strict=True):
        raw = folder / f".{protein}-{part}"
        try:
            download(url, raw)
            for line in raw.read_text(encoding="ascii").splitlines():
                value, sequence = line.split()
                number = "A" if part.startswith("rdense") else "B"
                lines.append(f"{sequence}\t{number}\t{part}\t{float(value)}")
        except ValueError as error:  # of a number, of columns, of ASCII
            if isinstance(error, DataError):
                raise
            raise DataError(f"{url}: not lines of intensity and sequence: {error}") from error
        finally:
            raw.unlink(missing_ok=True)
    partial = folder / f".{name}.part"
    partial.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), 1))
    partial.replace(folder / name)


def read_table(path: Path, protein: str) -> Probes:
    """Probes of one protein from a tab-separated table, gzipped or not, with a header.

    The authors' ``norm_data.txt.gz`` is such a table, and so is one of three columns: ``seq``,
    ``set``, ``value``.

    Parameters
    ----------
    path
        Its columns: the sequence (``RNA_Seq``, ``seq`` or ``sequence``; 1 to 41 of A, C, G, U or T,
        N), the set (``Probe_Set`` or ``set``; A or B, ``SetA`` or ``SetB``), and intensities, empty
        or NaN where missing.
    protein
        Header of the column of intensities, or a name that stands for it: RBFOX1 for RNCMPT00168,
        A1CF for RNCMPT00001, ANKHD1 for RNCMPT00002. Where there is none, the column ``value`` or
        ``intensity`` is read.

    Raises
    ------
    DataError
        No such file, column or set; a row that is not of the form, with its line.
    """
    sequences, sets, values = [], [], []
    for line, (sequence, number, value) in _table_rows(path, protein):
        sequence = sequence.strip().upper().replace("T", "U")
        if not 1 <= len(sequence) <= LENGTH or sequence.strip("ACGUN"):
            raise DataError(
                f"{path}, line {line}: expected a sequence of 1 to {LENGTH} letters A, C, G, U or "
                f"N, not {sequence!r}"
            )
        half = number.strip()[-1:].upper()
        if half not in ("A", "B"):
            raise DataError(f"{path}, line {line}: expected set A or B, not {number!r}")
        try:
            values.append(float(value.strip() or "nan"))
        except ValueError:
            raise DataError(f"{path}, line {line}: {value!r} is no number") from None
        sequences.append(sequence.rstrip("N"))
        sets.append(half == "A")
    if not any(sets) or all(sets):
        raise DataError(f"{path}: needs rows of set A, to train on, and of set B, to test on")
    return _probes(sequences, sets, np.array(values, np.float32)[:, None], (protein,))


def _table_rows(path: Path, protein: str) -> Iterator[tuple[int, list[str]]]:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8", newline="") as file:
            rows = csv.reader(file, delimiter="\t")
            header = [name.strip() for name in next(rows, [])]
            wanted = (
                ("the sequences", _SEQUENCE),
                ("the sets", _SET),
                (protein, (protein, NUMBERS.get(protein, protein), *_VALUE)),
            )
            places = []
            for what, names in wanted:
                found = [header.index(name) for name in names if name in header]
                if not found:
                    raise DataError(
                        f"{path}: no column of {what} ({', '.join(dict.fromkeys(names))}) among "
                        f"{', '.join(header[:8])}{', ...' if len(header) > 8 else ''}"
                    )
                places.append(found[0])
            for row in rows:
                if len(row) != len(header):
                    raise DataError(
                        f"{path}, line {rows.line_num}: {len(row)} columns, expected {len(header)}"
                    )
                yield rows.line_num, [row[place] for place in places]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _probes(
    sequences: Sequence[str],
    sets: Sequence[bool],
    intensity: NDArray[np.float32],
    proteins: tuple[str, ...],
) -> Probes:
    padded = np.frombuffer("".join(s.ljust(LENGTH, "N") for s in sequences).encode(), np.uint8)
    letters = padded.reshape(-1, LENGTH).copy()
    keys = letters.view(f"V{LENGTH}").ravel()
    _, groups = np.unique(keys, return_inverse=True)
    return Probes(
        letters,
        np.array([len(s) for s in sequences], np.int32),
        np.array(sets, np.bool_),
        intensity.astype(np.float32),
        proteins,
        groups.astype(np.int32),
    )
