"""Tiled segmentation against the session alone on tiles cut before; SAHI, tiler, MONAI beside.

pytest benches/bench_segment.py --benchmark-only -s
SEQTILE_BENCH_WHOLE=1 pytest ...           all 92 Mpixels of the slide, each way once
SEQTILE_BENCH_MODEL=folder pytest ...      another model

A crop of a real slide from SEQTILE_DATA, `nuclei-unet` on the CPU. All ways share one session and
have the same tile and overlap. Ours scales the contrast, cuts, predicts, stitches, labels and
measures the objects; the others get the image scaled and give probabilities alone (one of them, a
simpler table of objects as well), averaged where tiles overlap. So they are equal to ours where no
tile's margin reaches, which is checked first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqtile
from benches.bare import THREADED, Bare
from benches.compare import peers, record, speed_ratio
from seqtile.images.reading import ImageFile, open_image, to_grey
from seqtile.images.scaling import scale
from seqtile.segmenting.files import segment_files
from seqtile.segmenting.options import SegmentOptions
from seqtile.segmenting.segmentation import segment

SLIDE = Path("histology_large/her2st_C5_HE_9272x9901.jpg")
MODEL = os.environ.get("SEQTILE_BENCH_MODEL", "nuclei-unet")
WHOLE = bool(os.environ.get("SEQTILE_BENCH_WHOLE"))
TOP, LEFT, TILES = 4000, 4000, 3  # a side of the crop is that of three tiles, none shifted
ROUNDS = 1 if WHOLE else 3
TARGET = 0.95
Box = tuple[int, int, int, int]


class Case:
    """The image, the session and the tiles that all ways have in common."""

    def __init__(self, slide: ImageFile) -> None:
        self.predictor = seqtile.load(MODEL, device="cpu")
        self.bare = Bare(MODEL)
        self.options = SegmentOptions(invert=True)
        self.image = slide.read() if WHOLE else self._crop(slide)
        settings = self.options.settings(self.predictor.contract)
        self.grey = scale(255 - to_grey(self.image), settings.percentiles)
        self.shape = self.grey.shape
        self.plan = self.options.plan(self.predictor.contract, *self.shape)
        self.size, self.overlap = self.plan.size, self.plan.overlap
        self.radius = self.predictor.contract.receptive_field // 2
        self.names = self.predictor.outputs
        self.tiles = seqtile.tile(
            self.grey, self.size, overlap=self.overlap, multiple=self.plan.multiple
        ).array

    def _crop(self, slide: ImageFile) -> Any:
        plan = self.options.plan(self.predictor.contract, slide.height, slide.width)
        side = self.options.tile + (TILES - 1) * (self.options.tile - plan.overlap[0])
        return slide.rows(TOP, TOP + side)[:, LEFT : LEFT + side].copy()

    @property
    def what(self) -> str:
        height, width = self.shape
        tile = " x ".join(map(str, self.size))
        return f"{height} x {width}, tiles of {tile}, overlap {self.overlap[0]}"

    @property
    def rate(self) -> tuple[float, str]:
        return self.grey.size / 1e6, "Mpixels/s"

    def run(self, tiles: Any) -> list[Any]:
        """The session alone: uint8 (n, h, w) to each output (n, h, w)."""
        name = self.predictor.contract.inputs[0].name
        found: list[Any] = self.bare.session.run(list(self.names), {name: tiles})
        return found

    def one_by_one(self) -> list[list[Any]]:
        return [self.run(self.tiles[i : i + 1]) for i in range(len(self.tiles))]

    def ours(self) -> Any:
        return segment(self.predictor, self.image, self.options)

    def stitched(self) -> dict[str, Any]:
        """What `one_by_one` found, each pixel from the tile that answers for it."""
        outputs = zip(*self.one_by_one(), strict=True)
        return {
            name: seqtile.stitch(np.concatenate(tiles), self.plan)
            for name, tiles in zip(self.names, outputs, strict=True)
        }


def sahi_boxes(case: Case) -> list[Box]:
    """As SAHI's get_slice_bboxes, y0, y1, x0, x1: the last slice of an axis is shifted back."""
    boxes = []
    (height, width), (tall, wide) = case.shape, case.size
    bottom = top = 0
    while bottom < height:
        bottom = top + tall
        right = left = 0
        while right < width:
            right = left + wide
            y, x = min(bottom, height), min(right, width)
            boxes.append((max(0, y - tall), y, max(0, x - wide), x))
            left += wide - case.overlap[1]
        top += tall - case.overlap[0]
    return boxes


def sahi(case: Case) -> list[Any]:
    """Slices predicted one by one and pasted into the whole, the later over the earlier."""
    whole = [np.empty(case.shape, np.float32) for _ in case.names]
    for y0, y1, x0, x1 in sahi_boxes(case):
        answers = case.run(np.ascontiguousarray(case.grey[None, y0:y1, x0:x1]))
        for out, answer in zip(whole, answers, strict=True):
            out[y0:y1, x0:x1] = answer[0]
    return whole


