"""Motifs: matrices, MEME files against Biopython, likeness."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from Bio import motifs as bio

from seqtile import MotifParseError, ShapeError
from seqtile.motifs.known import KNOWN_DNA, known_motifs
from seqtile.motifs.matching import best_match, similarity
from seqtile.motifs.meme import read_meme, write_meme
from seqtile.motifs.motif import Motif
from tests.python.command import names
from tests.python.motif_examples import HEAD, in_noise, random_motif

# --- the matrix


def test_a_consensus_as_a_matrix() -> None:
    motif = Motif.from_consensus("AP-1", "TGASTCA")
    assert motif.probabilities.tolist() == [
        [0, 0, 1, 0, 0, 0, 1],
        [0, 0, 0, 0.5, 0, 1, 0],
        [0, 1, 0, 0.5, 0, 0, 0],
        [1, 0, 0, 0, 1, 0, 0],
    ]
    assert motif.bits.tolist() == [2, 2, 2, 1, 2, 2, 2]
    assert motif.information == 13
    assert len(motif) == 7
    assert Motif.from_consensus("n", "N").bits.tolist() == [0]
    # One of three letters: log2(4 / 3) bits.
    assert Motif.from_consensus("h", "H").information == pytest.approx(0.41504, abs=1e-5)


@pytest.mark.parametrize("code", "ACGTRYSWKMBDHVN")
def test_every_iupac_code_is_its_own_consensus(code: str) -> None:
    assert Motif.from_consensus("x", code * 3).consensus == code * 3
    rna = Motif.from_consensus("x", code.replace("T", "U"), alphabet="rna")
    assert rna.consensus == code.replace("T", "U")


def test_an_unknown_code() -> None:
    with pytest.raises(ValueError, match="'X' in ACXT is no IUPAC letter"):
        Motif.from_consensus("x", "ACXT")


@pytest.mark.parametrize("seed", range(20))
def test_consensus_and_information_as_biopython(seed: int) -> None:
    motif = random_motif(seed, 30)
    counts = np.round(motif.probabilities * 40).astype(int)
    other = bio.Motif("ACGT", counts=dict(zip("ACGT", counts.tolist(), strict=True)))
    assert motif.consensus == str(other.degenerate_consensus)
    assert motif.nsites == 40
    p = np.array([other.pwm[letter] for letter in "ACGT"])
    assert motif.information == pytest.approx(float(other.relative_entropy.sum()))
    np.testing.assert_allclose(motif.probabilities, p)
    turned = motif.reverse_complement()
    assert turned.consensus == str(other.reverse_complement().degenerate_consensus)
    np.testing.assert_array_equal(turned.reverse_complement().probabilities, motif.probabilities)


def test_a_motif_is_checked_and_cannot_change() -> None:
    with pytest.raises(ShapeError, match=r"shape \(4, w\), found \(3, 4\)"):
        Motif("x", np.ones((3, 4)))
    with pytest.raises(ShapeError):
        Motif("x", np.empty((4, 0)))
    with pytest.raises(ValueError, match="sum to 1"):
        Motif("x", np.full((4, 2), 0.3))
    with pytest.raises(ValueError, match="sum to 1"):
        Motif("x", np.array([[1.5], [-0.5], [0], [0]]))
    with pytest.raises(ValueError, match="without blanks"):
        Motif("two words", np.full((4, 2), 0.25))
    with pytest.raises(ValueError, match="'dna' or 'rna'"):
        Motif("x", np.full((4, 2), 0.25), alphabet="protein")
    table = np.full((4, 2), 0.25)
    motif = Motif("x", table)
    table[:] = 0
    assert motif.probabilities.sum() == 2
    with pytest.raises(ValueError, match="read-only"):
        motif.probabilities[0, 0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        motif.name = "y"


# --- likeness


def test_a_motif_within_noise_is_found_at_its_place() -> None:
    match = similarity(in_noise("TGTTTAC"), Motif.from_consensus("FOXA", "TGTTTAC"))
    assert (match.offset, match.strand, match.target.name) == (3, "+", "FOXA")
    assert 0.98 < match.similarity <= 1
    turned = similarity(in_noise("GTAAACA"), Motif.from_consensus("FOXA", "TGTTTAC"))
    assert (turned.offset, turned.strand) == (3, "-")
    assert turned.similarity == pytest.approx(match.similarity, abs=0.02)


def test_likeness_of_a_motif_with_itself_is_1() -> None:
    for seed in range(5):
        motif = random_motif(seed)
        for other in (motif, motif.reverse_complement()):
            assert similarity(motif, other).similarity == pytest.approx(1)
        assert similarity(motif, motif).offset == 0


@pytest.mark.parametrize("seed", range(12))
def test_likeness_is_the_best_mean_of_column_correlations(seed: int) -> None:
    """Against numpy's corrcoef over every offset, written out."""
    a, b = random_motif(seed, 9), random_motif(100 + seed, 6)
    values = []
    for other in (b.probabilities, b.reverse_complement().probabilities):
        for offset in range(-1, 5):  # 5 of 6 places overlap, or all
            places = [i for i in range(6) if 0 <= i + offset < 9]
            columns = [
                np.corrcoef(a.probabilities[:, i + offset], other[:, i])[0, 1] for i in places
            ]
            values.append(sum(columns) / 6)
    assert similarity(a, b).similarity == pytest.approx(max(values), abs=1e-6)
    assert similarity(b, a).similarity == pytest.approx(max(values), abs=1e-6)


