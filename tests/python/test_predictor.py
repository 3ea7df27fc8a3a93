"""Predictions: any batch size, any kind of sequence, every wrong one refused."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import seqtile
from seqtile import InputSpec, Predictor
from seqtile.errors import AlphabetError, ShapeError
from seqtile.execution.profile import Profile
from tests.python.models import (
    SHORTEST,
    counts_model,
    model_folder,
    motif_model,
    motif_score,
    rich_folder,
)
from tests.python.oracle import write_fasta

SIZES = [1, 2, 7, 64, "auto"]


@pytest.fixture(scope="module")
def motif(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A model of any length from 3."""
    return seqtile.load(model_folder(tmp_path_factory.mktemp("models") / "tiny"), device="cpu")


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A model with a further input and an embedding."""
    return seqtile.load(rich_folder(tmp_path_factory.mktemp("models") / "rich"), device="cpu")


SEQUENCE_MODELS = [n for n in seqtile.list_models() if seqtile.card(n).takes == "sequences"]


@pytest.fixture(scope="module", params=SEQUENCE_MODELS)
def shipped(request: pytest.FixtureRequest) -> Predictor:
    return seqtile.load(request.param, device="cpu")


def random_letters(n: int, length: int) -> list[str]:
    rng = np.random.default_rng(n)
    letters = np.frombuffer(b"ACGTacgtN", np.uint8)[rng.integers(0, 9, (n, length))]
    return [row.tobytes().decode() for row in letters]


def usual(predictor: Predictor, n: int) -> list[str]:
    """Sequences of a model's usual length, of letters that it takes."""
    card = predictor.card
    sequences = random_letters(n, predictor.window or int(card.training["window"]))
    return [s.replace("N", "A") for s in sequences] if refuses_unknown(predictor) else sequences


def refuses_unknown(predictor: Predictor) -> bool:
    return predictor.card.inputs[0].unknown == "raise"


def further(predictor: Predictor, n: int) -> dict[str, NDArray[np.float32]]:
    """What a model takes beside the sequence, the same in every row."""
    return {
        tensor.name: np.full((n, *tensor.shape[1:]), 0.01, np.float32)
        for tensor in predictor.card.inputs[1:]
    }


# the answer


def test_answers(motif: Predictor) -> None:
    sequences = ["ACG", "TTTTT", "gattaca", "NNNN"]
    result = motif.predict(sequences)
    assert list(result) == ["probability"]
    assert result["probability"].dtype == np.float32
    # Best sums 9, 28, 28 (TTA: 21 - 7 + 2 = 16; GAT: 12 - 1 + 14 = 25; ATT: 3 - 7 + 14), 0.
    expected = [1 / (1 + np.exp(3 - best / 8)) for best in (9, 28, 25, 0)]
    np.testing.assert_allclose(result["probability"], expected, rtol=0, atol=1e-6)


def test_the_batch_size_changes_nothing(shipped: Predictor) -> None:
    sequences = usual(shipped, 70)
    one = further(shipped, 1)
    one_by_one = [shipped.predict([s], **one)[shipped.outputs[0]][0] for s in sequences]
    every = further(shipped, len(sequences))
    for batch_size in SIZES:
        result = shipped.predict(sequences, batch_size=batch_size, **every)[shipped.outputs[0]]
        np.testing.assert_allclose(result, one_by_one, rtol=0, atol=shipped.card.tolerance)


@pytest.mark.parametrize("batch_size", SIZES)
def test_mixed_lengths_keep_their_order(motif: Predictor, batch_size: int | str) -> None:
    sequences = [s[: 3 + 5 * i % 40] for i, s in enumerate(random_letters(90, 40))]
    result = motif.predict(sequences, batch_size=batch_size)["probability"]
    expected = [motif_score(s) for s in sequences]
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-6)


@given(st.lists(st.text("ACGTUacgtuNRYswk", min_size=SHORTEST, max_size=30), max_size=20))
def test_any_sequences(motif: Predictor, sequences: list[str]) -> None:
    result = motif.predict(sequences, batch_size=3)["probability"]
    assert result.shape == (len(sequences),)
    np.testing.assert_allclose(result, list(map(motif_score, sequences)), rtol=0, atol=1e-6)


