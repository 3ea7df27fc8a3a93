"""Track files, read back by their own libraries and compared with windows cut one by one."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pyBigWig
import pytest
from Bio.Seq import Seq

import seqtile
from seqtile import OutputError, Predictor, scan
from seqtile.scanning.report import ScanReport, write_scan
from tests.python.models import motif_score
from tests.python.oracle import (
    Row,
    Tracks,
    check_rows,
    check_tracks,
    peaks,
    per_base,
    reduced,
    scan_rows,
    write_fasta,
)

THRESHOLD = 0.65


def _letters(n: int) -> str:
    return "".join(np.random.default_rng(n).choice(list("ACGTacgt"), n))


GENOME = {
    "chr1": _letters(900) + "N" * 40 + _letters(301),
    "short": "ACGTACGTACG",
    "empty": "",
    "unknown": "N" * 60,
    "chr2": _letters(507),
}


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fasta(tmp_path_factory.mktemp("genome") / "genome.fa", GENOME)


@pytest.fixture(scope="module")
def motif(limited: Callable[..., Predictor]) -> Predictor:
    """Peaks and regions must span blocks."""
    return limited(scan_windows=13)


def truth(stride: int) -> list[Row]:
    """The scored windows."""
    rows = scan_rows(GENOME, motif_score, window=12, stride=stride)
    return [row for row in rows if not math.isnan(row.score)]


def read_bigwig(path: Path) -> Tracks:
    with pyBigWig.open(str(path)) as file:
        assert file.isBigWig()
        sizes = dict(file.chroms())
        tracks = {chrom: file.values(chrom, 0, size, numpy=True) for chrom, size in sizes.items()}
    return {chrom: tracks.get(chrom, np.empty(0)).astype(np.float64) for chrom in GENOME}


def read_parquet(path: Path) -> list[Row]:
    columns = pq.read_table(path).to_pydict()
    assert list(columns) == ["chrom", "start", "end", "score", "strand"]
    return [Row(*fields) for fields in zip(*columns.values(), strict=True)]


def read_npz(path: Path) -> list[Row]:
    rows = []
    with np.load(path) as arrays:
        keys = [key for key in arrays if "/" not in key]
        for key in keys:
            chrom, _, span = key.rpartition(":")
            start, end = map(int, span.split("-"))
            first, step = arrays[f"{key}/grid"].tolist()
            signs = arrays[f"{key}/strand"].tolist() if f"{key}/strand" in arrays else None
            scores = arrays[key]
            assert scores.dtype == np.float32
            for j, score in enumerate(scores.tolist()):
                begin = first + j * step
                sign = ".+-"[signs[j]] if signs else "."
                rows.append(Row(chrom, max(begin, start), min(begin + step, end), score, sign))
    return rows


def read_bed(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text().splitlines()]


def write(
    motif: Predictor,
    genome: Path,
    target: Path,
    stride: int = 3,
    merge_gap: int | None = 0,
    **options: object,
) -> ScanReport:
    work = scan(motif, genome, stride=stride, **options)
    return write_scan(work, [target], threshold=THRESHOLD, merge_gap=merge_gap)


# the formats


@pytest.mark.parametrize("suffix", [".bw", ".bigWig"])
@pytest.mark.parametrize("stride", [1, 3, 12, 25])
def test_bigwig(motif: Predictor, genome: Path, tmp_path: Path, stride: int, suffix: str) -> None:
    path = tmp_path / f"track{suffix}"
    write(motif, genome, path, stride)
    check_tracks(read_bigwig(path), per_base(GENOME, truth(stride)))
    with pyBigWig.open(str(path)) as file:
        assert file.chroms() == {name: len(s) for name, s in GENOME.items() if s}


@pytest.mark.parametrize("reduce", ["mean", "max"])
def test_bigwig_reduced(motif: Predictor, genome: Path, tmp_path: Path, reduce: str) -> None:
    path = tmp_path / "track.bw"
    write(motif, genome, path, reduce=reduce)
    how = max if reduce == "max" else lambda values: sum(values) / len(values)
    check_tracks(read_bigwig(path), reduced(GENOME, motif_score, how, window=12, stride=3))


@pytest.mark.parametrize("stride", [1, 3, 12, 25])
def test_parquet(motif: Predictor, genome: Path, tmp_path: Path, stride: int) -> None:
    path = tmp_path / "track.parquet"
    write(motif, genome, path, stride)
    check_rows(read_parquet(path), truth(stride))


@pytest.mark.parametrize("stride", [1, 3, 12, 25])
def test_npz(motif: Predictor, genome: Path, tmp_path: Path, stride: int) -> None:
    path = tmp_path / "track.npz"
    write(motif, genome, path, stride)
    check_rows(read_npz(path), scan_rows(GENOME, motif_score, window=12, stride=stride))
    with np.load(path) as arrays:
        pieces = [key.rpartition(":")[0] for key in arrays if "/" not in key]
    assert pieces == ["chr1", "unknown", "chr2"]


def test_reduced_rows(motif: Predictor, genome: Path, tmp_path: Path) -> None:
    work = scan(motif, genome, stride=3, reduce="max")
    write_scan(work, [tmp_path / "a.npz", tmp_path / "a.parquet"])
    expected = reduced(GENOME, motif_score, max, window=12, stride=3)
    check_tracks(per_base(GENOME, read_npz(tmp_path / "a.npz")), expected)
    rows = read_parquet(tmp_path / "a.parquet")
    check_tracks(per_base(GENOME, rows), expected)
    assert {row.strand for row in rows} == {"."}


def test_regions_in_every_format(motif: Predictor, genome: Path, tmp_path: Path) -> None:
    regions = [("chr1", 100, 201), ("chr1", 407, 450), ("chr2", 7, 500)]
    work = scan(motif, genome, stride=5, regions=regions)
    outputs = [tmp_path / name for name in ("a.bw", "a.parquet", "a.npz", "a.bed")]
    write_scan(work, outputs, threshold=THRESHOLD)
    expected = per_base(GENOME, [])
    whole = per_base(GENOME, truth(5))
    for chrom, start, end in regions:
        expected[chrom][start:end] = whole[chrom][start:end]
    check_tracks(read_bigwig(tmp_path / "a.bw"), expected)
    check_tracks(per_base(GENOME, read_parquet(tmp_path / "a.parquet")), expected)
    check_tracks(per_base(GENOME, read_npz(tmp_path / "a.npz")), expected)
    for chrom, start, end, *_ in read_bed(tmp_path / "a.bed"):
        assert any(
            chrom == name and first <= int(start) < int(end) <= last
            for name, first, last in regions
        )


@pytest.mark.parametrize("stride", [1, 3, 12, 25])
@pytest.mark.parametrize("suffix", [".bed", ".narrowPeak"])
@pytest.mark.parametrize(("merge_gap", "gap"), [(0, 0), (5, 5), (None, 12)])
def test_peaks(
    motif: Predictor,
    genome: Path,
    tmp_path: Path,
    stride: int,
    suffix: str,
    merge_gap: int | None,
    gap: int,
) -> None:
    """Of runs as near as told; by default, as the window is long."""
    path = tmp_path / f"peaks{suffix}"
    report = write(motif, genome, path, stride, merge_gap)
    expected = peaks(truth(stride), THRESHOLD, gap)
    assert len(expected) > 8
    lines = read_bed(path)
    assert [line[:6] for line in lines] == [
        [chrom, str(start), str(end), f"peak_{i}", str(int(score * 1000)), strand]
        for i, (chrom, start, end, _, score, strand) in enumerate(expected, 1)
    ]
    if suffix == ".narrowPeak":
        assert [float(line[6]) for line in lines] == pytest.approx(
            [peak[4] for peak in expected], abs=1e-5
        )
        assert [line[7:] for line in lines] == [["-1", "-1", str(p[3] - p[1])] for p in expected]
    assert report.peaks == len(expected)


@pytest.mark.parametrize("top", [0, 1, 4, 10_000])
def test_the_best_peaks(motif: Predictor, genome: Path, top: int) -> None:
    report = write_scan(scan(motif, genome), [], threshold=THRESHOLD, top=top, merge_gap=0)
    expected = sorted(peaks(truth(1), THRESHOLD, 0), key=lambda peak: -peak[4])
    assert report.peaks == len(expected)
    found = [(p.chrom, p.start, p.end, p.summit, p.score, p.strand) for p in report.top]
    assert [f[:4] + f[5:] for f in found] == [e[:4] + e[5:] for e in expected[:top]]
    assert [f[4] for f in found] == pytest.approx([e[4] for e in expected[:top]], abs=1e-6)


def test_the_threshold_of_the_card_is_the_default(motif: Predictor, genome: Path) -> None:
    assert write_scan(scan(motif, genome), []).threshold == motif.card.threshold.value


@pytest.mark.parametrize("name", ["a.bw", "a.bed", "a.narrowPeak", "a.parquet", "a.npz"])
def test_nothing_to_write(motif: Predictor, tmp_path: Path, name: str) -> None:
    """Unknown letters alone: the file is whole and holds no score."""
    genome = write_fasta(tmp_path / "x.fa", {"chr1": "N" * 100, "short": "ACG"})
    report = write_scan(scan(motif, genome), [tmp_path / name])
    assert (report.windows, report.unknown_windows, report.peaks) == (89, 89, 0)
    assert report.short == {"short": 3}
    path = tmp_path / name
    if name == "a.bw":
        with pyBigWig.open(str(path)) as file:
            assert file.chroms() == {"chr1": 100, "short": 3}
            assert file.header()["nBasesCovered"] == 0
    elif name == "a.parquet":
        assert read_parquet(path) == []
    elif name == "a.npz":
        assert all(math.isnan(row.score) for row in read_npz(path))
        assert len(read_npz(path)) == 89
    else:
        assert path.read_text() == ""


# the main job


EXAMPLE = {
    r.name: r.sequence.tobytes().decode() for r in seqtile.read_fasta(seqtile.example_path("chr22"))
}


@pytest.mark.parametrize("stride", [1, 10, 101])
@pytest.mark.parametrize("strand", ["+", "-", "both"])
def test_bigwig_equals_predictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strand: str, stride: int
) -> None:
    """1,000 random bases of the real example, against the windows cut by plain Python."""
    monkeypatch.undo()  # blocks of the real size
    predictor = seqtile.load("jund-cnn-seq", device="cpu")
    window = predictor.window or predictor.card.training["window"]
    regions = None
    if stride == 1:  # both ends of every record
        regions = [(n, 0, 800) for n in EXAMPLE]
        regions += [(n, len(s) - 800, len(s)) for n, s in EXAMPLE.items()]
    path = tmp_path / "track.bw"
    work = scan(
        predictor, seqtile.example_path("chr22"), stride=stride, strand=strand, regions=regions
    )
    write_scan(work, [path])

    rng = np.random.default_rng(22)
    spans = regions or [(name, 0, len(letters)) for name, letters in EXAMPLE.items()]
    sizes = np.array([end - start for _, start, end in spans])
    picked = rng.choice(len(spans), 1000, p=sizes / sizes.sum())
    cut, found, outside = [], [], 0
    with pyBigWig.open(str(path)) as track:
        for i in picked.tolist():
            chrom, start, end = spans[i]
            base = int(rng.integers(start, end))
            begin = (base - (window - stride) // 2) // stride * stride
            (value,) = track.values(chrom, base, base + 1)
            if 0 <= begin <= len(EXAMPLE[chrom]) - window:
                cut.append(EXAMPLE[chrom][begin : begin + window])
                found.append(value)
            else:
                assert math.isnan(value)
                outside += 1
    assert len(found) + outside == 1000
    assert len(found) > 900
    plus = predictor.predict(cut)[predictor.outputs[0]]
    minus = predictor.predict([str(Seq(s).reverse_complement()) for s in cut])[predictor.outputs[0]]
    expected = {"+": plus, "-": minus, "both": np.maximum(plus, minus)}[strand]
    np.testing.assert_allclose(found, expected.reshape(-1), rtol=0, atol=1e-5)
    assert not np.allclose(plus, minus, rtol=0, atol=1e-5)


def test_small_regions_share_a_row_group(motif: Predictor, genome: Path, tmp_path: Path) -> None:
    regions = [("chr1", start, start + 10) for start in range(0, 800, 20)]
    regions += [("chr2", start, start + 10) for start in range(100, 500, 20)]
    path = tmp_path / "a.parquet"
    write_scan(scan(motif, genome, regions=regions), [path])
    assert pq.ParquetFile(path).num_row_groups == 1
    expected = per_base(GENOME, [])
    whole = per_base(GENOME, truth(1))
    for chrom, start, end in regions:
        expected[chrom][start:end] = whole[chrom][start:end]
    check_tracks(per_base(GENOME, read_parquet(path)), expected)


# names

LATIN, ODD = "caf\udce9", "$x_{1$\x1b[31m\N{SNOWMAN}"
NAMED = {LATIN: _letters(80), ODD: _letters(70), "": _letters(60)}


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("named") / "genome.fa"
    text = "".join(f">{name}\n{letters}\n" for name, letters in NAMED.items())
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def test_names_keep_their_bytes_in_text(motif: Predictor, named: Path, tmp_path: Path) -> None:
    for suffix in ("bed", "narrowPeak"):
        path = tmp_path / f"a.{suffix}"
        write_scan(scan(motif, named), [path], threshold=0)
        names = [line.split(b"\t")[0] for line in path.read_bytes().splitlines()]
        assert names == [b"caf\xe9", ODD.encode(), b""]
    write_scan(scan(motif, named), [tmp_path / "a.bw"], threshold=0)
    assert b"caf\xe9" in (tmp_path / "a.bw").read_bytes()
    with pyBigWig.open(str(tmp_path / "a.bw")) as file:
        assert file.chroms(ODD) == 70


def test_names_where_text_is_utf_8(motif: Predictor, named: Path, tmp_path: Path) -> None:
    paths = [tmp_path / "a.parquet", tmp_path / "a.npz"]
    write_scan(scan(motif, named), paths, threshold=0, plot=tmp_path / "a.png")
    names = ["caf\\xe9", ODD, ""]
    assert list(dict.fromkeys(row.chrom for row in read_parquet(paths[0]))) == names
    assert list(dict.fromkeys(row.chrom for row in read_npz(paths[1]))) == names
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_the_only_name_may_be_none(motif: Predictor, tmp_path: Path) -> None:
    genome = tmp_path / "x.fa"
    genome.write_text(f">\n{_letters(60)}\n")
    write_scan(scan(motif, genome), [tmp_path / "a.bw"], threshold=0)
    with pyBigWig.open(str(tmp_path / "a.bw")) as file:
        assert list(file.chroms().values()) == [60]


def test_a_name_longer_than_65_535_bytes(motif: Predictor, tmp_path: Path) -> None:
    name = "n" * 70_000
    genome = write_fasta(tmp_path / "x.fa", {"a": _letters(60), name: _letters(60)})
    paths = [tmp_path / f"a.{suffix}" for suffix in ("bw", "bed", "parquet")]
    write_scan(scan(motif, genome), paths, threshold=0, plot=tmp_path / "a.png")
    assert [line.split("\t")[0] for line in paths[1].read_text().splitlines()] == ["a", name]
    assert {row.chrom for row in read_parquet(paths[2])} == {"a", name}
    with pyBigWig.open(str(paths[0])) as file:
        assert file.chroms(name) == 60
    done: list[int] = []
    target = tmp_path / "a.npz"
    with pytest.raises(OutputError, match=r"a\.npz: cannot write: the name of record 'nnn.*70,000"):
        write_scan(scan(motif, genome), [target], progress=done.append)
    assert done == []
    assert not target.exists()


def test_a_long_output_name(motif: Predictor, genome: Path, tmp_path: Path) -> None:
    """The manifest's name is the longer one."""
    target = tmp_path / ("a" * (255 - len(".bed.manifest.json")) + ".bed")
    write_scan(scan(motif, genome), [target])
    assert len(list(tmp_path.iterdir())) == 2
    done: list[int] = []
    with pytest.raises(OSError, match="File name too long"):
        write_scan(scan(motif, genome), [target.with_name(f"b{target.name}")], progress=done.append)
    assert done == []
    assert len(list(tmp_path.iterdir())) == 2
