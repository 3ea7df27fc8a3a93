"""Predictions from images: any batch size, sizes mixed, every wrong one refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import seqtile
from seqtile import Predictor
from seqtile.errors import ShapeError
from tests.python.models import colour_folder, image_folder, image_mean, model_folder
from tests.python.sessions import batch_sizes


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A model of grey images, sides of multiples of 4."""
    return seqtile.load(image_folder(tmp_path_factory.mktemp("models") / "cells"), device="cpu")


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A model of RGB images of 6 x 5 pixels."""
    return seqtile.load(colour_folder(tmp_path_factory.mktemp("models") / "rgb"), device="cpu")


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("batch_size", [1, 3, 50, "auto"])
def test_a_batch(grey: Predictor, batch_size: int | str) -> None:
    images = pixels(7, 8, 16)
    result = grey.predict(images, batch_size=batch_size)
    assert list(result) == ["mask", "marker"]
    expected = np.stack([image_mean(image) for image in images])
    np.testing.assert_allclose(result["mask"], expected, atol=1e-6)
    np.testing.assert_allclose(result["marker"], expected**2, atol=1e-6)


def test_kinds_of_batches_agree(colour: Predictor) -> None:
    images = pixels(9, 6, 5, 3)
    expected = colour.predict(images)["share"]
    means = images.mean((1, 2))
    np.testing.assert_allclose(expected, means / means.sum(1, keepdims=True), rtol=1e-5)
    for same in (list(images), tuple(images), np.asfortranarray(images), images[::-1][::-1]):
        np.testing.assert_array_equal(colour.predict(same)["share"], expected)
    np.testing.assert_array_equal(colour.predict(images[0])["share"], expected[:1])
    np.testing.assert_allclose(colour.embed(images), means, rtol=1e-5)


def test_one_grey_image_is_a_batch_of_one(grey: Predictor) -> None:
    image = pixels(4, 8)
    assert grey.predict(image)["mask"].shape == (1, 4, 8)


def test_no_images(colour: Predictor) -> None:
    assert colour.predict([])["share"].shape == (0, 3)
    assert colour.predict(np.empty((0, 6, 5, 3), np.uint8))["share"].shape == (0, 3)


def test_sizes_may_be_mixed_one_after_another(grey: Predictor) -> None:
    images = [pixels(4 + 4 * (i % 3), 8 + 4 * (i % 2)) for i in range(11)]
    for batch_size in (1, 4, "auto"):
        results = list(grey.predict_iter(iter(images), batch_size=batch_size))
        for image, result in zip(images, results, strict=True):
            np.testing.assert_allclose(result["mask"], image_mean(image), atol=1e-6)
    with pytest.raises(ShapeError, match="the shape of output 'mask' depends on that of the input"):
        grey.predict(images)


def test_large_images_go_one_by_one(grey: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = batch_sizes(monkeypatch)
    grey.predict(np.zeros((3, 512, 516), np.uint8))
    grey.predict(np.zeros((9, 256, 256), np.uint8))
    assert sorted(sizes) == sorted([1, 1, 1, 4, 4, 1])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (pixels(6, 8), "image 0 is 6 pixels high, the model takes multiples of 4 from 4 on"),
        (pixels(8, 9), "image 0 is 9 pixels wide, the model takes multiples of 4"),
        ([pixels(8, 8), pixels(8, 8, 3)], r"image 1 has the shape \(8, 8, 3\), .* takes grey"),
        (pixels(8, 8).astype(np.uint16), "image 0: expected an array of uint8.*not uint16"),
        ([pixels(8, 8).astype(float)], "image 0: expected an array of uint8.*not float64"),
        (["cell.png"], "image 0: expected an array of uint8, grey, shape .H, W., not str"),
        ("cell.png", "image 0: expected an array of uint8"),
        (np.empty((2, 0, 8), np.uint8), "image 0 is 0 pixels high"),
    ],
)
def test_refused_by_the_grey_model(grey: Predictor, image: object, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        grey.predict(image)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (pixels(6, 5), r"image 0 has the shape \(5,\)|image 0 has the shape \(6, 5\)"),
        (pixels(2, 6, 5, 4), r"image 0 has the shape \(6, 5, 4\), the model takes RGB"),
        (pixels(5, 6, 3), r"image 0 is 5 x 6 pixels \(height x width\), the model takes 6 x 5"),
    ],
)
def test_refused_by_the_colour_model(colour: Predictor, image: object, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        colour.predict(image)


def test_sequences_and_images_are_not_mixed_up(grey: Predictor, tmp_path: Path) -> None:
    assert (grey.takes, grey.window) == ("images", None)
    assert grey.image_input.channels == 1
    fasta = tmp_path / "x.fa"
    fasta.write_text(">a\nACGT\n")
    with pytest.raises(TypeError, match="cells takes images, not sequences"):
        list(grey.predict_fasta(fasta))
    with pytest.raises(TypeError, match="cells takes images, not sequences"):
        list(seqtile.scan(grey, fasta))
    letters = seqtile.load(model_folder(tmp_path / "tiny"), device="cpu")
    with pytest.raises(TypeError, match="tiny takes sequences, not images"):
        letters.image_input  # noqa: B018
