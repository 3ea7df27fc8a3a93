"""Segmentation by tiles and strips equals that of the whole image."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

import seqtile
from seqtile import Predictor, scale
from seqtile.errors import IMAGE_FAILURES, ImageError, ShapeError
from seqtile.execution.limits import Limits
from seqtile.execution.profile import Profile
from seqtile.segmenting.labelled_image import FailedImage, LabelledImage
from seqtile.segmenting.labelling import label_objects
from seqtile.segmenting.options import SegmentOptions
from seqtile.segmenting.segmentation import segmented
from tests.python.models import IMAGE_CARD, colour_folder, image_folder, image_mean, model_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_folder(tmp_path_factory.mktemp("models") / "cells")


@pytest.fixture(scope="module")
def cells(folder: Path) -> Predictor:
    return seqtile.load(folder, device="cpu")


def blobs(height: int, width: int, seed: int = 0, kind: type = np.uint8) -> np.ndarray:
    """Smooth noise, so that there are objects of many sizes."""
    rng = np.random.default_rng(seed)
    image = rng.random((height, width))
    for axis in (0, 1):
        image = sum(np.roll(image, shift, axis) for shift in (-2, -1, 0, 1, 2)) / 5
    image = (image - image.min()) / max(float(np.ptp(image)), 1e-9)
    return (image * (1000 if kind == np.uint16 else 255)).astype(kind)


def whole(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the model answers for the whole image, padded to its stride, and the labels."""
    scaled = scale(image, (0, 100))
    rows, columns = (-side % 4 for side in image.shape)
    padded = np.pad(scaled, ((0, rows), (0, columns)), "reflect")
    mask = image_mean(padded)[: image.shape[0], : image.shape[1]]
    return mask, label_objects(mask, mask * mask, IMAGE_CARD.segmentation)


@settings(deadline=None, max_examples=40)
@given(
    height=st.integers(4, 60),
    width=st.integers(4, 60),
    seed=st.integers(0, 99),
    tile=st.sampled_from([8, 12, 20, 64]),
    kind=st.sampled_from([np.uint8, np.uint16]),
)
def test_tiles_give_what_the_whole_gives(
    cells: Predictor, height: int, width: int, seed: int, tile: int, kind: type
) -> None:
    image = blobs(height, width, seed, kind)
    found = seqtile.segment(cells, image, tile=tile, batch_size=3)
    mask, labels = whole(image)
    np.testing.assert_allclose(found.probabilities["mask"], mask, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found.labels, labels)
    assert len(found) == labels.max()
    means = [mask[labels == i].mean() for i in range(1, len(found) + 1)]
    np.testing.assert_allclose(found.objects["probability"], means, rtol=1e-4)
    assert found.objects["area"].tolist() == np.bincount(labels.ravel())[1:].tolist()


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (3, 2), (4, 4), (5, 3)])
def test_an_image_smaller_than_the_stride(cells: Predictor, shape: tuple[int, int]) -> None:
    image = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    found = seqtile.segment(cells, image)
    assert found.labels.shape == found.probabilities["mask"].shape == shape


def test_colours_are_taken_as_grey(cells: Predictor) -> None:
    grey = blobs(30, 40)
    expected = seqtile.segment(cells, grey)
    found = seqtile.segment(cells, np.repeat(grey[..., None], 3, 2))
    np.testing.assert_array_equal(found.labels, expected.labels)


def test_dark_objects(cells: Predictor) -> None:
    image = blobs(30, 40)
    expected = seqtile.segment(cells, image)
    found = seqtile.segment(cells, 255 - image, invert=True)
    np.testing.assert_array_equal(found.labels, expected.labels)


def test_contrast_does_not_matter(cells: Predictor) -> None:
    image = blobs(30, 40)
    expected = seqtile.segment(cells, image)
    found = seqtile.segment(cells, image.astype(np.uint16) * 7 + 300)
    np.testing.assert_allclose(found.probabilities["mask"], expected.probabilities["mask"])


def test_the_options_count(cells: Predictor) -> None:
    image = blobs(40, 40)
    mask, _ = whole(image)
    found = seqtile.segment(cells, image, mask_threshold=0.4, marker_threshold=0.3, min_area=9)
    changed = structs.replace(
        IMAGE_CARD.segmentation, mask_threshold=0.4, marker_threshold=0.3, min_area=9
    )
    np.testing.assert_array_equal(found.labels, label_objects(mask, mask * mask, changed))
    brighter = seqtile.segment(cells, image, percentiles=(10, 60))
    expected = image_mean(scale(image, (10, 60)))
    np.testing.assert_allclose(brighter.probabilities["mask"], expected, atol=1e-6)
    options = SegmentOptions(tile=20)
    np.testing.assert_array_equal(
        seqtile.segment(cells, image, options, min_area=9).labels,
        seqtile.segment(cells, image, min_area=9).labels,
    )


