"""The contract of a model: all that a program must know to run it.

It is ``contract.json`` beside ``model.onnx`` and, without the checksum, the model file's metadata,
so that a lone file explains itself. What only a reader needs is the card, `seqtile.ModelCard`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec

from ..errors import ModelCardError
from ..sequences.batch import Alphabet

__all__ = [
    "Contract",
    "Input",
    "InputKind",
    "Output",
    "OutputKind",
    "Segmentation",
    "Threshold",
    "converted",
    "decoded",
    "json_text",
    "plain",
]

METADATA_KEY = "seqtile.contract"
FILE = "contract.json"

InputKind: TypeAlias = Literal["letters", "image", "number"]
OutputKind: TypeAlias = Literal[
    "score", "classes", "profile", "log-counts", "mask", "letters", "embedding"
]
T = TypeVar("T")

# Names of an output's axes where the contract gives none.
AXES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "score": (("batch",), ("batch", "target")),
    "classes": (("batch", "class"), ("batch", "class", "position")),
    "profile": (("batch", "position"), ("batch", "target", "position")),
    "log-counts": (("batch",), ("batch", "target")),
    "mask": (("batch", "height", "width"),),
    "letters": (("batch", "letter", "position"),),
    "embedding": (("batch", "feature"), ("batch", "feature", "position")),
}


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input of a model.

    Attributes
    ----------
    name
        Name in the graph.
    kind
        ``"letters"`` of a sequence, ``"image"``, or ``"number"``: a further input, of a few numbers
        for each item. A model has one input of letters or of an image.
    shape
        Axes in order: a number where fixed, a name where dynamic (``"length"``, ``"height"``,
        ``"width"``); the first is ``"batch"``. An image has no axis of channels if grey, else 3 for
        RGB at its end.
    dtype
        NumPy name of the element type.
    meaning
        What it holds, with unit and range; the card says it, where there is one.
    alphabet
        Letters told apart, in the order of their channels: ``"dna"``, ``"rna"``, ``"protein"`` or
        the letters themselves.
    layout
        ``"bytes"``: uint8 letters of shape (batch, length); ``"NCL"``, ``"NLC"``: one-hot of shape
        (batch, channels, length) or (batch, length, channels).
    unknown
        What an unknown letter becomes: ``"zero"``, ``"uniform"``, or ``"raise"`` for an error.
    min_length, max_length
        Smallest and largest size of a dynamic ``length``, ``height`` or ``width``; 0 for any.
    length_multiple
        A dynamic ``length``, ``height`` or ``width`` takes multiples of this.
    """

    name: str
    kind: InputKind
    shape: tuple[int | str, ...]
    dtype: str
    meaning: str = ""
    alphabet: str = ""
    layout: Literal["bytes", "NCL", "NLC"] = "bytes"
    unknown: Literal["", "zero", "uniform", "raise"] = ""
    min_length: int = 0
    max_length: int = 0
    length_multiple: int = 1

    def __post_init__(self) -> None:
        _check_batch(self.shape)
        if self.length_multiple < 1 or not 0 <= self.min_length <= (self.max_length or 1 << 62):
            raise ValueError(
                f"{self.name!r} takes lengths of {self.min_length} to {self.max_length}, a "
                f"multiple of {self.length_multiple}: no length is left"
            )
        if self.kind == "image" and (len(self.shape) < 3 or self.shape[3:] not in ((), (3,))):
            raise ValueError(
                f"an image has the axes batch, height, width, and 3 if in colour, not "
                f"{list(self.shape)}"
            )
        if self.kind == "letters":
            Alphabet(self.alphabet)
            rank = 2 if self.layout == "bytes" else 3
            if len(self.shape) != rank:
                raise ValueError(
                    f"letters in layout {self.layout!r} have {rank} axes, not {list(self.shape)}"
                )

    @property
    def size(self) -> tuple[int | None, ...]:
        """Length, or height and width, of an item; None where any. Of a number nothing."""
        if self.kind == "number":
            return ()
        if self.kind == "image":
            axes = self.shape[1:3]
        else:
            axes = (self.shape[2 if self.layout == "NCL" else 1],)
        return tuple(axis if isinstance(axis, int) else None for axis in axes)


