"""The command line: data on standard output, messages on standard error, exit status."""

from __future__ import annotations

import gzip
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import seqtile
from seqtile import cli, scan
from seqtile.scanning.report import write_scan
from tests.python.command import SEQTILE, check_refused, names
from tests.python.command import seqtile as run
from tests.python.models import CARD, counts_model, model_folder, motif_model, motif_score, sha256
from tests.python.oracle import write_fasta


def letters(n: int) -> str:
    return "".join(np.random.default_rng(n).choice(list("ACGT"), n))


GENOME = {"chr1": letters(600), "chr2": letters(90), "short": "ACGT"}
VERBS = ["models", "predict", "embed", "scan", "kmers", "doctor"]
RECORDS = {"a": "GATTACA", "b": "acgtacgtacgt", "c": "NNNNN"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fasta(tmp_path_factory.mktemp("genome") / "genome.fa", GENOME)


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "records.fa", RECORDS)


def succeed(*arguments: object, stdin: bytes = b"") -> str:
    result = run(*arguments, stdin=stdin)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


# wrong calls


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["scan"],
        ["scan", "tiny"],
        ["scan", "tiny", "x.fa", "--stride", "few"],
        ["scan", "tiny", "x.fa", "--strand", "."],
        ["scan", "tiny", "x.fa", "--reduce", "median"],
        ["predict", "tiny", "x.fa", "--batch-size", "many"],
        ["models", "drop"],
        ["models", "show"],
        ["doctor", "--device"],
        ["--fast"],
    ],
)
def test_a_wrong_call_exits_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("usage: seqtile")


def test_version_and_help() -> None:
    assert succeed("--version") == f"seqtile {seqtile.__version__}\n"
    text = succeed("--help")
    assert [verb for verb in VERBS if f"\n    {verb} " in text] == VERBS
    assert "--stride" in succeed("scan", "--help")


