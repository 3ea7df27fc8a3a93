"""Genome scans against windows cut one by one, blocks of any size, every policy."""

from __future__ import annotations

import gzip
import io
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

import seqtile
from seqtile import Fasta, InputSpec, Predictor, scan
from seqtile.errors import (
    AlphabetError,
    ContigNotFoundError,
    IntervalError,
    ShapeError,
)
from seqtile.models.zoo import read_card
from seqtile.regions.intervals import Interval
from seqtile.scanning.scanner import Scan
from tests.python.models import counts_model, model_folder, motif_model, motif_score, write_card
from tests.python.oracle import (
    Tracks,
    block_rows,
    check_rows,
    check_tracks,
    per_base,
    reduced,
    scan_rows,
    write_fasta,
)
from tests.python.sessions import batch_sizes

WINDOW = 12
STRIDES = [1, 2, 5, 12, 30]
STRANDS = ["+", "-", "both"]
HOW = {"mean": fmean, "max": max}


def _letters(n: int, alphabet: str = "ACGT") -> str:
    rng = np.random.default_rng(n)
    return "".join(rng.choice(list(alphabet), n))


GENOME = {
    "mixed": _letters(333, "ACGTacgtU"),
    "gaps": _letters(70) + "N" * 40 + _letters(61) + "R" + _letters(58) + "-x" + _letters(40),
    "short": "ACGTACGTACG",
    "exact": "TTTACGTACGTA",
    "empty": "",
    "unknown": "N" * 50,
    "palindromes": "ACGT" * 20,
    "last": _letters(145),
}


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fasta(tmp_path_factory.mktemp("genome") / "genome.fa", GENOME)


@pytest.fixture(scope="module", params=["whole", "small blocks"])
def either(
    request: pytest.FixtureRequest, motif: Predictor, limited: Callable[..., Predictor]
) -> Predictor:
    """Takes sequences in one block, or in many of a few windows each."""
    return motif if request.param == "whole" else limited(scan_windows=7, block_bases=60)


def scanned(work: Scan) -> Tracks:
    return per_base(GENOME, block_rows(work))


# one score per window


@pytest.mark.parametrize("max_n", [0, 1, 5])
@pytest.mark.parametrize("strand", STRANDS)
@pytest.mark.parametrize("stride", STRIDES)
def test_every_window(
    either: Predictor, genome: Path, stride: int, strand: str, max_n: int
) -> None:
    work = scan(either, genome, window=WINDOW, stride=stride, strand=strand, max_n=max_n)
    rows = list(block_rows(work))
    expected = list(
        scan_rows(GENOME, motif_score, window=WINDOW, stride=stride, strand=strand, max_n=max_n)
    )
    scored = [row for row in expected if not math.isnan(row.score)]
    assert len(scored) > 10
    check_rows((row for row in rows if not math.isnan(row.score)), scored)
    assert len(rows) == len(expected) == work.total_windows == work.done_windows
    assert work.unknown_windows == len(expected) - len(scored)


def test_small_blocks_are_many(either: Predictor, motif: Predictor, genome: Path) -> None:
    """What the other tests vary."""
    count = len(list(scan(either, genome, window=WINDOW)))
    assert count == 6 if either is motif else count > 60


def test_the_window_of_the_card_is_the_default(motif: Predictor, genome: Path) -> None:
    assert scan(motif, genome).window == 12 == motif.card.training["window"]


def test_a_dense_track_has_neither_gaps_nor_overlap(motif: Predictor, genome: Path) -> None:
    for stride in (1, 5, 12):
        work = scan(motif, genome, window=WINDOW, stride=stride, regions=[("mixed", 0, 333)])
        written = ~np.isnan(scanned(work)["mixed"])
        first = (WINDOW - stride) // 2
        last = (333 - WINDOW) // stride * stride + first + stride
        np.testing.assert_array_equal(np.flatnonzero(written), np.arange(first, last))


def test_scores_stand_at_the_centre(motif: Predictor, genome: Path) -> None:
    """By hand: window 0 of stride 2 covers [0, 12) and writes [5, 7), window 1 [7, 9)."""
    work = scan(motif, genome, window=12, stride=2, regions=[("mixed", 6, 8)])
    rows = list(block_rows(work))
    assert [(row.start, row.end) for row in rows] == [(6, 7), (7, 8)]
    assert [row.score for row in rows] == pytest.approx(
        [
            max(motif_score(s), motif_score(seqtile.reverse_complement(s)))
            for s in (GENOME["mixed"][0:12], GENOME["mixed"][2:14])
        ],
        abs=1e-6,
    )


