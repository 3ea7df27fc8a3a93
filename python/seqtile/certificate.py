"""The certificate of a model, ``parity.json``: how far each precision is from fp32, and may be."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from .cards import ModelCard
from .errors import ModelIntegrityError, PrecisionError, ShapeError

__all__ = [
    "PRECISIONS",
    "Certificate",
    "ParityRow",
    "Precision",
    "Variant",
    "cases",
    "check_precision",
    "compare",
    "decide",
    "tolerances",
    "worst",
]

Precision: TypeAlias = Literal["fp32", "tf32", "fp16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
BATCHES = (1, 2, 7, 64)
FILE = "parity.json"
PRECISION_KEY = "seqtile.precision"  # in the metadata of a file that is not fp32

# What an output may differ from fp32 by, as a share of its largest magnitude or of 1, whichever is
# larger. Both keep 11 significant bits: one rounding is a share of 0.0005 at most. The largest that
# python -m training.certify finds in the zoo is 0.006, of nuclei-unet, which answers for millions
# of pixels, and 0.002 of the others; twice the largest leaves room for another order of sums.
SHARE: Mapping[str, float] = {"tf32": 0.01, "fp16": 0.01}
# Of the decisions on the golden inputs (class, threshold, pixel), those that may change.
CHANGED = 0.001

Arrays: TypeAlias = Mapping[str, NDArray[Any]]
Run: TypeAlias = Callable[[Arrays], Sequence[NDArray[Any]]]


@dataclass(frozen=True)
class ParityRow:
    """One comparison of one output with its reference.

    Attributes
    ----------
    output
        Name of the output.
    batch
        Rows of the batch.
    size
        ``length``, or ``height`` and ``width``, of the first input.
    optimization
        Graph optimisation level of onnxruntime.
    provider
        Execution provider that computed the output.
    precision
        Of `PRECISIONS`.
    max_abs, max_rel
        Largest difference, and largest difference over the reference's magnitude.
    tolerance
        What ``max_abs`` may be.
    passed
        ``max_abs`` is within ``tolerance``, and so are the decisions that changed.
    reference
        What it was compared with: ``"torch"``, or ``"onnxruntime fp32"`` on the CPU.
    emulated
        The precision's rounding was put into the graph and computed in fp32: what hardware with
        exact sums would answer.
    decisions, changed
        Of the golden inputs: how many decisions follow from the output, and how many differ.
    """

    output: str
    batch: int
    size: Mapping[str, int]
    optimization: str
    provider: str
    precision: str
    max_abs: float
    max_rel: float
    tolerance: float
    passed: bool
    reference: str = "torch"
    emulated: bool = False
    decisions: int = 0
    changed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types: an entry for each axis in the place of ``size``; no defaults."""
        content: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "size":
                content.update(value)
            elif isinstance(value, float) and not np.isfinite(value):
                content[field.name] = None  # JSON has no infinity
            elif field.default is dataclasses.MISSING or value != field.default:
                content[field.name] = value
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ParityRow:
        """What `to_dict` wrote.

        Raises
        ------
        TypeError
            A field is missing.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        size = {name: value for name, value in content.items() if name not in names}
        values = {n: content[n] for n in names & content.keys()}
        values |= {n: float("inf") for n in ("max_abs", "max_rel") if values.get(n, 0) is None}
        return cls(**values, size=size)

    def __str__(self) -> str:
        size = "".join(f", {axis} {n}" for axis, n in self.size.items())
        text = (
            f"{self.output!r} is off by {self.max_abs:.2g} at batch {self.batch}{size} on "
            f"{self.provider}{' (emulated)' if self.emulated else ''}, tolerance "
            f"{self.tolerance:.2g}"
        )
        if self.changed:
            text += f", and {self.changed} of {self.decisions} decisions change"
        return text


def tolerances(card: ModelCard, golden: Arrays, precision: str) -> dict[str, float]:
    """What each output may differ by, absolutely.

    In fp32 the card's tolerance. Else a share of the output's scale, `SHARE`: the scale is 1 for
    what lies in -1 to 1, as probabilities do, and the largest golden magnitude for what is larger.

    Parameters
    ----------
    card, golden
        Of the model; the golden arrays hold at least its outputs.
    precision
        Of `PRECISIONS`.
    """
    names = [tensor.name for tensor in card.outputs]
    if precision == "fp32":
        return dict.fromkeys(names, card.tolerance)
    return {
        name: SHARE[precision] * max(1.0, float(np.abs(golden[name]).max(initial=0)))
        for name in names
    }


def decide(card: ModelCard, name: str, values: NDArray[Any]) -> NDArray[Any] | None:
    """What follows from an output: class, side of the threshold, pixels of objects, or nothing.

    Parameters
    ----------
    card
        Of the model.
    name
        Of the output.
    values
        The output: (n,), (n, classes), (n, classes, places) or (n, height, width).

    Returns
    -------
    bool, or indexes of classes: one of each row, place or pixel. None if nothing follows.
    """
    if card.segmentation is not None:
        limits = {
            card.segmentation.mask: card.segmentation.mask_threshold,
            card.segmentation.marker: card.segmentation.marker_threshold,
        }
        return values > limits[name] if name in limits else None
    if name != card.outputs[0].name:
        return None
    if card.threshold is not None:
        return values >= card.threshold.value
    if card.task in ("classification", "translation"):
        return np.asarray(values.argmax(1))
    return None


def cases(card: ModelCard, golden: Arrays) -> list[dict[str, NDArray[Any]]]:
    """Inputs on which to prove a model: batches times sizes, the same at every call.

    Parameters
    ----------
    card
        Of the model.
    golden
        Real inputs by name; rows are drawn from them, repeated or cut to the size. Some letters
        become unknown or small.
    """
    rng = np.random.default_rng(0)
    return [_case(card, golden, n, size, rng) for n in BATCHES for size in _sizes(card)]


def _sizes(card: ModelCard) -> list[tuple[int, ...]]:
    """Sizes of the first input to prove: its own, or the least, the usual, and a larger odd one."""
    first = card.inputs[0]
    axes = first.shape[1:2] if card.takes == "sequences" else first.shape[1:3]
    fixed = tuple(axis for axis in axes if isinstance(axis, int))
    if len(fixed) == len(axes):
        return [fixed]
    usual, step = int(card.training["window"]), first.length_multiple
    large = (2 * usual + 13) // step * step if card.takes == "sequences" else usual + 3 * step
    if len(axes) == 1:
        return [(first.min_length,), (usual,), (large,)]
    return [(first.min_length,) * 2, (usual, usual), (usual - step, large), (large, usual // 2)]


def _case(
    card: ModelCard, golden: Arrays, n: int, size: tuple[int, ...], rng: np.random.Generator
) -> dict[str, NDArray[Any]]:
    case = {}
    for tensor in card.inputs:
        rows = rng.integers(0, len(golden[tensor.name]), n)
        values = golden[tensor.name][rows]
        if tensor.alphabet or tensor.name == "image":
            for axis, length in enumerate(size, 1):
                places = np.arange(length) % values.shape[axis]
                values = np.take(values, places, axis)
        if tensor.alphabet:
            odd = rng.random(values.shape)
            values[odd < 0.02] = ord("N")
            values[odd > 0.9] |= 0x20
        case[tensor.name] = values
    return case


def case_size(card: ModelCard, case: Arrays) -> tuple[int, dict[str, int]]:
    """Rows of a case, and its length or height and width by name."""
    first = case[card.inputs[0].name]
    axes = ("length",) if card.takes == "sequences" else ("height", "width")
    return len(first), dict(zip(axes, map(int, first.shape[1:]), strict=False))


def difference(reference: NDArray[Any], actual: NDArray[Any]) -> tuple[float, float]:
    """Largest absolute and relative difference, in float64; infinite where either is not finite.

    Raises
    ------
    ShapeError
        The shapes differ.
    """
    if reference.shape != actual.shape:
        raise ShapeError(f"expected the shape {reference.shape}, found {actual.shape}")
    wanted, found = reference.astype(np.float64), actual.astype(np.float64)
    if not (np.isfinite(wanted).all() and np.isfinite(found).all()):
        return float("inf"), float("inf")
    error = np.abs(wanted - found)
    relative = error / np.maximum(np.abs(wanted), 1e-6)
    return float(error.max(initial=0)), float(relative.max(initial=0))


def compare(
    card: ModelCard,
    golden: Arrays,
    precision: Precision,
    reference: Run,
    actual: Run,
    *,
    provider: str,
    optimization: str = "all",
    emulated: bool = False,
) -> list[ParityRow]:
    """Run a reference and what is to be proven on the same inputs, and compare every output.

    The inputs are those of `cases`; besides, the golden inputs, whose reference is torch.

    Parameters
    ----------
    card, golden
        Of the model.
    precision
        Of ``actual``.
    reference, actual
        Take inputs by name, give all outputs in the card's order; ``reference`` is fp32 on the CPU.
    provider, optimization, emulated
        As `ParityRow` has them, of ``actual``.

    Raises
    ------
    ShapeError
        Outputs of different shapes.

    Examples
    --------
    >>> import seqtile
    >>> from seqtile.loading import read_golden
    >>> from seqtile.zoo import model_folder
    >>> folder = model_folder("jund-cnn-seq")
    >>> card, golden = seqtile.card("jund-cnn-seq"), read_golden(folder / "golden.npz")
    >>> session = seqtile.session.Session((folder / "model.onnx").read_bytes())
    >>> names = [tensor.name for tensor in card.outputs]
    >>> run = lambda feeds: session.run(feeds, names)
    >>> rows = compare(card, golden, "fp32", run, run, provider="CPUExecutionProvider")
    >>> all(row.passed for row in rows)
    True
    """
    allowed = tolerances(card, golden, precision)
    rows = []
    own = {tensor.name: golden[tensor.name] for tensor in card.inputs}
    recorded = [golden[tensor.name] for tensor in card.outputs]
    for case in (own, *cases(card, golden)):
        n, size = case_size(card, case)
        wanted = recorded if case is own else reference(case)
        for tensor, want, got in zip(card.outputs, wanted, actual(case), strict=True):
            error, relative = difference(want, got)
            limit = allowed[tensor.name]
            first = decide(card, tensor.name, want) if case is own else None
            second = None if first is None else decide(card, tensor.name, got)
            count = 0 if first is None else first.size
            changed = 0 if first is None else int(np.sum(first != second))
            rows.append(
                ParityRow(
                    tensor.name, n, size, optimization, provider, precision, error, relative,
                    limit, bool(error <= limit and changed <= CHANGED * count),
                    reference="torch" if case is own else "onnxruntime fp32",
                    emulated=emulated, decisions=count, changed=changed,
                )
            )  # fmt: skip
    return rows


def worst(rows: Sequence[ParityRow]) -> ParityRow:
    """The row farthest beyond, or nearest to, what it may be; a failed one before any passed."""
    return max(rows, key=lambda row: (not row.passed, row.max_abs / row.tolerance))


@dataclass(frozen=True)
class Variant:
    """A further file of the model, for one precision."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Certificate:
    """``parity.json`` of a model.

    Attributes
    ----------
    rows
        All comparisons.
    variants
        Files by precision; a precision without runs ``model.onnx``.
    source
        The file, for errors.
    """

    rows: tuple[ParityRow, ...]
    variants: Mapping[str, Variant]
    source: str

    @classmethod
    def read(cls, folder: Path) -> Certificate:
        """The certificate of a model folder; without rows if it has no file.

        Raises
        ------
        ModelIntegrityError
            A file that is no certificate.
        """
        path = folder / FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            rows = tuple(ParityRow.from_dict(row) for row in content["rows"])
            variants = {
                str(name): Variant(str(entry["file"]), str(entry["sha256"]))
                for name, entry in content.get("variants", {}).items()
            }
        except FileNotFoundError:
            rows, variants = (), {}
        except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
            raise ModelIntegrityError(
                f"{path}: not a certificate ({type(error).__name__}: {error}): install seqtile "
                "again, or write it anew: python -m training.certify"
            ) from None
        return cls(rows, variants, str(path))

    def of(self, precision: str) -> list[ParityRow]:
        """The rows of one precision."""
        return [row for row in self.rows if row.precision == precision]

    @property
    def precisions(self) -> list[str]:
        """Those whose rows all pass, in the order of `PRECISIONS`."""
        return [p for p in PRECISIONS if (rows := self.of(p)) and all(r.passed for r in rows)]

    def check(self, model: str, precision: str) -> None:
        """Refuse a precision that the certificate does not vouch for.

        Parameters
        ----------
        model
            Its name, for the message.

        Raises
        ------
        PrecisionError
            No rows of this precision, or one that failed; says which and what to do.
        """
        rows = self.of(precision)
        mend = f"use precision={(self.precisions or ['fp32'])[0]!r}"
        if not rows:
            raise PrecisionError(
                f"{model}: no proof of precision {precision!r} in {self.source}: {mend}, or prove "
                "it: python -m training.certify"
            )
        failed = [row for row in rows if not row.passed]
        if failed:
            raise PrecisionError(
                f"{model}: its certificate says no to precision {precision!r}: {worst(failed)} "
                f"({len(failed)} of {len(rows)} rows fail): {mend}"
            )


def check_precision(precision: str) -> None:
    """Raise ValueError for a precision that is not of `PRECISIONS`."""
    if precision not in PRECISIONS:
        known = ", ".join(map(repr, PRECISIONS))
        raise ValueError(f"precision must be one of {known}, not {precision!r}")
