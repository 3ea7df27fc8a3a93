"""The RNAcompete probes: the local copy, subsets fetched, tables of the user's."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pooch", reason="fetching data needs pooch")

from training.lab.source import DataError
from training.tasks.rbp import data as rnacompete
from training.tasks.rbp.data import Probes, Scale, read_table


@pytest.fixture
def local(data_root: Path, monkeypatch) -> Path:
    """Folder of the set, which `rnacompete.load` reads."""
    monkeypatch.setenv("SEQTILE_DATA", str(data_root))
    return data_root / rnacompete.NAME


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> Path:
    """Folder of the set in an empty cache."""
    monkeypatch.delenv("SEQTILE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "seqtile" / rnacompete.NAME


@pytest.fixture(scope="module")
def probes(data_root: Path) -> Probes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQTILE_DATA", str(data_root))
        return rnacompete.load()


# --- the local copy


def test_probes(probes: Probes) -> None:
    assert len(probes) == 241_357
    assert (probes.set_a.sum(), (~probes.set_a).sum()) == (120_326, 121_031)
    assert probes.letters.shape == (241_357, 41)
    assert probes.letters.dtype == np.uint8
    assert probes.intensity.shape == (241_357, 22)
    assert probes.intensity.dtype == np.float32
    assert probes.proteins == rnacompete.PROTEINS
    assert (probes.lengths.min(), probes.lengths.max()) == (30, 41)
    inside = np.arange(41) < probes.lengths[:, None]
    assert (probes.letters[~inside] == ord("N")).all()
    assert set(np.unique(probes.letters[inside])) == set(b"ACGU")


def test_values_filled_in_are_missing(probes: Probes, data_root: Path) -> None:
    missing = np.isnan(probes.intensity)
    counts = dict(zip(probes.proteins, missing.sum(0), strict=True))
    assert {name for name, count in counts.items() if not count} == {"RBP30", "RBP35"}
    assert {count for count in counts.values() if count} == {1_239}
    rows = missing.any(1)
    assert rows.sum() == 1_239
    assert (probes.set_a & rows).sum() == 603
    with np.load(data_root / rnacompete.NAME / "intensities.npz") as data:
        milli = data["Y_milli"]
    # One value in each column, which no longer stands out among its neighbours.
    for j in np.flatnonzero(missing.any(0)):
        (value,) = np.unique(milli[missing[:, j], j])
        left = np.bincount(milli[~missing[:, j], j])
        assert left[value] < 1.6 * left[value - 20 : value + 21].mean()
    np.testing.assert_array_equal(probes.intensity[~missing], (milli / np.float32(1000))[~missing])


def test_groups_are_sequences(probes: Probes) -> None:
    texts = [row.tobytes() for row in probes.letters]
    assert probes.groups.max() + 1 == len(set(texts)) == 241_357 - 21_367
    pairs = probes.repeats(np.arange(len(probes)))
    assert len(pairs) == 21_367
    assert all(texts[a] == texts[b] for a, b in pairs)
    # The rows are joined right: two measurements of one sequence agree, those of neighbours not.
    values = np.nan_to_num(probes.of("RBP24"), nan=1.4)
    assert np.corrcoef(values[pairs].T)[0, 1] > 0.95
    assert np.corrcoef(values[pairs[:, 0]], values[pairs[:, 0] + 2])[0, 1] < 0.5
    # Letters belong to the intensities: the motif is strong.
    motif = np.array([b"GUAGU" in text for text in texts])
    assert values[motif].mean() > values[~motif].mean() + values.std()


def test_split(probes: Probes) -> None:
    train, valid, test = probes.split(3)
    assert np.array_equal(np.sort(np.concatenate([train, valid])), np.flatnonzero(probes.set_a))
    assert np.array_equal(test, np.flatnonzero(~probes.set_a))
    assert 0.09 < len(valid) / probes.set_a.sum() < 0.11
    groups = [set(probes.groups[part]) for part in (train, valid, test)]
    assert not groups[0] & groups[1]
    assert not groups[2] & (groups[0] | groups[1])
    for one, other in zip(probes.split(3), (train, valid, test), strict=True):
        assert np.array_equal(one, other)
    assert not np.array_equal(probes.split(4).valid, valid)
    assert len(probes.split(3, share=0.2).valid) > 1.9 * len(valid)


def test_a_protein_that_is_not_there(probes: Probes, monkeypatch, data_root: Path) -> None:
    with pytest.raises(DataError, match="no protein 'RBP2', only RBP1, RBP3"):
        probes.of("RBP2")
    monkeypatch.setenv("SEQTILE_DATA", str(data_root))
    with pytest.raises(DataError, match=r"'RBFOX1'.*RBP24.*A1CF.*norm_data.*RNCMPT00168"):
        rnacompete.load("RBFOX1")


@pytest.mark.parametrize("protein", list(rnacompete.SUBSETS))
def test_subsets(local: Path, probes: Probes, protein: str) -> None:
    part = rnacompete.load(protein)
    assert (len(part), part.set_a.sum()) == (120_000, 90_000)
    assert part.proteins == (protein,)
    assert part.intensity.shape == (120_000, 1)
    # The same probes on the same sides as in the whole.
    sides = {row.tobytes(): side for row, side in zip(probes.letters, probes.set_a, strict=True)}
    known = [(sides.get(r.tobytes()), s) for r, s in zip(part.letters, part.set_a, strict=True)]
    assert all(side in (mine, None) for side, mine in known)
    assert sum(side is None for side, _ in known) < 50
    assert rnacompete.needs_clip(protein)
    assert not rnacompete.needs_clip("RBP24")


def test_tampered_copy(local: Path, tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / rnacompete.NAME
    folder.mkdir()
    (folder / "probes.tsv.gz").write_bytes((local / "probes.tsv.gz").read_bytes())
    with np.load(local / "intensities.npz") as data:
        arrays = dict(data)
    arrays["Y_milli"][1000, 3] += 1
    np.savez(folder / "intensities.npz", **arrays)
    monkeypatch.setenv("SEQTILE_DATA", str(tmp_path))
    with pytest.raises(DataError, match="^rnacompete: sha256 is "):
        rnacompete.load()
    (folder / "intensities.npz").unlink()
    with pytest.raises(DataError, match=r"rnacompete: no intensities\.npz"):
        rnacompete.load("RBP24")


# --- the scale


def test_scale() -> None:
    values = np.array([1, 2, 3, np.nan, 6], np.float32)
    scale = Scale.of(values, clip=False)
    result = scale.apply(values)
    assert np.isnan(result[3])
    known = result[~np.isnan(result)]
    assert known.mean() == pytest.approx(0, abs=1e-6)
    assert known.std() == pytest.approx(1, abs=1e-6)
    assert result.dtype == np.float32
    # Figures of train are used on other rows.
    assert scale.apply(np.array([3.0]))[0] == pytest.approx(0, abs=1e-6)


def test_raw_values_are_cut_at_a_high_percentile() -> None:
    values = np.arange(10_001, dtype=np.float32)
    values[-1] = 1e9
    scale = Scale.of(values, clip=True)
    assert scale.high == pytest.approx(9_995, abs=1)
    assert scale.apply(values).max() < 2
    assert scale.apply(np.array([1e12]))[0] == scale.apply(np.array([scale.high]))[0]


# --- subsets from their repositories


@pytest.fixture
def repository(tmp_path: Path, serve, monkeypatch) -> Callable[..., None]:
    """Makes these texts the three files of a protein's subset."""

    def publish(protein: str, *texts: str) -> None:
        folder = tmp_path / "repository"
        folder.mkdir()
        names = ("a1", "a2", "b")
        for name, text in zip(names, texts, strict=True):
            (folder / name).write_text(text)
        address = serve(folder)
        urls = tuple(f"{address}/{name}" for name in names)
        monkeypatch.setitem(rnacompete._FILES, protein, urls)

    return publish


