"""Comparing motifs with known ones, against Tomtom.

pytest benches/bench_motifs.py --benchmark-only -s

The measures differ (ours is one of Tomtom's, without its p-values), so what is compared first is
whether both name the known motif that each of the queries was made of.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benches.compare import record, speed_ratio
from seqtile.motifs.known import known_motifs
from seqtile.motifs.matching import best_match
from seqtile.motifs.motif import Motif

COPIES, DECOYS = 3, 40


def noisy(motif: Motif, rng: Any) -> Motif:
    """The motif with a sixth of noise and two places of nothing on each side."""
    flat = np.full((4, 2), 0.25)
    inner = motif.probabilities * 5 / 6 + rng.dirichlet(np.ones(4), len(motif)).T / 6
    return Motif(motif.name, np.concatenate([flat, inner, flat], axis=1))


def test_best_match(benchmark: Any) -> None:
    tomtom = pytest.importorskip("memelite").tomtom
    known = [motif for motif in known_motifs("dna") if len(motif) >= 7]
    rng = np.random.default_rng(0)
    queries = [noisy(motif, rng) for motif in known for _ in range(COPIES)]
    # Tomtom's p-values want a collection: motifs of nothing in particular.
    decoys = [Motif(f"decoy{i}", rng.dirichlet(np.ones(4), 10).T) for i in range(DECOYS)]
    targets = [*known, *decoys]

    def ours() -> list[str]:
        matches = [best_match(query, targets) for query in queries]
        return [match.target.name for match in matches if match]

    arrays = [motif.probabilities for motif in queries], [m.probabilities for m in targets]

    def theirs() -> list[str]:
        p_values = tomtom(*arrays, n_jobs=1)[0]
        return [targets[best].name for best in p_values.argmin(axis=1)]

    made_of = [motif.name for motif in queries]
    for found in (ours(), theirs()):
        assert np.mean([a == b for a, b in zip(found, made_of, strict=True)]) > 0.9
    pairs = len(queries) * len(targets)
    record(
        benchmark,
        f"{len(queries)} motifs against {len(targets)}, both strands",
        speed_ratio(ours, theirs, 5),
        limit="Tomtom (memelite), one thread",
        target=None,
        rate=(pairs / 1e3, "thousand pairs/s"),
    )
    benchmark.pedantic(ours, rounds=1)
