"""Tiles against np.pad and slices; stitching against the image, and a convolution of it."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import seqtile
from seqtile import ShapeError, Stitcher, TilePlan, Tiles, stitch, tile

PADS = ["reflect", "edge", "constant"]
DTYPES = ["uint8", "uint16", "float32", "float16", "bool", "int64", "complex128"]


def random_image(shape: tuple[int, ...], dtype: str = "float32", seed: int = 0) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 2 if dtype == "bool" else 200, shape)
    return values.astype(dtype)


def pad_and_slice(image: NDArray[Any], plan: TilePlan, pad: Any) -> NDArray[Any]:
    """The oracle of cutting."""
    behind = [(0, p - n) for p, n in zip(plan.padded_shape, plan.shape, strict=True)]
    padded = np.pad(image, behind + [(0, 0)] * (image.ndim - 2), mode=pad)
    return np.stack([padded[y0:y1, x0:x1] for y0, y1, x0, x1 in plan.read])


def convolve(image: NDArray[Any], kernel: NDArray[Any]) -> NDArray[Any]:
    """Plain 2-D correlation of whole numbers, zero outside the image."""
    radius = len(kernel) // 2
    padded = np.pad(image, radius)
    height, width = image.shape
    return sum(
        kernel[dy, dx] * padded[dy : dy + height, dx : dx + width]
        for dy, dx in itertools.product(range(len(kernel)), repeat=2)
    )  # type: ignore[return-value]


def stitch_in_strips(
    image: NDArray[Any], plan: TilePlan, rows: int, **options: Any
) -> NDArray[Any]:
    stitcher = Stitcher(plan, **options)
    parts = []
    for strip in plan.strips(rows):
        assert stitcher.row == sum(map(len, parts))
        buffer = plan.cut(image[slice(*strip.read)], strip)
        parts.append(stitcher.add(buffer))
        buffer[:] = 0  # the caller's own again
    return np.concatenate(parts)


@st.composite
def plans(draw: st.DrawFn) -> TilePlan:
    shape = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    sizes, overlaps, multiples = [], [], []
    for _ in range(2):
        multiple = draw(st.sampled_from([1, 1, 1, 2, 4]))
        units = draw(st.integers(1, 24 // multiple))
        overlaps.append(draw(st.integers(0, units - 1)) * multiple)
        sizes.append(units * multiple)
        multiples.append(multiple)
    return TilePlan(shape, *map(tuple, (sizes, overlaps, multiples)))  # type: ignore[arg-type]


# unit


def test_grid_and_regions() -> None:
    plan = TilePlan((9, 4), 4, overlap=(1, 0))
    assert plan.grid == (3, 1)
    assert len(plan) == 3
    assert plan.read.tolist() == [[0, 4, 0, 4], [3, 7, 0, 4], [5, 9, 0, 4]]
    assert plan.write.tolist() == [[0, 3, 0, 4], [3, 6, 0, 4], [6, 9, 0, 4]]
    assert plan.read.dtype == plan.write.dtype == np.int64


def test_the_last_tile_ends_at_the_next_multiple() -> None:
    plan = TilePlan((17, 32), 8, overlap=4, multiple=4)
    assert plan.padded_shape == (20, 32)
    assert not (plan.read % 4).any()
    assert plan.read[-1].tolist() == [12, 20, 24, 32]
    assert TilePlan((1, 3), 8, multiple=4).padded_shape == (8, 8)


def test_tiles_of_a_small_image() -> None:
    image = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    tiles = tile(image, (2, 5))
    assert tiles.array.tolist() == [[[1, 2, 3, 2, 1], [4, 5, 6, 5, 4]]]
    assert tile(image, (3, 4), pad="edge").array[0].tolist() == [
        [1, 2, 3, 3],
        [4, 5, 6, 6],
        [4, 5, 6, 6],
    ]
    assert tile(image, (3, 4), pad="constant").array[0].tolist() == [
        [1, 2, 3, 0],
        [4, 5, 6, 0],
        [0, 0, 0, 0],
    ]
    assert (tiles.grid, tiles.shape, tiles.overlap, len(tiles)) == ((1, 1), (2, 3), (0, 0), 1)
    assert tile(np.full((1, 1), 7), 3).array.tolist() == [[[7] * 3] * 3]


def test_linear_weights_by_hand() -> None:
    down, across = TilePlan((6, 4), 4, overlap=2).weights("linear")
    assert down.tolist() == [[1, 1, 0.75, 0.25], [0.25, 0.75, 1, 1]]
    assert across.tolist() == [[1, 1, 1, 1]]
    hann, _ = TilePlan((6, 4), 4, overlap=2).weights("hann")
    assert hann[0, 2] == pytest.approx(0.5 + 0.5 * np.cos(np.pi / 4))


def test_blend_by_hand() -> None:
    plan = TilePlan((1, 6), (1, 4), overlap=(0, 2))
    tiles = np.array([[[1, 1, 1, 1]], [[3, 3, 3, 3]]], np.float32)
    assert stitch(tiles, plan, blend="linear").tolist() == [[1, 1, 1.5, 2.5, 3, 3]]
    assert stitch(tiles, plan).tolist() == [[1, 1, 1, 3, 3, 3]]


def test_predictions_may_have_other_channels_and_dtype() -> None:
    image = random_image((40, 33, 3), "uint8")
    tiles = tile(image, 16, overlap=4)
    probabilities = tiles.array[..., :2].astype(np.float32) / 255
    assert np.array_equal(stitch(probabilities, tiles), image[..., :2].astype(np.float32) / 255)
    labels = tiles.array[..., 0].astype(np.uint16)
    assert np.array_equal(stitch(labels, tiles.plan), image[..., 0])


# property, agreement


@given(
    plan=plans(),
    channels=st.sampled_from([None, 1, 3, 4]),
    dtype=st.sampled_from(DTYPES),
    pad=st.sampled_from(PADS),
    threads=st.integers(1, 3),
    rows=st.integers(1, 5),
)
def test_cut_and_stitch_exactly(
    plan: TilePlan, channels: int | None, dtype: str, pad: Any, threads: int, rows: int
) -> None:
    image = random_image(plan.shape + (() if channels is None else (channels,)), dtype)
    tiles = tile(
        image, plan.size, overlap=plan.overlap, multiple=plan.multiple, pad=pad, threads=threads
    )
    assert tiles.plan == plan
    assert tiles.array.dtype == image.dtype
    expected = pad_and_slice(image, plan, pad)
    assert np.array_equal(tiles.array, expected)
    got = stitch(tiles, threads=threads)
    assert got.dtype == image.dtype
    assert np.array_equal(got, image)
    strips = [plan.cut(image[slice(*s.read)], s, pad=pad) for s in plan.strips(rows)]
    assert np.array_equal(np.concatenate(strips), expected)
    assert np.array_equal(stitch_in_strips(image, plan, rows, threads=threads), image)


@given(plan=plans(), rows=st.integers(1, 5))
def test_regions(plan: TilePlan, rows: int) -> None:
    count = np.zeros(plan.shape, int)
    for y0, y1, x0, x1 in plan.write:
        assert 0 <= y0 < y1 <= plan.shape[0]
        assert 0 <= x0 < x1 <= plan.shape[1]
        count[y0:y1, x0:x1] += 1
    assert (count == 1).all()
    read, write = plan.read, plan.write
    assert (np.diff(read.reshape(-1, 2, 2)).reshape(-1, 2) == plan.size).all()
    for axis in (0, 1):
        margin = plan.overlap[axis] // 2
        at, length = 2 * axis, plan.shape[axis]
        assert (((write - read)[:, at] >= margin) | (write[:, at] == 0)).all()
        assert (((read - write)[:, at + 1] >= margin) | (write[:, at + 1] == length)).all()
        assert not (read[:, at] % plan.multiple[axis]).any()
    written = [row for strip in plan.strips(rows) for row in range(*strip.write)]
    assert written == list(range(plan.shape[0]))


@given(
    plan=plans(),
    channels=st.sampled_from([None, 1, 3]),
    blend=st.sampled_from(["linear", "hann"]),
    threads=st.integers(1, 3),
    rows=st.integers(1, 5),
)
def test_stitch_blended(
    plan: TilePlan, channels: int | None, blend: Any, threads: int, rows: int
) -> None:
    depth = () if channels is None else (channels,)
    tiles = np.random.default_rng(1).random((len(plan), *plan.size, *depth), np.float32) + 1
    down, across = plan.weights(blend)
    weights = np.einsum("iy,jx->ijyx", down, across).reshape(-1, *plan.size).astype(float)
    padded = np.zeros(plan.padded_shape + depth)
    total = np.zeros(plan.padded_shape)
    for (y0, y1, x0, x1), one, weight in zip(plan.read, tiles, weights, strict=True):
        padded[y0:y1, x0:x1] += one * (weight if channels is None else weight[..., None])
        total[y0:y1, x0:x1] += weight
    height, width = plan.shape
    np.testing.assert_allclose(total[:height, :width], 1, atol=1e-6)
    got = stitch(tiles, plan, blend=blend, threads=threads)
    assert got.dtype == np.float32
    # Up to 24 x 24 tiles share a pixel.
    np.testing.assert_allclose(got, padded[:height, :width], rtol=1e-5)
    stitcher = Stitcher(plan, blend=blend)
    columns = plan.grid[1]
    parts = []
    for strip in plan.strips(rows):
        buffer = tiles[strip.rows[0] * columns : strip.rows[1] * columns].copy()
        parts.append(stitcher.add(buffer))
        buffer[:] = np.nan
    assert np.array_equal(np.concatenate(parts), got)


@pytest.mark.parametrize("blend", ["linear", "hann"])
def test_a_blended_round_trip(blend: Any) -> None:
    image = np.random.default_rng(2).random((150, 131), np.float32) + 1
    got = stitch(tile(image, (32, 48), overlap=(16, 12)), blend=blend, threads=2)
    np.testing.assert_allclose(got, image, rtol=1e-6)
    constant = np.full((90, 77, 2), 3, np.float32)
    got = stitch(tile(constant, 32, overlap=9), blend=blend)
    np.testing.assert_allclose(got, constant, rtol=1e-6)


@pytest.mark.parametrize("kernel_size", [3, 7])
@pytest.mark.parametrize("shape", [(61, 47), (16, 80), (33, 16), (130, 17)])
def test_a_convolution_of_tiles_is_that_of_the_image(
    kernel_size: int, shape: tuple[int, int]
) -> None:
    image = random_image(shape, "int64")
    kernel = random_image((kernel_size, kernel_size), "int64", seed=1)
    plan = TilePlan(shape, 16, overlap=kernel_size - 1)
    out = np.stack([convolve(one, kernel) for one in plan.cut(image)])
    assert np.array_equal(stitch(out, plan), convolve(image, kernel))


def pooled_network(image: NDArray[Any]) -> NDArray[Any]:
    """Convolution, 4 x 4 pooling, convolution, upsampling, convolution: reaches 14 pixels."""
    kernel = random_image((3, 3), "int64", seed=3)
    one = convolve(image, kernel)
    height, width = one.shape
    pooled = one.reshape(height // 4, 4, width // 4, 4).max(axis=(1, 3))
    two = convolve(pooled, kernel)
    return convolve(two.repeat(4, axis=0).repeat(4, axis=1), kernel)


@pytest.mark.parametrize("shape", [(61, 47), (48, 80), (97, 49), (100, 70)])
def test_a_pooling_network_on_tiles_is_that_on_the_padded_image(shape: tuple[int, int]) -> None:
    image = random_image(shape, "int64")
    plan = TilePlan(shape, 48, overlap=28, multiple=4)
    behind = [(0, p - n) for p, n in zip(plan.padded_shape, shape, strict=True)]
    whole = pooled_network(np.pad(image, behind, mode="reflect"))[: shape[0], : shape[1]]
    tiles = np.stack([pooled_network(one) for one in plan.cut(image)])
    assert np.array_equal(stitch(tiles, plan), whole)


# memory


@pytest.mark.parametrize("kind", ["rows", "columns", "flipped", "crop", "channel", "fortran"])
def test_views_of_an_image(kind: str) -> None:
    base = random_image((64, 50, 4), "uint16")
    image = {
        "rows": base[::2],
        "columns": base[:, ::2],
        "flipped": base[::-1],
        "crop": base[3:60, 5:44],
        "channel": base[..., 2],
        "fortran": np.asfortranarray(base),
    }[kind]
    assert np.array_equal(
        tile(image, 16, overlap=4).array, tile(image.copy(order="C"), 16, overlap=4).array
    )


def test_a_result_too_large_for_the_caches() -> None:
    image = np.random.default_rng(0).random((3000, 3001), np.float32)
    tiles = tile(image, 256, overlap=33, threads=2)
    assert tiles.array.nbytes > 32 << 20
    assert np.array_equal(tiles.array, pad_and_slice(image, tiles.plan, "reflect"))
    assert np.array_equal(stitch(tiles, threads=2), image)
    blended = stitch(tiles, blend="hann", threads=2)
    np.testing.assert_allclose(blended, image, rtol=1e-6)


def test_out_is_filled_and_returned() -> None:
    image = random_image((50, 40))
    out = np.full((12, 16, 16), 7, np.float32)
    tiles = tile(image, 16, overlap=4, out=out)
    assert tiles.array is out
    result = np.full((50, 40), 7, np.float32)
    for blend in (None, "linear"):
        assert stitch(tiles, blend=blend, out=result) is result  # type: ignore[arg-type]
        np.testing.assert_allclose(result, image, rtol=1e-6)


def test_a_strip_of_a_larger_part() -> None:
    image = random_image((90, 40))
    plan = TilePlan((90, 40), 16, overlap=4)
    strip = list(plan.strips(2))[1]
    begin, end = strip.read
    expected = plan.cut(image[begin:end], strip)
    assert np.array_equal(plan.cut(image, strip, first_row=0), expected)
    assert np.array_equal(
        plan.cut(image[begin - 3 : end + 1], strip, first_row=begin - 3), expected
    )


def test_tiles_as_plan_and_exports() -> None:
    tiles = tile(random_image((20, 20)), 8)
    assert isinstance(tiles, Tiles)
    assert seqtile.tile is tile
    assert np.array_equal(stitch(tiles.array, tiles), stitch(tiles))
    assert np.array_equal(tiles.read, tiles.plan.read)
    assert np.array_equal(tiles.write, tiles.plan.write)
    with pytest.raises(AttributeError):
        tiles.array = tiles.array  # type: ignore[misc]


def test_many_threads_of_python_at_once() -> None:
    image = random_image((300, 200, 3), "uint8")
    plan = TilePlan((300, 200), 64, overlap=16)
    out = plan.cut(image)
    with ThreadPoolExecutor(4) as pool:
        for got in pool.map(lambda _: plan.cut(image, threads=2), range(20)):
            assert np.array_equal(got, out)
        for got in pool.map(lambda _: stitch(out, plan, threads=2), range(20)):
            assert np.array_equal(got, image)


# errors


IMAGE = np.zeros((20, 20), np.float32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overlap": 8}, r"overlap must be smaller than size, not \(8, 8\) with size \(8, 8\)"),
        ({"overlap": (0, 9)}, r"overlap must be smaller than size, not \(0, 9\)"),
        ({"overlap": -1}, "overlap must be a whole number, or two, of at least 0, not -1"),
        ({"overlap": 1.5}, "overlap must be a whole number, or two, of at least 0, not 1.5"),
        ({"overlap": (1, 2, 3)}, "overlap must be a whole number, or two"),
        ({"size": 0}, "size must be a whole number, or two, of at least 1, not 0"),
        ({"size": True}, "size must be a whole number"),
        ({"multiple": 3}, r"size and overlap must be multiples of multiple=\(3, 3\)"),
        ({"multiple": 4, "overlap": 2}, r"multiples of multiple=\(4, 4\), not \(8, 8\) and \(2, 2"),
        ({"pad": "wrap"}, "pad must be 'reflect' or 'edge' or 'constant', not 'wrap'"),
        ({"threads": 0}, "threads must be at least 1, not 0"),
    ],
)
def test_options_out_of_range(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tile(IMAGE, **{"size": 8, **options})


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros(5), ShapeError, r"image must have shape \(H, W\) or \(H, W, C\).*not \(5,\)"),
        (np.zeros((2, 3, 4, 5)), ShapeError, r"not \(2, 3, 4, 5\)"),
        (np.zeros((0, 5)), ShapeError, r"none of them 0, not \(0, 5\)"),
        (np.zeros((5, 5, 0)), ShapeError, r"none of them 0, not \(5, 5, 0\)"),
        (np.zeros((5, 5), object), ShapeError, "image must hold numbers or bool, not object"),
        (np.zeros((5, 5), "U3"), ShapeError, "image must hold numbers or bool, not <U3"),
        ([[1, 2]], TypeError, "image must be a numpy array, not list"),
    ],
)
def test_images_that_are_none(image: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tile(image, 4)


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((9, 8, 9), np.float32),
        np.zeros((9, 8, 8), np.float64),
        np.zeros((9, 8, 16), np.float32)[..., ::2],
    ],
)
def test_out_of_another_kind(out: NDArray[Any]) -> None:
    with pytest.raises(ShapeError, match=r"out must be C-contiguous float32 of shape \(9, 8, 8\)"):
        tile(IMAGE, 8, out=out)


def test_out_that_is_read_only_or_the_input() -> None:
    out = np.zeros((9, 8, 8), np.float32)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="not writeable"):
        tile(IMAGE, 8, out=out)
    memory = np.zeros((20, 20))
    with pytest.raises(ValueError, match="out must not share memory"):
        tile(memory, 20, out=memory.reshape(1, 20, 20))


def test_strips_that_lack_rows() -> None:
    plan = TilePlan((20, 20), 8)
    strip = list(plan.strips())[1]
    with pytest.raises(ShapeError, match=r"image must hold the rows \[8, 16\), not \[8, 15\)"):
        plan.cut(IMAGE[8:15], strip)
    with pytest.raises(ShapeError, match=r"image must hold the rows \[8, 16\), not \[9, 20\)"):
        plan.cut(IMAGE[9:], strip, first_row=9)
    with pytest.raises(ShapeError, match="image must be 20 pixels wide as planned, not 19"):
        plan.cut(IMAGE[:, :19])
    with pytest.raises(ValueError, match="rows must be at least 1, not 0"):
        next(plan.strips(0))


@pytest.mark.parametrize(
    ("tiles", "options", "message"),
    [
        (np.zeros((8, 8, 8)), {}, "tiles must be the 9 of the plan, not 8"),
        (np.zeros((9, 8, 7)), {}, r"tiles must have shape \(n, 8, 8\) or \(n, 8, 8, K\), not"),
        (np.zeros((9, 8, 8, 0)), {}, r"not \(9, 8, 8, 0\)"),
        (np.zeros((9, 8, 8), object), {}, "tiles must hold numbers or bool, not object"),
        (np.zeros((9, 8, 8)), {"blend": "linear"}, "tiles must be float32 to be blended, not fl"),
        (np.zeros((9, 8, 8), ">f4"), {"blend": "hann"}, "tiles must be float32 to be blended"),
        (np.zeros((9, 8, 8)), {"blend": "cubic"}, "blend must be 'linear' or 'hann', not 'cubic'"),
        (np.zeros((9, 8, 8)), {"threads": 0}, "threads must be at least 1, not 0"),
        (np.zeros((9, 8, 8)), {"out": np.zeros((20, 21))}, r"out must be .* of shape \(20, 20\)"),
    ],
)
def test_stitching_what_does_not_fit(tiles: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stitch(tiles, TilePlan((20, 20), 8), **options)


def test_stitching_without_a_plan_or_out_of_turn() -> None:
    with pytest.raises(TypeError, match="plan is needed where tiles is an array"):
        stitch(np.zeros((9, 8, 8)))
    stitcher = Stitcher(TilePlan((20, 20), 8))
    with pytest.raises(
        ShapeError, match="tiles must fill rows of 3 tiles of the grid, not 4 tiles"
    ):
        stitcher.add(np.zeros((4, 8, 8)))
    stitcher.add(np.zeros((6, 8, 8), np.uint8))
    with pytest.raises(ShapeError, match="tiles must have the channels and dtype of those before"):
        stitcher.add(np.zeros((3, 8, 8)))
    with pytest.raises(ShapeError, match="tiles must be at most the 3 left of the plan, not 6"):
        stitcher.add(np.zeros((6, 8, 8), np.uint8))
