"""The Record type."""

from __future__ import annotations

import copy
import gc
import gzip
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from Bio.SeqIO.FastaIO import SimpleFastaParser

from seqtile import Record, encode, read_fasta
from seqtile.errors import FastaParseError

ALPHABETS = {
    "ACGT-.": "ACGTacgt-.NRYQ",
    "dna": "ACGTURYSWKMBDHVNacgtnX-*.",
    "rna": "ACGUTRYSWKMBDHVN",
    "protein": "ACDEFGHIKLMNPQRSTVWY*BJOUXZ",
}


def letters(text: str) -> Any:
    return np.frombuffer(text.encode(), np.uint8)


def made(name: str = "r", description: str = "first", quality: str | None = None) -> Record:
    return Record(name, description, letters("ACGT"), None if quality is None else letters(quality))


def parsed() -> Record:
    return next(read_fasta(io.BytesIO(b"@r first\nACGT\n+\nIIII\n")))


# unit


@pytest.mark.parametrize("record", [made(quality="IIII"), parsed()], ids=["made", "parsed"])
def test_attributes(record: Record) -> None:
    assert (record.name, record.description, len(record)) == ("r", "first", 4)
    assert (record.sequence.tobytes(), record.sequence.dtype) == (b"ACGT", np.uint8)
    assert record.quality is not None
    assert record.quality.tobytes() == b"IIII"
    assert record.sequence is record.sequence  # made once
    assert repr(record) == "<Record 'r', 4 letters with qualities>"
    assert repr(made()) == "<Record 'r', 4 letters>"
    for name in ("name", "description", "sequence", "quality"):
        with pytest.raises(AttributeError):
            setattr(record, name, None)
        with pytest.raises(AttributeError):
            delattr(record, name)
    with pytest.raises(AttributeError):
        record.other = 1  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="unhashable"):
        hash(record)


def test_equality() -> None:
    record = parsed()
    assert record == made(quality="IIII")
    assert (record != parsed()) is False
    for other in (
        made(),
        made(quality="IIIH"),
        made("s", quality="IIII"),
        made(description="", quality="IIII"),
        Record("r", "first", letters("ACGA"), letters("IIII")),
        Record("r", "first", letters("ACG"), letters("III")),
    ):
        assert record != other
        assert other != record
    assert made() == made()
    assert record != "r"
    assert record.__lt__(record) is NotImplemented  # type: ignore[attr-defined]


@pytest.mark.parametrize("record", [made(), made(quality="IIII"), parsed()])
def test_copies(record: Record) -> None:
    for copied in (
        pickle.loads(pickle.dumps(record)),
        copy.copy(record),
        copy.deepcopy(record),
        *(pickle.loads(pickle.dumps(record, protocol)) for protocol in range(2, 6)),
    ):
        assert type(copied) is Record
        assert copied == record
        assert copied.quality is None or copied.quality.tobytes() == b"IIII"


