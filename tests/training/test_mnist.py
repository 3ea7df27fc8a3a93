"""The digits' network, and the homework's questions 1 to 3 on it as facts.

"Deep learning workshop", summary and homework: both forms of the network are copied from there.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from training.tasks.codon.networks import ACTIVATIONS  # noqa: E402
from training.tasks.mnist.networks import DigitNet, Shifted  # noqa: E402


class Net(nn.Module):
    """The homework's class."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(8, 16, 5)
        self.fc1 = nn.Linear(16 * 4 * 4, 256)
        self.fc2 = nn.Linear(256, 64)
        self.fc3 = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(functional.relu(self.conv1(x)))
        x = self.pool(functional.relu(self.conv2(x)))
        x = x.view(-1, 16 * 4 * 4)
        x = functional.relu(self.fc1(x))
        x = functional.relu(self.fc2(x))
        x = self.fc3(x)
        return functional.softmax(x, dim=1)


def sequential(*, second: bool = True) -> nn.Sequential:
    """The homework's ``nn.Sequential``; it prints it without the second convolution."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
        *([nn.Conv2d(8, 16, 5)] if second else []),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
        nn.Flatten(),
        nn.Linear(16 * 4 * 4, 256),
        nn.ReLU(),
        nn.Linear(256, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
        nn.Softmax(dim=1),
    )


@torch.no_grad()
def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Parameters of one network to another that has them in the same order."""
    for theirs, ours in zip(source.parameters(), target.parameters(), strict=True):
        ours.copy_(theirs)


@pytest.fixture
def image() -> Tensor:
    """uint8 (5, 28, 28)."""
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8))


def twins(**settings) -> tuple[DigitNet, DigitNet]:
    """The same network with the activations before and after the max pooling."""
    torch.manual_seed(0)
    one, other = (DigitNet(activate=place, **settings) for place in ("before", "after"))
    copy_weights(one, other)
    return one.eval(), other.eval()


# --- the two forms


def test_the_forms_agree(image: Tensor) -> None:
    torch.manual_seed(0)
    net, layers, ours = Net(), sequential(), DigitNet()
    copy_weights(net, layers)
    copy_weights(net, ours)
    grey = image.unsqueeze(1) / 255
    expected = net(grey)
    torch.testing.assert_close(layers(grey), expected)
    probability, embedding = ours(image)
    torch.testing.assert_close(probability, expected)
    assert embedding.shape == (5, ours.dimension) == (5, 64)
    assert sum(p.numel() for p in ours.parameters()) == 208 + 3216 + 65_792 + 16_448 + 650


def test_the_sequential_as_printed_lacks_a_convolution() -> None:
    """Without it 8 x 6 x 6 = 288 numbers come to a layer that takes 16 x 4 x 4 = 256."""
    with pytest.raises(RuntimeError, match="2x288 and 256x256"):
        sequential(second=False)(torch.rand(2, 1, 28, 28))


# --- question 1: activation before or after the max pooling

RISING: list[Callable[[Tensor], Tensor]] = [
    torch.relu,
    torch.tanh,
    torch.sigmoid,
    functional.elu,
    functional.leaky_relu,
    functional.hardtanh,
    functional.softplus,
]
OTHER: list[Callable[[Tensor], Tensor]] = [
    torch.abs,
    functional.gelu,
    functional.silu,
    torch.sin,
    torch.cos,
    torch.neg,
]


@pytest.mark.parametrize("activation", RISING, ids=lambda f: f.__name__)
def test_any_function_that_never_falls_commutes_with_the_maximum(activation) -> None:
    x = torch.from_numpy(np.random.default_rng(0).normal(0, 3, (4, 3, 12, 12)))
    pool = nn.MaxPool2d(2, 2)
    torch.testing.assert_close(pool(activation(x)), activation(pool(x)))


@pytest.mark.parametrize("activation", OTHER, ids=lambda f: f.__name__)
def test_others_do_not(activation) -> None:
    x = torch.from_numpy(np.random.default_rng(0).normal(0, 3, (4, 3, 12, 12)))
    pool = nn.MaxPool2d(2, 2)
    assert (pool(activation(x)) - activation(pool(x))).abs().max() > 0.1


