"""The export gate: a sound network passes and loads, every known trap is caught."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from msgspec import structs

torch = pytest.importorskip("torch", reason="training needs torch")

from torch import nn  # noqa: E402

import seqtile  # noqa: E402
from seqtile.models.card import Metric  # noqa: E402
from seqtile.models.contract import METADATA_KEY, Contract, Input, Output, Threshold  # noqa: E402
from tests.python.models import IMAGE_CARD  # noqa: E402
from training.export import export  # noqa: E402
from training.export.report import OPSET, Report  # noqa: E402
from training.lab.letters import LetterTable  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
    pytest.mark.usefixtures("exported_once"),
]
CONVERT = export.convert


def make_contract(length: int | str = "length", *, min_length: int = 12) -> Contract:
    return Contract(
        name="toy",
        version="1",
        inputs=(
            Input(
                name="sequence",
                kind="letters",
                shape=("batch", length),
                dtype="uint8",
                alphabet="dna",
                unknown="zero",
                min_length=min_length,
            ),
        ),
        outputs=(Output(name="probability", kind="score", shape=("batch",), dtype="float32"),),
        receptive_field=12,
        training_window=40,
        threshold=Threshold(0.5),
        tolerance=1e-5,
    )


REPORT = Report(
    task="",
    architecture="conv",
    parameters=1,
    opset=OPSET,
    metrics=(Metric("roc_auc", "valid", 2, 0.5),),
)


def letters(n: int = 9, length: int = 40) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {"sequence": np.frombuffer(b"ACGTacgtN", np.uint8)[rng.integers(0, 9, (n, length))]}


class Toy(nn.Module):
    """Letters, a convolution, a pooling that subclasses choose, a line."""

    width = 8

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.table = LetterTable()
        self.conv = nn.Conv2d(4, 8, (1, 5))
        self.line = nn.Linear(self.width, 1)

    def features(self, sequence: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(self.table(sequence)))[:, :, 0]

    def pool(self, features: torch.Tensor) -> torch.Tensor:
        return features.amax(2)

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(3 * self.line(self.pool(self.features(sequence)))).squeeze(1)


class AttentionByVector(Toy):
    """Trap: `z @ q` after a transpose, with a 1-D q."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(8))

    def pool(self, features: torch.Tensor) -> torch.Tensor:
        z = features.transpose(1, 2)
        return (torch.softmax(z @ self.query, 1).unsqueeze(2) * z).sum(1)


class AttentionByLinear(Toy):
    """The same attention written as the contract asks."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(8, 1, bias=False)

    def pool(self, features: torch.Tensor) -> torch.Tensor:
        z = features.transpose(1, 2)
        return (torch.softmax(self.query(z), 1) * z).sum(1)


class AdaptivePool(Toy):
    """Trap: adaptive pooling to more than one place over a dynamic axis."""

    width = 24

    def pool(self, features: torch.Tensor) -> torch.Tensor:
        return nn.functional.adaptive_avg_pool1d(features, 3).flatten(1)


class OneDimensional(Toy):
    """Trap: a 1-D convolution, slow on the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 8, 5)

    def features(self, sequence: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(self.table(sequence)[:, :, 0]))


@pytest.mark.parametrize("network", [Toy, AttentionByLinear])
@pytest.mark.parametrize("length", ["length", 40])
def test_sound_network_is_written_and_loads(tmp_path: Path, network, length) -> None:
    contract = export.export(network(), make_contract(length), REPORT, letters(), tmp_path / "toy")
    predictor = seqtile.load(tmp_path / "toy", device="cpu")
    assert predictor.sha256 == contract.sha256
    probe = letters(5)["sequence"]
    with torch.inference_mode():
        expected = network().eval()(torch.from_numpy(probe)).numpy()
    np.testing.assert_allclose(predictor.predict(probe)["probability"], expected, atol=1e-5)

    rows = json.loads((tmp_path / "toy" / "parity.json").read_text())["rows"]
    assert {row["precision"] for row in rows} == {"fp32", "fp16", "tf32"}
    rows = [row for row in rows if row["precision"] == "fp32"]
    lengths = {12, 40, 93} if length == "length" else {40}
    assert {row["batch"] for row in rows} == {1, 2, 7, 64}
    assert {row["length"] for row in rows} == lengths
    assert {row["optimization"] for row in rows} == {
        "disable",
        "basic",
        "extended",
        "layout",
        "all",
    }
    assert all(row["passed"] and row["max_abs"] <= 1e-5 for row in rows)