def test_less_overlap_than_the_receptive_field_needs_shows(cells: Predictor) -> None:
    """Else the test above would prove nothing."""
    image = blobs(40, 40)
    found = seqtile.segment(cells, image, tile=8, overlap=0)
    assert np.abs(found.probabilities["mask"] - whole(image)[0]).max() > 0.01


def test_tiles_of_many_images_go_together(tmp_path: Path) -> None:
    counting = seqtile.load(image_folder(tmp_path / "cells", counts=True), device="cpu")
    images = [blobs(16 + 4 * (i % 2), 20, i) for i in range(20)]
    together = []
    for image, found in zip(
        images, segmented(counting, images, SegmentOptions(), keep=True), strict=True
    ):
        with labelled(found):
            np.testing.assert_allclose(found.probabilities["mask"], whole(image)[0], atol=1e-6)
            (number,) = np.unique(found.probabilities["marker"])
            together.append(round(float(number) * 100))
    batches = round(sum(1 / number for number in together))
    assert 8 <= batches < len(images)
    assert max(together) >= 3


def labelled(found: LabelledImage | FailedImage) -> LabelledImage:
    assert isinstance(found, LabelledImage), found
    return found


@pytest.mark.parametrize("pixels", [1, 1 << 9, 1 << 20])
def test_tiles_of_many_images_give_what_each_gives(folder: Path, pixels: int) -> None:
    few = seqtile.load(folder, device="cpu", limits=Limits(cpu_tile_pixels=pixels, open_images=9))
    images = [blobs(13 + 11 * (i % 3), 20 + i, i) for i in range(12)]
    options = SegmentOptions(tile=12)
    for image, found in zip(images, segmented(few, images, options), strict=True):
        with labelled(found):
            np.testing.assert_array_equal(found.labels.rows(0, len(image)), whole(image)[1])
            np.testing.assert_array_equal(found.image.read(), image)


def test_progress_counts_the_pixels_of_tiles(folder: Path) -> None:
    few = seqtile.load(folder, device="cpu", limits=Limits(cpu_tile_pixels=1))
    seen: list[int] = []
    images = [blobs(20, 20), blobs(8, 30)]
    for found in segmented(few, images, SegmentOptions(tile=12), progress=seen.append):
        labelled(found).close()
    sizes = [SegmentOptions(tile=12).plan(IMAGE_CARD, *image.shape) for image in images]
    assert seen[-1] == sum(len(plan) * plan.size[0] * plan.size[1] for plan in sizes)
    assert seen == sorted(set(seen))
    assert len(seen) == sum(map(len, sizes))


@pytest.mark.parametrize("broken", [False, True])
def test_few_images_are_open_at_a_time(broken: bool, cells: Predictor) -> None:
    asked = 0

    def images() -> Iterator[np.ndarray | str]:
        nonlocal asked
        for seed in range(200):
            asked += 1
            yield "no-such-image.png" if broken else blobs(8, 8, seed)

    ahead = 0
    found = segmented(cells, images(), SegmentOptions(), failures=IMAGE_FAILURES)
    for count, image in enumerate(found, 1):
        ahead = max(ahead, asked - count + 1)
        assert isinstance(image, FailedImage) == broken
        if isinstance(image, LabelledImage):
            image.close()
    assert count == 200
    assert 2 <= ahead <= 64


