"""Rows of tables and JSON lines, against Python's own formatting of each number and name."""

from __future__ import annotations

import io
import json
import math
import struct
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from numpy.typing import NDArray

import seqtile
from seqtile import _core, decode
from seqtile.commands.tables import write_predictions
from seqtile.errors import OutputError, ShapeError
from seqtile.fasta.reader import FastaInput
from seqtile.models.contract import Contract, Output, OutputKind
from seqtile.models.prediction import Outputs, PredictionBlock
from seqtile.models.rows import Rows
from seqtile.sequences.batch import Names
from tests.python.models import CARD

CELLS, JSON = _core.RowField.CELLS, _core.RowField.JSON
FLOATS = st.integers(0, 2**32 - 1).map(lambda bits: struct.unpack("f", struct.pack("I", bits))[0])
NAMES = st.one_of(
    st.text(st.characters(blacklist_categories=["Cs"]), max_size=12),
    st.binary(max_size=12).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
)


# the oracle: one record at a time, in Python


def letters_of(value: NDArray[np.float32], spec: Output | None) -> str | None:
    return str(decode(value, alphabet=spec.alphabet)) if spec and spec.kind == "letters" else None


def class_of(outputs: Outputs, contract: Contract) -> dict[str, str | None]:
    first = contract.outputs[0]
    if first.kind != "classes" or first.name not in outputs:
        return {}
    scores = outputs[first.name]
    return {"class": None if np.isnan(scores).any() else first.labels[int(scores.argmax())]}