def test_fetched_is_the_local_copy(
    local: Path, cache: Path, tmp_path: Path, repository, monkeypatch
) -> None:
    """The repositories' files, made again from the local copy, from an empty cache to arrays."""
    parts: dict[str, list[str]] = {}
    with gzip.open(local / "RNCMPT00001_A1CF_subset.tsv.gz", "rt") as file:
        for line in list(file)[1:]:
            sequence, _, part, value = line.split()
            parts.setdefault(part, []).append(f" {float(value):.6f} {sequence}\n")
    repository("A1CF", *("".join(lines) for lines in parts.values()))
    fetched = rnacompete.load("A1CF")
    assert [p.name for p in cache.iterdir()] == ["RNCMPT00001_A1CF_subset.tsv.gz"]
    shutil.rmtree(tmp_path / "repository")  # not asked again
    assert len(rnacompete.load("A1CF")) == 120_000
    monkeypatch.setenv("SEQTILE_DATA", str(local.parent))
    for name, values in vars(rnacompete.load("A1CF")).items():
        np.testing.assert_array_equal(values, getattr(fetched, name), err_msg=name)


def test_fetched_content_is_checked(cache: Path, repository) -> None:
    repository("ANKHD1", *["0.5 AGAACC\n"] * 3)
    with pytest.raises(DataError, match="rnacompete ANKHD1: sha256"):
        rnacompete.load("ANKHD1")


