"""The certificate of a model, ``parity.json``: how far each precision is from fp32, and may be."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelIntegrityError, PrecisionError
from ..machine.devices import PRECISIONS
from .card import ModelCard

__all__ = [
    "PRECISIONS",
    "Certificate",
    "MetricRow",
    "ParityRow",
    "Variant",
    "tolerances",
    "worst",
]

FILE = "parity.json"
PRECISION_KEY = "seqtile.precision"  # in the metadata of a file that is not fp32

# What an output may differ from fp32 by, as a share of its largest magnitude or of 1, whichever is
# larger. TF32 and fp16 keep 11 significant bits: one rounding is a share of 0.0005 at most. The
# largest that python -m training.certify finds in the zoo is 0.006, of nuclei-unet, which answers
# for millions of pixels, and 0.002 of the others; the rest is room for sums in another order.
# int8 has 256 numbers for each tensor: a share bounds it loosely, and the trained metric decides.
SHARE: Mapping[str, float] = {"tf32": 0.01, "fp16": 0.01, "int8": 0.25}
# Of the decisions on the golden inputs (class, threshold, pixel), those that may change.
CHANGED: Mapping[str, float] = {"fp32": 0.001, "tf32": 0.001, "fp16": 0.001, "int8": 0.01}

Arrays: TypeAlias = Mapping[str, NDArray[Any]]


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


def worst(rows: Sequence[ParityRow]) -> ParityRow:
    """The row farthest beyond, or nearest to, what it may be; a failed one before any passed."""
    return max(rows, key=lambda row: (not row.passed, row.max_abs / row.tolerance))


@dataclass(frozen=True)
class MetricRow:
    """The trained metric of a precision, on rows of validation.

    Attributes
    ----------
    precision
        Of `PRECISIONS`.
    name, split, n
        The metric as the card has it, of how many rows.
    value, fp32
        Of the precision, and of ``model.onnx``.
    ci95
        Of fp32: the 95 % interval of resampling the rows.
    emulated
        As of a `ParityRow`.
    """

    precision: str
    name: str
    split: str
    n: int
    value: float
    fp32: float
    ci95: tuple[float, float]
    emulated: bool = False

    @property
    def passed(self) -> bool:
        """It is not below the interval of fp32."""
        return self.value >= self.ci95[0]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return dataclasses.asdict(self) | {"passed": self.passed}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> MetricRow:
        """What `to_dict` wrote.

        Raises
        ------
        TypeError
            A field is missing or unknown.
        ValueError
            An interval of other than two ends.
        """
        low, high = content["ci95"]
        values = {name: value for name, value in content.items() if name != "passed"}
        return cls(**{**values, "ci95": (float(low), float(high))})

    def __str__(self) -> str:
        return (
            f"{self.name} of {self.n:,} rows of {self.split} is {self.value:.4f}, in fp32 "
            f"{self.fp32:.4f} [{self.ci95[0]:.4f}, {self.ci95[1]:.4f}]"
        )


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
    metrics
        The trained metric of precisions; int8 must have one, of others it counts if it is there.
    source
        The file, for errors.
    """

    rows: tuple[ParityRow, ...]
    variants: Mapping[str, Variant]
    metrics: tuple[MetricRow, ...]
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
            metrics = tuple(MetricRow.from_dict(row) for row in content.get("metrics", []))
        except FileNotFoundError:
            rows, variants, metrics = (), {}, ()
        except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
            raise ModelIntegrityError(
                f"{path}: not a certificate ({type(error).__name__}: {error}): install seqtile "
                "again, or write it anew: python -m training.certify"
            ) from None
        return cls(rows, variants, metrics, str(path))

    def of(self, precision: str) -> list[ParityRow]:
        """The rows of one precision."""
        return [row for row in self.rows if row.precision == precision]

    @property
    def precisions(self) -> list[str]:
        """Those that it vouches for, in the order of `PRECISIONS`."""
        return [precision for precision in PRECISIONS if self.refusal(precision) is None]

    def refusal(self, precision: str) -> str | None:
        """Why the certificate does not vouch for a precision; None if it does.

        Every row of it must pass, one at least, and every row of its metric; of int8 there must be
        one.
        """
        rows = self.of(precision)
        metrics = [row for row in self.metrics if row.precision == precision]
        if not rows or (precision == "int8" and not metrics):
            return f"no proof of precision {precision!r} in {self.source}"
        said = f"its certificate says no to precision {precision!r}: "
        for metric in metrics:
            if not metric.passed:
                return said + str(metric)
        failed = [row for row in rows if not row.passed]
        if failed:
            return f"{said}{worst(failed)} ({len(failed)} of {len(rows)} rows fail)"
        return None

    def check(self, model: str, precision: str) -> None:
        """Refuse a precision that the certificate does not vouch for.

        Parameters
        ----------
        model
            Its name, for the message.

        Raises
        ------
        PrecisionError
            What `refusal` says, and which precisions there are.
        """
        refusal = self.refusal(precision)
        if refusal is not None:
            proven = ", ".join(map(repr, self.precisions)) or "'fp32'"
            raise PrecisionError(f"{model}: {refusal}: use one of precision={proven}")
