"""``seqtile segment`` in a folder that has results, and images that fail among others."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import pytest

import seqtile
from seqtile.execution.limits import Limits
from seqtile.segmenting.files import segment_files
from seqtile.segmenting.options import SegmentOptions
from tests.python.command import SEQTILE, names
from tests.python.command import seqtile as run
from tests.python.models import image_folder
from tests.python.test_segmentation import blobs


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_folder(tmp_path_factory.mktemp("models") / "cells")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of a.png, b.png, c.png."""
    folder = tmp_path / "images"
    folder.mkdir()
    for seed, name in enumerate("abc"):
        cv2.imwrite(str(folder / f"{name}.png"), blobs(40, 50, seed))
    return folder


def manifest(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "segment.manifest.json").read_text())
    return content


@cache
def objects_of(model: Path, image: bytes, min_area: int | None) -> int:
    """How many objects are found in an image."""
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        file.write(image)
        file.flush()
        return len(seqtile.segment(_loaded(model), file.name, min_area=min_area))


@cache
def _loaded(model: Path) -> seqtile.Predictor:
    return seqtile.load(model, device="cpu", threads=1)


def check_manifest(folder: Path, model: Path) -> dict[str, dict[str, Any]]:
    """Each output is in one entry, which says truly how it was made; entries by output's name."""
    content = manifest(folder)
    entries = {}
    for entry in content["images"]:
        made = entry.get("made", content)["parameters"]
        image = Path(entry["image"]).read_bytes()
        assert entry["sha256"] == hashlib.sha256(image).hexdigest()
        for output, checksum in zip(entry["outputs"], entry["output_sha256"], strict=True):
            name = Path(output).name
            assert name not in entries
            entries[name] = entry
            written = (folder / name).read_bytes()
            assert hashlib.sha256(written).hexdigest() == checksum
            if name.endswith(".csv"):
                assert written.count(b"\n") == objects_of(model, image, made["min_area"]) + 1
    outputs = {name for name in names(folder) if name != "segment.manifest.json"}
    assert outputs == entries.keys()
    return entries