def test_export_is_byte_identical_and_carries_its_card(tmp_path: Path) -> None:
    for name in ("a", "b"):
        export.export(Toy(), make_contract(), REPORT, letters(), tmp_path / name)
    model = (tmp_path / "a" / "model.onnx").read_bytes()
    assert model == (tmp_path / "b" / "model.onnx").read_bytes()
    metadata = {p.key: p.value for p in onnx.load_model_from_string(model).metadata_props}
    assert Contract.from_json(metadata[METADATA_KEY], source="metadata").name == "toy"


class Counting(Toy):
    """Trap: another constant in each export."""

    calls = 0

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        Counting.calls += 1
        return super().forward(sequence) / Counting.calls


def test_two_exports_that_differ_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(export, "convert", CONVERT)
    with pytest.raises(export.ExportError, match="toy: two exports of the same network differ"):
        export.export(Counting(), make_contract(), REPORT, letters(), tmp_path / "toy")
    assert list(tmp_path.iterdir()) == []


def test_norms_behind_convolutions_are_folded() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(4, 6, (1, 5), bias=False), nn.BatchNorm2d(6), nn.ReLU()]
    network = nn.Sequential(nn.Sequential(*layers), nn.MaxPool2d((1, 2)), nn.BatchNorm2d(6))
    for _ in range(3):
        network(torch.randn(8, 4, 1, 30) + 1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = export.fused(network)
    kinds = [type(layer) for layer in (*found[0], *found[1:])]
    assert kinds == [nn.Conv2d, nn.Identity, nn.ReLU, nn.MaxPool2d, nn.BatchNorm2d]
    x = torch.randn(3, 4, 1, 30)
    torch.testing.assert_close(found(x), network.eval()(x), atol=1e-5, rtol=1e-4)
    assert all(torch.equal(before[name], v) for name, v in network.state_dict().items())


def test_training_mode_is_left(tmp_path: Path) -> None:
    network = nn.Sequential(Toy(), nn.Dropout(0.5)).train()
    export.export(network, make_contract(), REPORT, letters(), tmp_path / "toy")
    assert not network.training
    seqtile.load(tmp_path / "toy", device="cpu")


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (AttentionByVector, r"comparisons with torch fail, first .*optimization='extended'"),
        (AdaptivePool, r"batch 1, length 12, optimisation disable"),
        (OneDimensional, r"is a 1-D convolution, expected 2-D"),
    ],
)
def test_trap_in_the_network_is_caught_and_nothing_written(tmp_path, network, message) -> None:
    with pytest.raises(export.ExportError, match=message):
        export.export(network(), make_contract(), REPORT, letters(), tmp_path / "toy")
    assert list(tmp_path.iterdir()) == []


def raw_export(network: nn.Module, example: np.ndarray, **options) -> onnx.ModelProto:
    """What a plain call of the exporter gives, without our care."""
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length", min=12)
    program = torch.onnx.export(
        network.eval(),
        (torch.from_numpy(example),),
        dynamo=True,
        opset_version=OPSET,
        input_names=["sequence"],
        output_names=["probability"],
        dynamic_shapes=({0: batch, 1: length},),
        verbose=False,
        **options,
    )
    return program.model_proto


