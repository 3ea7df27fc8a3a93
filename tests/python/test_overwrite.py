"""No verb writes over what it reads, whatever that is called."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from seqtile.motifs.meme import write_meme
from seqtile.motifs.motif import Motif
from tests.python.command import SEQTILE, check_refused
from tests.python.command import seqtile as run
from tests.python.models import counts_model, image_folder, model_folder
from tests.python.oracle import write_fasta
from tests.python.test_graph_file import moved_out

Call = tuple[list[object], Path]


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def regions(folder: Path) -> Call:
    bed = folder / "r.bed"
    bed.write_text("a\t0\t20\n")
    return ["scan", folder / "model", folder / "x.fa", "--regions", bed, "-o", bed], bed


def hard_link(folder: Path) -> Call:
    (folder / "x.bed").hardlink_to(folder / "x.fa")
    return ["scan", folder / "model", folder / "x.fa", "-o", folder / "x.bed"], folder / "x.bed"


def figure(folder: Path) -> Call:
    (folder / "x.png").symlink_to(folder / "x.fa")
    return ["scan", folder / "model", folder / "x.fa", "--plot", folder / "x.png"], folder / "x.png"


def manifest(folder: Path) -> Call:
    (folder / "x.bed.manifest.json").hardlink_to(folder / "x.fa")
    call = ["scan", folder / "model", folder / "x.fa", "-o", folder / "x.bed"]
    return call, folder / "x.bed.manifest.json"


def further_input(folder: Path) -> Call:
    table = folder / "x.tsv"
    table.write_text("a\t1\n")
    call = ["predict", folder / "model", folder / "x.fa", "--input", f"x={table}"]
    return [*call, "-o", table], table


def index(folder: Path) -> Call:
    fai = folder / "x.fa.fai"
    fai.write_text("a\t21\t3\t21\t22\n")
    return ["predict", folder / "model", folder / "x.fa", "-o", fai], fai


def contract(folder: Path) -> Call:
    path = folder / "model" / "contract.json"
    return ["predict", folder / "model", folder / "x.fa", "-o", path], path


def weights(folder: Path) -> Call:
    model = counts_model(folder / "m.onnx")
    graph = onnx.load(model)
    (folder / "numbers").write_bytes(moved_out(graph, "numbers"))
    onnx.save(graph, model)
    call = ["predict", model, folder / "x.fa", "--input-layout", "NCL"]
    return [*call, "-o", folder / "numbers"], folder / "numbers"


def second_file(folder: Path) -> Call:
    other = folder / "y.tsv"
    shutil.copy(folder / "x.fa", other)
    return ["kmers", "-k", 3, folder / "x.fa", other, "-o", other], other


def known_motifs(folder: Path) -> Call:
    mine, known = folder / "mine.meme", folder / "known.meme"
    write_meme(mine, [Motif.from_consensus("mine", "AGATAA")])
    write_meme(known, [Motif.from_consensus("known", "CCCCC")])
    return ["motifs", mine, "--against", known, "--meme", known], known


def images(folder: Path) -> Call:
    cells = image_folder(folder / "cells")
    cv2.imwrite(str(folder / "a.png"), np.zeros((32, 32), np.uint8))
    (folder / "out").mkdir()
    (folder / "out" / "a.objects.csv").hardlink_to(folder / "a.png")
    call = ["segment", cells, folder / "a.png", "-d", folder / "out", "--formats", "csv"]
    return call, folder / "out" / "a.objects.csv"


def letters_of_a_bench(folder: Path) -> Call:
    return ["bench", folder / "model", "--data", folder / "x.fa", "--json", folder / "x.fa"], (
        folder / "x.fa"
    )


@pytest.mark.parametrize(
    "case",
    [
        *(regions, hard_link, figure, manifest, further_input, index, contract, weights),
        *(second_file, known_motifs, images, letters_of_a_bench),
    ],
)
def test_an_input_stays(tmp_path: Path, case: Callable[[Path], Call]) -> None:
    model_folder(tmp_path / "model")
    write_fasta(tmp_path / "x.fa", {"a": "GATTACA" * 3})
    call, target = case(tmp_path)
    before = content(tmp_path)
    check_refused(run(*call), f"{target}: the output would overwrite the input")
    assert content(tmp_path) == before


def test_standard_input_may_be_a_file(motif_folder: Path, tmp_path: Path) -> None:
    genome = write_fasta(tmp_path / "x.fa", {"a": "GATTACA" * 3})
    before = genome.read_bytes()
    with genome.open("rb") as file:
        words = [*SEQTILE, "predict", motif_folder, "-", "-o", genome]
        result = subprocess.run(words, stdin=file, capture_output=True)
    assert result.returncode == 1
    assert b"x.fa: the output would overwrite the input (standard input)" in result.stderr
    assert genome.read_bytes() == before


@pytest.mark.parametrize("verb", ["scan", "segment -o", "segment -d"])
def test_a_foreign_file_in_place_of_a_manifest_stays(tmp_path: Path, verb: str) -> None:
    if verb == "scan":
        folder = model_folder(tmp_path / "model")
        source, target = write_fasta(tmp_path / "x.fa", {"a": "GATTACA" * 3}), tmp_path / "o.bed"
        call: list[object] = ["scan", folder, source, "-o", target]
    else:
        folder = image_folder(tmp_path / "model")
        source, target = tmp_path / "a.png", tmp_path / "segment"
        cv2.imwrite(str(source), np.zeros((32, 32), np.uint8))
        target = tmp_path / "o.csv"
        call = ["segment", folder, source, "-o", target]
        if verb.endswith("-d"):
            target = tmp_path / "segment"
            call = ["segment", folder, source, "-d", tmp_path]
    manifest = Path(f"{target}.manifest.json")
    for text in ("precious", json.dumps({"seqtile": "mine"}), ""):
        manifest.write_text(text)
        check_refused(run(*call), f"{manifest}: is no manifest of seqtile")
        assert manifest.read_text() == text
    manifest.unlink()
    assert run(*call).returncode == 0
    assert run(*call).returncode == 0  # one's own is replaced
    assert json.loads(manifest.read_text())["seqtile"]
    assert not os.path.islink(manifest)  # noqa: PTH114
