"""Parity of every model and precision on a device, and the trap of ``Transpose -> MatMul``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import seqtile
from benches.gpu_report import Context, Section, in_time, item, write
from seqtile.execution.engine import Engine
from seqtile.execution.providers import Precision
from seqtile.execution.session import Session
from seqtile.models.certificate import ParityRow, worst
from seqtile.models.loading import model_bytes, read_golden
from seqtile.models.parity import compare
from seqtile.models.zoo import model_folder

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
PARITY_HEAD = (
    "model",
    "precision",
    "output",
    "rows",
    "largest error",
    "tolerance",
    "decisions that change",
    "result",
)


def provider(device: str) -> str:
    return PROVIDERS[device.partition(":")[0]]


class Reference:
    """fp32 on the CPU; remembers, because every precision asks for the same."""

    def __init__(self, name: str) -> None:
        card = seqtile.card(name)
        self._names = [tensor.name for tensor in card.outputs]
        self._session = Session(model_bytes(model_folder(name), card), source=name)
        self._known: dict[object, Any] = {}

    def __call__(self, feeds: Mapping[str, Any]) -> Any:
        key = tuple((name, value.shape, value.tobytes()) for name, value in feeds.items())
        if key not in self._known:
            self._known[key] = self._session.run(feeds, self._names)
        return self._known[key]


def parity_rows(
    name: str, precision: Precision, device: str, reference: Reference
) -> list[ParityRow]:
    """Every output of a model against fp32 on the CPU, and against torch on the golden inputs."""
    folder, card = model_folder(name), seqtile.card(name)
    golden = read_golden(folder / "golden.npz")
    names = [tensor.name for tensor in card.outputs]
    engine = Engine(model_bytes(folder, card, precision), device, precision=precision, source=name)
    runner = engine.single  # with its buckets, copies and graphs: as users have it
    return compare(
        card,
        golden,
        precision,
        reference,
        lambda feeds: runner.run(feeds, names),
        provider=provider(device),
    )


def parity(context: Context, section: Section, found: dict[str, list[ParityRow]]) -> None:
    """A line for each model, precision and output; all rows into ``found``, by model."""
    section.head = PARITY_HEAD
    for name in context.models:
        reference = Reference(name)
        for precision in context.precisions:
            what = f"{name}, {precision}"
            if not in_time(context, section, what):
                continue
            with item(section, what):
                rows = parity_rows(name, precision, context.device, reference)
                found.setdefault(name, []).extend(rows)
                for output in dict.fromkeys(row.output for row in rows):
                    section.rows.append(_line(name, [row for row in rows if row.output == output]))
                section.failures += [f"{what}: {row}" for row in rows if not row.passed]


def _line(name: str, rows: list[ParityRow]) -> tuple[object, ...]:
    far = worst(rows)
    decisions = sum(row.decisions for row in rows)
    changed = f"{sum(row.changed for row in rows)} of {decisions:,}" if decisions else None
    passed = "ok" if all(row.passed for row in rows) else "FAILED"
    return (name, far.precision, far.output, len(rows), far.max_abs, far.tolerance, changed, passed)


def certify(folder: Path, rows: list[ParityRow]) -> None:
    """Put rows of this device into a model's ``parity.json``, in the place of its earlier ones."""
    path = folder / "parity.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    fresh = {(row.provider, row.precision) for row in rows}
    kept = [
        row
        for row in content.pop("rows")
        if row.get("emulated") or (row["provider"], row["precision"]) not in fresh
    ]
    lines = ",\n".join("  " + json.dumps(row) for row in [*kept, *(r.to_dict() for r in rows)])
    write(path, f'{{{json.dumps(content)[1:-1]}, "rows": [\n{lines}\n]}}\n')


def trap_graph(rank: int) -> bytes:
    """``MatMul(Transpose(x), q)`` with a right-hand side of rank 1, the trap, or 2, the way out."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    q = query()
    nodes = [
        helper.make_node("Transpose", ["x"], ["z"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["z", "q"], ["y"]),
    ]
    value = q if rank == 1 else q[:, None]
    shape = ["n", "length"] if rank == 1 else ["n", "length", 1]
    graph = helper.make_graph(
        nodes,
        "trap",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", len(q), "length"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, "q")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def query() -> Any:
    return np.random.default_rng(3).standard_normal(8).astype(np.float32)


def trap_error(device: str, rank: int, optimization: Any) -> float:
    """Largest error of the graph against numpy; infinite for another shape."""
    x = np.random.default_rng(4).standard_normal((5, 8, 11)).astype(np.float32)
    session = Session(trap_graph(rank), device=device, optimization=optimization, source="trap")
    (found,) = session.run({"x": x})
    expected = np.einsum("ncl,c->nl", x, query())
    if found.size != expected.size:
        return float("inf")
    return float(np.abs(found.reshape(expected.shape) - expected).max())


def trap(context: Context, section: Section) -> None:
    """Where the trap gives wrong numbers; a failure only if the way out does."""
    section.head = ("device", "optimisation", "1-D right-hand side", "as the zoo has it, 2-D")
    for device in dict.fromkeys(("cpu", context.device)):
        for optimization in ("disable", "basic", "all"):
            one, two = (trap_error(device, rank, optimization) for rank in (1, 2))
            section.rows.append((device, optimization, _verdict(one), _verdict(two)))
            if not two < 1e-4:
                section.failures.append(f"2-D right-hand side on {device}: off by {two:.2g}")


def _verdict(error: float) -> str:
    return f"{'right' if error < 1e-4 else 'WRONG'}, off by {error:.2g}"