def test_kinds_of_sequences_agree(shipped: Predictor) -> None:
    text = usual(shipped, 9)
    raw = [s.encode() for s in text]
    arrays = [np.frombuffer(s, np.uint8) for s in raw]
    table = np.stack(arrays)
    every = further(shipped, len(text))
    expected = shipped.predict(text, **every)[shipped.outputs[0]]
    kinds = [raw, arrays, table, np.asfortranarray(table), [*text[:3], *raw[3:5], *arrays[5:]]]
    for kind in kinds:
        result = shipped.predict(kind, **every)[shipped.outputs[0]]
        np.testing.assert_array_equal(result, expected)


def test_one_sequence_is_a_batch_of_one(motif: Predictor) -> None:
    for one in ("ACGTA", b"ACGTA", np.frombuffer(b"ACGTA", np.uint8)):
        result = motif.predict(one)["probability"]
        np.testing.assert_allclose(result, [motif_score("ACGTA")], rtol=0, atol=1e-6)


def test_case_and_uracil_do_not_matter(shipped: Predictor) -> None:
    (upper,) = usual(shipped, 1)
    upper = upper.upper()
    same = [upper, upper.lower(), upper.replace("T", "U"), upper.lower().replace("t", "u")]
    answers = shipped.predict(same, **further(shipped, len(same)))[shipped.outputs[0]]
    np.testing.assert_array_equal(answers, np.full_like(answers, answers[0]))


def test_every_unknown_letter_is_the_same(shipped: Predictor) -> None:
    (letters,) = usual(shipped, 1)
    odd = [letters.replace("A", unknown) for unknown in "NRYKMSWBDHVnx"[:-1]]
    if refuses_unknown(shipped):
        with pytest.raises(AlphabetError, match="sequence 0, position"):
            shipped.predict(odd)
        return
    answers = shipped.predict(odd, **further(shipped, len(odd)))[shipped.outputs[0]]
    np.testing.assert_array_equal(answers, np.full_like(answers, answers[0]))
    assert np.isfinite(answers).all()


def test_threads_share_a_predictor(shipped: Predictor) -> None:
    sequences = usual(shipped, 64)
    every = further(shipped, len(sequences))

    def predict(_: int) -> dict[str, NDArray[np.generic]]:
        return shipped.predict(sequences, batch_size=8, **every)

    expected = predict(0)[shipped.outputs[0]]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(predict, range(8)))
    for result in results:
        np.testing.assert_array_equal(result[shipped.outputs[0]], expected)


@pytest.mark.parametrize("empty", [[], np.empty((0, 12), np.uint8)])
def test_no_sequences(motif: Predictor, empty: list[str] | NDArray[np.uint8]) -> None:
    result = motif.predict(empty)
    assert {name: value.shape for name, value in result.items()} == {"probability": (0,)}
    assert result["probability"].dtype == np.float32


KEPT: dict[str, Callable[[list[str]], Any]] = {
    "tuple": tuple,
    "generator": iter,
    "map": lambda letters: map(str, letters),
    "values of a dict": lambda letters: dict(enumerate(letters)).values(),
    "numpy str": np.array,
    "numpy str of any length": lambda letters: np.array(letters, np.dtypes.StringDType()),
    "numpy bytes": lambda letters: np.array(letters, "S"),
    "numpy objects": lambda letters: np.array(letters, object),
    "letters as str": lambda letters: np.array([list(s) for s in letters]),
    "letters as bytes": lambda letters: np.array([list(s) for s in letters], "S1"),
    "pandas": lambda letters: pandas().Series(letters, index=range(9, 9 - len(letters), -1)),
    "pandas index": lambda letters: pandas().Index(letters),
    "pandas categories": lambda letters: pandas().Series(letters).astype("category"),
    "arrow": lambda letters: pyarrow().array(letters),
    "arrow bytes": lambda letters: pyarrow().array([s.encode() for s in letters]),
    "arrow in chunks": lambda letters: pyarrow().chunked_array([letters[:2], letters[2:]]),
    "arrow, numbered": lambda letters: pyarrow().array(letters).dictionary_encode(),
}


def pandas() -> Any:
    return pytest.importorskip("pandas")


def pyarrow() -> Any:
    return pytest.importorskip("pyarrow")


