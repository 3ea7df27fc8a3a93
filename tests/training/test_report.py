"""Reports: the figures are scikit-learn's and scipy's, the intervals hold them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn.metrics", reason="the oracle")
stats = pytest.importorskip("scipy.stats", reason="the oracle")

from training.lab import report  # noqa: E402


def toy(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.3).astype(np.float32)
    return labels, (rng.normal(size=n) + labels).round(2)  # some ties


def test_binary_figures_are_sklearns() -> None:
    labels, scores = toy()
    weights = np.where(labels > 0.5, 3.0, 0.5)
    called = scores >= 0.4
    rows = report.binary(labels, scores, "valid", threshold=0.4, weights=weights, rounds=50)
    expected = {
        "roc_auc": sklearn.roc_auc_score(labels, scores),
        "pr_auc": sklearn.average_precision_score(labels, scores),
        "weighted_accuracy": sklearn.accuracy_score(labels, called, sample_weight=weights),
        "precision": sklearn.precision_score(labels, called),
        "recall": sklearn.recall_score(labels, called),
        "f1": sklearn.f1_score(labels, called),
    }
    assert {row.name: row.value for row in rows} == pytest.approx(expected, abs=1e-4)
    for row in rows:
        assert (row.split, row.n) == ("valid", 400)
        low, high = row.ci95
        assert low <= row.value <= high
        assert 0 < high - low < 0.3
    plain = report.binary(labels, scores, "valid", threshold=0.4, rounds=2)[2]
    assert plain.name == "accuracy"
    assert plain.value == pytest.approx(sklearn.accuracy_score(labels, called), abs=1e-4)


def test_no_threshold_no_decisions() -> None:
    assert [row.name for row in report.binary(*toy(), "test", rounds=2)] == ["roc_auc", "pr_auc"]


def test_nothing_called_is_not_an_error() -> None:
    rows = report.binary(*toy(), "test", threshold=99.0, rounds=5)
    assert {row.name: row.value for row in rows if row.name in ("precision", "recall", "f1")} == {
        "precision": 0,
        "recall": 0,
        "f1": 0,
    }


def test_regression_figures_are_scipys() -> None:
    rng = np.random.default_rng(1)
    truth = rng.exponential(size=300).astype(np.float32)
    given = (truth + rng.normal(size=300)).round(1).astype(np.float32)
    rows = {row.name: row for row in report.regression(truth, given, "test", rounds=50)}
    assert rows["pearson"].value == pytest.approx(stats.pearsonr(truth, given)[0], abs=1e-4)
    assert rows["spearman"].value == pytest.approx(stats.spearmanr(truth, given)[0], abs=1e-4)
    assert rows["mse"].value == pytest.approx(((truth - given) ** 2).mean(), abs=1e-4)
    assert rows["pearson"].ci95[0] < rows["pearson"].value < rows["pearson"].ci95[1]


def test_baselines_and_the_file(tmp_path: Path, capsys) -> None:
    rows = report.binary(*toy(), "valid", rounds=2)
    base = report.as_baselines(report.binary(*toy(seed=3), "valid", rounds=2), "a coin")
    assert [(b.name, b.method) for b in base] == [("roc_auc", "a coin"), ("pr_auc", "a coin")]
    report.show(rows, base)
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 4
    assert "baseline: a coin" in shown[3]
    report.write(tmp_path / "report.json", rows, base, seconds=3)
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["seconds"] == 3
    assert content["metrics"][3]["method"] == "a coin"
    assert content["metrics"][0]["value"] == rows[0].value