def test_places_that_hang_over_count_nothing() -> None:
    short = Motif.from_consensus("x", "GTTTAC")
    long = Motif.from_consensus("y", "TGTTTAC")
    assert similarity(short, long).similarity == pytest.approx(1)
    assert similarity(short, long).offset == -1
    cut = Motif.from_consensus("z", "TTTACNN")
    assert similarity(cut, long, min_overlap=5).similarity == pytest.approx(5 / 7)


def test_unknown_columns_are_like_each_other_alone() -> None:
    gap = Motif.from_consensus("gap", "TTGGCNNNNNGCCAA")
    assert similarity(gap, gap).similarity == pytest.approx(1)
    flat = Motif.from_consensus("n", "NNNNN")
    assert similarity(flat, Motif.from_consensus("x", "GATTA")).similarity == 0


def test_rna_has_one_strand() -> None:
    motif = Motif.from_consensus("x", "UGCAUG", alphabet="rna")
    assert similarity(motif, motif).similarity == 1
    other = motif.reverse_complement()
    assert similarity(motif, Motif.from_consensus("y", other.consensus, alphabet="rna")).strand == (
        "+"
    )
    lone = Motif.from_consensus("x", "UUUUU", alphabet="rna")
    against = Motif.from_consensus("y", "AAAAA", alphabet="rna")
    assert similarity(lone, against).similarity == pytest.approx(-1 / 3)
    dna = Motif.from_consensus("x", "TTTTT")
    assert similarity(dna, Motif.from_consensus("y", "AAAAA")).similarity == 1
    with pytest.raises(ValueError, match="x is rna, x dna"):
        similarity(lone, dna)


def test_each_known_motif_is_found_in_noise() -> None:
    for name, consensus in KNOWN_DNA.items():
        motif = in_noise(consensus)
        for turned in (motif, motif.reverse_complement()):
            match = best_match(turned, known_motifs())
            assert match is not None
            assert match.target.name == name
    assert best_match(random_motif(0), []) is None
    assert {motif.alphabet for motif in known_motifs("rna")} == {"rna"}


# --- MEME files


@pytest.mark.parametrize("alphabet", ["dna", "rna"])
def test_biopython_reads_our_file(alphabet, tmp_path: Path) -> None:
    items = [random_motif(i, 4 + i, name=f"filter{i}", alphabet=alphabet) for i in range(4)]
    write_meme(tmp_path / "x.meme", items)
    with (tmp_path / "x.meme").open() as file:
        record = bio.parse(file, "minimal")
    assert [motif.name for motif in record] == [motif.name for motif in items]
    for ours, theirs in zip(items, record, strict=True):
        assert theirs.alphabet == ("ACGT" if alphabet == "dna" else "ACGU")
        assert theirs.num_occurrences == 40
        assert set(theirs.background.values()) == {0.25}
        counts = np.array([theirs.counts[letter] for letter in theirs.alphabet])
        np.testing.assert_array_equal(counts, np.round(ours.probabilities * 40))


@pytest.mark.parametrize("alphabet", ["dna", "rna"])
def test_round_trip(alphabet, tmp_path: Path) -> None:
    items = [random_motif(i, 5 + i, name=f"filter{i}", alphabet=alphabet) for i in range(3)]
    items[1] = dataclasses.replace(items[1], label="HNF4A", nsites=12345)
    path = tmp_path / "x.meme"
    write_meme(path, items)
    text = path.read_bytes()
    found = read_meme(path)
    for one, other in zip(items, found, strict=True):
        np.testing.assert_allclose(other.probabilities, one.probabilities, rtol=0, atol=5e-7)
        for name in ("name", "label", "nsites", "alphabet"):
            assert getattr(other, name) == getattr(one, name)
    write_meme(path, found)
    assert path.read_bytes() == text


