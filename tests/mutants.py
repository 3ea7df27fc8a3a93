"""Mutate sequence files, tables and model folders, and count what ends badly on the command line.

    python tests/mutants.py [--count 20000] [--seed 0] [--kinds fasta,bed] [--keep FOLDER]

A mutant may be read or refused in one line. Anything else is a fault: a traceback, a signal, more
than `LIMIT_S` seconds. Faults are printed, their files kept, and the exit status is 1. It is no
part of the suite: 20,000 mutants take some minutes. Images have their own in image_mutants.py.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import mmap
import os
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import seqtile
from seqtile import cli

LIMIT_S = 30.0
NUMBERS = (b"0", b"-1", b"1", b"65536", b"4294967296", b"18446744073709551616", b"1e999", b"nan")


@dataclass(frozen=True)
class Kind:
    """A kind of file: a folder with sound ones, the file that is mutated, what is run on it."""

    name: str
    make: Callable[[Path], list[str]]  # writes the folder; the files to mutate
    runs: Callable[[Path, str], list[list[str]]]  # of the folder and the mutant's file


def letters(rng: np.random.Generator, size: int) -> str:
    """Random bases."""
    return "".join(rng.choice(list("ACGTNacgt"), size))


def fasta(folder: Path) -> list[str]:
    """Plain, wrapped, compressed, bgzip, FASTQ."""
    rng = np.random.default_rng(0)
    text = "".join(f">r{i} text\n{letters(rng, 61)}\n{letters(rng, 50)}\n" for i in range(4))
    (folder / "a.fa").write_text(text)
    (folder / "w.fa").write_text(text.replace("\n", "\r\n"))
    (folder / "z.fa.gz").write_bytes(gzip.compress(text.encode()))
    read = "".join(f"@q{i}\n{letters(rng, 101)}\n+\n{'I' * 101}\n" for i in range(3))
    (folder / "q.fq").write_text(read)
    return ["a.fa", "w.fa", "z.fa.gz", "q.fq"]


def run_fasta(folder: Path, name: str) -> list[list[str]]:
    """Count, predict, scan."""
    path = str(folder / name)
    scan = ["scan", "jund-cnn-seq", path, "-o", str(folder / "out.bw"), "--stride", "5"]
    return [["kmers", path, "-k", "3"], ["predict", "jund-cnn-seq", path], scan]


def indices(folder: Path) -> list[str]:
    """A plain file and its index, a bgzip file and its two."""
    fasta(folder)
    seqtile.Fasta(folder / "a.fa").close()
    block = (folder / "a.fa").read_bytes()
    (folder / "b.fa.gz").write_bytes(bgzip(block[:200]) + bgzip(block[200:]) + bgzip(b""))
    seqtile.Fasta(folder / "b.fa.gz").close()
    return ["a.fa.fai", "b.fa.gz.fai", "b.fa.gz.gzi", "b.fa.gz"]


def bgzip(content: bytes) -> bytes:
    """A block as bgzip writes it."""
    packed = gzip.compress(content, mtime=0)[10:-8]
    size = struct.pack("<H", len(packed) + 25)
    head = bytes.fromhex("1f8b08040000000000ff060042430200") + size
    return head + packed + gzip.compress(content, mtime=0)[-8:]


def run_indices(folder: Path, name: str) -> list[list[str]]:
    """Scan what the index is of."""
    path = str(folder / name.removesuffix(".fai").removesuffix(".gzi"))
    return [["scan", "jund-cnn-seq", path, "-o", str(folder / "out.bw"), "--stride", "5"]]


def bed(folder: Path) -> list[str]:
    """Regions of three and of twelve columns, plain and compressed."""
    fasta(folder)
    rows = "track name=x\n# text\nr0\t0\t110\nr1\t5\t106\tname\t3\t-\nr2\t1\t105\n"
    wide = "r3\t0\t111\tn\t5\t+\t0\t111\t0,0,0\t2\t5,6\t0,105\n"
    (folder / "a.bed").write_text(rows + wide)
    (folder / "b.bed.gz").write_bytes(gzip.compress(rows.encode()))
    return ["a.bed", "b.bed.gz"]


def run_bed(folder: Path, name: str) -> list[list[str]]:
    """Scan the regions."""
    genome, out = str(folder / "a.fa"), str(folder / "out.bw")
    regions = ["--regions", str(folder / name)]
    return [["scan", "jund-cnn-seq", genome, "-o", out, "--stride", "5", *regions]]


def numbers(folder: Path) -> list[str]:
    """A table of a number for each record."""
    rng = np.random.default_rng(1)
    (folder / "s.fa").write_text("".join(f">r{i}\n{letters(rng, 101)}\n" for i in range(4)))
    (folder / "n.tsv").write_text(
        "name\taccessibility\n" + "".join(f"r{i}\t0.{i}\n" for i in range(4))
    )
    return ["n.tsv"]


def run_numbers(folder: Path, name: str) -> list[list[str]]:
    """Predict with them."""
    values = f"accessibility={folder / name}"
    return [["predict", "jund-cnn", str(folder / "s.fa"), "--input", values]]


def models(folder: Path) -> list[str]:
    """A shipped model's folder, and its graph alone."""
    fasta(folder)
    shipped = Path(seqtile.__file__).parent / "exported" / "jund-cnn-seq"
    shutil.copytree(shipped, folder / "m", dirs_exist_ok=True)
    shutil.copy(shipped / "model.onnx", folder / "alone.onnx")
    names = ("contract.json", "card.json", "parity.json", "golden.npz", "model.onnx")
    return [f"m/{name}" for name in names] + ["alone.onnx"]


