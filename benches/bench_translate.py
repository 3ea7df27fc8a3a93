"""`translate` in one thread, against Biopython.

pytest benches/bench_translate.py --benchmark-only -s
"""

from __future__ import annotations

import numpy as np
import pytest
from Bio.Seq import Seq

from benches.compare import Ratio, record, speed_ratio
from seqtile import translate

LENGTH = 30_000_000


@pytest.mark.parametrize("kind", ["array", "str"])
@pytest.mark.parametrize("frame", [0, -1])
def test_translate(benchmark, kind, frame) -> None:
    letters = np.frombuffer(b"ACGT", np.uint8)[
        np.random.default_rng(0).integers(0, 4, LENGTH, np.uint8)
    ]
    part = 300_000  # Biopython is slow
    text = letters.tobytes().decode()
    sequence = letters if kind == "array" else text

    def biopython() -> str:
        strand = Seq(text[:part]) if frame == 0 else Seq(text[:part]).reverse_complement()
        return str(strand.translate())

    assert translate(text[:part], frame=frame) == biopython()
    ratio = speed_ratio(lambda: translate(sequence, frame=frame), biopython, rounds=7)
    times = LENGTH / part
    # Against a gigabase per second, which is a figure and not a call.
    second = LENGTH / 1e9
    spread = ratio.low / ratio.median, ratio.high / ratio.median
    rate = second / ratio.ours_s
    record(
        benchmark,
        f"translate 30 Mb, frame {frame}, from {kind}",
        Ratio(rate, rate * spread[0], rate * spread[1], ratio.ours_s, second),
        limit="1 Gbase/s, one thread",
        target=1.0,
        rate=(LENGTH / 1e9, "Gbases/s"),
        peers={"Biopython": ratio.median * times},
    )
    benchmark.pedantic(translate, args=(sequence,), kwargs={"frame": frame}, rounds=1)
