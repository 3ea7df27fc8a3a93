"""The shipped segmentation model on real images: tiles equal the whole, and nuclei are found."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import seqtile
from seqtile import Predictor, example_path, scale
from seqtile.segmenting.labelling import label_objects


@pytest.fixture(scope="module")
def unet() -> Predictor:
    return seqtile.load("nuclei-unet", device="cpu")


def whole(unet: Predictor, image: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The model's answers for the image as a single input, and the labels they give."""
    settings, stride = unet.card.segmentation, unet.card.inputs[0].length_multiple
    pads = [(0, -side % stride) for side in image.shape]
    scaled = scale(image, settings.percentiles, settings.noise_floor)
    padded = np.pad(scaled, pads, "reflect")
    height, width = image.shape
    found = {name: v[0, :height, :width] for name, v in unet.predict(padded).items()}
    return found, label_objects(found[settings.mask], found[settings.marker], settings)


@pytest.mark.parametrize("tile", [256, 384])
def test_tiles_equal_the_whole_on_a_real_image(unet: Predictor, tile: int) -> None:
    image = seqtile.read_image(example_path("nuclei"))
    answers, labels = whole(unet, image)
    found = seqtile.segment(unet, image, tile=tile)
    for name, values in answers.items():
        np.testing.assert_allclose(found.probabilities[name], values, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found.labels, labels)


def test_tiles_equal_the_whole_on_a_slide(unet: Predictor, data_root: Path) -> None:
    """A piece of stained tissue, 1,100 x 1,000 pixels."""
    slide = seqtile.read_image(data_root / "histology_large" / "CMU-1-Small-Region.svs")
    image = slide[:1100, 700:1700].mean(2).astype(np.uint8)
    answers, _ = whole(unet, image)
    found = seqtile.segment(unet, image, tile=512)
    for name, values in answers.items():
        np.testing.assert_allclose(found.probabilities[name], values, rtol=0, atol=1e-5)


def test_it_finds_the_nuclei_of_the_example(unet: Predictor) -> None:
    """179 by the annotation."""
    found = seqtile.segment(unet, example_path("nuclei"))
    assert 161 <= len(found) <= 197
    assert (found.labels > 0).mean() == pytest.approx(0.297, abs=0.03)


def test_more_light_and_16_bits_change_little(unet: Predictor) -> None:
    image = seqtile.read_image(example_path("nuclei"))
    expected = seqtile.segment(unet, image)
    found = seqtile.segment(unet, image.astype(np.uint16) * 150 + 1000)
    overlap = ((found.labels > 0) & (expected.labels > 0)).sum()
    union = ((found.labels > 0) | (expected.labels > 0)).sum()
    assert overlap / union > 0.99


@pytest.mark.parametrize("height", [60, 3000])  # 12 and 600 times the noise
@pytest.mark.parametrize("discs", [0, 1, 3, 10])
def test_a_sparse_field_has_no_objects_of_noise(unet: Predictor, height: int, discs: int) -> None:
    rng = np.random.default_rng(discs)
    y, x = np.mgrid[:400, :640]
    image = np.zeros((400, 640), np.float32)
    for i in range(discs):
        row, column = 40 + 110 * (i // 5) + rng.integers(20), 40 + 110 * (i % 5) + rng.integers(20)
        image[(y - row) ** 2 + (x - column) ** 2 <= 64] = height
    image = cv2.GaussianBlur(image, (0, 0), 1.5) + 100 + rng.normal(0, 5, image.shape)
    pixels = np.clip(np.rint(image), 0, 65535).astype(np.uint16)
    assert len(seqtile.segment(unet, pixels)) == discs
    if discs <= 1:
        assert len(seqtile.segment(unet, pixels, noise_floor=0)) > 2 * discs
