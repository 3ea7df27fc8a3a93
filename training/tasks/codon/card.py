"""The contract of `codon-convnet`, and the words of its card."""

from __future__ import annotations

from typing import Any

from seqtile.models.contract import Contract, Input, Output

from ...export.report import Report
from . import data

NAME = "codon-convnet"
LENGTH = 102  # letters of the golden inputs


def make_contract(residues: str, width: int) -> Contract:
    """The contract; ``residues`` are its channels, ``width`` is the embedding's."""
    return Contract(
        name=NAME,
        version="1.1.0",
        inputs=(
            Input(
                name="sequence",
                kind="letters",
                shape=("batch", "length"),
                dtype="uint8",
                alphabet="dna",
                unknown="raise",
                min_length=data.CODON,
                length_multiple=data.CODON,
            ),
        ),
        outputs=(
            Output(
                name="probability",
                kind="letters",
                shape=("batch", len(residues), "codons"),
                dtype="float32",
                alphabet="protein",
                labels=tuple(residues),
                bin=data.CODON,
            ),
            Output(
                name="embedding",
                kind="embedding",
                shape=("batch", width, "codons"),
                dtype="float32",
                bin=data.CODON,
            ),
        ),
        receptive_field=data.CODON,
        training_window=LENGTH,
        tolerance=1e-5,
    )


def data_fields() -> dict[str, Any]:
    """What it was trained on."""
    return {
        "train": {
            "n": 686,
            "codons": 62,
            "sha256": data.CHECKSUMS["dna"],
            "sha256_protein": data.CHECKSUMS["protein"],
        }
    }


def words(contract: Contract, report: Report) -> dict[str, Any]:
    """What a reader of the card is told."""
    said = report.training["proline"]
    unseen = "; ".join(
        f"{codon}: " + ", ".join(f"{residue} {p:.3f}" for residue, p in said[codon].items())
        for codon in data.PROLINE[2:]
    )
    return report.words(
        task="translation",
        summary="Which residue does each codon of this DNA stand for (standard code, frame 0)?",
        meaning={
            "sequence": "ASCII letters of the coding strand, in frame: a multiple of 3; case is "
            "ignored, U counts as T",
            "probability": "of each residue, and of stop (*), for each codon: seqtile.decode(..., "
            "alphabet='protein') reads the protein",
            "embedding": "activations of the second layer",
        },
        data={
            "name": data.NAME,
            "source": data.SOURCE,
            "split": "none: all codons of the three sequences are trained on; the left-out codons "
            "are of networks trained without them, the unseen ones are not in the sequences",
        },
        limits=(
            f"Two codons of proline were never seen. What it says of them: {unseen}.",
            "It knows the standard code as 62 codons show it, and no other table; "
            "`seqtile.translate` is exact, faster, and knows them all. This model is a lesson.",
            "The runtime refuses letters other than A, C, G, T, U; to the graph alone such a "
            "letter is a column of zeros, and the residue of its codon means nothing.",
        ),
    )