def run_models(folder: Path, name: str) -> list[list[str]]:
    """Show, verify, predict."""
    if name == "alone.onnx":
        return [["predict", str(folder / name), str(folder / "a.fa")]]
    model = str(folder / "m")
    return [
        ["models", "show", model],
        ["models", "verify", model],
        ["predict", model, str(folder / "q.fq")],
    ]


KINDS = (
    Kind("fasta", fasta, run_fasta),
    Kind("indices", indices, run_indices),
    Kind("bed", bed, run_bed),
    Kind("numbers", numbers, run_numbers),
    Kind("models", models, run_models),
)


def mutant(content: bytes, rng: np.random.Generator) -> bytes:
    """One to four changes: bits, bytes, ranges cut, doubled or moved, numbers, the end cut off."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        if not data:
            return b""
        place = int(rng.integers(len(data)))
        size = int(rng.integers(1, 1 + min(len(data), 40)))
        match int(rng.integers(9)):
            case 0:
                data[place] ^= 1 << int(rng.integers(8))
            case 1:
                data[place] = int(rng.choice([0, 9, 10, 13, 32, 62, 127, 128, 255]))
            case 2:
                data[place] = int(rng.integers(256))
            case 3:
                del data[place : place + size]
            case 4:
                data[place:place] = data[place : place + size]
            case 5:
                data[place:place] = rng.bytes(size)
            case 6:
                other = int(rng.integers(len(data)))
                data[place : place + size] = data[other : other + size]
            case 7:
                data[place : place + 1] = NUMBERS[int(rng.integers(len(NUMBERS)))]
            case _:
                del data[place:]
    return bytes(data)


def fault(kind: Kind, folder: Path, name: str, streams: Path) -> tuple[str, str]:
    """``"read"`` or ``"refused"`` and nothing, or ``"fault"`` and what happened."""
    outcome = "read"
    for arguments in kind.runs(folder, name):
        with streams.open("w+", errors="backslashreplace") as file, redirected(file.fileno()):
            out = io.TextIOWrapper(io.BytesIO(), errors="backslashreplace")
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                try:
                    status = cli.main(
                        [*arguments, "--quiet"] if arguments[0] != "models" else arguments
                    )
                except SystemExit as end:
                    status = int(end.code or 0)
                except BaseException as error:
                    return "fault", f"{' '.join(arguments)}: {type(error).__name__}: {error}"
            out.flush()
            text = out.buffer.getvalue().decode(errors="replace")  # type: ignore[attr-defined]
            file.seek(0)
            text += file.read()
        if "Traceback" in text:
            return "fault", f"{' '.join(arguments)}: {text[-300:]}"
        if status:
            outcome = "refused"
            if "error: " not in text and "FAILED: " not in text:
                return "fault", f"{' '.join(arguments)}: status {status}, but no error: {text!r}"
    return outcome, ""


@contextlib.contextmanager
def redirected(target: int) -> Iterator[None]:
    """Standard output and error of libraries go elsewhere."""
    kept = [os.dup(stream) for stream in (1, 2)]
    for stream in (1, 2):
        os.dup2(target, stream)
    try:
        yield
    finally:
        for stream, old in enumerate(kept, 1):
            os.dup2(old, stream)
            os.close(old)


def work(kind: Kind, folder: Path, first: int, count: int, seed: int, place: mmap.mmap) -> None:
    """Try mutants from the first on; in a process of its own, its place is seen from outside."""
    names = kind.make(folder)
    sound = {name: (folder / name).read_bytes() for name in names}
    found: Counter[str] = Counter()
    report = (folder / "report").open("a")
    for number in range(first, count):
        place[:8] = number.to_bytes(8, "little")
        name = names[number % len(names)]
        content = mutant(sound[name], np.random.default_rng([seed, number]))
        (folder / name).write_bytes(content)
        outcome, what = fault(kind, folder, name, folder / "streams")
        (folder / name).write_bytes(sound[name])
        if kind.name == "fasta":
            (folder / f"{name}.fai").unlink(missing_ok=True)
        found[outcome] += 1
        report.write(f"{number}\t{name}\t{outcome}\t{what!r}\n")
        report.flush()


def try_kind(kind: Kind, count: int, seed: int, keep: Path) -> Counter[str]:
    """Try so many mutants of a kind; a process that dies or hangs is replaced."""
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name, mmap.mmap(-1, 8) as place:
        folder = Path(name)
        first = 0
        while first < count:
            process = os.fork()
            if not process:
                with contextlib.suppress(BaseException):
                    work(kind, folder, first, count, seed, place)
                    os._exit(0)
                import traceback

                traceback.print_exc()
                os._exit(99)
            status = watched(process, place)
            at = int.from_bytes(place[:8], "little")
            if status == 0:
                break
            if status == 99:
                raise SystemExit(f"{kind.name}: the run itself failed at {at}")
            with (folder / "report").open("a") as report:
                names = kind.make(folder)
                how = "no end" if status is None else f"signal {-status}"
                report.write(f"{at}\t{names[at % len(names)]}\tfault\t{how!r}\n")
            first = at + 1
        names = kind.make(folder)
        for line in (folder / "report").read_text().splitlines():
            number, file, outcome, what = line.split("\t", 3)
            outcomes[outcome] += 1
            if outcome == "fault":
                content = mutant(
                    (folder / file).read_bytes(), np.random.default_rng([seed, int(number)])
                )
                kept = keep / f"{kind.name}-{number}-{Path(file).name}"
                keep.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(content)
                print(f"FAULT {kept}: {what}")
    return outcomes


def watched(process: int, place: mmap.mmap) -> int | None:
    """Exit status of a process, minus the signal that ended it, None if it made no progress."""
    seen, since = bytes(place[:8]), time.monotonic()
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
        if (now := bytes(place[:8])) != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > LIMIT_S:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return None


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000, help="mutants of all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(kind.name for kind in KINDS))
    parser.add_argument("--keep", type=Path, default=Path("build/mutants"), help="for faults")
    options = parser.parse_args()
    chosen = [kind for kind in KINDS if kind.name in options.kinds.split(",")]
    faults = 0
    for kind in chosen:
        begin = time.monotonic()
        found = try_kind(kind, options.count // len(chosen), options.seed, options.keep)
        faults += found["fault"]
        print(
            f"{kind.name}: {found.total()} mutants, {found['read']} read, {found['refused']} "
            f"refused, {found['fault']} faults, {time.monotonic() - begin:.0f} s",
            flush=True,
        )
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
