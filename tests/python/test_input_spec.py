"""Third-party models: float one-hot or raw letters, fixed batches, further inputs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import seqtile
from seqtile import InputSpec, Predictor
from seqtile.errors import AlphabetError, ModelCardError, ModelNotFoundError, ShapeError
from tests.python.models import counts_model, motif_model, motif_score, over_the_batch_model

SEQUENCES = ["ACGT", "aacg", "TTTT", "GNNC", "UURY"]
COUNTS = [[1, 1, 1, 1], [2, 1, 1, 0], [0, 0, 0, 4], [0, 1, 1, 0], [0, 0, 0, 2]]


def check(predictor: Predictor, **inputs: object) -> None:
    result = predictor.predict(SEQUENCES, **inputs)
    assert list(result) == ["counts", "total"]
    np.testing.assert_array_equal(result["counts"], COUNTS)
    assert result["total"].shape == (5, 1)


@pytest.mark.parametrize("layout", ["NCL", "NLC"])
@pytest.mark.parametrize("length", ["length", 4])
def test_one_hot_layouts(layout: str, length: int | str, tmp_path: Path) -> None:
    path = counts_model(tmp_path / "m.onnx", layout=layout, length=length)
    predictor = seqtile.load(path, input=InputSpec(layout=layout))
    check(predictor)
    assert (predictor.name, predictor.card) == ("m", None)
    assert predictor.window == (None if length == "length" else 4)
    assert predictor.outputs == ("counts", "total")


def test_raw_letters(tmp_path: Path) -> None:
    predictor = seqtile.load(motif_model(tmp_path / "m.onnx"), input=InputSpec(layout="bytes"))
    result = predictor.predict(SEQUENCES)["probability"]
    np.testing.assert_allclose(result, list(map(motif_score, SEQUENCES)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("unknown", ["zero", "uniform"])
def test_unknown_letters(unknown: str, tmp_path: Path) -> None:
    path = counts_model(tmp_path / "m.onnx")
    predictor = seqtile.load(path, input=InputSpec(unknown=unknown))
    share = 0.25 if unknown == "uniform" else 0
    counts = predictor.predict(["ANNC"])["counts"]
    np.testing.assert_array_equal(counts, [[1 + 2 * share, 1 + 2 * share, 2 * share, 2 * share]])


def test_unknown_letters_as_errors(tmp_path: Path) -> None:
    path = counts_model(tmp_path / "m.onnx")
    predictor = seqtile.load(path, input=InputSpec(unknown="raise"))
    with pytest.raises(AlphabetError, match="^sequence 1, position 2: expected one of ACGT"):
        predictor.predict(["ACGT", "ACNT"])


def test_other_alphabets(tmp_path: Path) -> None:
    path = counts_model(tmp_path / "m.onnx", channels=21)
    predictor = seqtile.load(path, input=InputSpec(alphabet="protein"))
    counts = predictor.predict(["MKK*"])["counts"][0]
    assert [counts["ACDEFGHIKLMNPQRSTVWY*".index(a)] for a in "MK*A"] == [1, 2, 1, 0]


def test_a_length_the_graph_leaves_open(tmp_path: Path) -> None:
    predictor = seqtile.load(counts_model(tmp_path / "m.onnx"), input=InputSpec(length=4))
    check(predictor)
    with pytest.raises(ShapeError, match="^sequence 0 has 5 letters, the model takes 4$"):
        predictor.predict(["ACGTA"])


@pytest.mark.parametrize("batch_size", [1, 3, "auto"])
def test_a_fixed_batch_is_filled_up(batch_size: int | str, tmp_path: Path) -> None:
    path = counts_model(tmp_path / "m.onnx", batch=4)
    predictor = seqtile.load(path, input=InputSpec())
    assert predictor.batches(batch_size).asked == 4
    for n in range(1, 6):
        counts = predictor.predict(SEQUENCES[:n], batch_size=batch_size)["counts"]
        np.testing.assert_array_equal(counts, COUNTS[:n])


def test_no_sequences(tmp_path: Path) -> None:
    predictor = seqtile.load(counts_model(tmp_path / "m.onnx"), input=InputSpec())
    result = predictor.predict([])
    assert {k: v.shape for k, v in result.items()} == {"counts": (0, 4), "total": (0, 1)}


# further inputs


@pytest.mark.parametrize("batch", ["batch", 4])
@pytest.mark.parametrize("shape", [(5,), (5, 1)])
def test_further_input(batch: int | str, shape: tuple[int, ...], tmp_path: Path) -> None:
    path = counts_model(tmp_path / "m.onnx", accessibility=True, batch=batch)
    predictor = seqtile.load(path, input=InputSpec())
    values = np.array([10, 20, 30, 40, 50]).reshape(shape)
    check(predictor, accessibility=values)
    total = predictor.predict(SEQUENCES, accessibility=values)["total"]
    np.testing.assert_array_equal(total[:, 0], [14, 24, 34, 42, 52])


def test_further_input_follows_mixed_lengths(tmp_path: Path) -> None:
    path = counts_model(tmp_path / "m.onnx", accessibility=True)
    predictor = seqtile.load(path, input=InputSpec())
    values = np.array([100, 200, 300])
    total = predictor.predict(["ACG", "A", "AAT"], accessibility=values)["total"]
    np.testing.assert_array_equal(total[:, 0], [103, 201, 303])


@pytest.fixture
def with_accessibility(tmp_path: Path) -> Predictor:
    return seqtile.load(
        counts_model(tmp_path / "m.onnx", accessibility=True), input=InputSpec(name="onehot")
    )


def test_further_input_missing(with_accessibility: Predictor) -> None:
    with pytest.raises(TypeError, match="^m also needs the input 'accessibility' "):
        with_accessibility.predict(["ACGT"])
    with pytest.raises(TypeError, match="^m also needs the input 'accessibility'"):
        seqtile.scan(with_accessibility, "missing.fa", window=4)


def test_further_input_unknown(with_accessibility: Predictor) -> None:
    with pytest.raises(TypeError, match=r"^m has no input 'dnase'; it has \['accessibility'\]$"):
        with_accessibility.predict(["ACGT"], accessibility=[1], dnase=[1])


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 2), (2, 1, 1), ()])
def test_further_input_of_another_size(
    with_accessibility: Predictor, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ShapeError, match=r"^accessibility: expected .*, not shape \("):
        with_accessibility.predict(["ACGT", "ACGT"], accessibility=np.zeros(shape))


# a spec that does not fit


@pytest.mark.parametrize("length", ["length", 9])
def test_wrong_layout(length: int | str, tmp_path: Path) -> None:
    ncl = counts_model(tmp_path / "m.onnx", length=length)
    with pytest.raises(ModelCardError, match="alphabet 'dna' has 4; is the layout right"):
        seqtile.load(ncl, input=InputSpec(layout="NLC"))


@pytest.mark.parametrize("spec", [InputSpec(layout="bytes"), InputSpec(layout="NCL")])
def test_wrong_kind_of_input(spec: InputSpec, tmp_path: Path) -> None:
    write = counts_model if spec.layout == "bytes" else motif_model
    with pytest.raises(ModelCardError, match=f"layout '{spec.layout}' needs a tensor"):
        seqtile.load(write(tmp_path / "m.onnx"), input=spec)


def test_wrong_number_of_channels(tmp_path: Path) -> None:
    path = counts_model(tmp_path / "m.onnx")
    with pytest.raises(ModelCardError, match="'onehot' has 4 channels, alphabet 'protein' has 21"):
        seqtile.load(path, input=InputSpec(alphabet="protein"))


def test_wrong_name(tmp_path: Path) -> None:
    path = counts_model(tmp_path / "m.onnx")
    with pytest.raises(ModelCardError, match=r"no input 'x'; it has \['onehot'\]"):
        seqtile.load(path, input=InputSpec(name="x"))


@pytest.mark.parametrize("words", [{"layout": "CLN"}, {"unknown": "skip"}])
def test_wrong_words(words: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="^(layout|unknown) must be .*, not '(CLN|skip)'$"):
        InputSpec(**words)


def test_without_a_spec(tmp_path: Path) -> None:
    path = counts_model(tmp_path / "m.onnx")
    with pytest.raises(ModelCardError, match="no contract in its metadata.*InputSpec"):
        seqtile.load(path)


@pytest.mark.parametrize("spec", [None, InputSpec()])
def test_missing_file(spec: InputSpec | None, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="no model file .*m.onnx"):
        seqtile.load(tmp_path / "m.onnx", input=spec)


def test_a_model_with_a_card_takes_no_spec() -> None:
    with pytest.raises(ValueError, match="^jund-cnn-seq: its card says how it takes sequences"):
        seqtile.load("jund-cnn-seq", input=InputSpec(layout="NCL"))


def test_a_length_that_contradicts_the_graph(tmp_path: Path) -> None:
    path = motif_model(tmp_path / "m.onnx", length=20)
    with pytest.raises(ModelCardError, match="has length 20, InputSpec 21$"):
        seqtile.load(path, input=InputSpec(layout="bytes", length=21))


def test_a_scan_needs_nucleotides(tmp_path: Path) -> None:
    predictor = seqtile.load(counts_model(tmp_path / "m.onnx"), input=InputSpec(alphabet="WXYZ"))
    with pytest.raises(ValueError, match="^a scan needs a model of nucleotides; .* 'WXYZ'$"):
        seqtile.scan(predictor, "missing.fa", window=4)


@pytest.mark.parametrize("axes", [(0,), (0, 1, 2)])
def test_a_model_that_does_not_answer_for_each_sequence(
    axes: tuple[int, ...], tmp_path: Path
) -> None:
    path = over_the_batch_model(tmp_path / "m.onnx", axes)
    predictor = seqtile.load(path, input=InputSpec())
    shape = re.escape(str((4, 5) if axes == (0,) else ()))
    message = f"^output 'sum' of the model has the shape {shape} for 7 items: expected a row"
    with pytest.raises(ShapeError, match=message):
        predictor.predict(["ACGTA"] * 7)
    with pytest.raises(ShapeError, match=message):
        list(predictor.predict_iter(["ACGTA"] * 7))
