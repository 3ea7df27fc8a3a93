"""`seqtile.scan` in window mode against bare onnxruntime on pre-built batches, on real sequence.

pytest benches/bench_scan.py --benchmark-only -s
"""

from __future__ import annotations

import numpy as np
import pytest

import seqtile
from benches.bare import LANES, THREADED, Bare, cut
from benches.compare import record, side_by_side
from seqtile.scanning.report import write_scan

MODEL = "jund-cnn-seq"


@pytest.fixture(params=[1, 10])
def stride(request) -> int:
    return request.param


@pytest.fixture
def genome(tmp_path, stride):
    """The example, as often as the stride is long: about 100,000 windows at any stride."""
    path = tmp_path / "genome.fa"
    with path.open("w") as file:
        for copy in range(stride):
            for found in seqtile.read_fasta(seqtile.example_path("chr22")):
                file.write(f">{found.name}/{copy}\n{found.sequence.tobytes().decode()}\n")
    return path


def test_scan(benchmark, tmp_path, genome, stride) -> None:
    predictor = seqtile.load(MODEL, device="cpu")
    window = predictor.window
    assert window is not None
    size = predictor.batches().size((window,))
    bare = Bare(MODEL)
    plus, batches = [], []
    for found in seqtile.read_fasta(genome):
        views = [
            seqtile.windows(found.sequence, window, stride),
            seqtile.windows(seqtile.reverse_complement(found.sequence), window)[::-stride],
        ]
        plus.append(views[0])
        for view in views:
            batches += cut(view, size)
    count = sum(map(len, batches))

    def ours() -> object:
        work = seqtile.scan(predictor, genome, stride=stride)
        return write_scan(work, [tmp_path / "out.bw"])

    work = seqtile.scan(predictor, genome, stride=stride, strand="+")
    scores = np.concatenate([block.scores for block in work])
    expected = [predictor.predict(np.ascontiguousarray(v))[predictor.outputs[0]] for v in plus]
    np.testing.assert_allclose(scores, np.concatenate(expected), atol=1e-6)
    ratios = side_by_side(
        ours, {THREADED: lambda: bare.run(batches), LANES: lambda: bare.lanes(batches)}, rounds=5
    )
    record(
        benchmark,
        f"scan into a bigWig, stride {stride}, both strands",
        ratios[THREADED],
        limit=THREADED,
        target=0.95,
        rate=(count / 1e3, "thousand windows/s"),
        peers={LANES: ratios[LANES].median},
    )
    benchmark.pedantic(ours, rounds=1)
