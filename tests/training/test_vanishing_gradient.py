"""The study of vanishing gradients: what it measures, and that its paragraph says what it found."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the study needs torch")
pytest.importorskip("tqdm", reason="training needs tqdm")

from training.studies import vanishing_gradient as study  # noqa: E402

COMMITTED = Path(__file__).parents[2] / "training" / "studies" / "vanishing_gradient.csv"
NUMBER = r"[\d.]+(?:e\+?-?\d+)?"


def table(path: Path) -> dict[tuple[str, str], list[float]]:
    """Median gradients by method and stage, read without the study's own reader."""
    found: dict[tuple[str, str], list[float]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault((row["method"], row["stage"]), []).append(float(row["median"]))
    return found


def check_paragraph(text: str, path: Path) -> None:
    """Every claim of the paragraph against the numbers of the file."""
    sizes = table(path)
    methods = {method for method, _ in sizes}
    worst = {
        m: max(max(sizes[m, s]) / min(sizes[m, s]) for s in ("initial", "trained")) for m in methods
    }
    claim = re.search(rf"four, (.+?) gives .* gradient is ({NUMBER}) times", text)
    assert claim is not None
    four = ("skip", "batch norm", "ReLU", "ELU")
    assert claim[1] == min(four, key=worst.__getitem__)
    assert float(claim[2]) == pytest.approx(worst[claim[1]], rel=0.01)
    rest = re.search(r"stages; then (.+?) times\.", text)
    assert rest is not None
    said = [part.rsplit(" ", 1) for part in rest[1].split(", ")]
    assert [name for name, _ in said] == sorted({*four} - {claim[1]}, key=worst.__getitem__)
    for name, ratio in said:
        assert float(ratio) == pytest.approx(worst[name], rel=0.01)
    gone = re.search(r"drops to zero, below 1e-06 of the largest, in: (.+?)\.(?= [A-Z])", text)
    assert gone is not None
    named = set() if gone[1] == "none" else {p.rpartition(" (")[0] for p in gone[1].split("), ")}
    assert named == {m for m in methods if worst[m] >= 1e6}
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["stage"] == "trained"]
    accuracy = {row["method"]: float(row["accuracy"]) for row in rows}
    for name, value in accuracy.items():
        assert re.search(rf"(?:: |, ){re.escape(name)} {value:.2f}[.,]", text), name


def test_the_committed_paragraph_follows_from_the_committed_numbers() -> None:
    rows = study.read_csv(COMMITTED)
    check_paragraph(study.conclude(rows), COMMITTED)
    assert {row.method for row in rows} == set(study.METHODS)
    assert len(rows) == len(study.METHODS) * 2 * 16


def test_another_outcome_gives_another_paragraph(tmp_path: Path) -> None:
    """The paragraph is made from the numbers: swap two methods' names, and it says so."""
    swap = {"batch norm": "ReLU", "ReLU": "batch norm"}
    with COMMITTED.open(newline="") as file:
        lines = list(csv.reader(file))
    path = tmp_path / "swapped.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([[swap.get(line[0], line[0]), *line[1:]] for line in lines])
    text = study.conclude(study.read_csv(path))
    check_paragraph(text, path)
    assert "four, ReLU gives" in text


def test_the_committed_numbers_are_those_of_a_new_start() -> None:
    """Before training nothing but the seeds decides: the same numbers, up to arithmetic."""
    again = study.run_study(study.Study(steps=0))
    before = [row for row in study.read_csv(COMMITTED) if row.stage == "initial"]
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


def test_the_command_writes_figure_table_and_paragraph(tmp_path: Path, capsys) -> None:
    study.main(["--seeds", "1", "--steps", "2", "--points", "64", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    check_paragraph(printed, tmp_path / "vanishing_gradient.csv")
    assert (tmp_path / "vanishing_gradient.png").read_bytes().startswith(b"\x89PNG")
