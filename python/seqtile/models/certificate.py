"""The certificate of a model, ``parity.json``: how far each precision is from fp32, and may be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import ModelIntegrityError, PrecisionError
from ..execution.graph_file import read_file
from ..execution.providers import PRECISIONS
from .contract import Contract, plain

__all__ = [
    "PRECISIONS",
    "Certificate",
    "MetricRow",
    "ParityRow",
    "Variant",
    "finite",
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


class ParityRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One comparison of one output with its reference.

    Attributes
    ----------
    output
        Name of the output.
    batch
        Rows of the batch.
    length, height, width
        Of the model's input: its length, or its height and width.
    optimization
        Graph optimisation level of onnxruntime.
    provider
        Execution provider that computed the output.
    precision
        Of `PRECISIONS`.
    max_abs, max_rel
        Largest difference, and largest difference over the reference's magnitude; null in JSON,
        which has no infinity, where either is not finite.
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
    length: int = 0
    height: int = 0
    width: int = 0
    optimization: str
    provider: str
    precision: str
    max_abs: float | None
    max_rel: float | None
    tolerance: float
    passed: bool
    reference: str = "torch"
    emulated: bool = False
    decisions: int = 0
    changed: int = 0

    @property
    def size(self) -> dict[str, int]:
        """``length``, or ``height`` and ``width``."""
        sizes = {name: getattr(self, name) for name in ("length", "height", "width")}
        return {name: size for name, size in sizes.items() if size}

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types, without what is default."""
        return dict(plain(self))

    @property
    def error(self) -> float:
        """``max_abs``, infinite where it is not finite."""
        return math.inf if self.max_abs is None else self.max_abs

    def __str__(self) -> str:
        size = "".join(f", {axis} {n}" for axis, n in self.size.items())
        text = (
            f"{self.output!r} is off by {self.error:.2g} at batch {self.batch}{size} on "
            f"{self.provider}{' (emulated)' if self.emulated else ''}, tolerance "
            f"{self.tolerance:.2g}"
        )
        if self.changed:
            text += f", and {self.changed} of {self.decisions} decisions change"
        return text


def tolerances(contract: Contract, golden: Arrays, precision: str) -> dict[str, float]:
    """What each output may differ by, absolutely.

    In fp32 the contract's tolerance. Else a share of the output's scale, `SHARE`: the scale is 1
    for what lies in -1 to 1, as probabilities do, and the largest golden magnitude for what is
    larger.

    Parameters
    ----------
    contract, golden
        Of the model; the golden arrays hold at least its outputs.
    precision
        Of `PRECISIONS`.
    """
    names = [tensor.name for tensor in contract.outputs]
    if precision == "fp32":
        return dict.fromkeys(names, contract.tolerance)
    return {
        name: SHARE[precision] * max(1.0, float(np.abs(golden[name]).max(initial=0)))
        for name in names
    }


def finite(value: float) -> float | None:
    """The number, None if it is infinite or none: JSON has neither."""
    return value if math.isfinite(value) else None


def worst(rows: Sequence[ParityRow]) -> ParityRow:
    """The row farthest beyond, or nearest to, what it may be; a failed one before any passed."""
    return max(rows, key=lambda row: (not row.passed, row.error / row.tolerance))


class MetricRow(msgspec.Struct, frozen=True):
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
        """As plain JSON types, with ``passed`` for readers."""
        return {**msgspec.structs.asdict(self), "passed": self.passed}

    def __str__(self) -> str:
        return (
            f"{self.name} of {self.n:,} rows of {self.split} is {self.value:.4f}, in fp32 "
            f"{self.fp32:.4f} [{self.ci95[0]:.4f}, {self.ci95[1]:.4f}]"
        )


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A further file of the model, for one precision."""

    file: str
    sha256: str


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """``parity.json`` of a model.

    Attributes
    ----------
    torch, onnx, onnxruntime
        Versions that took part.
    variants
        Files by precision; a precision without runs ``model.onnx``.
    metrics
        The trained metric of precisions; int8 must have one, of others it counts if it is there.
    rows
        All comparisons.
    source
        The file, for errors.
    """

    torch: str = ""
    onnx: str = ""
    onnxruntime: str = ""
    variants: dict[str, Variant] = msgspec.field(default_factory=dict)
    metrics: tuple[MetricRow, ...] = ()
    rows: tuple[ParityRow, ...]
    source: str = ""

    @classmethod
    def read(cls, folder: Path) -> Certificate:
        """The certificate of a model folder; without rows if it has no file.

        Raises
        ------
        ModelIntegrityError
            A file that is no certificate; names file and field.
        """
        path = folder / FILE
        try:
            found = msgspec.json.decode(read_file(path), type=cls)
        except FileNotFoundError:
            found = cls(rows=())
        except (OSError, ValueError) as error:
            raise ModelIntegrityError(
                f"{path}: not a certificate ({error}): install seqtile again, or write it anew: "
                "python -m training.certify"
            ) from None
        return msgspec.structs.replace(found, source=str(path))

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
