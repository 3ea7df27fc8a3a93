"""What follows labels: the table of objects, outlines as GeoJSON, the label TIFF.

pytest benches/bench_objects.py --benchmark-only -s
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benches.blobs import cells
from benches.compare import peers, record, speed_ratio
from seqtile.models.contract import Segmentation
from seqtile.segmenting.labelling import LabelMap, StripLabeller
from seqtile.segmenting.object_files import write_geojson, write_label_tiff
from seqtile.segmenting.objects import ObjectTable

SIDE = 2048
PROPERTIES = (
    "label",
    "area",
    "centroid",
    "bbox",
    "mean_intensity",
    "min_intensity",
    "max_intensity",
)


@pytest.fixture(scope="module")
def labels() -> Iterator[LabelMap]:
    mask, _ = cells(SIDE)
    with StripLabeller(SIDE, Segmentation(mask_threshold=0.5, min_area=1)) as labeller:
        labeller.add(mask, None)
        yield labeller.finish()


@pytest.fixture(scope="module")
def image(labels: LabelMap) -> Any:
    return np.random.default_rng(1).integers(0, 256, labels.shape, np.uint8)


def test_table(benchmark: Any, labels: LabelMap, image: Any) -> None:
    pixels = labels.rows(0, SIDE)

    def ours() -> Any:
        table = ObjectTable(labels.count)
        table.add(0, pixels, image)
        return table.columns()

    def skimage() -> Any:
        from skimage.measure import regionprops_table

        return regionprops_table(pixels, image, properties=PROPERTIES)

    def scipy() -> Any:
        from scipy import ndimage

        index = np.arange(1, labels.count + 1)
        return (
            ndimage.sum_labels(np.ones_like(image), pixels, index),
            ndimage.center_of_mass(np.ones_like(image), pixels, index),
            ndimage.find_objects(pixels.astype(np.int32)),
            ndimage.mean(image, pixels, index),
            ndimage.minimum(image, pixels, index),
            ndimage.maximum(image, pixels, index),
        )

    found, expected = ours(), skimage()
    pairs = {
        "area": "area",
        "centroid_y": "centroid-0",
        "centroid_x": "centroid-1",
        "y0": "bbox-0",
        "x0": "bbox-1",
        "y1": "bbox-2",
        "x1": "bbox-3",
        "mean": "mean_intensity",
        "min": "min_intensity",
        "max": "max_intensity",
    }
    for name, other in pairs.items():
        np.testing.assert_allclose(found[name], expected[other], rtol=1e-9)
    np.testing.assert_allclose(found["mean"], scipy()[3], rtol=1e-9)
    spare = np.empty_like(pixels)
    record(
        benchmark,
        f"table of {labels.count:,} objects, {SIDE} x {SIDE}",
        speed_ratio(ours, lambda: np.copyto(spare, pixels), 7),
        limit="memcpy of the labels",
        target=None,
        rate=(pixels.size / 1e6, "Mpixels/s"),
        peers=peers(ours, {"scikit-image": skimage, "scipy.ndimage": scipy}, 1),
    )
    benchmark.pedantic(ours, rounds=1)


def polygon_area(rings: Any) -> float:
    """Area of a GeoJSON polygon: its outer ring's less its holes'."""
    areas = []
    for ring in rings:
        x, y = np.array(ring, float).T
        areas.append(abs(float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))) / 2)
    return areas[0] - sum(areas[1:])


def test_outlines(benchmark: Any, labels: LabelMap, tmp_path: Path) -> None:
    pixels = labels.rows(0, SIDE)
    target, other = tmp_path / "ours.geojson", tmp_path / "theirs.geojson"

    def ours() -> None:
        with target.open("wb") as file:
            write_geojson(file, labels)

    def collection(shapes: Any) -> None:
        features = [
            {"type": "Feature", "geometry": geometry, "properties": {"name": str(int(label))}}
            for geometry, label in shapes
        ]
        with other.open("w") as file:
            json.dump({"type": "FeatureCollection", "features": features}, file)

    def rasterio() -> None:
        from rasterio.features import shapes

        collection(shapes(pixels.astype(np.int32), mask=pixels > 0, connectivity=4))

    def opencv() -> None:
        """Contours of each object in its box, through the pixels' centres."""
        import cv2
        from scipy.ndimage import find_objects

        found = []
        for label, box in enumerate(find_objects(pixels.astype(np.int32)), 1):
            part = (pixels[box] == label).view(np.uint8)
            rings, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
            offset = np.array([box[1].start, box[0].start])
            ring = (rings[0][:, 0] + offset).tolist()
            found.append(({"type": "Polygon", "coordinates": [[*ring, ring[0]]]}, label))
        collection(found)

    ours()
    areas = np.bincount(pixels.ravel())[1:]
    features = json.loads(target.read_text())["features"]
    assert len(features) == labels.count
    for feature in features:
        number = int(feature["properties"]["name"])
        assert polygon_area(feature["geometry"]["coordinates"]) == areas[number - 1]
    content = target.read_bytes()

    def write_alone() -> None:
        other.write_bytes(content)

    record(
        benchmark,
        f"outlines of {labels.count:,} objects as GeoJSON",
        speed_ratio(ours, write_alone, 5),
        limit="writing the same bytes",
        target=None,
        rate=(labels.count / 1e3, "thousand objects/s"),
        peers=peers(ours, {"rasterio": rasterio, "OpenCV, by object": opencv}, 1),
    )
    benchmark.pedantic(ours, rounds=1)


def test_label_tiff(benchmark: Any, labels: LabelMap, tmp_path: Path) -> None:
    import tifffile

    pixels = labels.rows(0, SIDE).astype(np.uint16)
    target, other = tmp_path / "ours.tif", tmp_path / "theirs.tif"

    def ours() -> None:
        with target.open("wb") as file:
            write_label_tiff(file, labels)

    def plain() -> None:
        tifffile.imwrite(
            other,
            pixels,
            tile=(256, 256),
            compression="adobe_deflate",
            predictor=True,
            maxworkers=1,
        )

    def pillow() -> None:
        from PIL import Image

        Image.fromarray(pixels).save(other, compression="tiff_adobe_deflate")

    ours()
    np.testing.assert_array_equal(tifffile.imread(target), pixels)
    record(
        benchmark,
        f"labels to a tiled TIFF, {SIDE} x {SIDE}, from runs",
        speed_ratio(ours, plain, 5),
        limit="tifffile, from an array",
        target=None,
        rate=(pixels.size / 1e6, "Mpixels/s"),
        peers=peers(ours, {"Pillow": pillow}, 3),
    )
    benchmark.pedantic(ours, rounds=1)
