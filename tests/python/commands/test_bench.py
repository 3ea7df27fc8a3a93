"""``seqtile bench``: tables, files, comparison, exit status, refusals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

import seqtile
from seqtile import cli, interrupts
from seqtile.bench.measure import Bench
from seqtile.bench.rows import Document, read_document
from tests.python.command import SEQTILE, check_refused, names
from tests.python.command import seqtile as run
from tests.python.made_rows import document, row
from tests.python.models import counts_model, image_folder, model_folder

PNG = b"\x89PNG\r\n\x1a\n"
SHORT = ("--device", "cpu", "--seconds", "0.05", "--warm-up", "0", "--threads", "1", "--quiet")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("bench") / "tiny")


def succeed(*arguments: object) -> str:
    result = run("bench", *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_end_to_end(tiny: Path, tmp_path: Path) -> None:
    """Two models, batch sizes, loads: one run with every output; then compared with itself."""
    cells = image_folder(tmp_path / "cells")
    files = tmp_path / "out"
    files.mkdir()
    what = [
        tiny,
        cells,
        *SHORT,
        "--seconds",
        "0.1",
        "--batch-size",
        "2,4",
        "--length",
        "12",
        "--concurrency",
        "1,2,lanes",
        "--rate",
        "100,50%",
    ]
    text = succeed(*what, "--json", files / "a.json", "--plot", files / "a.png", "--profile")
    assert names(files) == {"a.json", "a.png"}
    assert (files / "a.png").read_bytes().startswith(PNG)
    found = read_document(str(files / "a.json"))
    loads = ["c1", "100/s c1", "50% c1", "c2", "100/s c2", "50% c2", "lanes"]
    cases = [(str(tiny), "12"), (str(cells), "8x12")]
    assert [(r.model, r.shape, r.asked, r.load) for r in found.rows] == [
        (*case, batch, load) for case in cases for batch in "24" for load in loads
    ]
    assert list(found.models) == [str(tiny), str(cells)]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in found.models.values())
    assert found.command[0] == "bench"
    assert found.command[1:] == tuple(
        map(str, [*what, "--json", files / "a.json", "--plot", files / "a.png", "--profile"])
    )
    assert found.machine["threads"] <= found.machine["cores"]
    assert found.machine["memory_bytes"] > 1e8
    assert {"seqtile", "python", "numpy"} <= found.versions.keys()
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert "warm-up: none" in lines
    heads = [line for line in lines if line.startswith("batch")]
    assert len(heads) == 6  # speed, resources, stages of each model and shape
    assert heads[0].split() == [
        "batch",
        "load",
        "items/s",
        "±",
        "Mbases/s",
        "p50",
        "p90",
        "p95",
        "p99",
        "p99.9",
        "max",
    ]
    assert heads[1].split()[:6] == ["batch", "load", "requests", "seconds", "warm-up", "s"]
    assert heads[2].split() == ["batch", "load", "limit", "stages"]
    assert "Mpixels/s" in heads[3]
    assert "compute" in text
    body = lines[lines.index(heads[0]) + 1]
    assert body.split()[:2] == ["2", "c1"]
    assert body.split()[2].endswith("~")  # no warm-up
    assert "~: no warm-up; the figures may be too low or too high" in lines

    again = succeed(*what, "--compare", files / "a.json")
    table = again[again.index("compared with") :]
    assert len(re.findall(r"\d\.\d\dx", table)) == 20
    assert table.count("its rate follows the throughput") == 12  # 6 of 8 named, in both runs
    assert table.count("not compared: 2 more") == 2


def test_json_on_standard_output(tiny: Path) -> None:
    text = succeed(tiny, *SHORT, "--batch-size", 3, "--concurrency", 1, "--json", "-")
    (only,) = Document.from_json(text, source="-").rows
    assert (only.batch, only.load) == (3, "c1")


def test_a_third_party_model(tmp_path: Path) -> None:
    path = counts_model(tmp_path / "m.onnx")
    text = succeed(
        path,
        *SHORT,
        "--input-layout",
        "NCL",
        "--data",
        "random",
        "--length",
        9,
        "--batch-size",
        2,
        "--concurrency",
        1,
    )
    assert f"{path}, 9 bases; latency in ms" in text


def altered(path: Path, target: Path, **changes: Any) -> Path:
    """The document with every row changed, and its windows so many times as fast."""
    content = json.loads(path.read_text())
    speed = changes.pop("speed", 1)
    for entry in content["rows"]:
        entry |= changes
        for window in entry["windows"]:
            window["seconds"] /= speed
    target.write_text(json.dumps(content))
    return target


def test_slower_than_before(tiny: Path, tmp_path: Path) -> None:
    """Against a run made to look a thousand times as fast it fails, and against a slow one not."""
    what = [tiny, *SHORT, "--batch-size", 2, "--concurrency", 1]
    succeed(*what, "--json", tmp_path / "a.json")
    fast = altered(tmp_path / "a.json", tmp_path / "fast.json", speed=1000)
    result = run(
        "bench",
        *what,
        "--compare",
        fast,
        "--fail-if-slower",
        "10%",
        "--json",
        tmp_path / "new.json",
    )
    assert result.returncode == 1
    assert re.fullmatch(
        rf"seqtile: error: {re.escape(str(tiny))} 12 onnxruntime cpu fp32, batch 2, c1, threads 1: "
        r"0\.\d\d times as fast as before, 95% interval 0\.\d\d to 0\.\d\d: all of it below "
        r"0\.90\n",
        result.stderr,
    )
    content = json.loads((tmp_path / "new.json").read_text())  # written all the same
    assert content["comparison"]["with"] == str(fast)
    assert content["comparison"]["rows"][0]["verdict"] == "slower"
    assert run("bench", *what, "--compare", fast).returncode == 0  # said, but no bar
    slow = altered(tmp_path / "a.json", tmp_path / "slow.json", speed=0.001)
    good = run("bench", *what, "--compare", slow, "--fail-if-slower", "10%")
    assert (good.returncode, good.stderr) == (0, "")
    assert " faster" in good.stdout


def test_nothing_to_compare_is_no_pass(tiny: Path, tmp_path: Path) -> None:
    what = [tiny, *SHORT, "--batch-size", 2, "--concurrency", 1]
    succeed(*what, "--json", tmp_path / "a.json")
    other = altered(tmp_path / "a.json", tmp_path / "b.json", model="other")
    result = run("bench", *what, "--compare", other, "--fail-if-slower", "10%")
    assert result.returncode == 1
    assert result.stderr == f"seqtile: error: no row can be compared with {other}\n"
    assert result.stdout.count("not compared: ") == 2


def test_too_few_windows_are_no_pass(tiny: Path, tmp_path: Path) -> None:
    what = [tiny, *SHORT, "--batch-size", 2, "--concurrency", 1]
    succeed(*what, "--json", tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    content["rows"][0]["windows"] = content["rows"][0]["windows"][:1]
    (tmp_path / "b.json").write_text(json.dumps(content))
    result = run("bench", *what, "--compare", tmp_path / "b.json", "--fail-if-slower", "10%")
    assert result.returncode == 1
    assert result.stderr.endswith("too few windows, raise --seconds\n")
    assert "too few windows to tell" in result.stdout


def test_the_json_stays_when_there_is_nothing_to_draw(tiny: Path, tmp_path: Path) -> None:
    result = run(
        "bench",
        tiny,
        *SHORT,
        "--batch-size",
        2,
        "--concurrency",
        "lanes",
        "--json",
        tmp_path / "a.json",
        "--plot",
        tmp_path / "a.png",
    )
    assert result.returncode == 1
    assert "nothing to draw" in result.stderr
    assert names(tmp_path) == {"a.json"}
    assert len(read_document(str(tmp_path / "a.json")).rows) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--batch-size", "0"], "at least 1, not 0"),
        (["--batch-size", "some"], "--batch-size: cannot read 'some'"),
        (["--batch-size", "1,,2"], "--batch-size: cannot read ''"),
        (["--length", "-3"], "at least 1, not -3"),
        (["--size", "256"], "expected height x width as 256x256"),
        (["--rate", "0"], "--rate: cannot read '0'"),
        (["--rate", "-5"], "above 0; not '-5'"),
        (["--concurrency", "0"], "at least 1"),
        (["--seconds", "0"], "seconds must be above 0"),
        (["--warm-up", "-1"], "--warm-up must be 0 or more"),
        (["--engine", "tensorflow"], "engine must be one of"),
        (["--precision", "fp8"], "precision must be one of"),
        (["--seed", "-1"], "seed must be 0 or more"),
        (["--threads", "0"], "threads must be at least 1"),
        (["--fail-if-slower", "10%"], "--fail-if-slower goes with --compare"),
        (["--compare", "x.json", "--fail-if-slower", "0.1"], "a percentage below 100 as 10%"),
        (["--compare", "x.json", "--fail-if-slower", "100%"], "a percentage below 100 as 10%"),
        (["--alphabet", "dna"], "--alphabet goes with --input-layout"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    option, value, *more = arguments
    with pytest.raises(SystemExit) as caught:
        cli.main(["bench", "tiny", f"{option}={value}", *more])
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err.splitlines()[-1]


def test_refusals(tiny: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"kind": "seqtile bench", "schema": 99}')
    for arguments, words in (
        (["no-such-model"], ["no model 'no-such-model'"]),
        ([tiny, "--length", "2"], ["2 letters, the model takes at least 3"]),
        ([tiny, "--data", tmp_path / "no.fa"], ["no.fa"]),
        ([tiny, "--compare", tmp_path / "no.json"], ["no.json: No such file"]),
        ([tiny, "--compare", bad], ["bad.json: schema 99, this version reads 1"]),
        ([tiny, "--compare", __file__], ["not JSON"]),
        ([tiny, "--json", tmp_path / "no" / "x.json"], ["the folder", "does not exist"]),
        ([tiny, "--plot", tmp_path], ["is a folder"]),
        ([tiny, "--compare", bad, "--json", bad], ["schema 99"]),
        ([tiny, "--plot", tmp_path / "x.jpg"], ["x.jpg: expected one of .png"]),
        (
            [tiny, "--plot", tmp_path / "x.png", "--json", tmp_path / "x.png"],
            ["x.png: given twice"],
        ),
        ([tiny, "--data", "-"], ["--data -: letters are read more than once"]),
    ):
        check_refused(run("bench", *arguments, *SHORT, "--batch-size", 2), *words)
    assert names(tmp_path) == {"bad.json"}


def test_cuda_asked_for_and_missing(tiny: Path) -> None:
    """The loader's own error, before anything is timed."""
    try:
        seqtile.load(tiny, device="cuda")
    except seqtile.ProviderError as error:
        check_refused(run("bench", tiny, "--device", "cpu,cuda", "--seconds", 600), str(error))
    else:
        pytest.skip("CUDA runs here")