class Output(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One output of a model.

    Attributes
    ----------
    name
        Name in the graph.
    kind
        ``"score"``: a number for each target; ``"classes"``: one for each class, of which the
        largest is the answer; ``"profile"``: a number for each target and bin; ``"log-counts"``: a
        profile's logarithm of its sum; ``"mask"``: a probability for each pixel; ``"letters"``: a
        probability for each letter and place; ``"embedding"``: what the network knows, which
        `Predictor.embed` gives and `Predictor.predict` does not.
    shape
        As of an `Input`.
    dtype
        NumPy name of the element type.
    meaning
        What it holds, with unit and range; the card says it, where there is one.
    axes
        What each axis stands for: ``"batch"``, ``"target"``, ``"class"``, ``"position"``,
        ``"letter"``, ``"feature"``, ``"height"``, ``"width"``; default: `AXES` of its kind.
    labels
        Names of the targets or classes, in order; of a score with a threshold the names of what
        lies below it and from it on.
    units
        Unit of each target, or one of all.
    strands
        ``"+"``, ``"-"`` or ``"."`` for each target: the strand it speaks of.
    opposite
        For each target the number of the one that takes its place on the reverse complement;
        default: itself.
    alphabet
        What its letters are, as of an `Input`.
    bin
        Bases of a position.
    offset
        Bases from the first of the input to the first of the first position.
    transform
        What was applied to the measured value: ``"log"``, ``"log1p"``, ``"log2"``, ``"sqrt"``,
        ``"logit"``; empty for none.
    reverse_complement
        What the answer for a reverse complement is on the other strand's coordinates: the
        ``"same"``; with positions ``"reversed"``; ``"other"``: nothing that the first one's tells.
        Default: reversed for a profile, the same for scores, classes and log-counts, else other.
    """

    name: str
    kind: OutputKind
    shape: tuple[int | str, ...]
    dtype: str
    meaning: str = ""
    axes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    strands: tuple[Literal["+", "-", "."], ...] = ()
    opposite: tuple[int, ...] = ()
    alphabet: str = ""
    bin: int = 1
    offset: int = 0
    transform: Literal["", "log", "log1p", "log2", "sqrt", "logit"] = ""
    reverse_complement: Literal["", "same", "reversed", "other"] = ""

    def __post_init__(self) -> None:
        _check_batch(self.shape)
        if self.kind == "letters":
            Alphabet(self.alphabet)
        if self.axes and len(self.axes) != len(self.shape):
            raise ValueError(f"{self.name!r} has the axes {list(self.axes)}, shape {self.shape}")
        if self.bin < 1:
            raise ValueError(f"a bin has one base or more, not {self.bin}")
        if sorted(self.opposite) != list(range(len(self.opposite))):
            raise ValueError(f"opposite must name each target once, not {list(self.opposite)}")
        targets = self.targets
        for field in ("units", "strands", "opposite"):
            found = len(getattr(self, field))
            if found not in (0, targets) and (field, found) != ("units", 1):
                raise ValueError(f"{self.name!r} has {targets} targets, but {found} {field}")

    @property
    def axis_names(self) -> tuple[str, ...]:
        """What each axis stands for; empty where neither the contract nor the kind says."""
        usual = {len(axes): axes for axes in AXES[self.kind]}
        return self.axes or usual.get(len(self.shape), ())

    @property
    def targets(self) -> int:
        """Number of targets or classes; 1 without an axis for them."""
        for name, size in zip(self.axis_names, self.shape, strict=False):
            if name in ("target", "class") and isinstance(size, int):
                return size
        return 1


class Threshold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Score from which on an item counts as positive, and how it was chosen (the card says)."""

    value: float
    chosen: str = ""


class Segmentation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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
    noise_floor
        Least height above the background of what becomes 255, in standard deviations of the
        background's noise; 0 for none.
    """

    mask: str = "mask"
    marker: str = ""
    mask_threshold: float = 0.5
    marker_threshold: float = 0.5
    reach: int = 0
    min_area: int = 0
    percentiles: tuple[float, float] = (0.0, 100.0)
    noise_floor: float = 0.0


class Contract(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a program must know to run a model.

    Attributes
    ----------
    name, version
        Of the model.
    inputs, outputs
        Of the graph; the model's answer comes first.
    window
        Length of the sequences it takes, None if any; what the input's shape says, or the length
        that the model needs though its graph would take others.
    stride
        Bases between a scan's windows where none is asked for; 0: the scan's own default.
    assembly
        Genome assembly that its training saw.
    licence, citation
        Of the model.
    threshold
        From which score on an item is positive.
    segmentation
        How objects follow from the outputs.
    receptive_field
        Bases, or pixels along an axis, that one answer of a convolution sees; 0 if not known.
    training_window
        Length, or side of an image, that a model of any size was trained on.
    tolerance
        What a golden output in fp32 may differ by, absolutely.
    sha256
        Checksum of ``model.onnx``; in ``contract.json`` alone.
    """

    name: str
    version: str = ""
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    window: int | None = None
    stride: int = 0
    assembly: str = ""
    licence: str = ""
    citation: str = ""
    threshold: Threshold | None = None
    segmentation: Segmentation | None = None
    receptive_field: int = 0
    training_window: int = 0
    tolerance: float = 1e-5
    sha256: str = ""

    def __post_init__(self) -> None:
        if not self.inputs or not self.outputs:
            raise ValueError("a model needs inputs and outputs")
        items = [tensor.name for tensor in self.inputs if tensor.kind != "number"]
        if len(items) != 1:
            raise ValueError(f"a model has one input of letters or of an image, not {items}")
        length = self.first.size[0] if self.first.kind == "letters" else None
        if self.window is None:
            msgspec.structs.force_setattr(self, "window", length)
        elif self.window != (length or self.window) or self.first.kind == "image":
            raise ValueError(
                f"window is {self.window}, the input {self.first.name!r} has the shape "
                f"{list(self.first.shape)}"
            )
        if not 0 <= self.tolerance < math.inf:
            raise ValueError(f"tolerance must be a number from 0 on, not {self.tolerance}")
        rule = self.segmentation
        for name in (rule.mask, rule.marker) if rule else ():
            if name and self.kind_of(name) != "mask":
                raise ValueError(f"segmentation needs an output {name!r} of kind 'mask'")

    @property
    def first(self) -> Input:
        """The input of letters or of an image: what the model predicts from."""
        return next(tensor for tensor in self.inputs if tensor.kind != "number")

    @property
    def takes(self) -> Literal["sequences", "images"]:
        """What the model predicts from."""
        return "images" if self.first.kind == "image" else "sequences"

    def kind_of(self, output: str) -> OutputKind | None:
        """The kind of an output of this name, None if there is none."""
        return next((tensor.kind for tensor in self.outputs if tensor.name == output), None)

    def to_json(self, *, checksum: bool = True) -> str:
        """Deterministic JSON text, without what is default; without checksum for the graph."""
        content = plain(self)
        if not checksum:
            content.pop("sha256", None)
        return json_text(content)

    @classmethod
    def from_json(cls, text: str | bytes, *, source: str) -> Contract:
        """Read a contract.

        Raises
        ------
        ModelCardError
            Not JSON, a field missing, unknown or of the wrong kind, or fields that contradict each
            other; names ``source`` and field.
        """
        return decoded(text, cls, source)


def _check_batch(shape: tuple[int | str, ...]) -> None:
    if shape[:1] != ("batch",):
        raise ValueError(f"the first axis of every tensor must be 'batch', not {list(shape)}")


def plain(value: Any) -> Any:
    """A struct as plain JSON types, without the fields that are default."""
    if isinstance(value, msgspec.Struct):
        made = {}
        for field in msgspec.structs.fields(value):
            held, make = getattr(value, field.name), field.default_factory
            if held != (field.default if make is msgspec.NODEFAULT else make()):
                made[field.name] = plain(held)
        return made
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    return value


def json_text(content: Any) -> str:
    """Plain JSON types as the text of a file."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def decoded(text: str | bytes, kind: type[T], source: str) -> T:
    """A value of this type from JSON text.

    Raises
    ------
    ModelCardError
        Not JSON, or not of this type; names ``source`` and field.
    """
    with _naming(source):
        return msgspec.json.decode(text, type=kind)


def converted(content: Any, kind: type[T], source: str) -> T:
    """A value of this type from plain JSON types; raises as `decoded`."""
    with _naming(source):
        return msgspec.convert(content, kind)


@contextmanager
def _naming(source: str) -> Iterator[None]:
    """What msgspec says of a file's content, with the file and the field."""
    try:
        yield
    except msgspec.ValidationError as error:
        said, _, where = str(error).partition(" - at `$")
        place = where.removesuffix("`").lstrip(".")
        raise ModelCardError(
            f"{source}: {place}: {said}" if place else f"{source}: {said}"
        ) from None
    except ValueError as error:  # of JSON, or of its UTF-8
        raise ModelCardError(f"{source}: not JSON: {error}") from None
