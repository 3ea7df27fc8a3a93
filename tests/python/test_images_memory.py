"""The memory that reading an image by strips takes does not grow with its height."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pyvips = pytest.importorskip("pyvips")
pytest.importorskip("tifffile")

TIMES = 4
WIDTH, HEIGHT = 9272, 4950
# Two sums of the pixels, read in strips that overlap, and the peak of this process alone.
READ = """
import sys
from seqtile.images.reading import open_image
total = 0
with open_image(sys.argv[1]) as image:
    print(image.height, image.width)
    for begin in range(0, image.height, 480):
        total += int(image.rows(max(0, begin - 32), min(begin + 480, image.height))[-3].sum())
print(total)
lines = open("/proc/self/status").read().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""


def read(path: Path) -> tuple[str, int, float]:
    """Height and width, the sum over some rows, and the peak in MB."""
    result = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    size, total, peak = result.stdout.splitlines()
    return size, int(total), int(peak) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_four_times_the_height_takes_no_more_memory(data_root: Path, tmp_path: Path) -> None:
    slide = data_root / "histology_large" / "her2st_C5_HE_9272x9901.jpg"
    one = pyvips.Image.jpegload(str(slide)).crop(0, 0, WIDTH, HEIGHT)
    tall = pyvips.Image.arrayjoin([one] * TIMES, across=1)
    tiles = {"tile": True, "tile_width": 256, "tile_height": 256, "compression": "jpeg", "Q": 75}
    for image, name in ((one, "one"), (tall, "tall")):
        image.jpegsave(str(tmp_path / f"{name}.jpg"), Q=75)
        image.tiffsave(str(tmp_path / f"{name}.tif"), **tiles)

    for suffix in ("jpg", "tif"):
        size, total, peak = read(tmp_path / f"one.{suffix}")
        tall_size, tall_total, tall_peak = read(tmp_path / f"tall.{suffix}")
        assert (size, tall_size) == (f"{HEIGHT} {WIDTH}", f"{TIMES * HEIGHT} {WIDTH}")
        assert tall_total == pytest.approx(TIMES * total, rel=0.05)
        assert tall_peak < 150  # 550 MB of pixels
        assert tall_peak - peak < 40
