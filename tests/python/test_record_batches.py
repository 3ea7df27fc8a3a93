"""Records by the block: the same as one by one, however they are cut."""

from __future__ import annotations

import bz2
import gzip
import io
import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtile import _core, read_fasta
from seqtile.errors import AlphabetError, FastaParseError, ShapeError
from seqtile.fasta.reader import FastaInput
from seqtile.models.contract import Input
from seqtile.models.inputs import Labels, SequenceInput
from seqtile.sequences.batch import Alphabet, RecordBatch

RECORD = st.tuples(
    st.text("abc|:.\u00e9", min_size=1, max_size=6), st.text("ACGTNacgtn", max_size=9)
)


def fasta(records: list[tuple[str, str]]) -> bytes:
    """Letters in lines of four."""
    lines = []
    for name, letters in records:
        lines.append(f">{name} more of it\n")
        lines += [letters[i : i + 4] + "\n" for i in range(0, len(letters), 4)]
    return "".join(lines).encode()


def fastq(records: list[tuple[str, str]]) -> bytes:
    return "".join(f"@{name}\n{s}\n+\n{'I' * len(s)}\n" for name, s in records).encode()


def rows(batch: RecordBatch) -> list[tuple[str, str]]:
    """Names and letters of a batch, row by row."""
    found = []
    for i, (name, length) in enumerate(zip(batch.names, batch.lengths.tolist(), strict=True)):
        letters = batch.letters(np.array([i]), length)
        assert letters.shape == (1, length)
        found.append((name, letters.tobytes().decode()))
    return found


@given(
    st.lists(RECORD, min_size=1, max_size=12),
    st.integers(0, 14),
    st.integers(1, 14),
    st.sampled_from([fasta, fastq]),
)
@settings(deadline=None)
def test_as_one_by_one(
    records: list[tuple[str, str]], least: int, most: int, write: Callable[[Any], bytes]
) -> None:
    with FastaInput(io.BytesIO(write(records))) as file:
        batches = list(file.batches(least, most))
    assert [row for batch in batches for row in rows(batch)] == records
    sizes = [len(batch) for batch in batches]
    assert sizes == [len(batch.names) for batch in batches]
    assert all(min(least, most) <= size <= most for size in sizes[:-1])
    if least >= most:
        assert sizes[:-1] == [most] * (len(sizes) - 1)


@pytest.mark.parametrize("pack", [bytes, partial(gzip.compress, compresslevel=1), bz2.compress])
def test_a_file_of_many_blocks(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    letters = np.frombuffer(b"ACGT", np.uint8)[random.integers(0, 4, 3_000_000)].tobytes()
    ends = np.cumsum(random.integers(0, 2400, 2500)).tolist()
    parts = enumerate(pairwise([0, *ends]))
    records = [(f"r{i}", letters[a:b].decode()) for i, (a, b) in parts]
    path = tmp_path / "x.fa"
    path.write_bytes(pack(fasta(records)))
    one_by_one = [(r.name, r.sequence.tobytes().decode()) for r in read_fasta(path)]
    assert one_by_one == records
    for least, most in ((1, sys.maxsize), (1024, 1024), (100_000, sys.maxsize)):
        with FastaInput(path) as file:
            batches = list(file.batches(least, most))  # they outlive the file
        assert [row for batch in batches for row in rows(batch)] == records
        if most == 1024:
            assert [len(batch) for batch in batches] == [1024, 1024, 452]
        if least == 100_000:
            assert len(batches) == 1


def test_an_error_comes_after_the_records_before_it() -> None:
    for least, sizes in ((1, [3]), (2, [2, 1]), (3, [3]), (100, [3])):
        file = FastaInput(io.BytesIO(b">a\nA\n>b\nC\n>c\nG\n>d\nA1\n>e\nA\n"))
        batches, seen = file.batches(least, 2 if least == 2 else 100), []
        with file, pytest.raises(FastaParseError, match="found '1'") as caught:
            seen.extend(map(len, batches))
        assert seen == sizes
        assert (caught.value.path, caught.value.line, caught.value.record) == ("<stream>", 8, "d")
        assert list(batches) == []


def test_no_file_and_no_records(tmp_path: Path) -> None:
    (tmp_path / "empty.fa").touch()
    with FastaInput(tmp_path / "empty.fa") as file, pytest.raises(FastaParseError, match="empty"):
        list(file.batches())
    with FastaInput(io.BytesIO(b">a\nA\n")) as file:
        with pytest.raises(ValueError, match="most must be at least 1, not 0"):
            file.batches(most=0)
        assert [len(batch) for batch in file.batches()] == [1]


LETTERS = Input(name="x", kind="letters", shape=("batch", "length"), dtype="uint8", alphabet="dna")
ONE_HOT = Input(
    name="x",
    kind="letters",
    shape=("batch", 4, "length"),
    dtype="float32",
    alphabet="dna",
    layout="NCL",
)


def only_batch(file: bytes) -> RecordBatch:
    with FastaInput(io.BytesIO(file)) as reader:
        (batch,) = reader.batches(least=1000)
    return batch


def test_what_a_model_is_fed() -> None:
    batch = only_batch(b">a\nACG\n>b\nACNTA\n>c\nTTT\n>d\nacgta\n")
    takes = SequenceInput(LETTERS)
    parts = list(takes.parts(batch, lambda *_: 10, Labels(names=batch.names)))
    assert [(rows.tolist(), letters.tolist()) for rows, letters in parts] == [
        ([0, 2], [list(b"ACG"), list(b"TTT")]),
        ([1, 3], [list(b"ACNTA"), list(b"acgta")]),
    ]
    takes.length = 3
    with pytest.raises(ShapeError, match="record 'b' has 5 letters, the model takes 3"):
        list(takes.parts(batch, lambda *_: 10, Labels(names=batch.names)))


def test_letters_that_a_model_does_not_know() -> None:
    batch = only_batch(b">a\nACG\n>b x\nACE\n")
    takes = SequenceInput(ONE_HOT)
    with pytest.raises(AlphabetError) as caught:
        list(takes.parts(batch, lambda *_: 10, Labels(first=5, names=batch.names)))
    error = caught.value
    assert (error.position, error.byte, error.index, error.record) == (2, ord("E"), 6, "b")


def test_kernels_take_it_as_any_batch() -> None:
    batch = only_batch(b">a\nACGT\n>b\nAAC\n")
    assert (batch.core.shortest, batch.core.longest, batch.single) == (3, 4, False)
    place, complements = _core.reverse_complement(batch.core, False)
    assert place is None
    assert [bytes(c) for c in complements] == [b"ACGT", b"GTT"]
    codes = np.empty(7, np.uint8)
    assert _core.encode(batch.core, Alphabet("dna").core, False, codes, 1) is None
    assert codes.tolist() == [0, 1, 2, 3, 0, 0, 1]


def test_rows_that_are_not_there() -> None:
    batch = only_batch(b">a\nACGT\n>b\nAAC\n")
    for index, length in ((2, 4), (-1, 3), (1, 4)):
        with pytest.raises(ValueError, match="a row is not of this length"):
            batch.letters(np.array([index]), length)
    assert batch.letters(np.array([], np.int64), 4).shape == (0, 4)