@pytest.mark.parametrize("kind", KEPT)
def test_sequences_as_other_libraries_keep_them(
    motif: Predictor, rich: Predictor, kind: str
) -> None:
    letters = [s.replace("N", "A") for s in random_letters(6, 9)]
    expected = list(map(motif_score, letters))
    found = motif.predict(KEPT[kind](letters))["probability"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    if not kind.startswith("letters"):
        rows = list(motif.predict_iter(KEPT[kind](letters)))
        np.testing.assert_allclose([row["probability"] for row in rows], expected, atol=1e-6)
    counts = [[s.upper().count(letter) for letter in "ACGT"] for s in letters]
    values = KEPT["generator" if kind == "generator" else "tuple"]([0.0] * 6)
    assert rich.embed(KEPT[kind](letters), accessibility=values).tolist() == counts


@pytest.mark.parametrize("kind", ["pandas", "arrow"])
def test_further_inputs_as_other_libraries_keep_them(rich: Predictor, kind: str) -> None:
    values = pandas().Series([1.0, 2.5]) if kind == "pandas" else pyarrow().array([1.0, 2.5])
    found = rich.predict(["ACGTAC", "GGTTTT"], accessibility=values)
    assert found["totals"].tolist() == [[6, 7], [6, 8.5]]
    with pytest.raises(ShapeError, match="accessibility: expected an array of numbers: "):
        rich.predict(["ACG"], accessibility=["high"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ACGT": 1}, "expected sequences in their order, not a dict"),
        ({"ACGT", "GGGG"}, "in their order, not a set: give a list"),
        (Path("x.fa"), "not the path x.fa: use predict_fasta"),
        (["ACGT", None], "sequence 1: expected str, bytes or a 1-D uint8 array, not NoneType"),
        (5, "expected str, bytes, a uint8 array or a list of them, not int"),
    ],
)
def test_no_sequences_in_their_order(motif: Predictor, given: object, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        motif.predict(given)


def test_a_table_is_no_column(motif: Predictor) -> None:
    with pytest.raises(TypeError, match="not a DataFrame: give a list of them, or a column"):
        motif.predict(pandas().DataFrame({"A": ["ACGT"]}))


# what is refused


def test_wrong_length_names_the_sequence(tmp_path: Path) -> None:
    fixed = motif_model(tmp_path / "fixed.onnx", length=12)
    predictor = seqtile.load(fixed, input=InputSpec(layout="bytes"))
    assert (predictor.window, predictor.min_length) == (12, 12)
    with pytest.raises(ShapeError, match="^sequence 1 has 11 letters, the model takes 12$"):
        predictor.predict(["A" * 12, "A" * 11])


def test_too_short_names_the_sequence(motif: Predictor) -> None:
    assert (motif.window, motif.min_length) == (None, SHORTEST)
    with pytest.raises(ShapeError, match="^sequence 2 has 2 letters, .* takes at least 3$"):
        motif.predict(["ACGT", "ACG", "AC", "A"])


def test_wrong_letter_names_its_place(motif: Predictor) -> None:
    with pytest.raises(AlphabetError) as caught:
        motif.predict(["ACGT", "ACG-NNN", "ACG!T"])
    assert (caught.value.index, caught.value.position, caught.value.byte) == (2, 3, ord("!"))
    assert str(caught.value).startswith("sequence 2, position 3: expected ")


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, "all", None])
def test_bad_batch_size(motif: Predictor, batch_size: object) -> None:
    with pytest.raises(ValueError, match="^batch_size must be 'auto' or at least 1, not "):
        motif.predict(["ACGT"], batch_size=batch_size)


def test_wrong_kind_of_array(motif: Predictor) -> None:
    with pytest.raises(ShapeError, match="must be uint8 of shape"):
        motif.predict(np.zeros((2, 4, 12), np.float32))


# streams


def test_iter_gives_rows_in_order(motif: Predictor) -> None:
    sequences = [s[: 3 + i % 9] for i, s in enumerate(random_letters(20, 12))]
    rows = list(motif.predict_iter(iter(sequences), batch_size=6))
    assert [row["probability"].shape for row in rows] == [()] * 20
    answers = [row["probability"] for row in rows]
    np.testing.assert_allclose(answers, list(map(motif_score, sequences)), rtol=0, atol=1e-6)


