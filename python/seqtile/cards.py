"""The model card: what a model takes, gives, was trained on and is worth.

A card is ``card.json`` beside ``model.onnx``, and, without the checksum, the model file's metadata.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import ModelCardError

__all__ = ["Baseline", "Metric", "ModelCard", "TensorSpec", "Threshold"]

METADATA_KEY = "seqtile.card"


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model.

    Attributes
    ----------
    name
        Name in the graph.
    shape
        Axes in order: a number where fixed, a name where dynamic (``"batch"``, ``"length"``).
    dtype
        NumPy name of the element type.
    meaning
        What it holds, with unit and range.
    alphabet
        Of a sequence input: ``"dna"``, ``"rna"`` or ``"protein"``.
    unknown
        Of a sequence input: how the graph encodes unknown letters.
    min_length
        Smallest length a dynamic ``length`` axis takes.
    length_multiple
        A dynamic ``length`` axis takes multiples of this.
    labels
        Class names of an output.
    """

    name: str
    shape: tuple[int | str, ...]
    dtype: str
    meaning: str
    alphabet: str = ""
    unknown: str = ""
    min_length: int = 0
    length_multiple: int = 1
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Threshold:
    """Score from which on a sequence counts as positive, and how it was chosen."""

    value: float
    chosen: str


@dataclass(frozen=True)
class Metric:
    """A figure of the model: on which split, over how many samples, with its bootstrap interval."""

    name: str
    split: str
    n: int
    value: float
    ci95: tuple[float, float] | None = None
    note: str = ""


@dataclass(frozen=True)
class Baseline(Metric):
    """The same metric of something trivial."""

    method: str = ""


@dataclass(frozen=True)
class ModelCard:
    """Description of one model; see the attributes' names and ``exported/README.md``."""

    name: str
    version: str
    task: str
    summary: str
    architecture: str
    parameters: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    receptive_field: int
    threshold: Threshold | None
    data: Mapping[str, Any]
    training: Mapping[str, Any]
    metrics: tuple[Metric, ...]
    baselines: tuple[Baseline, ...]
    limits: tuple[str, ...]
    opset: int
    tolerance: float
    sha256: str = field(default="")

    @property
    def window(self) -> int | None:
        """Length of the first input where it is fixed, else None."""
        length = self.inputs[0].shape[1]
        return length if isinstance(length, int) else None

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

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return dataclasses.asdict(self)

    def to_json(self, *, checksum: bool = True) -> str:
        """Deterministic JSON text; without the checksum for the model file's own metadata."""
        content = self.to_dict()
        if not checksum:
            del content["sha256"]
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, *, source: str) -> ModelCard:
        """Read a card.

        Raises
        ------
        ModelCardError
            Not JSON, a field missing, unknown or of the wrong kind; names ``source`` and field.
        """
        try:
            content = json.loads(text)
        except ValueError as error:  # of JSON, or of its UTF-8
            raise ModelCardError(f"{source}: not JSON: {error}") from None
        card: ModelCard = _build(cls, content, source, "card")
        if not card.inputs or not card.outputs:
            raise ModelCardError(f"{source}: a model needs inputs and outputs")
        if any(len(t.shape) < 1 or t.shape[0] != "batch" for t in card.inputs + card.outputs):
            raise ModelCardError(f"{source}: the first axis of every tensor must be 'batch'")
        return card


_NESTED: dict[str, type[Any]] = {
    "inputs": TensorSpec,
    "outputs": TensorSpec,
    "metrics": Metric,
    "baselines": Baseline,
}
_KINDS: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "Mapping[str, Any]": dict,
}


def _build(kind: type[Any], content: Any, source: str, where: str) -> Any:
    if not isinstance(content, dict):
        raise ModelCardError(f"{source}: {where}: expected an object, found {content!r:.60}")
    fields = {f.name: f for f in dataclasses.fields(kind)}
    if odd := sorted(content.keys() - fields.keys()):
        raise ModelCardError(f"{source}: {where}: unknown field {odd[0]!r}")
    values: dict[str, Any] = {}
    for name, spec in fields.items():
        place = f"{where}.{name}"
        if name not in content:
            if spec.default is dataclasses.MISSING:
                raise ModelCardError(f"{source}: {where}: field {name!r} is missing")
            continue
        value = content[name]
        if name == "threshold" and value is not None:
            value = _build(Threshold, value, source, place)
        elif name in _NESTED and kind is ModelCard:
            value = tuple(
                _build(_NESTED[name], item, source, f"{place}[{i}]")
                for i, item in enumerate(_list(value, source, place))
            )
        elif str(spec.type).startswith("tuple"):
            if value is not None or "None" not in str(spec.type):
                value = tuple(_list(value, source, place))
        elif name != "threshold" and not isinstance(value, _KINDS[str(spec.type)]):
            raise ModelCardError(f"{source}: {place}: expected {spec.type}, found {value!r:.60}")
        values[name] = value
    return kind(**values)


def _list(value: Any, source: str, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ModelCardError(f"{source}: {where}: expected a list, found {value!r:.60}")
    return value
