"""Networks of letters and accessibility against plain implementations built from their weights."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import seqtile  # noqa: E402
from training.tasks.jund.networks import SequenceCNN  # noqa: E402
from training.tasks.jund_accessibility.networks import (  # noqa: E402
    CourseCNN,
    CourseLSTM,
    CourseMLP,
    ProbabilityWithAccessibility,
    SequenceLSTM,
    SequenceMLP,
    WithAccessibility,
)

BRANCHES = {
    "mlp": lambda: SequenceMLP(hidden=24, width=6, dropout=0.5),
    "cnn": lambda: SequenceCNN(convs=((16, 8, 1),), hidden=6, dropout=0.5),
    "lstm": lambda: SequenceLSTM(filters=12, hidden=5, width=6, dropout=0.5),
}


def inputs(n: int = 7, length: int = 101) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(4)
    letters = np.frombuffer(b"ACGTacgtN", np.uint8)[rng.integers(0, 9, (n, length))]
    accessibility = (rng.random((n, 1)) ** 3 * 0.167).astype(np.float32)
    accessibility[0] = 0
    return torch.from_numpy(letters), torch.from_numpy(accessibility)


def one_hot(letters: torch.Tensor) -> torch.Tensor:
    """float32 (N, 4, L)."""
    return torch.from_numpy(np.stack([seqtile.one_hot(row.tobytes()) for row in letters.numpy()]))


def joined(name: str) -> WithAccessibility:
    torch.manual_seed(3)
    network = WithAccessibility(BRANCHES[name](), -6.0, 1.5).eval()
    network.head.copy_(torch.tensor([0.7, 1.2, -0.4]))
    return network


@pytest.mark.parametrize("name", BRANCHES)
def test_head_joins_the_logarithm_of_accessibility(name) -> None:
    network, (letters, accessibility) = joined(name), inputs()
    with torch.no_grad():
        sequence = network.sequence_logit(letters)[:, 0].numpy()
        found = network(letters, accessibility)
    assert found.shape == (7, 1)
    opened = (np.log(accessibility[:, 0].numpy() + 5e-4) + 6.0) / 1.5
    np.testing.assert_allclose(found[:, 0].numpy(), 0.7 * sequence + 1.2 * opened - 0.4, atol=1e-5)
    assert np.ptp(sequence) > 1e-3


@pytest.mark.parametrize("name", BRANCHES)
def test_shipped_network_is_the_trained_one_with_its_embedding(name) -> None:
    network, (letters, accessibility) = joined(name), inputs()
    shipped = ProbabilityWithAccessibility(network).eval()
    with torch.no_grad():
        probability, embedding = shipped(letters, accessibility)
        torch.testing.assert_close(
            probability, torch.sigmoid(network(letters, accessibility))[:, 0]
        )
        torch.testing.assert_close(embedding[:, :-1], network.branch.embed(letters))
        torch.testing.assert_close(embedding[:, -1:], network.openness(accessibility))
        torch.testing.assert_close(torch.sigmoid(shipped.last(embedding))[:, 0], probability)
    assert embedding.shape == (7, 7)
    assert {name for name, _ in shipped.last.named_parameters()} == {"weight", "bias"}


@pytest.mark.parametrize("name", BRANCHES)
def test_learning_leaves_the_head_alone(name) -> None:
    network = joined(name)
    assert not {"head", "mean", "deviation"} & {n for n, _ in network.named_parameters()}
    network(*inputs()).sum().backward()
    assert all(
        p.grad is not None for n, p in network.named_parameters() if not n.endswith("norm.bias")
    )


def test_mlp_reads_every_place() -> None:
    network, (letters, _) = BRANCHES["mlp"]().eval(), inputs()
    flat = one_hot(letters).flatten(1)
    with torch.no_grad():
        first = torch.relu(flat @ network.first.weight.T + network.first.bias)
        expected = torch.relu(first @ network.second.weight.T + network.second.bias)
        torch.testing.assert_close(network.embed(letters), expected)


def test_lstm_reads_its_last_states() -> None:
    """The recurrence written out, forwards and backwards."""
    torch.manual_seed(0)
    network, (letters, _) = BRANCHES["lstm"]().eval(), inputs(3)
    convolution = network.trunk[0]
    with torch.no_grad():
        hot = one_hot(letters)
        maps = functional.conv1d(hot, convolution.weight[:, :, 0], convolution.bias).clamp(min=0)
        maps = functional.max_pool1d(maps, 4)
        assert maps.shape == (3, 12, 23)
        states = [run(network.lstm, maps, reverse=False), run(network.lstm, maps, reverse=True)]
        both = torch.cat(states, 1)
        expected = torch.relu(both @ network.second.weight.T + network.second.bias)
        torch.testing.assert_close(network.embed(letters), expected, atol=1e-5, rtol=1e-4)


def run(lstm: nn.LSTM, maps: torch.Tensor, *, reverse: bool) -> torch.Tensor:
    suffix = "_l0_reverse" if reverse else "_l0"
    w, r, b, c = (
        getattr(lstm, name + suffix) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    hidden = cell = torch.zeros(len(maps), lstm.hidden_size)
    for place in reversed(range(maps.shape[2])) if reverse else range(maps.shape[2]):
        gates = maps[:, :, place] @ w.T + b + hidden @ r.T + c
        enter, forget, new, out = gates.chunk(4, 1)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
        hidden = torch.sigmoid(out) * torch.tanh(cell)
    return hidden


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        (CourseMLP, 256 * (404 + 1) + 257 + 1),
        (CourseCNN, 8 * (4 * 8 + 1) + 128 * (161 + 1) + 2 * 128 + 128 + 1),
        (CourseLSTM, 4 * 32 * (4 + 32 + 2) + 64 * (33 + 1) + 32 * (64 + 1) + 32 + 1),
    ],
)
def test_course_networks_are_the_documents(kind, parameters) -> None:
    torch.manual_seed(0)
    network, (letters, accessibility) = kind().eval(), inputs()
    assert sum(p.numel() for p in network.parameters()) == parameters
    with torch.no_grad():
        before = network(letters, accessibility)
        assert before.shape == (7, 1)
        assert (network(letters, accessibility + 1) - before).abs().min() > 1e-5
        assert (network(letters.flip(1), accessibility) - before).abs().max() > 1e-4


def test_course_cnn_pools_16_places_in_steps_of_4() -> None:
    network, (letters, _) = CourseCNN().eval(), inputs()
    convolution = network.trunk[0]
    with torch.no_grad():
        hot = one_hot(letters)
        maps = functional.conv1d(hot, convolution.weight[:, :, 0], convolution.bias).clamp(min=0)
        expected = functional.max_pool1d(maps, 16, stride=4)
        found = network.trunk(network.letters(letters))[:, :, 0]
    assert expected.shape == (7, 8, 20)  # the document's 161 inputs, accessibility among them
    torch.testing.assert_close(found, expected)
