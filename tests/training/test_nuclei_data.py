"""Both data sets of nuclei: the local copies, their checksums, the split, the sources."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2", reason="images need OpenCV")
pytest.importorskip("pooch", reason="fetching data needs pooch")
pytest.importorskip("torch", reason="training needs torch")

import cv2

from training.lab.source import DataError
from training.tasks.nuclei import data as nuclei
from training.tasks.nuclei import dsb2018 as nuclei_dsb2018
from training.tasks.nuclei import task as nuclei_task
from training.tasks.nuclei.dsb2018 import Field


@pytest.fixture(scope="module")
def fields(data_root: Path) -> tuple[Field, ...]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQTILE_DATA", str(data_root))
        return nuclei_dsb2018.load()


@pytest.fixture(scope="module")
def pictures(data_root: Path) -> nuclei.Pictures:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQTILE_DATA", str(data_root))
        return nuclei.load()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> Path:
    """The cache that `load` fills."""
    monkeypatch.delenv("SEQTILE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "seqtile"


def test_all_fields(fields: tuple[Field, ...]) -> None:
    assert len(fields) == 498
    assert Counter((f.kind, f.split) for f in fields) == {
        ("fluo", "train"): 373,
        ("fluo", "test"): 90,
        ("he_rgb", "train"): 26,
        ("he_rgb", "test"): 6,
        ("tissue_gray_bright", "train"): 3,
    }
    assert sum(len(np.unique(f.labels)) - 1 for f in fields) == 17_635
    for f in fields:
        assert f.image.dtype == np.uint8
        assert f.labels.dtype == np.uint16
        assert f.image.shape == f.labels.shape + ((3,) if f.kind == "he_rgb" else ())
    # Haematoxylin is violet: red and blue, less green; channels in the wrong order would show.
    stained = np.mean([f.image[f.labels > 0].mean(0) for f in fields if f.kind == "he_rgb"], 0)
    assert stained[2] > stained[0] > stained[1]


def test_the_course_images_are_the_same(
    fields: tuple[Field, ...], pictures: nuclei.Pictures
) -> None:
    assert pictures.images.shape == pictures.masks.shape == (334, 256, 256)
    twins = {f.course: f for f in fields if f.course is not None}
    assert sorted(twins) == list(range(334))
    assert pictures.nuclei.mean() == pytest.approx(0.077, abs=0.001)
    for number in (0, 100, 333):
        f = twins[number]
        alike = np.corrcoef(f.image.ravel(), pictures.images[number].ravel())[0, 1]
        assert alike > 0.96
        assert ((f.labels > 0) == pictures.nuclei[number]).mean() > 0.97


def test_no_image_is_in_two_parts(fields: tuple[Field, ...]) -> None:
    parts = nuclei.parts(fields)
    assert [len(p) for p in (parts.train, parts.valid, parts.test)] == [235, 33, 66]
    assert sorted(np.concatenate([parts.train, parts.valid, parts.test])) == list(range(334))
    train, valid = nuclei_task.split(fields, parts)
    tests = {f.name for f in fields if f.split == "test"}
    names = [{f.name for f in part} for part in (train, valid)]
    assert names[0] | names[1] | tests == {f.name for f in fields}
    assert len(names[0]) + len(names[1]) + len(tests) == 498
    # What is of test or validation in the one set is so in the other.
    split = {number: name for name in ("train", "valid", "test") for number in getattr(parts, name)}
    for name, part in (("train", train), ("valid", valid)):
        assert {split[f.course] for f in part if f.course is not None} == {name}
    assert {split[f.course] for f in fields if f.name in tests and f.course is not None} == {"test"}
    assert {f.kind for f in valid} == {"fluo"}
    assert len({f.labels.shape for f in valid}) >= 4  # of all sizes that are common


def test_tampered_copies(data_root: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SEQTILE_DATA", str(tmp_path))
    for name in (nuclei.NAME, nuclei_dsb2018.NAME):
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=r"jpeg\.tar\.gz: cannot be read"):
        nuclei.load()
    content = (data_root / nuclei.NAME / nuclei._FILE).read_bytes()
    (tmp_path / nuclei.NAME / nuclei._FILE).write_bytes(content[:-1])
    with pytest.raises(DataError, match=r"jpeg\.tar\.gz: sha256 is [0-9a-f]{64}, expected 60e57"):
        nuclei.load()

    rows = nuclei_dsb2018.index()[:3]
    monkeypatch.setattr(nuclei_dsb2018, "index", lambda: rows)
    for kind in ("images", "labels"):
        (tmp_path / nuclei_dsb2018.NAME / kind).mkdir()
        for row in rows:
            path = Path(nuclei_dsb2018.NAME) / kind / f"{row['name']}.png"
            shutil.copy(data_root / path, tmp_path / path)
    with pytest.raises(DataError, match="nuclei_dsb2018: sha256 is"):
        nuclei_dsb2018.load()
    path = tmp_path / nuclei_dsb2018.NAME / "labels" / f"{rows[1]['name']}.png"
    for content in (b"", path.read_bytes()[:8], b"no image"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"{path}: no image"):
            nuclei_dsb2018.load()
    path.unlink()
    with pytest.raises(DataError, match=f"{path}: cannot be read"):
        nuclei_dsb2018.load()


def test_the_archive_is_fetched_once(
    data_root: Path, cache: Path, serve, monkeypatch, pictures
) -> None:
    monkeypatch.setattr(nuclei, "_URL", f"{serve(data_root / nuclei.NAME)}/{nuclei._FILE}")
    np.testing.assert_array_equal(nuclei.load().images, pictures.images)
    assert [path.name for path in (cache / nuclei.NAME).iterdir()] == [nuclei._FILE]
    monkeypatch.setattr(nuclei, "_URL", "http://nowhere.invalid")
    np.testing.assert_array_equal(nuclei.load().masks, pictures.masks)


def make_source(path: Path, fields: list[Field]) -> None:
    """The contest's layout: RGBA images, a mask per nucleus."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("fixes-3035/README.rst", "x")
        archive.writestr("fixes-3035/stage1_train/classes.csv", "x")
        for f in fields:
            folder = f"fixes-3035/stage1_train/{f.name}{'0' * 48}"
            colours = f.image if f.image.ndim == 3 else np.stack([f.image] * 3, -1)
            whole = np.dstack([colours[..., ::-1], np.full(f.labels.shape, 255, np.uint8)])
            archive.writestr(f"{folder}/images/{f.name}.png", cv2.imencode(".png", whole)[1])
            numbers = np.unique(f.labels[f.labels > 0])
            for number in numbers[::-1]:  # order in the archive does not count, names do
                mask = (f.labels == number).astype(np.uint8) * 255
                if number == numbers[-1]:
                    mask[f.labels == numbers[0]] = 255  # an overlap: the first keeps it
                archive.writestr(f"{folder}/masks/{number:05d}.png", cv2.imencode(".png", mask)[1])


