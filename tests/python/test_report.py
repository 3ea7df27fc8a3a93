"""Outputs appear whole or not at all, and a manifest says what made them."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import platform
import resource
import signal
import subprocess
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

import seqtile
from seqtile import Predictor, outputs, scan
from seqtile.errors import FastaParseError, OutputError
from seqtile.execution.limits import Limits
from seqtile.manifest import Checksum
from seqtile.scanning.report import write_scan
from seqtile.versions import installed
from tests.python.command import SEQTILE, check_refused, names
from tests.python.command import seqtile as run
from tests.python.models import model_folder, motif_model, sha256
from tests.python.oracle import write_fasta

SUFFIXES = ["bw", "bed", "narrowPeak", "parquet", "npz"]


def letters(n: int) -> str:
    return "".join(np.random.default_rng(n).choice(list("ACGT"), n))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def motif(model: Path) -> Predictor:
    return seqtile.load(model, device="cpu")


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    return write_fasta(path, {"chr1": letters(30_000), "chr2": letters(700)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.mkdir()
    return path


# together or not at all


def test_every_output_has_a_manifest(motif: Predictor, genome: Path, folder: Path) -> None:
    targets = [folder / f"a.{suffix}" for suffix in SUFFIXES]
    report = write_scan(scan(motif, genome, stride=50), targets)
    assert report.outputs == [str(target) for target in targets]
    assert names(folder) == {t.name for t in targets} | {f"{t.name}.manifest.json" for t in targets}


def test_outputs_replace_what_was_there(motif: Predictor, genome: Path, folder: Path) -> None:
    (folder / "a.bed").write_text("old")
    work = scan(motif, genome, stride=50)
    write_scan(work, [folder / "a.bed"])
    assert (folder / "a.bed").read_text().startswith("chr1\t")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_an_interrupted_scan_leaves_nothing(
    model: Path, genome: Path, folder: Path, error: type[BaseException]
) -> None:
    predictor = seqtile.load(model, device="cpu", limits=Limits(scan_windows=500))
    (folder / "a.bed").write_text("old")
    targets = [folder / f"a.{suffix}" for suffix in SUFFIXES]
    calls = itertools.count()

    def progress(windows: int) -> None:
        if next(calls) == 3:
            assert len(names(folder)) == len(targets) + 2  # the figure, and the old one
            raise error("stop")

    work = scan(predictor, genome, stride=2)
    with pytest.raises(error, match="stop"):
        write_scan(work, targets, plot=folder / "a.png", progress=progress)
    assert names(folder) == {"a.bed"}
    assert (folder / "a.bed").read_text() == "old"


def test_a_wrong_letter_leaves_nothing(motif: Predictor, tmp_path: Path, folder: Path) -> None:
    bad = write_fasta(tmp_path / "bad.fa", {"chr1": letters(900), "chr2": "ACGTE" * 9})
    with pytest.raises(ValueError, match="record 'chr2', position 4"):
        write_scan(scan(motif, bad), [folder / f"a.{suffix}" for suffix in SUFFIXES])
    assert names(folder) == set()


@pytest.mark.parametrize(
    ("number", "message"),
    [(signal.SIGINT, b"seqtile: interrupted\n"), (signal.SIGTERM, b""), (signal.SIGHUP, b"")],
)
def test_a_killed_command_leaves_nothing(
    model: Path, tmp_path: Path, folder: Path, number: signal.Signals, message: bytes
) -> None:
    long = write_fasta(tmp_path / "long.fa", {"chr1": letters(100_000) * 50})
    targets = [f"-o{folder}/a.{suffix}" for suffix in SUFFIXES]
    process = subprocess.Popen(
        [*SEQTILE, "scan", model, long, *targets],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # not as nohup left it
    )
    give_up = time.monotonic() + 60
    while not names(folder) and time.monotonic() < give_up:
        time.sleep(0.01)
    assert names(folder)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert (output, errors) == (b"", message)
    assert names(folder) == set()


# a disk that is full


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_full_disk(model: Path, genome: Path, folder: Path, suffix: str) -> None:
    target = folder / f"a.{suffix}"
    result = run("scan", model, genome, "-o", target, "--threshold", "0.7", file_limit=3000)
    check_refused(result, "temporary file in " if suffix == "npz" else f"{target}: ")
    assert names(folder) == set()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_cut_file_is_never_taken_for_whole(
    motif: Predictor, genome: Path, folder: Path, suffix: str
) -> None:
    """The disk may be full at any byte, the last one too."""
    target = folder / f"a.{suffix}"
    work = partial(scan, motif, genome, stride=2)
    write_scan(work(), [target], threshold=0.7)
    size = target.stat().st_size
    for path in folder.iterdir():
        path.unlink()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in [*(size * k // 9 for k in range(1, 9)), size - 1]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(
                OutputError, match=r"(a\.\w+|temporary file in \S+ \(see TMPDIR\)): cannot write: "
            ):
                write_scan(work(), [target], threshold=0.7)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert names(folder) == set()


def test_full_disk_with_many_outputs(model: Path, genome: Path, folder: Path) -> None:
    targets = [f"-o{folder}/a.{suffix}" for suffix in SUFFIXES]
    result = run("scan", model, genome, *targets, "--plot", folder / "a.png", file_limit=3000)
    check_refused(result, ": cannot write: File too large")
    assert names(folder) == set()


def test_full_disk_for_a_table(model: Path, tmp_path: Path, folder: Path) -> None:
    records = write_fasta(tmp_path / "x.fa", {f"record{i}": letters(12) for i in range(900)})
    result = run("predict", model, records, "-o", folder / "a.tsv", file_limit=3000)
    check_refused(result, f"{folder / 'a.tsv'}: cannot write: ")
    assert names(folder) == set()


def test_full_disk_while_unpacking(model: Path, genome: Path, folder: Path) -> None:
    result = run(
        "scan", model, "-", "-o", folder / "a.bw", stdin=genome.read_bytes(), file_limit=3000
    )
    check_refused(result, "temporary file in ", "cannot write: ")
    assert names(folder) == set()


# targets that cannot be


def refuse(motif: Predictor, genome: Path, *targets: Path, message: str) -> None:
    before = {path: names(path.parent) for path in targets if path.parent.is_dir()}
    with pytest.raises(OutputError, match=message):
        write_scan(scan(motif, genome, stride=50), targets)
    assert {path: names(path.parent) for path in before} == before


def test_missing_folder(motif: Predictor, genome: Path, folder: Path) -> None:
    message = "the folder .*none does not exist$"
    refuse(motif, genome, folder / "good.bed", folder / "none" / "a.bw", message=message)


def test_a_file_in_place_of_a_folder(motif: Predictor, genome: Path, folder: Path) -> None:
    (folder / "file").write_text("")
    refuse(motif, genome, folder / "file" / "a.bw", message="the folder .*file does not exist$")


def test_a_folder_in_place_of_a_file(motif: Predictor, genome: Path, folder: Path) -> None:
    (folder / "a.bw").mkdir()
    refuse(motif, genome, folder / "a.bw", message="a.bw: is a folder, expected a file name$")


def test_a_pipe_is_not_replaced_by_a_file(motif: Predictor, genome: Path, folder: Path) -> None:
    os.mkfifo(folder / "a.bw")
    refuse(motif, genome, folder / "a.bw", message="a.bw: is a device or a pipe, expected a file")
    assert (folder / "a.bw").is_fifo()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_folder(motif: Predictor, genome: Path, folder: Path) -> None:
    folder.chmod(0o500)
    refuse(motif, genome, folder / "a.bw", message="the folder .*out is not writable$")


def test_unwritable_folder_as_told(
    motif: Predictor, genome: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder)
    refuse(motif, genome, folder / "a.bw", message="the folder .*out is not writable$")


@pytest.mark.parametrize("other", ["a.bed", "../out/a.bed", "link/a.bed"])
def test_one_target_twice(motif: Predictor, genome: Path, folder: Path, other: str) -> None:
    (folder / "link").symlink_to(folder)
    refuse(motif, genome, folder / "a.bed", folder / other, message="a.bed: given twice$")


@pytest.mark.parametrize("name", ["a.txt", "a", "a.bw.gz", ".bw"])
def test_unknown_suffix(motif: Predictor, genome: Path, folder: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected one of .bw, .*, found "):
        write_scan(scan(motif, genome), [folder / "a.bed", folder / name])
    assert names(folder) == set()


@pytest.mark.parametrize(("suffix", "module"), [(".parquet", "pyarrow"), (".png", "matplotlib")])
def test_a_missing_library_is_told_with_the_command(
    motif: Predictor,
    genome: Path,
    folder: Path,
    suffix: str,
    module: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outputs, "find_spec", lambda name: None if name == module else name)
    target = folder / f"a{suffix}"
    plot, tracks = (target, []) if suffix == ".png" else (None, [target])
    message = rf"a{suffix}: .* needs {module}: pip install {module}$"
    with pytest.raises(ImportError, match=message):
        write_scan(scan(motif, genome), tracks, plot=plot)
    assert names(folder) == set()


# the manifest


# The one wheel that is installed.
WHEEL = installed(["onnxruntime", "onnxruntime-gpu"])


def read_manifest(path: Path) -> dict[str, object]:
    return json.loads(path.with_name(f"{path.name}.manifest.json").read_text())


def test_manifest(motif: Predictor, model: Path, genome: Path, folder: Path) -> None:
    target = folder / "a.bw"
    work = scan(motif, genome, stride=50, strand="-", regions=[("chr1", 0, 900)], max_n=2)
    report = write_scan(work, [target], threshold=0.25, checksum=Checksum(str(genome)))
    manifest = read_manifest(target)
    assert manifest == {
        "seqtile": seqtile.__version__,
        "model": {"name": "tiny", "sha256": sha256(model / "model.onnx")},
        "input": {"name": "sequence", "layout": "bytes", "alphabet": "dna", "unknown": "zero"},
        "output": {"name": "probability", "target": 0},
        "genome": {
            "name": str(genome),
            "sha256": sha256(genome),
            "sequences": 2,
            "bases": 30_700,
        },
        "parameters": {
            "window": 12,
            "stride": 50,
            "strand": "-",
            "reduce": None,
            "max_n": 2,
            "batch_size": "auto",
            "regions": "1 from intervals",
            "threshold": 0.25,
            "merge_gap": work.window,
        },
        "device": "cpu",
        "precision": "fp32",
        "providers": ["CPUExecutionProvider"],
        "threads": motif.threads,
        "profile": work.profile.to_dict(),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            **WHEEL,
        },
        "report": json.loads(json.dumps(report.to_dict())),
    }
    assert manifest["report"]["windows"] == report.windows == 19
    assert manifest["report"]["bases"] == 900


@pytest.mark.parametrize("way", ["file", "gzip", "stdin", "stdin gzip", "named pipe"])
def test_checksum_of_the_input(
    model: Path, genome: Path, tmp_path: Path, folder: Path, way: str
) -> None:
    """The input's own bytes, whichever way they come."""
    source, stdin = genome, b""
    if "gzip" in way:
        source = tmp_path / "x.fa.gz"
        source.write_bytes(gzip.compress(genome.read_bytes()))
    expected = sha256(source)
    if "stdin" in way:
        source, stdin = Path("-"), source.read_bytes()
    elif way == "named pipe":
        source = tmp_path / "pipe"
        os.mkfifo(source)
        threading.Thread(target=source.write_bytes, args=(genome.read_bytes(),)).start()
    target = folder / "a.bed"
    result = run("scan", model, source, "--stride", 50, "-o", target, stdin=stdin)
    assert result.returncode == 0, result.stderr
    found = read_manifest(target)["genome"]
    assert found["sha256"] == expected
    assert found["name"] == ("<stdin>" if stdin else str(source))
    assert found["bases"] == 30_700


