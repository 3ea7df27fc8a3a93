"""The benches of a GPU, run on the CPU: the same code with another device."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest

import seqtile
from benches import gpu, gpu_engines, gpu_inputs, gpu_parity, gpu_peak, gpu_speed
from benches.gpu_report import Context, Section, cell, document, guarded
from seqtile.execution.session import Session
from seqtile.models.certificate import ParityRow
from seqtile.models.zoo import model_folder

CONTEXT = Context("cpu", ("jund-cnn-seq", "bloodmnist-cnn-pool"), ("fp32",), quick=True)


def test_cells() -> None:
    assert [cell(v) for v in (None, 1234567, 0.00001234, 12.3456, 0.0, "a | b\nc")] == [
        "-",
        "1,234,567",
        "1.2e-05",
        "12.35",
        "0",
        "a / b c",
    ]


def test_failure_is_written_and_the_rest_goes_on() -> None:
    def work(context: Context, section: Section) -> None:
        section.head = ("n",)
        section.rows.append((1,))
        raise ValueError("no\nluck")

    def fine(context: Context, section: Section) -> None:
        section.left_out.append("the rest")

    sections = [guarded("A", "As.", work, CONTEXT), guarded("B", "Bs.", fine, CONTEXT)]
    text = document("T", "command", ["a fact"], sections)
    assert "- **failed**: ValueError: no luck" in text
    assert "| n |\n| --- |\n| 1 |" in text
    assert "- left out: the rest" in text
    assert "FAILED: A. Parts left out: B." in text


def test_out_of_time() -> None:
    late = Context("cpu", ("jund-cnn-seq",), ("fp32",), deadline=0.0)
    section = guarded("A", "As.", gpu_speed.sweep, late)
    assert section.left_out == ["all of it: out of time (--budget)"]
    for measure in (gpu_speed.sweep, gpu_speed.scan, gpu_engines.one_hot):
        section = Section("A", "As.")
        measure(late, section)
        assert section.rows == []
        assert len(section.left_out) == 1


def test_parity() -> None:
    found: dict[str, list[ParityRow]] = {}
    section = Section("P", "Ps.")
    gpu_parity.parity(CONTEXT, section, found)
    assert section.failures == []
    assert list(found) == list(CONTEXT.models)
    assert {row.provider for rows in found.values() for row in rows} == {"CPUExecutionProvider"}
    assert [row[:3] for row in section.rows] == [
        (name, "fp32", output)
        for name in CONTEXT.models
        for output in [tensor.name for tensor in seqtile.card(name).outputs]
    ]


def test_parity_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    row = ParityRow(
        output="probability",
        batch=7,
        length=101,
        optimization="all",
        provider="X",
        precision="fp32",
        max_abs=0.5,
        max_rel=1.0,
        tolerance=1e-4,
        passed=False,
    )
    monkeypatch.setattr(gpu_parity, "parity_rows", lambda *_: [row])
    section = Section("P", "Ps.")
    gpu_parity.parity(CONTEXT, section, {})
    assert len(section.failures) == len(CONTEXT.models)
    assert "off by 0.5" in section.failures[0]
    assert section.rows[0][-1] == "FAILED"


def test_parity_of_a_precision_that_the_device_lacks() -> None:
    context = Context("cpu", ("jund-cnn-seq",), ("tf32",), quick=True)
    section = Section("P", "Ps.")
    gpu_parity.parity(context, section, {})
    assert section.rows == []
    assert "jund-cnn-seq, tf32" in section.failures[0]


def test_certify(tmp_path: Path) -> None:
    folder = tmp_path / "jund-cnn-seq"
    shutil.copytree(model_folder("jund-cnn-seq"), folder)
    before = json.loads((folder / "parity.json").read_text())
    row = ParityRow(
        output="probability",
        batch=7,
        length=101,
        optimization="all",
        provider="CUDAExecutionProvider",
        precision="fp32",
        max_abs=1e-6,
        max_rel=1e-5,
        tolerance=1e-4,
        passed=True,
    )
    for _ in range(2):  # again: in the place of the earlier ones
        gpu_parity.certify(folder, [row])
    after = json.loads((folder / "parity.json").read_text())
    assert after["rows"][-1]["provider"] == "CUDAExecutionProvider"
    assert after["rows"][:-1] == before["rows"]
    assert {k: v for k, v in after.items() if k != "rows"} == {
        k: v for k, v in before.items() if k != "rows"
    }
    assert seqtile.load(folder, device="cpu").name == "jund-cnn-seq"


def test_trap_is_seen_on_the_cpu() -> None:
    assert gpu_parity.trap_error("cpu", 2, "all") < 1e-4
    assert gpu_parity.trap_error("cpu", 1, "disable") < 1e-4
    section = Section("T", "Ts.")
    gpu_parity.trap(CONTEXT, section)
    assert section.failures == []
    # onnxruntime 1.23 to 1.31: what the design warns of.
    assert any("WRONG" in str(row[2]) for row in section.rows)
    assert not any("WRONG" in str(row[3]) for row in section.rows)


def test_sweep() -> None:
    section = Section("S", "Ss.")
    gpu_speed.sweep(CONTEXT, section)
    assert section.failures == []
    assert [row[:3] for row in section.rows] == [(name, "fp32", 256) for name in CONTEXT.models]
    for row in cast("list[Any]", section.rows):
        on_device, without, tflops, share, graphs, speed, ratio = row[3:10]
        assert tflops > 0
        assert share is None
        assert min(on_device, without, speed) > 0
        assert ratio == speed / on_device
        assert str(graphs).startswith("off: ")
        assert "compute" in str(row[10])


def test_arithmetic_is_counted() -> None:
    from onnx import TensorProto, helper

    def tensor(name: str, *shape: int | str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["h"]),
            helper.make_node("GlobalMaxPool", ["h"], ["p"]),
            helper.make_node("Flatten", ["p"], ["f"]),
            helper.make_node("Gemm", ["f", "v"], ["y"]),
        ],
        "counted",
        [tensor("x", "n", 4, 1, "length"), tensor("w", 8, 4, 1, 5), tensor("v", 8, 3)],
        [tensor("y", "n", 3)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    found = gpu_peak.flop(model.SerializeToString(), {"x": (2, 4, 1, 14)})
    assert found == 2 * (2 * 8 * 10 * 4 * 5) + 2 * (2 * 8 * 3)
    assert gpu_peak.flop(model.SerializeToString(), {}) is None
    assert gpu_peak.peak("NVIDIA H200", "tf32") == 494.7
    assert gpu_peak.peak("another", "tf32") is None
    assert gpu_peak.peak(None, "tf32") is None


@pytest.mark.parametrize("name", seqtile.list_models())
def test_arithmetic_of_the_zoo(name: str) -> None:
    """Twice the batch is twice the work."""
    model = (model_folder(name) / "model.onnx").read_bytes()
    shapes = [
        {key: values.shape for key, values in gpu_inputs.shuffled(name, n).items()} for n in (2, 4)
    ]
    two, four = (gpu_peak.flop(model, shape) for shape in shapes)
    assert two is None or 2 * two == four > 1000  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("jund-cnn-seq", (256, 2048, 8192, 32_768)),
        ("bloodmnist-best", (256,)),
        ("dna-binding-bilstm", (256, 2048, 8192)),
        ("nuclei-unet", (1, 8, 32)),
    ],
)
def test_batches_are_no_work_of_seconds(name: str, expected: tuple[int, ...]) -> None:
    assert gpu_speed.sizes(Context("cpu", (name,)), name) == expected


def test_scan() -> None:
    section = Section("S", "Ss.")
    gpu_speed.scan(CONTEXT, section)
    assert section.failures == []
    (row,) = section.rows
    assert row[:2] == ("jund-cnn-seq", "fp32")
    assert row[-1] == pytest.approx(2 * gpu_speed.HUMAN / row[3])  # type: ignore[operator]


def test_one_hot_outside_the_graph() -> None:
    name = "jund-cnn-seq"
    model = (model_folder(name) / "model.onnx").read_bytes()
    cut, table = gpu_engines.cut_after_gather(model)
    session = Session(cut)
    assert list(session.inputs) == ["one_hot"]
    letters = gpu_inputs.shuffled(name, 5)["sequence"]
    letters[0, 3] = ord("N")
    (found,) = session.run({"one_hot": table[letters]}, ["probability"])
    np.testing.assert_allclose(
        found, seqtile.load(name, device="cpu").predict(letters)["probability"], atol=1e-6
    )
    with pytest.raises(ValueError, match="found 0"):
        gpu_engines.cut_after_gather(cut)


def test_one_hot_section() -> None:
    section = Section("O", "Os.")
    gpu_engines.one_hot(CONTEXT, section)
    assert section.failures == []
    (row,) = section.rows
    assert row[0] == "jund-cnn-seq"
    assert row[6] == "25,856 and 413,696"


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # torch's own
def test_torch_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")

    class Same(torch.nn.Module):  # type: ignore[misc, name-defined]
        """What the model answers, whatever it is given."""

        def __init__(self, *answers: object) -> None:
            super().__init__()
            self.answers = [torch.tensor(answer) for answer in answers]

        def forward(self, sequence: object) -> object:
            return tuple(answer + 0 * sequence[0, 0] for answer in self.answers)  # type: ignore[index]

    name = "jund-cnn-seq"
    section = Section("T", "Ts.")
    monkeypatch.setattr(gpu_engines, "PROGRAMS", tmp_path)
    gpu_engines.beside_torch(CONTEXT, section)
    assert section.rows == []
    (left_out,) = section.left_out
    assert left_out.endswith(f"{name}.pt2: python -m training.export.program {name}")

    feeds = gpu_inputs.shuffled(name, 256)
    model = (model_folder(name) / "model.onnx").read_bytes()
    network = Same(*Session(model).run(feeds))
    program = torch.export.export(network, tuple(map(torch.from_numpy, feeds.values())))
    torch.export.save(program, tmp_path / f"{name}.pt2")
    section = Section("T", "Ts.")
    gpu_engines.beside_torch(CONTEXT, section)
    assert section.failures == []
    (row,) = section.rows
    assert row[4] is None
    assert row[5] == row[2] / row[3]  # type: ignore[operator]
    assert section.left_out == [f"{name}, torch.compile: --quick"]


def test_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(context: Context, section: Section) -> None:
        raise RuntimeError("a device that fell off")

    context = Context("cpu", ("jund-cnn-seq",), ("fp32",), quick=True)
    monkeypatch.setattr(gpu_parity, "trap", broken)
    output = tmp_path / "R.md"
    assert not gpu.measure(context, output, "python benches/gpu.py --quick", {})
    text = output.read_text()
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == [
        title for title, _, _ in gpu.sections({})
    ]
    assert "FAILED: Transpose and MatMul." in text
    assert "RuntimeError: a device that fell off" in text
    assert re.search(r"^\| jund-cnn-seq \| fp32 \| 256 \|", text, re.MULTILINE)
    assert list(tmp_path.iterdir()) == [output]


def test_without_cuda(tmp_path: Path) -> None:
    output = tmp_path / "R.md"
    done = subprocess.run(
        [sys.executable, str(gpu.FOLDER / "gpu.py"), "--output", str(output)],
        capture_output=True,
        text=True,
        check=False,
        env={"CUDA_VISIBLE_DEVICES": "", "PATH": ""},
    )
    if done.returncode == 0:
        pytest.skip("CUDA runs here")
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("benches/gpu.py: ")
    assert not output.exists()
