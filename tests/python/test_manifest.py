"""Manifests: what stands in one, in which order, and what is none."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import seqtile
from seqtile.manifest import (
    Checksum,
    manifest,
    manifest_beside,
    read_manifest,
    sha256_of,
    write_manifest,
)
from seqtile.versions import installed, version


@dataclass(frozen=True)
class Model:
    name: str = "tiny"
    sha256: str = "ab"
    device: str = "cpu"
    precision: str = "fp32"
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    threads: int = 2


def test_fields_in_their_order(tmp_path: Path) -> None:
    content = manifest(
        Model(),
        source={"genome": {"name": "x.fa"}},
        parameters={"stride": 5},
        profile=None,
        results={"report": {"windows": 3}},
    )
    runtime = installed(["onnxruntime", "onnxruntime-gpu"])
    versions = {"python": platform.python_version(), "numpy": np.__version__, **runtime}
    assert list(content.items()) == [
        ("seqtile", seqtile.__version__),
        ("model", {"name": "tiny", "sha256": "ab"}),
        ("genome", {"name": "x.fa"}),
        ("parameters", {"stride": 5}),
        ("device", "cpu"),
        ("precision", "fp32"),
        ("providers", ["CPUExecutionProvider"]),
        ("threads", 2),
        ("versions", versions),
        ("profile", None),
        ("report", {"windows": 3}),
    ]
    path = manifest_beside(tmp_path / "a.bw")
    assert path.name == "a.bw.manifest.json"
    with path.open("wb") as file:
        write_manifest(file, content)
    assert path.read_text().startswith('{\n  "seqtile": ')
    assert path.read_text().endswith("\n}\n")
    assert list(read_manifest(path).items()) == list(content.items())


@pytest.mark.parametrize("content", [b"[]", b"", b"{", b"\xff"])
def test_what_is_no_manifest(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        read_manifest(path)


def test_checksums(tmp_path: Path) -> None:
    path = tmp_path / "x.fa"
    path.write_bytes(b">a\nACGT\n" * 999)
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert sha256_of(path) == expected
    beside = Checksum(str(path))
    assert beside.observe is None
    assert beside.hexdigest() == expected
    stream = Checksum("-")
    assert stream.observe is not None
    for _ in range(999):
        stream.observe(b">a\nACGT\n")
    assert stream.hexdigest() == expected


def test_versions() -> None:
    assert version("numpy") == np.__version__
    assert version("no-such-distribution") is None
    assert installed(["no-such-distribution", "numpy"]) == {"numpy": np.__version__}
