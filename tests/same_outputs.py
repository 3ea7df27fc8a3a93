"""Compare what two installed versions of seqtile print and write, byte for byte.

    python tests/same_outputs.py BEFORE AFTER

Each is a `seqtile` program (``venv/bin/seqtile``). Every verb runs on fixed inputs with both. Exit
status, standard output, standard error and files must be equal, but for times, checksums and
versions, which are masked. Prints each case that differs; exits 1 if there is one.
"""

from __future__ import annotations

import gzip
import io
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

DATA = Path(__file__).parents[1] / "python" / "seqtile" / "data"
COMMON = ["--device", "cpu", "--threads", "2", "--batch-size", "64", "--quiet"]
MASKS = [
    (r"[0-9a-f]{64}", "SHA256"),
    (r'"version": "[^"]*"', '"version": V'),
    (r"(?m)^version .*$", "version V"),
    (r"\d[\d.,]* (?:s|ms)\b", "TIME"),
    (r"\d[\d.,]* [kMG]?(?:bases|pixels|windows)/s", "RATE"),
    (r'"(?:seconds|began|ended|created|bases_per_second|windows_per_second)": [^,}\n]*', "TIMED"),
    (r'(?s)"profile": \{.*?\}\s*,?\s*"shares".*?\}[^}]*\}', "PROFILE"),
    (r"/[^\s\"']*/site-packages/", "PACKAGE/"),
    (r"/[^\s\"']*/python/seqtile/", "PACKAGE/seqtile/"),
    (r"seqtile [0-9.]+", "seqtile V"),
]


def inputs(folder: Path) -> None:
    """Records of 41, 99, 101 and 200 letters, a genome with regions and unknown letters, images."""
    random = np.random.default_rng(0)

    def letters(n: int, alphabet: str = "ACGT") -> str:
        return "".join(random.choice(list(alphabet), n))

    for length, alphabet in ((41, "ACGU"), (99, "ACGT"), (101, "ACGTacgtN"), (200, "ACGT")):
        records = [f">r{i} text\n{letters(length, alphabet)}\n" for i in range(300)]
        (folder / f"r{length}.fa").write_text("".join(records))
    (folder / "acc.tsv").write_text("".join(f"r{i}\t{i / 300}\n" for i in range(300)))
    genome = gzip.decompress((DATA / "chr22.fa.gz").read_bytes()).decode()
    odd = f">short\n{letters(50)}\n>gap\n{letters(700)}{'N' * 300}{letters(777).lower()}\n"
    (folder / "genome.fa").write_text(genome + odd)
    (folder / "regions.bed").write_text("gap\t100\t900\ngap\t850\t1200\nshort\t0\t50\n")
    (folder / "bad.bed").write_text("gap\t100\n")
    (folder / "bad.fa").write_text(">x\nACGT!\n")
    for name in ("nuclei.png", "blood_cell.jpg"):
        (folder / name).write_bytes((DATA / name).read_bytes())


