"""Motifs of a first convolution, from sequences with planted ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

import onnx  # noqa: E402
from torch import nn  # noqa: E402

from seqtile import one_hot, reverse_complement  # noqa: E402
from seqtile.motifs.known import compare, recognised  # noqa: E402
from seqtile.motifs.matching import similarity  # noqa: E402
from seqtile.motifs.meme import read_meme  # noqa: E402
from seqtile.motifs.motif import Motif  # noqa: E402
from training.export.export import fused  # noqa: E402
from training.lab import motifs  # noqa: E402

ACGT = np.frombuffer(b"ACGT", np.uint8)


def kernel(consensus: str, width: int, place: int) -> np.ndarray:
    """Rewards each letter of a consensus with 1, punishes others; nothing elsewhere."""
    table = np.zeros((4, width), np.float32)
    core = one_hot(consensus) * 2 - 1
    table[:, place : place + len(consensus)] = core
    return table


@pytest.fixture(scope="module")
def letters() -> np.ndarray:
    """400 sequences of 60; every second has TGTTTAC somewhere, every eighth its complement."""
    rng = np.random.default_rng(0)
    rows = ACGT[rng.integers(0, 4, (400, 60))]
    word = np.frombuffer(b"TGTTTAC", np.uint8)
    for i in range(0, 400, 2):
        place = rng.integers(0, 53)
        rows[i, place : place + 7] = reverse_complement(word) if i % 8 == 0 else word
    return rows


def test_counts_are_of_the_windows_above_half_of_the_largest(letters) -> None:
    """Against plain loops."""
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(3, 4, 6)).astype(np.float32)
    bias = np.array([0.5, -1.0, -100.0], np.float32)  # the last is never active
    counts = motifs.site_counts(weights, letters[:20], bias=bias)
    windows = np.lib.stride_tricks.sliding_window_view(one_hot(letters[:20]), 6, axis=2)
    values = np.einsum("ncpw,fcw->fnp", windows, weights) + bias[:, None, None]
    for i in range(2):
        chosen = values[i] > values[i].max() / 2
        assert 0 < chosen.sum() < chosen.size / 2
        np.testing.assert_array_equal(
            counts[i], np.einsum("np,ncpw->cw", chosen, windows).astype(int)
        )
    assert counts[2].sum() == 0
    every = motifs.site_counts(weights[:1], letters[:20], bias=np.array([1000.0]))
    assert every[0].sum(0).tolist() == [20 * 55] * 6


def test_a_planted_motif_is_written(letters, tmp_path: Path) -> None:
    weights = np.stack(
        [kernel("TGTTTAC", 11, 2), kernel("GTAAACA", 9 + 2, 0), 0 * kernel("A", 11, 0)]
    )
    path = tmp_path / "model" / "motifs.meme"
    bias = np.full(3, -3.0)
    found = motifs.write(weights, letters, path, bias=bias, min_sites=20)
    assert [motif.name for motif in found] == ["filter0", "filter1"]  # nothing activates the third
    assert found[0].consensus[2:9] == "TGTTTAC"
    known = Motif.from_consensus("FOXA", "TGTTTAC")
    for motif, strand, place in zip(found, "+-", (2, 0), strict=True):
        match = similarity(motif, known)
        assert match.similarity > 0.99
        assert (match.strand, match.offset) == (strand, place)
    assert found[0].nsites > found[1].nsites > 40
    for one, other in zip(found, read_meme(path), strict=True):
        assert (one.name, one.nsites) == (other.name, other.nsites)
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=5e-7)


def test_both_strands(letters) -> None:
    weights = kernel("TGTTTAC", 7, 0)[None]
    one = motifs.site_counts(weights, letters)
    other = motifs.site_counts(weights, reverse_complement(letters))
    both = motifs.site_counts(weights, letters, both_strands=True)
    np.testing.assert_array_equal(both, one + other)
    assert other.sum() > 0


def test_unknown_letters_are_no_sites() -> None:
    rows = np.frombuffer(b"ACNACGTANNNNNNNN", np.uint8).reshape(2, 8)
    counts = motifs.site_counts(np.zeros((1, 4, 3)), rows, bias=np.ones(1))
    assert counts[0].sum(0).tolist() == [3, 3, 3]  # ACG, CGT, GTA
    assert counts[0][:, 0].tolist() == [1, 1, 1, 0]


def test_random_filters_are_not_recognised(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = ACGT[rng.integers(0, 4, (400, 200))]
    weights = rng.uniform(-1, 1, (256, 4, 15))
    found = motifs.write(weights, rows, tmp_path / "motifs.meme", both_strands=True)
    pairs = compare(found, None)
    assert len(pairs) > 200
    assert max(match.similarity for _, match in pairs if match) > 0.8  # by chance
    assert recognised(pairs) == {}


def test_rna(tmp_path: Path) -> None:
    rows = np.frombuffer(b"AAUGCAUGCC" * 30, np.uint8).reshape(30, 10)
    weights = np.zeros((1, 4, 6), np.float32)
    for place, letter in enumerate("UGCAUG"):
        weights[0, "ACGU".index(letter), place] = 1
    (motif,) = motifs.write(
        torch.from_numpy(weights)[:, :, None],
        rows,
        tmp_path / "m.meme",
        alphabet="rna",
        bias=torch.tensor([-4.0]),
    )
    assert (motif.consensus, motif.nsites, motif.alphabet) == ("UGCAUG", 30, "rna")
    assert read_meme(tmp_path / "m.meme")[0].consensus == "UGCAUG"


def test_refusals(letters, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\(n, 11 or more\), found \(400, 5\)"):
        motifs.site_counts(np.zeros((1, 4, 11)), letters[:, :5])
    with pytest.raises(ValueError, match="not one of 2 filters is activated by 20 sites"):
        motifs.write(np.zeros((2, 4, 5)), letters, tmp_path / "x.meme")
    assert list(tmp_path.iterdir()) == []


class Twice(nn.Module):
    """Both strands through one convolution of a further channel, and a norm behind it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Sequential(nn.Conv2d(5, 6, (1, 4)), nn.BatchNorm2d(6))
        for values in (self.first[1].weight, self.first[1].bias, self.first[1].running_mean):
            nn.init.normal_(values)
        self.second = nn.Conv2d(6, 2, (1, 3))

    def forward(self, hot: torch.Tensor) -> torch.Tensor:
        x = torch.cat([hot, torch.ones_like(hot[:, :1])], 1)
        both = [self.second(self.first(y)) for y in (x, x.flip(3))]
        return (both[0] + both[1]).amax(3)


def graph(network: nn.Module) -> onnx.ModelProto:
    """As the exporter makes it."""
    inputs = (torch.randn(3, 4, 1, 20),)
    return torch.onnx.export(network.eval(), inputs, dynamo=True, verbose=False).model_proto


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_first_layer_of_a_graph() -> None:
    network = Twice()
    layer = motifs.first_layer(graph(fused(network)))
    assert layer.both_strands
    convolution, norm = network.first
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    kernels = convolution.weight[:, :4, 0] * scale[:, None, None]
    bias = (convolution.bias - norm.running_mean) * scale + norm.bias
    np.testing.assert_allclose(layer.kernels, kernels.detach(), atol=1e-6)
    np.testing.assert_allclose(layer.bias, bias.detach(), atol=1e-5)
    with pytest.raises(ValueError, match="a batch norm behind a first convolution"):
        motifs.first_layer(graph(network))


def test_first_layer_needs_a_convolution() -> None:
    empty = onnx.helper.make_model(onnx.helper.make_graph([], "none", [], []))
    with pytest.raises(ValueError, match=r"expected first convolutions of one width, found \[\]"):
        motifs.first_layer(empty)
