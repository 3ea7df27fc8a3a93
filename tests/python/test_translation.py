"""Translation against Biopython's."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from Bio.Data import CodonTable
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st

import seqtile
from seqtile import AlphabetError, ShapeError, translate

TABLES = sorted(CodonTable.unambiguous_dna_by_id)
IUPAC = "ACGTRYSWKMBDHVN"
CODONS = "".join(map("".join, itertools.product(IUPAC, repeat=3)))
FRAMES = (0, 1, 2, -1, -2, -3)


def biopython(letters: str, frame: int = 0, table: int = 1, to_stop: bool = False) -> str:
    strand = Seq(letters) if frame >= 0 else Seq(letters).reverse_complement()
    rest = strand[frame if frame >= 0 else -frame - 1 :]
    return str(rest[: len(rest) // 3 * 3].translate(table=table, to_stop=to_stop))


def array(text: str) -> Any:
    return np.frombuffer(text.encode(), np.uint8)


# unit


def test_by_hand() -> None:
    assert translate("ATGGCNTAYTARGG") == "MAY*"
    assert translate("auggcc") == "MA"
    assert translate("RAYSARMTHMTN---") == "BZJX-"
    assert translate("AGA", table=2) == "*"
    assert translate("ATGGCC", frame="all") == ("MA", "W", "G", "GH", "A", "P")
    for frame in FRAMES:
        assert translate("", frame=frame) == translate("AC", frame=frame) == ""  # type: ignore[call-overload]


def test_the_type_is_kept() -> None:
    assert translate(b"ATGGCC") == b"MA"
    assert translate(bytearray(b"ATGGCC")) == bytearray(b"MA")
    assert translate(array("ATGGCC")[::-1]).tobytes() == b"PV"
    got = translate(["ATGGCC", b"TAA", array("TGGAA"), ""])
    assert [type(item) for item in got] == [str, bytes, np.ndarray, str]
    assert (got[0], got[1], got[2].tobytes(), got[3]) == ("MA", b"*", b"W", "")
    assert translate([]) == []
    assert translate([], frame="all") == ([],) * 6


def test_rows_of_an_array() -> None:
    rows = array("ATGGCCATAATGGT").reshape(2, 7)
    for frame, length in zip(FRAMES, (2, 2, 1, 2, 2, 1), strict=True):
        got = translate(rows, frame=frame)  # type: ignore[call-overload]
        assert got.shape == (2, length)
        assert got.dtype == np.uint8
        assert [row.tobytes().decode() for row in got] == [
            biopython(row.tobytes().decode(), frame) for row in rows
        ]
    assert translate(np.empty((0, 7), np.uint8)).shape == (0, 2)
    assert translate(np.empty((3, 1), np.uint8), frame=2).shape == (3, 0)


def test_to_stop() -> None:
    assert translate("ATGTAAATGTAA", to_stop=True) == "M"
    assert translate(["ATG", "TAG", b"TGATGA"], to_stop=True) == ["M", "", b""]
    with pytest.raises(ShapeError, match="to_stop gives proteins of different lengths"):
        translate(array("ATG").reshape(1, 3), to_stop=True)
    for table in (27, 28, 31):
        with pytest.raises(ValueError, match=f"to_stop is not possible with table {table}"):
            translate("ATG", table=table, to_stop=True)


def test_exports() -> None:
    assert seqtile.translate is translate


# agreement


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.filterwarnings("ignore::Bio.BiopythonWarning")
def test_all_codons_of_all_codes(table: int) -> None:
    assert translate(CODONS, table=table) == biopython(CODONS, table=table)
    rna = CODONS.replace("T", "U").lower()
    assert translate(rna, table=table) == biopython(rna, table=table)


@given(letters=st.text(IUPAC + "U" + IUPAC.lower(), max_size=40), frame=st.sampled_from(FRAMES))
def test_six_frames(letters: str, frame: Any) -> None:
    letters = letters.replace("U", "T")  # Biopython takes no mixture
    expected = biopython(letters, frame)
    assert translate(letters, frame=frame) == expected
    assert translate(letters.replace("T", "U"), frame=frame) == expected
    assert translate(letters, frame="all")[FRAMES.index(frame)] == expected
    assert translate([letters, "", letters], frame=frame, threads=3) == [expected, "", expected]


@given(letters=st.text("ACGT", max_size=60), frame=st.sampled_from(FRAMES))
def test_to_stop_agrees(letters: str, frame: Any) -> None:
    expected = biopython(letters, frame, to_stop=True)
    assert translate(letters, frame=frame, to_stop=True) == expected


def test_gaps_as_biopython() -> None:
    assert translate("ATG---TAA") == biopython("ATG---TAA")
    with pytest.raises(Exception, match="A-G"):
        biopython("A-G")


# errors


@pytest.mark.parametrize(
    ("sequences", "options", "facts"),
    [
        ("ATGA-G", {}, (0, 4, ord("-"))),
        (["ATG", "AT!"], {}, (1, 2, ord("!"))),
        (["ATG", "AXGAA"], {"frame": -2}, (1, 1, ord("X"))),
        (["ATG", "ÀTG"], {}, (1, 0, 0xC0)),
        (["ATG"] * 9 + ["A*G", "A G"], {"threads": 3}, (9, 1, ord("*"))),
    ],
)
def test_refused_letters(sequences: Any, options: Any, facts: Any) -> None:
    with pytest.raises(AlphabetError, match="expected a") as caught:
        translate(sequences, **options)
    assert (caught.value.index, caught.value.position, caught.value.byte) == facts


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"table": 7}, r"table must be one of \[1, 2, .*33\], not 7"),
        ({"table": "1"}, r"table must be one of .*, not '1'"),
        ({"frame": 3}, r"frame must be one of \(0, 1, 2, -1, -2, -3\) or 'all', not 3"),
        ({"frame": True}, "frame must be one of .*, not True"),
        ({"frame": "six"}, "frame must be one of .*, not 'six'"),
        ({"threads": 0}, "threads must be at least 1, not 0"),
    ],
)
def test_options_out_of_range(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        translate("ATG", **options)


def test_the_codes_are_those_of_ncbi() -> None:
    assert [*range(1, 7), *range(9, 17), *range(21, 34)] == TABLES
    for table in TABLES:
        assert len(translate("ATG", table=table)) == 1
