"""Slips on the command line: one line that names the mend, in words of the command line."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

import seqtile
from seqtile import InputSpec, ModelIntegrityError
from seqtile.commands.wording import in_options, near
from tests.python.command import check_refused
from tests.python.command import seqtile as run
from tests.python.models import counts_model, image_folder, model_folder
from tests.python.oracle import write_fasta

FASTA = b">a\nACGTACGTACGT\n"


def packed(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, text in files.items():
            file.writestr(name.replace("__", "/").replace("_", "."), text)
    return content.getvalue()


def tar(content: bytes) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as file:
        entry = tarfile.TarInfo("model.onnx")
        entry.size = len(content)
        file.addfile(entry, io.BytesIO(content))
    return whole.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
TORCH, KERAS = "a PyTorch file: export the network to ONNX", "a Keras or TensorFlow file: convert"
ARCHIVE = "an archive: unpack it, and give the model's folder or its .onnx file"
MISFITS = {
    "net.pt": (packed(net__data_pkl=b"x"), TORCH),
    "net.pth": (b"\x80\x02\x8a\nl\xfc\x9cF", TORCH),
    "net.ckpt": (b"\0\1\2", TORCH),
    "net.safetensors": (b"\x10\0\0\0\0\0\0\0" + b'{"a":{}}', TORCH),
    "net.keras": (packed(config_json=b"{}", model_weights_h5=b""), KERAS),
    "net.h5": (b"\x89HDF\r\n\x1a\n" + bytes(8), KERAS),
    "net.tflite": (b"\x1c\0\0\0TFL3", KERAS),
    "net.tar.gz": (gzip.compress(tar(b"x")), ARCHIVE),
    "net.tar": (tar(b"x"), ARCHIVE),
    "net.zip": (packed(model_onnx=b"x"), ARCHIVE),
    "pointer": (POINTER, "a Git LFS pointer, not the file itself: get it with git lfs pull"),
    "page.html": (b"<!DOCTYPE html>", "a web page or XML, not the file itself: download it"),
    "x.fa": (FASTA, "a FASTA file: the model comes first, then the file"),
    "x.fastq": (b"@r\nA\n+\nI\n", "a FASTQ file: the model comes first, then the file"),
    "x.png": (cv2.imencode(".png", np.zeros((3, 3)))[1].tobytes(), "an image: the model comes"),
    "contract.json": (b"{}", "JSON: give the model's folder, or its .onnx file"),
    "empty": (b"", "an empty file"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_files_that_are_no_models(tmp_path: Path, name: str) -> None:
    content, words = MISFITS[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelIntegrityError) as caught:
        seqtile.load(path)
    assert str(caught.value).startswith(f"{path}: expected a model, found {words}")
    if name == "net.ckpt":  # told by its name alone
        return
    renamed = path.rename(tmp_path / "net.onnx")
    for spec in (None, InputSpec()):
        with pytest.raises(ModelIntegrityError) as caught:
            seqtile.load(renamed, input=spec)
        assert str(caught.value).startswith(f"{renamed}: expected a model, found {words}")


def test_another_file(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"\0\1")
    words = "another file: give a shipped model's name, a model folder or an .onnx file"
    check_refused(run("models", "show", path), f"{path}: expected a model, found {words}")


def test_pointers_in_a_model_folder(tmp_path: Path) -> None:
    for name in ("model.onnx", "golden.npz", "contract.json"):
        folder = model_folder(tmp_path / name[:3])
        (folder / name).write_bytes(POINTER)
        with pytest.raises(ModelIntegrityError, match=f"{name}: .*a Git LFS pointer, .* lfs pull"):
            seqtile.load(folder)


def test_a_folder_without_a_contract(tmp_path: Path) -> None:
    path = counts_model(tmp_path / "m.onnx")
    words = f"{tmp_path}: a model folder needs contract.json; give the file {path} itself"
    check_refused(run("predict", tmp_path, "x.fa"), words)


# order and number of arguments


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    path = tmp_path / "x.fa"
    path.write_bytes(FASTA)
    return path


@pytest.mark.parametrize("verb", ["predict", "embed", "scan"])
def test_the_model_comes_first(verb: str, motif_folder: Path, fasta: Path) -> None:
    for model in ("jund-cnn-seq", motif_folder, "m.onnx"):
        words = f"the model comes first (seqtile {verb} {model} {fasta})"
        check_refused(run(verb, fasta, model), f"{fasta} is no model, {model} is: {words}")
    check_refused(run(verb, "gone.fa", "jund-cnn-seq"), "the model comes first")


def test_the_model_comes_before_images(tmp_path: Path) -> None:
    cells = image_folder(tmp_path / "cells")
    check_refused(run("segment", "x.png", "y.png", cells), f"x.png is no model, {cells} is: the")


def test_two_fasta_files(motif_folder: Path, fasta: Path, tmp_path: Path) -> None:
    other = write_fasta(tmp_path / "y.fa", {"b": "ACGT"})
    words = f"cat {fasta} {other} | seqtile predict {motif_folder} -"
    check_refused(run("predict", motif_folder, fasta, other), "takes one FASTA file, not 2", words)
    result = run("scan", motif_folder, fasta, other)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"seqtile scan: error: '{other}' is one too many: one file at a time, or join them with "
        "cat and give - (see seqtile scan --help)\n"
    )
    result = run("predict", motif_folder, fasta, "--quiet", other)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert f"'{other}' stands apart from the others: put all of them together" in result.stderr


def test_a_genome_is_for_scan(tmp_path: Path) -> None:
    genome = write_fasta(tmp_path / "g.fa", {"chr1": "ACGT" * 900})
    words = "record 'chr1' has 3600 letters, the model takes 101: use scan"
    check_refused(run("predict", "jund-cnn-seq", genome), words)
    short = write_fasta(tmp_path / "s.fa", {"a": "ACGT"})
    assert "use scan" not in run("predict", "jund-cnn-seq", short).stderr


# words that are nearly right


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predct", "m", "x.fa"], "no command 'predct'; did you mean predict? (see seqtile --h"),
        (["fly"], "no command 'fly': models, predict, embed, scan,"),
        (["--debug", "predict"], "no option --debug: the command comes first"),
        (["predict", "m", "x.fa", "--jsnol"], "no option --jsnol; did you mean --jsonl? (see seqt"),
        (["predict", "m", "x.fa", "--skip_bad"], "no option --skip_bad; did you mean --skip-bad?"),
        (["scan", "m", "x.fa", "--strid=5"], "no option --strid; did you mean --stride?"),
        (["scan", "m", "x.fa", "-z", "5"], "no option -z ("),
    ],
)
def test_misspelt(arguments: list[str], words: str) -> None:
    result = run(*arguments)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert f"error: {words}" in result.stderr


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("jund-cnn-sek", "no model 'jund-cnn-sek'; did you mean 'jund-cnn-seq'?"),
        ("models/mine", "no model 'models/mine'; there is no such file or folder"),
        ("net.pt", "no model 'net.pt'; there is no such file or folder"),
    ],
)
def test_models_that_are_not_there(name: str, words: str, fasta: Path) -> None:
    check_refused(run("predict", name, fasta), words)


def test_an_input_that_the_model_has_not(tmp_path: Path, fasta: Path) -> None:
    model = counts_model(tmp_path / "m.onnx", accessibility=True)
    table = tmp_path / "t.tsv"
    table.write_text("a\t1\n")
    call = ["predict", model, fasta, "--input-layout", "NCL"]
    words = "m has no input 'acessibility'; it has ['accessibility']"
    check_refused(run(*call, "--input", f"acessibility={table}"), words)
    check_refused(run(*call), "needs the input 'accessibility' (--input accessibility=FILE)")
    call = ["predict", "jund-cnn-seq", fasta, "--input", f"x={table}"]
    check_refused(run(*call), "jund-cnn-seq has no input 'x'; it takes sequences alone")


# options, not arguments


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["scan", "--max-n", "-1"], "--max-n must not be negative, not -1"),
        (["scan", "--merge-gap", "-1"], "--merge-gap must not be negative"),
        (["predict", "--batch-size", "0"], "--batch-size must be at least 1, not 0"),
        (["predict", "--device", "gpu"], "--device must be 'auto', 'cpu', 'cuda'"),
        (["predict", "--precision", "fp61"], "--precision must be one of 'fp32'"),
        (["predict", "--input-layout", "NCL"], "how it takes sequences, not --input-layout"),
    ],
)
def test_errors_speak_of_options(
    arguments: list[str], words: str, motif_folder: Path, fasta: Path
) -> None:
    verb, *options = arguments
    check_refused(run(verb, motif_folder, fasta, *options), f"{words}")


def test_a_third_party_model_says_which_option(tmp_path: Path, fasta: Path) -> None:
    model = counts_model(tmp_path / "m.onnx")
    words = "say how it takes its sequences with --input-layout\n"
    check_refused(run("predict", model, fasta), words)
    call = ["scan", model, fasta, "--input-layout", "NCL"]
    check_refused(run(*call), "m takes any length: say which, with --window\n")


def test_wording() -> None:
    options = {"overlap": "--overlap", "device": "--device", "k": "-k", "tile": "--tile"}
    for message, words in (
        ("overlap must be 2", "--overlap must be 2"),
        ("tile and overlap must be 8", "--tile and --overlap must be 8"),
        ("k must be 3", "-k must be 3"),
        ("no GPU: use device='cpu', or wait", "no GPU: use --device cpu, or wait"),
        ("x.fa: overlap must be 2", "x.fa: overlap must be 2"),  # which a file says
        ("other='cpu'", "other='cpu'"),
    ):
        assert in_options(message, options) == words
    assert near("--devise", options.values()) == "; did you mean --device?"
    assert near("xyz", options.values()) == ""
