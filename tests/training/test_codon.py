"""The three sequences, the network that translates, its training, and the model that is shipped."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("onnx", reason="the export needs onnx")
pytest.importorskip("tqdm", reason="training needs tqdm")

import seqtile  # noqa: E402
from seqtile.errors import AlphabetError, ShapeError  # noqa: E402
from training.lab.source import DataError  # noqa: E402
from training.tasks.codon import data  # noqa: E402
from training.tasks.codon import train as train_codon  # noqa: E402
from training.tasks.codon.networks import RESIDUES, CodonNet, residues  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture
def pairs(data_root: Path, monkeypatch) -> list[tuple[str, str]]:
    monkeypatch.setenv("SEQTILE_DATA", str(data_root))
    return data.load()


# the data


def test_every_sequence_is_translated_by_its_protein(pairs) -> None:
    assert [len(dna) for dna, _ in pairs] == [306, 1056, 696]
    for dna, protein in pairs:
        assert seqtile.translate(dna) == protein
        assert protein.index("*") == len(protein) - 1


def test_all_codons_but_two_of_proline_occur(pairs) -> None:
    seen = data.seen_codons(pairs)
    assert set(data.CODONS) - set(seen) == {"CCA", "CCG"}
    assert all(seqtile.translate(codon) == residue for codon, residue in seen.items())
    assert len(set(seen.values())) == 21


def test_codons_are_cut_out_with_their_residues(pairs) -> None:
    for (dna, protein), (whole, _) in zip(data.without(pairs, {"GGA", "ATG"}), pairs, strict=True):
        assert seqtile.translate(dna) == protein
        codons = data.split(whole)
        assert len(protein) == len(codons) - codons.count("GGA") - codons.count("ATG")


def test_the_left_out_twins_are_like_those_of_proline() -> None:
    assert len(data.hidden_twins()) == 7
    for pair in data.hidden_twins():
        box = [pair[0][:2] + base for base in "ACGT"]
        assert len({seqtile.translate(codon) for codon in box}) == 1
        assert [codon[2] for codon in pair] == ["A", "G"]
        assert not {*pair} & {*data.PROLINE}


def test_sequences_that_are_not_there_or_not_these(data_root: Path, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("SEQTILE_DATA", raising=False)
    with pytest.raises(DataError, match="no official source: set SEQTILE_DATA"):
        data.load()
    monkeypatch.setenv("SEQTILE_DATA", str(tmp_path))
    folder = tmp_path / data.NAME
    folder.mkdir()
    with pytest.raises(DataError, match=r"no dna\.fasta"):
        data.load()
    for kind in ("dna", "protein"):
        shutil.copyfile(data_root / data.NAME / f"{kind}.fasta", folder / f"{kind}.fasta")
    path = folder / "protein.fasta"
    path.write_text(path.read_text().replace("MITWL", "MITWI"))
    with pytest.raises(DataError, match=r"dna_to_protein protein: sha256 is \w+, expected"):
        data.load()


# the workshop's question: which of the tensors A to F can not be input, and why


@pytest.fixture(scope="module")
def network() -> CodonNet:
    torch.manual_seed(0)
    return CodonNet(first=8, second=4).eval()


@pytest.mark.parametrize(("shape", "codons"), [((1, 4, 3), 1), ((1, 4, 6), 2)])
def test_tensors_a_and_c_can_be_input(network, shape, codons) -> None:
    """Four channels, whole codons."""
    logits, embedding = network.logits(torch.rand(shape))
    assert logits.shape == (1, 21, codons)
    assert embedding.shape == (1, 4, codons)


@pytest.mark.parametrize(("shape", "channels"), [((1, 5, 9), 5), ((1, 1, 7), 1)])
def test_tensors_b_and_d_have_not_four_channels(network, shape, channels) -> None:
    with pytest.raises(RuntimeError, match=f"to have 4 channels, but got {channels} channels"):
        network.logits(torch.rand(shape))


def test_tensor_f_is_shorter_than_the_kernel(network) -> None:
    with pytest.raises(RuntimeError, match="Kernel size can't be greater than actual input size"):
        network.logits(torch.rand(1, 4, 2))


def test_tensor_e_is_taken_but_its_last_letter_is_not_read(network) -> None:
    """Seven letters are two codons and a rest: torch says nothing, so the runtime has to."""
    x = torch.rand(1, 4, 7)
    torch.testing.assert_close(network.logits(x), network.logits(x[:, :, :6]))
    with pytest.raises(ShapeError, match=r"7 letters, the model takes .* multiple of 3"):
        seqtile.load("codon-convnet").predict("ATGATGA")


# the network


def test_a_codon_is_translated_alone(network) -> None:
    """Neither its neighbours nor its place nor case matter, and U is T."""
    letters = torch.from_numpy(data.letters("ACGTTTGGC").copy())
    whole, embedding = network(letters)
    torch.testing.assert_close(whole.sum(1), torch.ones(1, 3))
    for i, codon in enumerate(("acg", "UUU", "GGC")):
        alone, alone_embedding = network(torch.from_numpy(data.letters(codon).copy()))
        torch.testing.assert_close(alone[:, :, 0], whole[:, :, i])
        torch.testing.assert_close(alone_embedding[:, :, 0], embedding[:, :, i])


def test_targets_are_read_back_by_decode() -> None:
    assert seqtile.decode(residues("MACDW*").numpy(), alphabet="protein") == "MACDW*"
    assert seqtile.decode(np.eye(21, dtype=np.float32), alphabet="protein") == RESIDUES
    with pytest.raises(ValueError, match="B"):
        residues("MB")


def test_the_activation_must_be_known() -> None:
    with pytest.raises(ValueError, match="activation must be one of"):
        CodonNet(activation="step")


# the training


def test_training_translates_exactly(pairs) -> None:
    fit = train_codon.train(pairs, train_codon.Config(epochs=150), CPU)
    table = train_codon.distributions(fit.network, CPU)
    for codon, residue in data.seen_codons(pairs).items():
        assert seqtile.decode(table[codon][:, None], alphabet="protein") == residue
    assert [train_codon.translate(fit.network, dna, CPU) for dna, _ in pairs] == [
        protein for _, protein in pairs
    ]


def test_the_course_takes_one_sequence_after_the_other(pairs, monkeypatch) -> None:
    lengths = []
    forward = CodonNet.forward

    def spy(self, sequence):
        if self.training:
            lengths.append(sequence.shape[1])
        return forward(self, sequence)

    monkeypatch.setattr(CodonNet, "forward", spy)
    fit = train_codon.train(pairs, train_codon.Config(preset="course", smoke=True), CPU)
    assert lengths == [306, 1056, 696] * 20
    assert fit.history[-1]["train_loss"] < fit.history[0]["train_loss"] < 1


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_the_script_reports_and_exports(data_root: Path, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("SEQTILE_DATA", str(data_root))
    train_codon.main(
        [
            "--smoke",
            "--export",
            "--exported",
            str(tmp_path / "exported"),
            "--device",
            "cpu",
            "--threads",
            "1",
            "--runs",
            str(tmp_path / "runs"),
        ]
    )
    printed = capsys.readouterr().out
    runs = tmp_path / "runs" / "codon-convnet" / "best-smoke"
    report = json.loads((runs / "report.json").read_text())
    assert {metric["split"] for metric in report["metrics"]} == {
        "seen codons",
        "three sequences",
        "left-out codons",
        "unseen codons",
    }
    assert set(report["left_out"]) == set(data.hidden_twins()[0])
    for codon in data.PROLINE:
        assert f"{codon}  " in printed
        assert sum(report["proline"][codon].values()) == pytest.approx(1, abs=0.1)
    with (runs / "history.csv").open(newline="") as file:
        assert {"train_loss", "valid_loss"} <= next(csv.DictReader(file)).keys()
    assert (runs / "proline.png").read_bytes().startswith(b"\x89PNG")
    model = seqtile.load(tmp_path / "exported" / "codon-convnet")
    assert model.predict("ATGCCATAA")["probability"].shape == (1, 21, 3)


# the model that is shipped


@pytest.fixture(scope="module")
def shipped() -> seqtile.Predictor:
    return seqtile.load("codon-convnet")


def test_the_shipped_model_knows_the_code(shipped) -> None:
    """All 64 codons against the standard table, the two unseen ones among them."""
    found = shipped.predict(["".join(data.CODONS)])["probability"][0]
    assert seqtile.decode(found, alphabet="protein") == seqtile.translate("".join(data.CODONS))


def test_the_shipped_model_translates_the_three_sequences(shipped, pairs) -> None:
    for dna, protein in pairs:
        found = shipped.predict(dna)["probability"][0]
        assert seqtile.decode(found, alphabet="protein") == protein


def test_the_card_tells_what_is_said_of_proline(shipped) -> None:
    card = seqtile.card("codon-convnet")
    found = shipped.predict(["".join(data.PROLINE)])["probability"][0]
    for codon, distribution in zip(data.PROLINE, found.T, strict=True):
        for residue, probability in card.training["proline"][codon].items():
            assert distribution[RESIDUES.index(residue)] == pytest.approx(probability, abs=1e-3)


@pytest.mark.parametrize(
    ("sequence", "error", "message"),
    [
        ("ATGA", ShapeError, "4 letters, the model takes at least 3 and a multiple of 3"),
        ("AT", ShapeError, "2 letters"),
        ("ATGNNN", AlphabetError, "'N'"),
        ("ATG-AA", AlphabetError, "'-'"),
    ],
)
def test_what_the_shipped_model_refuses(shipped, sequence, error, message) -> None:
    with pytest.raises(error, match=message):
        shipped.predict(sequence)
