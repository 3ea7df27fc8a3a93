"""The contract of `rbp-multi`, and the words of its card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqtile.models.contract import Contract, Output

from ...export.contracts import embedding, letters
from ...export.report import Report
from ..rbp import data as rnacompete

NAME = "rbp-multi"
LIMITS = (
    "Purified proteins and designed RNAs of 30 to 41 letters: no cell, no competition; longer RNAs "
    "were never seen, though any length is taken.",
    "The proteins are columns of a course's files, which do not name them (RBP24 looks like MSI1); "
    "intensities were transformed there, how is not stated.",
    "Repeats of RBP38, RBP29, RBP22, RBP1 and RBP17 agree at r of 0.5 or less, and no prediction "
    "can do better than the root of that; proteins.csv has every protein.",
    "Better than single networks for less work in all, not step for step: of the same size and for "
    "the same steps a single network is ahead for most proteins (see the baselines).",
)


def make_contract(proteins: Sequence[str], width: int, *, kernel: int, depth: int) -> Contract:
    """The contract.

    Parameters
    ----------
    proteins
        What it answers for.
    width
        Of the embedding.
    kernel, depth
        Of its motifs; its dilated convolutions.
    """
    return Contract(
        name=NAME,
        version="1.1.0",
        inputs=(letters("rna", min_length=2),),
        outputs=(
            Output(
                name="affinity",
                kind="score",
                shape=("batch", len(proteins)),
                dtype="float32",
                labels=tuple(proteins),
            ),
            embedding(width),
        ),
        # Of the trunk: motifs, two neighbours, then convolutions of 3 over such pairs.
        receptive_field=kernel + 1 + 4 * 2**depth,
        training_window=rnacompete.LENGTH,
        tolerance=1e-4,
    )


def words(contract: Contract, report: Report) -> dict[str, Any]:
    """What a reader of the card is told."""
    proteins = contract.outputs[0].labels
    return report.words(
        task="regression",
        summary=f"How strongly {len(proteins)} RNA-binding proteins hold a short RNA",
        meaning={
            "sequence": "ASCII letters; case is ignored, T counts as U; trailing unknown letters "
            "are padding",
            "affinity": "RNAcompete intensity of each protein as its source gives it (0 to 8; "
            "scale differs between proteins)",
            "embedding": "activations of the hidden layer, not negative",
        },
        data={
            "name": rnacompete.NAME,
            "source": rnacompete.SOURCE,
            "proteins": list(proteins),
            "left_out": [rnacompete.NOISE],
            "split": "set A to train and validation (10 %), copies of a sequence together; "
            "set B to test; scored are the probes that every protein has a value of",
        },
        limits=LIMITS,
    )