def test_one_window_by_hand() -> None:
    window = torch.tensor([[[[-3.0, -1.0], [0.5, 2.0]]]])
    pool = nn.MaxPool2d(2, 2)
    assert pool(torch.relu(window)).item() == torch.relu(pool(window)).item() == 2
    assert pool(window.abs()).item() == 3
    assert pool(window).abs().item() == 2
    # GELU falls up to -0.75 and is near 0 far below it.
    below = torch.tensor([[[[-4.0, -3.0], [-2.0, -0.75]]]])
    assert pool(functional.gelu(below)).item() == pytest.approx(-0.0001, abs=5e-5)
    assert functional.gelu(pool(below)).item() == pytest.approx(-0.17, abs=1e-3)


@pytest.mark.parametrize("activation", ["relu", "elu", "tanh"])
def test_in_the_network_the_place_makes_no_difference(image: Tensor, activation: str) -> None:
    one, other = twins(activation=activation)
    for a, b in zip(one(image), other(image), strict=True):
        torch.testing.assert_close(a, b)
    # Nor to what it learns: the gradients are the same.
    for network in (one, other):
        network(image)[0][:, 3].log().sum().backward()
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        assert p.grad is not None
        torch.testing.assert_close(p.grad, q.grad)


def test_in_the_network_with_gelu_it_does(image: Tensor) -> None:
    one, other = twins(activation="gelu")
    for network in (one, other):  # all below zero, where GELU falls before it rises
        nn.init.constant_(network.features[0].bias, -3.0)
    grey = image.unsqueeze(1) / 255
    difference = one.features[:3](grey) - other.features[:3](grey)
    assert difference.min() > 0
    assert difference.max() > 0.01


def test_after_the_pooling_there_is_a_quarter_to_activate(image: Tensor) -> None:
    counts = []
    for network in twins(blocks=((8,), (16,))):
        seen: list[int] = []
        for layer in network.features:
            if isinstance(layer, nn.ReLU):
                layer.register_forward_hook(
                    lambda _layer, inputs, _output, seen=seen: seen.append(inputs[0][0].numel())
                )
        network(image)
        counts.append(seen)
    assert counts == [[8 * 24 * 24, 16 * 8 * 8], [8 * 12 * 12, 16 * 4 * 4]]


# --- question 2: which batch normalisation, and where

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def allowed(x: Tensor) -> list[str]:
    """The batch normalisations that take x."""
    names = []
    for norm in NORMS:
        try:
            result = norm(x.shape[1])(x)
        except ValueError as error:
            if "input (got" not in str(error):  # "expected 5D input (got 2D input)"
                raise
        else:
            assert result.shape == x.shape
            names.append(norm.__name__)
    return names


def test_batch_normalisation_fits_by_the_number_of_axes() -> None:
    """2d wherever there are images: (N, C, H, W); 1d where there are vectors; 3d nowhere."""
    x = torch.rand(4, 1, 28, 28)
    found = {"input": allowed(x)}
    for i, layer in enumerate(sequential()):
        x = layer(x)
        found[f"{i} {type(layer).__name__}"] = allowed(x)
    images, vectors = ["BatchNorm2d"], ["BatchNorm1d"]
    assert found == {
        "input": images,
        "0 Conv2d": images,
        "1 ReLU": images,
        "2 MaxPool2d": images,
        "3 Conv2d": images,
        "4 ReLU": images,
        "5 MaxPool2d": images,
        "6 Flatten": vectors,
        "7 Linear": vectors,
        "8 ReLU": vectors,
        "9 Linear": vectors,
        "10 ReLU": vectors,
        "11 Linear": vectors,
        "12 Softmax": vectors,
    }


def test_errors_of_the_wrong_one() -> None:
    with pytest.raises(ValueError, match="expected 2D or 3D input"):
        nn.BatchNorm1d(8)(torch.rand(2, 8, 24, 24))
    with pytest.raises(ValueError, match="expected 4D input"):
        nn.BatchNorm2d(256)(torch.rand(2, 256))
    with pytest.raises(ValueError, match="expected 5D input"):
        nn.BatchNorm3d(8)(torch.rand(2, 8, 24, 24))
    with pytest.raises(RuntimeError, match="running_mean should contain 16 elements not 8"):
        nn.BatchNorm2d(8)(torch.rand(2, 16, 8, 8))


def test_where_our_network_has_them() -> None:
    network = DigitNet(norm=True)
    followers = {
        type(layer).__name__: type(after).__name__
        for part in (network.features, network.head)
        for layer, after in pairwise(part)
        if isinstance(layer, nn.Conv2d | nn.Linear)
    }
    assert followers == {"Conv2d": "BatchNorm2d", "Linear": "BatchNorm1d"}
    kinds = [type(layer) for layer in network.modules()]
    assert [kinds.count(norm) for norm in NORMS] == [2, 2, 0]
    assert [kinds.count(norm) for norm in NORMS] != [
        [type(layer) for layer in DigitNet().modules()].count(norm) for norm in NORMS
    ]


