"""Both ends of a table: records read by the block, rows written by the block.

pytest benches/bench_rows.py --benchmark-only -s
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqtile
from benches.compare import peers, record, speed_ratio
from benches.sequences import genome_letters
from seqtile import read_fasta
from seqtile.fasta.reader import FastaInput
from seqtile.models.prediction import PredictionBlock
from seqtile.models.rows import Rows
from seqtile.sequences.batch import Alphabet, SequenceBatch

RECORDS = 300_000
LENGTH = 101
ROWS = 8000  # of a block, about as many as a block of the file holds


@pytest.fixture(scope="session")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Windows of 101 letters."""
    path = tmp_path_factory.mktemp("rows") / "windows.fa"
    with path.open("wb") as file:
        for i, letters in enumerate(genome_letters(RECORDS * LENGTH).reshape(-1, LENGTH)):
            begin = i * LENGTH
            file.write(b">chr1:%d-%d\n%s\n" % (begin, begin + LENGTH, letters.tobytes()))
    return path


def test_read(benchmark: Any, windows: Path) -> None:
    dna = Alphabet("dna").core

    def gathered(batch: SequenceBatch) -> np.ndarray:
        assert batch.core.find_above(dna, False) is None
        return batch.letters(np.arange(len(batch)), LENGTH)

    def ours() -> int:
        with FastaInput(windows) as file:
            return sum(len(gathered(batch)) for batch in file.batches())

    def one_by_one() -> int:
        with FastaInput(windows) as file:
            return sum(
                len(gathered(SequenceBatch([found.sequence for found in records])))
                for records in file.records()
            )

    def by_name() -> int:
        found = list(read_fasta(windows))
        return len([(each.name, each.sequence) for each in found])

    buffer = bytearray(windows.stat().st_size)

    def readinto() -> None:
        with windows.open("rb", buffering=0) as file:
            assert file.readinto(buffer) == len(buffer)

    with FastaInput(windows) as file:
        letters = np.concatenate([gathered(batch) for batch in file.batches()])
    assert (letters == genome_letters(RECORDS * LENGTH).reshape(-1, LENGTH)).all()
    assert ours() == one_by_one() == by_name() == RECORDS
    ratio = speed_ratio(ours, readinto)
    record(
        benchmark,
        "records of 101 letters read, checked and gathered",
        ratio,
        limit="readinto",
        target=0.3,
        peers=peers(ours, {"a Record each": one_by_one, "read_fasta": by_name}),
        rate=(RECORDS / 1e6, "M records/s"),
    )
    benchmark.pedantic(ours, rounds=3)


def table_writers(names: list[str], values: np.ndarray) -> dict[str, Callable[[], object]]:
    """The same table by others; digits of pandas and pyarrow are not limited to six."""
    columns = values.reshape(len(names), -1)

    def python() -> bytes:
        lines = [
            "\t".join([name, *(f"{v:.6g}" for v in row)])
            for name, row in zip(names, columns.tolist(), strict=True)
        ]
        return ("\n".join(lines) + "\n").encode()

    def savetxt() -> bytes:
        text = io.BytesIO()
        np.savetxt(text, columns, fmt="%.6g", delimiter="\t")  # without the names
        return text.getvalue()

    def pandas() -> str:
        import pandas as pd

        table = pd.DataFrame(columns, index=names)
        return str(table.to_csv(sep="\t", header=False))

    def pyarrow() -> bytes:
        import pyarrow as pa
        from pyarrow import csv

        text = io.BytesIO()
        arrays = [pa.array(names), *(pa.array(column) for column in columns.T)]
        table = pa.table(arrays, names=[str(i) for i in range(len(arrays))])
        options = csv.WriteOptions(include_header=False, delimiter="\t")
        csv.write_csv(table, text, options)
        return text.getvalue()

    return {"Python": python, "numpy.savetxt": savetxt, "pandas": pandas, "pyarrow": pyarrow}


def json_writers(names: list[str], values: np.ndarray) -> dict[str, Callable[[], object]]:
    def python() -> bytes:
        rows = zip(names, values.tolist(), strict=True)
        return "".join(json.dumps({"name": n, "x": v}) + "\n" for n, v in rows).encode()

    return {"json": python}


@pytest.mark.parametrize("width", [1, 128])
@pytest.mark.parametrize("as_json", [False, True])
def test_write(benchmark: Any, windows: Path, width: int, as_json: bool) -> None:
    """A block of rows: probabilities of logits, or an embedding."""
    with FastaInput(windows) as file:
        names = next(file.batches(ROWS, ROWS)).names
    logits = np.random.default_rng(1).normal(0, 4, (ROWS, width))
    values = (1 / (1 + np.exp(-logits))).astype(np.float32)
    block = PredictionBlock(names, {"x": values[:, 0] if width == 1 else values})
    rows = Rows(seqtile.card("jund-cnn-seq"), as_json=as_json)

    def ours() -> bytes:
        return rows(block)

    others = (json_writers if as_json else table_writers)(list(names), block.outputs["x"])
    assert next(iter(others.values()))() == ours()
    text = ours()

    def copy() -> bytearray:
        return bytearray(text)

    what = "JSON lines" if as_json else "rows"
    record(
        benchmark,
        f"{what} of a name and {width} number{'s' * (width > 1)}",
        speed_ratio(ours, copy),
        limit="copy of the text",
        target=None,
        peers=peers(ours, others, rounds=3),
        rate=(ROWS / 1e6, "M rows/s"),
    )
    benchmark.pedantic(ours, rounds=3)
