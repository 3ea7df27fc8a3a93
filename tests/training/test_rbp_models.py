"""The networks for RNA-binding proteins: padding, directions, attention."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from training.tasks.rbp.networks import (  # noqa: E402
    Affinity,
    Front,
    RnaAttention,
    RnaBiLSTM,
    RnaCNN,
    RnaNetwork,
    SelfAttention,
    first_only,
    halve,
    pool,
)

SMALL: dict[type[RnaNetwork], dict[str, int]] = {
    RnaCNN: {"motifs": 16, "filters": 12, "depth": 2, "hidden": 10},
    RnaBiLSTM: {"motifs": 16, "states": 6, "hidden": 10},
    RnaAttention: {"motifs": 16, "filters": 12, "depth": 2, "heads": 3, "hidden": 10},
}
KINDS = list(SMALL)


def letters(*sequences: str, pad: int = 0, letter: str = "N") -> torch.Tensor:
    """uint8 letters, padded to the longest and ``pad`` further."""
    length = max(map(len, sequences)) + pad
    return torch.tensor([list(s.ljust(length, letter).encode()) for s in sequences]).byte()


def random_rnas(count: int, seed: int = 0, low: int = 8, high: int = 42) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACGU"), rng.integers(low, high))) for _ in range(count)]


@pytest.fixture(scope="module")
def networks() -> dict[type[RnaNetwork], RnaNetwork]:
    """Each kind, after some steps, so that norms and biases are not those of the start."""
    made = {}
    for kind in KINDS:
        torch.manual_seed(0)
        network = kind(**SMALL[kind], outputs=3, dropout=0.1).train()
        optimizer = torch.optim.Adam(network.parameters(), 1e-2)
        for seed in range(4):
            batch = letters(*random_rnas(32, seed))
            loss = ((network(batch)[0] - torch.randn(32, 3)) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        made[kind] = network.eval()
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing(networks, kind) -> None:
    network, rnas = networks[kind], random_rnas(24)
    with torch.inference_mode():
        alone = [network(letters(rna)) for rna in rnas]
        for pad, letter in itertools.product((0, 1, 2, 13), "Nn-"):
            together = network(letters(*rnas, pad=pad, letter=letter))
            for i in (0, 1):
                expected = torch.cat([outputs[i] for outputs in alone])
                torch.testing.assert_close(together[i], expected, rtol=0, atol=1e-5)
    assert len(torch.unique(expected)) > 30  # answers that differ, not a constant


@pytest.mark.parametrize("kind", KINDS)
def test_every_letter_counts(networks, kind) -> None:
    """Also the last one, an unknown one inside, and the order."""
    rna = "AGGUAGGUACGUUACGCAUAGUCCA"
    others = [
        rna[:-1] + "G",
        "U" + rna[1:],
        rna[:12] + "N" + rna[13:],
        rna + "A",
        rna[1:] + rna[0],
        rna[::-1],
    ]
    with torch.inference_mode():
        first, *rest = networks[kind](letters(rna, *others))[0][:, 0].tolist()
    assert all(abs(first - other) > 1e-6 for other in rest)


@pytest.mark.parametrize("kind", KINDS)
def test_case_and_thymine(networks, kind) -> None:
    with torch.inference_mode():
        upper, lower, dna = networks[kind](letters("AGGUAGU", "agguagu", "AGGTAGT"))[0]
    torch.testing.assert_close(upper, lower, rtol=0, atol=1e-6)
    torch.testing.assert_close(upper, dna, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_known(networks, kind) -> None:
    with torch.inference_mode():
        short, long = networks[kind](letters("NNNNNNNN"))[0], networks[kind](letters("N" * 40))[0]
    assert torch.isfinite(short).all()
    torch.testing.assert_close(short, long, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_and_first_only(networks, kind) -> None:
    network = networks[kind]
    batch = letters(*random_rnas(5))
    with torch.inference_mode():
        affinities, embedding = network(batch)
        assert affinities.shape == (5, 3)
        assert embedding.shape == (5, 10)
        assert (embedding >= 0).all()
        one = Affinity([first_only(network)])
        answer, same = one(batch)
        torch.testing.assert_close(answer, affinities[:, 0])
        torch.testing.assert_close(same, embedding)
        torch.manual_seed(5)
        other = kind(**SMALL[kind]).eval()
        two = Affinity([first_only(network), other])
        answer, both = two(batch)
        torch.testing.assert_close(answer, (affinities[:, 0] + other(batch)[0][:, 0]) / 2)
        torch.testing.assert_close(both, torch.cat([embedding, other(batch)[1]], 1))
    assert (one.width, two.width) == (10, 20)
    assert two.architecture == f"mean of 2 networks that differ by their seed; {one.architecture}"
    assert network.last.out_features == 3  # the original is as it was


def test_lstm_reads_backwards_from_the_last_letter(networks) -> None:
    """The second LSTM on an RNA gives what it gives on the reversed activations."""
    network = networks[RnaBiLSTM]
    rna = letters("AGGUAGGUACGUUACGCAUAGU", pad=9)
    with torch.inference_mode():
        x, mask = network.stem(rna)
        steps = int(mask.sum())
        assert steps == 11
        x = x.squeeze(2).transpose(1, 2)
        right = network.forwards(x[:, :steps])
        left = network.backwards(x[:, :steps].flip(1))
        states = torch.cat([right, left.flip(1)], 2)
        expected = torch.cat([states.amax(1), states.mean(1)], 1)
        torch.testing.assert_close(network.describe(rna), expected)


def test_front_marks_ends_and_mask() -> None:
    x, mask = Front()(letters("ACGUN", "GNA"))
    assert mask[:, 0, 0].tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]]
    assert x.shape == (2, 6, 1, 5)
    assert x[1, :4, 0].T.tolist() == [[0, 0, 1, 0], [0] * 4, [1, 0, 0, 0], [0] * 4, [0] * 4]
    start, end = x[1, 4:, 0]
    assert start[0] == end[2] == 1
    assert start[2] == pytest.approx(np.exp(-2 / 8))
    assert torch.equal(start[:3], end[:3].flip(0))
    assert not x[1, :, 0, 3:].any()


def test_halve_and_pool() -> None:
    x = torch.tensor([[[[1.0, 3.0, 2.0, 0.0, 0.0]]]])
    assert halve(x).tolist() == [[[[3.0, 2.0, 0.0]]]]
    assert halve(x[..., :4]).tolist() == [[[[3.0, 2.0]]]]
    assert halve(x[..., :3]).tolist() == [[[[3.0, 2.0]]]]
    mask = torch.tensor([[[[1.0, 1.0, 1.0, 0.0, 0.0]]]])
    assert pool(x, mask).tolist() == [[3.0, 2.0]]


# --- attention


def test_attention_weights(networks) -> None:
    network = networks[RnaAttention]
    with torch.inference_mode():
        _, between, weights = network.attend(letters("AGGUAGGUACGU", "AGGUAGG", pad=6))
    assert between.shape == (2, 3, 9, 9)
    assert weights.shape == (2, 3, 9)
    for given in (between, weights):
        torch.testing.assert_close(given.sum(-1), torch.ones(given.shape[:-1]))
    assert not weights[1, :, 4:].any()  # seven letters are four positions
    assert not between[1, :, :, 4:].any()
    assert weights[0, :, :6].std() > 0


def test_self_attention_against_torch() -> None:
    torch.manual_seed(1)
    ours = SelfAttention(12, 3).eval()
    theirs = torch.nn.MultiheadAttention(12, 3, batch_first=True).eval()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.parts.weight)
        theirs.in_proj_bias.copy_(ours.parts.bias)
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
        x, mask = torch.randn(2, 7, 12), torch.ones(2, 7, 1)
        mask[1, 5:] = 0
        y = ours.norm(x)
        expected, weights = theirs(
            y, y, y, key_padding_mask=mask[:, :, 0] == 0, average_attn_weights=False
        )
        result, given = ours(x, mask)
    torch.testing.assert_close(given, weights)
    torch.testing.assert_close(result, (x + expected) * mask)


def test_heads_divide_the_channels() -> None:
    with pytest.raises(ValueError, match="12 channels do not divide among 5 heads"):
        SelfAttention(12, 5)
