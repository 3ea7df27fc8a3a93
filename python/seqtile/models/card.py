"""The model card: a model's contract, and what a reader needs to trust it or not.

A card is made of two files of a model folder: ``contract.json``, see `seqtile.models.contract`, and
``card.json``, which holds the rest. No program needs the rest, and it is not in the model file, so
that a word may change and the model stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..errors import ModelCardError
from . import old_card
from .contract import Contract, Input, Output, Threshold, converted, decoded, json_text, plain

__all__ = ["Baseline", "Metric", "ModelCard"]

FILE = "card.json"


class Metric(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A figure of the model: on which split, over how many samples, with its bootstrap interval."""

    name: str
    split: str
    n: int
    value: float
    ci95: tuple[float, float] | None = None
    note: str = ""


class Baseline(Metric, frozen=True, forbid_unknown_fields=True):
    """The same metric of something trivial."""

    method: str = ""


class ModelCard(Contract, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Description of one model: its contract, and the words and figures of ``card.json``.

    Attributes
    ----------
    task
        ``"binary-classification"``, ``"classification"``, ``"regression"``, ``"segmentation"``, …
    summary
        The question that the model answers.
    architecture, parameters
        Of the network.
    data
        What it was trained on: source, licence, checksum, split.
    training
        Command, configuration, time and place of the training.
    metrics, baselines
        What it is worth, and the same of something trivial.
    limits
        What it is not good for.
    opset
        Of the graph; 0 if not known.
    """

    task: str = ""
    summary: str = ""
    architecture: str = ""
    parameters: int = 0
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    training: dict[str, Any] = msgspec.field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    limits: tuple[str, ...] = ()
    opset: int = 0

    @classmethod
    def of(
        cls, contract: Contract, words: Mapping[str, Any] | None = None, *, source: str = "card"
    ) -> ModelCard:
        """The card of a contract and what ``card.json`` holds, as plain JSON types.

        Parameters
        ----------
        contract
            Of the model.
        words
            Fields of the card that are not of the contract; ``meaning``, texts by the name of an
            input or output; ``chosen``, how the threshold was.
        source
            The file, for errors.

        Raises
        ------
        ModelCardError
            A field unknown or of the wrong kind; names ``source`` and field.
        """
        left = dict(words or {})
        meaning = converted(left.pop("meaning", {}), dict[str, str], f"{source}: meaning")
        chosen = converted(left.pop("chosen", ""), str, f"{source}: chosen")
        content = plain(contract)
        if odd := sorted(left.keys() & {f.name for f in msgspec.structs.fields(Contract)}):
            raise ModelCardError(f"{source}: field {odd[0]!r} belongs into the contract")
        tensors = [*content["inputs"], *content["outputs"]]
        if odd := sorted(meaning.keys() - {tensor["name"] for tensor in tensors}):
            raise ModelCardError(f"{source}: meaning of {odd[0]!r}, which the model has not")
        for tensor in tensors:
            if tensor["name"] in meaning:
                tensor["meaning"] = meaning[tensor["name"]]
        if chosen:
            if contract.threshold is None:
                raise ModelCardError(f"{source}: chosen: the model has no threshold")
            content["threshold"]["chosen"] = chosen
        return converted({**content, **left}, cls, source)

    def metric(self, name: str, split: str) -> Metric:
        """The figure of this name and split.

        Raises
        ------
        KeyError
            The card has none.
        """
        for metric in self.metrics:
            if (metric.name, metric.split) == (name, split):
                return metric
        raise KeyError(f"{self.name}: no metric {name!r} on {split!r}")

    def contract(self) -> Contract:
        """The contract, without the card's words."""
        names = (field.name for field in msgspec.structs.fields(Contract))
        values = {name: getattr(self, name) for name in names}
        for name in ("inputs", "outputs"):
            values[name] = tuple(msgspec.structs.replace(t, meaning="") for t in values[name])
        if self.threshold is not None:
            values["threshold"] = Threshold(self.threshold.value)
        return Contract(**values)

    def words(self) -> dict[str, Any]:
        """What ``card.json`` holds, as plain JSON types: what `of` takes."""
        kept = {field.name for field in msgspec.structs.fields(Contract)}
        content = {name: value for name, value in plain(self).items() if name not in kept}
        tensors: list[Input | Output] = [*self.inputs, *self.outputs]
        content["meaning"] = {t.name: t.meaning for t in tensors if t.meaning}
        if self.threshold is not None and self.threshold.chosen:
            content["chosen"] = self.threshold.chosen
        return {name: content[name] for name in _WORDS if content.get(name)}

    def to_dict(self) -> dict[str, Any]:
        """The whole card as plain JSON types: the fields that every card has, then further ones.

        Further fields are there where they are not default, and not what others imply: a tensor's
        kind what its name says (see `seqtile.models.old_card`), the window what its shape says.
        """
        whole, further = msgspec.json.decode(msgspec.json.encode(self)), plain(self)
        content = {name: whole[name] for name in _SHOWN}
        for tensors in ("inputs", "outputs"):
            content[tensors] = [
                {name: full.get(name, usual) for name, usual in _SHOWN_TENSOR.items()}
                | {name: value for name, value in short.items() if name not in _SHOWN_TENSOR}
                for full, short in zip(whole[tensors], further[tensors], strict=True)
            ]
        for tensor, kind in old_card.implied(content | {"segmentation": whole["segmentation"]}):
            if tensor["kind"] == kind:
                del tensor["kind"]
        if self.window == self.first.size[0]:
            further.pop("window", None)
        if self.training_window == self.training.get("window"):
            further.pop("training_window", None)
        if self.segmentation is not None:
            content["segmentation"] = whole["segmentation"]
        return content | {n: value for n, value in further.items() if n not in content}

    def to_json(self, *, checksum: bool = True) -> str:
        """Deterministic JSON text of `to_dict`."""
        content = self.to_dict()
        if not checksum:
            del content["sha256"]
        return json_text(content)

    @classmethod
    def from_json(cls, text: str | bytes, *, source: str) -> ModelCard:
        """Read a whole card in one text: what `to_json` wrote, or an older model's ``card.json``.

        Raises
        ------
        ModelCardError
            Not JSON, a field missing, unknown or of the wrong kind; names ``source`` and field.
        """
        return converted(old_card.upgraded(decoded(text, object, source)), cls, source)


_WORDS = (
    "task",
    "summary",
    "architecture",
    "parameters",
    "meaning",
    "chosen",
    "data",
    "training",
    "metrics",
    "baselines",
    "limits",
    "opset",
)
_SHOWN = (
    "name",
    "version",
    "task",
    "summary",
    "architecture",
    "parameters",
    "inputs",
    "outputs",
    "receptive_field",
    "threshold",
    "data",
    "training",
    "metrics",
    "baselines",
    "limits",
    "opset",
    "tolerance",
    "sha256",
)
_SHOWN_TENSOR: dict[str, Any] = {
    "name": "",
    "shape": (),
    "dtype": "",
    "meaning": "",
    "alphabet": "",
    "unknown": "",
    "min_length": 0,
    "length_multiple": 1,
    "labels": (),
}
