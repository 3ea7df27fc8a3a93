"""`predict` against onnxruntime alone on pre-built batches: an array, and FASTA to a table.

pytest benches/bench_predict.py --benchmark-only -s
SEQTILE_BENCH_WINDOWS=100000 pytest ...      fewer windows than the million of the files

Limits: one session with all threads (which is what a user of onnxruntime has), and, harder, a
single-threaded session for each core, whose batches run side by side. Both are given their batches
as arrays and leave their answers in arrays. Ours reads and checks the letters, writes the table.
"""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqtile
from benches.bare import LANES, THREADED, Bare, cut
from benches.compare import Ratio, record, seconds, side_by_side
from seqtile.cli import main

MODEL, WINDOW, TARGET = "jund-cnn-seq", 101, 0.95
WINDOWS = int(os.environ.get("SEQTILE_BENCH_WINDOWS", "1000000"))
ROUNDS = 3 if WINDOWS > 300_000 else 7


@pytest.fixture(scope="module")
def letters() -> Any:
    """Random windows, uint8 (WINDOWS, WINDOW)."""
    rng = np.random.default_rng(0)
    return np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, (WINDOWS, WINDOW), np.uint8)]


@pytest.fixture(scope="module")
def fasta(letters: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("predict") / "windows.fa"
    with path.open("wb") as file:
        for begin in range(0, len(letters), 10_000):
            rows = enumerate(letters[begin : begin + 10_000], begin)
            file.write(b"".join(b">window_%d\n%s\n" % (i, row.tobytes()) for i, row in rows))
    return path


@pytest.fixture(scope="module")
def bare() -> Bare:
    return Bare(MODEL)


def size_of(predictor: Any, part: Any) -> int:
    """The batch that the predictor itself takes, once it has measured that."""
    predictor.predict(part)
    return int(predictor.batches().size(part.shape[1:]))


def test_predict(benchmark: Any, letters: Any, bare: Bare) -> None:
    predictor = seqtile.load(MODEL, device="cpu")
    part = letters[:100_000]
    batches = cut(part, size_of(predictor, part))
    expected = np.concatenate(bare.run(batches))
    actual = predictor.predict(part)[predictor.outputs[0]]
    np.testing.assert_allclose(actual, expected, atol=1e-6)
    ratios = side_by_side(
        lambda: predictor.predict(part),
        {THREADED: lambda: bare.run(batches), LANES: lambda: bare.lanes(batches)},
        rounds=9,
    )
    rows = f"predict, an array of {len(part):,} windows"
    _record(benchmark, rows, ratios, len(part))
    benchmark.pedantic(predictor.predict, args=(part,), rounds=1)


def script(fasta: Path, output: Path, session: Any, name: str, size: int) -> None:
    """What one writes without seqtile: Biopython, numpy, onnxruntime, csv."""
    from Bio.SeqIO.FastaIO import SimpleFastaParser

    def flush(names: list[str], texts: list[str]) -> None:
        array = np.frombuffer("".join(texts).upper().encode(), np.uint8).reshape(len(texts), -1)
        scores = session.run(None, {name: array})[0]
        table.writerows(
            (n, f"{s:.6g}") for n, s in zip(names, scores.ravel().tolist(), strict=True)
        )

    with fasta.open() as source, output.open("w", newline="") as target:
        table = csv.writer(target, delimiter="\t")
        table.writerow(["name", "score"])
        names: list[str] = []
        texts: list[str] = []
        for title, text in SimpleFastaParser(source):
            names.append(title)
            texts.append(text)
            if len(texts) == size:
                flush(names, texts)
                names, texts = [], []
        if texts:
            flush(names, texts)


def scores(table: Path) -> Any:
    return np.loadtxt(table, skiprows=1, usecols=1, delimiter="\t", dtype=np.float32)


@pytest.mark.parametrize("how", ["in process", "a process of its own"])
def test_fasta_to_table(
    benchmark: Any, letters: Any, fasta: Path, bare: Bare, tmp_path: Path, how: str
) -> None:
    """The whole command: load and self-test, read, check, predict, write."""
    ours_table, their_table = tmp_path / "ours.tsv", tmp_path / "theirs.tsv"
    arguments = ["predict", MODEL, str(fasta), "-o", str(ours_table), "--device", "cpu", "--quiet"]
    size = size_of(seqtile.load(MODEL, device="cpu"), letters[:100_000])
    batches = cut(letters, size)

    def ours() -> None:
        if how == "in process":
            with redirect_stdout(io.StringIO()):
                assert main(arguments) == 0
        else:
            subprocess.run([sys.executable, "-m", "seqtile", *arguments], check=True)

    ratios = side_by_side(
        ours, {THREADED: lambda: bare.run(batches), LANES: lambda: bare.lanes(batches)}, ROUNDS
    )
    expected = np.concatenate(bare.run(batches)).ravel()
    np.testing.assert_allclose(scores(ours_table), expected, rtol=2e-6, atol=1e-6)
    if how == "in process":
        taken = seconds(lambda: script(fasta, their_table, bare.session, bare.input, size))
        np.testing.assert_allclose(scores(their_table), expected, rtol=2e-6, atol=1e-6)
        ours_s = ratios[THREADED].ours_s
        one = taken / ours_s
        ratios["Biopython, numpy, onnxruntime, csv"] = Ratio(one, one, one, ours_s, taken)
    row = f"seqtile predict, {WINDOWS:,} records of {WINDOW} to a table, {how}"
    _record(benchmark, row, ratios, WINDOWS)
    benchmark.pedantic(lambda: None, rounds=1)  # all was measured above


def _record(benchmark: Any, row: str, ratios: dict[str, Ratio], count: int) -> None:
    others: dict[str, float | None] = {
        name: ratio.median for name, ratio in ratios.items() if name != THREADED
    }
    record(
        benchmark,
        row,
        ratios[THREADED],
        limit=THREADED,
        target=TARGET,
        rate=(count / 1e3, "thousand windows/s"),
        peers=others,
    )


@pytest.mark.parametrize("model", ["jund-cnn-seq", "liver-enhancer-cnn", "dna-binding-bilstm"])
def test_lanes(benchmark: Any, model: str) -> None:
    """What a single-threaded session for each core gains over one session with all threads."""
    predictor, bare = seqtile.load(model, device="cpu"), Bare(model)
    length = predictor.window or 101
    rng = np.random.default_rng(1)
    batches = cut(np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, (16_384, length))], 128)
    pairs = zip(bare.run(batches), bare.lanes(batches), strict=True)
    assert all(np.allclose(one, other, atol=1e-6) for one, other in pairs)
    ratio = side_by_side(lambda: bare.lanes(batches), {"": lambda: bare.run(batches)}, 5)[""]
    record(
        benchmark,
        f"{LANES}: {model}",
        ratio,
        limit=THREADED,
        target=None,
        rate=(16.384, "thousand windows/s"),
    )
    benchmark.pedantic(lambda: bare.lanes(batches), rounds=1)


def test_batch_size(benchmark: Any, letters: Any) -> None:
    """Throughput by batch size, printed alone: what the batch is chosen by."""
    predictor = seqtile.load(MODEL, device="cpu")
    part = letters[:32_768]
    rates: dict[int, float] = {}
    for _ in range(3):
        for size in (16, 32, 64, 128, 256, 512, 1024, 4096):
            taken = seconds(partial(predictor.predict, part, batch_size=size))
            rates[size] = max(rates.get(size, 0.0), len(part) / taken)
    benchmark.extra_info["windows_per_s"] = rates
    print("\n" + "  ".join(f"{size}: {rate:,.0f}/s" for size, rate in rates.items()))
    benchmark.pedantic(predictor.predict, args=(part,), rounds=1)
