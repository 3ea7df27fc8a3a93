"""The contract of `dna-binding-bilstm`, and the words of its card."""

from __future__ import annotations

from typing import Any

from seqtile.models.contract import Contract

from ...export.contracts import site_contract
from ...export.report import Report
from . import data as dna_binding

NAME = "dna-binding-bilstm"


def make_contract(threshold: float, width: int) -> Contract:
    """The contract; ``width`` is the embedding's."""
    return site_contract(
        NAME,
        dna_binding.LENGTH,
        ("unbound", "bound"),
        threshold,
        width,
        tolerance=5e-5,  # of embeddings up to about 35
    )


def data_fields() -> dict[str, Any]:
    """What it was trained, chosen and tested on."""
    return {
        "train": {"n": 9292, "bound": 4646},
        "valid": {"n": 1032, "bound": 516},
        "test": {"n": 2580, "bound": 1290},
        "sha256": dna_binding.CHECKSUMS,
    }


def words(contract: Contract, report: Report) -> dict[str, Any]:
    """What a reader of the card is told."""
    return report.words(
        task="binary-classification",
        summary="Does the protein of this ChIP-seq experiment (USF1 or USF2 by its motif) bind "
        "this 101-base segment?",
        meaning={
            "sequence": "ASCII letters of either strand; case is ignored, U counts as T",
            "probability": "that the segment is bound and not a shuffle of one, if both are "
            "equally frequent",
            "embedding": "activations of the networks' layers before the last, means of both "
            "strands",
        },
        chosen="the largest accuracy on validation",
        data={
            "name": dna_binding.NAME,
            "source": dna_binding.SOURCE,
            "split": "by pair of a bound segment and its shuffle: 80/20, then a tenth of train for "
            "validation; shifted test: the course's held-out file of 2021",
        },
        limits=(
            "Unbound segments are shuffles of bound ones (blocks of two letters in new order), not "
            "genome: it tells real sequence from shuffled as well as bound from unbound, and is no "
            "peak caller.",
            "The course names neither protein nor cell; the E-box CACGTG, in 45 % of bound "
            "segments, is USF1's and USF2's.",
            "The shifted test means little: half of the segments that its file calls bound are "
            "shuffles of the other half, with as many of each dinucleotide. Without these 1,000 "
            "rows ROC AUC is 0.999.",
            "Dealing out rows and not pairs would gain nothing: one network of the recipe then has "
            "ROC AUC 0.980 on test, the same against unbound rows whose bound one it had learned.",
            "No licence is stated for the data.",
        ),
    )
