"""From probabilities to numbered objects, and their growth, against what people use.

pytest benches/bench_label.py --benchmark-only -s

The limit of labelling is memcpy of its output, 4 bytes a pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benches.blobs import cells
from benches.compare import peers, record, speed_ratio
from seqtile import _core
from seqtile.models.contract import Segmentation
from seqtile.segmenting.labelling import label_objects

SIDE = 4096
PIXELS = (SIDE * SIDE / 1e6, "Mpixels/s")


def same_objects(one: Any, other: Any) -> bool:
    """Whether two label images differ by the objects' numbers alone."""
    pairs = np.unique(one.astype(np.int64) * (int(other.max()) + 1) + other)
    return len(pairs) == len(np.unique(one)) == len(np.unique(other))


def scipy_label(binary: Any) -> Any:
    from scipy.ndimage import label

    return label(binary)[0]


def skimage_label(binary: Any) -> Any:
    from skimage.measure import label

    return label(binary, connectivity=1)


def opencv_label(binary: Any) -> Any:
    import cv2

    return cv2.connectedComponents(binary.view(np.uint8), connectivity=4)[1]


def cc3d_label(binary: Any) -> Any:
    import cc3d

    return cc3d.connected_components(binary, connectivity=4)


LABELLERS = {
    "OpenCV": opencv_label,
    "cc3d": cc3d_label,
    "scipy": scipy_label,
    "scikit-image": skimage_label,
}


@pytest.fixture(scope="module")
def probabilities() -> tuple[Any, Any]:
    return cells(SIDE)


def test_components(benchmark: Any, probabilities: tuple[Any, Any]) -> None:
    """Thresholds and labels, as strips, 4 neighbours; the others get whole images."""
    mask, _ = probabilities
    settings = Segmentation(mask_threshold=0.5, min_area=1)

    def ours() -> Any:
        return label_objects(mask, None, settings)

    found = ours()
    others = {}
    for name, call in LABELLERS.items():
        others[name] = lambda call=call: call(mask > 0.5)
        try:
            other = others[name]()
        except ImportError:
            continue
        assert same_objects(found, other), name
    spare = np.empty_like(found)
    record(
        benchmark,
        f"label {SIDE} x {SIDE}, {found.max():,} objects",
        speed_ratio(ours, lambda: np.copyto(spare, found), 5),
        limit="memcpy of the labels",
        target=None,
        rate=PIXELS,
        peers=peers(ours, others, 3),
    )
    benchmark.pedantic(ours, rounds=1)


def test_kernel(benchmark: Any, probabilities: tuple[Any, Any]) -> None:
    """The kernel alone: provisional labels of all rows, one thread."""
    mask, _ = probabilities
    out = np.empty(mask.shape, np.uint32)

    def ours() -> Any:
        components = _core.Components(SIDE, 0.5, 0.5)
        components.add(mask, None, out)
        return components.numbers()

    numbers = ours()
    binary = mask > 0.5
    assert same_objects(numbers[out], scipy_label(binary))
    others = {name: lambda call=call: call(binary) for name, call in LABELLERS.items()}
    record(
        benchmark,
        f"the kernel that labels, {SIDE} x {SIDE}",
        speed_ratio(ours, lambda: np.copyto(out, out[::-1]), 5),
        limit="memcpy of the labels",
        target=None,
        rate=PIXELS,
        peers=peers(ours, others, 3),
    )
    benchmark.pedantic(ours, rounds=1)


def watershed(mask: Any, marker: Any) -> Any:
    """scikit-image's flood of a flat landscape from the cores."""
    from skimage.segmentation import watershed as flood

    inside = mask > 0.5
    cores = opencv_label((marker > 0.5) & inside)
    return flood(np.zeros(mask.shape, np.uint8), cores, mask=inside)


def test_grow(benchmark: Any, probabilities: tuple[Any, Any]) -> None:
    """Cores that grow in the mask, labels and all, against scikit-image's watershed."""
    mask, marker = (array[:2048, :2048] for array in probabilities)
    mask, marker = np.ascontiguousarray(mask), np.ascontiguousarray(marker)
    settings = Segmentation(mask_threshold=0.5, marker_threshold=0.5, reach=512, min_area=1)

    def ours() -> Any:
        return label_objects(mask, marker, settings)

    found, flooded = ours(), watershed(mask, marker)
    # What no core reaches is no object; of the rest only ties may go to another core.
    np.testing.assert_array_equal(found > 0, flooded > 0)
    core = (marker > 0.5) & (mask > 0.5)
    assert same_objects(found[core], flooded[core])
    number = np.zeros(int(flooded.max()) + 1, np.int64)
    number[flooded[core]] = found[core]
    assert (number[flooded] == found).mean() > 0.99
    spare = np.empty_like(found)
    record(
        benchmark,
        f"label and grow 2048 x 2048, {found.max():,} objects",
        speed_ratio(ours, lambda: np.copyto(spare, found), 5),
        limit="memcpy of the labels",
        target=None,
        rate=(found.size / 1e6, "Mpixels/s"),
        peers=peers(ours, {"scikit-image watershed": lambda: watershed(mask, marker)}, 1),
    )
    benchmark.pedantic(ours, rounds=1)
