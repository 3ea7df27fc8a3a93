"""Motifs: matrices, MEME files against Biopython, likeness; ``seqtile motifs``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from Bio import motifs as bio

import seqtile
from seqtile import MotifParseError, ShapeError
from seqtile.logos import draw_logos
from seqtile.motifs import (
    KNOWN_DNA,
    Motif,
    best_match,
    is_recognised,
    known_motifs,
    read_meme,
    similarity,
    write_meme,
)
from seqtile.motifs_cli import compare, pick, recognised
from tests.python.command import check_refused, names
from tests.python.command import seqtile as run

PNG = b"\x89PNG\r\n\x1a\n"


def random_motif(seed: int, width: int = 9, *, name: str = "x", alphabet="dna") -> Motif:
    """Of counts of 40 letters a column, some of them 0."""
    rng = np.random.default_rng(seed)
    counts = np.stack([rng.multinomial(40, rng.dirichlet([0.4] * 4)) for _ in range(width)], 1)
    return Motif.from_counts(name, counts, alphabet=alphabet)


def in_noise(consensus: str, *, before: int = 3, after: int = 2, weight: float = 0.8) -> Motif:
    """A consensus among columns of nothing in particular."""
    core = Motif.from_consensus("x", consensus).probabilities
    table = np.concatenate([np.full((4, before), 0.25), core, np.full((4, after), 0.25)], 1)
    noise = np.random.default_rng(0).dirichlet([5] * 4, table.shape[1]).T
    return Motif("x", weight * table + (1 - weight) * noise)


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


HEAD = "MEME version 5\n\nALPHABET= ACGT\n\n"
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
)  # fmt: skip
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


# --- seqtile motifs


@pytest.fixture
def meme(tmp_path: Path) -> Path:
    """Three filters in a file: noise, FOXA on the other strand, GATA."""
    items = [random_motif(5), in_noise("GTAAACA"), in_noise("AGATAA")]
    items = [dataclasses.replace(motif, name=f"filter{i}") for i, motif in enumerate(items)]
    path = tmp_path / "filters.meme"
    write_meme(path, items)
    return path


def succeed(*arguments: object) -> str:
    result = run("motifs", *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_table(meme: Path) -> None:
    lines = succeed(meme).splitlines()
    assert lines[0] == f"{meme}: 3 motifs"
    assert lines[1].split() == ["filter", "consensus", "sites", "bits", "known", "similarity",
                                "recognised"]  # fmt: skip
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:]}
    assert rows["filter1"][0] == "NNNGTAAACANN"
    assert rows["filter1"][3:6] == ["FOXA", "TGTTTAC", "(-)"]
    assert rows["filter2"][3:6] == ["GATA", "AGATAA", "(+)"]
    assert [line.split()[-1] for line in lines[2:4]] == ["yes", "yes"]
    assert [float(line.split()[-2]) for line in lines[2:4]] == pytest.approx([1, 1], abs=0.02)
    short = succeed(meme, "--top", 1).splitlines()
    assert short[0] == f"{meme}: 3 motifs, the 1 most like a known one"
    assert len(short) == 3


def test_json(meme: Path) -> None:
    items = {item["name"]: item for item in json.loads(succeed(meme, "--json", "--top", 1))}
    assert set(items) == {"filter0", "filter1", "filter2"}
    match = items["filter1"]["match"]
    assert (match["name"], match["strand"], match["offset"]) == ("FOXA", "-", 3)
    assert items["filter1"]["nsites"] == 20
    assert np.shape(items["filter1"]["probabilities"]) == (12, 4)
    assert items["filter1"]["information"] == pytest.approx(read_meme(meme)[1].information)


def test_against_other_motifs(meme: Path, tmp_path: Path) -> None:
    known = tmp_path / "known.meme"
    write_meme(known, [Motif.from_consensus("mine", "AGATAA"), Motif.from_consensus("y", "CCCCC")])
    items = {item["name"]: item for item in json.loads(succeed(meme, "--json", "--against", known))}
    assert items["filter2"]["match"]["name"] == "mine"
    rna = tmp_path / "rna.meme"
    write_meme(rna, [Motif.from_consensus("x", "UGCAUG", alphabet="rna")])
    check_refused(run("motifs", meme, "--against", rna), "is dna, x rna")
    (tmp_path / "empty.meme").write_text(HEAD)
    lines = succeed(meme, "--against", tmp_path / "empty.meme").splitlines()
    assert len(lines) == 5


def test_files(meme: Path, tmp_path: Path) -> None:
    pytest.importorskip("logomaker", reason="logos need logomaker")
    out, plot = tmp_path / "out.meme", tmp_path / "logos.png"
    succeed(meme, "--meme", out, "--plot", plot)
    assert plot.read_bytes()[:8] == PNG
    assert plot.stat().st_size > 10_000
    labels = {motif.name: motif.label for motif in read_meme(out)}
    assert labels == {"filter0": "", "filter1": "FOXA", "filter2": "GATA"}
    assert names(tmp_path) == {"filters.meme", "out.meme", "logos.png"}


def png_size(path: Path) -> tuple[int, int]:
    content = path.read_bytes()
    assert content[:8] == PNG
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


def test_logos_of_all_kinds(tmp_path: Path) -> None:
    """Here warnings are errors: those of the drawing libraries too."""
    pytest.importorskip("logomaker", reason="logos need logomaker")
    known = Motif.from_consensus("known", "TTGTTTACTT")
    items = [in_noise(text) for text in ("TGTTTAC", "GTAAACA", "AGATAA")]
    inside = similarity(items[0], Motif.from_consensus("FOXA", "TGTTTAC"))
    hanging = [similarity(Motif("x", motif.probabilities[:, 3:10]), known) for motif in items[:2]]
    assert [match.offset for match in hanging] == [-1, -2]
    assert [match.strand for match in hanging] == ["+", "-"]
    short = [Motif("x", motif.probabilities[:, 3:10]) for motif in items[:2]]
    pairs = [(items[0], inside), *zip(short, hanging, strict=True), (items[2], None)]
    draw_logos(tmp_path / "four.png", pairs, "title")
    draw_logos(tmp_path / "one.png", pairs[:1], "title")
    rna = Motif.from_consensus("x", "UGCAUG", alphabet="rna")
    draw_logos(tmp_path / "rna.png", [(rna, similarity(rna, rna))] * 2, "title")
    wide, high = png_size(tmp_path / "one.png")
    assert abs(png_size(tmp_path / "rna.png")[0] - 2 * wide) <= 1
    assert png_size(tmp_path / "rna.png")[1] == high
    assert abs(png_size(tmp_path / "four.png")[0] - 3 * wide) <= 2
    assert png_size(tmp_path / "four.png")[1] > 1.5 * high
    with pytest.raises(ValueError, match="no motif"):
        draw_logos(tmp_path / "none.png", [], "title")


def test_logos_without_the_library(meme: Path, tmp_path: Path) -> None:
    """The command that mends it, before anything is written."""
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    # Hides the library from its finder, as if it were not installed.
    (blocked / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'logomaker' else find(name, *rest)\n"
    )
    result = run(
        "motifs", meme, "--plot", tmp_path / "x.png", "--meme", tmp_path / "x.meme",
        environment={"PYTHONPATH": str(blocked)},
    )  # fmt: skip
    check_refused(result, "drawing logos needs logomaker: pip install logomaker")
    assert names(tmp_path) == {"filters.meme", "blocked"}


def test_refusals(meme: Path, tmp_path: Path) -> None:
    check_refused(run("motifs", "jund-cnn-sex"), "did you mean 'jund-cnn-seq'?")
    (tmp_path / "folder").mkdir()
    check_refused(run("motifs", tmp_path / "folder"), "its folder has no motifs.meme")
    check_refused(run("motifs", meme, "--top", -1), "top must not be negative")
    check_refused(run("motifs", meme, "--meme", meme), "would overwrite the input")
    check_refused(run("motifs", meme, "--meme", tmp_path / "no" / "x"), "does not exist")
    (tmp_path / "bad.meme").write_text("no\n")
    check_refused(run("motifs", tmp_path / "bad.meme"), "bad.meme, line 1: expected a line 'MEME")


def test_a_model_folder_and_its_file(meme: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "motifs.meme").write_bytes(meme.read_bytes())
    (folder / "model.onnx").write_bytes(b"")
    for source in (folder, folder / "model.onnx"):
        assert succeed(source).splitlines()[1:] == succeed(meme).splitlines()[1:]


def test_what_is_recognised_comes_first() -> None:
    weak = dataclasses.replace(in_noise("TGTTTAC", weight=0.3), name="weak")
    strong = dataclasses.replace(in_noise("CAAAGTCA"), name="strong")
    unlike = dataclasses.replace(random_motif(3), name="unlike")
    pairs = compare([weak, unlike, strong], None)
    matches = {motif.name: match for motif, match in pairs}
    assert weak.bits[3:10].sum() < 0.4 * 14
    assert strong.bits[3:11].sum() > 0.4 * 16
    assert matches["weak"].similarity > 0.9 > matches["strong"].similarity > 0.8
    assert [is_recognised(*pair) for pair in pairs] == [True, False, False]
    assert [motif.name for motif, _ in pairs][:2] == ["strong", "weak"]
    assert list(recognised(pairs)) == ["HNF4A"]
    shown = {motif.name: match for motif, match in pick(pairs)}
    assert shown == {"strong": matches["strong"], "weak": None, "unlike": None}
    assert not is_recognised(strong, None)


def test_the_picture_shows_each_known_motif_once() -> None:
    items = [in_noise("AGATAA"), in_noise("GATAAG"), in_noise("TGTTTAC"), random_motif(3)]
    items = [dataclasses.replace(motif, name=f"filter{i}") for i, motif in enumerate(items)]
    pairs = compare(items, None)
    shown = [motif.name for motif, _ in pick(pairs, 3)]
    assert {"filter0", "filter2"} < set(shown)
    assert len(shown) == 3
    assert len(pick(pairs, 12)) == 4
    assert compare([], None) == []


# --- the shipped models


@pytest.mark.parametrize("name", seqtile.list_models())
def test_shipped_motifs(name: str) -> None:
    path = seqtile.zoo.model_folder(name) / "motifs.meme"
    if not path.exists():
        pytest.skip(f"{name} has no motifs")
    motifs = read_meme(path)
    assert len({motif.name for motif in motifs}) == len(motifs) > 0
    with path.open() as file:
        assert len(bio.parse(file, "minimal")) == len(motifs)
    assert max(motif.information for motif in motifs) > 5