def json_text(content: Any) -> str:
    """JSON as every parser reads it: null for what is not finite."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(plain(content), allow_nan=False)


def specs_of(contract: Contract) -> dict[str, Output]:
    return {tensor.name: tensor for tensor in contract.outputs}


def json_line(name: str, outputs: Outputs, contract: Contract) -> str:
    content: dict[str, Any] = {"name": name, **class_of(outputs, contract)}
    specs = specs_of(contract)
    for key, value in outputs.items():
        labels = specs[key].labels if key in specs else ()
        named = value.ndim == 1 and len(labels) == len(value)
        numbers = value.tolist()
        content[key] = dict(zip(labels, numbers, strict=True)) if named else numbers
        if (letters := letters_of(value, specs.get(key))) is not None:
            content[f"{key}_letters"] = letters
    return json_text(content) + "\n"


def cells(name: str, outputs: Outputs, contract: Contract) -> dict[str, str]:
    found = {"name": name}
    for key, label in class_of(outputs, contract).items():
        found[key] = label or "nan"
    specs = specs_of(contract)
    for key, value in outputs.items():
        spec = specs.get(key)
        if (letters := letters_of(value, spec)) is not None:
            found[key] = letters
            continue
        flat = value.reshape(-1)
        labels = spec.labels if spec and len(spec.labels) == flat.size else range(flat.size)
        keys = [key] if flat.size == 1 else [f"{key}_{label}" for label in labels]
        found.update(zip(keys, (f"{v:.6g}" for v in flat.tolist()), strict=True))
    return found


TURNS = ("LEFT-TO-RIGHT", "RIGHT-TO-LEFT", "POP DIRECTION", "FIRST STRONG", "ARABIC LETTER MARK")


def as_shown(cell: str) -> str:
    """What moves a terminal's cursor, ends a line or turns the text, as Python's source has it."""

    def moves(sign: str) -> bool:
        kind = unicodedata.category(sign)
        turns = kind == "Cf" and unicodedata.name(sign, "").startswith(TURNS)
        return kind in ("Cc", "Zl", "Zp") or turns

    return "".join(repr(sign)[1:-1] if moves(sign) else sign for sign in cell)


def expected(blocks: Sequence[PredictionBlock], contract: Contract, *, as_json: bool) -> bytes:
    text = ""
    for block in blocks:
        for i, name in enumerate(block.names):
            outputs = {key: values[i] for key, values in block.outputs.items()}
            if as_json:
                text += json_line(name, outputs, contract)
                continue
            row = cells(name, outputs, contract)
            text += "" if text else "\t".join(map(as_shown, row)) + "\n"
            text += "\t".join(map(as_shown, row.values())) + "\n"
    return text.encode("utf-8", "surrogateescape")


def output(
    name: str, labels: Sequence[str] = (), *, kind: OutputKind = "score", alphabet: str = ""
) -> Output:
    shape = ("batch", len(labels)) if labels else ("batch",)
    return Output(
        name=name, kind=kind, shape=shape, dtype="float32", labels=tuple(labels), alphabet=alphabet
    )


def contract_of(*outputs: Output) -> Contract:
    return replace(CARD.contract(), outputs=outputs)


# A third-party model's: says nothing of the outputs that the tests write.
PLAIN = contract_of(output("unheard of"))


def written(
    blocks: Sequence[PredictionBlock],
    path: Path,
    contract: Contract = PLAIN,
    *,
    as_json: bool = False,
) -> bytes:
    counts: list[int] = []
    write_predictions(blocks, str(path), contract=contract, as_json=as_json, advance=counts.append)
    sizes = [len(block.names) for block in blocks if len(block.names)]
    assert counts == np.cumsum(sizes).tolist()
    return path.read_bytes()


def random_block(names: Sequence[str], **shapes: tuple[int, ...]) -> PredictionBlock:
    """Numbers of every size, some of them not finite."""
    random = np.random.default_rng(len(names))
    outputs = {}
    for name, shape in shapes.items():
        values = random.integers(0, 2**32, (len(names), *shape), dtype=np.uint32)
        usual = random.normal(size=values.shape).astype(np.float32)
        outputs[name] = np.where(random.random(values.shape) < 0.3, values.view(np.float32), usual)
    return PredictionBlock(names, outputs)


# numbers


def numbers_text(values: NDArray[np.float32], kind: _core.RowField) -> list[str]:
    rows = _core.RowFormat([(b"", kind, 0, 0, [])], b"\n").rows(len(values), [], [values[:, None]])
    return rows.decode("ascii").splitlines()


@given(st.lists(FLOATS, min_size=1))
@settings(deadline=None)
def test_any_number(floats: list[float]) -> None:
    values = np.array(floats, np.float32)
    assert numbers_text(values, CELLS) == [f"{v:.6g}" for v in values.tolist()]
    assert numbers_text(values, JSON) == [json_text(v) for v in values.tolist()]


def test_numbers_of_all_magnitudes() -> None:
    random = np.random.default_rng(1)
    some = random.integers(0, 2**32, 100_000, dtype=np.uint32).view(np.float32)
    logits = random.normal(0, 6, 100_000)
    usual = random.normal(size=100_000).astype(np.float32)
    edges = np.concatenate([[10.0**i, 2.0**i] for i in range(-45, 39)]).astype(np.float32)
    near = [np.nextafter(edges, np.float32(to)) for to in (0, np.inf)]
    short = (np.arange(50_000) / 8).astype(np.float32)  # ties of the sixth digit
    sigmoid = (1 / (1 + np.exp(-logits))).astype(np.float32)
    values = np.concatenate([some, sigmoid, usual, edges, *near, -edges, short, short * 16])
    listed = values.tolist()
    assert numbers_text(values, CELLS) == [f"{v:.6g}" for v in listed]
    assert numbers_text(values, JSON) == [json_text(v) for v in listed]


# names


@given(st.lists(NAMES, max_size=5))
def test_names(names: list[str]) -> None:
    texts = _core.Texts(names)
    assert [texts.text(i) for i in range(len(texts))] == names
    for kind, write in ((_core.RowField.TEXT, str), (_core.RowField.QUOTED, json.dumps)):
        rows = _core.RowFormat([(b"<", kind, 0, 0, [])], b">").rows(len(names), [texts], [])
        wanted = "".join(f"<{write(name)}>" for name in names)
        assert rows == wanted.encode("utf-8", "surrogateescape")


def test_no_texts() -> None:
    with pytest.raises(TypeError, match="text 1: expected str, not bytes"):
        _core.Texts(["a", b"b"])  # type: ignore[list-item]
    with pytest.raises(UnicodeEncodeError):
        _core.Texts(["\ud800"])
    texts = _core.Texts(["a", "b", "c"])
    with pytest.raises(IndexError):
        texts.text(3)
    with pytest.raises(IndexError):
        texts.slice(2, 4)


# formats


def test_formats_that_do_not_fit() -> None:
    numbers, names = np.zeros((2, 3), np.float32), _core.Texts(["a", "b"])
    fields = [(b"", _core.RowField.TEXT, 0, 0, []), (b"", CELLS, 0, 1, [2])]
    rows = _core.RowFormat(fields, b"\n")
    assert rows.rows(2, [names], [numbers]) == b"a0\t0\nb0\t0\n"
    for count, texts, arrays in (
        (1, [names], [numbers]),
        (2, [], [numbers]),
        (2, [names], []),
        (2, [names.slice(0, 1)], [numbers]),
        (2, [names], [np.zeros((2, 2), np.float32)]),
        (2, [names], [numbers[0]]),
    ):
        with pytest.raises(ValueError, match="column|table|rank"):
            rows.rows(count, texts, arrays)
    for wrong in (numbers.astype(np.float64), numbers[:, ::2], numbers.T):
        with pytest.raises(TypeError):
            rows.rows(2, [names], [wrong])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="too long"):
        _core.RowFormat([(b"", JSON, 0, 0, [2**62, 4])], b"")


BINARY = contract_of(replace(output("probability", ["no", "yes"]), shape=("batch",)))
CLASSES = contract_of(output("score", ["käfer", 'a"b', "c d"], kind="classes"))
LETTERS = contract_of(output("aa", "ACDEFGHIKLMNPQRSTVWY*", kind="letters", alphabet="protein"))
LABELS = contract_of(output("x", ["a", "b"]), output("y"))
CASES: dict[str, tuple[Contract, dict[str, tuple[int, ...]]]] = {
    "binary": (BINARY, {"probability": ()}),
    "binary, embedding": (BINARY, {"embedding": (5,)}),
    "third-party": (PLAIN, {"counts": (4,), 'to"tal': (1,), "grid": (2, 3)}),
    "classification": (CLASSES, {"score": (3,)}),
    "classification, embedding": (CLASSES, {"embedding": (2,)}),
    "letters": (LETTERS, {"aa": (21, 4)}),
    "letters, embedding": (LETTERS, {"embedding": (3, 4)}),
    "labels": (LABELS, {"x": (2,), "y": ()}),
    "labels that are not as many": (LABELS, {"x": (3,), "y": (2,)}),
    "nothing": (PLAIN, {"empty": (0,), "none": (2, 0), "nil": (0, 2)}),
    "one": (LABELS, {"x": (1, 1)}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("as_json", [False, True])
def test_as_python_writes(case: str, as_json: bool, tmp_path: Path) -> None:
    contract, shapes = CASES[case]
    names = [
        "a",
        "chr1:1-2(+)",
        "käfer",
        "b\udcff",
        'q"\\\t',
        "\U0001f600",
        "a\nb\x1b[1m\x85\u202e\u2028",
    ]
    blocks = [random_block(names, **shapes), random_block([], **shapes)]
    blocks.append(random_block(["last"], **shapes))
    found = written(blocks, tmp_path / "out", contract, as_json=as_json)
    assert found == expected(blocks, contract, as_json=as_json)


@pytest.mark.parametrize("as_json", [False, True])
def test_shapes_that_change(as_json: bool, tmp_path: Path) -> None:
    blocks = [random_block(["a"], aa=(21, n)) for n in (3, 5, 5, 0, 1)]
    found = written(blocks, tmp_path / "out", LETTERS, as_json=as_json)
    assert found == expected(blocks, LETTERS, as_json=as_json)
    assert found.count(b"\n") == (5 if as_json else 6)


def test_strided_outputs(tmp_path: Path) -> None:
    whole = random_block(["a", "b", "c", "d"], x=(6,))
    blocks = [PredictionBlock(["a", "b"], {"x": whole.outputs["x"][::2, 1::2]})]
    assert written(blocks, tmp_path / "out") == expected(blocks, PLAIN, as_json=False)


def test_wrong_letters() -> None:
    with pytest.raises(ShapeError, match="expected 21 channels"):
        Rows(LETTERS, as_json=False)(random_block(["a"], aa=(21,)))


def test_no_predictions(tmp_path: Path) -> None:
    assert written([], tmp_path / "out") == b""
    assert written([random_block([], x=(2,))], tmp_path / "out") == b""


def test_arrays(tmp_path: Path) -> None:
    blocks = [random_block(["a", "b"], x=(2,), y=()), random_block(["c"], x=(2,), y=())]
    written(blocks, tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as found:
        assert found["name"].tolist() == ["a", "b", "c"]
        for key in "xy":
            wanted = np.concatenate([block.outputs[key] for block in blocks])
            assert found[key].dtype == np.float32
            np.testing.assert_array_equal(found[key], wanted)
    blocks.append(random_block(["d"], x=(3,), y=()))
    with pytest.raises(ValueError, match=r"record 'd' has x of shape \(3,\), others \(2,\)"):
        written(blocks, tmp_path / "other.npz")
    assert {path.name for path in tmp_path.iterdir()} == {"out.npz"}


def test_standard_output_gets_each_block(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    buffered = io.BufferedWriter(raw)  # type: ignore[type-var]
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffered, encoding="utf-8"))
    blocks = [random_block(["a\udcff"], x=()), random_block(["b"], x=())]
    seen: list[int] = []
    write_predictions(
        blocks, "-", contract=PLAIN, as_json=False, advance=lambda _: seen.append(raw.tell())
    )
    sizes = [len(expected(blocks[:n], PLAIN, as_json=False)) for n in (1, 2)]
    assert seen == sizes
    assert raw.getvalue() == expected(blocks, PLAIN, as_json=False)


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(OutputError, match="the folder /nowhere does not exist"):
        written([random_block(["a"], x=())], Path("/nowhere/out.tsv"))


# from a file


@given(st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=6))
@settings(deadline=None)
def test_names_of_records_as_they_stand(raw: list[bytes]) -> None:
    blank = bytes(range(33))
    names = [bytes(b for b in name if b not in blank) or b"x" for name in raw]
    file = b"".join(b">" + name + b" more\nACGT\n" for name in names)
    with FastaInput(io.BytesIO(file)) as reader:
        (batch,) = reader.batches(least=100)
    assert list(batch.names) == [name.decode("utf-8", "surrogateescape") for name in names]
    values = np.arange(len(names), dtype=np.float32)
    block = PredictionBlock(batch.names, {"p": values})
    for as_json in (False, True):
        rows = Rows(PLAIN, as_json=as_json)
        found = (b"" if as_json else rows.header(block)) + rows(block)
        assert found == expected([block], PLAIN, as_json=as_json)


def test_slices_of_names() -> None:
    with FastaInput(io.BytesIO(b"".join(b">r%d\nA\n" % i for i in range(9)))) as reader:
        (batch,) = reader.batches(least=9)
    names = batch.names
    assert isinstance(names[2:5], Names)
    assert list(names[2:5]) == ["r2", "r3", "r4"]
    assert list(names[2:5][1:]) == ["r3", "r4"]
    assert list(names[::-4]) == ["r8", "r4", "r0"]
    assert (list(names[5:2]), list(names[20:])) == ([], [])
    assert (names[-1], "r3" in names, "x" in names, names.index("r3")) == ("r8", True, False, 3)
    with pytest.raises(IndexError):
        names[9]
    block = PredictionBlock(names[7:], {"p": np.array([1, 2], np.float32)})
    assert Rows(PLAIN, as_json=False)(block) == b"r7\t1\nr8\t2\n"


@pytest.mark.parametrize("name", seqtile.list_models())
def test_columns_of_every_model(name: str) -> None:
    """What a card's outputs look like, with axes that may be of any size made 2."""
    contract = seqtile.card(name)
    for tensor in contract.outputs:
        shape = tuple(size if isinstance(size, int) else 2 for size in tensor.shape[1:])
        block = random_block(["a", "b", "c"], **{tensor.name: shape})
        for as_json in (False, True):
            rows = Rows(contract, as_json=as_json)
            found = (b"" if as_json else rows.header(block)) + rows(block)
            assert found == expected([block], contract, as_json=as_json)