@pytest.fixture(scope="module")
def raw() -> bytes:
    """A plain export of the toy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return raw_export(Toy(), letters()["sequence"]).SerializeToString()


def test_trap_stack_traces_and_build_paths(raw: bytes) -> None:
    with pytest.raises(export.ExportError, match="nodes carry stack traces") as caught:
        export.check_graph(raw, make_contract())
    assert "build path" in str(caught.value)


def test_trap_external_data(raw: bytes, tmp_path: Path) -> None:
    proto = onnx.load_model_from_string(raw)
    export.strip(proto)
    onnx.save(
        proto, tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0, location="m.data"
    )
    model = (tmp_path / "m.onnx").read_bytes()
    with pytest.raises(export.ExportError, match="weights in external data"):
        export.check_graph(model, make_contract())


class MultiHead(Toy):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def pool(self, features: torch.Tensor) -> torch.Tensor:
        z = features.transpose(1, 2)
        return self.attention(z, z, z, need_weights=False)[0].mean(1)


def test_trap_example_batch_of_one(tmp_path: Path) -> None:
    """An export whose batch axis was frozen by its example: renamed dynamic, it still fails."""
    network = MultiHead()
    program = torch.onnx.export(
        network.eval(),
        (torch.from_numpy(letters(1)["sequence"]),),
        dynamo=True,
        opset_version=OPSET,
        input_names=["sequence"],
        output_names=["probability"],
        verbose=False,
    )
    proto = program.model_proto
    export.strip(proto)
    with pytest.raises(export.ExportError, match=r"has axes \[1, 40\]"):
        export.check_graph(proto.SerializeToString(), make_contract(40))
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    proto.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    with pytest.raises(export.ExportError, match="batch 2, length 40"):
        export.certify(proto.SerializeToString(), network, make_contract(40), letters())


def test_attention_exported_with_our_examples_passes(tmp_path: Path) -> None:
    export.export(MultiHead(), make_contract(), REPORT, letters(), tmp_path / "toy")
    assert seqtile.load(tmp_path / "toy", device="cpu").predict("ACGT" * 9)[
        "probability"
    ].shape == (1,)


def test_trap_silent_cpu_session(raw: bytes, monkeypatch) -> None:
    """onnxruntime answers a CUDA request on a CPU build with a CPU session; ours is an error."""
    from seqtile.execution import session

    if "CUDAExecutionProvider" in session.ort.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    monkeypatch.setattr(session, "check_cuda", lambda device: None)
    monkeypatch.setattr(session.ort, "preload_dlls", lambda: None, raising=False)
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"):
        silent = session.ort.InferenceSession(raw, providers=["CUDAExecutionProvider"])
    assert silent.get_providers() == ["CPUExecutionProvider"]
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(seqtile.ProviderError, match="cuda"),
    ):
        session.Session(raw, device="cuda")


def test_wrong_weights_are_caught(tmp_path: Path) -> None:
    network, other = Toy(), Toy()
    with torch.no_grad():
        other.line.bias.add_(1e-3)
    model = export.convert(network, make_contract(), letters())
    with pytest.raises(export.ExportError, match="60 of 60 comparisons"):
        export.certify(model, other, make_contract(), letters())


def test_failed_export_keeps_the_old_folder(tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "model.onnx").write_bytes(b"old")
    with pytest.raises(export.ExportError):
        export.export(OneDimensional(), make_contract(), REPORT, letters(), tmp_path / "toy")
    assert {p.name: p.read_bytes() for p in (tmp_path / "toy").iterdir()} == {"model.onnx": b"old"}
    assert [p.name for p in tmp_path.iterdir()] == ["toy"]


def test_card_that_contradicts_the_graph(tmp_path: Path) -> None:
    contract = make_contract()
    wrong = structs.replace(contract, inputs=(structs.replace(contract.inputs[0], name="letters"),))
    model = export.convert(Toy(), contract, letters())
    with pytest.raises(export.ExportError, match=r"inputs \['sequence'\], expected \['letters'\]"):
        export.check_graph(model, wrong)


class TwoAnswers(Toy):
    """An answer, and an output of the name the exporter gives to a look-up."""

    def forward(self, sequence: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pooled = self.pool(self.features(sequence))
        return torch.sigmoid(self.line(pooled)).squeeze(1), pooled


def test_an_output_may_be_called_embedding(tmp_path: Path) -> None:
    contract = make_contract()
    embedding = Output(
        name="embedding",
        kind="embedding",
        shape=("batch", 8),
        dtype="float32",
        meaning="what is known",
    )
    contract = structs.replace(contract, outputs=(*contract.outputs, embedding))
    export.export(TwoAnswers(), contract, REPORT, letters(), tmp_path / "toy")
    predictor = seqtile.load(tmp_path / "toy", device="cpu")
    with torch.inference_mode():
        expected = TwoAnswers()(torch.from_numpy(letters()["sequence"]))[1].numpy()
    np.testing.assert_allclose(predictor.embed(letters()["sequence"]), expected, atol=1e-6)


class Steps(Toy):
    """A number for every three letters."""

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        return self.threes(self.table(sequence)).squeeze(2)

    def __init__(self) -> None:
        super().__init__()
        self.threes = nn.Conv2d(4, 2, (1, 3), stride=(1, 3))


def test_lengths_in_steps(tmp_path: Path) -> None:
    contract = make_contract(min_length=3)
    (sequence,) = contract.inputs
    contract = structs.replace(
        contract,
        inputs=(structs.replace(sequence, length_multiple=3),),
        outputs=(
            Output(
                name="score",
                kind="score",
                shape=("batch", 2, "codons"),
                dtype="float32",
                meaning="scores",
            ),
        ),
        training_window=30,
        threshold=None,
    )
    export.export(Steps(), contract, REPORT, letters(length=30), tmp_path / "toy")
    certificate = json.loads((tmp_path / "toy" / "parity.json").read_text())
    assert {row["length"] for row in certificate["rows"]} == {3, 30, 72}
    predictor = seqtile.load(tmp_path / "toy", device="cpu")
    assert predictor.predict(["ACGT" * 9])["score"].shape == (1, 2, 12)
    with pytest.raises(seqtile.ShapeError, match="at least 3 and a multiple of 3"):
        predictor.predict(["ACGT"])


# images


class ToyImages(nn.Module):
    """Grey bytes, a convolution at half the size, and back."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.down = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(4, 1, 2, stride=2)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.up(torch.relu(self.down(image[:, None].float() / 255)))[:, 0]
        return torch.sigmoid(x), torch.sigmoid(x - 1)


