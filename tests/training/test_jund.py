"""The JUND segments: the local copy, its checksums, and the book's files fetched into a cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

joblib = pytest.importorskip("joblib", reason="fetching data needs joblib")
pytest.importorskip("pooch", reason="fetching data needs pooch")

from training.lab.source import DataError  # noqa: E402
from training.tasks.jund import data as jund  # noqa: E402

FILES = ("train_with_sequence", "train_all_labels", "valid", "test")


@pytest.fixture
def local(data_root: Path, monkeypatch) -> Path:
    """Folder of the set, which `jund.load` reads."""
    monkeypatch.setenv("SEQTILE_DATA", str(data_root))
    return data_root / jund.NAME


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> Path:
    """Folder of the set in an empty cache, which `jund.load` fills and reads."""
    monkeypatch.delenv("SEQTILE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "seqtile" / jund.NAME


# --- the local copy


@pytest.mark.parametrize(
    ("split", "rows", "bound"),
    [("train", 163_737, 849), ("valid", 34_527, 146), ("test", 34_528, 146)],
)
def test_splits(local: Path, split, rows, bound) -> None:
    part = jund.load(split)
    assert (len(part), int(part.bound.sum())) == (rows, bound)
    assert part.letters.shape == (rows, 101)
    assert part.letters.dtype == np.uint8
    assert set(np.unique(part.letters)) <= set(b"ACGTN")
    for column, dtype in (
        ("bound", "f4"),
        ("weight", "f4"),
        ("accessibility", "f4"),
        ("start", "i4"),
    ):
        assert getattr(part, column).shape == (rows,)
        assert getattr(part, column).dtype == dtype
    assert set(np.unique(part.bound)) == {0, 1}
    assert 0 <= part.accessibility.min() < part.accessibility.max() < 0.167
    # Bound segments hold the AP-1 site about ten times as often.
    site = [b"TGACTCA" in row.tobytes() or b"TGAGTCA" in row.tobytes() for row in part.letters]
    shares = [np.mean(site, where=part.bound == label) for label in (0, 1)]
    assert 0.01 < shares[0] < 0.02 < 0.15 < shares[1] < 0.25
    if split != "train":  # of whole splits both classes weigh the same
        sums = [part.weight[part.bound == label].sum(dtype=float) for label in (0, 1)]
        assert sums[0] == pytest.approx(sums[1], rel=1e-4)


def test_splits_share_no_base(local: Path) -> None:
    labels = jund.load_labels()
    starts = np.concatenate([labels.start, jund.load("valid").start, jund.load("test").start])
    assert len(starts) == 276_216 + 34_527 + 34_528
    assert np.diff(np.sort(starts)).min() == 101


def test_rows_are_chosen_together(local: Path) -> None:
    valid = jund.load("valid")
    rows = np.array([5, 3, 34_526])
    some = valid[rows]
    assert len(some) == 3
    for column in ("letters", "bound", "weight", "accessibility", "start"):
        expected = [getattr(valid, column)[row].tolist() for row in rows]
        assert getattr(some, column).tolist() == expected
    assert len(valid[:10]) == 10


def test_labels_are_sorted_and_agree_with_train(local: Path) -> None:
    labels, train = jund.load_labels(), jund.load("train")
    assert (len(labels.start), int(labels.bound.sum())) == (276_216, 1_168)
    assert (np.diff(labels.start) >= 101).all()
    rows = np.searchsorted(labels.start, train.start)
    for column in ("start", "bound", "accessibility"):
        assert np.array_equal(getattr(labels, column)[rows], getattr(train, column))


@pytest.mark.parametrize(
    ("file", "column", "load", "named"),
    [
        ("valid", "X", lambda: jund.load("valid"), "jund_chr22 valid"),
        ("valid", "y", lambda: jund.load("valid"), "jund_chr22 valid"),
        ("test", "start", lambda: jund.load("test"), "jund_chr22 test"),
        ("train_with_sequence", "X", lambda: jund.load("train"), "jund_chr22 train"),
        ("train_all_labels", "y", jund.load_labels, "jund_chr22 train labels"),
    ],
)
def test_tampered_copy(local: Path, tmp_path: Path, monkeypatch, file, column, load, named) -> None:
    folder = tmp_path / jund.NAME
    folder.mkdir()
    with np.load(local / f"{file}.npz") as data:
        arrays = dict(data)
    arrays[column].flat[1000] ^= 1
    np.savez(folder / f"{file}.npz", **arrays)
    monkeypatch.setenv("SEQTILE_DATA", str(tmp_path))
    with pytest.raises(DataError, match=rf"^{named}: sha256 is [0-9a-f]{{64}}, expected "):
        load()


def test_folder_without_the_set(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SEQTILE_DATA", str(tmp_path))
    with pytest.raises(DataError, match="SEQTILE_DATA is .*jund_chr22 is no folder"):
        jund.load("valid")
    (tmp_path / jund.NAME).mkdir()
    with pytest.raises(DataError, match=r"jund_chr22: no valid\.npz"):
        jund.load("valid")
    with pytest.raises(DataError, match=r"jund_chr22: no train_all_labels\.npz"):
        jund.load_labels()


# --- the book's files


def write_shards(book: Path, split: str, codes, labels, weights, starts, dtype) -> list[str]:
    """One split as DeepChem writes it; the names of its rows."""
    folder = book / f"{split}_dataset"
    folder.mkdir(parents=True)
    names = [f"chr22:{start}-{start + 101}" for start in starts.tolist()]
    shards = {
        "X": np.eye(5, 4, dtype=dtype)[codes],  # unknown: zeros
        "y": labels.reshape(-1, 1).astype(np.float64),
        "w": weights.reshape(-1, 1),
        "ids": np.array(names, dtype=object),
    }
    for part, values in shards.items():
        joblib.dump(values, folder / f"shard-0-{part}.joblib")
    return names


@pytest.fixture(scope="module")
def book(data_root: Path, tmp_path_factory) -> Path:
    """The book's folder, rebuilt: of train the sequences that we lack are random bases."""
    folder = tmp_path_factory.mktemp("book")
    local = {}
    for file in FILES:
        with np.load(data_root / jund.NAME / f"{file}.npz") as data:
            local[file] = dict(data)
    train = dict(local["train_all_labels"])
    train["X"] = np.random.default_rng(0).integers(0, 4, (len(train["y"]), 101), np.uint8)
    train["X"][local["train_with_sequence"]["index"]] = local["train_with_sequence"]["X"]
    lines = []
    for split, data in (("train", train), ("valid", local["valid"]), ("test", local["test"])):
        columns = (data["X"], data["y"], data["w"], data["start"])
        names = write_shards(folder, split, *columns, np.float16 if split == "train" else float)
        lines += [f"{name} {value}" for name, value in zip(names, data["a"].tolist(), strict=True)]
    (folder / "accessibility.txt").write_text("\n".join(lines) + "\n\n")
    return folder


