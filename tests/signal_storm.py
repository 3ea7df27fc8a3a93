"""Signals at random moments: every command ends by them, and leaves whole files or none.

    python tests/signal_storm.py [NUMBER]

Five verbs run again and again, each in a folder of its own; at a random moment of its usual time
each gets Ctrl-C, SIGTERM or SIGHUP, some of them a burst. Counted are files that are not those of
an undisturbed run (partial), other files (left over), runs that go on to exit status 0 (lost), and
runs that end later than a second after the signal (late).
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import seqtile

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SOON_S = 0.25  # a run that was done when the signal came has ended by then


def commands(source: Path) -> dict[str, list[str]]:
    """What is run, by the name of its verb."""
    letters = random.Random(1)
    with (source / "long.fa").open("w") as file:
        for i in range(2):
            file.write(f">chr{i}\n{''.join(letters.choices('ACGT', k=20_000))}\n")
    with (source / "records.fa").open("w") as file:
        for i in range(6_000):
            file.write(f">r{i}\n{''.join(letters.choices('ACGT', k=101))}\n")
    for i in range(2):
        shutil.copy(seqtile.example_path("nuclei"), source / f"{i}.png")
    tracks = [f"-oa.{suffix}" for suffix in ("bw", "bed", "narrowPeak", "parquet", "npz")]
    images = [str(source / f"{i}.png") for i in range(2)]
    fasta, records = str(source / "long.fa"), str(source / "records.fa")
    return {
        "scan": ["scan", "jund-cnn-seq", fasta, *tracks, "--plot", "a.png", "--quiet"],
        "predict": ["predict", "jund-cnn-seq", records, "-o", "a.tsv", "--quiet"],
        "embed": ["embed", "jund-cnn-seq", records, "-o", "a.npz", "--quiet"],
        "segment": ["segment", "nuclei-unet", *images, "-d", ".", "--quiet"],
        "kmers": ["kmers", fasta, "-k", "11", "-oa.tsv", "-oa.parquet", "-oa.npz", "--quiet"],
    }


def start(words: list[str], folder: Path, scratch: Path) -> subprocess.Popen[bytes]:
    def hear() -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, "-m", "seqtile", *words],
        cwd=folder,
        env=os.environ | {"TMPDIR": str(scratch), "SEQTILE_CACHE": str(scratch.parent / "cache")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=hear,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def is_whole(name: str, content: bytes, expected: dict[str, bytes]) -> bool:
    """A manifest has times in it, and of images those that are done."""
    if name.endswith(".json"):
        return content.endswith(b"}\n")
    return content == expected[name] or (
        name.endswith(".npz") and len(content) == len(expected[name])
    )


def storm(number: int) -> Counter[str]:
    """Run so many commands, and count what is wrong."""
    moments = random.Random(2)
    found: Counter[str] = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        source, scratch = root / "source", root / "scratch"
        source.mkdir()
        scratch.mkdir()
        verbs = commands(source)
        expected: dict[str, dict[str, bytes]] = {}
        usual: dict[str, float] = {}
        for verb, words in verbs.items():
            for _ in range(2):  # the second finds its batch sizes measured
                folder = root / verb
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                begun = time.monotonic()
                process = start(words, folder, scratch)
                _, errors = process.communicate()
                assert process.returncode == 0, errors.decode()
                usual[verb] = time.monotonic() - begun
            expected[verb] = contents(folder)
        for i in range(number):
            verb = list(verbs)[i % len(verbs)]
            folder = root / f"{i}"
            folder.mkdir()
            process = start(verbs[verb], folder, scratch)
            time.sleep(moments.uniform(0, 1.1 * usual[verb]))
            sent = moments.choice(SIGNALS)
            alive = process.poll() is None
            at = time.monotonic()
            for kind in [sent] * (30 if moments.random() < 0.2 else 1):
                process.send_signal(kind)
            try:
                _, errors = process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                _, errors = process.communicate()
                found["hung"] += 1
            took = time.monotonic() - at
            status = process.returncode
            if not alive or (status == 0 and took < SOON_S):
                found["done before"] += 1
            else:
                found["signals"] += 1
                slowest = max(slowest, took)
                found["by default action"] += status == -sent
                found["late"] += took > 1
                if status not in (128 + sent, -sent):
                    found["lost"] += 1
                    print(f"{verb}: {sent.name} ended with {status}: {errors.decode()[-300:]}")
                if b"Traceback" in errors:  # Python's own start says so, before anything of ours
                    found["while Python starts"] += 1
            for file, content in contents(folder).items():
                if file not in expected[verb]:
                    found["left over"] += 1
                    print(f"{verb}: {sent.name}, {status}: left {file}")
                elif not is_whole(file, content, expected[verb]):
                    found["partial"] += 1
                    print(f"{verb}: {sent.name}, {status}: {file} is not whole")
            for path in scratch.iterdir():
                found["left over"] += 1
                print(f"{verb}: {sent.name}, {status}: left {path} in TMPDIR")
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            shutil.rmtree(folder)
    print(f"slowest end {slowest:.2f} s after the signal")
    return found


def main() -> int:
    """Print the counts; the exit status is 1 if something was wrong."""
    found = storm(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
    wrong = ("partial", "left over", "lost", "hung")
    told = ("signals", "done before", "by default action", "while Python starts", "late")
    for name in (*told, *wrong):
        print(f"{name:<20}{found[name]}")
    return 1 if any(found[name] for name in wrong) else 0


if __name__ == "__main__":
    raise SystemExit(main())
