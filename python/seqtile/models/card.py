"""The model card: what a model takes, gives, was trained on and is worth.

A card is ``card.json`` beside ``model.onnx``, and, without the checksum, the model file's metadata.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import ModelCardError

__all__ = ["Baseline", "Metric", "ModelCard", "Segmentation", "TensorSpec", "Threshold"]

METADATA_KEY = "seqtile.card"


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model.

    Attributes
    ----------
    name
        Name in the graph.
    shape
        Axes in order: a number where fixed, a name where dynamic (``"batch"``, ``"length"``,
        ``"height"``, ``"width"``). An image has no axis of channels if grey, else 3 for RGB at its
        end.
    dtype
        NumPy name of the element type.
    meaning
        What it holds, with unit and range.
    alphabet
        Of a sequence input: ``"dna"``, ``"rna"`` or ``"protein"``.
    unknown
        Of a sequence input: how the graph encodes unknown letters.
    min_length
        Smallest size a dynamic ``length``, ``height`` or ``width`` takes.
    length_multiple
        A dynamic ``length``, ``height`` or ``width`` takes multiples of this.
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
class Segmentation:
    """How objects follow from a model's outputs; see `seqtile.segment`.

    Attributes
    ----------
    mask
        Output (batch, height, width): probability that a pixel is of an object.
    marker
        Output of the same shape: probability that it is of an object's core; empty if there is
        none.
    mask_threshold, marker_threshold
        Probabilities above which a pixel counts.
    reach
        Steps to a neighbouring pixel that a core grows at most, inside the mask.
    min_area
        Objects of fewer pixels are dropped.
    percentiles
        Of the image's grey levels: what becomes 0 and 255 before the model sees it.
    """

    mask: str = "mask"
    marker: str = ""
    mask_threshold: float = 0.5
    marker_threshold: float = 0.5
    reach: int = 0
    min_area: int = 0
    percentiles: tuple[float, float] = (0.0, 100.0)


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
    segmentation: Segmentation | None = None

    @property
    def takes(self) -> Literal["sequences", "images"]:
        """What the first input holds."""
        return "images" if self.inputs[0].name == "image" else "sequences"

    @property
    def window(self) -> int | None:
        """Length of the sequences it takes where that is fixed, else None."""
        length = self.inputs[0].shape[1]
        return length if isinstance(length, int) and self.takes == "sequences" else None

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
        """As plain JSON types; without ``segmentation`` where there is none."""
        content = dataclasses.asdict(self)
        if self.segmentation is None:
            del content["segmentation"]
        return content

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
        if card.takes == "images" and card.inputs[0].shape[3:] not in ((), (3,)):
            raise ModelCardError(
                f"{source}: an image has the axes batch, height, width, and 3 if in colour, not "
                f"{list(card.inputs[0].shape)}"
            )
        return card


_OPTIONAL: dict[str, type[Any]] = {"threshold": Threshold, "segmentation": Segmentation}
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
        if name in _OPTIONAL:
            value = None if value is None else _build(_OPTIONAL[name], value, source, place)
        elif name in _NESTED and kind is ModelCard:
            value = tuple(
                _build(_NESTED[name], item, source, f"{place}[{i}]")
                for i, item in enumerate(_list(value, source, place))
            )
        elif str(spec.type).startswith("tuple"):
            if value is not None or "None" not in str(spec.type):
                value = tuple(_list(value, source, place))
        elif not isinstance(value, _KINDS[str(spec.type)]):
            raise ModelCardError(f"{source}: {place}: expected {spec.type}, found {value!r:.60}")
        values[name] = value
    return kind(**values)


def _list(value: Any, source: str, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ModelCardError(f"{source}: {where}: expected a list, found {value!r:.60}")
    return value
