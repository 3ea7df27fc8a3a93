"""Codes, letters, reverse complement and windows, against memcpy and what people use.

pytest benches/bench_sequence.py --benchmark-only -s
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import seqtile
from benches.compare import peers, record, speed_ratio
from seqtile.sequences.batch import Layout

LENGTH, TARGET, ROUNDS = 50_000_000, 0.85, 11
BASES = np.frombuffer(b"ACGT", np.uint8)
Calls = dict[str, Callable[[], object]]


@pytest.fixture(scope="module")
def letters() -> Any:
    """50 Mb of A, C, G and T, uint8."""
    return BASES[np.random.default_rng(0).integers(0, 4, LENGTH, dtype=np.uint8)]


def test_encode(benchmark: Any, letters: Any) -> None:
    out, spare = np.ones_like(letters), np.ones_like(letters)
    table = np.full(256, 255, np.uint8)
    table[BASES] = np.arange(4)
    np.testing.assert_array_equal(seqtile.encode(letters), table[letters])

    def ours() -> object:
        return seqtile.encode(letters, out=out)

    def seqpro() -> object:
        import seqpro

        return seqpro.tokenize(letters.view("S1"), {"A": 0, "C": 1, "G": 2, "T": 3}, 4)

    others: Calls = {
        "numpy take": lambda: np.take(table, letters, out=spare, mode="clip"),
        "bytes.translate": lambda: letters.tobytes().translate(table.tobytes()),
        "SeqPro": seqpro,
    }
    record(
        benchmark,
        "codes of 50 Mb, out= reused",
        speed_ratio(ours, lambda: np.copyto(spare, letters), ROUNDS),
        limit="memcpy",
        target=TARGET,
        rate=(LENGTH / 1e9, "Gbases/s"),
        peers=peers(ours, others, 3),
    )
    benchmark.pedantic(ours, rounds=1)


@pytest.mark.parametrize("layout", ["NLC", "NCL"])
def test_decode(benchmark: Any, letters: Any, layout: Layout) -> None:
    rows = letters[:10_000_000].reshape(10_000, 1_000)
    hot = seqtile.one_hot(rows, layout=layout)
    small = hot.astype(np.uint8)  # which SeqPro wants
    spare = np.empty_like(hot)
    axis = 2 if layout == "NLC" else 1

    def ours() -> Any:
        return seqtile.decode(hot, layout=layout)

    def with_numpy() -> Any:
        return BASES[hot.argmax(axis)]

    def with_torch() -> Any:
        import torch

        return BASES[torch.from_numpy(hot).argmax(axis).numpy()]

    def seqpro() -> Any:
        import seqpro

        return seqpro.decode_ohe(small, ohe_axis=axis, alphabet=seqpro.DNA)

    expected = [row.tobytes().decode() for row in rows]
    assert list(ours()) == expected
    np.testing.assert_array_equal(with_numpy(), rows)
    others: Calls = {"numpy argmax": with_numpy, "torch argmax": with_torch, "SeqPro": seqpro}
    record(
        benchmark,
        f"decode float32, {layout}, 10,000 of 1,000, to str",
        speed_ratio(ours, lambda: np.copyto(spare, hot), ROUNDS),
        limit="memcpy of the one-hot",
        target=None,
        rate=(hot.nbytes / 1e9, "GB/s"),
        peers=peers(ours, others, 3),
    )
    benchmark.pedantic(ours, rounds=1)


def test_reverse_complement(benchmark: Any, letters: Any) -> None:
    data = letters.tobytes()
    table = bytes.maketrans(b"ACGT", b"TGCA")
    assert seqtile.reverse_complement(data) == data.translate(table)[::-1]

    def ours() -> object:
        return seqtile.reverse_complement(data)

    def biopython() -> object:
        from Bio.Seq import Seq

        return Seq(data).reverse_complement()

    def seqpro() -> object:
        import seqpro

        return seqpro.DNA.reverse_complement(letters.view("S1"), length_axis=-1)

    others: Calls = {
        "bytes.translate": lambda: data.translate(table)[::-1],
        "Biopython": biopython,
        "SeqPro": seqpro,
    }
    record(
        benchmark,
        "reverse complement of 50 Mb, fresh",
        speed_ratio(ours, lambda: bytearray(data), ROUNDS),
        limit="fresh memcpy",
        target=TARGET,
        rate=(LENGTH / 1e9, "Gbases/s"),
        peers=peers(ours, others, 3),
    )
    benchmark.pedantic(ours, rounds=1)


@pytest.mark.parametrize("stride", [1, 50])
def test_windows(benchmark: Any, letters: Any, stride: int) -> None:
    """The view alone, and its letters copied out: what a batch of them costs."""
    part, size = letters[: 1_000_000 * (1 if stride == 1 else 10)], 101
    view = np.lib.stride_tricks.sliding_window_view(part, size)[::stride]
    found = seqtile.windows(part, size, stride)
    np.testing.assert_array_equal(found, view)
    assert np.shares_memory(found, part)
    target = np.empty_like(view)

    def ours() -> None:
        np.copyto(target, seqtile.windows(part, size, stride))

    def joined() -> object:
        text = part.tobytes()
        return [text[i : i + size] for i in range(0, len(text) - size + 1, stride)]

    flat = np.ones(target.size, np.uint8)
    record(
        benchmark,
        f"windows of {size}, stride {stride}, copied to a batch",
        speed_ratio(ours, lambda: np.copyto(target.reshape(-1), flat), ROUNDS),
        limit="memcpy",
        target=None,
        rate=(len(view) / 1e6, "million windows/s"),
        peers=peers(ours, {"slices of bytes": joined}, 3),
    )
    benchmark.pedantic(ours, rounds=1)
