"""Networks against plain implementations built from their weights."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import seqtile  # noqa: E402
from training.lab.letters import LetterTable  # noqa: E402
from training.tasks.jund.networks import BookCNN, Probability, SequenceCNN, TiedConv  # noqa: E402

LAYOUTS = [
    {"convs": ((16, 8, 1),)},
    {"convs": ((16, 8, 1),), "tied": True},
    {"convs": ((12, 8, 4), (6, 3, 1)), "tied": True},
    {"convs": ((8, 5, 2), (6, 4, 3), (5, 2, 1))},
    {"convs": ((8, 3, 2), (6, 1, 2))},
]


def letters(n: int = 7, length: int = 101, alphabet: bytes = b"ACGTacgtuN") -> torch.Tensor:
    rng = np.random.default_rng(4)
    table = np.frombuffer(alphabet, np.uint8)
    return torch.from_numpy(table[rng.integers(0, len(table), (n, length))])


def make(outputs: int = 3, **layout) -> SequenceCNN:
    """A network in ``eval()`` with weights as large as trained ones, and a norm with work to do."""
    torch.manual_seed(2)
    network = SequenceCNN(**layout, outputs=outputs, dropout=0.5).eval()
    norm = network.norm
    with torch.no_grad():
        for parameter in (*network.trunk.parameters(), *network.hidden.parameters()):
            parameter.normal_()
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.normal_()
        norm.running_var.uniform_(0.2, 3)
    return network


@pytest.mark.parametrize("alphabet", ["dna", "rna", "protein"])
def test_letter_table_is_one_hot_of_letters_and_zero_elsewhere(alphabet) -> None:
    table = LetterTable(alphabet)
    every = torch.arange(256, dtype=torch.uint8)
    found = table(every[None])  # (1, C, 1, 256)
    assert found.shape == (1, table.table.shape[1], 1, 256)
    assert found.dtype == torch.float32
    known = 0
    for byte in range(256):
        column = found[0, :, 0, byte].numpy()
        try:
            expected = seqtile.one_hot(bytes([byte]), alphabet=alphabet)[:, 0]
        except seqtile.AlphabetError:
            expected = np.zeros(len(column), np.float32)
        np.testing.assert_array_equal(column, expected, err_msg=repr(bytes([byte])))
        known += int(column.sum())
    assert known == {"dna": 10, "rna": 10, "protein": 41}[alphabet]  # ACGTU; 20 and the stop


def test_letter_table_by_hand() -> None:
    found = LetterTable()(torch.from_numpy(np.frombuffer(b"AcgTuN-1", np.uint8).copy())[None])
    assert found[0, :, 0].T.tolist() == [
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 1],
        [0, 0, 0, 1],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
    ]


def plain_trunk(network: SequenceCNN, layout: dict, hot: torch.Tensor) -> torch.Tensor:
    """The convolutions as 1-D ones, tied filters written out one by one."""
    found = [m for m in network.trunk if isinstance(m, TiedConv | nn.Conv2d)]
    for module, (_, _, pool) in zip(found, layout["convs"], strict=True):
        convolution = module.free if isinstance(module, TiedConv) else module
        weight, bias = convolution.weight[:, :, 0], convolution.bias
        if isinstance(module, TiedConv):
            turned = [torch.stack([w[3 - c].flip(0) for c in range(4)]) for w in weight]
            weight, bias = torch.cat([weight, torch.stack(turned)]), bias.repeat(2)
        hot = torch.relu(functional.conv1d(hot, weight, bias))
        hot = functional.max_pool1d(hot, pool)
    return hot


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sequence_cnn_is_a_plain_one(layout) -> None:
    network, batch = make(**layout), letters()
    hot = torch.from_numpy(np.stack([seqtile.one_hot(row.tobytes()) for row in batch.numpy()]))
    with torch.no_grad():
        maps = plain_trunk(network, layout, hot)
        pooled = torch.cat([maps.max(2).values, maps.sum(2) / maps.shape[2]], 1)
        norm = network.norm
        pooled = (pooled - norm.running_mean) / torch.sqrt(norm.running_var + 1e-5)
        pooled = pooled * norm.weight + norm.bias
        hidden = (pooled @ network.hidden.weight.T + network.hidden.bias).clamp(min=0)
        expected = hidden @ network.last.weight.T + network.last.bias
        actual = network(batch)
    assert actual.shape == (7, 3)
    assert expected.std(0).min() > 0.01  # it does tell the rows apart
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_receptive_field_by_gradient(layout) -> None:
    """What one place of the maps sees of the input, over many random inputs."""
    network = make(**layout)
    field = network.receptive_field
    stride = int(np.prod([pool for _, _, pool in layout["convs"]]))
    x = torch.randn(400, 4, 1, 101, requires_grad=True)
    maps = network.trunk(x)
    for place in (0, 2):
        (gradient,) = torch.autograd.grad(maps[..., place].sum(), x, retain_graph=True)
        seen = gradient.abs().sum((0, 1, 2)).nonzero()[:, 0]
        assert seen.tolist() == list(range(place * stride, place * stride + field))


@pytest.mark.parametrize(("layout", "field"), [*zip(LAYOUTS, [8, 8, 19, 22, 6], strict=True)])
def test_no_padding(layout, field) -> None:
    """The shortest input has one place in the maps, one base less has none."""
    network = make(**layout)
    assert network.receptive_field == field
    filters = layout["convs"][-1][0]
    assert network.trunk(network.letters(letters(2, field))).shape == (2, filters, 1, 1)
    assert network(letters(2, field)).shape == (2, 3)
    with pytest.raises(RuntimeError):
        network(letters(2, field - 1))


def test_shape_of_the_maps() -> None:
    network = make(**LAYOUTS[2])
    maps = network.trunk(network.letters(letters()))
    assert maps.shape == (7, 6, 1, (101 - 7) // 4 - 2)


def test_tied_filters_see_both_strands() -> None:
    """Of the other strand the halves of the filters change places, and positions run backwards."""
    torch.manual_seed(1)
    convolution, table = TiedConv(6, 7), LetterTable()
    batch = letters(alphabet=b"ACGTN")
    turned = torch.from_numpy(seqtile.reverse_complement(batch.numpy()))
    with torch.no_grad():
        one, other = convolution(table(batch)), convolution(table(turned))
    assert one.shape == (7, 6, 1, 95)
    torch.testing.assert_close(other, one[:, [3, 4, 5, 0, 1, 2]].flip(3))
    assert (other - one).abs().max() > 0.1


def test_tied_network_scores_both_strands_by_the_same_features() -> None:
    network = make(**LAYOUTS[1])
    batch = letters(alphabet=b"ACGTN")
    turned = torch.from_numpy(seqtile.reverse_complement(batch.numpy()))
    with torch.no_grad():
        one = network.trunk(network.letters(batch)).amax((2, 3))
        other = network.trunk(network.letters(turned)).amax((2, 3))
    torch.testing.assert_close(other, torch.cat([one[:, 8:], one[:, :8]], 1))


def test_tied_filters_come_in_pairs() -> None:
    with pytest.raises(ValueError, match="come in pairs, not 5"):
        TiedConv(5, 3)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_binding_only_is_the_first_logit(layout) -> None:
    network, batch = make(outputs=11, **layout), letters(30)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    bare = network.train().binding_only()
    assert network.training
    assert not bare.training
    assert not any(isinstance(module, nn.BatchNorm1d) for module in bare.modules())
    with torch.no_grad():
        expected = network.eval()(batch)[:, :1]
        torch.testing.assert_close(bare(batch), expected, atol=1e-5, rtol=1e-5)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_binding_only_stays_on_its_device() -> None:
    network = make(outputs=11, **LAYOUTS[0]).to("meta")
    bare = network.binding_only()
    places = [*bare.named_parameters(), *bare.named_buffers()]
    assert {name: value.device.type for name, value in places} == {
        name: "meta" for name, _ in places
    }
    assert bare.last.weight.shape == (1, 32)


def test_shipped_network_gives_the_embedding_its_last_layer_sees() -> None:
    network, batch = make(outputs=1, **LAYOUTS[0]), letters()
    with torch.no_grad():
        probability, embedding = Probability(network)(batch)
        logits = network(batch)[:, 0]
    assert (probability.shape, embedding.shape) == ((7,), (7, 32))
    assert embedding.min() == 0 < embedding.max()
    last = network.last
    by_hand = embedding @ last.weight.detach()[0] + last.bias.detach()
    torch.testing.assert_close(by_hand, logits)
    torch.testing.assert_close(probability, 1 / (1 + torch.exp(-logits)))


def same_convolution(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """TensorFlow's "same": of an odd number of zeros the extra one stands on the right."""
    width = weight.shape[2]
    left = (width - 1) // 2
    right = width - 1 - left
    assert right >= left
    padded = np.pad(x, ((0, 0), (0, 0), (left, right)))
    places = [
        np.tensordot(padded[:, :, i : i + width], weight, ((1, 2), (1, 2)))
        for i in range(x.shape[2])
    ]
    return np.stack(places, 2) + bias[:, None]


