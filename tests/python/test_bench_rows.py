"""The JSON of a benchmark: round trip, and files that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from seqtile.bench.rows import SCHEMA, Document, read_document
from seqtile.errors import BenchFileError
from tests.python.made_rows import DOCUMENT, arrivals, row


def text(document: Document) -> str:
    return json.dumps(document.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    "document",
    [
        DOCUMENT,
        replace(
            DOCUMENT,
            rows=(row(3, stages={"seconds": {}}), arrivals(0.1, sustained=False)),
            skipped=({"what": "x", "why": "y"},),
        ),
        replace(DOCUMENT, rows=(row(5, interval=None, gpu={"energy": 1.5}),)),
        replace(DOCUMENT, rows=()),
    ],
    ids=["plain", "rich", "gpu", "empty"],
)
def test_round_trip(document: Document, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text(document), encoding="utf-8")
    found = read_document(str(path))
    assert found == document
    assert text(found) == text(document)


def test_a_comparison_inside_is_passed_over() -> None:
    content = DOCUMENT.to_dict() | {"comparison": {"rows": []}}
    assert Document.from_json(json.dumps(content), source="x") == DOCUMENT


def test_the_schema_is_in_the_file() -> None:
    content = json.loads(text(DOCUMENT))
    assert (content["schema"], content["kind"]) == (SCHEMA, "seqtile bench") == (1, "seqtile bench")
    (entry,) = content["rows"]
    assert entry["latency"] == {
        "mean": 0.01,
        "50": 0.01,
        "90": 0.01,
        "95": 0.01,
        "99": 0.01,
        "99.9": 0.01,
        "max": 0.02,
    }
    assert entry["windows"][0] == {"requests": 100, "seconds": 1.0, "p50_s": 0.01}
    assert entry["interval"] == [790, 810]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"[]", "not a file that seqtile bench"),
        (b"null", "not a file that seqtile bench"),
        (b"{}", "not a file that seqtile bench"),
        (b'{"schema": 1}', "not a file that seqtile bench"),
        (b'{"kind": "seqtile bench"}', "schema None, this version reads 1"),
        (b'{"kind": "seqtile bench", "schema": 2}', "schema 2, this version reads 1"),
        (b'{"kind": "seqtile bench", "schema": 1}', "damaged"),
    ],
)
def test_other_files(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(BenchFileError, match=words) as caught:
        read_document(str(path))
    assert caught.value.path == str(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("windows", []),
        ("windows", 3),
        ("windows", [{"requests": 1}]),
        ("interval", [1]),
        ("interval", "ab"),
        ("parity", 5),
        ("odd", 1),
    ],
)
def test_damaged_rows(field: str, value: object) -> None:
    content = json.loads(text(DOCUMENT))
    content["rows"][0][field] = value
    with pytest.raises(BenchFileError, match="damaged"):
        Document.from_json(json.dumps(content), source="x")


@pytest.mark.parametrize("name", ["rows", "machine", "rules", "models", "command"])
def test_a_field_that_is_missing(name: str) -> None:
    content = json.loads(text(DOCUMENT))
    del content[name]
    with pytest.raises(BenchFileError, match=name):
        Document.from_json(json.dumps(content), source="x")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_document(str(tmp_path / "x.json"))
