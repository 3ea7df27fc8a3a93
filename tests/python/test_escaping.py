"""Names with controls, in tables, on terminals and in JSON."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqtile.escaping import escaped, has_controls
from tests.python.command import SEQTILE, check_refused, succeed
from tests.python.command import seqtile as run
from tests.python.models import image_folder, model_folder

NASTY = "e\x1b[31m\x07\x9b\u202e"
SHOWN = r"e\x1b[31m\x07\x9b\u202e"


@given(st.text())
def test_nothing_unsafe_is_left(text: str) -> None:
    shown = escaped(text)
    assert not any(sign < " " or "\x7f" <= sign <= "\x9f" for sign in shown)
    assert len(shown.splitlines()) <= 1
    assert (shown == text) == (escaped(text + "x") == text + "x")


@pytest.mark.parametrize("text", ["chr1", "Zelle é 細胞", "a\xa0b", r"C:\x1b", "\udcff", ""])
def test_what_is_harmless_stays(text: str) -> None:
    assert escaped(text) == text


@given(st.lists(st.lists(st.text(), min_size=1, max_size=3), max_size=4))
def test_has_controls(rows: list[list[str]]) -> None:
    cells = [[cell.replace("\t", "").replace("\n", "") for cell in row] for row in rows]
    table = "".join("\t".join(row) + "\n" for row in cells).encode("utf-8", "surrogateescape")
    assert has_controls(table) == any(escaped(cell) != cell for row in cells for cell in row)


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    path = tmp_path / "x.fa"
    path.write_text(f">{NASTY}\n{'GATTACA' * 3}\n>plain\n{'ACGT' * 5}\n")
    return path


def test_a_record_in_a_table_and_in_json(motif_folder: Path, genome: Path) -> None:
    header, *rows = succeed("predict", motif_folder, genome).splitlines()
    assert header == "name\tprobability"
    assert [row.split("\t")[0] for row in rows] == [SHOWN, "plain"]
    lines = succeed("predict", motif_folder, genome, "--jsonl")
    assert lines.isascii()
    assert [json.loads(line)["name"] for line in lines.splitlines()] == [NASTY, "plain"]


def test_a_record_in_a_summary_and_in_bed(motif_folder: Path, genome: Path) -> None:
    call = ("scan", motif_folder, genome, "--threshold", 0, "--window", 12)
    assert f"\n  {SHOWN}  " in succeed(*call)
    (genome.parent / "o.bed").unlink(missing_ok=True)
    succeed(*call, "-o", genome.parent / "o.bed", "--plot", genome.parent / "o.png")
    names = [line.split("\t")[0] for line in (genome.parent / "o.bed").read_text().split("\n")]
    assert names == [NASTY, "plain", ""]  # as in the genome


def test_bed_on_a_terminal(motif_folder: Path, genome: Path) -> None:
    main, side = pty.openpty()
    words = [*SEQTILE, "scan", motif_folder, genome, "--threshold", "0", "-o", "-", "--window=12"]
    subprocess.run(words, stdout=side, stderr=subprocess.DEVNULL, check=True)
    assert os.read(main, 999).decode().startswith(f"{SHOWN}\t")
    os.close(side)
    os.close(main)


def test_images_with_blanks_in_their_names(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "model")
    pictures = tmp_path / "in"
    pictures.mkdir()
    content = cv2.imencode(".png", np.zeros((28, 28), np.uint8))[1].tobytes()
    names = ["a.png", "new\nline.png", "tab\t.png", "[red]b.png"]
    for name in names:
        (pictures / name).write_bytes(content)
    lines = succeed("segment", folder, pictures, "-d", tmp_path / "out", "--quiet").splitlines()
    shown = [line.partition(": ")[0].rpartition("/")[2] for line in lines if " pixels, " in line]
    assert sorted(shown) == sorted(map(escaped, names))
    found = json.loads((tmp_path / "out" / "segment.manifest.json").read_text())["images"]
    assert sorted(Path(entry["image"]).name for entry in found) == sorted(names)


def test_a_card_on_the_terminal(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "tiny")
    card = json.loads((folder / "card.json").read_text())
    card["summary"] = NASTY
    card["limits"] = [f"[/b] {NASTY}\nnew line"]
    card["metrics"][0]["note"] = f"[/b]{NASTY}"
    (folder / "card.json").write_text(json.dumps(card))
    text = succeed("models", "show", folder)
    assert text.startswith(f"tiny 1: {SHOWN}\n")
    assert text.endswith(f"\n- [/b] {SHOWN}\\nnew line\n")
    assert f"[/b]{SHOWN}\n" in text
    assert json.loads(succeed("models", "show", folder, "--json"))["summary"] == NASTY


def test_errors_on_the_terminal(motif_folder: Path, tmp_path: Path) -> None:
    check_refused(run("predict", motif_folder, tmp_path / NASTY), SHOWN, "No such file")
    result = run("predict", motif_folder, "x.fa", f"--{NASTY}")
    assert result.stderr == (
        f"seqtile predict: error: no option --{SHOWN} (see seqtile predict --help)\n"
    )


@pytest.mark.parametrize("name", ["細胞", "\udce9", "$^$"])
def test_names_outside_the_charset_of_the_terminal(
    motif_folder: Path, tmp_path: Path, name: str
) -> None:
    genome = tmp_path / "x.fa"
    genome.write_bytes(f">{name}\n{'GATTACA' * 3}\n".encode("utf-8", "surrogateescape"))
    words = ["scan", motif_folder, genome, "--threshold=0", "--window=12", "--plot", "x.png"]
    result = subprocess.run(
        [*SEQTILE, *words],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "latin-1"},
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    shown = name.encode("latin-1", "backslashreplace") if name != "\udce9" else b"\xe9"
    assert b"\n  " + shown + b" " in result.stdout
