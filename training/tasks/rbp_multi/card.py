"""What the card of `rbp-multi` says, and its golden inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqtile.models.card import Baseline, Metric, ModelCard
from seqtile.models.contract import Input, Output

from ...export import export
from ...lab import command
from ...lab.command import Options
from ...lab.loop import Fit
from ..rbp import data as rnacompete
from .networks import MultiAffinity
from .task import Task

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


def make_card(
    task: Task,
    options: Options,
    shipped: MultiAffinity,
    multi: Fit,
    single_seconds: float,
    metrics: list[Metric],
    base: list[Baseline],
    limits: Sequence[str],
) -> ModelCard:
    """The card, but for the checksum."""
    config = task.config
    # Of the trunk: motifs, two neighbours, then convolutions of 3 over such pairs.
    field_of_view = config.width + 1 + 4 * 2**config.depth
    return ModelCard(
        name=NAME,
        version="1.0.0",
        task="regression",
        summary=f"How strongly {len(task.proteins)} RNA-binding proteins hold a short RNA",
        architecture=f"Conv(6->{config.motifs}, {config.width}) max pooling 2, "
        f"Conv(->{config.filters}, 3), {config.depth} residual dilated convolutions of 3, global "
        f"max and mean, Linear(->{config.hidden}) ReLU, weights of each protein from its "
        f"embedding of {config.identity}",
        parameters=sum(p.numel() for p in shipped.network.parameters()),
        inputs=(
            Input(
                name="sequence",
                kind="letters",
                shape=("batch", "length"),
                dtype="uint8",
                meaning="ASCII letters; case is ignored, T "
                "counts as U; trailing unknown letters are padding",
                alphabet="rna",
                unknown="zero",
                min_length=2,
            ),
        ),
        outputs=(
            Output(
                name="affinity",
                kind="score",
                shape=("batch", len(task.proteins)),
                dtype="float32",
                meaning="RNAcompete intensity of "
                "each protein as its source gives it (0 to 8; scale differs between proteins)",
                labels=task.proteins,
            ),
            Output(
                name="embedding",
                kind="embedding",
                shape=("batch", config.hidden),
                dtype="float32",
                meaning="activations of the hidden layer, not negative",
            ),
        ),
        receptive_field=field_of_view,
        training_window=rnacompete.LENGTH,
        threshold=None,
        data={
            "name": rnacompete.NAME,
            "source": rnacompete.SOURCE,
            "proteins": list(task.proteins),
            "left_out": [rnacompete.NOISE],
            "split": "set A to train and validation (10 %), copies of a sequence together; "
            "set B to test; scored are the probes that every protein has a value of",
            "train": {"n": len(task.train)},
            "valid": {"n": len(task.valid)},
            "test": {"n": len(task.test)},
            "sha256": rnacompete.CHECKSUMS["all"],
        },
        training=command.training_fields(
            "train_rbp_multi",
            config,
            options,
            seconds=multi.seconds,
            window=rnacompete.LENGTH,
            best_epoch=multi.best_epoch,
            single_networks_seconds=round(single_seconds),
        ),
        metrics=tuple(metrics),
        baselines=tuple(base),
        limits=tuple(limits),
        opset=export.OPSET,
        tolerance=1e-4,
    )


def golden_inputs(task: Task) -> dict[str, NDArray[np.uint8]]:
    """Probes of all lengths from validation, some in lower case, some with unknown letters."""
    rows = task.valid[np.linspace(0, len(task.valid) - 1, 24).astype(np.int64)]
    letters = task.probes.letters[rows].copy()
    letters[::4] |= 0x20
    letters[1::6, 10:13] = ord("N")
    return {"sequence": letters}
