"""The liver enhancers: the local copy, its checksum, the folds, the package as downloaded."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pooch", reason="fetching data needs pooch")

from training.lab.source import DataError
from training.tasks.liver import data as liver


@pytest.fixture
def local(data_root: Path, monkeypatch) -> Path:
    """Folder of the set, which `load` reads."""
    monkeypatch.setenv("SEQTILE_DATA", str(data_root))
    return data_root / liver.NAME


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> Path:
    """Folder of the set in an empty cache, which `load` fills and reads."""
    monkeypatch.delenv("SEQTILE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "seqtile" / liver.NAME


def test_all_sites(local: Path) -> None:
    sites = liver.load()
    assert len(sites) == 47_872
    assert sites.letters.shape == (47_872, 200)
    assert sites.letters.dtype == sites.cell.dtype == sites.chromosome.dtype == np.uint8
    assert sites.summit.dtype == np.int32
    assert sites.liver.dtype == np.float32
    assert set(np.unique(sites.letters)) == set(b"ACGT")
    assert Counter(sites.cell.tolist()) == dict.fromkeys(range(4), 11_968)
    assert sites.liver.mean() == 0.25
    by = {name: sites.on(name) for name in ("chr1", "chr2")}
    assert (len(by["chr1"]), int(by["chr1"].liver.sum())) == (4_565, 958)
    assert (len(by["chr2"]), int(by["chr2"].liver.sum())) == (4_053, 1_177)
    # What the data's own description says of motifs.
    shares = {}
    for word in (b"CAAAGTCC", b"GGACTTTG", b"AGATAA", b"TTATCT"):
        has = np.array([word in row.tobytes() for row in sites.letters])
        shares[word] = [has[sites.cell == i].mean() for i in range(4)]
    hnf4 = np.add(shares[b"CAAAGTCC"], shares[b"GGACTTTG"])
    gata = np.add(shares[b"AGATAA"], shares[b"TTATCT"])
    assert hnf4[0] > 0.08 > 0.01 > hnf4[1:].max()
    assert gata[1] > 0.4 > 0.25 > gata[[0, 2, 3]].max()


def test_folds_are_whole_chromosomes_without_test(local: Path) -> None:
    folds = liver.folds()
    assert len(folds) == 5
    names = [name for fold in folds for name in fold]
    assert sorted(names) == sorted(set(liver.CHROMOSOMES) - {"chr1"})
    sites = liver.load()
    sizes = [len(sites.on(*fold)) for fold in folds]
    assert sum(sizes) == 47_872 - 4_565
    assert max(sizes) < 1.1 * min(sizes)
    assert all(0.2 < sites.on(*fold).liver.mean() < 0.3 for fold in folds)


def test_some_rows(local: Path) -> None:
    sites = liver.load()
    rows = np.array([7, 3, 40_000])
    some = sites[rows]
    for column in ("letters", "cell", "chromosome", "summit"):
        np.testing.assert_array_equal(getattr(some, column), getattr(sites, column)[rows])
    assert len(sites[:10]) == 10
    assert len(sites.on()) == 0
    with pytest.raises(ValueError, match="not in"):
        sites.on("chr99")


def test_a_tampered_copy(local: Path, tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / liver.NAME
    folder.mkdir()
    with gzip.open(local / "dhs_hepg2_vs_other.tsv.gz", "rt") as file:
        text = file.read()
    changed = text.replace("\tchr14\t92895650\t", "\tchr14\t92895651\t", 1)
    assert changed != text
    with gzip.open(folder / "dhs_hepg2_vs_other.tsv.gz", "wt", compresslevel=1) as file:
        file.write(changed)
    monkeypatch.setenv("SEQTILE_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"^liver_enhancers: sha256 is [0-9a-f]{64}, expected "):
        liver.load()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("seq\tcell\tchr\tsummit\nACGT\tHepG2\tchr1\t5\n", "4 bases, expected 200"),
        ("seq\tcell\tchr\tsummit\n" + "A" * 200 + "\tHeLa\tchr1\t5\n", "not in tuple"),
        ("seq\tcell\tchr\tsummit\n" + "A" * 200 + "\tHepG2\tchrM\t5\n", "not in tuple"),
        ("seq\tcell\tchr\tsummit\n" + "A" * 200 + "\tHepG2\tchr1\n", "TypeError"),
        ("other\n1\n", "KeyError"),
    ],
)
def test_a_table_of_something_else(tmp_path: Path, monkeypatch, text: str, problem: str) -> None:
    folder = tmp_path / liver.NAME
    folder.mkdir()
    with gzip.open(folder / "dhs_hepg2_vs_other.tsv.gz", "wt") as file:
        file.write(text)
    monkeypatch.setenv("SEQTILE_DATA", str(tmp_path))
    with pytest.raises(DataError, match=f"tsv.gz: not the table of sites: .*{problem}"):
        liver.load()
    (folder / "dhs_hepg2_vs_other.tsv.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match="not the table"):
        liver.load()
    (folder / "dhs_hepg2_vs_other.tsv.gz").unlink()
    with pytest.raises(DataError, match=r"no dhs_hepg2_vs_other\.tsv\.gz"):
        liver.load()


def make_package(path: Path, rows: list[dict[str, str]]) -> str:
    """A wheel that holds the source's table; its URL."""
    text = io.StringIO()
    names = ["dhs_id", "chr", "start", "summit", "sequence", "TAG", "data_label"]
    writer = csv.DictWriter(text, names, delimiter="\t", restval="x")
    writer.writeheader()
    writer.writerows(rows)
    with zipfile.ZipFile(path, "w") as package:
        package.writestr(liver._MEMBER, text.getvalue())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_fetched_is_the_local_copy(
    local: Path, cache: Path, tmp_path: Path, serve, monkeypatch
) -> None:
    """From the package in an empty cache to arrays; the second load downloads nothing."""
    with gzip.open(local / "dhs_hepg2_vs_other.tsv.gz", "rt") as file:
        rows = [
            {
                "sequence": row["seq"],
                "TAG": f"{row['cell']}_ENCLB000AAA",
                "chr": row["chr"],
                "summit": row["summit"],
            }
            for row in csv.DictReader(file, delimiter="\t")
        ]
    monkeypatch.setattr(liver, "_PACKAGE", make_package(tmp_path / "package.whl", rows))
    monkeypatch.setattr(liver, "_URL", f"{serve(tmp_path)}/package.whl")
    fetched = liver.load()
    assert [path.name for path in cache.iterdir()] == ["dhs_hepg2_vs_other.tsv.gz"]
    (tmp_path / "package.whl").unlink()
    again = liver.load()
    monkeypatch.setenv("SEQTILE_DATA", str(local.parent))
    own = liver.load()
    for column in ("letters", "cell", "chromosome", "summit"):
        np.testing.assert_array_equal(getattr(fetched, column), getattr(own, column))
        np.testing.assert_array_equal(getattr(again, column), getattr(own, column))


def test_other_content_is_refused(cache: Path, tmp_path: Path, serve, monkeypatch) -> None:
    row = {"sequence": "A" * 200, "TAG": "HepG2_x", "chr": "chr3", "summit": "12"}
    monkeypatch.setattr(liver, "_PACKAGE", make_package(tmp_path / "package.whl", [row]))
    monkeypatch.setattr(liver, "_URL", f"{serve(tmp_path)}/package.whl")
    with pytest.raises(DataError, match="liver_enhancers: sha256"):
        liver.load()


def test_a_failed_fetch_leaves_nothing(tmp_path: Path, serve, monkeypatch) -> None:
    folder, package = tmp_path / "cache", tmp_path / "package.whl"
    folder.mkdir()
    monkeypatch.setattr(liver, "_URL", f"{serve(tmp_path)}/package.whl")
    with pytest.raises(DataError, match="cannot download http.*package.whl: 404"):
        liver.fetch(folder)
    package.write_bytes(b"another file")
    with pytest.raises(DataError, match="cannot download .*does not match .*expected d97becfd"):
        liver.fetch(folder)
    assert list(folder.iterdir()) == []
