"""The cards of the models of JUND binding."""

from __future__ import annotations

from typing import Any

from seqtile.models.card import Baseline, Metric, ModelCard
from seqtile.models.contract import Input, Output, Threshold

from ...export import export
from ...lab.metrics import sigmoid
from ..jund_accessibility.networks import ProbabilityWithAccessibility
from . import data as jund
from .data import Segments
from .networks import SequenceCNN
from .report import Cuts
from .student import NAME, Task

TOLERANCE = 5e-5  # embeddings reach 15, where float32 keeps 6 digits


def sequence_input() -> Input:
    """The letters of a segment."""
    return Input(
        name="sequence",
        kind="letters",
        shape=("batch", jund.LENGTH),
        dtype="uint8",
        meaning="ASCII letters of one strand; case is ignored, U counts as T",
        alphabet="dna",
        unknown="zero",
        min_length=jund.LENGTH,
    )


def probability_output() -> Output:
    """The answer."""
    return Output(
        name="probability",
        kind="score",
        shape=("batch",),
        dtype="float32",
        meaning="probability of binding if bound and unbound "
        "segments were equally frequent; of chromosome 22's segments 0.4 % are bound",
        labels=("unbound", "bound"),
    )


def embedding_output(width: int) -> Output:
    """What the last layer sees."""
    return Output(
        name="embedding",
        kind="embedding",
        shape=("batch", width),
        dtype="float32",
        meaning="activations of the layer before the last",
    )


def data_fields(train: Segments, valid: Segments) -> dict[str, Any]:
    """What a model was trained, chosen and tested on."""
    return {
        "name": jund.NAME,
        "source": jund.SOURCE,
        "assembly": "hg19, chromosome 22",
        "split": "the book's: random over segments of 101 bases that tile the chromosome",
        "train": {**_size(train), "sha256": jund.train_checksum(len(train))},
        "valid": {**_size(valid), "sha256": jund.CHECKSUMS["valid"]},
        "test": {"sha256": jund.CHECKSUMS["test"]},
    }


def _size(part: Segments) -> dict[str, int]:
    return {"n": len(part), "bound": int(part.bound.sum())}


def _rows_limit(train: Segments) -> str:
    share = len(train) / jund.TRAIN_ROWS
    return f"Trained on {share:.0%} of the book's rows" + (
        ": those that align between primates." if share < 1 else "."
    )


def make_card(
    network: SequenceCNN,
    task: Task,
    training: dict[str, Any],
    cuts: Cuts,
    metrics: list[Metric],
    base: list[Baseline],
) -> ModelCard:
    """The card of `jund-cnn-seq`, but for the checksum."""
    unbound = task.valid[task.valid.bound < 0.5].letters
    either = sigmoid(task.strand_logits(network, unbound).max(0))
    either_share = float((either >= cuts.peak).mean())
    return ModelCard(
        name=NAME,
        version="1.0.0",
        task="binary-classification",
        summary="Does the transcription factor JUND bind this 101-base segment (HepG2 cells)?",
        architecture="Conv(4->128, 8, valid) ReLU, global max and mean, Linear(256->32) ReLU, "
        "Linear(32->1), sigmoid",
        parameters=sum(p.numel() for p in network.parameters()),
        inputs=(sequence_input(),),
        outputs=(probability_output(), embedding_output(network.last.in_features)),
        receptive_field=network.receptive_field,
        threshold=Threshold(
            cuts.peak,
            "reached by 1 % of the unbound validation segments on one strand, "
            f"by {either_share:.2%} on either",
        ),
        data=data_fields(task.train, task.valid),
        training=training,
        training_window=training["window"],
        metrics=tuple(metrics),
        baselines=tuple(base),
        limits=(
            "One factor, one cell line: a segment is called bound if its letters look like "
            "those of JUND's peaks in HepG2 cells, open chromatin included; most sites with the "
            "motif are not bound.",
            "The split is random over neighbouring segments, so peaks stand on both of its sides; "
            "on 500-kb blocks kept out of train the ROC AUC is lower "
            "(`python -m training.train_jund --hold-out 0`).",
            _rows_limit(task.train),
            "The strands are scored apart and differ a little; a scan takes the larger score.",
        ),
        opset=export.OPSET,
        tolerance=TOLERANCE,
    )


_BRANCHES = {
    "jund-mlp": "one-hot flattened, Linear(404->{0}) ReLU, Linear({0}->32) ReLU",
    "jund-cnn": "Conv(4->128, 8, valid) ReLU, global max and mean, Linear(256->32) ReLU",
    "jund-lstm": "Conv(4->64, 8, valid) ReLU, MaxPool 4, bidirectional LSTM(64->{0}), last states, "
    "Linear({1}->32) ReLU",
}


def accessibility_card(
    name: str,
    network: ProbabilityWithAccessibility,
    task: Task,
    training: dict[str, Any],
    threshold: float,
    metrics: list[Metric],
    base: list[Baseline],
) -> ModelCard:
    """The card of a model of letters and accessibility, but for the checksum."""
    first = metrics[0]
    same = [b for b in base if (b.name, b.split) == (first.name, first.split)]
    better = [b for b in same if b.value >= first.value]
    hidden = training["config"]["hidden"]
    branch = network.network.branch
    used = [*branch.parameters(), *network.last.parameters()]
    unused = sum(p.numel() for p in branch.last.parameters())
    return ModelCard(
        name=name,
        version="1.0.0",
        task="binary-classification",
        summary="Does JUND bind this 101-base segment (HepG2 cells), from its letters and its "
        "chromatin accessibility?",
        architecture=f"{_BRANCHES[name].format(hidden, 2 * hidden)}; standardised "
        "log(accessibility + 5e-4) concatenated, Linear(33->1), sigmoid",
        parameters=sum(p.numel() for p in used) - unused,
        inputs=(
            sequence_input(),
            Input(
                name="accessibility",
                kind="number",
                shape=("batch", 1),
                dtype="float32",
                meaning="chromatin accessibility of the segment in the same cells, as the book's "
                "file has it: 0 to 0.167",
            ),
        ),
        outputs=(probability_output(), embedding_output(network.last.in_features)),
        receptive_field=jund.LENGTH,
        threshold=Threshold(threshold, "the largest weighted accuracy on validation"),
        data=data_fields(task.train, task.valid),
        training=training,
        training_window=training["window"],
        metrics=tuple(metrics),
        baselines=tuple(base),
        limits=(
            "One factor, one cell line, and accessibility on the scale of the book's file: values "
            "of another assay or another normalisation need a new head.",
            "The split is random over neighbouring segments, and accessibility is alike along a "
            "peak, so peaks stand on both of its sides.",
            "0.4 % of the segments are bound: at the threshold most of those called bound are "
            "not, see precision.",
            _rows_limit(task.train),
            *(
                f"Something simpler does better: {b.method} has a {b.name} of {b.value:.3f} on "
                f"{b.split}."
                for b in better
            ),
        ),
        opset=export.OPSET,
        tolerance=TOLERANCE,
    )
