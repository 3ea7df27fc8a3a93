"""Loading in a precision: what is refused, and by which word."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import seqtile
from seqtile import ModelIntegrityError, ModelNotFoundError, PrecisionError, ProviderError
from seqtile.execution.session import ort
from seqtile.models.certificate import PRECISION_KEY, ParityRow
from seqtile.models.loading import model_bytes
from seqtile.models.zoo import read_card
from tests.python.models import GOLDEN, model_folder, sha256

HAS_CUDA = "CUDAExecutionProvider" in ort.get_available_providers()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model with a file of fp16 (here a copy with a mark) and passing rows."""
    folder = model_folder(tmp_path / "tiny")
    model = onnx.load(folder / "model.onnx")
    model.metadata_props.add(key=PRECISION_KEY, value="fp16")
    onnx.save(model, folder / "model.fp16.onnx")
    certify(folder)
    return folder


def certify(folder: Path, *, passed: bool = True, **variants: Any) -> None:
    rows = [
        ParityRow(
            output="probability",
            batch=1,
            length=12,
            optimization="all",
            provider="CPUExecutionProvider",
            precision=precision,
            max_abs=0.03,
            max_rel=0.1,
            tolerance=0.05,
            passed=passed or precision == "fp32",
        )
        for precision in ("fp32", "tf32", "fp16")
    ]
    digest = sha256(folder / "model.fp16.onnx")
    variants = variants or {"fp16": {"file": "model.fp16.onnx", "sha256": digest}}
    content = {"rows": [row.to_dict() for row in rows], "variants": variants}
    (folder / "parity.json").write_text(json.dumps(content))


@pytest.mark.parametrize("precision", ["", "fp64", "FP16", "bf16"])
def test_unknown_precision(precision: str, folder: Path) -> None:
    with pytest.raises(
        ValueError, match=f"one of 'fp32', 'tf32', 'fp16', 'int8', not '{precision}'"
    ):
        seqtile.load(folder, precision=precision)


@pytest.mark.parametrize("precision", ["tf32", "fp16"])
def test_the_cpu_has_only_fp32(precision: str, folder: Path) -> None:
    with pytest.raises(ProviderError, match=f"^precision '{precision}' needs a GPU: use device="):
        seqtile.load(folder, device="cpu", precision=precision)
    assert seqtile.load(folder, device="cpu", precision="fp32").name == "tiny"


def test_int8_is_of_the_cpu(folder: Path) -> None:
    with pytest.raises(ProviderError, match="^precision 'int8' is for the CPU: use device='cpu', "):
        seqtile.load(folder, device="cuda:0", precision="int8")
    with pytest.raises(PrecisionError, match="^tiny: no proof of precision 'int8'"):
        seqtile.load(folder, precision="int8")


@pytest.mark.skipif(HAS_CUDA, reason="this onnxruntime has CUDA")
@pytest.mark.parametrize("precision", ["tf32", "fp16"])
@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_auto_is_cuda_or_an_error(precision: str, device: str, folder: Path) -> None:
    with pytest.raises(ProviderError, match="device 'cuda' needs onnxruntime-gpu"):
        seqtile.load(folder, device=device, precision=precision)


@pytest.mark.parametrize("precision", ["tf32", "fp16"])
def test_a_lone_file_has_no_certificate(precision: str, folder: Path) -> None:
    with pytest.raises(PrecisionError, match=f"model.onnx: precision '{precision}' needs a certif"):
        seqtile.load(folder / "model.onnx", precision=precision, device="cuda")


def test_the_lone_file_of_fp16_is_no_model_of_fp32(folder: Path, tmp_path: Path) -> None:
    lone = shutil.copy(folder / "model.fp16.onnx", tmp_path)
    with pytest.raises(PrecisionError, match="a model in fp16, .* load its model folder with prec"):
        seqtile.load(lone, device="cpu")


@pytest.mark.parametrize("precision", ["tf32", "fp16"])
def test_the_certificate_says_no(precision: str, folder: Path) -> None:
    certify(folder, passed=False)
    with pytest.raises(PrecisionError, match=f"^tiny: its certificate says no to .*'{precision}'"):
        seqtile.load(folder, precision=precision)
    assert seqtile.load(folder, device="cpu").name == "tiny"


@pytest.mark.parametrize("precision", ["tf32", "fp16"])
def test_the_certificate_is_silent_or_missing(precision: str, folder: Path) -> None:
    (folder / "parity.json").write_text('{"rows": []}')
    with pytest.raises(PrecisionError, match=f"^tiny: no proof of precision '{precision}'"):
        seqtile.load(folder, precision=precision)
    (folder / "parity.json").unlink()
    with pytest.raises(PrecisionError, match=f"^tiny: no proof of precision '{precision}'"):
        seqtile.load(folder, precision=precision)


def test_each_precision_has_its_file(folder: Path) -> None:
    card = read_card(folder)
    assert model_bytes(folder, card, "fp32") == (folder / "model.onnx").read_bytes()
    assert model_bytes(folder, card, "tf32") == (folder / "model.onnx").read_bytes()
    assert model_bytes(folder, card, "fp16") == (folder / "model.fp16.onnx").read_bytes()


def test_the_file_of_fp16_is_another(folder: Path) -> None:
    shutil.copy(folder / "model.onnx", folder / "model.fp16.onnx")
    with pytest.raises(
        ModelIntegrityError, match=r"model.fp16.onnx: sha256 is .*, the certificate says .*corrupt"
    ):
        seqtile.load(folder, precision="fp16")
    assert seqtile.load(folder, device="cpu").name == "tiny"


def test_the_file_of_fp16_is_missing(folder: Path) -> None:
    (folder / "model.fp16.onnx").unlink()
    with pytest.raises(ModelNotFoundError, match="no model file .*model.fp16.onnx"):
        seqtile.load(folder, precision="fp16")


def test_the_certificate_names_no_file(folder: Path) -> None:
    certify(folder, int8={"file": "x", "sha256": "y"})
    with pytest.raises(PrecisionError, match="^tiny: .*parity.json names no file of fp16"):
        seqtile.load(folder, precision="fp16")


def test_the_golden_outputs_have_a_tolerance_each(folder: Path) -> None:
    """What the load does on CUDA, here with outputs that are off by a known amount."""
    predictor = seqtile.load(folder, device="cpu")
    letters = np.frombuffer("".join(GOLDEN).encode(), np.uint8).reshape(len(GOLDEN), -1)
    right = predictor.predict(letters)["probability"]
    golden = {"sequence": letters, "probability": right + np.float32(0.004)}
    predictor.self_test(golden, {"probability": 0.005})
    with pytest.raises(ModelIntegrityError, match="differs from the golden output by 0.004, more"):
        predictor.self_test(golden, {"probability": 0.003})


def test_an_output_without_golden_values(folder: Path) -> None:
    with np.load(folder / "golden.npz") as arrays:
        np.savez(folder / "golden.npz", sequence=arrays["sequence"])
    with pytest.raises(ModelIntegrityError, match="^tiny: the golden arrays lack 'probability'$"):
        seqtile.load(folder, device="cpu")