def _tiler(case: Case, channels: int = 0) -> Any:
    import tiler

    if not channels:
        return tiler.Tiler(case.shape, case.size, case.overlap, mode="reflect")
    return tiler.Tiler(
        (channels, *case.shape), (channels, *case.size), (0, *case.overlap), channel_dimension=0
    )


def tiler_boxes(case: Case) -> list[Box]:
    cutter = _tiler(case)
    corners = [cutter.get_tile_bbox(i) for i in range(len(cutter))]
    return [(int(a[0]), int(b[0]), int(a[1]), int(b[1])) for a, b in corners]


def by_tiler(case: Case) -> list[Any]:
    """The package tiler: the last tile of an axis is padded, overlaps are averaged."""
    import tiler

    merger = tiler.Merger(_tiler(case, len(case.names)))
    for i, tile in _tiler(case)(case.grey):
        merger.add(i, np.concatenate(case.run(tile[None])))
    return list(merger.merge(unpad=True))


def monai(case: Case) -> list[Any]:
    """MONAI's sliding_window_inference: overlaps are averaged."""
    import torch
    from monai.inferers import sliding_window_inference

    def predict(windows: Any) -> tuple[Any, ...]:
        answers = case.run(windows[:, 0].to(torch.uint8).numpy())
        return tuple(torch.from_numpy(answer)[:, None] for answer in answers)

    # It sums in the dtype of its input, and rounds down where the next window begins.
    image = torch.from_numpy(case.grey)[None, None].float()
    shares = [(shared - 0.5) / side for shared, side in zip(case.overlap, case.size, strict=True)]
    found = sliding_window_inference(image, case.size, 1, predict, overlap=shares)
    return [answer[0, 0].numpy() for answer in found]


def sahi_objects(case: Case) -> Any:
    """The same, and then what one does to have objects: scikit-image's label and table."""
    from skimage.measure import label, regionprops_table

    settings = case.options.settings(case.predictor.contract)
    answers = dict(zip(case.names, sahi(case), strict=True))
    labels = label(answers[settings.marker or settings.mask] > settings.marker_threshold)
    wanted = ("label", "area", "centroid", "bbox", "mean_intensity")
    return regionprops_table(labels, case.image, properties=wanted)


PEERS: dict[str, tuple[Callable[[Case], list[Any]], Callable[[Case], list[Box]]]] = {
    "SAHI-style slices": (sahi, sahi_boxes),
    "tiler": (by_tiler, tiler_boxes),
    "MONAI": (monai, sahi_boxes),
}


def inner(case: Case, boxes: Sequence[Box]) -> Any:
    """Pixels that no tile sees within the receptive field's radius of an edge of its own."""
    kept = np.ones(case.shape, bool)
    for y0, y1, x0, x1 in boxes:
        middle = tuple(
            slice(begin + case.radius * (begin > 0), min(end, side) - case.radius * (end != side))
            for begin, end, side in zip((y0, x0), (y1, x1), case.shape, strict=True)
        )
        before = kept[middle].copy()
        kept[y0:y1, x0:x1] = False
        kept[middle] = before
    return kept


@pytest.fixture(scope="module")
def case() -> Case:
    root = os.environ.get("SEQTILE_DATA")
    if not root:
        pytest.skip("SEQTILE_DATA, the folder of the real data sets, is not set")
    with open_image(Path(root) / SLIDE) as slide:
        return Case(slide)


def test_segment(benchmark: Any, case: Case) -> None:
    found, expected = case.ours().probabilities, case.stitched()
    for name in case.names:
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-5)
    others: dict[str, Callable[[], object]] = {
        "SAHI-style slices and scikit-image": lambda: sahi_objects(case)
    }
    for name, (way, boxes) in PEERS.items():
        others[name] = partial(way, case)
        try:
            answers = way(case)
        except ImportError:
            continue
        where = inner(case, boxes(case))
        assert where.mean() > 0.5
        for output, answer in zip(case.names, answers, strict=True):
            np.testing.assert_allclose(answer[where], found[output][where], rtol=0, atol=1e-5)
    del found, expected
    ratio = speed_ratio(case.ours, case.one_by_one, ROUNDS)
    record(
        benchmark,
        f"segment, {case.what}",
        ratio,
        limit=f"{THREADED}, on cut tiles",
        target=TARGET,
        rate=case.rate,
        peers=peers(case.ours, others, ROUNDS),
    )
    benchmark.pedantic(case.ours, rounds=1)


def test_segment_file(benchmark: Any, case: Case, tmp_path: Path) -> None:
    import cv2

    source = tmp_path / "slide.png"
    cv2.imwrite(str(source), case.image[..., ::-1])
    targets = [tmp_path / f"found{suffix}" for suffix in (".tif", ".geojson", ".csv")]

    def ours() -> Any:
        return list(segment_files(case.predictor, [source], lambda _: targets, case.options))

    (report,) = ours()
    assert (report.error, report.objects) == ("", len(case.ours()))
    record(
        benchmark,
        f"PNG to label TIFF, GeoJSON and CSV, {case.what}",
        speed_ratio(ours, case.one_by_one, ROUNDS),
        limit=f"{THREADED}, on cut tiles",
        target=TARGET,
        rate=case.rate,
    )
    benchmark.pedantic(ours, rounds=1)
