"""One network for many RNA-binding proteins: its parts against plain ones, the script as run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("sklearn", reason="training needs scikit-learn")
pytest.importorskip("onnx", reason="the export needs onnx")

import seqtile  # noqa: E402
from seqtile.models.zoo import read_card  # noqa: E402
from training.tasks.rbp.data import Probes  # noqa: E402
from training.tasks.rbp_multi import figures as table  # noqa: E402
from training.tasks.rbp_multi import train as train_rbp_multi  # noqa: E402
from training.tasks.rbp_multi.networks import MultiAffinity, ProteinHeads, RnaMulti, masked_mse  # noqa: E402

NAME = "rbp-multi"
# torch.onnx warns of its own use of itself.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def make(proteins: int = 5) -> RnaMulti:
    """A small network in ``eval()`` whose norms have work to do."""
    torch.manual_seed(3)
    network = RnaMulti(
        proteins=proteins, identity=4, motifs=12, width=5, filters=10, depth=2, hidden=8
    ).eval()
    with torch.no_grad():
        for name, tensor in (*network.named_parameters(), *network.named_buffers()):
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif tensor.dtype == torch.float32 and "letters" not in name:
                tensor.normal_()
    return network


def rnas(*sequences: str, padding: int = 0) -> torch.Tensor:
    longest = max(map(len, sequences)) + padding
    text = "".join(s.ljust(longest, "N") for s in sequences)
    return torch.from_numpy(np.frombuffer(text.encode(), np.uint8).reshape(-1, longest).copy())


PROBES = rnas("AGGUAGUAGUUCCGA", "AGGACCAUUUUUGCAUGGA", "UUUUUUUU", "AGANNACGGAUAC")


def test_heads_are_bilinear() -> None:
    torch.manual_seed(0)
    heads = ProteinHeads(6, 3, 4)
    h = torch.randn(5, 6)
    weigh, offset = heads.weigh.weight.tolist(), heads.offset.weight[0].tolist()
    for n in range(5):
        for p, e in enumerate(heads.identity.tolist()):
            weights = [sum(w * x for w, x in zip(row, e, strict=True)) for row in weigh]
            expected = sum(w * x for w, x in zip(weights, h[n].tolist(), strict=True))
            expected += sum(v * x for v, x in zip(offset, e, strict=True)) + heads.offset.bias
            assert heads(h)[n, p].item() == pytest.approx(expected.item(), abs=1e-5)


def test_a_protein_is_found_again_from_its_affinities() -> None:
    torch.manual_seed(1)
    heads = ProteinHeads(16, 3, 4)
    h = torch.rand(200, 16)
    affinities = heads(h).detach()
    for protein in range(3):
        found = heads.identity_of(h, affinities[:, protein], ridge=1e-9)
        torch.testing.assert_close(found, heads.identity[protein].detach(), atol=1e-3, rtol=1e-3)
    # The more it is held back, the shorter it is.
    lengths = [heads.identity_of(h, affinities[:, 0], ridge=r).norm() for r in (1e-9, 1, 100)]
    assert lengths[0] > lengths[1] > lengths[2] > 0


def test_masked_loss_by_hand() -> None:
    nan = float("nan")
    predictions = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    loss = masked_mse(predictions, torch.tensor([[0.0, nan], [nan, 1.0]]))
    assert loss.item() == (1 + 9) / 2
    loss.backward()
    assert predictions.grad is not None
    assert predictions.grad.tolist() == [[1.0, 0.0], [0.0, 3.0]]
    assert masked_mse(predictions, torch.full((2, 2), nan)).item() == 0


def test_a_masked_protein_moves_nothing_of_its_own() -> None:
    network = make()
    targets = torch.randn(4, 5)
    targets[:, 2] = torch.nan
    masked_mse(network(PROBES)[0], targets).backward()
    assert isinstance(network.last, ProteinHeads)
    moved = network.last.identity.grad.abs().sum(1) > 0
    assert moved.tolist() == [True, True, False, True, True]


def test_shipped_network_is_the_trained_one_in_units_of_the_data() -> None:
    network = make()
    mean, deviation = torch.arange(5.0), torch.arange(1.0, 6.0)
    with torch.no_grad():
        scaled, embedding = network(PROBES)
        affinity, shown = MultiAffinity(network, mean, deviation)(PROBES)
    assert affinity.shape == (4, 5)
    assert scaled.std(0).min() > 0.1
    torch.testing.assert_close(affinity, scaled * deviation + mean, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(shown, embedding)


@pytest.mark.parametrize("padding", [1, 2, 30])
def test_padding_changes_nothing_and_unknown_letters_inside_do(padding) -> None:
    shipped = MultiAffinity(make(), torch.zeros(5), torch.ones(5)).eval()
    longer = torch.nn.functional.pad(PROBES, (0, padding), value=ord("N"))
    with torch.no_grad():
        affinity, embedding = shipped(PROBES)
        again, features = shipped(longer)
        alone = shipped(PROBES[2:3, :8])[0]
        inside, _ = shipped(rnas("AGGUAGNNGUUCCGA"))
    torch.testing.assert_close(again, affinity)
    torch.testing.assert_close(features, embedding)
    torch.testing.assert_close(alone, affinity[2:3])
    assert (inside - affinity[:1]).abs().min() > 1e-3


def test_correlations_are_numpys() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(60, 3)) * [1, 5, 0.2] + [0, 100, -3]
    near = (truth + rng.normal(size=(60, 3)) * [0.5, 9, 0.05]).astype(np.float32)
    found = table.correlations(truth, near, rounds=120)
    expected = [np.corrcoef(truth[:, i], near[:, i])[0, 1] for i in range(3)]
    np.testing.assert_allclose(found.values, expected, atol=1e-6)
    assert found.mean == pytest.approx(np.mean(expected))
    assert found.drawn.shape == (120, 3)
    rows = np.random.default_rng(0).integers(0, 60, 60)  # of the first resampling
    drawn = [np.corrcoef(truth[rows, i], near[rows, i])[0, 1] for i in range(3)]
    np.testing.assert_allclose(found.drawn[0], drawn, atol=1e-6)
    low, high = found.interval()
    assert low < found.mean < high
    low, high = found.over_proteins()
    assert min(expected) - 1e-4 <= low < found.mean < high <= max(expected) + 1e-4
    # The same resamplings for every method, so that a difference has its own interval.
    worse = table.correlations(truth, near + rng.normal(size=(60, 3)), rounds=120)
    gain = found.minus(worse)
    np.testing.assert_allclose(gain.drawn[7], found.drawn[7] - worse.drawn[7])
    assert found.minus(found).interval() == (0, 0)


def test_ranks_give_spearman() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(1)
    one, other = rng.integers(0, 9, (50, 2)), rng.normal(size=(50, 2))
    other += one
    found = table.correlations(table.ranks(one), table.ranks(other), rounds=0)
    expected = [spearmanr(one[:, i], other[:, i]).statistic for i in range(2)]
    np.testing.assert_allclose(found.values, expected, atol=1e-9)


def test_agreement_of_repeats() -> None:
    values = np.array([[1, 9], [5, 0], [1, 8], [2, 0], [5, 1], [2, 1], [7, 7]], np.float32)
    probes = Probes(
        letters=np.zeros((7, 41), np.uint8),
        lengths=np.zeros(7, np.int32),
        set_a=np.ones(7, bool),
        intensity=values,
        proteins=("one", "two"),
        groups=np.array([0, 1, 0, 2, 1, 2, 3], np.int32),
    )
    found = table.agreement(probes, np.arange(7), [0, 1])
    pairs = [[9, 8], [0, 1], [0, 1]]
    np.testing.assert_allclose(found, [1, np.corrcoef(np.array(pairs).T)[0, 1]], atol=1e-6)


OPTIONS = [
    "--smoke",
    "--device",
    "cpu",
    "--threads",
    "1",
    "--batch",
    "64",
    "--motifs",
    "24",
    "--filters",
    "16",
    "--same-motifs",
    "16",
    "--same-filters",
    "16",
    "--depth",
    "1",
    "--same-depth",
    "1",
    "--width",
    "7",
]


@pytest.fixture(scope="module")
def trained(data_root: Path, tmp_path_factory, exported_once) -> Path:
    """Folder of a run with export that looked at no probe of set B."""
    folder = tmp_path_factory.mktemp("multi")
    run = train_rbp_multi.Task.run

    def of_set_a_alone(task, network, rows):
        assert task.probes.set_a[rows].all()
        return run(task, network, rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQTILE_DATA", str(data_root.resolve()))
        patch.setattr(train_rbp_multi.Task, "run", of_set_a_alone)
        train_rbp_multi.main(
            [*OPTIONS, "--runs", str(folder / "runs"), "--export", "--exported", str(folder)]
        )
    return folder


def test_smoke_run_learns_and_says_so(trained: Path) -> None:
    card = read_card(trained / NAME)
    report = json.loads((trained / "runs" / NAME / "best-smoke" / "report.json").read_text())
    names = [(m.name, m.split) for m in card.metrics]
    assert names == [("pearson_mean", "valid"), ("spearman_mean", "valid")]
    assert card.metrics[0].value > 0.15
    assert {b.name for b in card.baselines} == {m.name for m in card.metrics}
    assert len(card.baselines) == 8
    found = [m["value"] for m in report["metrics"]]
    assert found == [m.value for m in (*card.metrics, *card.baselines)]
    assert set(report["added"]) == {"RBP24"}
    few, every = report["added"]["RBP24"]["valid"].values()
    assert every > max(few - 0.05, 0.15)
    with (trained / NAME / "proteins.csv").open(newline="") as file:
        rows = {row["protein"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["RBP21", "RBP22", "RBP23", "RBP24", "mean"]
    assert float(rows["mean"]["multi"]) == card.metrics[0].value
    assert float(rows["RBP24"]["repeats"]) == pytest.approx(0.967, abs=0.001)
    assert float(rows["RBP24"]["ceiling"]) == pytest.approx(0.967**0.5, abs=0.001)


def test_exported_model(trained: Path) -> None:
    predictor = seqtile.load(trained / NAME, device="cpu")
    with np.load(trained / NAME / "golden.npz") as golden:
        letters, affinity = golden["sequence"], golden["affinity"]
    found = predictor.predict(letters)["affinity"]
    assert found.shape == (24, 4)
    assert predictor.card.outputs[0].labels == ("RBP21", "RBP22", "RBP23", "RBP24")
    np.testing.assert_allclose(found, affinity, atol=1e-5)
    assert np.ptp(found, axis=0).min() > 1e-3
    # In the units of the data: the probes' intensities are about as large.
    assert 1 < found.mean() < 2.5


def test_held_proteins_are_checked_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--held 'RBP99': expected of RBP1, "):
        train_rbp_multi.main([*OPTIONS, "--held", "RBP24,RBP99", "--runs", str(tmp_path / "runs")])
    assert list(tmp_path.iterdir()) == []
