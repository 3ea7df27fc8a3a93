"""Course C's pen-and-paper questions (week 11, assignment 3), with torch as oracle."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

torch = pytest.importorskip("torch", reason="torch is the oracle")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

POINTS = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], float)
XOR_LIKE = np.array([1, 0, 0, 1])


# 1. A single linear layer with bias and a sigmoid cannot classify the data: incorrect.


def separable(points: np.ndarray, labels: np.ndarray) -> bool:
    """Whether some w, b have sign * (w x + b) >= 1 for every point: a linear programme."""
    signs = np.where(labels == 1, 1.0, -1.0)[:, None]
    constraints = -signs * np.hstack([points, np.ones((len(points), 1))])
    result = linprog(
        np.zeros(points.shape[1] + 1), constraints, -np.ones(len(points)), bounds=(None, None)
    )
    assert result.status in (0, 2)  # solved, or shown to have no solution
    return result.status == 0


def learned(points: np.ndarray, labels: np.ndarray, seed: int) -> int:
    """How many points a linear layer and a sigmoid get right after training."""
    torch.manual_seed(seed)
    layer = nn.Linear(points.shape[1], 1)
    x = torch.tensor(points, dtype=torch.float32)
    y = torch.tensor(labels, dtype=torch.float32)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        functional.binary_cross_entropy(torch.sigmoid(layer(x)).squeeze(1), y).backward()
        optimizer.step()
    return int(((torch.sigmoid(layer(x)).squeeze(1) > 0.5) == (y > 0.5)).sum())


def test_no_line_separates_the_classes() -> None:
    assert not separable(POINTS, XOR_LIKE)
    # By hand: both classes have the same mean, where w x + b would be above and below zero.
    means = [POINTS[label == XOR_LIKE].mean(0) for label in (0, 1)]
    np.testing.assert_array_equal(*means)


def test_training_a_single_layer_fails() -> None:
    assert max(learned(POINTS, XOR_LIKE, seed) for seed in range(5)) <= 3


def test_what_would_do() -> None:
    """Controls: labels a line can tell apart, and a product as a third input."""
    both = np.array([1, 0, 0, 0])
    assert separable(POINTS, both)
    assert learned(POINTS, both, 0) == 4
    product = np.column_stack([POINTS, POINTS.prod(1)])
    assert separable(product, XOR_LIKE)
    assert learned(product, XOR_LIKE, 0) == 4


# 2. Convolution is not rotation equivariant: incorrect. It is equivariant to translation.


def convolve(image: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """A convolution whose edges wrap around, so that nothing but the kernel matters."""
    padded = functional.pad(image[None, None], (1, 1, 1, 1), mode="circular")
    return functional.conv2d(padded, kernel[None, None])[0, 0]


EDGE = torch.tensor([[0.0, 0, 0], [-1, 0, 1], [0, 0, 0]])
ROUND = torch.tensor([[1.0, 2, 1], [2, 5, 2], [1, 2, 1]])


def image() -> torch.Tensor:
    return torch.rand((8, 8), generator=torch.Generator().manual_seed(0))


def test_a_rotated_image_is_not_a_rotated_output() -> None:
    rotated = convolve(image().rot90(), EDGE)
    assert (rotated - convolve(image(), EDGE).rot90()).abs().max() > 0.1
    # The kernel turned along would give it.
    torch.testing.assert_close(
        convolve(image().rot90(), EDGE.rot90()), convolve(image(), EDGE).rot90()
    )


def test_only_a_kernel_that_looks_the_same_from_all_sides_would_be() -> None:
    torch.testing.assert_close(convolve(image().rot90(), ROUND), convolve(image(), ROUND).rot90())


@pytest.mark.parametrize("kernel", [EDGE, ROUND])
def test_a_shifted_image_is_a_shifted_output(kernel) -> None:
    shift = {"shifts": (2, -3), "dims": (0, 1)}
    torch.testing.assert_close(
        convolve(image().roll(**shift), kernel), convolve(image(), kernel).roll(**shift)
    )


# 3. One step of gradient descent on x^2 + 3 from 1, step size 0.5: x1 = 0.


def test_one_step_of_gradient_descent() -> None:
    x = torch.tensor(1.0, requires_grad=True)
    optimizer = torch.optim.SGD([x], lr=0.5)
    (x**2 + 3).backward()
    optimizer.step()
    assert x.item() == 1 - 0.5 * (2 * 1) == 0


# 4. The derivative of the loss of the two-layer ReLU network by w11: 42.


def test_the_partial_derivative() -> None:
    x, y = torch.tensor([[1.0, 2.0]]), torch.tensor([1.0])
    w = torch.tensor([[1.0, 3.0], [4.0, 5.0]], requires_grad=True)
    v = torch.tensor([[1.0], [1.0]])
    output = torch.relu(torch.relu(x @ w) @ v)
    ((y - output) ** 2).sum().backward()
    assert w.grad is not None
    # By hand: XW = (1 + 8, 3 + 10), f = 22; both ReLUs pass, so dL/dw11 = -2 (y - f) v11 x1.
    assert output.item() == (1 * 1 + 2 * 4) + (1 * 3 + 2 * 5) == 22
    assert w.grad[0, 0].item() == -2 * (1 - 22) * 1 * 1 == 42