def test_the_run_to_compare_with_is_not_overwritten(tiny: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_text(json.dumps(document(row(100)).to_dict()))
    before = old.read_bytes()
    check_refused(
        run("bench", tiny, *SHORT, "--compare", old, "--json", old), "would overwrite the input"
    )
    assert old.read_bytes() == before


def test_a_disk_that_is_full_leaves_the_old_file(tiny: Path, tmp_path: Path) -> None:
    old = tmp_path / "a.json"
    old.write_text("old")
    result = run("bench", tiny, *SHORT, "--batch-size", 2, "--json", old, file_limit=100)
    assert result.returncode == 1
    assert "a.json: cannot write" in result.stderr
    assert old.read_text() == "old"
    assert names(tmp_path) == {"a.json"}


def test_interrupted_in_the_middle(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def rows(self: Bench) -> Any:
        yield row(100)
        signal.raise_signal(signal.SIGINT)
        interrupts.check()

    monkeypatch.setattr(Bench, "rows", rows)
    target = tmp_path / "a.json"
    assert cli.main(["bench", str(tiny), "--json", str(target)]) == 130
    out, err = capsys.readouterr()
    assert "tiny, 12 bases; latency in ms" in out
    assert err == "seqtile: interrupted\n"
    assert names(tmp_path) == set()


def test_a_real_interrupt_ends_soon(tiny: Path) -> None:
    """Ctrl-C during a measurement of ten minutes."""
    process = subprocess.Popen(
        [
            *SEQTILE,
            "bench",
            tiny,
            "--device",
            "cpu",
            "--warm-up",
            "0",
            "--seconds",
            "600",
            "--batch-size",
            "2",
            "--concurrency",
            "2",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # not as nohup left it
    )
    with process:
        while _processor_seconds(process.pid) < 1.5:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (out, err) == ("", "seqtile: interrupted\n")


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
