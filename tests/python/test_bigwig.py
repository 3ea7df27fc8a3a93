"""The bigWig writer, read back by libBigWig: values, search trees, zoom levels, totals."""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path

import numpy as np
import pybigtools
import pyBigWig
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqtile import ScanBlock
from seqtile.scanning.tracks.bigwig import BigWigTrack

SMALL = {"items": 5, "fan": 3}  # sections of five scores, and trees of many levels


def block(chrom: str, start: int, end: int, first: int, step: int, scores: object) -> ScanBlock:
    return ScanBlock(chrom, start, end, first, step, np.asarray(scores, np.float32), None)


def dense(chrom: str, scores: np.ndarray, size: int = 1000) -> list[ScanBlock]:
    """A score for each base, in blocks."""
    parts = range(0, len(scores), size)
    return [block(chrom, i, i + len(s), i, 1, s) for i in parts for s in [scores[i : i + size]]]


def write(path: Path, sizes: dict[str, int], blocks: list[ScanBlock], **nodes: int) -> None:
    with path.open("wb") as file:
        track = BigWigTrack(file, sizes, **nodes)
        for part in blocks:
            track.write(part)
        track.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.bw"


def test_by_hand(path: Path) -> None:
    """Clipped ends, a gap, two sequences; in the order of the file, not of the names."""
    blocks = [
        block("chr2", 3, 12, 0, 5, [0.5, np.nan, 0.25]),
        block("chr2", 12, 14, 10, 5, [0.75]),
        block("chr1", 0, 10, 0, 5, [1.0, -2.0]),
    ]
    write(path, {"chr2": 20, "none": 0, "chr1": 10, "chr10": 7}, blocks)
    with pyBigWig.open(str(path)) as file:
        assert file.isBigWig()
        assert file.chroms() == {"chr2": 20, "chr1": 10, "chr10": 7}
        assert file.intervals("chr2") == ((3, 5, 0.5), (10, 12, 0.25), (12, 14, 0.75))
        assert file.intervals("chr1") == ((0, 5, 1.0), (5, 10, -2.0))
        assert file.intervals("chr10") is None
        header = file.header()
        assert (header["nBasesCovered"], header["sumData"]) == (16, 1 + 0.5 + 1.5 + 5 - 10)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    step=st.integers(1, 40),
    pieces=st.lists(
        st.lists(st.floats(-9, 9, width=32) | st.just(float("nan")), min_size=1, max_size=30),
        min_size=1,
        max_size=6,
    ),
    gap=st.integers(0, 9),
)
def test_any_track(path: Path, step: int, pieces: list[list[float]], gap: int) -> None:
    blocks, expected, first = [], [], 0
    for scores in pieces:
        end = first + step * len(scores)
        blocks.append(block("x", first, end, first, step, scores))
        starts = range(first, end, step)
        expected += [(s, s + step, v) for s, v in zip(starts, scores, strict=True) if v == v]
        first = end + gap
    write(path, {"a": 3, "x": first}, blocks, **SMALL)
    with pyBigWig.open(str(path)) as file:
        assert list(file.intervals("x") or ()) == expected
        assert file.header()["nBasesCovered"] == step * len(expected)


def test_search_trees_of_many_levels(path: Path) -> None:
    rng = np.random.default_rng(1)
    sizes = {f"contig{i}{'x' * (i % 7)}": int(n) for i, n in enumerate(rng.integers(0, 90, 200))}
    scores = {name: rng.random(size).astype(np.float32) for name, size in sizes.items()}
    blocks = [part for name, values in scores.items() for part in dense(name, values, 31)]
    write(path, sizes, blocks, **SMALL)
    with pyBigWig.open(str(path)) as file:
        assert file.chroms() == {name: size for name, size in sizes.items() if size}
        for name, size in file.chroms().items():
            np.testing.assert_array_equal(file.values(name, 0, size, numpy=True), scores[name])
            start, end = sorted(rng.choice(size + 1, 2, replace=False).tolist())
            np.testing.assert_array_equal(
                file.values(name, start, end, numpy=True), scores[name][start:end]
            )


def test_more_sequences_than_a_node_holds(path: Path) -> None:
    sizes = {f"c{i}": 50 + i for i in range(70_000)}
    write(path, sizes, [block(f"c{i}", 0, 50, 0, 50, [i / 8]) for i in range(0, 70_000, 250)])
    with pyBigWig.open(str(path)) as file:
        assert file.chroms() == sizes
        assert file.intervals("c69750") == ((0, 50, 69750 / 8),)
        assert file.intervals("c69751") is None


