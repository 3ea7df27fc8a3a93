"""JUND binding on human chromosome 22: 101-base segments, bound or not.

Source: the book "Deep Learning for the Life Sciences" (Ramsundar, Eastman, Walters, Pande, 2019),
GitHub ``deepchem/DeepLearningLifeSciences``, ``Chapter06`` (MIT): ENCODE ChIP-seq of JUND in HepG2
cells, chromatin accessibility, assembly hg19. The split is the book's: random over segments that
tile the chromosome, so neighbours stand in different parts.

``$SEQTILE_DATA/jund_chr22`` is read where it is set. It holds all of valid and test, all labels of
train, and the sequence of 163,737 of its 276,216 segments (those in an alignment of primates), on
which the shipped models were trained. Without it the book's files are downloaded, and train is
whole.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...lab.source import DataError, cache_folder, check_content, download, local_copy

NAME = "jund_chr22"
SOURCE = "GitHub deepchem/DeepLearningLifeSciences, Chapter06 (MIT)"
LENGTH = 101

_URL = (
    "https://raw.githubusercontent.com/deepchem/DeepLearningLifeSciences/"
    "003bb91f3a05a48e186e4ba1bf5686f6fa1831cd/Chapter06"
)
# SHA-256 of the content: codes (uint8; 0..3 = ACGT, 4 = unknown), labels (uint8), starts (int32).
# Of train that of the local copy's rows; the whole of it is known by labels and starts alone.
CHECKSUMS = {
    "train": "4d5c7d4519d5c03e7473c3b1ae0c30904b282a8f19a974fa4dc933dc24912cea",
    "valid": "8f4511c35ccd31c7d53b7e8507c4b1bf3110fd7e857477f767a0bac397f3467b",
    "test": "0d386259f22d55ceff2d1ba38b58b4bffc976aa22007ac01a43bdf4d827d7887",
}
TRAIN_ROWS = 276_216
_LABELS = "473c1733be2953bd77649e932f8d71c2c78ed5d9f0cea609858a13feb4e59803"

Split = Literal["train", "valid", "test"]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Segments:
    """One split.

    Attributes
    ----------
    letters
        uint8 ASCII, shape (n, 101).
    bound
        float32, shape (n,): 1 where JUND binds.
    weight
        float32, shape (n,): the book's weights, of the same sum for both classes.
    accessibility
        float32, shape (n,): chromatin accessibility, 0 to 0.167.
    start
        int32, shape (n,): first base on chromosome 22, 0-based.
    """

    letters: NDArray[np.uint8]
    bound: NDArray[np.float32]
    weight: NDArray[np.float32]
    accessibility: NDArray[np.float32]
    start: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.bound)

    def __getitem__(self, rows: NDArray[Any] | slice) -> Segments:
        return Segments(
            self.letters[rows],
            self.bound[rows],
            self.weight[rows],
            self.accessibility[rows],
            self.start[rows],
        )


@dataclass(frozen=True)
class Labels:
    """Labels of all segments of train, those without a sequence too; sorted by start."""

    start: NDArray[np.int32]
    bound: NDArray[np.float32]
    accessibility: NDArray[np.float32]


def load(split: Split) -> Segments:
    """A split, its checksum verified.

    Raises
    ------
    DataError
        The data cannot be had, or are not those of the checksum.
    """
    with _open(_file(split)) as data:
        codes, bound = data["X"].astype(np.uint8), data["y"].astype(np.uint8)
        start = data["start"].astype(np.int32)
        if split == "train" and len(codes) == TRAIN_ROWS:
            check_content(f"{NAME} train", train_checksum(len(codes)), bound, start)
        else:
            check_content(f"{NAME} {split}", CHECKSUMS[split], codes, bound, start)
        return Segments(
            np.frombuffer(b"ACGTN", np.uint8)[codes],
            bound.astype(np.float32),
            data["w"].astype(np.float32),
            data["a"].astype(np.float32),
            start,
        )


def train_checksum(rows: int) -> str:
    """The SHA-256 that `load` compares train with: of its labels alone where train is whole."""
    return _LABELS if rows == TRAIN_ROWS else CHECKSUMS["train"]


def load_labels() -> Labels:
    """Labels of all of train, sorted by start."""
    with _open("train_all_labels.npz") as data:
        bound, start = data["y"].astype(np.uint8), data["start"].astype(np.int32)
        check_content(f"{NAME} train labels", _LABELS, bound, start)
        order = np.argsort(start)
        return Labels(
            start[order],
            bound[order].astype(np.float32),
            data["a"].astype(np.float32)[order],
        )


def _file(split: str) -> str:
    return "train_with_sequence.npz" if split == "train" else f"{split}.npz"


def _open(file: str) -> Any:
    folder = local_copy(NAME)
    if folder is None:
        folder = cache_folder(NAME)
        if not (folder / file).exists():
            fetch(folder)
    try:
        return np.load(folder / file)
    except FileNotFoundError:
        raise DataError(f"{folder}: no {file}") from None


def fetch(folder: Path) -> None:
    """Download the book's shards and write them, a byte a base, as arrays into ``folder``.

    A failure leaves nothing there. The shards are pickles, read only from the pinned commit; `load`
    compares their content with known checksums: of valid and test all, of train the labels and
    places.

    Raises
    ------
    DataError
        A file cannot be had, or is not what it should be.
    """
    import joblib

    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as name:
        work = Path(name)
        accessibility = work / "accessibility.txt"
        download(f"{_URL}/accessibility.txt", accessibility)
        values = dict(line.split()[:2] for line in accessibility.read_text().splitlines() if line)
        for split in ("train", "valid", "test"):
            paths = {part: work / f"{split}-{part}.joblib" for part in ("X", "y", "w", "ids")}
            for part, path in paths.items():
                download(f"{_URL}/{split}_dataset/shard-0-{part}.joblib", path)
            try:
                shards = {part: joblib.load(path) for part, path in paths.items()}
                _rewrite(work, split, shards, values)
            except Exception as error:  # whatever a broken pickle raises
                raise DataError(f"{_URL}, {split}: not the book's files: {error!r}") from error
        for path in work.glob("*.npz"):
            path.replace(folder / path.name)


def _rewrite(folder: Path, split: str, shards: dict[str, Any], values: dict[str, str]) -> None:
    one_hot = np.asarray(shards["X"]).reshape(-1, LENGTH, 4)
    codes = np.full(one_hot.shape[:2], 4, np.uint8)  # unknown
    for code in range(4):
        codes[one_hot[:, :, code] > 0] = code
    names = [str(name) for name in np.asarray(shards["ids"]).reshape(-1)]
    arrays: dict[str, Any] = {
        "y": np.asarray(shards["y"]).reshape(-1).astype(np.uint8),
        "w": np.asarray(shards["w"]).reshape(-1),
        "a": np.array([values[name] for name in names], np.float32),
        "start": np.array([re.findall(r"\d+", name)[-2] for name in names], np.int32),
    }
    if split == "train":
        np.savez(folder / "train_all_labels.npz", **arrays)
    np.savez(folder / _file(split), X=codes, **arrays)


class TrainWindows:
    """Windows at any place that train covers, and denser targets than "bound".

    Segments tile the chromosome, so a row whose neighbour is in train too can be shifted into it,
    with real bases and the two labels mixed by overlap. Accessibility and the labels around a row
    are soft targets for every row, where binding is one for 0.5 % of them; they serve in training
    alone.

    Parameters
    ----------
    train
        Rows with sequence; rows of held-out blocks already removed.
    labels
        Labels of train, those without sequence too; sorted by start.

    Attributes
    ----------
    bound
        float32, shape (n,): labels of the rows.
    auxiliary
        float32, shape (n, 10), in [0, 1]: rank of accessibility, whether it is in the top 10, 3 and
        0.5 %; rank of its mean over 5 segments, in the top 5 %; over 11 segments, in the top 3 %;
        any bound segment among 3, among 7.
    """

    def __init__(self, train: Segments, labels: Labels) -> None:
        self.bound = train.bound
        self.starts = train.start.astype(np.int64)
        self._chromosome = np.full(int(self.starts.max()) + 2 * LENGTH, ord("N"), np.uint8)
        self._chromosome[self.starts[:, None] + np.arange(LENGTH)] = train.letters
        self._left = _rows_at(self.starts, self.starts - LENGTH)
        self._right = _rows_at(self.starts, self.starts + LENGTH)
        self.auxiliary = _auxiliary(train, labels)

    def letters(self, starts: NDArray[np.int64]) -> NDArray[np.uint8]:
        """uint8, shape (n, 101): the windows at these places."""
        return self._chromosome[starts[:, None] + np.arange(LENGTH)]

    def shifted(
        self, rows: NDArray[np.int64], rng: np.random.Generator, reach: int
    ) -> tuple[NDArray[np.int64], Floats, Floats]:
        """Rows moved by up to ``reach`` (at most 101) bases into a neighbour, if train has it.

        Returns
        -------
        starts, shape (n,); bound, shape (n,), and auxiliary targets, shape (n, 10), both mixed by
        overlap.
        """
        if not 0 <= reach <= LENGTH:
            raise ValueError(f"reach must be 0 to {LENGTH}, not {reach}")
        shift = rng.integers(-reach, reach + 1, len(rows))
        neighbour = np.where(shift > 0, self._right[rows], self._left[rows])
        movable = (neighbour >= 0) & (shift != 0)
        shift = np.where(movable, shift, 0)
        neighbour = np.where(movable, neighbour, rows)
        share = (np.abs(shift) / LENGTH).astype(np.float32)
        bound = self.bound[rows] * (1 - share) + self.bound[neighbour] * share
        auxiliary = (
            self.auxiliary[rows] * (1 - share[:, None]) + self.auxiliary[neighbour] * share[:, None]
        )
        return self.starts[rows] + shift, bound, auxiliary


def _rows_at(starts: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each wanted start the row that has it, -1 where none does."""
    order = np.argsort(starts)
    places = np.minimum(np.searchsorted(starts, wanted, sorter=order), len(starts) - 1)
    rows = order[places]
    return np.where(starts[rows] == wanted, rows, -1)


def _auxiliary(train: Segments, labels: Labels) -> Floats:
    reach = np.arange(-5, 6)
    wanted = train.start.astype(np.int64)[:, None] + LENGTH * reach
    rows = _rows_at(labels.start.astype(np.int64), wanted.reshape(-1)).reshape(wanted.shape)
    known = rows >= 0
    openness = np.log(labels.accessibility + 5e-4)[rows] * known
    bound = labels.bound[rows] * known

    def mean(radius: int) -> Floats:
        near = np.abs(reach) <= radius
        return openness[:, near].sum(1) / np.maximum(known[:, near].sum(1), 1)

    def any_bound(radius: int) -> Floats:
        return bound[:, np.abs(reach) <= radius].max(1)

    own, near, wide = _rank(train.accessibility), _rank(mean(2)), _rank(mean(5))
    columns = [
        own,
        own > 0.9,
        own > 0.97,
        own > 0.995,
        near,
        near > 0.95,
        wide,
        wide > 0.97,
        any_bound(1),
        any_bound(3),
    ]
    return np.stack(columns, 1).astype(np.float32)


def _rank(values: Floats) -> Floats:
    """Ranks as numbers in (0, 1)."""
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return ((order + 0.5) / len(values)).astype(np.float32)