WRITTEN_BY_OTHERS = """\
MEME version 4.12.0

ALPHABET= ACGT
strands: + -

Background letter frequencies (from uniform background):
A 0.25000 C 0.25000 G 0.25000 T 0.25000

MOTIF MA0114.4 HNF4A

letter-probability matrix: alength= 4 w= 2 nsites= 20.5 E= 4.1e-009
 0.25  0.25\t0.25 0.25
 0.9 0.05 0.05 0
URL http://jaspar.example/MA0114.4

MOTIF bare
letter-probability matrix:
1 0 0 0
0 1 0 0
0.333 0.333 0.333 0

MOTIF last a b
letter-probability matrix: alength= 4
0 0 0 1
"""


def test_a_file_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "x.meme"
    path.write_text(WRITTEN_BY_OTHERS)
    first, bare, last = read_meme(path)
    assert (first.name, first.label, first.nsites, first.consensus) == (
        "MA0114.4",
        "HNF4A",
        20,
        "NA",
    )
    assert (bare.name, bare.label, bare.nsites, bare.consensus) == ("bare", "", 20, "ACV")
    assert (last.name, last.label, last.consensus) == ("last", "a", "T")
    path.write_bytes(b"\n" + WRITTEN_BY_OTHERS.replace("\n", "\r\n").encode())
    assert [motif.name for motif in read_meme(path)] == ["MA0114.4", "bare", "last"]


MATRIX = "letter-probability matrix: alength= 4 w= 2 nsites= 9 E= 0\n"
ROW = "0.1 0.2 0.3 0.4\n"


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("", 0, "expected a line 'MEME version N' first"),
        (">chr1\nACGT\n", 1, "expected a line 'MEME version N' first"),
        ("MEME version 5\nALPHABET= ACDEFGHIKLMNPQRSTVWY\n", 2, "expected ALPHABET= ACGT or ACGU"),
        (HEAD + "MOTIF\n", 5, "expected a motif's name"),
        (HEAD + MATRIX + ROW * 2, 5, "without a MOTIF line"),
        (HEAD + "MOTIF a\nMOTIF b\n" + MATRIX + ROW * 2, 6, "a has no letter-probability matrix"),
        (HEAD + "MOTIF a\n", 5, "a has no letter-probability matrix"),
        (HEAD + "MOTIF a\n" + MATRIX + ROW, 7, "expected w= 2, found 1 rows"),
        (HEAD + "MOTIF a\n" + MATRIX + ROW + "\n" + ROW, 8, "expected 4 probabilities, found ''"),
        (HEAD + "MOTIF a\n" + MATRIX + ROW + "0.1 0.2 0.7\n", 8, "expected 4 prob.*'0.1 0.2 0.7'"),
        (HEAD + "MOTIF a\n" + MATRIX + ROW + "a b c d\n", 8, "expected 4 prob.*found 'a b c d'"),
        (HEAD + "MOTIF a\n" + MATRIX + ROW + "1 1 0 0\n", 8, "that sum to 1, found '1 1 0 0'"),
        (HEAD + "MOTIF a\n" + MATRIX + ROW + "2 -1 0 0\n", 8, "that sum to 1"),
        (HEAD + "MOTIF a\n" + MATRIX + ROW + "nan 1 0 0\n", 8, "that sum to 1"),
        (HEAD + "MOTIF a\n" + MATRIX.replace("w= 2", "w= x"), 6, "positive number after w=, .*'x'"),
        (HEAD + "MOTIF a\n" + MATRIX.replace("w= 2", "w= 0"), 6, "positive number after w=, .*'0'"),
        (HEAD + "MOTIF a\n" + MATRIX.replace("= 4", "= 20"), 6, "expected alength= 4, found 20"),
        (HEAD + "MOTIF a\nletter-probability matrix:\n\n", 6, "expected w= 1 or more, found 0"),
    ],
)
def test_a_broken_file(tmp_path: Path, text, line, problem) -> None:
    path = tmp_path / "x.meme"
    path.write_text(text)
    place = f", line {line}" if line else ""
    with pytest.raises(MotifParseError, match=f"^{path}{place}: .*{problem}") as caught:
        read_meme(path)
    assert (caught.value.line, caught.value.path) == (line, str(path))


def test_what_is_no_text_and_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "x.meme").write_bytes(b"MEME version 5\n\xff\xfe")
    with pytest.raises(MotifParseError, match="is no text"):
        read_meme(tmp_path / "x.meme")
    with pytest.raises(FileNotFoundError):
        read_meme(tmp_path / "y.meme")


def test_nothing_and_mixed_motifs_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="motifs of one alphabet"):
        write_meme(tmp_path / "x.meme", [])
    with pytest.raises(ValueError, match="one alphabet, found \\['dna', 'rna'\\]"):
        write_meme(tmp_path / "x.meme", [random_motif(0), random_motif(0, alphabet="rna")])
    assert names(tmp_path) == set()
