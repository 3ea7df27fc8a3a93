"""Figures of networks of many proteins: a mean over proteins, a row and a mark for each of them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from seqtile.models.card import Baseline, Metric

from ...lab.pictures import canvas
from ..rbp.data import Probes

Floats = NDArray[np.floating]
ROUNDS = 1000


@dataclass(frozen=True)
class Correlations:
    """Pearson's r of one method for each protein, and the same over resamplings of the probes.

    Attributes
    ----------
    values
        float64, shape (proteins,).
    drawn
        float64, shape (rounds, proteins).
    """

    values: Floats
    drawn: Floats

    @property
    def mean(self) -> float:
        """Over the proteins."""
        return float(self.values.mean())

    def interval(self) -> tuple[float, float]:
        """95 % of the mean, over probes: how sure the figure of these proteins is."""
        return _percentiles(self.drawn.mean(1))

    def over_proteins(self) -> tuple[float, float]:
        """95 % of the mean, over proteins: how it might be of others like these."""
        rng = np.random.default_rng(0)
        chosen = rng.integers(0, len(self.values), (10 * ROUNDS, len(self.values)))
        return _percentiles(self.values[chosen].mean(1))

    def minus(self, other: Correlations) -> Correlations:
        """The gain over another method on the same probes, resampled alike."""
        return Correlations(self.values - other.values, self.drawn - other.drawn)


def _percentiles(values: Floats) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return round(float(low), 4), round(float(high), 4)


def correlations(targets: Floats, predictions: Floats, *, rounds: int = ROUNDS) -> Correlations:
    """Pearson's r of each column, with every resampling the same for all methods.

    Parameters
    ----------
    targets, predictions
        Shape (n, proteins).
    """
    x, y = (_standard(a) for a in (targets, predictions))
    # All that r needs of a row; a resampling is a weighted sum of rows.
    parts = np.concatenate([x, y, x * x, y * y, x * y], 1)
    rng = np.random.default_rng(0)
    drawn = []
    for start in range(0, rounds, 50):
        weights = [
            np.bincount(rng.integers(0, len(x), len(x)), minlength=len(x))
            for _ in range(min(50, rounds - start))
        ]
        drawn.append(np.stack(weights).astype(np.float64) @ parts / len(x))
    sums = np.concatenate([parts.mean(0, keepdims=True), *drawn])
    mx, my, xx, yy, xy = np.split(sums, 5, axis=1)
    r = (xy - mx * my) / np.sqrt((xx - mx * mx) * (yy - my * my))
    return Correlations(r[0], r[1:])


def _standard(values: Floats) -> Floats:
    values = values.astype(np.float64)
    return (values - values.mean(0)) / values.std(0)


def ranks(values: Floats) -> Floats:
    """Of each column, so that `correlations` of ranks are Spearman's."""
    return np.asarray(rankdata(values, axis=0), np.float64)


def agreement(probes: Probes, rows: NDArray[np.int64], columns: Sequence[int]) -> Floats:
    """Pearson's r of the two measurements of the sequences that stand twice among ``rows``.

    A perfect prediction would agree with a measurement no better than the root of this.
    """
    pairs = probes.repeats(rows)
    one, other = (probes.intensity[pairs[:, i]][:, columns] for i in (0, 1))
    return np.asarray((_standard(one) * _standard(other)).mean(0))


def metric(name: str, split: str, n: int, found: Correlations) -> Metric:
    """The mean over proteins, as a card's figure."""
    low, high = found.over_proteins()
    note = f"mean over {len(found.values)} proteins; over proteins [{low:.3f}, {high:.3f}]"
    return Metric(name, split, n, round(found.mean, 4), found.interval(), note)


def baseline(name: str, split: str, n: int, found: Correlations, method: str) -> Baseline:
    """The same figure of another method."""
    return Baseline(name, split, n, round(found.mean, 4), found.interval(), method=method)


def write_table(
    path: Path,
    proteins: Sequence[str],
    repeats: Floats,
    methods: Mapping[str, Correlations],
) -> None:
    """CSV: a row per protein, then their mean; ``repeats`` is the agreement of measurements."""
    rows = [("repeats", repeats), ("ceiling", np.sqrt(np.maximum(repeats, 0)))]
    rows += [(name, found.values) for name, found in methods.items()]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["protein", *(name for name, _ in rows)])
        for i, protein in enumerate(proteins):
            writer.writerow([protein, *(f"{values[i]:.4f}" for _, values in rows)])
        writer.writerow(["mean", *(f"{values.mean():.4f}" for _, values in rows)])


def draw(
    path: Path,
    proteins: Sequence[str],
    repeats: Floats,
    methods: Mapping[str, Correlations],
    pair: tuple[str, str],
    title: str,
) -> None:
    """PNG: every protein's r by every method under its ceiling, and two methods' difference.

    Parameters
    ----------
    pair
        Methods whose difference, first less second, stands on the right, with 95 % intervals.
    """
    order = np.argsort(repeats)
    places = np.arange(len(order))
    figure, paper = canvas(10, 1.6 + 0.22 * len(order))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
    ceiling = np.sqrt(np.maximum(repeats, 0))[order]
    left.barh(places, ceiling, color="0.92", label="ceiling: root of the repeats' agreement")
    for (name, found), mark in zip(methods.items(), "x^sDo", strict=False):
        left.plot(found.values[order], places, mark, markersize=6, fillstyle="none", label=name)
    left.set_yticks(places, [proteins[i] for i in order])
    left.set_xlabel("Pearson r")
    left.set_xlim(0, 1)
    figure.legend(
        *left.get_legend_handles_labels(),
        frameon=False,
        fontsize=8,
        loc="outside lower center",
        ncols=6,
    )
    gain = methods[pair[0]].minus(methods[pair[1]])
    low, high = np.percentile(gain.drawn, [2.5, 97.5], axis=0)
    right.hlines(places, low[order], high[order], color="0.6")
    right.plot(gain.values[order], places, "o", markersize=4, color="black")
    right.axvline(0, color="0.8", zorder=0)
    right.axvline(gain.mean, linestyle=":", color="tab:red", label=f"mean {gain.mean:+.4f}")
    right.set_xlabel(f"r of {pair[0]} less r of {pair[1]}")
    right.legend(frameon=False, fontsize=8)
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=10)
    paper.print_figure(path, format="png")
