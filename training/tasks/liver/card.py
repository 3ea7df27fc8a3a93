"""The contract of `liver-enhancer-cnn`, and the words of its card."""

from __future__ import annotations

from typing import Any

from seqtile.models.contract import Contract

from ...export.contracts import site_contract
from ...export.report import Report
from . import data
from .data import Sites

NAME = "liver-enhancer-cnn"


def make_contract(threshold: float, width: int) -> Contract:
    """The contract; ``width`` is the embedding's."""
    return site_contract(
        NAME,
        data.LENGTH,
        ("other cells", "liver"),
        threshold,
        width,
        tolerance=1e-5,
        assembly="GRCh38",
    )


def data_fields(train: Sites, valid: Sites) -> dict[str, Any]:
    """What it was trained and chosen on."""
    return {
        "sha256": data.CHECKSUM,
        "train": {"n": len(train), "liver": int(train.liver.sum())},
        "valid": {"n": len(valid), "liver": int(valid.liver.sum())},
    }


def words(contract: Contract, report: Report) -> dict[str, Any]:
    """What a reader of the card is told."""
    row = report.facts["cross_validation"]
    return report.words(
        task="binary-classification",
        summary="Is this site of open chromatin (200 bases) open in liver cells (HepG2)?",
        meaning={
            "sequence": "ASCII letters of either strand, the site's summit in the middle; case is "
            "ignored, U counts as T",
            "probability": "probability that the site is of HepG2 and not of K562, GM12878 or "
            "hESCT0, if a quarter of the sites are",
            "embedding": "activations of the hidden layers, mean of both strands",
        },
        chosen="largest accuracy on chromosome 2 (validation)",
        data={
            "name": data.NAME,
            "source": data.SOURCE,
            "assembly": "GRCh38",
            "split": "by chromosome: 1 test, 2 validation, the rest train; cross-validation in 5 "
            "folds of whole chromosomes but 1",
        },
        limits=(
            "HepG2 is a line of liver cancer cells, not liver tissue; the other cells are K562, "
            "GM12878 and hESCT0 alone.",
            "Tells apart sites that are open in one of the four; it does not tell open chromatin "
            "from closed, and not all sites are proven enhancers.",
            "Sites open in several of the cells were left out of the data.",
            "The summit is expected in the middle of the 200 bases.",
            f"The cross-validation (ROC AUC {row['roc_auc_mean']:.3f} ± {row['roc_auc_sd']:.3f}) "
            f"is of one network with a first kernel of {row['kernel']}; the mean of several that "
            "is shipped was not cross-validated.",
        ),
    )
