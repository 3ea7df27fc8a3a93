"""FASTQ; the oracle is Biopython's FastqGeneralIterator, which knows wrapped lines."""

from __future__ import annotations

import io
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from Bio.SeqIO.QualityIO import FastqGeneralIterator
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtile import encode, read_fasta
from seqtile.errors import FastaParseError

Read = tuple[str, str, str]  # header, letters, qualities


def reads(content: bytes) -> list[Read]:
    found = []
    for record in read_fasta(io.BytesIO(content)):
        assert record.quality is not None
        header = f"{record.name} {record.description}".strip()
        found.append(
            (header, record.sequence.tobytes().decode(), record.quality.tobytes().decode())
        )
    return found


# unit


def test_fastq() -> None:
    record, other = read_fasta(io.BytesIO(b"@r1 1:N:0\nACGTN\n+\nIIF#!\n@r2\n\n+\n\n"))
    assert (record.name, record.description, len(record)) == ("r1", "1:N:0", 5)
    assert record.quality is not None
    assert (record.quality.dtype, record.quality.shape) == (np.uint8, (5,))
    assert (record.quality - 33).tolist() == [40, 40, 37, 2, 0]
    assert (other.name, len(other), other.quality.tolist()) == ("r2", 0, [])  # type: ignore[union-attr]


def test_fasta_has_no_quality() -> None:
    assert next(read_fasta(io.BytesIO(b">a\nACGT\n"))).quality is None


BROKEN = {
    b"@r\nACGT\n+\nIII\n": (5, "r", "expected 4 quality letters, .* found the file's end"),
    b"@r\nACGT\n+\nIII\n\n": (5, "r", "expected 4 quality letters, .* found fewer"),
    b"@r\nACGT\n+\nIIIII\n": (4, "r", "expected 4 quality letters, .* found more"),
    b"@r\nACGT\nACGT\n": (4, "r", r"expected a line that starts with '\+', found the file's end"),
    b"@r\nACGT\n+s\nIIII\n": (3, "r", "expected nothing or the record's header"),
    b"@r\nACGT\n+\nII\tI\n": (4, "r", "expected a quality letter .* a blank in column 3"),
    b"@r\nAC1T\n+\nIIII\n": (2, "r", "found '1' in column 3"),
    b"@r\nA\n+\nI\n>s\nA\n": (5, "r", "expected '@' .* FASTQ record, found '>'"),
    b">r\nA\n@s\nA\n+\nI\n": (3, "r", "found '@' in column 1"),
}


@pytest.mark.parametrize("content", BROKEN)
def test_broken_fastq(content: bytes, tmp_path: Path) -> None:
    line, record, message = BROKEN[content]
    path = tmp_path / "reads.fq"
    path.write_bytes(content)
    for source in (str(path), io.BytesIO(content)):
        with pytest.raises(FastaParseError, match=message) as caught:
            list(read_fasta(source))
        assert (caught.value.line, caught.value.record) == (line, record)
        assert pickle.loads(pickle.dumps(caught.value)).line == line


def test_encoded_fastq_keeps_its_qualities() -> None:
    (record,) = read_fasta(io.BytesIO(b"@r\nACgtN\n+\nABCDE\n"), encode="dna")
    assert record.sequence.tolist() == encode("ACgtN").tolist()
    assert record.quality is not None
    assert record.quality.tobytes() == b"ABCDE"


# property


def wrapped(draw: Any, text: str, end: str) -> str:
    """Lines of any lengths above 0; an empty one for no text."""
    lines = []
    while text:
        size = draw(st.integers(1, len(text)))
        lines.append(text[:size])
        text = text[size:]
    return end.join(lines or [""])


@st.composite
def fastq_files(draw: st.DrawFn) -> tuple[bytes, list[Read]]:
    end = draw(st.sampled_from(["\n", "\r\n"]))
    qualities = st.characters(min_codepoint=33, max_codepoint=126)
    content, expected = "", []
    for number in range(draw(st.integers(1, 5))):
        header = f"r{number}" + draw(st.sampled_from(["", " 1:N:0", " +", " @x"]))
        letters = draw(st.text("ACGTNacgtn", max_size=30))
        quality = draw(st.text(qualities, min_size=len(letters), max_size=len(letters)))
        plus = draw(st.sampled_from(["", header]))
        expected.append((header, letters, quality))
        rows = [f"@{header}", wrapped(draw, letters, end), f"+{plus}", wrapped(draw, quality, end)]
        content += end.join(rows) + end
    if draw(st.booleans()) and expected[-1][1]:
        content = content.removesuffix(end)
    return content.encode(), expected


@settings(max_examples=300, deadline=None)
@given(fastq_files())
def test_wrapped_fastq(file: tuple[bytes, list[Read]]) -> None:
    content, expected = file
    assert reads(content) == expected


def plain(content: bytes) -> list[Read] | None:
    try:
        return list(FastqGeneralIterator(io.StringIO(content.decode(), newline=None)))
    except ValueError:
        return None


# Biopython takes a wrapped quality line that begins with '@' for a header once it has enough
# letters, as we do; but it needs the empty line of an empty read.
@settings(max_examples=300, deadline=None)
@given(fastq_files())
def test_agrees_with_biopython(file: tuple[bytes, list[Read]]) -> None:
    content, expected = file
    assert plain(content) in (expected, None)
    if all(letters for _, letters, _ in expected):
        assert plain(content) == expected


@settings(max_examples=200, deadline=None)
@given(fastq_files(), st.data())
def test_a_cut_file_gives_whole_reads_or_an_error(
    file: tuple[bytes, list[Read]], data: st.DataObject
) -> None:
    content, expected = file
    size = data.draw(st.integers(1, len(content)))
    found: list[Read] = []
    with suppress(FastaParseError):
        found = reads(content[:size])
    assert found[:-1] == expected[: max(0, len(found) - 1)]