def test_equal_strands_count_as_plus(motif: Predictor, genome: Path) -> None:
    work = scan(motif, genome, regions=[("palindromes", 0, 80)], strand="both", stride=2)
    (block,) = work
    np.testing.assert_array_equal(block.strands, np.ones(35, np.int8))


@pytest.mark.parametrize(("strand", "sign"), [("+", 1), ("-", -1)])
def test_one_strand_is_told(motif: Predictor, genome: Path, strand: str, sign: int) -> None:
    for block in scan(motif, genome, strand=strand):
        assert block.strands.tolist() == [sign] * len(block.scores)


def test_both_is_the_better_strand(motif: Predictor, genome: Path) -> None:
    plus, minus, both = (
        np.concatenate([b.scores for b in scan(motif, genome, strand=s)]) for s in STRANDS
    )
    signs = np.concatenate([b.strands for b in scan(motif, genome)])
    known = ~np.isnan(plus)
    np.testing.assert_array_equal(both[known], np.maximum(plus, minus)[known])
    np.testing.assert_array_equal(signs[known] == -1, minus[known] > plus[known])
    assert {1, -1} == set(signs[known].tolist())


@pytest.mark.parametrize("batch_size", [1, 5, "auto"])
def test_the_batch_size_changes_nothing(
    motif: Predictor, genome: Path, batch_size: int | str
) -> None:
    rows = block_rows(scan(motif, genome, stride=3, batch_size=batch_size))
    check_rows(rows, block_rows(scan(motif, genome, stride=3, batch_size=64)))


def test_a_fixed_batch(genome: Path, motif: Predictor, tmp_path: Path) -> None:
    path = motif_model(tmp_path / "m.onnx", batch=4, length=WINDOW)
    fixed = seqtile.load(path, input=InputSpec(layout="bytes"))
    check_rows(block_rows(scan(fixed, genome)), block_rows(scan(motif, genome)))


# what is read


def test_kinds_of_input(motif: Predictor, genome: Path, tmp_path: Path) -> None:
    expected = list(block_rows(scan(motif, genome, stride=3)))
    packed = tmp_path / "x.fa.gz"
    packed.write_bytes(gzip.compress(genome.read_bytes()))
    uneven = tmp_path / "uneven.fa"
    uneven.write_text("".join(f">{k}\n{v[:1]}\n{v[1:]}\n" for k, v in GENOME.items()))
    indexed = write_fasta(tmp_path / "indexed.fa", GENOME)
    with Fasta(indexed) as fasta:
        check_rows(block_rows(scan(motif, fasta, stride=3)), expected)
    for source in (str(genome), packed, uneven, indexed, io.BytesIO(genome.read_bytes())):
        check_rows(block_rows(scan(motif, source, stride=3)), expected)


def test_no_index_is_left_beside_the_genome(motif: Predictor, tmp_path: Path) -> None:
    path = write_fasta(tmp_path / "x.fa", GENOME)
    assert len(list(scan(motif, path))) == 6
    assert [p.name for p in tmp_path.iterdir()] == ["x.fa"]


def test_short_sequences_are_listed(motif: Predictor, genome: Path) -> None:
    work = scan(motif, genome)
    assert work.short == {"short": 11, "empty": 0}
    assert work.names == tuple(GENOME)
    assert work.total_bases == sum(map(len, GENOME.values()))
    assert scan(motif, genome, regions=[("mixed", 0, 5)]).short == {}


@pytest.mark.parametrize("reduce", [None, "max"])
def test_a_wrong_letter_names_record_and_position(
    limited: Callable[..., Predictor], tmp_path: Path, reduce: str | None
) -> None:
    path = write_fasta(
        tmp_path / "x.fa", {"good": _letters(40), "bad": "ACGTN" * 9 + "E" + "A" * 9}
    )
    blocks = iter(scan(limited(scan_windows=7), path, reduce=reduce))
    with pytest.raises(AlphabetError, match="^record 'bad', position 45: .* found 'E'$") as caught:
        list(blocks)
    assert (caught.value.record, caught.value.position, caught.value.byte) == ("bad", 45, ord("E"))


# regions


REGIONS: list[Interval] = [
    ("last", 100, 145),
    ("mixed", 17, 18),
    ("gaps", 60, 180),
    ("mixed", 40, 90),
    ("mixed", 80, 133),
    ("mixed", 133, 140),
    ("short", 2, 9),
    ("palindromes", 0, 80),
]


