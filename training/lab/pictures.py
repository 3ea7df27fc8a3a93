"""Histories as files, and the pictures of a training run."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

History = list[dict[str, float]]


def write_history(path: Path, history: History) -> None:
    """A CSV row per epoch."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        for row in history:
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


def canvas(width: float, height: float) -> tuple[Any, Any]:
    """A figure of this size in inches and its canvas, without any global state of pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    return figure, FigureCanvasAgg(figure)


def plot_history(path: Path, history: History, title: str) -> None:
    """Loss and figures per epoch, side by side, as PNG."""
    epochs = [row["epoch"] for row in history]
    losses = [key for key in history[0] if key.endswith("loss")]
    figures = [key for key in history[0] if key not in (*losses, "epoch", "step")]
    figure, paper = canvas(9, 3.2)
    for axis, keys in zip(figure.subplots(1, 2), (losses, figures), strict=True):
        for key in keys:
            axis.plot(epochs, [row[key] for row in history], marker=".", label=key)
        _finish(axis, "epoch", "")
    figure.suptitle(title, fontsize=10)
    paper.print_figure(path, format="png")


def compare_histories(
    path: Path, histories: Mapping[str, History], keys: Sequence[str], title: str
) -> None:
    """One panel per key (a column of the histories), one line per history, as PNG."""
    figure, paper = canvas(4.5 * len(keys), 3.2)
    for axis, key in zip(figure.subplots(1, len(keys), squeeze=False)[0], keys, strict=True):
        for name, history in histories.items():
            axis.plot(
                [row["epoch"] for row in history],
                [row[key] for row in history],
                marker=".",
                label=name,
            )
        _finish(axis, "epoch", key)
    figure.suptitle(title, fontsize=10)
    paper.print_figure(path, format="png")


def confusion_matrix(
    path: Path,
    labels: NDArray[Any],
    predicted: NDArray[Any],
    names: Sequence[str],
    title: str,
) -> NDArray[np.int64]:
    """Counts of true class (rows) against predicted class (columns), drawn and returned.

    Parameters
    ----------
    labels, predicted
        Shape (n,): class numbers from 0.
    names
        Of the classes.

    Returns
    -------
    int64, shape (classes, classes).
    """
    size = len(names)
    counts = metrics.confusion_matrix(
        np.asarray(labels, np.int64), np.asarray(predicted, np.int64), labels=range(size)
    )
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure, paper = canvas(1.6 + 0.9 * size, 1.4 + 0.8 * size)
    axis = figure.subplots()
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i in range(size):
        for j in range(size):
            axis.text(
                j,
                i,
                f"{counts[i, j]:,}\n{share[i, j]:.1%}",
                ha="center",
                va="center",
                fontsize=9,
                color="white" if share[i, j] > 0.5 else "black",
            )
    axis.set_xticks(range(size), names)
    axis.set_yticks(range(size), names, rotation=90, va="center")
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    axis.spines[:].set_visible(False)
    figure.suptitle(title, fontsize=10)
    paper.print_figure(path, format="png")
    return counts


def _finish(axis: Any, x: str, y: str) -> None:
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.legend(frameon=False, fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
