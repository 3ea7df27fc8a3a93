"""The peer engine: saved programs in torch, what it answers, its errors, what it leaves alone."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqtile
from seqtile.bench.measure import Bench
from seqtile.bench.plan import Plan
from seqtile.errors import EngineMismatchError, ModelIntegrityError, ProviderError
from tests.python.models import GOLDEN, motif_model, motif_score
from tests.python.test_bench import COLD, check, measure

torch = pytest.importorskip("torch", reason="the torch engine needs torch")

from seqtile.bench.torch_program import TorchProgram, _tf32  # noqa: E402
from tests.python.torch_programs import motif_program, save_program  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*(LeafSpec|_check_is_size):FutureWarning")
LETTERS = np.frombuffer("".join(GOLDEN).encode(), np.uint8).reshape(len(GOLDEN), -1)


@pytest.fixture(scope="module")
def motif(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return motif_program(tmp_path_factory.mktemp("programs") / "motif.pt2")


def test_any_batch_and_length(motif: Path) -> None:
    """Read-only and reversed views are read, and the answers are float32 of the caller's own."""
    program = TorchProgram(motif, threads=1)
    assert not LETTERS.flags.writeable
    for letters in (LETTERS, LETTERS[:1], LETTERS[::-1, ::-1], LETTERS[:, 1:9]):
        (found,) = program(letters)
        expected = np.array([motif_score(row.tobytes().decode()) for row in letters], np.float32)
        np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0, strict=True)
        found[:] = 0


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    class Sums(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, image: Any, weight: Any) -> Any:
            return {"sum": image.double() * weight, "weight": weight}

    inputs = torch.ones((3, 4), dtype=torch.uint8), torch.ones((3, 4))
    program = TorchProgram(save_program(tmp_path / "x.pt2", Sums(), *inputs))
    rng = np.random.default_rng(0)
    image, weight = rng.integers(0, 9, (5, 6), np.uint8), rng.random((5, 6), np.float32)
    product, same = program(image, weight)
    assert product.dtype == np.float32
    np.testing.assert_array_equal(product, (image * weight.astype(float)).astype(np.float32))
    np.testing.assert_array_equal(same, weight)


def test_convolutions_in_either_memory_format(tmp_path: Path) -> None:
    convolution = torch.nn.Conv2d(2, 3, 3)
    images = torch.randn((3, 2, 8, 8))
    program = TorchProgram(save_program(tmp_path / "x.pt2", convolution, images))
    (found,) = program(images.numpy())
    assert found.flags.c_contiguous
    with torch.inference_mode():
        np.testing.assert_allclose(found, convolution(images).numpy(), atol=1e-6)


def test_what_torch_does_not_take(motif: Path) -> None:
    with pytest.raises(
        ProviderError, match=f"^{motif}: torch failed on cpu: .* to be >= 3, but got 2"
    ):
        TorchProgram(motif)(LETTERS[:, :2])


def compiled(path: Path) -> TorchProgram:
    try:
        return TorchProgram(path, threads=1, compile=True)
    except ProviderError as error:
        pytest.skip(str(error))


def test_compile(motif: Path) -> None:
    (found,) = compiled(motif)(LETTERS)
    np.testing.assert_allclose(found, [motif_score(s) for s in GOLDEN], atol=1e-6)


def test_no_compiler(motif: Path) -> None:
    config = pytest.importorskip("torch._inductor.config")
    with (
        config.patch({"cpp.cxx": (None, "no-such-compiler")}),
        pytest.raises(ProviderError, match=r"C\+\+ compiler, and no-such-compiler is not on PATH"),
    ):
        TorchProgram(motif, compile=True)


def test_compiling_switched_off_is_an_error(motif: Path) -> None:
    """The environment variable makes torch.compile give back what it got."""
    with (
        torch._dynamo.config.patch(disable=True),
        pytest.raises(ProviderError, match="switched off, .*: unset TORCH_COMPILE_DISABLE"),
    ):
        TorchProgram(motif, compile=True)


