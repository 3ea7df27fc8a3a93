"""The contracts of the networks of one protein's affinity, and the words of their cards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqtile.models.card import Metric
from seqtile.models.contract import Contract, Output

from ...export.contracts import embedding, letters
from ...export.report import Report
from . import data as rnacompete

SHORTEST = 8  # letters of the shortest RNA that a model takes


def make_contract(name: str, width: int) -> Contract:
    """The contract; ``width`` is the embedding's."""
    return Contract(
        name=name,
        version="1.1.0",
        inputs=(letters("rna", min_length=SHORTEST),),
        outputs=(
            Output(name="affinity", kind="score", shape=("batch",), dtype="float32"),
            embedding(width),
        ),
        receptive_field=rnacompete.LENGTH,
        training_window=rnacompete.LENGTH,
        tolerance=1e-4,
    )


def words(contract: Contract, report: Report) -> dict[str, Any]:
    """What a reader of the card is told."""
    config, facts = report.training["config"], report.facts
    protein = config["protein"]
    local = protein in rnacompete.PROTEINS
    return report.words(
        task="regression",
        summary=f"How strongly the protein {protein} holds a short RNA "
        "(RNAcompete, set A to set B).",
        meaning={
            "sequence": "ASCII letters of an RNA, 5' to 3'; case is ignored, T counts as U; "
            "unknown letters at the end are padding and change nothing",
            "affinity": "binding intensity, in standard deviations from train's mean: intensity = "
            f"{facts['mean']:.4f} + {facts['deviation']:.4f} x affinity",
            "embedding": "activations of the layer before the last, not negative",
        },
        data={
            "name": rnacompete.NAME,
            "source": rnacompete.SOURCE
            if local
            else config["intensities"] or rnacompete.SUBSET_SOURCE,
            "protein": protein,
            "split": "the array's: train and valid of set A (copies of a sequence together), test "
            "all of set B; no sequence is in both",
        },
        limits=limits(protein, report.metrics),
    )


def limits(protein: str, metrics: Sequence[Metric]) -> tuple[str, ...]:
    """What the model is not good for."""
    lines = [
        f"Trained on RNAs of 30 to {rnacompete.LENGTH} letters that all begin with AGA or AGG; a "
        "longer RNA is cut into windows of that size.",
        "Binding of a purified protein in a tube, not in a cell.",
        "Probes without a measurement (filled in at the source with one value) are left out of "
        "training and of every figure.",
    ]
    if protein in rnacompete.PROTEINS:
        lines.insert(
            0,
            f"The source does not name {protein}; by its motif (UAG) it may be a Musashi "
            "protein. It stands in for RBFOX1, whose intensities are not in the data.",
        )
    first = metrics[0]
    if first.split == "test" and first.value < 0.9 and protein == "RBP24":
        lines.append(f"Pearson {first.value:.3f} on set B falls short of the 0.90 aimed at.")
    return tuple(lines)
