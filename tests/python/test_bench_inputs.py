"""What a benchmark feeds: real letters and pixels in the shape asked for, the same for a seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import seqtile
from seqtile.bench.inputs import Source, Workload
from tests.python.models import colour_folder, counts_model, image_folder, model_folder, rich_folder
from tests.python.oracle import write_fasta


def source(folder: Path, data: str = "golden", seed: int = 0) -> Source:
    return Source(seqtile.load(folder, device="cpu"), str(folder), data, seed)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return model_folder(tmp_path / "tiny")


def rows(workload: Workload) -> list[bytes]:
    return [item.tobytes() for batch in workload.batches for item in batch.items]


def golden(folder: Path) -> list[bytes]:
    with np.load(folder / "golden.npz") as arrays:
        return [row.tobytes() for row in arrays["sequence"]]


def test_golden_sequences_of_their_own_length(tiny: Path) -> None:
    made = source(tiny)
    assert made.usual_shape() == (12,)
    workload = made.workload((12,), 4)
    assert (workload.unit, workload.units) == ("bases", 12)
    assert len(workload.batches) == 16
    assert {len(batch) for batch in workload.batches} == {4}
    found, known = rows(workload), golden(tiny)
    assert set(found) == set(known)
    for begin in range(0, len(found) - 2, 3):  # each once, then again in another order
        assert sorted(found[begin : begin + 3]) == sorted(known)


@pytest.mark.parametrize("length", [3, 5, 30, 101])
def test_golden_sequences_of_another_length(tiny: Path, length: int) -> None:
    """Joined and cut: the golden sequences stand one after another in the items."""
    joined = b"".join(rows(source(tiny).workload((length,), 7)))
    assert len(joined) == 16 * 7 * length
    known = golden(tiny)
    whole = [joined[i : i + 12] for i in range(0, len(joined) - 11, 12)]
    assert set(whole) <= set(known)
    assert len(set(whole)) == 3


def test_the_seed_decides(tiny: Path) -> None:
    first = rows(source(tiny).workload((12,), 8))
    assert rows(source(tiny).workload((12,), 8)) == first
    assert rows(source(tiny, seed=1).workload((12,), 8)) != first


def test_random_letters(tiny: Path) -> None:
    found = b"".join(rows(source(tiny, "random").workload((50,), 64)))
    counts = [found.count(letter) / len(found) for letter in b"ACGT"]
    assert sum(counts) == pytest.approx(1)
    assert counts == pytest.approx([0.25] * 4, abs=0.02)


def test_letters_of_a_fasta_file(tiny: Path, tmp_path: Path) -> None:
    path = write_fasta(tmp_path / "x.fa", {"a": "ACGTAC", "b": "GGGTTT", "c": "CC"})
    found = b"".join(rows(source(tiny, str(path)).workload((4,), 2)))
    assert len(found) == 16 * 2 * 4
    assert found == (b"ACGTACGGGTTTCC" * 10)[: len(found)]


def test_large_batches_are_few(tiny: Path) -> None:
    made = source(tiny, "random")
    assert len(made.workload((1 << 18,), 64).batches) == 2
    assert len(made.workload((1 << 20,), 33).batches) == 1


def test_further_inputs_go_with_the_golden_ones(tmp_path: Path) -> None:
    folder = rich_folder(tmp_path / "rich")
    workload = source(folder).workload((6,), 5)
    values = np.concatenate([batch.extra["accessibility"] for batch in workload.batches])
    assert values.shape == (80, 1)
    assert set(values.ravel().tolist()) == {0.5, 1.5}
    other = source(folder, "random").workload((6,), 5).batches[0]
    assert other.extra["accessibility"].shape == (5, 1)
    assert other.extra["accessibility"].dtype == np.float32
    assert other.head(2).extra["accessibility"].shape == (2, 1)


def test_golden_images_of_another_size(tmp_path: Path) -> None:
    """Tiled: every patch of 8 x 12 is a golden image, or the upper left part of one."""
    folder = image_folder(tmp_path / "cells")
    made = source(folder)
    assert made.usual_shape() == (8, 12)
    workload = made.workload((12, 28), 3)
    assert (workload.unit, workload.units) == ("pixels", 336)
    with np.load(folder / "golden.npz") as arrays:
        images = arrays["image"]
    for image in workload.batches[0].items:
        assert image.shape == (12, 28)
        for y in (0, 8):
            for x in (0, 12, 24):
                patch = image[y : y + 8, x : x + 12]
                parts = images[:, : patch.shape[0], : patch.shape[1]]
                assert (parts == patch).all((1, 2)).any()


@pytest.mark.parametrize("data", ["golden", "random"])
def test_colours(tmp_path: Path, data: str) -> None:
    made = source(colour_folder(tmp_path / "colours"), data)
    assert made.usual_shape() == (6, 5)
    assert made.workload((6, 5), 4).batches[0].items.shape == (4, 6, 5, 3)


def test_a_third_party_model(tmp_path: Path) -> None:
    path = counts_model(tmp_path / "m.onnx")
    predictor = seqtile.load(path, device="cpu", input=seqtile.InputSpec())
    with pytest.raises(ValueError, match="no golden inputs: --data random"):
        Source(predictor, str(path), "golden", 0)
    made = Source(predictor, str(path), "random", 0)
    assert made.tolerance is None
    with pytest.raises(ValueError, match="--length"):
        made.usual_shape()
    assert made.workload((9,), 2).batches[0].items.shape == (2, 9)


def test_refusals(tmp_path: Path, tiny: Path) -> None:
    folder = image_folder(tmp_path / "cells")
    with pytest.raises(ValueError, match="takes images: --data golden or random"):
        source(folder, "x.fa")
    empty = write_fasta(tmp_path / "empty.fa", {"a": ""})
    with pytest.raises(ValueError, match="no letters"):
        source(tiny, str(empty)).workload((4,), 2)
    (tiny / "golden.npz").write_bytes(b"PK")
    with pytest.raises(seqtile.ModelIntegrityError):
        Source(seqtile.load(tiny / "model.onnx", device="cpu"), str(tiny), "golden", 0)
