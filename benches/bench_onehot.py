"""One-hot encoding against the memset of the same bytes, numpy and other libraries; one thread.

pytest benches/bench_onehot.py --benchmark-only -s

The memset is that of a byte that is not 0: some processors write lines of zeros twice as fast, and
a one-hot array of four channels has none. Every result is first compared with numpy's.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import seqtile
from benches.compare import peers, record, speed_ratio
from seqtile.sequences.batch import Layout

BASES = np.frombuffer(b"ACGT", np.uint8)
SHAPES = {
    "one of 50 Mb": (1, 50_000_000),
    "10,000 of 1,000": (10_000, 1_000),
    "1,000,000 of 20": (1_000_000, 20),
}
TARGET = 0.85
ROUNDS = 15
PEER_ROUNDS = 3


def random_letters(shape: str) -> np.ndarray:
    """Letters (N, L)."""
    rng = np.random.default_rng(0)
    return BASES[rng.integers(0, 4, SHAPES[shape], dtype=np.uint8)]


def numpy_take(letters: np.ndarray, layout: Layout, out: np.ndarray) -> Callable[[], object]:
    table = np.zeros((256, 4), out.dtype)
    table[BASES, np.arange(4)] = 1
    if layout == "NLC":
        return lambda: np.take(table, letters, axis=0, out=out, mode="clip")
    columns = np.ascontiguousarray(table.T)

    def rows() -> None:
        for sequence, target in zip(letters, out, strict=True):
            np.take(columns, sequence, axis=1, out=target, mode="clip")

    return rows


def numpy_compare(letters: np.ndarray, layout: Layout, out: np.ndarray) -> Callable[[], object]:
    def channels() -> None:
        for channel, base in enumerate(BASES):
            target = out[..., channel] if layout == "NLC" else out[:, channel]
            np.equal(letters, base, out=target, casting="unsafe", dtype=None)

    return channels


def torch_one_hot(letters: np.ndarray, layout: Layout, out: np.ndarray) -> Callable[[], object]:
    import torch

    codes = np.zeros(256, np.int64)
    codes[BASES] = np.arange(4)
    target = torch.from_numpy(out)

    def copy() -> None:
        hot = torch.nn.functional.one_hot(torch.from_numpy(codes[letters]), 4)
        target.copy_(hot if layout == "NLC" else hot.transpose(1, 2))

    return copy


def seqpro_ohe(letters: np.ndarray, layout: Layout, out: np.ndarray) -> Callable[[], object]:
    import seqpro

    strings = letters.view("S1")

    def copy() -> None:
        hot = seqpro.ohe(strings, seqpro.DNA)
        out[:] = hot if layout == "NLC" else hot.transpose(0, 2, 1)

    return copy


def tangermeme_one_hot(
    letters: np.ndarray, layout: Layout, out: np.ndarray
) -> Callable[[], object]:
    """As one string, which is its fastest way."""
    import torch
    from tangermeme.utils import one_hot_encode

    text = letters.tobytes().decode()
    dtype = torch.from_numpy(out[:0]).dtype
    target = torch.from_numpy(out.reshape(-1, 4) if layout == "NLC" else out.reshape(4, -1))

    def copy() -> None:
        hot = one_hot_encode(text, dtype=dtype)
        target.copy_(hot.T if layout == "NLC" else hot)

    return copy


PEERS = {
    "numpy take": numpy_take,
    "numpy compare": numpy_compare,
    "torch one_hot": torch_one_hot,
    "SeqPro": seqpro_ohe,
    "tangermeme": tangermeme_one_hot,
}


def others(letters: np.ndarray, layout: Layout, dtype: str) -> dict[str, Callable[[], object]]:
    """The peers; they write to an array that was used before, as we do."""
    axes = (4, letters.shape[1]) if layout == "NCL" else (letters.shape[1], 4)
    out = np.ones((len(letters), *axes), dtype)
    made: dict[str, Callable[[], object]] = {}

    def call(name: str) -> object:
        if name not in made:
            made[name] = PEERS[name](letters, layout, out)
        return made[name]()

    return {name: partial(call, name) for name in PEERS}


def memset(out: np.ndarray) -> Callable[[], object]:
    return lambda: ctypes.memset(out.ctypes.data, 1, out.nbytes)


def check(hot: np.ndarray, letters: np.ndarray, layout: Layout) -> None:
    """Compare the first and the last million letters' encoding with numpy's."""
    columns = hot.reshape(*letters.shape, 4) if layout == "NLC" else hot.swapaxes(1, 2)
    million = 1_000_000
    parts: list[tuple[Any, ...]]
    if len(letters) == 1:
        parts = [(0, slice(million)), (0, slice(-million, None))]
    else:
        rows = million // letters.shape[1]
        parts = [(slice(rows),), (slice(-rows, None),)]
    for part in parts:
        np.testing.assert_array_equal(columns[part], letters[part][..., None] == BASES)


@pytest.mark.parametrize("layout", ["NLC", "NCL"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_reused(benchmark, dtype: str, shape: str, layout: Layout) -> None:
    letters = random_letters(shape)
    out = seqtile.one_hot(letters, layout=layout, dtype=dtype)
    check(out, letters, layout)

    def ours() -> object:
        return seqtile.one_hot(letters, layout=layout, dtype=dtype, out=out)

    ratio = speed_ratio(ours, memset(out), ROUNDS)
    name = f"one-hot {dtype}, {layout}, out= reused, {shape}"
    beside = others(letters, layout, dtype) if shape == "10,000 of 1,000" else {}
    record(
        benchmark,
        name,
        ratio,
        limit="memset",
        target=TARGET,
        rate=(out.nbytes / 1e9, "GB/s"),
        peers=peers(ours, beside, PEER_ROUNDS),
    )
    benchmark.pedantic(ours, rounds=1)


@pytest.mark.parametrize("layout", ["NLC", "NCL"])
@pytest.mark.parametrize("shape", ["one of 50 Mb", "10,000 of 1,000"])
def test_fresh(benchmark, shape: str, layout: Layout) -> None:
    letters = random_letters(shape)
    axes = (4, letters.shape[1]) if layout == "NCL" else (letters.shape[1], 4)

    def fresh() -> None:
        memset(np.empty((len(letters), *axes), np.float32))()

    def ours() -> np.ndarray:
        return seqtile.one_hot(letters, layout=layout)

    check(ours(), letters, layout)
    ratio = speed_ratio(ours, fresh, 7)
    name = f"one-hot float32, {layout}, fresh, {shape}"
    record(
        benchmark,
        name,
        ratio,
        limit="fresh memset",
        target=TARGET,
        rate=(letters.size * 16 / 1e9, "GB/s"),
    )
    benchmark.pedantic(ours, rounds=1)


@pytest.mark.parametrize("layout", ["NLC", "NCL"])
@pytest.mark.parametrize("shape", SHAPES)
def test_from_strings(benchmark, shape: str, layout: Layout) -> None:
    letters = random_letters(shape)
    strings = [row.tobytes().decode() for row in letters]
    out = seqtile.one_hot(strings, layout=layout)
    check(out, letters, layout)

    def ours() -> object:
        return seqtile.one_hot(strings, layout=layout, out=out)

    ratio = speed_ratio(ours, memset(out), ROUNDS)
    name = f"one-hot float32, {layout}, from Python strings, {shape}"
    record(benchmark, name, ratio, limit="memset", target=0.6, rate=(out.nbytes / 1e9, "GB/s"))
    benchmark.pedantic(ours, rounds=1)


def test_sizes(benchmark) -> None:
    """Outputs around the sizes of the caches; beyond some size cells are streamed past them."""
    speeds = {}
    for megabytes in (0.25, 1, 4, 16, 32, 64):
        letters = random_letters("10,000 of 1,000")[: int(megabytes * 1e6) // 16_000]
        out = seqtile.one_hot(letters, layout="NLC")

        def ours(letters=letters, out=out) -> object:
            return seqtile.one_hot(letters, layout="NLC", out=out)

        ratio = speed_ratio(ours, memset(out), 50)
        speeds[megabytes] = f"{out.nbytes / ratio.ours_s / 1e9:.0f} GB/s, {ratio}"
    benchmark.extra_info["sizes"] = speeds
    print("\n" + "\n".join(f"{size} MB: {speed} of memset" for size, speed in speeds.items()))
    benchmark.pedantic(ours, rounds=1)
