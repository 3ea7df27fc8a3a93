"""The DNA binding segments: splits by pair, how unbound ones are made, checksums, the download."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pooch", reason="fetching data needs pooch")

from training.lab.source import DataError
from training.tasks.dna_binding import data as dna_binding

LENGTH = 101


@pytest.fixture
def local(data_root: Path, monkeypatch) -> Path:
    monkeypatch.setenv("SEQTILE_DATA", str(data_root))
    return data_root / dna_binding.NAME


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> Path:
    """Folder of the set in an empty cache."""
    monkeypatch.delenv("SEQTILE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "seqtile" / dna_binding.NAME


# the splits


@pytest.mark.parametrize(
    ("split", "rows"), [("train", 9292), ("valid", 1032), ("test", 2580), ("shifted", 2000)]
)
def test_splits_hold_whole_pairs(local: Path, split, rows) -> None:
    part = dna_binding.load(split)
    assert part.letters.shape == (len(part), LENGTH) == (rows, LENGTH)
    assert part.letters.dtype == np.uint8
    assert set(np.unique(part.letters)) == set(b"ACGT")
    assert part.bound.dtype == np.float32
    np.testing.assert_array_equal(part.bound, np.tile([1, 0], rows // 2))
    np.testing.assert_array_equal(part.row[::2] % 2, 0)
    np.testing.assert_array_equal(part.row[1::2], part.row[::2] + 1)
    # Both of a pair have the same letters; the E-box is the bound one's.
    np.testing.assert_array_equal(*(np.sort(part.letters[i::2], 1) for i in (0, 1)))
    site = np.array([b"CACGTG" in row.tobytes() for row in part.letters])
    assert site[::2].mean() > 0.4 > 0.05 > site[1::2].mean()


def test_every_row_is_in_one_split(local: Path) -> None:
    for by in ("pair", "row"):
        parts = [dna_binding.load(split, by=by) for split in ("train", "valid", "test")]
        rows = np.concatenate([part.row for part in parts])
        np.testing.assert_array_equal(np.sort(rows), np.arange(12_904))
        assert [len(part) for part in parts] == [9292, 1032, 2580]


def test_a_split_by_row_parts_pairs(local: Path) -> None:
    train, test = (dna_binding.load(s, by="row").row // 2 for s in ("train", "test"))
    assert np.isin(test, train).mean() > 0.6


# how unbound segments are made


def blocks(row: np.ndarray, single: int) -> list[bytes]:
    """The blocks of a row whose block of one letter stands at ``single``, sorted."""
    starts = [*range(0, single, 2), *range(single + 1, LENGTH, 2)]
    return sorted([bytes(row[single : single + 1]), *(bytes(row[i : i + 2]) for i in starts)])


def is_shuffle(row: np.ndarray, of: np.ndarray) -> bool:
    """Whether a row may be a shuffle of another's blocks of two, from the left."""
    return any(blocks(row, i) == blocks(of, LENGTH - 1) for i in range(0, LENGTH, 2))


@pytest.mark.parametrize("split", ["valid", "shifted"])
def test_unbound_rows_are_shuffles_of_blocks_of_two(local: Path, split) -> None:
    part = dna_binding.load(split)
    bound, unbound = part.letters[:600:2], part.letters[1:600:2]
    assert all(is_shuffle(a, b) for a, b in zip(unbound, bound, strict=True))
    assert not any(is_shuffle(a, b) for a, b in zip(unbound, np.roll(bound, 1, 0), strict=True))


def test_shuffles_are_made_the_same_way(local: Path) -> None:
    bound = dna_binding.load("valid").letters[:200:2]
    made = dna_binding.shuffle(bound, np.random.default_rng(0))
    assert made.dtype == np.uint8
    assert all(is_shuffle(a, b) for a, b in zip(made, bound, strict=True))
    again = dna_binding.shuffle(bound, np.random.default_rng(1))
    assert (made != again).mean() > 0.5
    # Letters shuffled one by one are told apart.
    loose = np.random.default_rng(0).permuted(bound, axis=1)
    assert not any(is_shuffle(a, b) for a, b in zip(loose, bound, strict=True))


def test_the_single_block_goes_anywhere() -> None:
    rows = np.tile(np.frombuffer(b"AAAAAAT", np.uint8), (2000, 1))
    made = dna_binding.shuffle(rows, np.random.default_rng(0))
    places = np.bincount((made == ord("T")).argmax(1), minlength=7)
    np.testing.assert_allclose(places[::2], 500, atol=80)
    assert places[1::2].sum() == 0


# the files


def test_other_content_is_refused(local: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SEQTILE_DATA", str(tmp_path))
    folder = tmp_path / dna_binding.NAME
    folder.mkdir()
    with pytest.raises(DataError, match=r"no dna_binding\.csv"):
        dna_binding.load("train")
    text = (local / "dna_binding.csv").read_text()
    path = folder / "dna_binding.csv"
    path.write_text(text.replace(",1\n", ",0\n", 1))
    with pytest.raises(DataError, match=r"dna_binding\.csv: sha256 is \w+, expected"):
        dna_binding.load("train")
    path.write_text("seq,label\nACGT,1\n")
    with pytest.raises(DataError, match="not the course's table"):
        dna_binding.load("train")


def test_files_are_fetched_into_the_cache(
    local: Path, cache: Path, tmp_path, serve, monkeypatch
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    shutil.copyfile(local / "dna_binding.csv", source / "train_dna.csv")
    (source / "test_dna.csv").write_text(",seq,bind\n0,ACGT,1\n")
    monkeypatch.setattr(dna_binding, "_URL", serve(source))
    assert len(dna_binding.load("valid")) == 1032
    with pytest.raises(DataError, match=r"cannot download .*test_dna\.csv: .*does not match"):
        dna_binding.load("shifted")
    assert [path.name for path in cache.iterdir()] == ["dna_binding.csv"]
    shutil.rmtree(source)
    assert len(dna_binding.load("test")) == 2580  # from the cache
    with pytest.raises(DataError, match="cannot download .*404"):
        dna_binding.load("shifted")


def test_the_source_is_pinned() -> None:
    commit = dna_binding._URL.split("/")[5]
    assert len(commit) == 40
    assert int(commit, 16)
