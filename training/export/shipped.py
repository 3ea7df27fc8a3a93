"""The networks of the shipped models, as they were exported, with fresh weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from ..tasks.bloodmnist.networks import CellClassifier, CellResNet, CourseNet
from ..tasks.codon.networks import CodonNet
from ..tasks.dna_binding import networks as dna_binding
from ..tasks.jund import networks as jund
from ..tasks.jund_accessibility.networks import (
    ProbabilityWithAccessibility,
    SequenceLSTM,
    SequenceMLP,
    WithAccessibility,
)
from ..tasks.liver.networks import EnhancerCNN, EnsembleCNN, Liver
from ..tasks.mnist.networks import DigitNet
from ..tasks.nuclei.networks import NucleiUNet
from ..tasks.rbp.networks import Affinity, RnaAttention, RnaBiLSTM, RnaCNN
from ..tasks.rbp_multi.networks import MultiAffinity, RnaMulti

__all__ = ["NETWORKS"]

_LIVER = ((7, 4), (7, 4), (15, 4), (19, 20))  # width and pooling of the first convolution
_PROTEINS = 21


def _dna_binding() -> nn.Module:
    members = [dna_binding.ConvBiLSTM(depth=2) for _ in range(3)]
    return dna_binding.Probability(dna_binding.Mean(members))


def _jund() -> jund.SequenceCNN:
    return jund.SequenceCNN().binding_only()


def _liver() -> nn.Module:
    members = [EnhancerCNN(width=width, pool=pool, length=200) for width, pool in _LIVER]
    return Liver(EnsembleCNN(members))


def _digits() -> nn.Module:
    blocks = ((32, 32), (64, 64), (128,))
    return DigitNet(
        blocks=blocks, kernel=3, padding=True, hidden=(128,), activate="after", norm=True
    )


def _accessible(branch: nn.Module) -> nn.Module:
    return ProbabilityWithAccessibility(WithAccessibility(branch))


def _rbp_multi() -> nn.Module:
    network = RnaMulti(proteins=_PROTEINS, width=9)
    return MultiAffinity(network, torch.zeros(_PROTEINS), torch.ones(_PROTEINS))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "bloodmnist-best": lambda: CellClassifier([CellResNet()], turned=True),
    "bloodmnist-cnn-pool": lambda: CellClassifier([CourseNet(pool=True)], turned=False),
    "codon-convnet": lambda: CodonNet(first=256, second=32),
    "dna-binding-bilstm": _dna_binding,
    "jund-cnn": lambda: _accessible(_jund()),
    "jund-cnn-seq": lambda: jund.Probability(_jund()),
    "jund-lstm": lambda: _accessible(SequenceLSTM()),
    "jund-mlp": lambda: _accessible(SequenceMLP()),
    "liver-enhancer-cnn": _liver,
    "mnist-convnet": _digits,
    "nuclei-unet": NucleiUNet,
    "rbp-bilstm": lambda: Affinity([RnaBiLSTM()]),
    "rbp-cnn": lambda: Affinity([RnaCNN()]),
    "rbp-cnn-attention": lambda: Affinity([RnaAttention()]),
    "rbp-multi": _rbp_multi,
}