def test_threads_are_set_at_each_call(motif: Path) -> None:
    before = torch.get_num_threads()
    try:
        one, two = (TorchProgram(motif, threads=threads) for threads in (1, 2))
        for program in (one, two, one):
            program(LETTERS)
            assert torch.get_num_threads() == program.threads
        other = threading.Thread(target=two, args=(LETTERS,))
        other.start()
        other.join()
        one(LETTERS)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("before", ["tf32", "ieee"])
@pytest.mark.parametrize("allowed", [True, False])
def test_tf32_is_put_back(allowed: bool, before: str) -> None:
    settings = [torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn]
    usual = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = before
        with contextlib.suppress(KeyError), _tf32(allowed):
            within = [setting.fp32_precision for setting in settings]
            raise KeyError
        assert within == ["tf32" if allowed else "ieee"] * 3
        assert [setting.fp32_precision for setting in settings] == [before] * 3
    finally:
        for setting, value in zip(settings, usual, strict=True):
            setting.fp32_precision = value


@pytest.mark.parametrize("content", [b"", b"no program", b"PK\x03\x04"])
def test_no_program(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.pt2"
    path.write_bytes(content)
    with pytest.raises(ModelIntegrityError, match=f"^{path}: not a program that torch.export.save"):
        TorchProgram(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="x.pt2"):
        TorchProgram(tmp_path / "x.pt2")


@pytest.mark.parametrize(
    ("options", "error", "why"),
    [
        ({"device": "gpu"}, ValueError, "device must be 'cpu', 'cuda' or 'cuda:N', not 'gpu'"),
        ({"precision": "fp8"}, ValueError, "one of fp32, tf32, fp16, not 'fp8'"),
        ({"threads": 0}, ValueError, "threads must be at least 1, not 0"),
        ({"precision": "fp16"}, ProviderError, "'fp16' of the torch engine needs device='cuda'"),
    ],
)
def test_wrong_options(
    options: dict[str, Any], error: type[Exception], why: str, motif: Path
) -> None:
    with pytest.raises(error, match=why):
        TorchProgram(motif, **options)


def test_no_cuda(motif: Path) -> None:
    if torch.cuda.is_available():
        with pytest.raises(ProviderError, match="this machine has . CUDA devices"):
            TorchProgram(motif, device="cuda:99")
    else:
        with pytest.raises(
            ProviderError, match="'cuda' of the torch engine: .* finds no CUDA here"
        ):
            TorchProgram(motif, device="cuda")


def test_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import seqtile.bench.engines\n"
        "try: import seqtile.bench.torch_program\n"
        "except ImportError as error: print(error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("the torch engine needs torch: pip install torch,")


# measured


def beside_onnxruntime(model: Path, program: Path) -> Bench:
    return Bench(
        Plan(
            models=(str(model),),
            batch_sizes=(4,),
            engines=("onnxruntime", "torch"),
            seconds=0.05,
            rule=COLD,
            concurrencies=(1, "lanes"),
            threads=1,
            program=program,
        )
    )


def test_torch_beside_onnxruntime(motif_folder: Path, motif: Path) -> None:
    made = beside_onnxruntime(motif_folder, motif)
    rows = list(made.rows())
    assert [(row.engine, row.loop) for row in rows] == [
        ("onnxruntime", "closed"),
        ("onnxruntime", "lanes"),
        ("torch", "closed"),
    ]
    for row in rows:
        check(row)
    assert [row.stages is None for row in rows] == [False, False, True]
    assert [row.providers for row in rows] == [("CPUExecutionProvider",)] * 2 + [()]
    assert [skipped["why"] for skipped in made.skipped] == ["torch answers one batch at a time"]


def test_torch_beside_a_third_party_model(motif: Path, tmp_path: Path) -> None:
    rows = measure(
        str(motif_model(tmp_path / "motif.onnx")),
        engines=("torch",),
        shapes=((12,),),
        data="random",
        spec=seqtile.InputSpec(layout="bytes"),
        program=motif,
    )
    assert [row.parity[0]["output"] for row in rows] == ["probability"]


def test_a_program_of_another_model_is_not_timed(motif_folder: Path, tmp_path: Path) -> None:
    other = motif_program(tmp_path / "motif.pt2", shift=0.01)
    with pytest.raises(EngineMismatchError, match=r"'probability' differs .* 0.01, .*: not timed"):
        list(beside_onnxruntime(motif_folder, other).rows())
