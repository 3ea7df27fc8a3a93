"""Real sequence for the benches."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import numpy as np

import seqtile


@lru_cache(maxsize=2)
def genome_letters(bases: int) -> np.ndarray:
    """The first ``bases`` letters of the genomes in ``SEQTILE_DATA`` (48 Mb), over and over.

    Without ``SEQTILE_DATA`` the packaged example (124 kb of human chromosome 22) serves.
    """
    if folder := os.environ.get("SEQTILE_DATA"):
        paths = sorted((Path(folder) / "genomes").glob("*.gz"))
    else:
        paths = [seqtile.example_path("chr22")]
    parts = [record.sequence for path in paths for record in seqtile.read_fasta(path)]
    letters = np.concatenate(parts)
    return np.tile(letters, -(-bases // len(letters)))[:bases]
