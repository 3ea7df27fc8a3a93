"""Programs of shipped models: the weights of the file in the network that was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import seqtile
from seqtile.bench.torch_program import TorchProgram
from seqtile.models.zoo import model_folder
from training.export import program
from training.export.shipped import NETWORKS
from training.tasks.codon.networks import CodonNet


def test_every_shipped_model_has_its_network() -> None:
    assert set(NETWORKS) == set(seqtile.list_models())


@pytest.mark.parametrize("name", ["codon-convnet", "jund-lstm"])
def test_programs(name: str, tmp_path: Path) -> None:
    """Norms folded into convolutions; gates in another order; several inputs; any batch."""
    assert program.main([name, "-o", str(tmp_path / "new")]) == 0
    run = TorchProgram(tmp_path / "new" / f"{name}.pt2", threads=1)
    card = seqtile.card(name)
    with np.load(model_folder(name) / "golden.npz") as golden:
        for rows in (slice(None), slice(1)):
            answers = run(*(golden[tensor.name][rows] for tensor in card.inputs))
            for tensor, found in zip(card.outputs, answers, strict=True):
                np.testing.assert_allclose(
                    found, golden[tensor.name][rows], atol=card.tolerance, rtol=0, strict=True
                )


def test_another_network_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = lambda: CodonNet(first=256, second=32, activation="gelu")  # noqa: E731
    monkeypatch.setitem(NETWORKS, "codon-convnet", other)
    assert program.main(["codon-convnet", "-o", str(tmp_path)]) == 1
    assert "error: codon-convnet: torch 2" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_unknown_names(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main(["no-such-model"])
    assert "no shipped model no-such-model: bloodmnist-best, " in capsys.readouterr().err
