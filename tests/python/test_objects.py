"""Tables of objects against scikit-image's regionprops."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.measure import regionprops_table

from seqtile import ShapeError
from seqtile.segmenting.objects import ObjectTable, write_objects
from tests.python.pictures import write_to

SUFFIXES = {1: [""], 2: ["_0", "_1"], 3: ["_red", "_green", "_blue"]}


def scene(height: int, width: int, seed: int) -> NDArray[np.uint32]:
    """Labels 1 to n, each of at least a pixel; objects need not hang together."""
    labels = np.random.default_rng(seed).integers(0, 6, (height, width))
    labels = np.repeat(labels, 3, axis=1)[:, :width]
    return (
        np.unique(np.append(labels.ravel(), 0), return_inverse=True)[1][:-1]
        .reshape(height, width)
        .astype(np.uint32)
    )


def image_of(shape: tuple[int, ...], dtype: str, seed: int) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    if dtype.startswith("float"):
        return (rng.random(shape) * 100 - 50).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, shape).astype(dtype)


def expected(
    labels: NDArray[np.uint32],
    image: NDArray[Any],
    probability: NDArray[np.float32],
    pixel_size: tuple[float, float],
) -> dict[str, NDArray[Any]]:
    names = {
        "label": "label",
        "area": "area",
        "centroid-0": "centroid_y",
        "centroid-1": "centroid_x",
        "bbox-0": "y0",
        "bbox-2": "y1",
        "bbox-1": "x0",
        "bbox-3": "x1",
        "equivalent_diameter_area": "equivalent_diameter",
    }
    properties = ("label", "area", "centroid", "bbox", "equivalent_diameter_area")
    table = regionprops_table(labels.astype(np.int64), properties=properties)
    out = {name: table[key] for key, name in names.items()}
    planes = image[..., None] if image.ndim == 2 else image
    properties = ("intensity_mean", "intensity_min", "intensity_max")
    for c, suffix in enumerate(SUFFIXES[planes.shape[2]]):
        plane = planes[..., c].astype(np.float64)
        table = regionprops_table(labels.astype(np.int64), plane, properties=properties)
        out |= {key.removeprefix("intensity_") + suffix: table[key] for key in properties}
    out["probability"] = regionprops_table(
        labels.astype(np.int64), probability.astype(np.float64), properties=("intensity_mean",)
    )["intensity_mean"]
    table = regionprops_table(
        labels.astype(np.int64),
        spacing=pixel_size,
        properties=("area", "centroid", "equivalent_diameter_area"),
    )
    keys = ("area_um2", "centroid_y_um", "centroid_x_um", "equivalent_diameter_um")
    return out | dict(zip(keys, table.values(), strict=True))


@given(
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    dtype=st.sampled_from(["uint8", "uint16", "int16", "float32"]),
    channels=st.sampled_from([None, 1, 2, 3]),
    step=st.integers(1, 9),
    seed=st.integers(0, 1000),
)
def test_the_table_is_that_of_regionprops(
    height: int, width: int, dtype: str, channels: int | None, step: int, seed: int
) -> None:
    labels = scene(height, width, seed)
    shape = (height, width) if channels is None else (height, width, channels)
    image = image_of(shape, dtype, seed)
    probability = image_of((height, width), "float32", seed + 1)
    table = ObjectTable(int(labels.max()), pixel_size=(0.5, 0.25))
    tops = np.random.default_rng(seed).permutation(np.arange(0, height, step))
    for top in tops.tolist():  # in any order
        rows = slice(top, top + step)
        table.add(top, labels[rows], image[rows], probability[rows])
    columns = table.columns()
    oracle = expected(labels, image, probability, (0.5, 0.25)) if labels.any() else {}
    for name, values in oracle.items():
        np.testing.assert_allclose(columns[name], values, rtol=1e-6, atol=1e-6, err_msg=name)
    assert not oracle or set(columns) == set(oracle)
    assert all(len(column) == labels.max() for column in columns.values())


def small_table() -> dict[str, NDArray[Any]]:
    table = ObjectTable(2)
    labels = np.array([[1, 1, 0, 2], [0, 1, 0, 2]], np.uint32)
    table.add(5, labels, np.array([[1, 2, 9, 7], [9, 6, 9, 8]], np.uint8))
    return table.columns()


def test_a_table_by_hand() -> None:
    columns = {name: column.tolist() for name, column in small_table().items()}
    assert columns == {
        "label": [1, 2],
        "area": [3, 2],
        "centroid_y": [16 / 3, 5.5],
        "centroid_x": [2 / 3, 3],
        "y0": [5, 5],
        "y1": [7, 7],
        "x0": [0, 3],
        "x1": [2, 4],
        "equivalent_diameter": pytest.approx([1.9544, 1.5958], abs=1e-4),
        "mean": [3, 7.5],
        "min": [1, 7],
        "max": [6, 8],
    }


def test_an_image_without_objects_has_an_empty_table(tmp_path: Path) -> None:
    table = ObjectTable(0)
    table.add(0, np.zeros((3, 4), np.uint32), np.ones((3, 4, 3), np.uint8))
    columns = table.columns()
    assert {len(column) for column in columns.values()} == {0}
    for suffix in (".csv", ".parquet"):
        write_to(tmp_path / "x", write_objects, suffix, columns)
        if suffix == ".csv":
            assert (tmp_path / "x").read_text() == ",".join(columns) + "\n"
        else:
            assert pq.read_table(tmp_path / "x").num_rows == 0


def test_tables_can_be_read_back(tmp_path: Path) -> None:
    columns = small_table()
    write_to(tmp_path / "a", write_objects, ".csv", columns)
    with (tmp_path / "a").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(columns)
    for name, column in columns.items():
        assert [float(row[name]) for row in rows] == pytest.approx(column.tolist(), rel=1e-8)
    assert (rows[0]["area"], rows[1]["centroid_x"]) == ("3", "3")
    write_to(tmp_path / "b", write_objects, ".parquet", columns)
    table = pq.read_table(tmp_path / "b")
    assert table.column_names == list(columns)
    for name, column in columns.items():
        values = table[name].to_numpy()
        assert values.dtype == column.dtype
        np.testing.assert_array_equal(values, column)


def test_rows_must_fit() -> None:
    labels, grey = np.ones((2, 3), np.uint32), np.zeros((2, 3), np.uint8)
    with pytest.raises(ShapeError, match=r"image_rows must have shape \(2, 3\)"):
        ObjectTable(1).add(0, labels, grey[:1])
    with pytest.raises(ShapeError, match="must be real numbers, not complex64"):
        ObjectTable(1).add(0, labels, grey.astype(np.complex64))
    with pytest.raises(ShapeError, match=r"probability_rows must have shape \(2, 3\)"):
        ObjectTable(1).add(0, labels, grey, np.zeros((3, 2), np.float32))
    with pytest.raises(ShapeError, match="labels up to 1, not 2"):
        ObjectTable(1).add(0, labels * 2, grey)
    table = ObjectTable(1)
    table.add(0, labels, grey)
    with pytest.raises(ShapeError, match="the 1 channels of those before, not 0"):
        table.add(2, labels, None)
    with pytest.raises(ShapeError, match="with every strip or with none"):
        table.add(2, labels, grey, np.zeros((2, 3), np.float32))
