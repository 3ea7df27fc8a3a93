"""Commands in processes of their own, start-up and all, against the work alone and against peers.

pytest benches/bench_verbs.py --benchmark-only -s

`predict` on FASTA is in bench_predict, start-up alone in bench_import.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqtile
from benches.bare import LANES, THREADED, Bare, cut
from benches.compare import peers, record, side_by_side, speed_ratio
from benches.sequences import genome_letters
from seqtile.segmenting.options import SegmentOptions

MODEL, WINDOW, ROUNDS = "jund-cnn-seq", 101, 3
BASES = 20_000_000
Calls = dict[str, Callable[[], object]]


def seqtile_command(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "seqtile", *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def run(*command: object) -> None:
    subprocess.run([*map(str, command)], check=True, capture_output=True)


def write_fasta(path: Path, letters: Any, names: str = "genome") -> Path:
    """Letters (n, L), a record a row; one long row in lines of 60."""
    with path.open("wb") as file:
        if len(letters) == 1:
            whole = letters[0][: letters.shape[1] // 60 * 60].reshape(-1, 60)
            lines = np.full((len(whole), 61), ord("\n"), np.uint8)
            lines[:, :60] = whole
            file.write(f">{names}\n".encode() + lines.tobytes())
        else:
            for i, row in enumerate(letters):
                file.write(b">%s_%d\n%s\n" % (names.encode(), i, row.tobytes()))
    return path


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verbs")
    return write_fasta(folder / "genome.fa", genome_letters(BASES)[None])


@pytest.mark.parametrize(("k", "canonical"), [(6, False), (21, True)])
def test_kmers(benchmark: Any, genome: Path, tmp_path: Path, k: int, canonical: bool) -> None:
    """The whole command against the counting of letters in memory; KMC and jellyfish beside."""
    (found,) = seqtile.read_fasta(genome)
    letters = found.sequence.copy()
    flags = ["--canonical"] * canonical
    target = tmp_path / "ours.npz"

    def ours() -> object:
        return seqtile_command("kmers", genome, "-k", k, *flags, "-o", target, "--quiet")

    def in_memory() -> Any:
        return seqtile.kmer_counts(letters, k, canonical=canonical, threads=2)

    def kmc() -> None:
        if not shutil.which("kmc"):
            raise ImportError("kmc")
        both = [] if canonical else ["-b"]
        run(
            "kmc",
            f"-k{k}",
            "-ci1",
            "-cs4294967295",
            "-fm",
            "-t2",
            *both,
            genome,
            tmp_path / "kmc",
            tmp_path,
        )

    def jellyfish() -> None:
        if not shutil.which("jellyfish"):
            raise ImportError("jellyfish")
        both = ["-C"] * canonical
        run(
            "jellyfish",
            "count",
            *both,
            "-m",
            k,
            "-s",
            "64M",
            "-t",
            2,
            "-o",
            tmp_path / "jf",
            genome,
        )

    ours()
    with np.load(target) as written:
        counts = written["counts"]
    expected = in_memory()
    expected = expected[expected > 0] if isinstance(expected, np.ndarray) else expected.counts
    assert counts.sum() == expected.sum()
    assert len(counts[counts > 0]) == len(expected)
    record(
        benchmark,
        f"seqtile kmers -k {k} {' '.join(flags)} of {BASES / 1e6:.0f} Mb",
        speed_ratio(ours, in_memory, ROUNDS),
        limit="kmer_counts of letters in memory, 2 threads",
        target=None,
        rate=(BASES / 1e6, "Mbases/s"),
        peers=peers(ours, {"KMC": kmc, "jellyfish": jellyfish}, 1),
    )
    benchmark.pedantic(lambda: None, rounds=1)  # all was measured above


def test_embed(benchmark: Any, tmp_path: Path) -> None:
    count, bare = 100_000, Bare(MODEL, "embedding")
    letters = genome_letters(count * WINDOW).reshape(count, WINDOW)
    fasta, target = write_fasta(tmp_path / "w.fa", letters, "window"), tmp_path / "ours.npz"
    batches = cut(letters, 128)

    def ours() -> object:
        return seqtile_command("embed", MODEL, fasta, "-o", target, "--device", "cpu", "--quiet")

    ratios = side_by_side(
        ours, {THREADED: lambda: bare.run(batches), LANES: lambda: bare.lanes(batches)}, ROUNDS
    )
    with np.load(target) as written:
        np.testing.assert_allclose(
            written["embedding"], np.concatenate(bare.run(batches)), atol=1e-5
        )
    record(
        benchmark,
        f"seqtile embed, {count:,} records to npz",
        ratios[THREADED],
        limit=THREADED,
        target=None,
        rate=(count / 1e3, "thousand windows/s"),
        peers={LANES: ratios[LANES].median},
    )
    benchmark.pedantic(lambda: None, rounds=1)


def test_scan(benchmark: Any, tmp_path: Path) -> None:
    """Both strands at stride 1 of 100 kb into a bigWig and a BED file."""
    bases, bare = 100_000, Bare(MODEL)
    letters = genome_letters(bases)
    fasta = write_fasta(tmp_path / "g.fa", letters[None])
    (found,) = seqtile.read_fasta(fasta)
    views = [
        np.lib.stride_tricks.sliding_window_view(strand, WINDOW)
        for strand in (found.sequence, seqtile.reverse_complement(found.sequence))
    ]
    batches = [batch for view in views for batch in cut(view, 128)]
    count = sum(map(len, batches))
    outputs = [tmp_path / "ours.bw", tmp_path / "ours.bed"]

    def ours() -> object:
        targets = [part for path in outputs for part in ("-o", path)]
        return seqtile_command("scan", MODEL, fasta, *targets, "--device", "cpu", "--quiet")

    ratios = side_by_side(
        ours, {THREADED: lambda: bare.run(batches), LANES: lambda: bare.lanes(batches)}, ROUNDS
    )
    with pytest.importorskip("pyBigWig").open(str(outputs[0])) as track:
        values = track.values("genome", 0, len(found.sequence), numpy=True)
    plus, minus = np.split(np.concatenate(bare.run(batches)).ravel(), 2)
    known = np.flatnonzero(~np.isnan(values))
    if len(known) == len(plus):  # no window left out for an N
        np.testing.assert_allclose(values[known], np.maximum(plus, minus[::-1]), atol=1e-5)
    else:
        assert len(known) > 0.9 * len(plus)
    record(
        benchmark,
        f"seqtile scan, {bases:,} bases, both strands, to bigWig and BED",
        ratios[THREADED],
        limit=THREADED,
        target=0.95,
        rate=(count / 1e3, "thousand windows/s"),
        peers={LANES: ratios[LANES].median},
    )
    benchmark.pedantic(lambda: None, rounds=1)


def test_segment(benchmark: Any, tmp_path: Path) -> None:
    """The packaged picture of nuclei, three by three, to labels and a table."""
    import cv2
    import tifffile

    grey = seqtile.read_image(seqtile.example_path("nuclei"))
    grey = np.tile(grey if grey.ndim == 2 else grey[..., 0], (3, 3))
    source, labels = tmp_path / "nuclei.png", tmp_path / "ours.tif"
    assert cv2.imwrite(str(source), grey)
    card, bare = seqtile.card("nuclei-unet"), Bare("nuclei-unet")
    plan = SegmentOptions().plan(card, *grey.shape)
    tiles = seqtile.tile(
        grey.astype(np.uint8), plan.size, overlap=plan.overlap, multiple=plan.multiple
    ).array
    names = [tensor.name for tensor in card.outputs]

    def ours() -> object:
        return seqtile_command(
            "segment",
            "nuclei-unet",
            source,
            "-o",
            labels,
            "-o",
            tmp_path / "ours.csv",
            "--device",
            "cpu",
            "--quiet",
        )

    def alone() -> object:
        return [bare.session.run(names, {bare.input: tile[None]}) for tile in tiles]

    ratio = speed_ratio(ours, alone, ROUNDS)
    written = tifffile.imread(labels)
    whole = seqtile.segment(seqtile.load("nuclei-unet", device="cpu"), grey.astype(np.uint8))
    np.testing.assert_array_equal(written, whole.labels)
    record(
        benchmark,
        f"seqtile segment, {grey.shape[0]} x {grey.shape[1]}, to TIFF and CSV",
        ratio,
        limit=f"{THREADED}, on cut tiles",
        target=0.95,
        rate=(grey.size / 1e6, "Mpixels/s"),
    )
    benchmark.pedantic(lambda: None, rounds=1)


def test_predict_images(benchmark: Any, tmp_path: Path) -> None:
    """Two thousand small images from a folder to a table; the same by OpenCV and a loop."""
    import cv2

    model, count = "bloodmnist-cnn-pool", 2_000
    bare = Bare(model)
    images = np.random.default_rng(0).integers(0, 256, (count, 28, 28, 3), np.uint8)
    folder, target, other = tmp_path / "images", tmp_path / "ours.tsv", tmp_path / "theirs.tsv"
    folder.mkdir()
    for i, image in enumerate(images):
        assert cv2.imwrite(str(folder / f"{i:05}.png"), image[..., ::-1])
    batches = cut(images, 64)

    def ours() -> object:
        return seqtile_command("predict", model, folder, "-o", target, "--device", "cpu", "--quiet")

    imread: Any = cv2.imread

    def with_opencv() -> None:
        with other.open("w", newline="") as file:
            table = csv.writer(file, delimiter="\t")
            paths = sorted(os.scandir(folder), key=lambda entry: entry.name)
            for begin in range(0, count, 64):
                part = paths[begin : begin + 64]
                read = np.stack([imread(path.path)[..., ::-1] for path in part])
                (scores,) = bare.session.run([bare.output], {bare.input: read})
                table.writerows(
                    [path.path, *(f"{v:.6g}" for v in row.tolist())]
                    for path, row in zip(part, scores, strict=True)
                )

    ratios = side_by_side(
        ours,
        {
            THREADED: lambda: bare.run(batches),
            LANES: lambda: bare.lanes(batches),
            "OpenCV, onnxruntime, csv in a running process": with_opencv,
        },
        ROUNDS,
    )
    with target.open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    labels = seqtile.card(model).outputs[0].labels
    found = np.array([[float(row[f"{bare.output}_{label}"]) for label in labels] for row in rows])
    np.testing.assert_allclose(found, np.concatenate(bare.run(batches)), rtol=1e-4, atol=1e-6)
    record(
        benchmark,
        f"seqtile predict, {count:,} PNG of 28 x 28 to a table",
        ratios.pop(THREADED),
        limit=THREADED,
        target=None,
        rate=(count / 1e3, "thousand images/s"),
        peers={name: ratio.median for name, ratio in ratios.items()},
    )
    benchmark.pedantic(lambda: None, rounds=1)
