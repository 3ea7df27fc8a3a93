"""Writing a dense track as bigWig, and finding its peaks, against other writers and the model.

pytest benches/bench_bigwig.py --benchmark-only -s

Scores of a made-up chromosome, one a base. The writer must never be the stage that limits a scan:
so it is also held against the model that makes the scores.
"""

from __future__ import annotations

import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benches.bare import THREADED, Bare, cut
from benches.compare import peers, record, speed_ratio
from seqtile.scanning.block import ScanBlock
from seqtile.scanning.peaks import PeakCaller
from seqtile.scanning.tracks.bigwig import BigWigTrack

BASES, BLOCK = 2_000_000, 1 << 16
MODEL, WINDOW = "jund-cnn-seq", 101
THRESHOLD, GAP = 0.8, 101


@pytest.fixture(scope="module")
def scores() -> Any:
    """Smooth, as those of overlapping windows, float32 (BASES,) in [0, 1]."""
    steps = np.random.default_rng(0).standard_normal(BASES + 100)
    mean = np.convolve(steps, np.ones(101) / 101**0.5, "valid")
    return (1 / (1 + np.exp(-1.5 * mean))).astype(np.float32)


def blocks(scores: Any) -> list[ScanBlock]:
    starts = range(0, len(scores), BLOCK)
    ends = [min(start + BLOCK, len(scores)) for start in starts]
    strands = np.ones(len(scores), np.int8)
    return [
        ScanBlock("chr1", start, end, start, 1, scores[start:end], strands[start:end])
        for start, end in zip(starts, ends, strict=True)
    ]


def write(scores: Any, path: Path) -> None:
    with path.open("wb") as file:
        track = BigWigTrack(file, {"chr1": len(scores)})
        for block in blocks(scores):
            track.write(block)
        track.close()


def pybigwig(scores: Any, path: Path, *, lists: bool) -> None:
    import pyBigWig

    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([("chr1", len(scores))])
        for begin in range(0, len(scores), BLOCK):
            part = scores[begin : begin + BLOCK]
            values = part.tolist() if lists else part
            file.addEntries("chr1", begin, values=values, span=1, step=1)


def pybigtools(scores: Any, path: Path) -> None:
    import pybigtools

    values = zip(range(len(scores)), range(1, len(scores) + 1), scores.tolist(), strict=True)
    entries = (("chr1", start, end, value) for start, end, value in values)
    pybigtools.open(str(path), "w").write({"chr1": len(scores)}, entries)


def read(path: Path) -> Any:
    pybig = pytest.importorskip("pyBigWig")
    with pybig.open(str(path)) as file:
        return file.values("chr1", 0, file.chroms("chr1"), numpy=True)


def test_bigwig(benchmark: Any, scores: Any, tmp_path: Path) -> None:
    target, other = tmp_path / "ours.bw", tmp_path / "theirs.bw"
    write(scores, target)
    np.testing.assert_array_equal(read(target), scores)
    pybigwig(scores, other, lists=False)
    np.testing.assert_array_equal(read(other), scores)

    def ours() -> None:
        write(scores, target)

    def deflate() -> None:
        """What the format cannot do without: each section's scores, packed; and their bytes."""
        with other.open("wb") as file:
            for begin in range(0, len(scores), 4096):
                file.write(zlib.compress(scores[begin : begin + 4096].tobytes(), 1))

    record(
        benchmark,
        f"bigWig of {BASES / 1e6:.0f} Mb, a score a base",
        speed_ratio(ours, deflate, 3),
        limit="zlib level 1 of the scores, written",
        target=None,
        rate=(BASES / 1e6, "Mbases/s"),
        peers=peers(
            ours,
            {
                "pyBigWig, arrays": lambda: pybigwig(scores, other, lists=False),
                "pyBigWig, lists": lambda: pybigwig(scores, other, lists=True),
                "pybigtools": lambda: pybigtools(scores, other),
            },
            1,
        ),
    )
    benchmark.pedantic(ours, rounds=1)


def test_never_limits(benchmark: Any, scores: Any, tmp_path: Path) -> None:
    """Against the model alone on the windows of one strand: at 1 they would take turns."""
    bare, count = Bare(MODEL), 20_000
    letters = np.random.default_rng(1).choice(np.frombuffer(b"ACGT", np.uint8), count + WINDOW - 1)
    batches = cut(np.lib.stride_tricks.sliding_window_view(letters, WINDOW), 128)
    assert sum(map(len, bare.run(batches))) == count
    target = tmp_path / "ours.bw"

    def ours() -> None:
        write(scores, target)

    ratio = speed_ratio(ours, lambda: bare.run(batches), 3).times(BASES / count)
    record(
        benchmark,
        "bigWig writing, of the scores of one strand",
        ratio,
        limit=f"{THREADED}: the windows themselves",
        target=1.0,
        rate=(BASES / 1e6, "Mbases/s"),
    )
    benchmark.pedantic(ours, rounds=1)


def call_peaks(scores: Any) -> list[tuple[int, int]]:
    caller, found = PeakCaller(THRESHOLD, GAP), []
    for block in blocks(scores):
        found += caller.add(block)
    return [(peak.start, peak.end) for peak in [*found, *caller.finish()]]


def loop(scores: Any) -> list[tuple[int, int]]:
    """The loop that people write."""
    found: list[tuple[int, int]] = []
    for base, score in enumerate(scores.tolist()):
        if score < THRESHOLD:
            continue
        if found and base - found[-1][1] <= GAP:
            found[-1] = (found[-1][0], base + 1)
        else:
            found.append((base, base + 1))
    return found


def with_numpy(scores: Any) -> list[tuple[int, int]]:
    """Runs by differences; no summits."""
    above = np.flatnonzero(scores >= np.float32(THRESHOLD))
    cuts = np.flatnonzero(np.diff(above) > GAP + 1) + 1
    edges = [0, *cuts.tolist(), len(above)]
    return [(int(above[a]), int(above[b - 1]) + 1) for a, b in pairwise(edges)]


def test_peaks(benchmark: Any, scores: Any) -> None:
    """Merged peaks with summits; the others have the intervals alone."""
    exact = np.where(np.abs(scores - THRESHOLD) < 1e-6, np.float32(0.5), scores)
    found = call_peaks(exact)
    assert found == loop(exact) == with_numpy(exact)
    spare = np.empty(len(exact), np.bool_)

    def ours() -> Any:
        return call_peaks(exact)

    record(
        benchmark,
        f"{len(found):,} peaks of {BASES / 1e6:.0f} Mb",
        speed_ratio(ours, lambda: np.greater_equal(exact, THRESHOLD, out=spare), 5),
        limit="one comparison with the threshold",
        target=None,
        rate=(BASES / 1e6, "Mbases/s"),
        peers=peers(ours, {"numpy": lambda: with_numpy(exact), "a loop": lambda: loop(exact)}, 3),
    )
    benchmark.pedantic(ours, rounds=1)
