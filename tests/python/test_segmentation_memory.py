"""Segmenting a slide takes memory by its width, not its height; labels join across strips."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile

from tests.python.models import image_folder

TIMES = 4
SIZE = 2500, 4900  # width, height
SEGMENT = """
import sys
from seqtile.cli import main
status = main(sys.argv[1:])
lines = open("/proc/self/status").read().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
raise SystemExit(status)
"""


def peak_mb(model: Path, image: Path, *outputs: Path) -> float:
    targets = [f"-o{output}" for output in outputs]
    result = subprocess.run(
        [sys.executable, "-c", SEGMENT, "segment", model, image, *targets, "--quiet"],
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (0, "")
    return int(result.stdout.splitlines()[-1]) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_a_slide_four_times_as_tall(data_root: Path, tmp_path: Path) -> None:
    whole = data_root / "histology_large" / "her2st_C5_HE_9272x9901.jpg"
    model = image_folder(tmp_path / "cells")
    slide = pyvips.Image.jpegload(str(whole)).crop(0, 0, *SIZE)
    slide.jpegsave(str(tmp_path / "slide.jpg"), Q=75)
    tall = pyvips.Image.arrayjoin([slide] * TIMES, across=1)
    tall.jpegsave(str(tmp_path / "tall.jpg"), Q=75)
    peak = peak_mb(model, tmp_path / "slide.jpg", tmp_path / "a.tif", tmp_path / "a.csv")
    tall_peak = peak_mb(model, tmp_path / "tall.jpg", tmp_path / "b.tif", tmp_path / "b.csv")
    # Each of pixels, outputs and labels would take three times those of the slide: 110, 145 MB.
    assert tall_peak - peak < 40

    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        labels = file.asarray()
    assert labels.shape == (TIMES * SIZE[1], SIZE[0])
    areas = np.bincount(labels.ravel())[1:]
    written = np.loadtxt(tmp_path / "b.csv", delimiter=",", skiprows=1, usecols=(0, 1), dtype=int)
    np.testing.assert_array_equal(written[:, 0], np.arange(1, len(areas) + 1))
    np.testing.assert_array_equal(written[:, 1], areas)


LABEL = """
import sys
from pathlib import Path
import numpy as np
from seqtile.models.contract import Segmentation
from seqtile.segmenting.labelling import StripLabeller
from seqtile.segmenting.object_files import write_geojson, write_label_tiff
from seqtile.segmenting.objects import ObjectTable, write_objects
from seqtile.segmenting.overlay import Overlay

folder, strips = Path(sys.argv[1]), int(sys.argv[2])
y, x = np.mgrid[:500, :2000]
mask = ((np.sin(y / 5) * np.sin(x / 7) + 1) / 2).astype(np.float32)
image = (mask * 255).astype(np.uint8)
with StripLabeller(2000, Segmentation(marker_threshold=0.8, reach=6), folder=folder) as labeller:
    for _ in range(strips):
        labeller.add(mask, mask)
    labels = labeller.finish()
    table = ObjectTable(labels.count)
    overlay = Overlay(labels.shape, longest=500)  # both heights are reduced to this
    for first in range(0, labels.shape[0], 500):
        rows = labels.rows(first, first + 500)
        table.add(first, rows, image, mask)
        overlay.add(image, rows)
    with (folder / "a.tif").open("wb") as file:
        write_label_tiff(file, labels, threads=2)
    with (folder / "a.geojson").open("wb") as file:
        write_geojson(file, labels)
    with (folder / "a.csv").open("wb") as file:
        write_objects(file, ".csv", table.columns())
    with (folder / "a.png").open("wb") as file:
        overlay.write(file)
lines = open("/proc/self/status").read().splitlines()
print(labels.count, next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_labels_by_strips(tmp_path: Path) -> None:
    peaks = []
    for strips in (8, 28):  # 28 million pixels: 112 MB of labels
        command = [sys.executable, "-c", LABEL, str(tmp_path), str(strips)]
        result = subprocess.run(command, capture_output=True, text=True)
        assert (result.returncode, result.stderr) == (0, "")
        count, peak = map(int, result.stdout.split())
        assert count > 500 * strips
        peaks.append(peak / 1024)
    assert peaks[1] - peaks[0] < 30