def open_files(folder: Path) -> list[str]:
    """Names of this folder's files that this process has open."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    files = [Path(os.path.realpath(link)) for link in links]
    return sorted(file.name for file in files if file.parent == folder.resolve())


def tiff(path: Path, image: np.ndarray) -> Path:
    tifffile.imwrite(path, image, tile=(16, 16), compression="deflate")
    return path


def damage(path: Path) -> None:
    """Make the last tile one that cannot be decoded; who has the file open sees it, too."""
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        offset, count = page.dataoffsets[-1], page.databytecounts[-1]
    with path.open("r+b") as content:
        content.seek(offset)
        content.write(bytes(count))


def test_an_image_that_is_damaged_on_the_way_does_not_end_the_others(
    folder: Path, tmp_path: Path
) -> None:
    """Some strips of it have been through the model when the last one cannot be decoded."""
    careful = seqtile.load(folder, device="cpu", threads=1, limits=Limits(cpu_tile_pixels=1))
    images = [tiff(tmp_path / f"{i}.tif", blobs(400, 16, i)) for i in range(3)]
    options = SegmentOptions(tile=16)
    tiles = len(options.plan(IMAGE_CARD, 400, 16))
    expected = [seqtile.segment(careful, image).labels for image in images]

    def progress(pixels: int) -> None:
        if pixels == (tiles + 3) * 16 * 16:
            damage(images[1])

    found = segmented(careful, images, options, failures=IMAGE_FAILURES, progress=progress)
    for i, image in enumerate(found):
        if isinstance(image, LabelledImage):
            with image:
                np.testing.assert_array_equal(image.labels.rows(0, 400), expected[i])
        else:
            assert i == 1
            assert image.name == str(images[1])
            assert isinstance(image.error, ImageError)
    assert i == 2
    assert open_files(tmp_path) == []


def test_no_file_stays_open_behind_who_takes_no_more(cells: Predictor, tmp_path: Path) -> None:
    images = [tiff(tmp_path / f"{i}.tif", blobs(40, 40, i)) for i in range(60)]
    found = segmented(cells, images, SegmentOptions(tile=16))
    with labelled(next(found)):
        assert len(open_files(tmp_path)) > 1
    found.close()
    assert open_files(tmp_path) == []


def test_an_error_that_is_no_image_s_ends_all_and_closes_them(
    cells: Predictor, tmp_path: Path
) -> None:
    images = [tiff(tmp_path / f"{i}.tif", blobs(40, 40, i)) for i in range(9)]
    found = segmented(cells, [*images, tmp_path / "none.tif"], SegmentOptions())
    with pytest.raises(FileNotFoundError, match=r"none\.tif"):
        deque((labelled(image).close() for image in found), maxlen=0)
    assert open_files(tmp_path) == []


def test_the_first_image_counts_as_read(cells: Predictor) -> None:
    def images() -> Iterator[np.ndarray]:
        time.sleep(0.05)
        yield blobs(8, 8)

    profile = Profile()
    for found in segmented(cells, images(), SegmentOptions(), profile=profile):
        labelled(found).close()
    assert profile.seconds["read"] >= 0.05
    assert profile.verdict() == "feed-limited"


def test_an_interrupt_while_an_image_is_read_stays_one(cells: Predictor) -> None:
    reading, go_on = threading.Event(), threading.Event()

    def images() -> Iterator[np.ndarray]:
        yield from [blobs(8, 8)] * 100
        reading.set()
        go_on.wait(10)

    found = segmented(cells, images(), SegmentOptions())
    while not reading.is_set():
        labelled(next(found)).close()
    with pytest.raises(KeyboardInterrupt):
        found.throw(KeyboardInterrupt)
    go_on.set()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tile": 16, "overlap": 16}, "overlap must be smaller than tile, not 16 with tile 16"),
        ({"tile": 16, "overlap": 20}, "overlap must be smaller than tile"),
        ({"tile": 18}, "must be multiples of the network's stride 4, not 18 and 4"),
        ({"tile": 16, "overlap": 3}, "must be multiples of the network's stride 4, not 16 and 3"),
        ({"tile": 0}, "multiples of the network's stride 4, not 0"),
        ({"overlap": -4}, "multiples of the network's stride 4, not 1024 and -4"),
        ({"mask_threshold": 1.5}, "mask_threshold must be 0 to 1, not 1.5"),
        ({"min_area": -1}, "min_area must not be negative, not -1"),
        ({"noise_floor": float("nan")}, "noise_floor must not be negative, not nan"),
        ({"percentiles": (50, 50)}, "percentiles must be two numbers"),
        ({"batch_size": 0}, "batch_size must be 'auto' or at least 1, not 0"),
    ],
)
def test_options_out_of_range(cells: Predictor, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        seqtile.segment(cells, blobs(8, 8), **options)


def test_an_array_has_no_levels(cells: Predictor) -> None:
    with pytest.raises(ValueError, match="level must be 0 for an array, not 1"):
        seqtile.segment(cells, blobs(8, 8), level=1)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4)), "image must be uint8 or uint16, not float64"),
        (np.zeros((4, 4, 4), np.uint8), r"shape \(H, W\), grey, or \(H, W, 3\), RGB"),
        (np.zeros((0, 4), np.uint8), r"not \(0, 4\)"),
        (np.zeros(4, np.uint8), r"not \(4,\)"),
    ],
)
def test_arrays_that_are_no_images(cells: Predictor, image: np.ndarray, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        seqtile.segment(cells, image)


def test_a_model_that_does_not_segment(tmp_path: Path) -> None:
    letters = seqtile.load(model_folder(tmp_path / "tiny"), device="cpu")
    with pytest.raises(TypeError, match="tiny does not segment images: it takes sequences"):
        seqtile.segment(letters, blobs(8, 8))
    colours = seqtile.load(colour_folder(tmp_path / "rgb"), device="cpu")
    with pytest.raises(TypeError, match="colours does not segment images: use predict"):
        seqtile.segment(colours, blobs(8, 8))
