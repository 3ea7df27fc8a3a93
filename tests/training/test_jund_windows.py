"""Windows of train between its rows, and their soft targets, against loops over single rows."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pooch", reason="the data sets need pooch")

from training.tasks.jund import data as jund
from training.tasks.jund.data import LENGTH, Labels, Segments, TrainWindows


def made_up(n: int = 300) -> tuple[Segments, Labels]:
    """A tiled chromosome with gaps: 85 % of its segments labelled, 80 % of those with sequence."""
    rng = np.random.default_rng(6)
    start = (1010 + LENGTH * np.flatnonzero(rng.random(2 * n) < 0.85)[:n]).astype(np.int32)
    labels = Labels(
        start,
        (rng.random(n) < 0.15).astype(np.float32),
        (0.17 * rng.random(n) ** 3).astype(np.float32),
    )
    rows = rng.permutation(n)[: n * 4 // 5]  # the order of train is no order
    chromosome = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, int(start.max()) + LENGTH)]
    letters = chromosome[start[rows][:, None] + np.arange(LENGTH)]
    weight = np.ones(len(rows), np.float32)
    bound, accessibility = labels.bound[rows], labels.accessibility[rows]
    return Segments(letters, bound, weight, accessibility, start[rows]), labels


def real() -> tuple[Segments, Labels]:
    """The stretch of 60 kb with the most bound rows."""
    train, labels = jund.load("train"), jund.load_labels()
    window, counts = np.unique(train.start[train.bound > 0] // 60_000, return_counts=True)
    chosen = window[counts.argmax()]
    near = np.abs(labels.start - 60_000 * (chosen + 0.5)) < 40_000
    return (
        train[train.start // 60_000 == chosen],
        Labels(labels.start[near], labels.bound[near], labels.accessibility[near]),
    )


@pytest.fixture(scope="module", params=["made up", "real"])
def parts(request) -> tuple[Segments, Labels]:
    if request.param == "made up":
        return made_up()
    if not os.environ.get("SEQTILE_DATA"):
        pytest.skip("SEQTILE_DATA, the folder of the real data sets, is not set")
    return real()


def by_start(train: Segments) -> dict[int, int]:
    return {int(start): row for row, start in enumerate(train.start)}


def test_unmoved_windows_are_the_rows(parts) -> None:
    train, labels = parts
    windows = TrainWindows(train, labels)
    assert np.array_equal(windows.letters(windows.starts), train.letters)
    starts, bound, auxiliary = windows.shifted(np.arange(len(train)), np.random.default_rng(0), 0)
    assert np.array_equal(starts, train.start)
    assert np.array_equal(bound, train.bound)
    assert np.array_equal(auxiliary, windows.auxiliary)


@pytest.mark.parametrize("reach", [1, 50, 101])
def test_shifted_windows_hold_the_neighbours_bases_and_mixed_labels(parts, reach) -> None:
    train, labels = parts
    windows, rows_at = TrainWindows(train, labels), by_start(train)
    rows = np.random.default_rng(1).integers(0, len(train), 4000)
    starts, bound, auxiliary = windows.shifted(rows, np.random.default_rng(2), reach)
    assert bound.dtype == auxiliary.dtype == np.float32
    assert windows.auxiliary.shape == (len(train), 10)
    found = windows.letters(starts)
    assert ord("N") not in np.unique(found)
    moves = set()
    for i, row in enumerate(rows):
        own = int(train.start[row])
        shift = int(starts[i]) - own
        moves.add(shift)
        other = rows_at[own + int(math.copysign(LENGTH, shift))] if shift else row
        pieces = (train.letters[row], train.letters[other])
        expected = np.concatenate(pieces if shift > 0 else pieces[::-1]) if shift else pieces[0]
        begin = shift if shift >= 0 else LENGTH + shift
        assert found[i].tobytes() == expected[begin : begin + LENGTH].tobytes()
        share = abs(shift) / LENGTH
        mixed = (1 - share) * train.bound[row] + share * train.bound[other]
        assert bound[i] == pytest.approx(mixed, abs=1e-6)
        mixed = (1 - share) * windows.auxiliary[row] + share * windows.auxiliary[other]
        assert auxiliary[i] == pytest.approx(mixed, abs=1e-6)
    assert moves == set(range(-reach, reach + 1))


def test_rows_move_only_into_neighbours_of_train(parts) -> None:
    train, labels = parts
    windows, rows_at = TrainWindows(train, labels), by_start(train)
    sides: dict[tuple[bool, bool], list[int]] = {}
    for start, row in rows_at.items():
        kind = (start - LENGTH in rows_at, start + LENGTH in rows_at)
        sides.setdefault(kind, []).append(row)
    assert len(sides) == 4  # alone, first, last, within
    rng = np.random.default_rng(3)
    for (left, right), members in sides.items():
        rows = rng.choice(members, 3000)
        starts, _, _ = windows.shifted(rows, rng, 50)
        shift = starts - train.start[rows]
        # Of 101 shifts 50 go either way, and stay if nobody is there.
        assert (shift < 0).mean() == pytest.approx(left * 50 / 101, abs=0.05 * left)
        assert (shift > 0).mean() == pytest.approx(right * 50 / 101, abs=0.05 * right)


def test_segments_without_sequence_are_not_moved_into() -> None:
    """The middle one of three has a label, and no sequence."""
    table = np.frombuffer(b"AC", np.uint8)
    start = np.array([0, LENGTH, 2 * LENGTH], np.int32)
    train = Segments(
        np.repeat(table[:, None], LENGTH, 1),
        np.zeros(2, np.float32),
        np.ones(2, np.float32),
        np.zeros(2, np.float32),
        start[[0, 2]],
    )
    labels = Labels(start, np.array([0, 1, 0], np.float32), np.zeros(3, np.float32))
    windows = TrainWindows(train, labels)
    starts, bound, _ = windows.shifted(np.repeat([0, 1], 200), np.random.default_rng(0), 50)
    assert set(starts.tolist()) == {0, 2 * LENGTH}
    assert bound.max() == 0
    assert windows.auxiliary[:, 8:].tolist() == [[1, 1], [1, 1]]  # but its label is known


@pytest.mark.parametrize("reach", [-1, 102])
def test_reach_beyond_the_neighbour_is_an_error(reach) -> None:
    windows = TrainWindows(*made_up())
    with pytest.raises(ValueError, match=f"reach must be 0 to 101, not {reach}"):
        windows.shifted(np.arange(3), np.random.default_rng(0), reach)


def ranks(values: list[float]) -> list[float]:
    """(how many are smaller, ties by row + one half) over how many there are."""
    n = len(values)
    return [
        (sum((other, j) < (value, i) for j, other in enumerate(values)) + 0.5) / n
        for i, value in enumerate(values)
    ]


def test_auxiliary_targets_row_by_row(parts) -> None:
    train, labels = parts
    known = {
        int(start): (float(bound), math.log(float(openness) + 5e-4))
        for start, bound, openness in zip(
            labels.start, labels.bound, labels.accessibility, strict=True
        )
    }

    def around(start: int, radius: int) -> list[tuple[float, float]]:
        places = range(start - radius * LENGTH, start + radius * LENGTH + 1, LENGTH)
        return [known[place] for place in places if place in known]

    def mean(start: int, radius: int) -> float:
        values = [openness for _, openness in around(start, radius)]
        return sum(values) / len(values)

    starts = train.start.tolist()
    own = ranks(train.accessibility.tolist())
    near, wide = (ranks([mean(start, radius) for start in starts]) for radius in (2, 5))
    found = TrainWindows(train, labels).auxiliary
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    for column, (values, cut) in enumerate(
        [
            (own, None),
            (own, 0.9),
            (own, 0.97),
            (own, 0.995),
            (near, None),
            (near, 0.95),
            (wide, None),
            (wide, 0.97),
        ]
    ):
        expected = values if cut is None else [value > cut for value in values]
        np.testing.assert_allclose(found[:, column], expected, atol=1e-6, err_msg=str(column))
    for column, radius in ((8, 1), (9, 3)):
        expected = [max(bound for bound, _ in around(start, radius)) for start in starts]
        assert found[:, column].tolist() == expected
        assert 0 < found[:, column].mean() < 1


def test_targets_of_all_of_train(data_root: Path) -> None:
    """Their frequencies; what the labels around say agrees with the rows' own."""
    train = jund.load("train")
    found = TrainWindows(train, jund.load_labels()).auxiliary
    assert found.shape == (163_737, 10)
    assert found.min() >= 0
    assert found.max() <= 1
    shares = found.mean(0)
    expected = [0.5, 0.1, 0.03, 0.005, 0.5, 0.05, 0.5, 0.03]
    np.testing.assert_allclose(shares[:8], expected, atol=1e-5)
    assert (found[train.bound > 0, 8] == 1).all()
    assert (found[:, 9] >= found[:, 8]).all()
    assert train.bound.mean() < shares[8] < shares[9] < 0.05