def cut(tracks: Tracks) -> Tracks:
    """The regions' bases of a whole track."""
    result = {chrom: np.full(len(values), np.nan) for chrom, values in tracks.items()}
    for chrom, start, end in REGIONS:
        result[chrom][start:end] = tracks[chrom][start:end]
    return result


@pytest.mark.parametrize("reduce", [None, "mean", "max"])
@pytest.mark.parametrize("stride", STRIDES)
def test_regions_are_the_whole_scan_cut(
    either: Predictor, genome: Path, stride: int, reduce: str | None
) -> None:
    whole = scanned(scan(either, genome, stride=stride, reduce=reduce))
    work = scan(either, genome, stride=stride, reduce=reduce, regions=REGIONS)
    check_tracks(scanned(work), cut(whole))
    assert work.regions == "6 from intervals"
    assert work.total_bases == 45 + 1 + 120 + 100 + 7 + 80


@pytest.mark.parametrize("reduce", [None, "mean"])
def test_any_single_base_is_the_whole_scan_cut(
    motif: Predictor, genome: Path, reduce: str | None
) -> None:
    for stride in (1, 5, 30):
        whole = scanned(scan(motif, genome, stride=stride, reduce=reduce))["mixed"]
        bases = np.array(
            [
                scanned(scan(motif, genome, stride=stride, reduce=reduce, regions=[(c, b, b + 1)]))[
                    c
                ][b]
                for c, b in (("mixed", b) for b in range(0, 333, 9))
            ]
        )
        np.testing.assert_allclose(bases, whole[::9], rtol=0, atol=1e-6)


def test_regions_of_a_bed_file(motif: Predictor, genome: Path, tmp_path: Path) -> None:
    lines = ["browser position x", "track name=x", "# note", ""]
    lines += [f"{c}\t{s}\t{e}\tname\t0\t+" for c, s, e in REGIONS]
    bed = tmp_path / "regions.bed"
    bed.write_text("\r\n".join(lines))
    work = scan(motif, genome, regions=bed)
    check_rows(block_rows(work), block_rows(scan(motif, genome, regions=REGIONS)))
    assert work.regions == f"6 from {bed}"


def test_region_outside(motif: Predictor, genome: Path) -> None:
    with pytest.raises(
        IntervalError, match="^interval 0: region mixed:300-334 is outside .* of 333 bases$"
    ):
        scan(motif, genome, regions=[("mixed", 300, 334)])
    with pytest.raises(ContigNotFoundError, match="no record 'mixd'; did you mean 'mixed'"):
        scan(motif, genome, regions=[("mixd", 0, 5)])


# reduced to bases


@pytest.mark.parametrize("max_n", [0, 5])
@pytest.mark.parametrize("reduce", HOW)
@pytest.mark.parametrize("stride", STRIDES)
def test_reduce(either: Predictor, genome: Path, stride: int, reduce: str, max_n: int) -> None:
    work = scan(either, genome, stride=stride, reduce=reduce, max_n=max_n)
    options = {"window": WINDOW, "stride": stride, "max_n": max_n}
    expected = reduced(GENOME, motif_score, HOW[reduce], **options)
    assert np.isnan(expected["gaps"]).any()
    check_tracks(scanned(work), expected)
    assert work.done_windows == work.total_windows


@pytest.mark.parametrize("strand", STRANDS)
def test_reduce_has_no_strand(motif: Predictor, genome: Path, strand: str) -> None:
    work = scan(motif, genome, stride=3, reduce="mean", strand=strand)
    blocks = list(work)
    assert {block.strands for block in blocks} == {None}
    expected = reduced(GENOME, motif_score, fmean, window=WINDOW, stride=3, strand=strand)
    check_tracks(per_base(GENOME, block_rows(blocks)), expected)


# any sequence


@settings(deadline=None, max_examples=60)
@given(
    letters=st.text("ACGTacgtuN", max_size=70),
    window=st.integers(3, 15),
    stride=st.integers(1, 20),
    strand=st.sampled_from(STRANDS),
    max_n=st.integers(0, 4),
    block=st.integers(1, 9),
    region=st.tuples(st.integers(0, 69), st.integers(1, 70)),
)
def test_any_scan(
    limited: Callable[..., Predictor],
    letters: str,
    window: int,
    stride: int,
    strand: str,
    max_n: int,
    block: int,
    region: tuple[int, int],
) -> None:
    text = {"x": letters}
    source = f">x\n{letters}\n".encode()
    options = {"window": window, "stride": stride, "strand": strand, "max_n": max_n}
    rows = list(scan_rows(text, motif_score, **options))
    start, end = region
    predictor = limited(scan_windows=block)
    check_rows(block_rows(scan(predictor, io.BytesIO(source), **options)), rows)
    for how, over in HOW.items():
        blocks = scan(predictor, io.BytesIO(source), reduce=how, **options)
        whole = reduced(text, motif_score, over, **options)
        check_tracks(per_base(text, block_rows(blocks)), whole)
        if start < end <= len(letters):
            blocks = scan(
                predictor, io.BytesIO(source), reduce=how, regions=[("x", *region)], **options
            )
            part = per_base(text, block_rows(blocks))["x"]
            np.testing.assert_allclose(part[start:end], whole["x"][start:end], atol=1e-6)
            assert np.isnan(np.delete(part, np.s_[start:end])).all()