def assert_same(one: jund.Segments | jund.Labels, other: jund.Segments | jund.Labels) -> None:
    for column, values in vars(one).items():
        np.testing.assert_array_equal(values, getattr(other, column), err_msg=column)


def test_fetched_is_the_local_copy(
    book: Path, local: Path, cache: Path, serve, monkeypatch
) -> None:
    """All of it, from an empty cache to arrays; the second load downloads nothing."""
    monkeypatch.setattr(jund, "_URL", serve(book))
    fetched = {split: jund.load(split) for split in ("valid", "test", "train")}
    monkeypatch.setattr(jund, "_URL", "http://nowhere.invalid")
    labels = jund.load_labels()
    assert_same(jund.load("valid"), fetched["valid"])
    assert sorted(p.name for p in cache.iterdir()) == sorted(f"{file}.npz" for file in FILES)

    monkeypatch.setenv("SEQTILE_DATA", str(local.parent))
    assert_same(fetched["valid"], jund.load("valid"))
    assert_same(fetched["test"], jund.load("test"))
    assert_same(labels, jund.load_labels())
    assert (fetched["valid"].letters == ord("N")).any(axis=1).sum() == 4
    whole, part = fetched["train"], jund.load("train")
    assert (len(whole), int(whole.bound.sum())) == (276_216, 1_168)
    with np.load(local / "train_with_sequence.npz") as data:
        assert_same(whole[data["index"]], part)


def make_tiny_book(folder: Path) -> Path:
    """Three rows a split: of the right form, of other content."""
    rng, lines = np.random.default_rng(1), []
    for i, split in enumerate(("train", "valid", "test")):
        starts = 1000 * (i + 1) + 101 * np.arange(3)
        codes = rng.integers(0, 5, (3, 101))
        labels = np.array([0, 1, 0])
        lines += write_shards(folder, split, codes, labels, np.ones(3), starts, np.float32)
    (folder / "accessibility.txt").write_text("".join(f"{name}\t0.5\n" for name in lines))
    return folder


def test_fetched_content_is_checked(tmp_path: Path, cache: Path, serve, monkeypatch) -> None:
    monkeypatch.setattr(jund, "_URL", serve(make_tiny_book(tmp_path / "book")))
    for load in (lambda: jund.load("valid"), lambda: jund.load("train"), jund.load_labels):
        with pytest.raises(DataError, match="sha256"):
            load()


def no_file(path: Path) -> None:
    path.unlink()


def half_a_file(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize("damage", [no_file, half_a_file])
@pytest.mark.parametrize(
    "file",
    [
        "accessibility.txt",
        "train_dataset/shard-0-X.joblib",
        "valid_dataset/shard-0-w.joblib",
        "test_dataset/shard-0-ids.joblib",
    ],
)
def test_failed_fetch_leaves_nothing(
    tmp_path: Path, serve, monkeypatch, file: str, damage: Callable
) -> None:
    book, folder = make_tiny_book(tmp_path / "book"), tmp_path / "cache"
    folder.mkdir()
    damage(book / file)
    message = f"cannot download .*{file}" if damage is no_file else "not the book's files"
    monkeypatch.setattr(jund, "_URL", serve(book))
    with pytest.raises(DataError, match=message):
        jund.fetch(folder)
    assert list(folder.iterdir()) == []
    # Nothing stands in the way of the next attempt.
    monkeypatch.setattr(jund, "_URL", serve(make_tiny_book(tmp_path / "again")))
    jund.fetch(folder)
    assert sorted(p.stem for p in folder.iterdir()) == sorted(FILES)