def test_the_verbs_start_fast() -> None:
    """Their arguments import nothing that computes, draws or reads images."""
    code = (
        "import contextlib, io, sys; from seqtile import cli\n"
        "for verb in cli.VERBS:\n"
        "    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "        cli.main([verb, '--help'])\n"
        "slow = {'onnxruntime', 'torch', 'matplotlib', 'pyarrow', 'cv2', 'tifffile', 'pyvips'}\n"
        "print(sorted(slow & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("[]\n", "")


def test_debug_shows_the_traceback() -> None:
    words = "no model 'jund-seq'; did you mean 'jund-cnn-seq'?"
    result = run("predict", "jund-seq", "x.fa", "--debug")
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback (most recent call last):\n")
    assert f"ModelNotFoundError: {words}" in result.stderr
    check_refused(run("predict", "jund-seq", "x.fa"), words)


# models


def test_models_list() -> None:
    table = succeed("models")
    assert table == succeed("models", "list")
    first, *rows = table.splitlines()
    assert first.split() == ["model", "task", "input", "metric", "size"]
    assert [row.split()[0] for row in rows] == seqtile.list_models()


def test_models_as_json() -> None:
    cards = json.loads(succeed("models", "--json"))
    assert cards == json.loads(succeed("models", "list", "--json"))
    assert cards == [json.loads(seqtile.card(name).to_json()) for name in seqtile.list_models()]


def test_models_show(model: Path) -> None:
    text = succeed("models", "show", model)
    assert text.startswith("tiny 1: Finds one motif.\n")
    assert "sequence uint8 (batch, length): letters" in text
    assert "roc_auc" in text
    assert "0.750 [0.500, 1.000]" in text
    card = json.loads(succeed("models", "show", "--json", model))
    assert card == json.loads(succeed("models", "--json", "show", model))
    assert card["sha256"] == sha256(model / "model.onnx")
    assert seqtile.ModelCard.from_json(json.dumps(card), source="").metrics == CARD.metrics


def test_models_show_an_unknown_name() -> None:
    check_refused(run("models", "show", "jund-cnn-sek"), "did you mean 'jund-cnn-seq'?")


def test_models_verify(model: Path, tmp_path: Path) -> None:
    lines = succeed("models", "verify").splitlines()
    assert [line.partition(":")[0] for line in lines] == seqtile.list_models()
    broken = model_folder(tmp_path / "broken")
    with (broken / "model.onnx").open("ab") as file:
        file.write(b"x")
    result = run("models", "verify", model, broken)
    assert (result.returncode, result.stderr) == (1, "")
    good, bad = result.stdout.splitlines()
    assert good.startswith(f"{model}: ok, sha256 ")
    assert bad.startswith(f"{broken}: FAILED: ")
    assert "the file is corrupt" in bad


# predict


def check_table(text: str) -> None:
    header, *rows = [line.split("\t") for line in text.splitlines()]
    assert header == ["name", "probability"]
    assert [row[0] for row in rows] == list(RECORDS)
    answers = [float(row[1]) for row in rows]
    assert answers == pytest.approx(list(map(motif_score, RECORDS.values())), rel=1e-5)


@pytest.mark.parametrize("size", ["1", "2", "100"])
def test_predict(model: Path, records: Path, size: str) -> None:
    check_table(succeed("predict", model, records, "--batch-size", size))


def test_predict_to_a_file(model: Path, records: Path, tmp_path: Path) -> None:
    assert succeed("predict", model, records, "-o", tmp_path / "out.tsv") == ""
    check_table((tmp_path / "out.tsv").read_text())
    assert names(tmp_path) == {"records.fa", "out.tsv"}


@pytest.mark.parametrize("packed", [False, True])
def test_predict_standard_input(model: Path, records: Path, packed: bool) -> None:
    content = records.read_bytes()
    stdin = gzip.compress(content) if packed else content
    check_table(succeed("predict", model, "-", stdin=stdin))


def test_predict_json_lines(model: Path, records: Path) -> None:
    rows = [json.loads(line) for line in succeed("predict", model, records, "--jsonl").splitlines()]
    assert [list(row) for row in rows] == [["name", "probability"]] * 3
    assert [row["name"] for row in rows] == list(RECORDS)
    answers = [row["probability"] for row in rows]
    assert answers == pytest.approx(list(map(motif_score, RECORDS.values())), rel=1e-6)


def test_predict_many_numbers(tmp_path: Path) -> None:
    model = counts_model(tmp_path / "m.onnx")
    records = write_fasta(tmp_path / "x.fa", {"a": "AACGN", "b": "TTTTT"})
    call = ["predict", model, records, "--input-layout", "NCL"]
    assert succeed(*call).splitlines() == [
        "name\tcounts_0\tcounts_1\tcounts_2\tcounts_3\ttotal",
        "a\t2\t1\t1\t0\t4",
        "b\t0\t0\t0\t5\t5",
    ]
    rows = [json.loads(line) for line in succeed(*call, "--jsonl").splitlines()]
    assert rows[0] == {"name": "a", "counts": [2, 1, 1, 0], "total": [4]}


def test_predict_stops_at_a_bad_record_without_output(model: Path, tmp_path: Path) -> None:
    records = write_fasta(tmp_path / "x.fa", {"a": "ACGT", "b": "AC-T"})
    target = tmp_path / "out.tsv"
    result = run("predict", model, records, "-o", target, "--batch-size", 1)
    check_refused(result, "record 'b', position 2: expected a nucleotide letter")
    assert names(tmp_path) == {"x.fa"}


# scan


def test_scan_prints_a_summary(model: Path, genome: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.bed"
    call = ["scan", model, genome, "--stride", 5, "--threshold", 0.7, "--top", 2, "-o", target]
    lines = succeed(*call, "--threads", 1, "--device", "cpu").splitlines()
    assert lines[0] == "tiny on cpu (1 threads): window 12, stride 5, strand both"
    assert lines[1].startswith("scanned   694 bases of 3 sequences, 134 windows in ")
    assert lines[2] == "no score  short: 4 bases, shorter than the window"
    report = write_scan(scan(seqtile.load(model), genome, stride=5), [], threshold=0.7, top=2)
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


def test_scan_as_json(model: Path, genome: Path, tmp_path: Path) -> None:
    options = ["--strand", "-", "--reduce", "max", "--max-n", 1, "--window", 15]
    target = tmp_path / "a.npz"
    content = json.loads(succeed("scan", model, genome, *options, "-o", target, "--json"))
    assert (content["model"], content["device"]) == ("tiny", "cpu")
    assert content["bases"] == 694
    assert content["windows"] == 600 - 14 + 90 - 14
    assert content["short"] == {"short": 4}
    assert content["outputs"] == [str(target)]
    assert len(content["top"]) == content["peaks"] > 0
    assert all(peak["strand"] == "." for peak in content["top"])


def test_scan_standard_input_to_standard_output(model: Path, genome: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.bed"
    succeed("scan", model, genome, "--threshold", 0.7, "-o", target)
    call = ["scan", model, "-", "--threshold", 0.7, "-o", "-"]
    for stdin in (genome.read_bytes(), gzip.compress(genome.read_bytes())):
        result = run(*call, stdin=stdin)
        assert result.returncode == 0
        assert result.stdout == target.read_text()
        assert result.stdout.count("\n") >= 10
        assert result.stderr.startswith("tiny on cpu")
    result = run(*call, "--json", stdin=genome.read_bytes())
    assert result.stdout == target.read_text()
    assert json.loads(result.stderr)["peaks"] == result.stdout.count("\n")


def test_scan_regions(model: Path, genome: Path, tmp_path: Path) -> None:
    bed = tmp_path / "regions.bed"
    bed.write_text("chr2\t20\t60\nchr1\t0\t200\n")
    content = json.loads(succeed("scan", model, genome, "--regions", bed, "--json"))
    assert content["bases"] == 240
    manifest_target = tmp_path / "a.bed"
    succeed("scan", model, genome, "--regions", bed, "-o", manifest_target)
    manifest = json.loads((tmp_path / "a.bed.manifest.json").read_text())
    assert manifest["parameters"]["regions"] == f"2 from {bed}"


def test_scan_with_a_third_party_model(model: Path, genome: Path, tmp_path: Path) -> None:
    """The same network as raw letters, without a card."""
    foreign = motif_model(tmp_path / "m.onnx", length=12)
    bed = ["--threshold", 0.7, "-o", "-"]
    expected = run("scan", model, genome, *bed)
    result = run("scan", foreign, genome, "--input-layout", "bytes", *bed)
    assert (result.returncode, result.stdout) == (0, expected.stdout)
    assert result.stderr.startswith("m on cpu")


def test_scan_without_outputs(model: Path, genome: Path) -> None:
    assert "peaks     " in succeed("scan", model, genome)


def test_progress_on_a_terminal_alone(model: Path, genome: Path) -> None:
    def on_terminal(*options: str) -> tuple[bytes, bytes]:
        main, side = pty.openpty()
        process = subprocess.Popen(
            [*SEQTILE, "scan", model, genome, *options],
            stdout=subprocess.PIPE,
            stderr=side,
            env=os.environ | {"TERM": "xterm"},
        )
        output, _ = process.communicate(timeout=60)
        os.close(side)
        shown = b""
        try:
            while part := os.read(main, 4096):
                shown += part
        except OSError:  # how Linux ends a terminal
            pass
        finally:
            os.close(main)
        return output, shown

    output, shown = on_terminal()
    assert output.startswith(b"tiny on cpu")
    assert b"bases" in shown
    assert b"bases/s" in shown
    assert on_terminal("--quiet")[1] == b""


# standard output that ends


@pytest.mark.parametrize(
    "arguments", [["models"], ["models", "--json"], ["predict"], ["scan", "-o-"], ["doctor"]]
)
@pytest.mark.parametrize("way", ["closed pipe", "full disk"])
def test_standard_output_ends(arguments: list[str], way: str, model: Path, genome: Path) -> None:
    if arguments[0] in ("predict", "scan"):
        arguments = [arguments[0], str(model), str(genome), *arguments[1:]]
    if way == "closed pipe":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open("/dev/full", os.O_WRONLY)
    process = subprocess.Popen([*SEQTILE, *arguments], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    if way == "closed pipe":
        assert errors == b""
    else:
        assert errors.startswith(b"seqtile: error: ")
        assert errors.endswith(b"No space left on device\n")
        assert errors.count(b"\n") == 1


# writing over the input


def test_the_output_is_not_the_input(model: Path, genome: Path) -> None:
    before = genome.read_bytes()
    for call in (["predict", model, genome, "-o", genome], ["scan", model, genome, "-o", genome]):
        check_refused(run(*call), f"{genome}: the output would overwrite the input")
    assert genome.read_bytes() == before


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
    options: list[str], words: str, model: Path, genome: Path
) -> None:
    check_refused(run("scan", model, genome, *options), words)


def test_options_are_spelled_out(model: Path, genome: Path) -> None:
    assert run("predict", model, genome, "--json").returncode == 2


def test_many_short_sequences_are_counted(model: Path, tmp_path: Path) -> None:
    genome = write_fasta(tmp_path / "x.fa", {f"s{i}": "ACGT" for i in range(9)})
    text = succeed("scan", model, genome)
    assert text.count("shorter than the window") == 5
    assert "no score  and 4 more sequences as short\n" in text