@pytest.mark.parametrize("how", ["in place", "another file", "longer"])
@pytest.mark.parametrize("hashed", [True, False])
def test_a_genome_that_changes_is_an_error(
    model: Path, tmp_path: Path, folder: Path, how: str, hashed: bool
) -> None:
    """Scores of two genomes would stand under the checksum of one."""
    genome = write_fasta(tmp_path / "x.fa", {"chr1": letters(60_000)})
    checksum = Checksum(str(genome)) if hashed else None
    predictor = seqtile.load(model, device="cpu", limits=Limits(scan_windows=500))
    calls = itertools.count()

    def change(windows: int) -> None:
        if next(calls) == 2:
            content = genome.read_bytes().replace(b"A", b"N")
            if how == "another file":
                (tmp_path / "new.fa").write_bytes(content)
                (tmp_path / "new.fa").replace(genome)
            else:
                with genome.open("r+b") as file:
                    file.write(content + (b"A\n" if how == "longer" else b""))

    with pytest.raises(FastaParseError, match=r"x.fa: the file was changed while it was read"):
        write_scan(scan(predictor, genome), [folder / "a.bw"], checksum=checksum, progress=change)
    assert names(folder) == set()


def test_the_manifest_names_how_letters_were_taken(
    genome: Path, tmp_path: Path, folder: Path
) -> None:
    """By a third party's model, of which only the call says it."""
    spec = seqtile.InputSpec(layout="bytes", alphabet="rna", unknown="raise")
    foreign = seqtile.load(motif_model(tmp_path / "m.onnx", length=12), input=spec)
    write_scan(scan(foreign, genome, stride=50), [folder / "b.bw"])
    found = read_manifest(folder / "b.bw")["input"]
    assert (found["alphabet"], found["unknown"]) == ("rna", "raise")


# the figure


def test_plot(motif: Predictor, genome: Path, folder: Path) -> None:
    target = folder / "a.png"
    report = write_scan(scan(motif, genome), [], plot=target, threshold=0.7)
    assert report.outputs == [str(target)]
    assert names(folder) == {"a.png"}
    picture = imread(target)
    height, width = picture.shape[:2]
    assert (height, width) == (450, 1500)
    assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 20


def test_plot_of_short_sequences_alone(motif: Predictor, tmp_path: Path, folder: Path) -> None:
    genome = write_fasta(tmp_path / "x.fa", {"a": "ACG", "b": ""})
    write_scan(scan(motif, genome), [], plot=folder / "a.png")
    assert imread(folder / "a.png").shape[1] == 1500
