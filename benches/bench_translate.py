"""`translate` in one thread, against Biopython.

pytest benches/bench_translate.py --benchmark-only -s
"""

from __future__ import annotations

import numpy as np
import pytest
from Bio.Seq import Seq

from benches.compare import speed_ratio
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
    rate = LENGTH / ratio.ours_s / 1e9
    times = LENGTH / part
    benchmark.extra_info.update(
        row=f"translate 30 Mb, frame {frame}, from {kind}",
        target=1.0,
        limit="1 Gbase/s, one thread",
        ratio=rate,
        low=rate * ratio.low / ratio.median,
        high=rate * ratio.high / ratio.median,
        peers={"Biopython": ratio.median * times},
    )
    print(
        f"\ntranslate, frame {frame}, from {kind}: {rate:.2f} Gbases/s (wanted: 1), "
        f"{ratio.median * times:.0f} times as fast as Biopython"
    )
    benchmark.pedantic(translate, args=(sequence,), kwargs={"frame": frame}, rounds=3)
