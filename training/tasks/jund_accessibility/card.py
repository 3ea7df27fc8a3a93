"""The contracts of `jund-mlp`, `jund-cnn` and `jund-lstm`, and the words of their cards."""

from __future__ import annotations

from typing import Any

from seqtile.models.contract import Contract, Input

from ...export.report import Report
from ..jund.card import DATA, MEANING, make_contract, rows_limit

_BRANCHES = {
    "jund-mlp": "one-hot flattened, Linear(404->{0}) ReLU, Linear({0}->32) ReLU",
    "jund-cnn": "Conv(4->128, 8, valid) ReLU, global max and mean, Linear(256->32) ReLU",
    "jund-lstm": "Conv(4->64, 8, valid) ReLU, MaxPool 4, bidirectional LSTM(64->{0}), last states, "
    "Linear({1}->32) ReLU",
}


def accessibility_contract(name: str, threshold: float, width: int) -> Contract:
    """The contract of a model of letters and accessibility."""
    further = Input(name="accessibility", kind="number", shape=("batch", 1), dtype="float32")
    return make_contract(name, threshold, width, further)


def architecture(name: str, hidden: int) -> str:
    """The network in a line; ``hidden`` is the width of its branch for letters."""
    return (
        f"{_BRANCHES[name].format(hidden, 2 * hidden)}; standardised log(accessibility + 5e-4) "
        "concatenated, Linear(33->1), sigmoid"
    )


def words(contract: Contract, report: Report) -> dict[str, Any]:
    """What a reader of the card is told."""
    first = report.metrics[0]
    same = [b for b in report.baselines if (b.name, b.split) == (first.name, first.split)]
    return report.words(
        task="binary-classification",
        summary="Does JUND bind this 101-base segment (HepG2 cells), from its letters and its "
        "chromatin accessibility?",
        meaning=MEANING
        | {
            "accessibility": "chromatin accessibility of the segment in the same cells, as the "
            "book's file has it: 0 to 0.167"
        },
        chosen="the largest weighted accuracy on validation",
        data=DATA,
        limits=(
            "One factor, one cell line, and accessibility on the scale of the book's file: values "
            "of another assay or another normalisation need a new head.",
            "The split is random over neighbouring segments, and accessibility is alike along a "
            "peak, so peaks stand on both of its sides.",
            "0.4 % of the segments are bound: at the threshold most of those called bound are "
            "not, see precision.",
            rows_limit(report),
            *(
                f"Something simpler does better: {b.method} has a {b.name} of {b.value:.3f} on "
                f"{b.split}."
                for b in same
                if b.value >= first.value
            ),
        ),
    )
