"""Image files that files, folders and patterns name."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from seqtile import ImageError
from seqtile.images.finding import find_images, outputs_in


def found_in(folder: Path, *sources: str) -> list[str]:
    found = find_images([folder / source for source in sources])
    return [path.relative_to(folder).as_posix() for path in found]


def write_tiff(path: Path, software: str = "a scanner") -> None:
    tifffile.imwrite(path, np.zeros((4, 5), np.uint8), metadata=None, software=software)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in [
        "b.png",
        "a.TIF",
        "c.ome.tif",
        "d.txt",
        ".hidden.png",
        "sub/e.jpg",
        "f[1].png",
    ]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def test_folder(folder: Path) -> None:
    assert found_in(folder, ".") == ["a.TIF", "b.png", "c.ome.tif", "f[1].png"]
    assert found_in(folder, "sub", "d.txt") == ["sub/e.jpg", "d.txt"]


def test_links_that_lead_nowhere_are_found(folder: Path) -> None:
    (folder / "sub" / "a.png").symlink_to("none.png")
    (folder / "sub" / "d.png").symlink_to("d.png")
    (folder / "sub" / "b.png").mkdir()
    os.mkfifo(folder / "sub" / "c.png")
    assert found_in(folder, "sub") == ["sub/a.png", "sub/d.png", "sub/e.jpg"]
    assert found_in(folder, "sub/d.png") == ["sub/d.png"]


def test_patterns(folder: Path) -> None:
    assert found_in(folder, "*.png") == ["b.png", "f[1].png"]
    assert found_in(folder, "**/*.[jt]*") == ["a.TIF", "c.ome.tif", "d.txt", "sub/e.jpg"][1:]
    assert found_in(folder, "f[1].png") == ["f[1].png"]  # exists, so it is no pattern


def test_no_file_twice(folder: Path) -> None:
    (folder / "link.png").symlink_to(folder / "b.png")
    assert found_in(folder, "b.png", "*.png", "sub/../b.png") == ["b.png", "f[1].png"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("none.png", "no such file or folder"),
        ("*.jpg", "no file matches it as a pattern"),
        ("empty", "a folder without images"),
    ],
)
def test_nothing_found(source: str, message: str, folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(ImageError, match=message) as caught:
        found_in(folder, "b.png", source)
    assert caught.value.path == str(folder / source)


@pytest.mark.parametrize("link", ["a_link.png", "z_link.png"])
def test_a_link_stands_aside_for_its_file(folder: Path, link: str) -> None:
    (folder / link).symlink_to("b.png")
    (folder / "sub" / "far.png").symlink_to(folder / "b.png")
    assert found_in(folder, ".") == ["a.TIF", "b.png", "c.ome.tif", "f[1].png"]
    assert found_in(folder, "sub", ".")[0] == "sub/e.jpg"
    assert found_in(folder, "sub", link, "b.png") == ["sub/e.jpg", "b.png"]
    assert found_in(folder, "sub", link) == ["sub/e.jpg", "sub/far.png"]


def test_what_cannot_be_looked_at_is_found(folder: Path) -> None:
    (folder / "loop.png").symlink_to("loop.png")
    assert "loop.png" in found_in(folder, ".")
    assert found_in(folder, "loop.png", "b.png") == ["loop.png", "b.png"]
    assert found_in(folder, "l*.png") == ["loop.png"]
    with pytest.raises(ImageError, match="no such file or folder"):
        find_images(["x" * 5000])


def test_other_kinds_are_taken_if_they_can_be_read_and_named_if_not(tmp_path: Path) -> None:
    for name in ("slide.qptiff", "slide.scn", "IMG1", "raw.NEF", "b.tif"):
        write_tiff(tmp_path / name)
    (tmp_path / "cut.ndpi").write_bytes((tmp_path / "b.tif").read_bytes()[:60])
    for name in ("1.czi", "2.CZI", "3.nd2", "LICENSE", ".hidden.czi"):
        (tmp_path / name).write_bytes(b"something else")
    (tmp_path / "stack.zarr").mkdir()
    lines: list[str] = []
    found = find_images([tmp_path], passed_over=lines.append)
    assert [path.name for path in found] == ["IMG1", "b.tif", "slide.qptiff", "slide.scn"]
    assert lines == [
        f"{tmp_path}: passed over 6 files that cannot be read as images: "
        "2 .czi, 1 .nd2, 1 .ndpi, 1 .nef, 1 without suffix"
    ]


def test_a_folder_of_other_kinds_names_them(tmp_path: Path) -> None:
    (tmp_path / "a.czi").write_bytes(b"ZISRAWFILE")
    with pytest.raises(ImageError, match=r"a folder without images \(1 \.czi cannot be read\)"):
        find_images([tmp_path])


def test_own_outputs_are_no_images(tmp_path: Path) -> None:
    for name in ("a.png", "b.scn", "c.labels.tif", "d.overlay.png", "x.png", "y.tif"):
        write_tiff(tmp_path / name)
    write_tiff(tmp_path / "a.labels.tif", "seqtile")
    for name in ("a.overlay.png", "a.objects.csv", "b.scn.overlay.png", "b.outlines.geojson"):
        (tmp_path / name).touch()
    lines: list[str] = []
    names = ["a.png", "b.scn", "c.labels.tif", "d.overlay.png", "x.png", "y.tif"]
    assert [path.name for path in find_images([tmp_path], passed_over=lines.append)] == names
    assert found_in(tmp_path, "*.[pt]*") == [name for name in names if name != "b.scn"]
    entries = [{"image": "z.tif", "outputs": ["w/x.png", "other/y.tif", "w/gone.csv"]}]
    (tmp_path / "x.png.manifest.json").write_text(json.dumps({"images": entries}))
    (tmp_path / "odd.manifest.json").write_text('{"images": [3]}')
    assert "x.png" not in found_in(tmp_path, ".")
    assert "y.tif" in found_in(tmp_path, ".")  # that was written elsewhere
    assert lines == []
    assert "x.png.manifest.json" in outputs_in(tmp_path)
    assert "odd.manifest.json" not in outputs_in(tmp_path)


def test_labels_from_elsewhere_are_images(tmp_path: Path) -> None:
    for name in ("a.tif", "a.labels.tif"):
        write_tiff(tmp_path / name)
    assert found_in(tmp_path, ".") == ["a.labels.tif", "a.tif"]
