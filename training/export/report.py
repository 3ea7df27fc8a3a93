"""What a training measured: ``report.json`` of a model folder, from which its card is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from seqtile.models.card import Baseline, Metric
from seqtile.models.contract import decoded, json_text, plain

OPSET = 18
FILE = "report.json"


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Figures of one training; no text that a reader of the card might want in other words.

    Attributes
    ----------
    task
        Folder of ``training/tasks`` whose ``card.py`` has the words; empty for none.
    architecture, parameters, opset
        Of the network and its graph.
    facts
        Further figures that the words quote.
    data
        Sizes and checksums of what was trained and scored on.
    training
        As `training.lab.command.training_fields` has it.
    metrics, baselines
        What the model is worth, and the same of something trivial.
    """

    task: str
    architecture: str
    parameters: int
    opset: int
    facts: dict[str, Any] = msgspec.field(default_factory=dict)
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    training: dict[str, Any] = msgspec.field(default_factory=dict)
    metrics: tuple[Metric, ...]
    baselines: tuple[Baseline, ...] = ()

    @classmethod
    def of(
        cls,
        task: str,
        network: Any,
        training: Mapping[str, Any],
        metrics: Sequence[Metric],
        baselines: Sequence[Baseline],
        *,
        architecture: str = "",
        parameters: int | None = None,
        data: Mapping[str, Any],
        facts: Mapping[str, Any] | None = None,
    ) -> Report:
        """The report of a network, whose parameters are counted unless they are given."""
        if parameters is None:
            parameters = sum(p.numel() for p in network.parameters())
        return cls(
            task=task,
            architecture=architecture or network.architecture,
            parameters=parameters,
            opset=OPSET,
            facts=dict(facts or {}),
            data=dict(data),
            training=dict(training),
            metrics=tuple(metrics),
            baselines=tuple(baselines),
        )

    @classmethod
    def read(cls, folder: Path) -> Report:
        """The report of a model folder.

        Raises
        ------
        FileNotFoundError
            It has none.
        ModelCardError
            A field missing, unknown or of the wrong kind; names file and field.
        """
        path = folder / FILE
        return decoded(path.read_bytes(), cls, str(path))

    def to_json(self) -> str:
        """Deterministic JSON text, without what is default."""
        return json_text(plain(self))

    def words(
        self,
        *,
        task: str,
        summary: str,
        meaning: Mapping[str, str],
        limits: Sequence[str],
        data: Mapping[str, Any],
        chosen: str = "",
    ) -> dict[str, Any]:
        """What ``card.json`` holds: these words, and the figures here."""
        return {
            "task": task,
            "summary": summary,
            "architecture": self.architecture,
            "parameters": self.parameters,
            "meaning": dict(meaning),
            "chosen": chosen,
            "data": {**data, **self.data},
            "training": self.training,
            "metrics": plain(self.metrics),
            "baselines": plain(self.baselines),
            "limits": list(limits),
            "opset": self.opset,
        }
