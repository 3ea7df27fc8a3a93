"""The course's images of nuclei, each with a mask, and its split without leaks.

Source: GitHub ``coleygroup/ML4MolEng``, ``cell_segmentation_jpeg.tar.gz`` (no licence stated): 334
images of 256 x 256 grey levels and their masks, both as JPEG. They are fluorescence images of the
2018 Data Science Bowl, all of which `nuclei_dsb2018` holds as well, without loss and with every
nucleus apart: the two are no independent data, so that one split serves both.

``$SEQTILE_DATA/nuclei`` is read where it is set; without it the archive is downloaded.
"""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...lab.source import cache_folder, check_file, download, local_copy
from .dsb2018 import Field

NAME = "nuclei"
SOURCE = (
    "GitHub coleygroup/ML4MolEng, psets/ps2-bio/data/cell_segmentation_jpeg.tar.gz (no licence)"
)
COUNT = 334
SIDE = 256
VALID = 33  # images of validation: a tenth
FOREGROUND = 127  # a grey level of a mask above this is nucleus

_URL = (
    "https://raw.githubusercontent.com/coleygroup/ML4MolEng/"
    "6808bd934c05af44cd27cd3faeb84f0978e5df1d/psets/ps2-bio/data/cell_segmentation_jpeg.tar.gz"
)
_FILE = "cell_segmentation_jpeg.tar.gz"
# SHA-256 of the archive: pixels of a JPEG depend a little on the decoder.
CHECKSUM = "60e57f3291d77b9c7360bfe0051316de405ac821a815e91785dca9dcc555844d"


@dataclass(frozen=True)
class Pictures:
    """Images and masks by the number in their file names.

    Attributes
    ----------
    images, masks
        uint8, shape (n, 256, 256): grey levels as they are in the files.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]

    @property
    def nuclei(self) -> NDArray[np.bool_]:
        """Bool, shape (n, 256, 256): whether a pixel is of a nucleus."""
        return self.masks > FOREGROUND

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: NDArray[np.int64]) -> Pictures:
        return Pictures(self.images[rows], self.masks[rows])


@dataclass(frozen=True)
class Parts:
    """Row numbers of `Pictures`, int64, sorted."""

    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]


def load() -> Pictures:
    """All 334 pairs, the archive's checksum verified.

    Raises
    ------
    DataError
        The archive cannot be had, or is not the one of the checksum.
    """
    folder = local_copy(NAME)
    if folder is None:
        path = cache_folder(NAME) / _FILE
        download(_URL, path, CHECKSUM)
    else:
        path = folder / _FILE
        check_file(path, CHECKSUM)
    return _read(path)


def _read(path: Path) -> Pictures:
    pictures = {kind: np.empty((COUNT, SIDE, SIDE), np.uint8) for kind in ("cells", "masks")}
    with tarfile.open(path) as archive:
        for member in archive:
            number, _, kind = Path(member.name).stem.partition("_")
            file = archive.extractfile(member)
            if file is None:
                continue  # the folder
            content = np.frombuffer(file.read(), np.uint8)
            grey = np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE), np.uint8)
            pictures[kind][int(number)] = grey
    return Pictures(pictures["cells"], pictures["masks"])


def parts(fields: Sequence[Field]) -> Parts:
    """The course's 70/10/20 of the images: 235, 33, 66.

    Parameters
    ----------
    fields
        All of `nuclei_dsb2018.load`: test are the images whose counterparts are of test there;
        validation is drawn from the others with a fixed seed.
    """
    numbers = {
        s: [f.course for f in fields if f.split == s and f.course is not None]
        for s in ("train", "test")
    }
    order = np.random.default_rng(0).permutation(np.sort(numbers["train"]))
    return Parts(
        np.sort(order[VALID:]).astype(np.int64),
        np.sort(order[:VALID]).astype(np.int64),
        np.sort(numbers["test"]).astype(np.int64),
    )