@pytest.mark.parametrize("width", [10, 5])
def test_book_network_pads_as_tensorflow(width) -> None:
    torch.manual_seed(3)
    network = BookCNN(length=40, width=width).eval()
    batch = letters(4, 40)
    x = network.letters(batch)[:, :, 0].numpy()
    weights = [m for m in network.trunk if isinstance(m, nn.Conv2d)]
    assert len(weights) == 3
    for convolution in weights:
        weight, bias = (p.detach().numpy() for p in convolution.parameters())
        x = np.maximum(same_convolution(x, weight[:, :, 0], bias), 0)
    assert x.shape == (4, 15, 40)
    with torch.no_grad():
        maps, actual = network.trunk(network.letters(batch)), network(batch)
    np.testing.assert_allclose(maps[:, :, 0].numpy(), x, atol=1e-5)
    last = network.last
    expected = x.reshape(4, -1) @ last.weight.detach().numpy().T + last.bias.detach().numpy()
    np.testing.assert_allclose(actual.numpy(), expected, atol=1e-5)


def test_book_network_is_the_books() -> None:
    network = BookCNN()
    assert network(letters()).shape == (7, 1)
    # (10 * 4 + 1) * 15, twice (10 * 15 + 1) * 15, 15 * 101 + 1.
    assert sum(p.numel() for p in network.parameters()) == 615 + 2 * 2265 + 1516
    assert [m.p for m in network.modules() if isinstance(m, nn.Dropout)] == [0.5, 0.5, 0.5]
