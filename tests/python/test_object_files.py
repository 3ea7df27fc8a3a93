"""Label TIFFs read by tifffile, OpenCV and scikit-image; GeoJSON read by shapely."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.io
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from shapely.geometry import Point, shape
from shapely.prepared import prep

from seqtile.execution.limits import Limits
from seqtile.models.contract import Segmentation
from seqtile.segmenting.labelling import LabelMap, StripLabeller
from seqtile.segmenting.object_files import write_geojson, write_label_tiff
from seqtile.segmenting.objects import ObjectTable
from tests.python.pictures import write_to


@contextmanager
def label_map(mask: NDArray[Any], step: int = 1 << 20) -> Iterator[LabelMap]:
    """Labels of the components of a mask, of which ``step`` rows are read at a time."""
    limits = Limits(strip_pixels=step * mask.shape[1])
    with StripLabeller(mask.shape[1], Segmentation(), limits=limits) as labeller:
        labeller.add(np.ascontiguousarray(mask, np.float32), None)
        yield labeller.finish()


def noise(shape: tuple[int, int], density: float, seed: int = 0) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random(shape) < density


def checkerboard(height: int, width: int) -> NDArray[np.bool_]:
    return np.add.outer(np.arange(height), np.arange(width)) % 2 == 0


@pytest.mark.parametrize(
    ("mask", "dtype"),
    [
        (noise((1, 1), 2), "uint16"),
        (noise((300, 700), 0.3), "uint16"),
        (np.zeros((256, 512), bool), "uint16"),
        (checkerboard(400, 400), "uint32"),
    ],
)
def test_label_tiffs_can_be_read_back(tmp_path: Path, mask: NDArray[Any], dtype: str) -> None:
    path = tmp_path / "labels.tiff"
    with label_map(mask) as labels:
        write_to(path, write_label_tiff, labels, pixel_size=(0.5, 0.25))
        expected = labels.rows(0, len(mask)).astype(dtype)
        other = tmp_path / "two.tiff"
        write_to(other, write_label_tiff, labels, pixel_size=(0.5, 0.25), threads=2)
    assert other.read_bytes() == path.read_bytes()
    for image in (tifffile.imread(path), skimage.io.imread(path)):
        assert (image.dtype, image.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(image, expected)
    if dtype == "uint16":
        read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert read is not None
        assert read.dtype == expected.dtype
        np.testing.assert_array_equal(read, expected)
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        assert (page.tile, page.compression.name, page.predictor.name, file.is_bigtiff) == (
            (256, 256),
            "ADOBE_DEFLATE",
            "HORIZONTAL",
            False,
        )
        assert page.get_resolution("MICROMETER") == pytest.approx((4, 2))


def test_large_ones_are_big_tiffs(tmp_path: Path) -> None:
    path = tmp_path / "labels.tiff"
    mask = noise((200, 300), 0.4)
    with label_map(mask) as labels:
        write_to(path, write_label_tiff, labels, largest=1 << 18)
        expected = labels.rows(0, 200)
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff
        assert "XResolution" not in file.pages.first.tags or file.pages.first.resolutionunit == 1
        np.testing.assert_array_equal(file.asarray(), expected)
    np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), expected)


def features_of(path: Path) -> list[dict[str, Any]]:
    content = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert content["type"] == "FeatureCollection"
    features: list[dict[str, Any]] = content["features"]
    return features


@given(
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    density=st.sampled_from([0.2, 0.5, 0.7, 0.9]),
    step=st.integers(1, 8),
    seed=st.integers(0, 1000),
)
def test_outlines_hold_the_object_s_pixels_and_no_others(
    tmp_path_factory: pytest.TempPathFactory,
    height: int,
    width: int,
    density: float,
    step: int,
    seed: int,
) -> None:
    mask = noise((height, width), density, seed)
    path = tmp_path_factory.mktemp("outlines") / "a.geojson"
    with label_map(mask, step) as labels:
        write_to(path, write_geojson, labels)
        pixels = labels.rows(0, height)
    features = features_of(path)
    names = [int(feature["properties"]["name"]) for feature in features]
    assert sorted(names) == list(range(1, pixels.max() + 1))
    for label, feature in zip(names, features, strict=True):
        polygon = shape(feature["geometry"])
        assert polygon.is_valid
        assert polygon.area == (pixels == label).sum()
        assert polygon.exterior.is_ccw
        assert not any(ring.is_ccw for ring in polygon.interiors)
        for ring in feature["geometry"]["coordinates"]:
            assert ring[0] == ring[-1]
        holds = prep(polygon).contains
        ys, xs = np.nonzero(pixels == label)
        assert all(holds(Point(x + 0.5, y + 0.5)) for y, x in zip(ys, xs, strict=True))


def comb(height: int, width: int) -> NDArray[np.bool_]:
    """A comb as high as the image, beside whose teeth small objects end."""
    mask = np.zeros((height, width), np.bool_)
    mask[0] = mask[:, ::4] = True
    mask[2::3, 2] = True
    return mask


@pytest.mark.parametrize("step", [1, 2, 5, 100])
def test_an_object_as_high_as_the_image_waits_for_its_end(tmp_path: Path, step: int) -> None:
    with label_map(comb(60, 13), step) as labels:
        write_to(tmp_path / "a.geojson", write_geojson, labels)
        pixels = labels.rows(0, 60)
    features = features_of(tmp_path / "a.geojson")
    areas = {int(f["properties"]["name"]): shape(f["geometry"]).area for f in features}
    assert areas == {n: (pixels == n).sum() for n in range(1, pixels.max() + 1)}
    assert len(areas) == 21


def test_an_object_as_high_as_the_image_is_moved_once(tmp_path: Path) -> None:
    """Else the time of an image four times as high is sixteen times as long."""

    def seconds(height: int) -> float:
        with label_map(comb(height, 400), 1) as labels:
            begin = time.thread_time()
            write_to(tmp_path / "a.geojson", write_geojson, labels)
            return time.thread_time() - begin

    seconds(50)
    assert seconds(1200) < 10 * seconds(300)


def test_a_ring_and_a_pixel(tmp_path: Path) -> None:
    mask = np.ones((4, 6))
    mask[1:3, 1:3] = mask[:, 4] = mask[1:, 5] = 0
    path = tmp_path / "a.geojson"
    with label_map(mask) as labels:
        table = ObjectTable(labels.count)
        table.add(0, labels.rows(0, 4), mask * [1, 1, 1, 1, 1, np.nan])
        write_to(path, write_geojson, labels, columns=table.columns())
    ring, pixel = features_of(path)
    assert ring["geometry"] == {
        "type": "Polygon",
        "coordinates": [
            [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]],
            [[1, 1], [1, 3], [3, 3], [3, 1], [1, 1]],
        ],
    }
    assert pixel["geometry"]["coordinates"] == [[[5, 0], [6, 0], [6, 1], [5, 1], [5, 0]]]
    properties = pixel["properties"]
    assert properties["objectType"] == "detection"
    assert properties["name"] == "2"
    assert "classification" not in properties
    assert properties["measurements"] == {  # without what is NaN
        "area": 1,
        "centroid_y": 0,
        "centroid_x": 5,
        "y0": 0,
        "y1": 1,
        "x0": 5,
        "x1": 6,
        "equivalent_diameter": 1.128379,
    }
    assert ring["properties"]["measurements"]["mean"] == 1


def test_outlines_of_a_reduced_image_are_those_of_the_full_one(tmp_path: Path) -> None:
    with label_map(np.ones((2, 3))) as labels:
        write_to(tmp_path / "a.geojson", write_geojson, labels, scale=(4.0, 4.125))
    (feature,) = features_of(tmp_path / "a.geojson")
    assert feature["geometry"]["coordinates"] == [[[0, 0], [12.38, 0], [12.38, 8], [0, 8], [0, 0]]]


def test_no_objects_give_an_empty_collection(tmp_path: Path) -> None:
    with label_map(np.zeros((3, 3))) as labels:
        write_to(tmp_path / "a.geojson", write_geojson, labels)
    assert features_of(tmp_path / "a.geojson") == []


def test_a_feature_a_line(tmp_path: Path) -> None:
    with label_map(noise((40, 50), 0.3)) as labels:
        write_to(tmp_path / "a.geojson", write_geojson, labels)
        count = labels.count
    lines = (tmp_path / "a.geojson").read_text().splitlines()
    assert len(lines) == count + 2
    assert all(json.loads(line.rstrip(","))["type"] == "Feature" for line in lines[1:-1])
