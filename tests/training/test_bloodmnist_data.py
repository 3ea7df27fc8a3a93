"""The blood cells: the local rebuild, its checksum, the official file as downloaded."""

from __future__ import annotations

import csv
import gzip
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pooch", reason="fetching data needs pooch")

from training.lab.source import DataError
from training.tasks.bloodmnist import data

# The counts per class of the data's own description.
COUNTS = {
    "train": [852, 2181, 1085, 2026, 849, 993, 2330, 1643],
    "valid": [122, 312, 155, 290, 122, 143, 333, 235],
    "test": [244, 624, 311, 579, 243, 284, 666, 470],
}


@pytest.fixture
def local(data_root: Path, monkeypatch) -> Path:
    """Folder of the rebuild, which `load` reads."""
    monkeypatch.setenv("SEQTILE_DATA", str(data_root))
    return data_root / data.NAME


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> Path:
    """Folder of the official file in an empty cache."""
    monkeypatch.delenv("SEQTILE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "seqtile" / "bloodmnist"


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_splits(local: Path, split) -> None:
    cells = data.load(split)
    assert cells.images.shape == (sum(COUNTS[split]), 28, 28, 3)
    assert cells.images.dtype == np.uint8
    assert cells.labels.dtype == np.int64
    assert np.bincount(cells.labels).tolist() == COUNTS[split]
    assert len(cells) == data.SIZES[split]
    some = cells[np.array([5, 2])]
    np.testing.assert_array_equal(some.images, cells.images[[5, 2]])
    assert some.labels.tolist() == cells.labels[[5, 2]].tolist()


def test_classes_are_those_of_the_folders(local: Path) -> None:
    """The index names each image's folder, which is its class."""
    labels = {"train": data.load("train").labels, "val": data.load("valid").labels}
    folders: dict[int, set[str]] = {}
    with gzip.open(local / "index.csv.gz", "rt", newline="") as file:
        for row in csv.DictReader(file):
            if row["split"] in labels:
                assert labels[row["split"]][int(row["row"])] == int(row["label"])
                folders.setdefault(int(row["label"]), set()).add(row["source_file"].split("/")[0])
    named = [folders[i] for i in range(8)]
    assert named == [{"ig"} if n == "immature granulocyte" else {n} for n in data.CLASSES]


def test_pixels_are_red_green_blue(local: Path) -> None:
    """The mean colour of train that the data's description gives."""
    mean = data.load("train").images.reshape(-1, 3).mean(0)
    np.testing.assert_allclose(mean, [202.94, 168.21, 177.57], atol=0.005)


def test_a_photograph_gives_its_pixels(local: Path) -> None:
    """The middle 200 x 200 of a photograph, resized by Pillow's bicubic, as the description says.

    Decoders of JPEG differ by a unit or so.
    """
    image = pytest.importorskip("PIL.Image")
    photographs = {p.name.split("__")[1]: p for p in (local / "original_size_samples").iterdir()}
    with gzip.open(local / "index.csv.gz", "rt", newline="") as file:
        rows = {
            name: int(row["row"])
            for row in csv.DictReader(file)
            if (name := row["source_file"].split("/")[1]) in photographs
        }
    assert len(rows) == 80
    test = data.load("test")
    for name, row in rows.items():
        with image.open(photographs[name]) as photograph:
            left, top = ((side - 200) // 2 for side in photograph.size)
            middle = photograph.convert("RGB").crop((left, top, left + 200, top + 200))
        pixels = np.asarray(middle.resize((28, 28), image.Resampling.BICUBIC), int)
        assert np.abs(pixels - test.images[row]).mean() < 0.5, name


def test_wrong_names() -> None:
    with pytest.raises(ValueError, match="split must be one of"):
        data.load("val")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="edition must be one of"):
        data.load("valid", "other")  # type: ignore[arg-type]


def test_without_the_local_copy(cache: Path) -> None:
    with pytest.raises(DataError, match="SEQTILE_DATA is not set.*--edition official"):
        data.load("train")


def test_a_tampered_copy(local: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SEQTILE_DATA", str(tmp_path))
    folder = tmp_path / data.NAME
    folder.mkdir()
    with pytest.raises(DataError, match=r"no pbc_bloodmnist28\.npz"):
        data.load("train")
    path = folder / "pbc_bloodmnist28.npz"
    shutil.copy(local / path.name, path)
    data.load("train")
    with path.open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(DataError, match=r"sha256 is [0-9a-f]{64}, expected 8c967b66"):
        data.load("train")


def official(path: Path, **changed: np.ndarray) -> Path:
    """A file of the official form, of noise."""
    rng = np.random.default_rng(0)
    content = {}
    for split, key in (("train", "train"), ("valid", "val"), ("test", "test")):
        labels = np.repeat(np.arange(8), COUNTS[split]).astype(np.uint8)
        content[f"{key}_images"] = rng.integers(0, 2, (len(labels), 28, 28, 3), np.uint8)
        content[f"{key}_labels"] = labels[:, None]
    np.savez(path, **(content | changed))
    return path


def test_the_official_file(cache: Path, tmp_path: Path, serve, monkeypatch) -> None:
    """Downloaded once, checked by MD5, read like the rebuild."""
    path = official(tmp_path / "official.npz")
    checksum = f"md5:{hashlib.md5(path.read_bytes()).hexdigest()}"
    monkeypatch.setitem(data.CHECKSUMS, "official", checksum)
    monkeypatch.setattr(data, "_URL", f"{serve(tmp_path)}/official.npz?download=1")
    for split in ("train", "valid", "test"):
        cells = data.load(split, "official")  # type: ignore[arg-type]
        path.unlink(missing_ok=True)
        assert np.bincount(cells.labels).tolist() == COUNTS[split]
        assert cells.images.max() == 1
    assert [p.name for p in cache.iterdir()] == ["bloodmnist.npz"]


def test_another_file_at_the_official_address(
    cache: Path, tmp_path: Path, serve, monkeypatch
) -> None:
    path = tmp_path / "other.npz"
    monkeypatch.setattr(data, "_URL", f"{serve(tmp_path)}/other.npz")
    with pytest.raises(DataError, match="cannot download .*404"):
        data.load("test", "official")
    official(path, test_labels=np.zeros((3, 1), np.uint8))
    with pytest.raises(DataError, match="cannot download .*expected md5:7053d0359d879ad8a55053"):
        data.load("test", "official")
    assert list(cache.iterdir()) == []
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(data.CHECKSUMS, "official", f"md5:{md5}")
    with pytest.raises(DataError, match=r"test has the shapes \(3421, 28, 28, 3\) and \(3, 1\)"):
        data.load("test", "official")
    path.write_bytes(b"not a zip file")
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(data.CHECKSUMS, "official", f"md5:{md5}")
    with pytest.raises(DataError, match="not the file of images"):
        data.load("test", "official")