CASES: dict[str, list[str]] = {
    "models": ["models"],
    "models-json": ["models", "list", "--json"],
    "models-verify": ["models", "verify"],
    **{f"show-{n}": ["models", "show", n] for n in ("jund-lstm", "nuclei-unet", "rbp-multi")},
    "predict": ["predict", "jund-cnn-seq", "r101.fa", *COMMON],
    "predict-jsonl": ["predict", "dna-binding-bilstm", "r101.fa", "--jsonl", *COMMON],
    "predict-npz": ["predict", "liver-enhancer-cnn", "r200.fa", "-o", "a.npz", *COMMON],
    "predict-input": [
        "predict",
        "jund-mlp",
        "r101.fa",
        "--input",
        "accessibility=acc.tsv",
        *COMMON,
    ],
    "predict-missing": ["predict", "jund-mlp", "r101.fa", *COMMON],
    "predict-labels": ["predict", "rbp-multi", "r41.fa", "-o", "a.tsv", *COMMON],
    "predict-rbp": ["predict", "rbp-bilstm", "r41.fa", *COMMON],
    "predict-attention": ["predict", "rbp-cnn-attention", "r41.fa", *COMMON],
    "predict-codons": ["predict", "codon-convnet", "r99.fa", *COMMON],
    "predict-codons-npz": ["predict", "codon-convnet", "r99.fa", "-o", "a.npz", *COMMON],
    "predict-wrong": ["predict", "codon-convnet", "r101.fa", *COMMON],
    "predict-bad": ["predict", "jund-cnn-seq", "bad.fa", *COMMON],
    "predict-none": ["predict", "no-such-model", "r101.fa", *COMMON],
    "predict-int8": ["predict", "mnist-convnet", "nuclei.png", "--crop", "28", *COMMON],
    "predict-image": [
        "predict",
        "bloodmnist-best",
        "blood_cell.jpg",
        "--crop",
        "200",
        "--resize",
        *COMMON,
    ],
    "predict-image-size": ["predict", "bloodmnist-best", "blood_cell.jpg", *COMMON],
    "embed": ["embed", "liver-enhancer-cnn", "r200.fa", *COMMON],
    "embed-npz": ["embed", "jund-cnn-seq", "r101.fa", "-o", "a.npz", *COMMON],
    "embed-none": ["embed", "codon-convnet", "r99.fa", *COMMON],
    "scan": [
        "scan",
        "jund-cnn-seq",
        "genome.fa",
        "-o",
        "a.bw",
        "-o",
        "a.bed",
        "-o",
        "a.narrowPeak",
        "-o",
        "a.parquet",
        "-o",
        "a.npz",
        "--stride",
        "10",
        *COMMON,
    ],
    "scan-plus": ["scan", "jund-cnn-seq", "genome.fa", "-o", "-", "--strand", "+", *COMMON],
    "scan-minus": ["scan", "jund-cnn-seq", "genome.fa", "-o", "a.npz", "--strand", "-", *COMMON],
    "scan-mean": [
        "scan",
        "jund-cnn-seq",
        "genome.fa",
        "-o",
        "a.bw",
        "--reduce",
        "mean",
        "--stride",
        "25",
        *COMMON,
    ],
    "scan-regions": [
        "scan",
        "jund-cnn-seq",
        "genome.fa",
        "-o",
        "a.bed",
        "--regions",
        "regions.bed",
        "--max-n",
        "5",
        "--threshold",
        "0.2",
        "--json",
        *COMMON,
    ],
    "scan-any-length": [
        "scan",
        "rbp-cnn",
        "genome.fa",
        "-o",
        "a.npz",
        "--window",
        "41",
        "--stride",
        "40",
        *COMMON,
    ],
    "scan-bad-bed": [
        "scan",
        "jund-cnn-seq",
        "genome.fa",
        "-o",
        "a.bed",
        "--regions",
        "bad.bed",
        *COMMON,
    ],
    "scan-suffix": ["scan", "jund-cnn-seq", "genome.fa", "-o", "a.txt", *COMMON],
    "segment": [
        "segment",
        "nuclei-unet",
        "nuclei.png",
        "-o",
        "a.tif",
        "-o",
        "a.geojson",
        "-o",
        "a.csv",
        "-o",
        "a.parquet",
        "-o",
        "a.png",
        *COMMON,
    ],
    "segment-folder": [
        "segment",
        "nuclei-unet",
        "nuclei.png",
        "blood_cell.jpg",
        "-d",
        "found",
        "--tile",
        "256",
        "--json",
        *COMMON,
    ],
    "motifs": ["motifs", "liver-enhancer-cnn"],
    "motifs-meme": ["motifs", "jund-cnn", "--meme", "a.meme", "--json"],
    "kmers": ["kmers", "genome.fa", "-k", "6", "-o", "a.tsv", "-o", "a.parquet", "--quiet"],
    "kmers-canonical": [
        "kmers",
        "genome.fa",
        "-k",
        "21",
        "--canonical",
        "-o",
        "a.npz",
        "--histogram",
        "--quiet",
    ],
    "usage": ["scan"],
    "help": ["--help"],
    "help-segment": ["segment", "--help"],
}


def masked(content: bytes) -> str:
    text = content.decode("utf-8", "backslashreplace")
    for pattern, word in MASKS:
        text = re.sub(pattern, word, text)
    return text


def contents(path: Path) -> str | bytes:
    """A file's bytes; of an npz its members' (a zip keeps the time), texts masked."""
    data = path.read_bytes()
    if path.suffix == ".npz":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return repr({n: archive.read(n) for n in sorted(archive.namelist())})
    if path.suffix in {".bw", ".parquet", ".tif", ".png"}:
        return data
    return masked(data)


def outcome(program: str, arguments: list[str]) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs(folder)
        given = {path.name for path in folder.rglob("*")}
        result = subprocess.run(
            [program, *arguments], cwd=folder, capture_output=True, timeout=300, check=False
        )
        made = {
            str(path.relative_to(folder)): contents(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name not in given
        }
    return {
        "status": result.returncode,
        "stdout": masked(result.stdout),
        "stderr": masked(result.stderr),
        **made,
    }


def main() -> int:
    before, after = (str(Path(program).resolve()) for program in sys.argv[1:3])
    different = 0
    for name, arguments in CASES.items():
        if len(sys.argv) > 3 and name not in sys.argv[3:]:
            continue
        old, new = outcome(before, arguments), outcome(after, arguments)
        odd = [part for part in {**old, **new} if old.get(part) != new.get(part)]
        sizes = [f"{part} {len(str(value))}" for part, value in new.items() if part != "status"]
        verdict = "same" if not odd else f"DIFFERENT: {', '.join(odd)}"
        print(f"{name}: {verdict} (status {new['status']}, {', '.join(sizes)})")
        for part in odd:
            one, two = str(old.get(part)), str(new.get(part))
            pairs = enumerate(zip(one, two, strict=False))
            at = next((i for i, (a, b) in pairs if a != b), min(len(one), len(two)))
            shown = slice(max(0, at - 80), at + 120)
            print(f"  {part} at {at}:\n    - {one[shown]!r}\n    + {two[shown]!r}")
        different += bool(odd)
    print(f"{len(CASES)} cases, {different} differ")
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())
