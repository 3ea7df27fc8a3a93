"""``seqtile motifs``: table, files, logos, refusals; the motifs that are shipped."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from Bio import motifs as bio

import seqtile
from seqtile.motifs.known import compare, pick, recognised
from seqtile.motifs.logos import draw_logos
from seqtile.motifs.matching import is_recognised, similarity
from seqtile.motifs.meme import read_meme, write_meme
from seqtile.motifs.motif import Motif
from tests.python.command import check_refused, names
from tests.python.command import seqtile as run
from tests.python.motif_examples import HEAD, in_noise, random_motif

PNG = b"\x89PNG\r\n\x1a\n"


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
    assert lines[1].split() == [
        "filter",
        "consensus",
        "sites",
        "bits",
        "known",
        "similarity",
        "recognised",
    ]
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
        "motifs",
        meme,
        "--plot",
        tmp_path / "x.png",
        "--meme",
        tmp_path / "x.meme",
        environment={"PYTHONPATH": str(blocked)},
    )
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
    path = seqtile.models.zoo.model_folder(name) / "motifs.meme"
    if not path.exists():
        pytest.skip(f"{name} has no motifs")
    motifs = read_meme(path)
    assert len({motif.name for motif in motifs}) == len(motifs) > 0
    with path.open() as file:
        assert len(bio.parse(file, "minimal")) == len(motifs)
    assert max(motif.information for motif in motifs) > 5
