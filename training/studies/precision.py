"""What each precision costs in the trained metric, and whether int8 is worth shipping for the CPU.

    python -m training.studies.precision [NAME ...] [--out FOLDER]

Judged on validation; test is not read. TF32 and fp16 are emulated, as in the certificates. int8 is
calibrated on rows of train and timed against fp32 in turns on one thread, in processor time, which
what else runs on the machine disturbs less. It is shipped with its rows where its metric is not
below fp32's interval and it is faster; else removed. The figures go into the certificates, the
table into ``precisions.csv``.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import thread_time
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from seqtile.errors import ModelIntegrityError, SeqtileError
from seqtile.execution.providers import CPU
from seqtile.execution.session import Session
from seqtile.models import parity
from seqtile.models.card import ModelCard
from seqtile.models.certificate import MetricRow, ParityRow, worst
from seqtile.models.loading import model_bytes, read_golden
from seqtile.models.zoo import read_card

from ..export import half
from ..export.certificate_file import update
from ..export.int8 import to_int8
from .validation import SUBJECTS, Subject, subject

FASTER = 1.1  # int8 is shipped if three of four pairs are faster by this
INNER = 1.05  # the first and the last product stay fp32 only if that is faster by this
PAIRS = 21


@dataclass(frozen=True)
class Line:
    """A line of the table: a model in a precision.

    Attributes
    ----------
    how
        ``emulated``; of int8 ``all`` products quantised, or those but the first and the last
        (``inner``).
    max_abs
        Largest difference of the first output from fp32, over the inputs of the certificate.
    speed, speed_low, speed_high
        Processor time of fp32 over that of int8 at ``batch`` rows: median and quartiles of pairs.
    shipped
        Whether `load` takes it.
    """

    model: str
    precision: str
    how: str
    metric: str
    n: int
    fp32: float
    ci95_low: float
    value: float
    max_abs: float
    batch: int = 0
    speed_low: float = 0.0
    speed: float = 0.0
    speed_high: float = 0.0
    kilobytes: int = 0
    shipped: bool = False


@dataclass(frozen=True)
class Judge:
    """Compares sessions of one model with fp32."""

    card: ModelCard
    golden: dict[str, NDArray[Any]]
    subject: Subject
    plain: Session

    @property
    def names(self) -> list[str]:
        """All outputs."""
        return [tensor.name for tensor in self.card.outputs]

    def value(self, session: Session) -> float:
        """The metric, rounded as the card has it."""
        outputs = [session.run(batch, self.names) for batch in self.subject.valid]
        return round(self.subject.score(outputs), 4)

    def rows(self, session: Session, precision: Any, *, emulated: bool) -> list[ParityRow]:
        """Comparisons of all outputs with fp32."""
        return parity.compare(
            self.card,
            self.golden,
            precision,
            lambda feeds: self.plain.run(feeds, self.names),
            lambda feeds: session.run(feeds, self.names),
            provider=CPU,
            emulated=emulated,
        )

    def speed(self, session: Session) -> tuple[float, float, float]:
        """Processor time of fp32 over the session's, in turns: quartile, median, quartile."""
        wanted = self.names if self.card.segmentation else self.names[:1]
        ratios = []
        for _ in range(PAIRS + 1):
            times = []
            for each in (self.plain, session):
                start = thread_time()
                each.run(self.subject.speed, wanted)
                times.append(thread_time() - start)
            ratios.append(times[0] / times[1])
        low, middle, high = np.percentile(ratios[1:], [25, 50, 75])
        return float(low), float(middle), float(high)


