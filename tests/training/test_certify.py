"""The command that proves precisions: what it writes, what it refuses, what it leaves alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from msgspec import structs
from onnx import numpy_helper

import seqtile
from seqtile import ModelIntegrityError, PrecisionError
from seqtile.execution.session import Session
from seqtile.models.certificate import PRECISION_KEY, Certificate, MetricRow, ParityRow
from seqtile.models.loading import model_bytes
from seqtile.models.zoo import read_card
from tests.python.models import KERNEL, model_folder, sha256, write_card
from training.export import certify
from training.export.certificate_file import update

FP32 = ParityRow(
    output="probability",
    batch=1,
    length=12,
    optimization="all",
    provider="CPUExecutionProvider",
    precision="fp32",
    max_abs=1e-7,
    max_rel=1e-6,
    tolerance=1e-5,
    passed=True,
)


def exported(root: Path) -> Path:
    """A model folder as export writes it, before its precisions."""
    folder = model_folder(root / "tiny")
    content = {"torch": "2.1", "onnx": "1", "rows": [FP32.to_dict()]}
    (folder / "parity.json").write_text(json.dumps(content))
    return folder


def change(folder: Path, more: dict[str, float]) -> None:
    """Add to weights, and record the answers that fp32 then gives."""
    path = folder / "model.onnx"
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.name in more:
            values = numpy_helper.to_array(tensor) + np.float32(more[tensor.name])
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    path.write_bytes(model.SerializeToString(deterministic=True))
    with np.load(folder / "golden.npz") as arrays:
        letters = arrays["sequence"]
    (answers,) = Session(path.read_bytes(), threads=1).run({"sequence": letters})
    np.savez(folder / "golden.npz", sequence=letters, probability=answers)
    write_card(folder, structs.replace(read_card(folder), sha256=sha256(path)))


def test_files_and_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = exported(tmp_path)
    before = (folder / "model.onnx").read_bytes()
    assert certify.main(["tiny", "--exported", str(tmp_path)]) == 0
    assert (folder / "model.onnx").read_bytes() == before

    found = Certificate.read(folder)
    assert found.precisions == ["fp32", "tf32", "fp16"]
    assert found.rows[0] == FP32
    kinds = {(row.precision, row.emulated, row.provider) for row in found.rows}
    cpu = "CPUExecutionProvider"
    assert kinds >= {
        ("fp32", False, cpu),
        ("fp16", False, cpu),
        ("fp16", True, cpu),
        ("tf32", True, cpu),
    }
    assert ("tf32", False, cpu) not in kinds
    content = json.loads((folder / "parity.json").read_text())
    assert (content["torch"], content["onnx"]) == ("2.1", "1")
    assert "onnxruntime" in content

    model = onnx.load(folder / "model.fp16.onnx")
    assert {t.data_type for t in model.graph.initializer if t.name.endswith(".half")} == {10}
    metadata = {item.key: item.value for item in model.metadata_props}
    own = {item.key: item.value for item in onnx.load_model_from_string(before).metadata_props}
    assert metadata == {**own, PRECISION_KEY: "fp16"}
    assert str(Path.cwd()).encode() not in (folder / "model.fp16.onnx").read_bytes()
    assert model_bytes(folder, read_card(folder), "fp16").startswith(b"\x08")
    assert seqtile.load(folder, device="cpu").name == "tiny"

    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0].split(",")[0] for line in said] == [
        f"tiny {precision} passes" for precision in ("fp32", "tf32", "fp16")
    ]


def test_again_is_the_same(tmp_path: Path) -> None:
    folder = exported(tmp_path)
    certify.certify(folder)
    once = {path.name: path.read_bytes() for path in folder.iterdir()}
    certify.certify(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == once


def test_what_fails_is_refused_and_has_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = exported(tmp_path)
    # Letters whose differences fp16 cannot hold; the sum stays as it is.
    change(folder, {"table": 3000, "three": 3000 * sum(KERNEL) / 8})
    (folder / "model.fp16.onnx").write_bytes(b"of the model before")
    assert certify.main(["--exported", str(tmp_path)]) == 1
    assert "tiny fp16 FAILS" in capsys.readouterr().out
    assert not (folder / "model.fp16.onnx").exists()
    found = Certificate.read(folder)
    assert found.variants == {}
    assert found.precisions == ["fp32"]
    for precision in ("fp16", "tf32"):
        with pytest.raises(PrecisionError, match="its certificate says no .* 'probability' is off"):
            seqtile.load(folder, precision=precision)
    assert seqtile.load(folder, device="cpu").name == "tiny"


def test_what_fp16_cannot_hold_has_no_rows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = exported(tmp_path)
    change(folder, {"kernel": 1e5})
    certify.certify(folder)
    assert "tiny: only in fp32: weight 'kernel' goes beyond fp16's largest" in caplog.text
    assert Certificate.read(folder).precisions == ["fp32"]
    with pytest.raises(PrecisionError, match="no proof of precision 'fp16'"):
        seqtile.load(folder, precision="fp16")


def test_another_file_is_not_certified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = exported(tmp_path)
    (folder / "model.onnx").write_bytes(b"x" + (folder / "model.onnx").read_bytes())
    before = (folder / "parity.json").read_bytes()
    assert certify.main(["tiny", "--exported", str(tmp_path)]) == 1
    assert "model.onnx: sha256 is" in capsys.readouterr().err
    assert (folder / "parity.json").read_bytes() == before


def test_a_model_never_proven_against_torch(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "tiny")
    with pytest.raises(ModelIntegrityError, match="parity.json: no rows of fp32; export the model"):
        certify.certify(folder)


def test_no_such_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert certify.main(["none", "--exported", str(tmp_path)]) == 1
    assert "none" in capsys.readouterr().err


def test_only_fp16_has_a_file(tmp_path: Path) -> None:
    model = (exported(tmp_path) / "model.onnx").read_bytes()
    with pytest.raises(ValueError, match="no file for precision 'tf32', only for 'fp16'"):
        certify.variant(model, "tf32")


def test_it_needs_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import training.export.certify"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


CUDA = "CUDAExecutionProvider"


def test_where_cuda_runs_it_is_proven_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here by a session of the CPU that says it is one of CUDA; elsewhere its rows stay."""
    folder = exported(tmp_path)
    asked: list[tuple[str, bool]] = []

    class Pretended(Session):
        def __init__(self, model: bytes, **options: Any) -> None:
            on_cuda = options.pop("device", "cpu") == "cuda"
            if on_cuda:
                another = model != (folder / "model.onnx").read_bytes()
                asked.append((options.pop("precision"), another))
            super().__init__(model, **options)
            if on_cuda:
                self.providers = [CUDA, *self.providers]

    monkeypatch.setattr(certify, "Session", Pretended)
    monkeypatch.setattr(certify, "check_cuda", lambda: None)
    certify.certify(folder)
    assert asked == [("fp32", False), ("tf32", False), ("fp16", True)]

    def on_cuda() -> list[ParityRow]:
        return [row for row in Certificate.read(folder).rows if row.provider == CUDA]

    rows = on_cuda()
    assert {(row.precision, row.emulated) for row in rows} == {
        ("fp32", False),
        ("tf32", False),
        ("fp16", False),
    }
    monkeypatch.undo()
    certify.certify(folder)
    assert on_cuda() == rows


def test_what_was_proven_of_another_file_goes(tmp_path: Path) -> None:
    folder = exported(tmp_path)
    certify.certify(folder)
    row = structs.replace(FP32, precision="fp16", provider=CUDA)
    metric = MetricRow("fp16", "roc_auc", "valid", 9, 0.7, 0.7, (0.6, 0.8))
    other = structs.replace(metric, precision="tf32")
    file = (folder / "model.fp16.onnx").read_bytes()
    update(folder, {"fp16"}, {"fp16": file}, [row], [metric, other])
    assert row in Certificate.read(folder).rows
    update(folder, {"fp16"}, {"fp16": file}, [])
    assert row in Certificate.read(folder).rows
    assert Certificate.read(folder).metrics == (other, metric)
    update(folder, {"fp16"}, {"fp16": b"another"}, [])
    assert Certificate.read(folder).of("fp16") == []
    assert Certificate.read(folder).metrics == (other,)
    assert Certificate.read(folder).of("tf32") != []
    update(folder, {"fp16"}, {}, [])
    assert Certificate.read(folder).variants == {}
    assert not (folder / "model.fp16.onnx").exists()
