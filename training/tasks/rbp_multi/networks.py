"""One network for many RNA-binding proteins: a shared trunk, and heads made of the proteins."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..rbp.networks import RnaCNN


class ProteinHeads(nn.Module):
    """Affinities of many proteins from the RNA's embedding h and the proteins' embeddings e.

    The affinity of protein p is ``(W e_p) . h + v . e_p + b``. W, v and b are the proteins'
    together; a protein's own are the few numbers of e_p, so that a further one can be added by
    learning those alone (`identity_of`).

    Parameters
    ----------
    hidden
        Width of the RNA's embedding.
    proteins
        How many.
    identity
        Width of a protein's embedding.
    """

    def __init__(self, hidden: int, proteins: int, identity: int) -> None:
        super().__init__()
        self.identity = nn.Parameter(torch.randn(proteins, identity))
        self.weigh = nn.Linear(identity, hidden, bias=False)
        self.offset = nn.Linear(identity, 1)
        # So that W e_p starts as large as the weights of a linear layer.
        nn.init.normal_(self.weigh.weight, std=(3 * hidden * identity) ** -0.5)

    def rows(self) -> tuple[Tensor, Tensor]:
        """Weights (proteins, hidden) and biases (proteins,) of the linear layer that this is."""
        return self.weigh(self.identity), self.offset(self.identity).squeeze(1)

    def forward(self, embedding: Tensor) -> Tensor:
        """(N, hidden) to affinities (N, proteins)."""
        return functional.linear(embedding, *self.rows())

    @torch.no_grad()
    def identity_of(self, embedding: Tensor, targets: Tensor, *, ridge: float = 1.0) -> Tensor:
        """The embedding, shape (identity,), of a further protein: least squares, no training.

        Parameters
        ----------
        embedding
            (N, hidden): of RNAs.
        targets
            (N,): what the protein's affinities of them are.
        ridge
            Weight of the squared length of the result beside the squared errors.
        """
        design = (embedding.double() @ self.weigh.weight.double()) + self.offset.weight.double()
        errors = targets.double() - self.offset.bias.double()
        normal = design.T @ design + ridge * torch.eye(design.shape[1], dtype=torch.float64)
        return torch.linalg.solve(normal, design.T @ errors).float()


class RnaMulti(RnaCNN):
    """`RnaCNN` whose last layer is `ProteinHeads`."""

    def __init__(
        self,
        *,
        proteins: int,
        identity: int = 32,
        motifs: int = 192,
        width: int = 7,
        filters: int = 128,
        depth: int = 3,
        hidden: int = 128,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(
            motifs=motifs,
            width=width,
            filters=filters,
            depth=depth,
            hidden=hidden,
            dropout=dropout,
        )
        self.last: nn.Module = ProteinHeads(hidden, proteins, identity)


def masked_mse(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error over the targets that are known.

    Parameters
    ----------
    predictions, targets
        (N, proteins); targets that are NaN give neither loss nor gradient.
    """
    known = ~torch.isnan(targets)
    errors = torch.where(known, predictions - torch.nan_to_num(targets), 0.0)
    return (errors * errors).sum() / known.sum().clamp(min=1)


class MultiAffinity(nn.Module):
    """What is shipped: letters to the affinities of all proteins and the RNA's embedding.

    Parameters
    ----------
    network
        Of targets with mean 0 and deviation 1.
    mean, deviation
        (proteins,): of the intensities, put back here.
    """

    def __init__(self, network: RnaMulti, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.network = network
        assert isinstance(network.last, ProteinHeads)
        with torch.no_grad():
            weight, bias = network.last.rows()
            self.last = nn.Linear(weight.shape[1], weight.shape[0])
            self.last.weight.copy_(weight * deviation[:, None])
            self.last.bias.copy_(bias * deviation + mean)

    def forward(self, sequence: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 letters (N, L) to affinities (N, proteins) and the embedding (N, hidden)."""
        features = self.network.norm(self.network.describe(sequence))
        embedding = functional.relu(self.network.hidden(features))
        return self.last(embedding), embedding