def study(folder: Path) -> list[Line]:
    """Judge one model, write its certificate and, if it is worth it, its file of int8.

    Raises
    ------
    ValueError
        fp32 does not give the card's figure: other rows, or another metric.
    """
    card = read_card(folder)
    model = model_bytes(folder, card)
    golden = read_golden(folder / "golden.npz")
    judge = Judge(card, golden, subject(card), Session(model, threads=1, source=card.name))
    known = card.metric(judge.subject.metric, "valid")
    interval = known.ci95
    assert interval is not None
    fp32 = judge.value(judge.plain)
    if abs(fp32 - known.value) > 2e-4:
        raise ValueError(
            f"{card.name}: {known.name} of fp32 is {fp32}, the card says {known.value}"
        )

    def measured(session: Session, precision: str, how: str) -> tuple[MetricRow, Line, bool]:
        rows = judge.rows(session, precision, emulated=how == "emulated")
        metric = MetricRow(
            precision,
            known.name,
            "valid",
            known.n,
            judge.value(session),
            fp32,
            interval,
            how == "emulated",
        )
        first = worst([row for row in rows if row.output == card.outputs[0].name])
        line = Line(
            card.name,
            precision,
            how,
            known.name,
            known.n,
            fp32,
            interval[0],
            metric.value,
            float(f"{first.max_abs:.2g}"),
        )
        found[how] = rows
        return metric, line, metric.passed and all(row.passed for row in rows)

    found: dict[str, list[ParityRow]] = {}
    proto = onnx.load_model_from_string(model)
    metrics, lines = [], []
    for precision, make in (("tf32", half.emulate_tf32), ("fp16", half.emulate_half)):
        session = Session(make(proto).SerializeToString(), threads=1)
        metric, line, passed = measured(session, precision, "emulated")
        metrics.append(metric)
        lines.append(Line(**{**asdict(line), "shipped": passed}))
    best: tuple[float, MetricRow, bytes, str] | None = None
    for how in ("all", "inner"):
        file = to_int8(model, judge.subject.train, inner=how == "inner")
        session = Session(file, threads=1, source=f"{card.name} (int8)")
        metric, line, passed = measured(session, "int8", how)
        low, middle, high = judge.speed(session)
        batch = len(next(iter(judge.subject.speed.values())))
        figures = {"speed_low": low, "speed": middle, "speed_high": high}
        rounded = {name: round(value, 2) for name, value in figures.items()}
        line = Line(**{**asdict(line), **rounded, "batch": batch, "kilobytes": len(file) // 1000})
        lines.append(line)
        if passed and low >= FASTER and (best is None or middle > INNER * best[0]):
            best = (middle, metric, file, how)
    if best is None:
        update(folder, {"int8"}, {}, [], metrics)
        return lines
    _, metric, file, how = best
    update(folder, {"int8"}, {"int8": file}, found[how], [*metrics, metric])
    return [Line(**{**asdict(x), "shipped": x.shipped or x.how == how}) for x in lines]


def products(element: int) -> list[str]:
    """Those of Conv, Gemm and MatMul that onnxruntime's CPU provider has for an element type."""
    found = []
    for kind, shape, weights in (
        ("Conv", [1, 1, 4, 4], [1, 1, 2, 2]),
        ("Gemm", [2, 2], [2, 2]),
        ("MatMul", [2, 2], [2, 2]),
    ):
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node(kind, ["x", "w"], ["y"])],
            "product",
            [
                onnx.helper.make_tensor_value_info("x", element, shape),
                onnx.helper.make_tensor_value_info("w", element, weights),
            ],
            [onnx.helper.make_tensor_value_info("y", element, None)],
        )
        opsets = [onnx.helper.make_opsetid("", 22)]
        model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
        try:
            Session(model.SerializeToString(), threads=1)
        except ModelIntegrityError:
            continue
        found.append(kind)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the models named, print the table, write it; 1 if a model could not be judged."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SUBJECTS)}")
    root = Path(__file__).resolve().parents[2]
    parser.add_argument("--exported", type=Path, default=root / "exported")
    parser.add_argument("--out", type=Path, help="folder of precisions.csv, to update")
    options = parser.parse_args(arguments)
    bfloat16 = ", ".join(products(onnx.TensorProto.BFLOAT16)) or "none"
    print(f"products in bfloat16 on the CPU, onnxruntime {onnxruntime.__version__}: {bfloat16}")
    lines: list[Line] = []
    status = 0
    for name in options.names or sorted(SUBJECTS):
        if name not in SUBJECTS:
            parser.error(f"no data for {name!r}, only for {', '.join(SUBJECTS)}")
        try:
            lines += study(options.exported / name)
        except (SeqtileError, OSError, ValueError) as error:
            print(f"precision_study: error: {error}", file=sys.stderr)
            status = 1
        for line in lines:
            if line.model == name:
                print(
                    ", ".join(f"{key} {value}" for key, value in asdict(line).items()), flush=True
                )
    if options.out is not None and lines:
        _write(options.out / "precisions.csv", lines)
    return status


def _write(path: Path, lines: Sequence[Line]) -> None:
    """The table, sorted by model: these lines in the place of those of the same models."""
    names = {line.model for line in lines}
    kept: list[dict[str, Any]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            kept = [row for row in csv.DictReader(file) if row["model"] not in names]
    rows = sorted([*kept, *map(asdict, lines)], key=lambda row: str(row["model"]))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(asdict(lines[0])), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