def test_another_image_of_the_same_name_is_done(model: Path, images: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    other.mkdir()
    cv2.imwrite(str(other / "a.png"), blobs(30, 60, 7))
    run("segment", model, images, "-d", out, "--formats", "csv")
    again = ["-d", out, "--formats", "csv", "--skip-done"]
    assert "1 image, " in run("segment", model, other / "a.png", *again).stdout
    entries = check_manifest(out, model)
    assert entries["a.objects.csv"]["image"] == str(other / "a.png")
    result = run("segment", model, images, *again)
    assert "1 image, " in result.stdout
    assert "2 done before" in result.stdout
    check_manifest(out, model)
    assert (
        "0 images, 0 objects in 0.0 s; 3 done before"
        in run("segment", model, images, *again).stdout
    )


def test_what_has_changed_is_done_again(model: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["segment", model, images, "-d", out, "--formats", "csv,png", "--skip-done"]
    run(*command)
    status = (images / "a.png").stat()
    size = max(path.stat().st_size for path in images.iterdir())
    cv2.imwrite(str(images / "a.png"), blobs(40, 50, 9))
    for image in images.iterdir():  # of one size and time
        with image.open("ab") as file:
            file.write(bytes(size + 4000 - image.stat().st_size))
        os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    run(*command)
    before = (images / "b.png").read_bytes()
    (images / "b.png").write_bytes((images / "a.png").read_bytes())
    os.utime(images / "b.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    (out / "c.overlay.png").write_bytes((out / "c.overlay.png").read_bytes()[:-1])
    assert before != (images / "b.png").read_bytes()
    result = run(*command)
    assert "2 images" in result.stdout
    assert "1 done before" in result.stdout
    check_manifest(out, model)
    (out / "a.objects.csv").unlink()
    assert "1 image, " in run(*command).stdout
    check_manifest(out, model)


def test_files_without_an_entry_are_made_again(model: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["segment", model, images, "-d", out, "--formats", "csv", "--skip-done"]
    run(*command)
    content = manifest(out)
    del content["images"][1]["output_sha256"]  # as of an earlier version
    del content["images"][2]
    (out / "segment.manifest.json").write_text(json.dumps(content))
    assert "2 images" in run(*command).stdout
    (out / "segment.manifest.json").unlink()
    assert "3 images" in run(*command).stdout
    check_manifest(out, model)


def test_runs_of_other_parameters_share_a_folder(model: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("segment", model, images, "-d", out, "--formats", "csv")
    command = ["segment", model, images / "b.png", "-d", out, "--min-area", 12]
    run(*command, "--formats", "csv,tif")
    entries = check_manifest(out, model)
    assert manifest(out)["parameters"]["min_area"] == 12
    assert ["made" in entries[f"{name}.objects.csv"] for name in "abc"] == [True, False, True]
    run(*command[:-2], "--formats", "tif")
    check_manifest(out, model)
    for options in (["--min-area", 12], []):
        result = run("segment", model, images, "-d", out, *options, "--skip-done")
        assert "made with another model or other parameters" in result.stderr
    run("segment", model, images, "-d", out, "--formats", "csv")
    result = run("segment", model, images, "-d", out, "--formats", "csv", "--skip-done")
    assert "3 done before" in result.stdout


def test_a_killed_run(model: Path, images: Path, tmp_path: Path) -> None:
    for i in range(30):
        shutil.copy(images / "a.png", images / f"x{i:02}.png")
    out = tmp_path / "out"
    command = ["segment", model, images, "-d", out, "--formats", "csv", "--threads", 1]
    process = subprocess.Popen(
        [*SEQTILE, *map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    give_up = time.monotonic() + 60
    while not (out / "b.objects.csv").exists() and time.monotonic() < give_up:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert manifest(out)["parameters"]["min_area"] is None
    result = run(*command, "--skip-done", "--min-area", 50)
    assert "made with another model or other parameters" in result.stderr
    assert run(*command, "--skip-done").returncode == 0
    assert len({len(path.read_bytes()) for path in out.glob("x*.csv")}) == 1
    for left in out.glob(".seqtile*"):  # which is removed when it is old
        left.unlink()
    assert len(check_manifest(out, model)) == 33


def test_runs_at_once_enter_what_they_made(model: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def segment(options: list[object]) -> None:
        result = run("segment", model, *options, "-d", out, "--formats", "csv")
        assert (result.returncode, result.stderr) == (0, "")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(segment, [[images / f"{name}.png"] for name in "abc"]))
    assert len(check_manifest(out, model)) == 3
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(segment, [[images, "--min-area", area] for area in (0, 9, 20, 40)]))
    assert len(check_manifest(out, model)) == 3


def test_a_foreign_manifest_is_kept(model: Path, images: Path, tmp_path: Path) -> None:
    for folder, content in (("x", "precious"), ("y", '{"seqtile": "0"}')):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "segment.manifest.json"
        path.write_text(content)
        for option in ([], ["--skip-done"]):
            result = run("segment", model, images, "-d", path.parent, *option)
            assert (result.returncode, path.read_text()) == (1, content)
            assert result.stderr.startswith(f"seqtile: error: {path}: ")
            assert "manifest of seqtile" in result.stderr


def test_names_that_become_too_long(model: Path, images: Path, tmp_path: Path) -> None:
    for name in ("d" * 244, "ü" * 122, "e" * 243):
        shutil.copy(images / "a.png", images / f"{name}.png")
    out = tmp_path / "out"
    result = run("segment", model, images, "-d", out, "--formats", "tif,csv")
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        f"seqtile: error: {images}/{name}.png: the name of its file .objects.csv would have 256 "
        "bytes, 255 are allowed there: give the image a shorter name"
        for name in ("d" * 244, "ü" * 122)
    ]
    assert "4 images" in result.stdout
    assert len(names(out)) == 9
    assert [bool(entry["error"]) for entry in manifest(out)["images"]] == [True] * 2 + [False] * 4


def test_an_image_whose_files_cannot_be_written(model: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "a.objects.csv").mkdir(parents=True)
    cv2.imwrite(str(images / "b.png"), blobs(400, 500, 3))
    (images / "loop.png").symlink_to("loop.png")
    result = run("segment", model, images, "-d", out, "--formats", "csv,png", file_limit=20_000)
    assert result.returncode == 1
    lines = sorted(result.stderr.splitlines())
    assert lines[0] == f"seqtile: error: {images}/loop.png: Too many levels of symbolic links"
    assert lines[1].startswith(f"seqtile: error: {out}/a.objects.csv: is a folder")
    assert lines[2].startswith(f"seqtile: error: {out}/b.")
    assert lines[2].endswith("cannot write: File too large")
    assert names(out) == {
        "a.objects.csv",
        "c.objects.csv",
        "c.overlay.png",
        "segment.manifest.json",
    }
    assert [bool(entry["error"]) for entry in manifest(out)["images"]].count(False) == 1


def test_labels_that_find_no_room_are_of_one_image(
    model: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cv2.imwrite(str(images / "b.png"), blobs(400, 500, 3))
    predictor = seqtile.load(model, device="cpu", threads=1, limits=Limits(label_bytes=20_000))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    files = sorted(images.iterdir())
    reports = list(segment_files(predictor, files, lambda _: [], SegmentOptions(tile=64)))
    assert [report.image for report in reports] == [str(path) for path in files]
    assert [bool(report.error) for report in reports] == [False, True, False]
    assert "temporary file in " in reports[1].error


def test_an_image_that_changes_while_it_is_read(model: Path, images: Path, tmp_path: Path) -> None:
    predictor = seqtile.load(model, device="cpu", threads=1)
    files = sorted(images.iterdir())

    def targets(image: Path) -> list[Path]:
        return [tmp_path / f"{image.stem}.csv"]

    def progress(pixels: int) -> None:
        cv2.imwrite(str(files[1]), blobs(40, 50, 8))

    reports = list(segment_files(predictor, files, targets, SegmentOptions(), progress=progress))
    assert [report.error for report in reports] == [
        "",
        f"{files[1]}: was changed while it was read",
        "",
    ]
    assert not (tmp_path / "b.csv").exists()
