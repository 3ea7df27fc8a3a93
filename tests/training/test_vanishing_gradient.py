"""The study of vanishing gradients: what it measures, and that its table says what it found."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the study needs torch")
pytest.importorskip("tqdm", reason="training needs tqdm")

from training.studies import vanishing_gradient as study  # noqa: E402
from training.studies.rows import read_csv  # noqa: E402

TRAINING = Path(__file__).parents[2] / "training"
COMMITTED, README = TRAINING / "studies" / "vanishing_gradient.csv", TRAINING / "README.md"


def table(path: Path) -> dict[tuple[str, str], list[float]]:
    """Median gradients by method and stage, read without the study's own reader."""
    found: dict[tuple[str, str], list[float]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault((row["method"], row["stage"]), []).append(float(row["median"]))
    return found


def test_the_table_says_what_the_file_holds() -> None:
    rows, sizes = read_csv(COMMITTED, study.Row), table(COMMITTED)
    assert {row.method for row in rows} == set(study.METHODS)
    assert len(rows) == len(study.METHODS) * 2 * 16
    accuracy = {row.method: row.accuracy for row in rows if row.stage == "trained"}
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in study.table(rows).splitlines()[2:]
    ]
    assert [method for method, *_ in lines] == list(study.METHODS)
    for method, *spreads, right in lines:
        for stage, spread in zip(study.STAGES, spreads, strict=True):
            medians = sizes[method, stage]
            assert float(spread) == pytest.approx(max(medians) / min(medians), rel=0.01)
        assert float(right) == pytest.approx(accuracy[method], abs=6e-3)


def test_the_readme_shows_the_committed_numbers() -> None:
    assert study.table(read_csv(COMMITTED, study.Row)) in README.read_text(encoding="utf-8")


def test_the_committed_numbers_are_those_of_a_new_start() -> None:
    """Before training nothing but the seeds decides: the same numbers, up to arithmetic."""
    again = study.run_study(study.Study(steps=0))
    before = [row for row in read_csv(COMMITTED, study.Row) if row.stage == "initial"]
    for row, fresh in zip(before, [r for r in again if r.stage == "initial"], strict=True):
        assert (row.method, row.layer) == (fresh.method, fresh.layer)
        assert row.median == pytest.approx(fresh.median, rel=0.05)


def test_the_gradient_of_a_plain_network_vanishes_layer_by_layer() -> None:
    """A sigmoid's slope is at most 1/4, and torch's weights are small: a fixed factor per layer."""
    sizes = table(COMMITTED)["plain", "initial"]
    factors = np.array(sizes[1:]) / np.array(sizes[:-1])
    assert (factors > 3).all()
    assert sizes[0] < 1e-12 * sizes[-1]


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    x, y = study.ring(32, 0)
    network = study.Deep("skip", depth=3, width=4).double()
    x, y = x.double(), y.double()
    measured = study.gradients(network, x, y)
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    for layer, size in zip(network.layers, measured, strict=True):
        weight, squares = layer.weight.data, []
        for place in np.ndindex(*weight.shape):
            found = []
            for step in (1e-5, -1e-5):
                weight[place] += step
                with torch.no_grad():
                    found.append(loss(network(x), y).item())
                weight[place] -= step
            squares.append(((found[0] - found[1]) / 2e-5) ** 2)
        assert size == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-3)


@pytest.mark.parametrize("method", study.METHODS)
def test_methods_are_what_they_are_called(method) -> None:
    torch.manual_seed(0)
    network = study.Deep(method, depth=2, width=3)
    x = torch.randn(16, 2)
    first = network.layers[0](x)
    kinds = {"ReLU": torch.relu, "ReLU from He's start": torch.relu, "ELU": torch.nn.functional.elu}
    act = kinds.get(method, torch.sigmoid)
    normal = (
        (lambda z: (z - z.mean(0)) / (z.var(0, correction=0) + 1e-5).sqrt())
        if (method == "batch norm")
        else (lambda z: z)
    )
    h = act(normal(first))
    out = act(normal(network.layers[1](h)))
    if method == "skip":
        out = out + h
    torch.testing.assert_close(network(x), network.last(out).squeeze(1))


def test_the_command_writes_figure_and_tables(tmp_path: Path, capsys) -> None:
    study.main(["--seeds", "1", "--steps", "2", "--points", "64", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    assert study.table(read_csv(tmp_path / "vanishing_gradient.csv", study.Row)) in printed
    assert (tmp_path / "vanishing_gradient.png").read_bytes().startswith(b"\x89PNG")