@pytest.mark.parametrize("broken", ["x AGAACC\n", "0.5\n", "0.5 AGA ACC\n", "0.5 AGÅ\n"])
def test_failed_fetch_leaves_nothing(tmp_path: Path, repository, broken: str) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    repository("A1CF", "0.5 AGAACC\n", broken, "0.5 AGAACC\n")
    with pytest.raises(DataError, match=r"a2: not lines of intensity and sequence"):
        rnacompete.fetch_subset(folder, "A1CF")
    (tmp_path / "repository" / "a2").unlink()
    with pytest.raises(DataError, match="cannot download .*a2: 404"):
        rnacompete.fetch_subset(folder, "A1CF")
    assert list(folder.iterdir()) == []


def test_the_22_cannot_be_downloaded(cache: Path) -> None:
    with pytest.raises(DataError, match=r"RBP24.* SEQTILE_DATA is not set.*A1CF.*norm_data"):
        rnacompete.load("RBP24")


# --- tables

PUBLISHED = (
    "Probe_ID\tProbe_Set\tRNA_Seq\tRNCMPT00001\tRNCMPT00168\n"
    "p1\tSetA\tAGAUGCAUG\t 0.5\t 3.25\n"
    "p2\tSetB\tAGAUUUUUUUUU\t1\tNaN\n"
    "p3\tSetA\tagatgc\t-1.5\t \n"
)


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["norm_data.txt", "norm_data.txt.gz"])
def test_the_authors_table(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, PUBLISHED)
    probes = rnacompete.load("RBFOX1", path)
    assert [row.tobytes().decode().rstrip("N") for row in probes.letters] == [
        "AGAUGCAUG",
        "AGAUUUUUUUUU",
        "AGAUGC",
    ]
    assert probes.lengths.tolist() == [9, 12, 6]
    assert probes.set_a.tolist() == [True, False, True]
    np.testing.assert_array_equal(probes.of("RBFOX1"), [3.25, np.nan, np.nan])
    assert probes.proteins == ("RBFOX1",)
    np.testing.assert_array_equal(read_table(path, "A1CF").of("A1CF"), [0.5, 1, -1.5])
    np.testing.assert_array_equal(read_table(path, "RNCMPT00001").intensity[:, 0], [0.5, 1, -1.5])


def test_three_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tsv", "seq\tset\tvalue\nACGUNN\tA\t1\nACGUNA\tB\t2\n")
    probes = read_table(path, "MINE")
    assert probes.lengths.tolist() == [4, 6]
    assert probes.of("MINE").tolist() == [1, 2]


GOOD = "seq\tset\tvalue\nACGU\tA\t1\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"no column of the sequences \(RNA_Seq, seq, sequence\)"),
        ("seq\tvalue\nA\t1\n", r"no column of the sets \(Probe_Set, set\) among seq, value"),
        ("seq\tset\tX\nA\tA\t1\n", r"no column of RBFOX1 \(RBFOX1, RNCMPT00168, value, intensity"),
        (GOOD + "ACGU\tB\n", "line 3: 2 columns, expected 3"),
        (GOOD + "ACGU\tC\t1\n", "line 3: expected set A or B, not 'C'"),
        (GOOD + "ACXU\tB\t1\n", "line 3: expected a sequence of 1 to 41 letters .* 'ACXU'"),
        (GOOD + "A" * 42 + "\tB\t1\n", "line 3: expected a sequence of 1 to 41 letters"),
        (GOOD + "\tB\t1\n", "line 3: expected a sequence"),
        (GOOD + "ACGU\tB\tmuch\n", "line 3: 'much' is no number"),
        (GOOD, "needs rows of set A, to train on, and of set B"),
    ],
)
def test_wrong_tables(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "x.tsv", text)
    with pytest.raises(DataError, match=message):
        read_table(path, "RBFOX1")


def test_tables_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.tsv: cannot be read"):
        read_table(tmp_path / "no.tsv", "RBFOX1")
    (tmp_path / "x.gz").write_bytes(b"not gzip")
    with pytest.raises(DataError, match=r"x\.gz: cannot be read"):
        read_table(tmp_path / "x.gz", "RBFOX1")
    with pytest.raises(DataError, match="which protein"):
        rnacompete.load(None, tmp_path / "x.gz")
