"""Bad input, through the command line: one clear line, exit status 1, and no output file."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from seqtile.models.zoo import model_folder as shipped_folder
from tests.python.command import check_refused, names
from tests.python.command import seqtile as run
from tests.python.models import counts_model, model_folder

GOOD = b">chr1\n" + b"GATTACAGATTACA\n" * 9 + b">chr2\nACGTACGTACGTACGT\n"
FASTQ = b"@read1\nACGTACGTACGTACGT\n+\nIIIIIIIIIIIIIIII\n"
PACKED = gzip.compress(GOOD, mtime=0)

# What stands in the file, and what the message must say besides the file's name.
FILES = {
    "empty": (b"", ["empty"]),
    "blank": (b"\n \n\n", ["empty"]),
    "empty gzip": (gzip.compress(b""), ["empty"]),
    "binary": (bytes(range(256)) * 9, ["binary"]),
    "binary after a header": (b">chr1\nACGT\n\x00\x01\x02\n", ["line 3", "record 'chr1'"]),
    "HTML": (b"<!DOCTYPE html>\n<html><body>404</body></html>\n", ["HTML"]),
    "letters without header": (b"ACGTACGTACGTACGT\n", ["line 1", "'>'"]),
    "digits": (GOOD + b">chr3\nACGT1ACGT\n", ["record 'chr3'", "'1'"]),
    "truncated gzip": (PACKED[:-12], ["truncated gzip"]),
    "damaged gzip": (PACKED[:40] + b"\xff\xff\xff\xff" + PACKED[44:], ["damaged gzip"]),
    "garbage after gzip": (PACKED + b"garbage", ["gzip file, or other bytes after its end"]),
    "truncated bzip2": (b"BZh91AY&SY", ["truncated bzip2"]),
    "damaged xz": (b"\xfd7zXZ\x00" + bytes(20), ["damaged xz"]),
    "damaged zstandard": (b"\x28\xb5\x2f\xfd" + b"\xff" * 20, ["damaged zstandard"]),
    "zip": (b"PK\x03\x04", ["found a zip archive: unzip it"]),
}


# FASTA, but no nucleotides: the message names record and position.
LETTERS = {"a letter": (b"ACGTACGTACGTEACGT", 12, "E"), "protein": (b"MKVLAAGFEDQPYW", 3, "L")}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.fa"
    path.write_bytes(GOOD)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.mkdir()
    return path


def refuse(model: object, fasta: object, folder: Path, *words: str, **options: object) -> None:
    """Both commands refuse it, and leave the folder as it was."""
    before = names(folder)
    targets = [f"-o{folder}/a.{suffix}" for suffix in ("bw", "bed", "parquet", "npz")]
    check_refused(run("scan", model, fasta, *targets, **options), *words)
    check_refused(run("predict", model, fasta, f"-o{folder}/a.tsv", **options), *words)
    assert names(folder) == before


# the sequences


@pytest.mark.parametrize("kind", FILES)
def test_file(kind: str, model: Path, tmp_path: Path, folder: Path) -> None:
    content, words = FILES[kind]
    path = tmp_path / "input.fa"
    path.write_bytes(content)
    refuse(model, path, folder, str(path), *words)


@pytest.mark.parametrize("kind", LETTERS)
def test_letters(kind: str, model: Path, tmp_path: Path, folder: Path) -> None:
    letters, position, found = LETTERS[kind]
    path = tmp_path / "input.fa"
    path.write_bytes(GOOD + b">chr3\n" + letters + b"\n")
    words = f"record 'chr3', position {position}: expected a nucleotide letter (ACGTU or IUPAC)"
    refuse(model, path, folder, f"{words}, found '{found}'")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_fastq(pack: Callable[[bytes], bytes], model: Path, tmp_path: Path, folder: Path) -> None:
    """Reads have no genome to scan; to predict they are as good as FASTA."""
    path = tmp_path / "reads.fq"
    path.write_bytes(pack(FASTQ))
    words = "line 1: expected '>' at the start of a FASTA file, found '@': this looks like FASTQ"
    for source, name in ((path, path), ("-", "<stdin>")):
        result = run("scan", model, source, f"-o{folder}/a.bed", stdin=path.read_bytes())
        check_refused(result, f"{name}, {words}")
        assert names(folder) == set()
    result = run("predict", model, path)
    assert (result.returncode, result.stdout.splitlines()[1].split("\t")[0]) == (0, "read1")


@pytest.mark.parametrize("kind", ["empty", "binary", "HTML", "truncated gzip"])
def test_standard_input(kind: str, model: Path, folder: Path) -> None:
    content, words = FILES[kind]
    refuse(model, "-", folder, "<stdin>", *words, stdin=content)


def test_missing_file(model: Path, tmp_path: Path, folder: Path) -> None:
    refuse(model, tmp_path / "none.fa", folder, f"{tmp_path / 'none.fa'}: No such file")


def test_a_folder(model: Path, tmp_path: Path, folder: Path) -> None:
    refuse(model, tmp_path, folder, f"{tmp_path}: expected a FASTA file, found a folder")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(model: Path, good: Path, folder: Path) -> None:
    good.chmod(0)
    refuse(model, good, folder, f"{good}: Permission denied")


def test_record_without_sequence(model: Path, tmp_path: Path, folder: Path) -> None:
    """A prediction of it is impossible; a scan lists it and goes on."""
    path = tmp_path / "x.fa"
    path.write_bytes(b">hollow\n" + GOOD)
    target = folder / "a.tsv"
    check_refused(run("predict", model, path, "-o", target), "record 'hollow' has 0 letters")
    assert names(folder) == set()
    result = run("scan", model, path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "no score  hollow: 0 bases, shorter than the window\n" in result.stdout


def test_sequences_shorter_than_the_window(model: Path, good: Path, folder: Path) -> None:
    result = run("scan", model, good, "--window", 17, "-o", folder / "a.bed")
    assert (result.returncode, result.stderr) == (0, "")
    assert "no score  chr2: 16 bases, shorter than the window\n" in result.stdout


def test_duplicate_names(model: Path, tmp_path: Path, folder: Path) -> None:
    """A scan needs an index; a table of predictions does not."""
    path = tmp_path / "x.fa"
    path.write_bytes(GOOD + b">chr1 again\nACGT\n")
    result = run("scan", model, path, "-o", folder / "a.bw")
    check_refused(result, f"{path}: line 13: record 'chr1' stands on line 1 already")
    assert names(folder) == set()
    assert run("predict", model, path).returncode == 0


STALE = {
    "another file's": "chr9\t1000\t6\t60\t61\n",
    "shifted": "chr1\t126\t7\t14\t15\nchr2\t16\t148\t16\t17\n",
    "of a shorter file": "chr1\t126\t6\t14\t15\n",
    "malformed": "chr1 126 6\n",
    "of negative numbers": "chr1\t-126\t6\t14\t15\n",
    "with a name twice": "chr1\t126\t6\t14\t15\nchr1\t126\t6\t14\t15\n",
    "empty": "",
}


@pytest.mark.parametrize("kind", STALE)
def test_stale_index(kind: str, model: Path, good: Path, folder: Path) -> None:
    index = good.with_name("good.fa.fai")
    index.write_text(STALE[kind])
    check_refused(run("scan", model, good, "-o", folder / "a.bw"), f"{index}: ")
    assert names(folder) == set()


def test_good_index(model: Path, good: Path) -> None:
    """The index that the stale ones differ from."""
    good.with_name("good.fa.fai").write_text("chr1\t126\t6\t14\t15\nchr2\t16\t147\t16\t17\n")
    assert run("scan", model, good).returncode == 0


# the parameters


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--stride", 0, "stride must be at least 1, not 0"),
        ("--stride", -5, "stride must be at least 1, not -5"),
        ("--window", 2, "tiny takes windows of at least 3 bases, not 2"),
        ("--max-n", -1, "--max-n must not be negative, not -1"),
        ("--batch-size", 0, "--batch-size must be at least 1, not 0"),
        ("--threads", 0, "threads must be at least 1, not 0"),
        ("--device", "gpu", "'cuda:N' or several as 'cuda:0,1', not 'gpu'"),
        ("--precision", "fp8", "precision must be"),
        ("--regions", "none.bed", "none.bed: No such file or directory"),
        ("--regions", "/dev/null", "/dev/null: the BED file holds no interval"),
    ],
)
def test_parameter(
    option: str, value: object, words: str, model: Path, good: Path, folder: Path
) -> None:
    check_refused(run("scan", model, good, f"{option}={value}", "-o", folder / "a.bw"), words)
    assert names(folder) == set()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("chr1\t0\t127", "region chr1:0-127 is outside the sequence of 126 bases"),
        ("chr3\t0\t5", "no record 'chr3'; did you mean 'chr"),
        ("chr1 5", "line 1: expected chrom, start and end"),
    ],
)
def test_regions(line: str, words: str, model: Path, good: Path, folder: Path) -> None:
    bed = folder / "regions.bed"
    bed.write_text(f"{line}\n")
    check_refused(run("scan", model, good, "--regions", bed, "-o", folder / "a.bw"), words)
    assert names(folder) == {"regions.bed"}


# the model


@pytest.mark.parametrize("name", ["jund-cnn-sek", "jund-cnn-se"])
def test_unknown_model(name: str, good: Path, folder: Path) -> None:
    refuse(name, good, folder, f"no model '{name}'; did you mean 'jund-cnn-seq'?")


def damaged(folder: Path, how: str) -> Path:
    model = model_folder(folder)
    path = model / "model.onnx"
    content = path.read_bytes()
    if how == "swapped":
        shutil.copy(shipped_folder("jund-cnn-seq") / "model.onnx", path)
    else:
        path.write_bytes(content[:-50] if how == "truncated" else content[:-1] + b"\x00")
    return model


@pytest.mark.parametrize("how", ["truncated", "swapped", "corrupt"])
def test_damaged_model(how: str, tmp_path: Path, good: Path, folder: Path) -> None:
    model = damaged(tmp_path / "tiny", how)
    refuse(model, good, folder, "model.onnx: sha256 is ", "corrupt or another model's")


@pytest.mark.parametrize("how", ["truncated", "no model"])
def test_damaged_model_file(how: str, model: Path, good: Path, folder: Path) -> None:
    content = (model / "model.onnx").read_bytes()
    path = folder / "lone.onnx"
    path.write_bytes(content[:-900] if how == "truncated" else bytes(range(9)))
    refuse(path, good, folder, f"{path}: not a model onnxruntime can run: ")


def test_model_without_card(good: Path, folder: Path) -> None:
    path = counts_model(folder / "m.onnx")
    refuse(path, good, folder, f"{path}: not exported by seqtile")


def test_model_that_needs_more(good: Path, folder: Path) -> None:
    path = counts_model(folder / "m.onnx", accessibility=True)
    call = [path, good, "--input-layout", "NCL"]
    words = "m also needs the input 'accessibility'"
    check_refused(run("scan", *call, "--window", 9), words)
    check_refused(run("predict", *call), words)


def test_model_that_cannot_take_the_length(good: Path, tmp_path: Path) -> None:
    """A third-party graph may fail only when it runs."""
    model = model_folder(tmp_path / "tiny") / "model.onnx"
    result = run("scan", model, good, "--input-layout", "bytes", "--window", 2)
    check_refused(result, f"{model}: failed on cpu: ")


# the outputs


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none/a.bw", "a.bw: the folder "),
        ("file/a.bw", "a.bw: the folder "),
        ("folder.bw", "folder.bw: is a folder, expected a file name"),
        ("a.wig", "a.wig: expected one of .bw, "),
    ],
)
def test_target(name: str, words: str, model: Path, good: Path, folder: Path) -> None:
    (folder / "file").write_text("")
    (folder / "folder.bw").mkdir()
    result = run("scan", model, good, "-o", folder / "good.bed", "-o", folder / name)
    check_refused(result, words)
    assert names(folder) == {"file", "folder.bw"}


def test_target_of_a_figure(model: Path, good: Path, folder: Path) -> None:
    result = run("scan", model, good, "-o", folder / "a.bed", "--plot", folder / "none" / "a.png")
    check_refused(result, "a.png: the folder ", "does not exist")
    assert names(folder) == set()


@pytest.mark.parametrize("name", ["none/a.tsv", "file/a.tsv"])
def test_target_of_a_table(name: str, model: Path, good: Path, folder: Path) -> None:
    (folder / "file").write_text("")
    check_refused(run("predict", model, good, "-o", folder / name), "a.tsv: the folder ")
    assert names(folder) == {"file"}


def test_target_twice(model: Path, good: Path, folder: Path) -> None:
    target = folder / "a.bed"
    check_refused(run("scan", model, good, "-o", target, "-o", target), "a.bed: given twice")
    assert names(folder) == set()