def test_fetched_is_the_local_copy(
    fields: tuple[Field, ...], cache: Path, tmp_path: Path, serve, monkeypatch
) -> None:
    some = [*fields[:4], *[f for f in fields if f.kind != "fluo"][:3]]
    some.sort(key=lambda f: f.name)
    rows = [row for row in nuclei_dsb2018.index() if row["name"] in {f.name for f in some}]
    digest = hashlib.sha256(b"".join(a.tobytes() for f in some for a in (f.image, f.labels)))
    monkeypatch.setattr(nuclei_dsb2018, "index", lambda: rows)
    monkeypatch.setattr(nuclei_dsb2018, "CHECKSUM", digest.hexdigest())
    make_source(tmp_path / "source.zip", some)
    monkeypatch.setattr(nuclei_dsb2018, "_URL", f"{serve(tmp_path)}/source.zip")
    fetched = nuclei_dsb2018.load()
    (tmp_path / "source.zip").unlink()
    again = nuclei_dsb2018.load()
    for one, other, expected in zip(fetched, again, some, strict=True):
        assert (one.name, one.split, one.kind, one.course) == (
            expected.name,
            expected.split,
            expected.kind,
            expected.course,
        )
        for got in (one, other):
            np.testing.assert_array_equal(got.image, expected.image)
            np.testing.assert_array_equal(got.labels, expected.labels)
    assert sorted(p.name for p in (cache / nuclei_dsb2018.NAME).iterdir()) == ["images", "labels"]


@pytest.mark.parametrize("content", [None, b"no zip", "other"])
def test_a_failed_fetch_leaves_nothing(
    tmp_path: Path, serve, monkeypatch, content: bytes | str | None
) -> None:
    folder, source = tmp_path / "cache", tmp_path / "source.zip"
    folder.mkdir()
    monkeypatch.setattr(nuclei_dsb2018, "_URL", f"{serve(tmp_path)}/source.zip")
    if content == "other":
        with zipfile.ZipFile(source, "w") as other:
            other.writestr("other.txt", "")
    elif isinstance(content, bytes):
        source.write_bytes(content)
    with pytest.raises(DataError, match="not the archive" if content else "cannot download"):
        nuclei_dsb2018.fetch(folder)
    assert list(folder.iterdir()) == []
