"""DNA binding: 101-base segments that a protein binds in ChIP-seq, and shuffles of them.

Source: MIT course "Machine Learning for Molecular Engineering" (Coley, Fraenkel,
Gomez-Bombarelli), problem set on DNA binding sites; GitHub ``mattfeng/ML4MolEng``, where
``train_dna.csv`` has the bytes of ``dna_binding.csv`` in ``coleygroup/ML4MolEng``. No licence is
stated. The protein is not named; the bound segments carry the E-box CACGTG, as those of USF1 do.

Row 2k is a bound segment, and row 2k + 1 the same segment cut into blocks of two letters (the last
of one) and put together in another order: `shuffle` makes more of these. A split by rows puts many
a pair on different sides, so `load` splits by pair: 80 % train, 20 % test, and of train a tenth for
validation. ``$SEQTILE_DATA/dna_binding`` is read where it is set; else the files are downloaded.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...lab.source import DataError, cache_folder, check_content, download, local_copy

NAME = "dna_binding"
SOURCE = "GitHub mattfeng/ML4MolEng, psets/ps3/data (no licence stated)"
LENGTH = 101

_URL = (
    "https://raw.githubusercontent.com/mattfeng/ML4MolEng/"
    "1ad2bd398c844efce950c0c967f8aea8794e1f58/psets/ps3/data"
)
_MAIN, _SHIFTED = "dna_binding.csv", "test_dna.csv"
# The source's names, and SHA-256 of the files.
_REMOTE = {
    _MAIN: ("train_dna.csv", "b2a04550b65e8656007d5095d263f75a48267fda1632f3d9ad2bb3fc18104a4d"),
    _SHIFTED: (_SHIFTED, "5e92479e2a962511041bae9770e1705f419b68923b6f67d6728147714933bd6b"),
}
# SHA-256 of the content: letters (uint8 ASCII) and labels (uint8).
CHECKSUMS = {
    _MAIN: "6efd4b346185e6d7c6ba1d0b693e992db3831915ea710948b2131733606f0a6b",
    _SHIFTED: "59e4816642604fbccc481c1c104a73954a8145f7022140395011ebee752bde81",
}

Split = Literal["train", "valid", "test", "shifted"]
By = Literal["pair", "row"]


@dataclass(frozen=True)
class Segments:
    """One split.

    Attributes
    ----------
    letters
        uint8 ASCII, shape (n, 101); A, C, G and T alone.
    bound
        float32, shape (n,): 1 where the protein binds.
    row
        int64, shape (n,): row of the source file, from 0; rows 2k (bound) and 2k + 1 are a pair.
    """

    letters: NDArray[np.uint8]
    bound: NDArray[np.float32]
    row: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.bound)

    def __getitem__(self, rows: NDArray[Any] | slice) -> Segments:
        return Segments(self.letters[rows], self.bound[rows], self.row[rows])


def load(split: Split, *, by: By = "pair") -> Segments:
    """A split, the checksum of its file verified.

    Parameters
    ----------
    split
        ``"shifted"`` is the course's held-out file of 2021, GC 0.641 against 0.589. Half of its
        bound rows, 1000 + 2i, are shuffles of rows 2i: figures of the whole mean little.
    by
        What is dealt out to train, valid and test: pairs, or single rows, which leaks.

    Raises
    ------
    DataError
        The data cannot be had, or are not those of the checksum.
    """
    if split == "shifted":
        return _read(_SHIFTED)
    whole = _read(_MAIN)
    return whole[split_rows(len(whole), by)[split]]


def split_rows(rows: int, by: By = "pair") -> dict[str, NDArray[np.int64]]:
    """Row numbers of ``train``, ``valid`` and ``test``, each sorted; the same at every call."""
    size = 2 if by == "pair" else 1
    order = np.random.default_rng(0).permutation(rows // size)
    held = len(order) // 5
    test, rest = order[:held], order[held:]
    valid, train = rest[: len(rest) // 10], rest[len(rest) // 10 :]
    return {
        name: np.sort((size * chosen[:, None] + np.arange(size)).ravel())
        for name, chosen in (("train", train), ("valid", valid), ("test", test))
    }


def shuffle(letters: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Rows with their blocks of two letters, from the left, in a new order: new unbound segments.

    The way every unbound row of both files comes from its bound one.

    Parameters
    ----------
    letters
        uint8, shape (n, L), L odd: the last letter is a block of its own.
    """
    n, length = letters.shape
    blocks = rng.permuted(np.tile(np.arange(length // 2 + 1), (n, 1)), axis=1)
    places = (2 * blocks[:, :, None] + np.arange(2)).reshape(n, -1)
    places = places[places < length].reshape(n, length)  # the last block has but one
    return np.take_along_axis(letters, places, 1)


def _read(file: str) -> Segments:
    folder = local_copy(NAME)
    if folder is None:
        folder = cache_folder(NAME)
        name, checksum = _REMOTE[file]
        download(f"{_URL}/{name}", folder / file, checksum)
    path = folder / file
    try:
        with path.open(newline="", encoding="ascii") as text:
            rows = [(row["seq"], row["bind"]) for row in csv.DictReader(text)]
        letters = np.frombuffer("".join(seq for seq, _ in rows).encode(), np.uint8)
        letters = letters.reshape(-1, LENGTH)
        bound = np.array([int(label) for _, label in rows], np.uint8)
    except FileNotFoundError:
        raise DataError(f"{path.parent}: no {path.name}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: not the course's table: {error!r}") from error
    check_content(f"{NAME} {file}", CHECKSUMS[file], letters, bound)
    return Segments(letters, bound.astype(np.float32), np.arange(len(bound)))