def test_headers_that_are_not_utf8_survive_a_pickle() -> None:
    (record,) = read_fasta(io.BytesIO(b">caf\xe9 \xff\nA\n"))
    assert (record.name, record.description) == ("caf\udce9", "\udcff")
    assert pickle.loads(pickle.dumps(record)) == record


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), TypeError),
        (("r", ""), TypeError),
        ((1, "", letters("A")), TypeError),
        (("r", None, letters("A")), TypeError),
        (("r", "", b"A"), TypeError),
        (("r", "", "A"), TypeError),
        (("r", "", np.zeros(2, np.int8)), TypeError),
        (("r", "", np.zeros(4, np.uint8)[::2]), TypeError),
        (("r", "", letters("AC"), b"II"), TypeError),
        (("r", "", letters("AC"), 5), TypeError),
        (("r", "", None), TypeError),
        (("r", "", np.zeros((2, 2), np.uint8)), ValueError),
        (("r", "", np.array(1, np.uint8)), ValueError),
        (("r", "", letters("AC"), letters("I")), ValueError),
        (("r", "", letters("AC"), np.array(1, np.uint8)), ValueError),
        (("r", "", letters("AC"), np.zeros((2, 3), np.uint8)), ValueError),
    ],
)
def test_constructor_errors(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Record(*arguments)


def test_empty_records() -> None:
    empty = Record("e", "", letters(""))
    assert (len(empty), bool(empty), empty.sequence.shape) == (0, False, (0,))
    assert empty == next(read_fasta(io.BytesIO(b">e\n")))


@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_encode(alphabet: str, tmp_path: Path) -> None:
    """Codes of the parser's own look-up are those of `seqtile.encode`."""
    random = np.random.default_rng(3)
    text = "".join(random.choice(list(ALPHABETS[alphabet]), 5000))
    path = tmp_path / "a.fa"
    rows = "\n".join(text[i : i + 71] for i in range(0, len(text), 71))
    path.write_text(f">a b\n{rows}\n>c\n{text}\n")
    for source in (path, io.BytesIO(path.read_bytes())):
        for record in read_fasta(source, encode=alphabet):
            assert record.sequence.tolist() == encode(text, alphabet=alphabet).tolist()
    path.write_text(f">a b\n{rows}\n1\n")
    with pytest.raises(FastaParseError, match="found '1' in column 1") as caught:
        list(read_fasta(path, encode=alphabet))
    assert caught.value.line == rows.count("\n") + 3


@pytest.mark.parametrize("alphabet", ["A", "AA", "A C", "AC>", "@AC", "A+"])
def test_alphabets_that_no_file_can_have(alphabet: str) -> None:
    with pytest.raises(ValueError, match="alphabet"):
        read_fasta(io.BytesIO(b">a\nA\n"), encode=alphabet)


# agreement


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[str, str]]]:
    """A file of many blocks: short and long records."""
    random = np.random.default_rng(5)
    path = tmp_path_factory.mktemp("many") / "many.fa"
    with path.open("w") as file:
        for number in range(3000):
            size = int(random.integers(0, 200_000 if number % 500 == 7 else 1500))
            text = random.choice(np.frombuffer(b"ACGTNacgt", np.uint8), size).tobytes().decode()
            rows = [text[i : i + 60] for i in range(0, size, 60)]
            file.write("\n".join([f">r{number} of many", *rows]) + "\n")
    with path.open() as file:
        return path, list(SimpleFastaParser(file))


def test_records_that_are_kept_stay_as_they_are(many: tuple[Path, list[tuple[str, str]]]) -> None:
    path, expected = many
    kept = list(read_fasta(path))
    gc.collect()
    assert [(f"{r.name} {r.description}", r.sequence.tobytes().decode()) for r in kept] == expected


def test_some_records_kept_others_dropped(many: tuple[Path, list[tuple[str, str]]]) -> None:
    path, expected = many
    arrays = {}
    for number, record in enumerate(read_fasta(path)):
        if number % 97 == 0:
            arrays[number] = record.sequence  # the record itself is dropped
    for _ in read_fasta(path):  # what is free is written again
        pass
    for number, array in arrays.items():
        assert array.tobytes().decode() == expected[number][1]


def test_arrays_may_be_written_to(many: tuple[Path, list[tuple[str, str]]]) -> None:
    """A record's letters are its own: the neighbours in its block do not change."""
    path, expected = many
    for number, record in enumerate(read_fasta(path)):
        assert record.sequence.tobytes().decode() == expected[number][1]
        record.sequence[:] = ord("x")


def test_attributes_after_the_reader_is_gone() -> None:
    iterator = read_fasta(io.BytesIO(b">a first\nACGT\n>b\nTT\n"))
    record = next(iterator)
    del iterator
    gc.collect()
    assert (record.name, record.description, record.sequence.tobytes()) == ("a", "first", b"ACGT")


def test_real_genomes_as_biopython(data_root: Path) -> None:
    paths = sorted(path for path in (data_root / "genomes").iterdir() if path.suffix != ".md")
    assert paths
    for path in paths:
        ours = read_fasta(path)
        opened: Any = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt") as file:
            for header, text in SimpleFastaParser(file):
                record = next(ours)
                assert header.split(None, 1)[0] == record.name
                assert record.sequence.tobytes() == text.encode()
        assert next(ours, None) is None
