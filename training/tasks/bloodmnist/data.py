"""Blood cells at 28 x 28 pixels: eight classes of single cells under the microscope.

Photographs of Acevedo et al., Data in Brief 30 (2020) 105474 (Mendeley Data snkd93bnjr, CC BY 4.0):
stained cells of the peripheral blood of healthy people. MedMNIST made BloodMNIST of them (Yang et
al., Scientific Data 10 (2023) 41, CC BY 4.0): the middle 200 x 200 pixels, resized to 28 x 28.

Two editions, of the same classes and the same number of images per class and split:

``rebuild``
    Made anew from all 17,092 photographs in the way described. The split is its own, for the
    official one is not published by file name: within a class by the hash of the photograph.
    Read from ``$SEQTILE_DATA/pbc_bloodmnist28``; the shipped models are of it.
``official``
    MedMNIST's ``bloodmnist.npz`` with the official split, downloaded from Zenodo record 10519652.
    **An image of its test part may be one of the rebuild's train part**, so a model of one edition
    must not be scored on the other.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...lab.source import DataError, cache_folder, check_file, download, local_copy

NAME = "pbc_bloodmnist28"
EDITIONS = ("rebuild", "official")
SOURCES = {
    "rebuild": "PBC dataset of Acevedo et al. 2020, Mendeley Data snkd93bnjr v1, rebuilt as "
    "BloodMNIST (CC BY 4.0)",
    "official": "MedMNIST BloodMNIST, Zenodo record 10519652 (CC BY 4.0)",
}
SPLITS = {
    "rebuild": "within each class by the SHA-256 of the photograph, cut at the official file's "
    "counts per class (not the official split); exact copies are in one split",
    "official": "MedMNIST's",
}
SIDE = 28
CLASSES = (
    "basophil",
    "eosinophil",
    "erythroblast",
    "immature granulocyte",
    "lymphocyte",
    "monocyte",
    "neutrophil",
    "platelet",
)
SIZES = {"train": 11_959, "valid": 1_712, "test": 3_421}

Edition = Literal["rebuild", "official"]
Split = Literal["train", "valid", "test"]

_URL = "https://zenodo.org/records/10519652/files/bloodmnist.npz?download=1"
_FILES = {"rebuild": "pbc_bloodmnist28.npz", "official": "bloodmnist.npz"}
# Of the files. The official one's is MD5, as medmnist 3.0.2 publishes it (`medmnist.INFO`).
CHECKSUMS = {
    "rebuild": "sha256:8c967b667c2259eff7d91da77fef3010e1ca4df8c4c7023ca120f1341df71042",
    "official": "md5:7053d0359d879ad8a5505303e11de1dc",
}
_KEYS = {"train": "train", "valid": "val", "test": "test"}


@dataclass(frozen=True)
class Cells:
    """Some of the images.

    Attributes
    ----------
    images
        uint8, shape (n, 28, 28, 3): RGB, rows from the top.
    labels
        int64, shape (n,): index into `CLASSES`.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: NDArray[Any] | slice) -> Cells:
        return Cells(self.images[rows], self.labels[rows])


def load(split: Split, edition: Edition = "rebuild") -> Cells:
    """The images of a split in the file's order, the file's checksum verified.

    Raises
    ------
    DataError
        The data cannot be had, or are not those of the checksum.
    ValueError
        A split or an edition that does not exist.
    """
    if split not in _KEYS:
        raise ValueError(f"split must be one of {sorted(_KEYS)}, not {split!r}")
    path = _path(edition)
    check_file(path, CHECKSUMS[edition])
    try:
        with np.load(path, allow_pickle=False) as content:
            images = content[f"{_KEYS[split]}_images"]
            labels = content[f"{_KEYS[split]}_labels"]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not the file of images: {error!r}") from error
    if images.shape != (SIZES[split], SIDE, SIDE, 3) or labels.shape != (SIZES[split], 1):
        raise DataError(f"{path}: {split} has the shapes {images.shape} and {labels.shape}")
    return Cells(images, labels[:, 0].astype(np.int64))


def _path(edition: Edition) -> Path:
    if edition == "official":
        path = cache_folder("bloodmnist") / _FILES[edition]
        download(_URL, path, CHECKSUMS[edition])
        return path
    if edition != "rebuild":
        raise ValueError(f"edition must be one of {list(EDITIONS)}, not {edition!r}")
    folder = local_copy(NAME)
    if folder is None:
        raise DataError(
            f"{NAME}: SEQTILE_DATA is not set, and the rebuild is not published; the official "
            "edition, which has another split, is downloaded: --edition official"
        )
    path = folder / _FILES[edition]
    if not path.exists():
        raise DataError(f"{folder}: no {path.name}")
    return path
