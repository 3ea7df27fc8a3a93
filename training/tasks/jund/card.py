"""The contract of `jund-cnn-seq`, and the words of its card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seqtile.models.contract import Contract, Input

from ...export.contracts import site_contract
from ...export.report import Report
from . import data as jund
from .data import Segments

if TYPE_CHECKING:
    from .networks import SequenceCNN

TOLERANCE = 5e-5  # embeddings reach 15, where float32 keeps 6 digits
MEANING = {
    "sequence": "ASCII letters of one strand; case is ignored, U counts as T",
    "probability": "probability of binding if bound and unbound segments were equally frequent; of "
    "chromosome 22's segments 0.4 % are bound",
    "embedding": "activations of the layer before the last",
}
DATA = {
    "name": jund.NAME,
    "source": jund.SOURCE,
    "assembly": "hg19, chromosome 22",
    "split": "the book's: random over segments of 101 bases that tile the chromosome",
}


def make_contract(
    name: str, threshold: float, width: int, *further: Input, receptive_field: int = jund.LENGTH
) -> Contract:
    """The contract of a model of JUND's segments.

    Parameters
    ----------
    threshold
        Of the probability.
    width
        Of the embedding.
    further
        Inputs beside the letters.
    receptive_field
        Of its convolutions.
    """
    return site_contract(
        name,
        jund.LENGTH,
        ("unbound", "bound"),
        threshold,
        width,
        *further,
        tolerance=TOLERANCE,
        receptive_field=receptive_field,
        assembly="hg19",
    )


def sequence_contract(name: str, threshold: float, network: SequenceCNN) -> Contract:
    """The contract of a model of letters alone."""
    return make_contract(
        name, threshold, network.last.in_features, receptive_field=network.receptive_field
    )


def data_fields(train: Segments, valid: Segments) -> dict[str, Any]:
    """What a model was trained, chosen and tested on."""
    return {
        "train": {**_size(train), "sha256": jund.train_checksum(len(train))},
        "valid": {**_size(valid), "sha256": jund.CHECKSUMS["valid"]},
        "test": {"sha256": jund.CHECKSUMS["test"]},
    }


def _size(part: Segments) -> dict[str, int]:
    return {"n": len(part), "bound": int(part.bound.sum())}


def rows_limit(report: Report) -> str:
    """How many of the book's rows it saw."""
    share = report.data["train"]["n"] / jund.TRAIN_ROWS
    return f"Trained on {share:.0%} of the book's rows" + (
        ": those that align between primates." if share < 1 else "."
    )


def words(contract: Contract, report: Report) -> dict[str, Any]:
    """What a reader of the card is told."""
    return report.words(
        task="binary-classification",
        summary="Does the transcription factor JUND bind this 101-base segment (HepG2 cells)?",
        meaning=MEANING,
        chosen="reached by 1 % of the unbound validation segments on one strand, "
        f"by {report.facts['either']:.2%} on either",
        data=DATA,
        limits=(
            "One factor, one cell line: a segment is called bound if its letters look like "
            "those of JUND's peaks in HepG2 cells, open chromatin included; most sites with the "
            "motif are not bound.",
            "The split is random over neighbouring segments, so peaks stand on both of its sides; "
            "on 500-kb blocks kept out of train the ROC AUC is lower "
            "(`python -m training jund --hold-out 0`).",
            rows_limit(report),
            "The strands are scored apart and differ a little; a scan takes the larger score.",
        ),
    )
