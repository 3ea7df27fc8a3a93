"""``seqtile scan``: its summary, tracks on standard output, regions, what it refuses."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

import seqtile
from seqtile import scan
from seqtile.scanning.report import write_scan
from tests.python.command import check_refused, succeed
from tests.python.command import seqtile as run
from tests.python.models import motif_model
from tests.python.oracle import write_fasta


def letters(n: int) -> str:
    return "".join(np.random.default_rng(n).choice(list("ACGT"), n))


GENOME = {"chr1": letters(600), "chr2": letters(90), "short": "ACGT"}


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fasta(tmp_path_factory.mktemp("genome") / "genome.fa", GENOME)


def test_prints_a_summary(motif_folder: Path, genome: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.bed"
    call = [
        "scan",
        motif_folder,
        genome,
        "--stride",
        5,
        "--threshold",
        0.7,
        "--top",
        2,
        "-o",
        target,
    ]
    lines = succeed(*call, "--threads", 1, "--device", "cpu").splitlines()
    assert lines[0] == "tiny on cpu (1 threads): window 12, stride 5, strand both"
    assert lines[1].startswith("scanned   694 bases of 3 sequences, 134 windows in ")
    assert lines[2] == "no score  short: 4 bases, shorter than the window"
    report = write_scan(
        scan(seqtile.load(motif_folder), genome, stride=5), [], threshold=0.7, top=2
    )
    assert lines[3] == f"peaks     {report.peaks} at 0.700 and above, the best 2:"
    best = report.top[0]
    assert lines[4].split() == ["0-based", "start", "end", "summit", "score"]
    assert lines[5].split() == [
        best.chrom,
        str(best.start),
        str(best.end),
        str(best.summit),
        best.strand,
        f"{best.score:.4f}",
    ]
    assert lines[7:] == [f"wrote     {target}"]
    assert len(target.read_text().splitlines()) == report.peaks


def test_as_json(motif_folder: Path, genome: Path, tmp_path: Path) -> None:
    options = ["--strand", "-", "--reduce", "max", "--max-n", 1, "--window", 15]
    target = tmp_path / "a.npz"
    content = json.loads(succeed("scan", motif_folder, genome, *options, "-o", target, "--json"))
    assert (content["model"], content["device"]) == ("tiny", "cpu")
    assert content["bases"] == 694
    assert content["windows"] == 600 - 14 + 90 - 14
    assert content["short"] == {"short": 4}
    assert content["outputs"] == [str(target)]
    assert len(content["top"]) == content["peaks"] > 0
    assert all(peak["strand"] == "." for peak in content["top"])


def test_standard_input_to_standard_output(
    motif_folder: Path, genome: Path, tmp_path: Path
) -> None:
    target = tmp_path / "a.bed"
    succeed("scan", motif_folder, genome, "--threshold", 0.7, "-o", target)
    call = ["scan", motif_folder, "-", "--threshold", 0.7, "-o", "-"]
    for stdin in (genome.read_bytes(), gzip.compress(genome.read_bytes())):
        result = run(*call, stdin=stdin)
        assert result.returncode == 0
        assert result.stdout == target.read_text()
        assert result.stdout.count("\n") >= 10
        assert result.stderr.startswith("tiny on cpu")
    result = run(*call, "--json", stdin=genome.read_bytes())
    assert result.stdout == target.read_text()
    assert json.loads(result.stderr)["peaks"] == result.stdout.count("\n")


def test_regions(motif_folder: Path, genome: Path, tmp_path: Path) -> None:
    bed = tmp_path / "regions.bed"
    bed.write_text("chr2\t20\t60\nchr1\t0\t200\n")
    content = json.loads(succeed("scan", motif_folder, genome, "--regions", bed, "--json"))
    assert content["bases"] == 240
    manifest_target = tmp_path / "a.bed"
    succeed("scan", motif_folder, genome, "--regions", bed, "-o", manifest_target)
    manifest = json.loads((tmp_path / "a.bed.manifest.json").read_text())
    assert manifest["parameters"]["regions"] == f"2 from {bed}"


def test_with_a_third_party_model(motif_folder: Path, genome: Path, tmp_path: Path) -> None:
    """The same network as raw letters, without a card."""
    foreign = motif_model(tmp_path / "m.onnx", length=12)
    bed = ["--threshold", 0.7, "-o", "-"]
    expected = run("scan", motif_folder, genome, *bed)
    result = run("scan", foreign, genome, "--input-layout", "bytes", *bed)
    assert (result.returncode, result.stdout) == (0, expected.stdout)
    assert result.stderr.startswith("m on cpu")


def test_a_model_without_a_threshold_has_no_peaks(genome: Path, tmp_path: Path) -> None:
    model = motif_model(tmp_path / "m.onnx", length=12)
    call = ["scan", model, genome, "--input-layout", "bytes"]
    target = tmp_path / "a.bw"
    text = succeed(*call, "-o", target, "--plot", tmp_path / "a.png")
    assert "\npeaks     not called, as m has no threshold: say --threshold SCORE\n" in text
    content = json.loads(succeed(*call, "--json"))
    assert (content["threshold"], content["peaks"], content["top"]) == (None, 0, [])
    manifest = json.loads((tmp_path / "a.bw.manifest.json").read_text())
    assert manifest["parameters"]["threshold"] is None
    for output in ("-", tmp_path / "a.narrowPeak"):
        check_refused(run(*call, "-o", output), "m has no decision threshold", "--threshold")
    assert "peaks     10 at 0.700 and above" in succeed(*call, "--threshold", 0.7)


def test_without_outputs(motif_folder: Path, genome: Path) -> None:
    text = succeed("scan", motif_folder, genome)
    assert "peaks     " in text
    assert text.endswith(
        "\nwrote     no file: name some with -o (.bw, .bed, .narrowPeak, .parquet, .npz)\n"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--alphabet", "rna"], "--alphabet goes with --input-layout"),
        (["--threshold", "nan"], "threshold must be a number, not nan"),
        (["--top", "-1"], "top must not be negative, not -1"),
        (["--plot", "x.pdf"], "x.pdf: a figure is a .png file"),
    ],
)
def test_options_that_make_no_sense(
    options: list[str], words: str, motif_folder: Path, genome: Path
) -> None:
    check_refused(run("scan", motif_folder, genome, *options), words)


def test_many_short_sequences_are_counted(motif_folder: Path, tmp_path: Path) -> None:
    genome = write_fasta(tmp_path / "x.fa", {f"s{i}": "ACGT" for i in range(9)})
    text = succeed("scan", motif_folder, genome)
    assert text.count("shorter than the window") == 5
    assert "no score  and 4 more sequences as short\n" in text
