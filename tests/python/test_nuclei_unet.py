"""The shipped segmentation model on real images: tiles equal the whole, and nuclei are found."""

from __future__ import annotations

from pathlib import Path

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
    padded = np.pad(scale(image, settings.percentiles), pads, "reflect")
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