# --- question 3: the size of what comes out


def test_3a_a_kernel_of_5_fits_6_times_into_10() -> None:
    conv = nn.Conv2d(1, 1, 5).double()
    x = torch.rand(1, 1, 10, 10, dtype=torch.float64)
    output = conv(x)
    assert output.shape == (1, 1, 6, 6)
    starts = [i for i in range(10) if i + 5 <= 10]
    kernel = conv.weight[0, 0]
    by_hand = [(x[0, 0, i : i + 5, j : j + 5] * kernel).sum() for i in starts for j in starts]
    torch.testing.assert_close(output.flatten(), torch.stack(by_hand) + conv.bias)


def test_3b_a_kernel_of_1_fits_everywhere() -> None:
    assert nn.Conv2d(1, 1, 1)(torch.rand(1, 1, 10, 10)).shape == (1, 1, 10, 10)


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
def test_3c_padding_gives_back_what_the_kernel_takes(kernel: int) -> None:
    """Zeros around the image: kernel // 2 on each side make up for kernel - 1."""
    conv = nn.Conv2d(1, 1, kernel, padding=kernel // 2)
    x = torch.rand(1, 1, 10, 10)
    assert conv(x).shape == (1, 1, 10, 10)
    framed = torch.zeros(1, 1, 10 + kernel - 1, 10 + kernel - 1)
    edge = kernel // 2
    framed[:, :, edge : edge + 10, edge : edge + 10] = x
    torch.testing.assert_close(functional.conv2d(framed, conv.weight, conv.bias), conv(x))


# --- the configurable network


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activation": "step"}, "activation must be one of"),
        ({"activate": "during"}, "activate must be one of"),
        ({"hidden": ()}, "at least one layer"),
        ({"kernel": 4, "padding": True}, "odd kernel, not 4"),
        ({"blocks": ((8,), (16,), (16,))}, "leave no pixel"),
        ({"blocks": ((8,) * 7,)}, "leave no pixel"),
    ],
)
def test_settings_that_cannot_be(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DigitNet(**settings)


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_shapes(image: Tensor, activation: str, norm: bool) -> None:
    network = DigitNet(
        blocks=((4, 6), (8, 8), (10,)),
        kernel=3,
        padding=True,
        hidden=(12,),
        norm=norm,
        activation=activation,
        activate="after",
        dropout=0.2,
    ).eval()
    probability, embedding = network(image)
    assert (probability.shape, embedding.shape) == ((5, 10), (5, 12))
    torch.testing.assert_close(probability.sum(1), torch.ones(5))
    words = network.describe()
    assert words.startswith("Conv(1->4, 3x3, padded)" + " BatchNorm" * norm + f" {activation}, ")
    assert words.count("max pool 2") == 3
    assert words.endswith(
        f"Linear(90->12){' BatchNorm' * norm} {activation}, Linear(12->10), softmax"
    )


def test_the_description_of_the_homeworks() -> None:
    assert DigitNet().describe() == (
        "Conv(1->8, 5x5) relu max pool 2, Conv(8->16, 5x5) relu max pool 2, "
        "Linear(256->256) relu, Linear(256->64) relu, Linear(64->10), softmax"
    )


def moved(image: Tensor, down: int, right: int) -> Tensor:
    """The image moved, pixel by pixel; black comes in."""
    result = torch.zeros_like(image)
    for i in range(28):
        for j in range(28):
            if 0 <= i - down < 28 and 0 <= j - right < 28:
                result[:, i, j] = image[:, i - down, j - right]
    return result


def test_the_mean_of_shifts(image: Tensor) -> None:
    network = DigitNet().eval()
    for a, b in zip(Shifted(network, [(0, 0)])(image), network(image), strict=True):
        torch.testing.assert_close(a, b)
    shifts = [(0, 0), (2, 0), (0, -1)]
    answers = [network(moved(image, *shift)) for shift in shifts]
    probability, embedding = Shifted(network, shifts)(image)
    torch.testing.assert_close(probability, sum(a[0] for a in answers) / 3)
    torch.testing.assert_close(embedding, sum(a[1] for a in answers) / 3)
    assert (probability - answers[0][0]).abs().max() > 1e-6
