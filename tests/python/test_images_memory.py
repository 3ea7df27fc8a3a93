"""The memory that reading an image by strips takes does not grow with its height."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pyvips = pytest.importorskip("pyvips")
pytest.importorskip("tifffile")

TIMES = 4
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
    one = pyvips.Image.jpegload(str(slide), access="sequential")
    copies = [pyvips.Image.jpegload(str(slide), access="sequential") for _ in range(TIMES)]
    pyvips.Image.arrayjoin(copies, across=1).jpegsave(str(tmp_path / "tall.jpg"), Q=75)
    tiles = {"tile": True, "tile_width": 256, "tile_height": 256, "compression": "jpeg", "Q": 75}
    one.tiffsave(str(tmp_path / "one.tif"), **tiles)
    tall = pyvips.Image.jpegload(str(tmp_path / "tall.jpg"), access="sequential")
    tall.tiffsave(str(tmp_path / "tall.tif"), **tiles)

    for small, large in [(slide, "tall.jpg"), (tmp_path / "one.tif", "tall.tif")]:
        size, total, peak = read(small)
        tall_size, tall_total, tall_peak = read(tmp_path / large)
        assert (size, tall_size) == ("9901 9272", f"{TIMES * 9901} 9272")
        assert tall_total == pytest.approx(TIMES * total, rel=0.05)
        assert tall_peak < 250  # 1,102 MB of pixels
        assert tall_peak - peak < 40