# what is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 0}, "stride must be at least 1, not 0"),
        ({"stride": -3}, "stride must be at least 1, not -3"),
        ({"strand": "."}, "strand must be '\\+', '-' or 'both', not '.'"),
        ({"reduce": "median"}, "reduce must be 'mean', 'max' or None, not 'median'"),
        ({"max_n": -1}, "max_n must not be negative, not -1"),
        ({"batch_size": 0}, "batch_size must be 'auto' or at least 1, not 0"),
        ({"window": 2}, "tiny takes windows of at least 3 bases, not 2"),
        ({"window": 0}, "tiny takes windows of at least 3 bases, not 0"),
        ({"window": -5}, "tiny takes windows of at least 3 bases, not -5"),
    ],
)
def test_bad_parameter(
    motif: Predictor, genome: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        scan(motif, genome, **options)


def test_another_window_than_the_model_takes(genome: Path, tmp_path: Path) -> None:
    fixed = seqtile.load(
        motif_model(tmp_path / "m.onnx", length=20), input=InputSpec(layout="bytes")
    )
    assert scan(fixed, genome).window == 20
    with pytest.raises(ShapeError, match="^m takes windows of 20 bases, not 21$"):
        scan(fixed, genome, window=21)


def test_a_model_of_any_length_needs_a_window(genome: Path, tmp_path: Path) -> None:
    model = seqtile.load(motif_model(tmp_path / "m.onnx"), input=InputSpec(layout="bytes"))
    with pytest.raises(ValueError, match="^m takes any length: say which, with window=$"):
        scan(model, genome)


def test_a_scan_needs_one_number_per_window(genome: Path, tmp_path: Path) -> None:
    model = seqtile.load(counts_model(tmp_path / "m.onnx"), input=InputSpec())
    message = r"output 'counts' of m has the shape \(1, 4\)"
    with pytest.raises(ShapeError, match=message):
        scan(model, genome, window=9)


# memory and order of work


def test_the_batch_size_is_what_memory_held(
    motif: Predictor, genome: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = scanned(scan(motif, genome))
    work = scan(motif, genome, batch_size=40)
    assert work.batch_size == 40
    batch_sizes(monkeypatch, most=11)
    check_tracks(scanned(work), expected)
    assert work.batch_size == 10
    assert scan(motif, genome).batch_size == "auto"


def test_blocks_are_computed_when_asked_for(
    limited: Callable[..., Predictor], genome: Path
) -> None:
    work = scan(limited(scan_windows=10), genome)
    done = [work.done_windows for _ in itertools.islice(work, 3)]
    assert done == [10, 20, 30]


@pytest.mark.parametrize("reduce", [None, "mean"])
@pytest.mark.parametrize("stride", [1, 50, 5000])
def test_blocks_are_bounded(
    limited: Callable[..., Predictor],
    stride: int,
    reduce: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictor = limited(scan_windows=1000, scan_bases=10_000, block_bases=1000)
    source = io.BytesIO(b">x\n" + b"ACGTTGCAAC" * 6000 + b"\n")
    fetched: list[int] = []
    fasta = seqtile.fasta.contigs.open_contigs(source)
    fetch = fasta.fetch

    def watch(chrom: str, start: int, end: int) -> np.ndarray:
        fetched.append(end - start)
        return fetch(chrom, start, end)

    monkeypatch.setattr(fasta, "fetch", watch)
    sizes = [len(b.scores) for b in scan(predictor, fasta, stride=stride, reduce=reduce)]
    assert max(fetched) <= 10_000 + WINDOW
    assert max(sizes) <= 1000


def test_window_and_stride_of_the_contract(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "tiny")
    write_card(folder, structs.replace(read_card(folder), stride=5, training_window=9))
    work = scan(
        seqtile.load(folder, device="cpu"), write_fasta(tmp_path / "x.fa", {"a": "ACGT" * 9})
    )
    assert (work.window, work.stride) == (9, 5)
