"""Ctrl-C, SIGTERM and SIGHUP: the end comes soon, with 128 + n, and nothing is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from seqtile import cli, interrupts
from tests.python.command import SEQTILE, names
from tests.python.models import endless_model, long_node_model
from tests.python.oracle import write_fasta

ENDS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def started(words: list[object], folder: Path) -> subprocess.Popen[bytes]:
    """A process whose temporary files are in ``folder``, and that hears every signal."""

    def hear() -> None:
        for number in ENDS:
            signal.signal(number, signal.SIG_DFL)

    return subprocess.Popen(
        [*map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        preexec_fn=hear,
    )


def run_python(code: str, folder: Path) -> subprocess.Popen[bytes]:
    prelude = (
        "import os, signal, sys, time\nfrom pathlib import Path\nfrom seqtile import interrupts\n"
    )
    ending = "\nsys.exit(interrupts.heeding(work, ends=True))\n"
    return started([sys.executable, "-c", prelude + textwrap.dedent(code) + ending], folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "out"
    made.mkdir()
    return made


def await_processor(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait until a process has computed for so long."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up and process.poll() is None:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        if (int(fields[11]) + int(fields[12])) / 100 > seconds:
            return
        time.sleep(0.02)


def await_reading(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process waits for its standard input, by the system call that it is in."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up and process.poll() is None:
        call, *arguments = Path(f"/proc/{process.pid}/syscall").read_text().split()
        if call in ("0", "63") and arguments[0] == "0x0":  # read, of x86-64 and of aarch64
            return
        time.sleep(0.02)


@pytest.mark.parametrize("verb", ["predict", "scan"])
@pytest.mark.parametrize("number", ENDS)
def test_an_endless_model(number: signal.Signals, verb: str, tmp_path: Path, folder: Path) -> None:
    """A loop in the graph ends after the node that it is at; so does the first probe of a scan."""
    model = endless_model(tmp_path / "endless.onnx")
    genome = write_fasta(tmp_path / "x.fa", {"a": "ACGT" * 3})
    words = [verb, model, genome, "--input-layout", "NCL", "-o", "a.tsv"]
    if verb == "scan":
        words = [*words[:-1], "a.bed", "--window", "4"]
    process = started([*SEQTILE, *words], folder)
    await_processor(process, 1.5)
    process.send_signal(number)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert (output, errors) == (b"", b"seqtile: interrupted\n" if number == signal.SIGINT else b"")
    assert names(folder) == set()


@pytest.mark.parametrize("number", ENDS)
def test_a_node_that_holds_a_lane(number: signal.Signals, tmp_path: Path, folder: Path) -> None:
    """onnxruntime cannot leave it, and is left."""
    model = long_node_model(tmp_path / "long.onnx")
    genome = write_fasta(tmp_path / "x.fa", {"a": "ACGT" * 3})
    words = ["predict", model, genome, "--input-layout", "NCL", "-o", "a.tsv"]
    process = started([*SEQTILE, *words], folder)
    await_processor(process, 1.5)
    assert len(names(folder)) == 1
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert names(folder) == set()


@pytest.mark.parametrize("number", ENDS)
def test_a_node_that_holds_the_main_thread(
    number: signal.Signals, tmp_path: Path, folder: Path
) -> None:
    """In the first probe of a scan: the process ends by the signal's own action."""
    model = long_node_model(tmp_path / "long.onnx")
    genome = write_fasta(tmp_path / "x.fa", {"a": "ACGT" * 3})
    words = ["scan", model, genome, "--input-layout", "NCL", "--window", "4", "-o", "a.bed"]
    process = started([*SEQTILE, *words], folder)
    await_processor(process, 1.5)
    process.send_signal(number)
    assert process.communicate(timeout=20) == (b"", b"")
    assert process.returncode == -number
    assert names(folder) == set()


