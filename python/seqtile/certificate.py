"""The certificate of a model, ``parity.json``: how far each precision is from fp32, and may be."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from .cards import ModelCard
from .errors import ModelIntegrityError, PrecisionError

__all__ = [
    "PRECISIONS",
    "Certificate",
    "ParityRow",
    "Precision",
    "Variant",
    "check_precision",
    "tolerances",
    "worst",
]

Precision: TypeAlias = Literal["fp32", "tf32", "fp16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
FILE = "parity.json"
PRECISION_KEY = "seqtile.precision"  # in the metadata of a file that is not fp32

# What an output may differ from fp32 by, as a share of its largest magnitude or of 1, whichever is
# larger. Both keep 11 significant bits: one rounding is a share of 0.0005 at most. The largest that
# python -m training.certify finds in the zoo is 0.006, of nuclei-unet, which answers for millions
# of pixels, and 0.002 of the others; the rest is room for sums in another order.
SHARE: Mapping[str, float] = {"tf32": 0.01, "fp16": 0.01}
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