def test_iter_reads_some_batches_ahead_at_most(motif: Predictor) -> None:
    given = 0

    def endless() -> Iterator[str]:
        nonlocal given
        for _ in itertools.count():
            given += 1
            yield "ACGTACGT"

    for count, _ in enumerate(itertools.islice(motif.predict_iter(endless(), batch_size=4), 19), 1):
        assert given <= 4 * (-(-count // 4) + 3 * motif.threads)


def test_iter_forgets_what_it_predicted(motif: Predictor) -> None:
    alive: weakref.WeakSet[NDArray[np.uint8]] = weakref.WeakSet()

    class Letters(np.ndarray):
        __hash__ = object.__hash__

    def arrays() -> Iterator[NDArray[np.uint8]]:
        for _ in range(40 * motif.threads):
            letters = np.frombuffer(b"ACGTACGT", np.uint8).view(Letters)
            alive.add(letters)
            yield letters

    assert max(len(alive) for _ in motif.predict_iter(arrays(), batch_size=4)) <= 4 * (
        3 * motif.threads + 2
    )


def test_long_items_are_read_a_few_ahead(tmp_path: Path) -> None:
    predictor = seqtile.load(model_folder(tmp_path / "tiny"), device="cpu", threads=2)
    taken = 0

    def items() -> Iterator[np.ndarray]:
        nonlocal taken
        for taken in range(1, 101):
            yield np.full(1 << 20, ord("ACGT"[taken % 4]), np.uint8)

    answers = []
    for answer in predictor.predict_iter(items()):
        answers.append(float(answer["probability"]))
        assert taken - len(answers) <= 4 * 3 * 2  # 4 are what a lane takes
    expected = [motif_score("ACGT"[i % 4] * 3) for i in range(1, 101)]
    np.testing.assert_allclose(answers, expected, atol=1e-6)


def test_the_error_of_an_item_has_its_number(motif: Predictor) -> None:
    items = [np.full(1 << 20, ord("A"), np.uint8)] * 9 + ["AC!T"]
    with pytest.raises(AlphabetError, match="^sequence 9, position 2"):
        list(motif.predict_iter(items))


def test_iter_counts_from_the_start(motif: Predictor) -> None:
    rows = motif.predict_iter(["ACGT"] * 9 + ["AC!T"], batch_size=4)
    with pytest.raises(AlphabetError, match="^sequence 9, position 2: ") as caught:
        list(rows)
    assert caught.value.index == 9
    with pytest.raises(ShapeError, match="^sequence 5 has 1 letters"):
        list(motif.predict_iter(["ACGT"] * 5 + ["A"], batch_size=4))


@pytest.mark.parametrize("batch_size", [1, 3, "auto"])
def test_fasta(motif: Predictor, tmp_path: Path, batch_size: int | str) -> None:
    genome = {"a": "ACGTACGTTT", "b": "gattacann", "c": "TTT" * 40}
    path = write_fasta(tmp_path / "x.fa", genome)
    rows = list(motif.predict_fasta(path, batch_size=batch_size))
    assert [row.name for row in rows] == ["a", "b", "c"]
    answers = [row.outputs["probability"] for row in rows]
    np.testing.assert_allclose(answers, list(map(motif_score, genome.values())), atol=1e-6)


def test_fasta_errors_name_the_record(motif: Predictor, tmp_path: Path) -> None:
    path = write_fasta(tmp_path / "x.fa", {"a": "ACGT", "b": "ACGTE", "c": "ACG"})
    rows = motif.predict_fasta(path, batch_size=2)
    with pytest.raises(AlphabetError, match="^record 'b', position 4: ") as caught:
        list(rows)
    assert (caught.value.record, caught.value.position) == ("b", 4)
    path = write_fasta(tmp_path / "y.fa", {"a": "ACGT", "empty": "", "c": "ACG"})
    with pytest.raises(ShapeError, match="^record 'empty' has 0 letters, .* at least 3$"):
        list(motif.predict_fasta(path))


def test_fasta_is_read_as_it_is_asked_for(motif: Predictor, tmp_path: Path) -> None:
    """The rows before a broken record arrive."""
    path = tmp_path / "x.fa"
    path.write_bytes(b">a\n" + b"ACGT\n" * 400_000 + b">b\nACGT\n" + b"ACGT\n" * 400_000 + b"\0\n")
    rows = motif.predict_fasta(path, batch_size=1)
    assert next(rows).name == "a"
    with pytest.raises(ValueError, match="x.fa, line 80"):
        next(rows)


def test_streams_refuse_further_inputs(tmp_path: Path) -> None:
    model = counts_model(tmp_path / "m.onnx", accessibility=True)
    predictor = seqtile.load(model, input=InputSpec())
    for rows in (predictor.predict_iter(["ACGT"]), predictor.predict_fasta("missing.fa")):
        with pytest.raises(TypeError, match="^m also needs the input 'accessibility'"):
            next(rows)


@pytest.mark.parametrize("count", [10, 5000])
def test_profile_of_an_array(count: int, motif: Predictor) -> None:
    profile = Profile()
    motif.predict(["ACGTACGT"] * count, profile=profile)
    assert {"read", "encode", "compute"} <= profile.seconds.keys()
