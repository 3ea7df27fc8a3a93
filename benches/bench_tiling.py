"""`tile` and `stitch` against memcpy of the tiles; numpy, MONAI's way and tiler beside.

pytest benches/bench_tiling.py --benchmark-only -s

The limit is np.copyto of an array of the tiles' size, in one thread. All buffers are reused.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from benches import compare
from benches.compare import record, side_by_side, speed_ratio
from seqtile import TilePlan, stitch, tile

SIDE, SIZE, OVERLAP, THREADS = 8192, 256, 32, 2
PLAN = TilePlan((SIDE, SIDE), SIZE, OVERLAP)


def copy(out: Any, tiles: Any, pool: ThreadPoolExecutor | None = None) -> None:
    """The limit: np.copyto, in one thread or in those of a pool."""
    if pool is None:
        np.copyto(out, tiles)
    else:
        half = len(out) // 2
        list(pool.map(np.copyto, (out[:half], out[half:]), (tiles[:half], tiles[half:])))


def tile_numpy(image: Any, out: Any) -> Any:
    for one, (y0, y1, x0, x1) in zip(out, PLAN.read.tolist(), strict=True):
        one[:] = image[y0:y1, x0:x1]
    return out


def stitch_numpy(tiles: Any, out: Any) -> Any:
    for one, box, (y0, _, x0, _) in zip(
        tiles, PLAN.write.tolist(), PLAN.read.tolist(), strict=True
    ):
        out[box[0] : box[1], box[2] : box[3]] = one[
            box[0] - y0 : box[1] - y0, box[2] - x0 : box[3] - x0
        ]
    return out


def blend_numpy(tiles: Any, weights: list[Any], out: Any) -> Any:
    """Weights that sum to one, made before: one pass over the tiles."""
    out[:] = 0
    buffer = np.empty_like(tiles[0])
    for one, weight, (y0, y1, x0, x1) in zip(tiles, weights, PLAN.read.tolist(), strict=True):
        out[y0:y1, x0:x1] += np.multiply(one, weight, out=buffer)
    return out


def blend_monai(tiles: Any, weight: Any, out: Any, total: Any) -> Any:
    """As MONAI's sliding_window_inference: sums of values and of weights, then their quotient."""
    out[:] = 0
    total[:] = 0
    for one, (y0, y1, x0, x1) in zip(tiles, PLAN.read.tolist(), strict=True):
        out[y0:y1, x0:x1] += weight * one
        total[y0:y1, x0:x1] += weight
    out /= total
    return out


LIMIT = "memcpy of the tiles, one thread"
Calls = dict[str, Callable[[], object]]


def report(
    benchmark: Any,
    row: str,
    target: float,
    nbytes: int,
    ours: Callable[[], object],
    limits: tuple[Callable[[], object], Callable[[], object]],
    others: Calls,
    *,
    slow: Calls | None = None,
) -> None:
    """Measure against memcpy in one thread and in two, and against the peers, slow ones once."""
    one, two = limits
    ratio = speed_ratio(ours, one, rounds=15)
    peers: dict[str, float | None] = {
        "memcpy in two threads": side_by_side(ours, {"": two}, rounds=7)[""].median
    }
    peers |= compare.peers(ours, others, rounds=3) | compare.peers(ours, slow or {}, rounds=1)
    record(
        benchmark,
        row,
        ratio,
        limit=LIMIT,
        target=target,
        peers=peers,
        rate=(nbytes / 1e9, "GB/s of tiles"),
    )
    benchmark.pedantic(ours, rounds=1)


def tiler_merge(tiles: Any) -> None:
    import tiler

    merger = tiler.Merger(tiler.Tiler((SIDE, SIDE), (SIZE, SIZE), OVERLAP), window="triang")
    merger.add_batch(0, len(tiles), tiles)
    merger.merge()


def tiler_cut(image: Any) -> None:
    import tiler

    tiler.Tiler(image.shape, (SIZE, SIZE), OVERLAP, mode="reflect").get_all_tiles(image)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as threads:
        yield threads


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("threads", [1, THREADS])
def test_tile(benchmark, pool, dtype, threads) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (SIDE, SIDE), np.uint8).astype(dtype)
    out = np.empty((len(PLAN), SIZE, SIZE), dtype)
    tiles = tile_numpy(image, np.empty_like(out))

    def ours() -> Any:
        return tile(image, SIZE, overlap=OVERLAP, out=out, threads=threads)

    assert np.array_equal(ours().array, tiles)
    others: Calls = {}
    if threads == THREADS:
        others = {
            "numpy loop": lambda: tile_numpy(image, out),
            "tiler": lambda: tiler_cut(image),
        }
    row = f"tile {SIDE}x{SIDE} {dtype}, {SIZE} px, {OVERLAP} overlap, reused, {threads} thread(s)"
    limits = (lambda: copy(out, tiles), lambda: copy(out, tiles, pool))
    report(benchmark, row, 0.9, out.nbytes, ours, limits, others)


@pytest.mark.parametrize("threads", [1, THREADS])
def test_stitch(benchmark, pool, threads) -> None:
    image = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    tiles = tile(image, SIZE, overlap=OVERLAP).array
    out, spare = np.empty_like(image), np.empty_like(tiles)

    def ours() -> Any:
        return stitch(tiles, PLAN, out=out, threads=threads)

    assert np.array_equal(ours(), image)
    others: Calls = {}
    if threads == THREADS:
        others = {"numpy loop": lambda: stitch_numpy(tiles, out)}
    limits = (lambda: copy(spare, tiles), lambda: copy(spare, tiles, pool))
    row = f"exact stitch, float32, {threads} thread(s)"
    report(benchmark, row, 0.8, tiles.nbytes, ours, limits, others)


@pytest.mark.parametrize("threads", [1, THREADS])
def test_stitch_blended(benchmark, pool, threads) -> None:
    tiles = np.random.default_rng(0).random((len(PLAN), SIZE, SIZE), np.float32)
    down, across = PLAN.weights("linear")
    # Most tiles have the same weights: numpy at its best holds each once, in the cache.
    distinct: dict[tuple[bytes, bytes], Any] = {}
    weights = [
        distinct.setdefault((y.tobytes(), x.tobytes()), np.outer(y, x))
        for y in down
        for x in across
    ]
    middle = np.outer(down[1], across[1])
    out, total = np.empty((SIDE, SIDE), np.float32), np.empty((SIDE, SIDE), np.float32)
    spare = np.empty_like(tiles)

    def ours() -> Any:
        return stitch(tiles, PLAN, blend="linear", out=out, threads=threads)

    expected = blend_numpy(tiles, weights, np.empty_like(out))
    np.testing.assert_allclose(ours(), expected, rtol=1e-5)
    np.testing.assert_allclose(
        blend_monai(tiles, middle, np.empty_like(out), total), expected, rtol=1e-5
    )
    others: Calls = {}
    if threads == THREADS:
        others = {
            "numpy": lambda: blend_numpy(tiles, weights, out),
            "MONAI-style": lambda: blend_monai(tiles, middle, out, total),
        }
    limits = (lambda: copy(spare, tiles), lambda: copy(spare, tiles, pool))
    row = f"blended stitch, float32, {threads} thread(s)"
    peers: Calls = {"tiler": lambda: tiler_merge(tiles)} if threads == THREADS else {}
    report(benchmark, row, 0.8, tiles.nbytes, ours, limits, others, slow=peers)
