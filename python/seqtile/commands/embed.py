"""``seqtile embed``: the penultimate layer for each record or image, in `predict`'s forms."""

from __future__ import annotations

import argparse

from .predict import add_arguments, write_answers

__all__ = ["add_arguments", "run"]


def run(options: argparse.Namespace) -> int:
    """Embed what a FASTA file or images hold; the exit status is 1 if any was left out."""
    return write_answers(options, embed=True)
