"""``seqtile segment``: files in, files out, and what goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

import seqtile
from seqtile.commands.segment_targets import Targets
from tests.python.command import SEQTILE, check_refused
from tests.python.command import seqtile as run
from tests.python.models import colour_folder, image_folder
from tests.python.test_segmentation import blobs


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_folder(tmp_path_factory.mktemp("models") / "cells")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of a PNG, a 16-bit TIFF and a colour JPEG."""
    folder = tmp_path / "images"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), blobs(40, 50, 1))
    tifffile.imwrite(folder / "b.tif", blobs(33, 20, 2, np.uint16))
    cv2.imwrite(str(folder / "c.jpg"), np.repeat(blobs(48, 48, 3)[..., None], 3, 2))
    return folder


def expected(model: Path, image: Path, **options: object) -> seqtile.Segmented:
    return seqtile.segment(seqtile.load(model, device="cpu"), image, **options)


def test_a_folder_of_images(model: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("segment", model, images, "-d", out, "--tile", 16)
    assert (result.returncode, result.stderr) == (0, "")
    kinds = ("labels.tif", "outlines.geojson", "objects.csv", "overlay.png")
    names = {f"{stem}.{kind}" for stem in "abc" for kind in kinds} | {"segment.manifest.json"}
    assert {path.name for path in out.iterdir()} == names
    total = 0
    for image in sorted(images.iterdir()):
        found = expected(model, image)
        total += len(found)
        labels = tifffile.imread(out / f"{image.stem}.labels.tif")
        np.testing.assert_array_equal(labels, found.labels)
        features = json.loads((out / f"{image.stem}.outlines.geojson").read_text())["features"]
        assert len(features) == len(found)
        rows = (out / f"{image.stem}.objects.csv").read_text().splitlines()
        assert len(rows) == len(found) + 1
        assert f"{image}: {labels.shape[0]} x {labels.shape[1]} pixels" in result.stdout
    assert f"3 images, {total} objects" in result.stdout
    manifest = json.loads((out / "segment.manifest.json").read_text())
    assert [entry["objects"] for entry in manifest["images"]] == [
        len(expected(model, image)) for image in sorted(images.iterdir())
    ]
    assert manifest["parameters"]["tile"] == 16
    assert manifest["parameters"]["settings"]["reach"] == 4
    assert len(manifest["images"][0]["sha256"]) == 64


def test_one_image_to_files_of_its_own(model: Path, images: Path, tmp_path: Path) -> None:
    targets = [tmp_path / name for name in ("x.tif", "x.geojson", "x.parquet", "x.png", "x.csv")]
    arguments = [argument for target in targets for argument in ("-o", target)]
    result = run("segment", model, images / "a.png", *arguments, "--json", "--invert")
    assert (result.returncode, result.stderr) == (0, "")
    (report,) = json.loads(result.stdout)["images"]
    found = expected(model, images / "a.png", invert=True)
    assert report["objects"] == len(found)
    assert report["median_area"] == np.median(found.objects["area"])
    assert report["covered"] == pytest.approx((found.labels > 0).mean())
    np.testing.assert_array_equal(tifffile.imread(targets[0]), found.labels)
    assert all(target.stat().st_size for target in targets)
    assert (tmp_path / "x.tif.manifest.json").exists()


def test_without_outputs_it_counts(model: Path, images: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    result = run("segment", model, f"{images}/*.png", "--min-area", "9")
    assert f"{len(expected(model, images / 'a.png', min_area=9))} objects" in result.stdout
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bad_image_among_good_ones(model: Path, images: Path, tmp_path: Path) -> None:
    (images / "aa.png").write_bytes((images / "a.png").read_bytes()[:200])
    (images / "bb.tif").write_bytes(b"")
    out = tmp_path / "out"
    result = run("segment", model, images, "-d", out, "--formats", "tif")
    assert result.returncode == 1
    first, second = result.stderr.splitlines()
    assert first.startswith(f"seqtile: error: {images}/aa.png: ")
    assert second.startswith(f"seqtile: error: {images}/bb.tif: ")
    assert {p.name for p in out.iterdir()} == {
        "a.labels.tif",
        "b.labels.tif",
        "c.labels.tif",
        "segment.manifest.json",
    }
    assert "3 images" in result.stdout
    assert "2 failed" in result.stdout
    manifest = json.loads((out / "segment.manifest.json").read_text())
    failed = [bool(entry["error"]) for entry in manifest["images"]]
    assert failed == [False, True, False, True, False]


def test_an_interrupt_leaves_what_is_whole(model: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), blobs(40, 50))
    long = np.tile(blobs(100, 100), (50, 50))  # that takes many seconds
    tifffile.imwrite(tmp_path / "b.tif", long, tile=(256, 256))
    out = tmp_path / "out"
    arguments = ["segment", model, tmp_path / "a.png", tmp_path / "b.tif", "-d", out]
    process = subprocess.Popen(
        [*SEQTILE, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    give_up = time.monotonic() + 60
    while not (out / "a.overlay.png").exists() and time.monotonic() < give_up:
        time.sleep(0.01)
    time.sleep(0.3)  # the report of it is made
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert process.communicate() == (b"", b"seqtile: interrupted\n")
    kinds = ("labels.tif", "outlines.geojson", "objects.csv", "overlay.png")
    names = {f"a.{kind}" for kind in kinds} | {"segment.manifest.json"}
    assert {path.name for path in out.iterdir()} == names
    (entry,) = json.loads((out / "segment.manifest.json").read_text())["images"]
    assert entry["image"] == str(tmp_path / "a.png")


def test_what_is_done_can_be_left_out(model: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("segment", model, images / "a.png", "-d", out, "--formats", "csv")
    before = (out / "a.objects.csv").stat().st_mtime_ns
    result = run("segment", model, images, "-d", out, "--formats", "csv", "--skip-done")
    assert "2 images" in result.stdout
    manifest = json.loads((out / "segment.manifest.json").read_text())
    assert [Path(entry["image"]).stem for entry in manifest["images"]] == ["a", "b", "c"]
    result = run("segment", model, images, "-d", out, "--skip-done", "--min-area", "5")
    assert result.returncode == 1
    assert "made with another model or other parameters" in result.stderr
    (out / "segment.manifest.json").write_text("[]")
    result = run("segment", model, images, "-d", out, "--skip-done")
    assert "segment.manifest.json: not a manifest of seqtile segment" in result.stderr
    assert (out / "a.objects.csv").stat().st_mtime_ns == before
    assert {p.name for p in out.glob("*.csv")} == {f"{n}.objects.csv" for n in "abc"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["images/a.png", "images/b.tif", "-o", "x.tif"], "-o is for a single image, here are 2"),
        (["images/a.png", "-o", "x.tif", "-d", "out"], "give files (-o) or a folder (-d)"),
        (["images/a.png", "-o", "x.jpg"], "x.jpg: expected a file name that ends in .tif, .tiff"),
        (["images", "-d", "out", "--formats", "tif,doc"], "geojson, csv, parquet, png, not 'doc'"),
        (["images", "-d", "out", "--formats", "a.tif"], "--formats: expected some of tif, tiff"),
        (["images/a.png", "-o", "x.csv", "-o", "./x.csv"], "x.csv: given twice"),
        (["images", "-d", "out", "--formats", "csv,parquet"], "--formats: table twice"),
        (["images/a.png", "-o", "images/a.png"], "images/a.png would overwrite what is of"),
        (["images", "same/a.tif", "-d", "out"], "a.labels.tif: same/a.tif would overwrite what is"),
        (["images/a.png", "-o", "no/x.tif"], "no/x.tif: the folder no does not exist"),
        (["nothing.png"], "nothing.png: no such file"),
        (["empty"], "empty: a folder without images"),
        (["images/a.png", "--overlap", "1024"], "overlap must be smaller than tile, not 1024"),
        (["images/a.png", "--level", "1"], "images/a.png: "),
        (["images/a.png", "--skip-done"], "--skip-done goes with a folder"),
        (["images/a.png", "--device", "cuda"], "device 'cuda' needs"),
        (["images/a.png", "-d", "images/a.png"], "images/a.png: cannot make the folder"),
    ],
)
def test_refused(
    model: Path, images: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "same").mkdir()
    (tmp_path / "same" / "a.tif").write_bytes((images / "b.tif").read_bytes())
    before = sorted(tmp_path.rglob("*"))
    result = run("segment", model, *arguments, cwd=tmp_path)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_formats_may_have_dots_and_capitals(model: Path, images: Path, tmp_path: Path) -> None:
    run("segment", model, images / "a.png", "-d", tmp_path / "out", "--formats", ".TIF, csv")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"a.labels.tif", "a.objects.csv", "segment.manifest.json"}


def test_outputs_among_the_images_are_no_images(model: Path, images: Path) -> None:
    for formats in ("tif,png", "csv", "tif,geojson,csv,png"):
        result = run("segment", model, images, "-d", images, "--formats", formats)
        assert (result.returncode, result.stderr) == (0, "")
        assert "3 images" in result.stdout
    named = [path for path in sorted(images.iterdir()) if path.suffix in (".png", ".tif", ".jpg")]
    assert len(named) == 9
    result = run("segment", model, *named, "-d", images)
    assert result.stderr == "seqtile: passed over 6 outputs of seqtile segment among the images\n"
    assert (result.returncode, "3 images" in result.stdout) == (0, True)


def test_images_of_other_suffixes_are_called_by_them(model: Path, tmp_path: Path) -> None:
    for name in ("a.png.tif", "s.qptiff", "s.scn", "t.scn"):
        tifffile.imwrite(tmp_path / name, blobs(33, 20, 2))
    (tmp_path / "u.czi").write_bytes(b"ZISRAWFILE")
    result = run("segment", model, tmp_path, "-d", tmp_path / "out", "--formats", "csv")
    assert (
        result.stderr
        == f"seqtile: {tmp_path}: passed over 1 file that cannot be read as images: 1 .czi\n"
    )
    assert {path.name for path in (tmp_path / "out").glob("*.csv")} == {
        "a.png.objects.csv",
        "s.qptiff.objects.csv",
        "s.scn.objects.csv",
        "t.objects.csv",
    }


def test_outputs_are_refused_before_work(images: Path, tmp_path: Path) -> None:
    for output in ("no/x.tif", "images/x.tif/y.csv"):
        with pytest.raises(seqtile.OutputError, match="does not exist"):
            Targets([images / "a.png"], [str(tmp_path / output)], None, "")


def test_outlines_of_a_level_are_in_pixels_of_the_full_resolution(
    model: Path, tmp_path: Path
) -> None:
    full = blobs(64, 96, 5).repeat(2, 0).repeat(2, 1)
    with tifffile.TiffWriter(tmp_path / "p.tif") as file:
        file.write(full, tile=(64, 64), subifds=1)
        file.write(full[::2, ::2], tile=(64, 64), subfiletype=1)
    result = run("segment", model, tmp_path / "p.tif", "--level", 1, "-o", tmp_path / "o.geojson")
    assert (result.returncode, result.stderr) == (0, "")
    features = json.loads((tmp_path / "o.geojson").read_text())["features"]
    found = expected(model, tmp_path / "p.tif", level=1)
    assert found.labels.shape == (64, 96)
    assert len(features) == len(found) > 1
    for feature in features:
        box = np.array(feature["geometry"]["coordinates"][0])
        at = int(feature["properties"]["name"]) - 1
        assert box[:, 0].max() == 2 * found.objects["x1"][at]
        assert box[:, 1].max() == 2 * found.objects["y1"][at]


def test_a_folder_that_cannot_be_written(model: Path, images: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    (tmp_path / "out").mkdir(mode=0o500)
    result = run("segment", model, images, "-d", tmp_path / "out")
    assert result.returncode == 1
    assert "is not writable" in result.stderr


def test_a_model_of_sequences(images: Path) -> None:
    result = run("segment", "jund-cnn-seq", images)
    assert result.returncode == 1
    assert result.stderr == (
        "seqtile: error: jund-cnn-seq does not segment images: it takes sequences\n"
    )


def test_predict_sends_masks_to_segment(model: Path, images: Path) -> None:
    result = run("predict", model, images)
    assert result.returncode == 1
    assert "cells answers for every pixel: use seqtile segment" in result.stderr


# seqtile predict and embed, of images


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_folder(tmp_path_factory.mktemp("models") / "rgb")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three images of 5 x 6 pixels, red, green, blue, and a larger one whose middle is blue."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, name in enumerate(("red", "green", "blue")):
        image = np.full((6, 5, 3), 10, np.uint8)
        image[..., i] = 100
        cv2.imwrite(str(folder / f"{name}.png"), image[..., ::-1])
    large = np.zeros((60, 60, 3), np.uint8)
    large[..., 0] = 200
    large[15:45, 15:45] = (0, 0, 250)
    cv2.imwrite(str(folder / "large.png"), large[..., ::-1])
    return folder


def test_a_table_with_classes(colours: Path, photos: Path) -> None:
    files = [photos / f"{name}.png" for name in ("blue", "red", "green")]
    result = run("predict", colours, *files)
    assert (result.returncode, result.stderr) == (0, "")
    head, *rows = (line.split("\t") for line in result.stdout.splitlines())
    assert head == ["name", "class", "share_red", "share_green", "share_blue"]
    assert [row[:2] for row in rows] == [[str(f), f.stem] for f in files]
    assert [float(x) for x in rows[0][2:]] == pytest.approx([10 / 120, 10 / 120, 100 / 120], 1e-5)


def test_json_lines_with_classes(colours: Path, photos: Path) -> None:
    result = run("predict", colours, photos / "green.png", "--jsonl")
    (row,) = map(json.loads, result.stdout.splitlines())
    assert row.pop("share") == pytest.approx({"red": 1 / 12, "green": 10 / 12, "blue": 1 / 12})
    assert row == {"name": str(photos / "green.png"), "class": "green"}


def test_an_embedding_has_no_class(colours: Path, photos: Path) -> None:
    result = run("embed", colours, photos / "green.png", "--jsonl")
    assert json.loads(result.stdout) == {
        "name": str(photos / "green.png"),
        "embedding": [10.0, 100.0, 10.0],
    }


def test_crop_and_resize(colours: Path, photos: Path) -> None:
    result = run("predict", colours, photos / "large.png", "--crop", 30, "--resize")
    assert result.stdout.splitlines()[1].split("\t") == [
        str(photos / "large.png"),
        "blue",
        "0",
        "0",
        "1",
    ]
    result = run("predict", colours, photos / "large.png", "--resize")
    assert result.stdout.splitlines()[1].split("\t")[1] == "red"


def test_good_images_are_predicted_and_bad_ones_named(colours: Path, photos: Path) -> None:
    (photos / "cut.png").write_bytes((photos / "red.png").read_bytes()[:-20])
    result = run("predict", colours, photos)
    assert result.returncode == 1
    assert [line.split("\t")[1] for line in result.stdout.splitlines()[1:]] == [
        "blue",
        "green",
        "red",
    ]
    cut, large = result.stderr.splitlines()
    assert cut.startswith(f"seqtile: error: {photos}/cut.png: ")
    assert "60 x 60 pixels (height x width), the model takes 6 x 5: crop or resize" in large


def test_a_file_that_vanished_does_not_end_the_others(colours: Path, photos: Path) -> None:
    gone = photos / "gone.png"
    failed: list[Exception] = []
    predictor = seqtile.load(colours, device="cpu")
    rows = list(predictor.predict_images([gone, photos / "red.png"], failed=failed.append))
    assert [row.name for row in rows] == [str(photos / "red.png")]
    (error,) = failed
    assert isinstance(error, FileNotFoundError)
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        list(predictor.predict_images([gone]))


def test_a_file_name_need_not_be_utf_8(model: Path, colours: Path, photos: Path) -> None:
    name = b"\xff\xfe.png"
    Path(os.fsdecode(bytes(photos) + b"/" + name)).write_bytes((photos / "red.png").read_bytes())
    verbs = (
        ["predict", colours, photos, "-o", photos / "x.tsv"],
        ["predict", colours, photos, "-o", photos / "x.npz"],
        ["predict", colours, photos, "--jsonl"],
        ["segment", model, photos, "-d", photos / "out"],
    )
    calls = "from seqtile.cli import main\n" + "print('===')\n".join(
        f"main({[*map(str, verb)]})\n" for verb in verbs
    )
    for locale in ("C.UTF-8", "C"):
        result = subprocess.run(
            [sys.executable, "-c", calls], capture_output=True, env=os.environ | {"LC_ALL": locale}
        )
        assert b"codec" not in result.stderr
        assert b"Traceback" not in result.stderr
        *_, segmented = result.stdout.split(b"===\n")
        assert name in segmented
        assert name in (photos / "x.tsv").read_bytes()


@pytest.mark.parametrize("source", ["photos", "photos/r*.png"])
def test_predictions_do_not_overwrite_an_image_of_a_folder(
    colours: Path, photos: Path, source: str
) -> None:
    before = (photos / "red.png").read_bytes()
    result = run("predict", colours, source, "-o", "photos/red.png", cwd=photos.parent)
    assert result.returncode == 1
    assert "photos/red.png: the output would overwrite the input" in result.stderr
    assert (photos / "red.png").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos/red.png", "--crop", "7"], "photos/red.png: 6 x 5 pixels, too small to crop 7"),
        (["photos/red.png", "--crop", "0"], "crop must be at least 1, not 0"),
        (["photos/red.png", "--input", "a=b"], "b: No such file"),
        (["missing"], "missing: no such file"),
        (["photos/red.png", "-o", "photos/red.png"], "the output would overwrite the input"),
    ],
)
def test_predictions_refused(
    colours: Path, photos: Path, arguments: list[str], message: str
) -> None:
    result = run("predict", colours, *arguments, cwd=photos.parent)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_options_of_images_are_not_for_sequences() -> None:
    fasta = seqtile.example_path("chr22")
    words = "jund-cnn-seq takes sequences: --crop and --resize are for images"
    for option in (["--resize"], ["--crop", 3]):
        check_refused(run("predict", "jund-cnn-seq", fasta, *option), words)