@pytest.mark.parametrize("number", ENDS)
@pytest.mark.parametrize("words", [["scan", "MODEL", "-"], ["kmers", "-", "-k", "3"]])
def test_standard_input_that_does_not_come(
    number: signal.Signals, words: list[str], motif_folder: Path, folder: Path
) -> None:
    words = [str(motif_folder) if word == "MODEL" else word for word in words]
    process = started([*SEQTILE, *words], folder)
    await_reading(process)
    process.send_signal(number)
    assert process.wait(timeout=20) == 128 + number
    said = b"seqtile: interrupted\n" if number == signal.SIGINT else b""
    assert process.communicate() == (b"", said)


def test_a_callback_of_c_loses_no_signal(folder: Path) -> None:
    """ctypes, as cffi, prints an exception in a callback and goes on."""
    code = """
    import ctypes
    def work():
        ctypes.CFUNCTYPE(None)(lambda: os.kill(os.getpid(), signal.SIGTERM))()
        interrupts.check()
        return 0
    """
    process = run_python(code, folder)
    assert process.communicate(timeout=20) == (b"", b"")
    assert process.returncode == 128 + signal.SIGTERM


def test_a_burst_does_not_stop_the_removal(folder: Path) -> None:
    code = """
    from seqtile.outputs import Outputs
    unlink = Path.unlink
    def interrupted(path, **options):
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGINT)
        unlink(path, **options)
    def work():
        with Outputs() as files:
            for i in range(50):
                files.open(f"{i}.bed").write(b"x")
            Path.unlink = interrupted
            os.kill(os.getpid(), signal.SIGTERM)
            interrupts.check()
        return 0
    """
    process = run_python(code, folder)
    assert process.communicate(timeout=20) == (b"", b"")
    assert process.returncode == 128 + signal.SIGTERM
    assert names(folder) == set()


@pytest.mark.parametrize(
    "call", ["time.sleep(100)", "os.read(0, 1)", "open(1, 'wb').write(bytes(1 << 20))"]
)
def test_a_call_that_does_not_return(call: str, folder: Path) -> None:
    """Its temporary files and folders are removed all the same."""
    code = f"""
    from seqtile.outputs import Outputs
    def work():
        Path("scratch").mkdir()
        Path("scratch/x").write_text("x")
        with Outputs() as files, interrupts.holding(Path("scratch")):
            files.open("a.bed").write(b"x")
            print("ready", file=sys.stderr, flush=True)
            {call}
        return 0
    """
    process = run_python(code, folder)
    assert process.stderr is not None
    assert process.stderr.readline() == b"ready\n"
    assert len(names(folder)) == 2
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == -signal.SIGTERM
    assert names(folder) == set()
    process.communicate()


def test_files_get_their_names_together_or_not_at_all(folder: Path) -> None:
    """A signal that comes between two renames finds all of them made."""
    code = """
    from seqtile.outputs import Outputs
    replace = os.replace
    def slow(*paths, **options):
        replace(*paths, **options)
        os.kill(os.getpid(), signal.SIGTERM)
    def work():
        with Outputs() as files:
            for name in "abc":
                files.open(name).write(b"x")
            os.replace = slow
        return 0
    """
    process = run_python(code, folder)
    assert process.communicate(timeout=20) == (b"", b"")
    assert process.returncode == 128 + signal.SIGTERM
    assert names(folder) == {"a", "b", "c"}


def test_what_is_ignored_stays_ignored(folder: Path) -> None:
    """As under nohup."""
    code = """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    def work():
        os.kill(os.getpid(), signal.SIGHUP)
        interrupts.check()
        return 3
    """
    process = run_python(code, folder)
    process.communicate(timeout=20)
    assert process.returncode == 3


def test_a_call_from_python_leaves_the_handlers(capsys: pytest.CaptureFixture[str]) -> None:
    before = [signal.getsignal(number) for number in ENDS]
    assert cli.main(["models", "list"]) == 0
    assert [signal.getsignal(number) for number in ENDS] == before


def test_a_signal_ends_a_call_from_python(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        signal.raise_signal(signal.SIGINT)
        interrupts.check()
        return 0

    assert interrupts.heeding(work, ends=False) == 128 + signal.SIGINT
    assert capsys.readouterr().err == "seqtile: interrupted\n"
    interrupts.check()