def test_names_stand_sorted(path: Path) -> None:
    """As the format's search wants them; libBigWig itself reads them all."""
    write(path, {"chr2": 9, "chr10": 8, "chr1": 7}, [])
    content = path.read_bytes()
    (at,) = struct.unpack_from("<Q", content, 8)
    assert struct.unpack_from("<IIIIQQ", content, at) == (0x78CA8C91, 256, 5, 8, 3, 0)
    assert struct.unpack_from("<BBH", content, at + 32) == (1, 0, 3)
    leaves = [struct.unpack_from("<5sII", content, at + 36 + 13 * i) for i in range(3)]
    assert leaves == [(b"chr1\0", 2, 7), (b"chr10", 1, 8), (b"chr2\0", 0, 9)]


def test_zoom_levels(path: Path) -> None:
    """Their statistics are those of the scores."""
    rng = np.random.default_rng(2)
    length = 3 << 17
    scores = rng.gamma(2, size=length).astype(np.float32)
    scores[100_000:150_000] = np.nan
    write(path, {"chr1": length, "chr2": 5000}, dense("chr1", scores, 7777))
    with pyBigWig.open(str(path)) as file:
        assert file.header()["nLevels"] == 8  # 16, 64, ... 262,144 bases; 7 fit into a third
        edges = range(0, length + 1, length // 3)
        for kind, reduce, tolerance in (
            ("mean", np.nanmean, 1e-5),
            ("max", np.nanmax, 0),
            ("min", np.nanmin, 0),
            ("std", np.nanstd, 1e-4),
            ("coverage", lambda x: np.mean(x == x), 1e-6),
        ):
            found = file.stats("chr1", type=kind, nBins=3)
            expected = [reduce(scores[a:b]) for a, b in pairwise(edges)]
            np.testing.assert_allclose(found, expected, rtol=tolerance, err_msg=kind)
        assert file.stats("chr2", nBins=2) == [None, None]


def test_zoom_records_add_up(path: Path) -> None:
    """Every level covers each scored base once, whatever the blocks."""
    scores = np.random.default_rng(3).random(5000).astype(np.float32)
    blocks = [*dense("chr1", scores, 613), *dense("chr2", scores[:100], 9)]
    write(path, {"chr1": 5000, "chr2": 5000}, blocks)
    file = pybigtools.open(str(path))
    assert file.zooms() == [16, 64, 256, 1024, 4096]
    for reduction in file.zooms():
        for chrom, values in (("chr1", scores), ("chr2", scores[:100])):
            records = list(file.zoom_records(reduction, chrom))
            starts = range(0, len(values), reduction)
            ends = [min(start + reduction, len(values)) for start in starts]
            assert [record[:2] for record in records] == list(zip(starts, ends, strict=True))
            for (start, end, found), part in zip(records, np.split(values, ends[:-1]), strict=True):
                assert found["bases_covered"] == end - start
                assert (found["min_val"], found["max_val"]) == (part.min(), part.max())
                assert found["sum"] == pytest.approx(part.sum(dtype=float), rel=1e-5)
                squares = (part.astype(float) ** 2).sum()
                assert found["sum_squares"] == pytest.approx(squares, rel=1e-5)


@pytest.mark.parametrize("sizes", [{}, {"a": 0}, {"a": 5, "b": 1 << 32}])
def test_sequences_that_do_not_fit(path: Path, sizes: dict[str, int]) -> None:
    with pytest.raises(OSError, match=r"^a bigWig needs sequences of 1 to 4,294,967,295 bases$"):
        BigWigTrack(path, sizes)


def test_the_longest_sequence(path: Path) -> None:
    end = (1 << 32) - 1
    write(path, {"a": end}, [block("a", end - 8, end, end - 8, 4, [1, 2])])
    with pyBigWig.open(str(path)) as file:
        assert file.chroms() == {"a": end}
        values = [value for *_, value in file.intervals("a", end - 9, end)]
        assert values == [1.0, 2.0]  # pyBigWig gives positions beyond 2 Gb as negative numbers


@pytest.mark.parametrize("step", [1, 7])
def test_a_second_reader_agrees(path: Path, step: int) -> None:
    """bigtools, which shares no code with libBigWig: every base, and the means of zoom levels."""
    rng = np.random.default_rng(step)
    sizes = {"chr10": 60_000, "chr2": 50_000, "chr1": 3}
    scores = {name: rng.random(size // step).astype(np.float32) for name, size in sizes.items()}
    for values in scores.values():
        values[rng.random(len(values)) < 0.1] = np.nan
    blocks = [
        block(name, 0, len(values) * step, 0, step, values)
        for name, values in scores.items()
        if len(values)
    ]
    write(path, sizes, blocks)
    file = pybigtools.open(str(path))
    assert file.chroms() == sizes
    for name, values in scores.items():
        expected = np.full(sizes[name], np.nan)
        expected[: len(values) * step] = values.repeat(step)
        np.testing.assert_array_equal(file.values(name, fillna=np.nan), expected)
        if sizes[name] > 1000:
            means = file.values(name, bins=10, summary="mean", exact=False, fillna=np.nan)
            parts = [np.nanmean(part) for part in np.split(expected, 10)]
            np.testing.assert_allclose(means, parts, atol=0.02)
