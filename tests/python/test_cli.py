"""The command line: data on standard output, messages on standard error, exit status."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import seqtile
from seqtile import cli
from tests.python.command import SEQTILE, check_refused, succeed
from tests.python.command import seqtile as run
from tests.python.oracle import write_fasta


def letters(n: int) -> str:
    return "".join(np.random.default_rng(n).choice(list("ACGT"), n))


GENOME = {"chr1": letters(600), "chr2": letters(90), "short": "ACGT"}
VERBS = ["models", "predict", "embed", "scan", "segment", "kmers", "motifs", "bench", "doctor"]


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fasta(tmp_path_factory.mktemp("genome") / "genome.fa", GENOME)


# wrong calls


@pytest.mark.parametrize(
    "arguments",
    [
        [],
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


# a terminal


def test_progress_on_a_terminal_alone(motif_folder: Path, genome: Path) -> None:
    def on_terminal(*options: str) -> tuple[bytes, bytes]:
        main, side = pty.openpty()
        process = subprocess.Popen(
            [*SEQTILE, "scan", motif_folder, genome, *options],
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
def test_standard_output_ends(
    arguments: list[str], way: str, motif_folder: Path, genome: Path
) -> None:
    if arguments[0] in ("predict", "scan"):
        arguments = [arguments[0], str(motif_folder), str(genome), *arguments[1:]]
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


def test_the_output_is_not_the_input(motif_folder: Path, genome: Path) -> None:
    before = genome.read_bytes()
    for call in (
        ["predict", motif_folder, genome, "-o", genome],
        ["scan", motif_folder, genome, "-o", genome],
    ):
        check_refused(run(*call), f"{genome}: the output would overwrite the input")
    assert genome.read_bytes() == before


def test_options_are_spelled_out(motif_folder: Path, genome: Path) -> None:
    assert run("predict", motif_folder, genome, "--json").returncode == 2
