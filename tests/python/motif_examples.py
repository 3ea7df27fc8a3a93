"""Motifs for tests: of chance, and known ones in noise."""

from __future__ import annotations

import numpy as np

from seqtile.motifs.motif import Motif

HEAD = "MEME version 5\n\nALPHABET= ACGT\n\n"


def random_motif(seed: int, width: int = 9, *, name: str = "x", alphabet="dna") -> Motif:
    """Of counts of 40 letters a column, some of them 0."""
    rng = np.random.default_rng(seed)
    counts = np.stack([rng.multinomial(40, rng.dirichlet([0.4] * 4)) for _ in range(width)], 1)
    return Motif.from_counts(name, counts, alphabet=alphabet)


def in_noise(consensus: str, *, before: int = 3, after: int = 2, weight: float = 0.8) -> Motif:
    """A consensus among columns of nothing in particular."""
    core = Motif.from_consensus("x", consensus).probabilities
    table = np.concatenate([np.full((4, before), 0.25), core, np.full((4, after), 0.25)], 1)
    noise = np.random.default_rng(0).dirichlet([5] * 4, table.shape[1]).T
    return Motif("x", weight * table + (1 - weight) * noise)
