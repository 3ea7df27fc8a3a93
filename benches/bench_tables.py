"""Writing answers as a table, JSON lines or arrays, against csv, pandas and the bytes alone.

pytest benches/bench_tables.py --benchmark-only -s
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqtile
from benches.compare import peers, record, speed_ratio
from seqtile.commands.tables import write_predictions
from seqtile.models.prediction import PredictionBlock

BLOCK = 8192


def answers(model: str, count: int) -> tuple[list[str], Any]:
    """Names and made-up probabilities, float32 (count,) or (count, classes)."""
    labels = seqtile.card(model).outputs[0].labels
    shape = (count, len(labels)) if seqtile.card(model).outputs[0].kind == "classes" else (count,)
    values = np.random.default_rng(0).random(shape, np.float32)
    return [f"window_{i}" for i in range(count)], values


def blocks(names: list[str], output: str, values: Any) -> list[PredictionBlock]:
    return [
        PredictionBlock(names[i : i + BLOCK], {output: values[i : i + BLOCK]})
        for i in range(0, len(names), BLOCK)
    ]


@pytest.mark.parametrize(
    ("model", "count"), [("jund-cnn-seq", 300_000), ("bloodmnist-best", 50_000)]
)
@pytest.mark.parametrize("form", ["table", "JSON lines"])
def test_rows(benchmark: Any, tmp_path: Path, model: str, count: int, form: str) -> None:
    card = seqtile.card(model)
    output, labels = card.outputs[0].name, card.outputs[0].labels
    names, values = answers(model, count)
    given = blocks(names, output, values)
    target, other = tmp_path / "ours", tmp_path / "theirs"
    classes = values.ndim == 2

    def ours() -> None:
        write_predictions(
            given, str(target), contract=card, as_json=form != "table", advance=lambda _: None
        )

    def by_csv() -> None:
        with other.open("w", newline="") as file:
            table = csv.writer(file, delimiter="\t")
            rows = values.reshape(count, -1).tolist()
            for name, row in zip(names, rows, strict=True):
                table.writerow([name, *[f"{v:.6g}" for v in row]])

    def by_pandas() -> None:
        import pandas as pd

        frame = pd.DataFrame(values.reshape(count, -1), index=names)
        frame.to_csv(other, sep="\t", float_format="%.6g")

    def by_json() -> None:
        with other.open("w") as file:
            for name, row in zip(names, values.tolist(), strict=True):
                answer = dict(zip(labels, row, strict=True)) if classes else row
                file.write(json.dumps({"name": name, output: answer}) + "\n")

    ours()
    check(target, names, values, output, labels if classes else (), form)
    content = target.read_bytes()
    others: dict[str, Callable[[], object]] = {"csv": by_csv, "pandas": by_pandas}
    columns = f", {len(labels)} classes" if classes else ""
    record(
        benchmark,
        f"{count:,} answers{columns} to a {form}".replace("a JSON", "JSON"),
        speed_ratio(ours, lambda: other.write_bytes(content), 5),
        limit="writing the same bytes",
        target=None,
        rate=(count / 1e6, "million rows/s"),
        peers=peers(ours, others if form == "table" else {"json": by_json}, 1),
    )
    benchmark.pedantic(ours, rounds=1)


def check(
    path: Path, names: list[str], values: Any, output: str, labels: tuple[str, ...], form: str
) -> None:
    """The first thousand rows and the last."""
    lines = path.read_text().splitlines()
    keys = [f"{output}_{label}" for label in labels] or [output]
    for i in (*range(1000), -1):
        if form == "table":
            head = lines[0].split("\t")
            row = dict(zip(head, lines[i + 1 if i >= 0 else i].split("\t"), strict=True))
            found = [float(row[key]) for key in keys]
        else:
            row = json.loads(lines[i])
            found = [row[output][label] for label in labels] if labels else [row[output]]
        assert row["name"] == names[i]
        np.testing.assert_allclose(found, np.atleast_1d(values[i]), rtol=1e-5)
    assert len(lines) == len(names) + (form == "table")
