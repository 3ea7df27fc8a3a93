"""The command line's pipeline: what it says of its stages, and that it ends when it is told to."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from tests.python.command import SEQTILE, names, seqtile
from tests.python.models import image_folder
from tests.python.oracle import write_fasta

VERDICT = re.compile(
    r"^seqtile: \w+-limited: \d+% of \d+ lanes' time computing, .*compute .* s.*\)$"
)


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    sequences = {f"chr{i}": "".join(rng.choice(list("ACGT"), 3000)) for i in range(3)}
    return write_fasta(tmp_path / "genome.fa", sequences)


@pytest.mark.parametrize("verb", ["predict", "scan"])
def test_profile(verb: str, motif_folder: Path, genome: Path, tmp_path: Path) -> None:
    target = tmp_path / ("a.bw" if verb == "scan" else "a.tsv")
    quiet = seqtile(verb, motif_folder, genome, "-o", target)
    assert quiet.stderr == ""
    told = seqtile(verb, motif_folder, genome, "-o", target, "--profile")
    assert VERDICT.match(told.stderr.rstrip("\n"))


def test_the_manifest_of_a_scan_has_the_profile(
    motif_folder: Path, genome: Path, tmp_path: Path
) -> None:
    seqtile("scan", motif_folder, genome, "-o", tmp_path / "a.bw", "--threads", "2")
    profile = json.loads((tmp_path / "a.bw.manifest.json").read_text())["profile"]
    assert profile["lanes"] == 2
    assert profile["verdict"] in ("feed-limited", "compute-limited", "write-limited")
    assert {"read", "encode", "compute", "write"} <= profile["seconds"].keys()
    assert sum(profile["shares"].values()) == pytest.approx(1, abs=0.001)


def test_the_manifest_of_images_has_the_profile(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    cells = image_folder(tmp_path / "cells")
    tifffile.imwrite(tmp_path / "a.tif", np.eye(64, dtype=np.uint8) * 200)
    result = seqtile("segment", cells, tmp_path / "a.tif", "-o", tmp_path / "b.tif", "--profile")
    assert VERDICT.match(result.stderr.rstrip("\n"))
    manifest = json.loads((tmp_path / "b.tif.manifest.json").read_text())
    assert manifest["profile"]["seconds"]["compute"] > 0


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    records = {f"r{i}": "ACGTTGCA" * 13 for i in range(300_000)}
    return write_fasta(tmp_path_factory.mktemp("long") / "long.fa", records)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("waits", [True, False])
def test_an_end_at_any_time(
    number: signal.Signals, waits: bool, motif_folder: Path, long: Path, tmp_path: Path
) -> None:
    """While a lane waits for standard input, and in the middle of long work."""
    folder = tmp_path / "out"
    folder.mkdir()
    process = subprocess.Popen(
        [
            *SEQTILE,
            "predict",
            motif_folder,
            "-" if waits else long,
            "-o",
            folder / "a.tsv",
            "--batch-size",
            "2",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    give_up = time.monotonic() + 60
    while not names(folder) and time.monotonic() < give_up:
        time.sleep(0.01)
    assert names(folder)
    time.sleep(0.3)
    process.send_signal(number)
    process.wait(timeout=30)
    assert process.returncode == 128 + number
    expected = b"seqtile: interrupted\n" if number == signal.SIGINT else b""
    assert process.communicate() == (b"", expected)
    assert names(folder) == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_end_while_a_library_is_loaded(
    number: signal.Signals, motif_folder: Path, tmp_path: Path
) -> None:
    """Which makes an ImportError of any exception, as pybind11 does."""
    (tmp_path / "onnxruntime.py").write_text(
        "import os, signal\n"
        "try:\n"
        f"    os.kill(os.getpid(), {number})\n"
        "    [None for _ in range(1000)]\n"
        "except BaseException as error:\n"
        "    raise ImportError('initialization failed') from error\n"
        "raise ImportError('and is not whole')\n"
    )
    genome = write_fasta(tmp_path / "x.fa", {"a": "ACGT"})
    result = seqtile("predict", motif_folder, genome, environment={"PYTHONPATH": str(tmp_path)})
    assert (result.returncode, result.stdout) == (128 + number, "")
    assert result.stderr == ("seqtile: interrupted\n" if number == signal.SIGINT else "")


def test_a_bad_record_late_in_the_file_is_named_once(motif_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.fa"
    good = "".join(f">r{i}\nACGTACGTACGT\n" for i in range(5000))
    path.write_text(good + ">bad\nACGT1CGTACGT\n" + good)
    result = seqtile("predict", motif_folder, path, "-o", tmp_path / "a.tsv")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "x.fa, line 10002, record 'bad'" in result.stderr
    assert names(tmp_path) == {"x.fa"}


def test_rows_stand_in_the_files_order(motif_folder: Path, tmp_path: Path) -> None:
    lengths = np.random.default_rng(1).integers(3, 40, 3000)
    path = write_fasta(tmp_path / "x.fa", {f"r{i}": "ACGT" * n for i, n in enumerate(lengths)})
    one = seqtile("predict", motif_folder, path, "--batch-size", "1", "--threads", "1").stdout
    many = seqtile("predict", motif_folder, path, "--threads", "3").stdout
    assert [row.split("\t")[0] for row in many.splitlines()[1:]] == [f"r{i}" for i in range(3000)]
    values = [[float(row.split("\t")[1]) for row in t.splitlines()[1:]] for t in (one, many)]
    np.testing.assert_allclose(*values, atol=2e-6)