class ToyWholeImage(ToyImages):
    """Trap: something of the whole image, taken at the size of the example."""

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mask, marker = super().forward(image)
        pooled = nn.functional.adaptive_avg_pool2d(mask[:, None], 3)
        return mask * pooled.mean((1, 2, 3)).reshape(-1, 1, 1), marker


def image_contract() -> Contract:
    return structs.replace(IMAGE_CARD.contract(), training_window=16)


def images(n: int = 8, side: int = 16) -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(3).integers(0, 256, (n, side, side), np.uint8)}


def test_a_network_of_images_of_any_size(tmp_path: Path) -> None:
    export.export(ToyImages(), image_contract(), REPORT, images(), tmp_path / "cells")
    rows = json.loads((tmp_path / "cells" / "parity.json").read_text())["rows"]
    sizes = {(row["height"], row["width"]) for row in rows}
    assert sizes == {(4, 4), (16, 16), (12, 28), (28, 8)}
    assert {row["output"] for row in rows} == {"mask", "marker"}
    predictor = seqtile.load(tmp_path / "cells", device="cpu")
    probe = images(3, 24)["image"]
    with torch.inference_mode():
        expected = ToyImages().eval()(torch.from_numpy(probe))[0].numpy()
    np.testing.assert_allclose(predictor.predict(probe)["mask"], expected, atol=1e-5)


def test_an_image_size_frozen_in_the_graph_is_caught(tmp_path: Path) -> None:
    with pytest.raises(export.ExportError, match="height"):
        export.export(ToyWholeImage(), image_contract(), REPORT, images(), tmp_path / "cells")
    assert not list(tmp_path.iterdir())
