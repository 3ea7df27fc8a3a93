"""Names of devices, precisions, and what their errors say."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from seqtile.errors import OutOfMemoryError, ProviderError
from seqtile.execution.cuda.placement import graphs_verdict
from seqtile.execution.failures import explain, is_out_of_memory, load_failure, reason
from seqtile.execution.providers import CPU, CUDA, check_precision, providers
from seqtile.machine.devices import parse_devices

# names


@pytest.mark.parametrize(
    ("device", "devices"),
    [
        ("cpu", ["cpu"]),
        ("cuda", ["cuda:0"]),
        ("cuda:3", ["cuda:3"]),
        ("cuda:0,1", ["cuda:0", "cuda:1"]),
        ("cuda:2,0,10", ["cuda:2", "cuda:0", "cuda:10"]),
    ],
)
def test_devices(device: str, devices: list[str]) -> None:
    assert parse_devices(device) == devices


BAD = ["", "gpu", "CPU", "cuda:", "cuda:x", "cuda:-1", "cuda:0,", "cuda:,0", "cuda: 0", "cuda:0;1"]


@pytest.mark.parametrize("device", [*BAD, "cpu,cuda", "cuda:0 ", "cuda:99999", "cuda:٣", "cuda\n"])
def test_no_device(device: str) -> None:
    with pytest.raises(
        ValueError, match="^device must be 'auto', 'cpu', 'cuda', 'cuda:N' or "
    ) as e:
        parse_devices(device)
    assert str(e.value).endswith(f", not {device!r}")


@pytest.mark.parametrize("device", ["cuda:0,0", "cuda:1,0,1", "cuda:01,1"])
def test_a_device_twice(device: str) -> None:
    with pytest.raises(ValueError, match=r"^device names cuda:[01] more than once: "):
        parse_devices(device)


# precisions


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16"])
def test_precisions_of_a_gpu(precision: str) -> None:
    assert check_precision(precision, "cuda:0") == precision


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_precisions_of_the_cpu(precision: str) -> None:
    assert check_precision(precision, "cpu") == precision


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16", "int8"])
def test_some_device_has_every_precision(precision: str) -> None:
    assert check_precision(precision, "auto") == precision


@pytest.mark.parametrize("precision", ["tf32", "fp16"])
def test_precisions_the_cpu_has_not(precision: str) -> None:
    with pytest.raises(ProviderError, match=f"^precision '{precision}' needs a GPU: use device="):
        check_precision(precision, "cpu")


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "cuda:0,1"])
def test_a_gpu_has_no_int8(device: str) -> None:
    with pytest.raises(ProviderError, match="^precision 'int8' is for the CPU: use device='cpu', "):
        check_precision("int8", device)


@pytest.mark.parametrize("precision", ["", "FP32", "float32", "bf16"])
@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_no_precision(precision: str, device: str) -> None:
    message = f"^precision must be one of 'fp32', 'tf32', 'fp16', 'int8', not '{precision}'$"
    with pytest.raises(ValueError, match=message):
        check_precision(precision, device)


# options


def test_options_for_cuda() -> None:
    ((name, options),) = providers("cuda:7", "fp32", graphs=False)
    assert name == CUDA
    assert all(isinstance(value, str) for value in options.values())
    assert options["device_id"] == "7"
    assert options["cudnn_conv_algo_search"] == "HEURISTIC"
    assert options["arena_extend_strategy"] == "kSameAsRequested"
    assert options["enable_cuda_graph"] == "0"
    assert providers("cuda:7", "fp32", graphs=True)[0][1]["enable_cuda_graph"] == "1"
    assert providers("cpu", "fp32", graphs=False) == [CPU]


def test_tf32_is_off_unless_asked_for() -> None:
    """onnxruntime's own default is on."""
    used = {p: providers("cuda:0", p, graphs=False)[0][1]["use_tf32"] for p in ("fp32", "fp16")}
    assert used == {"fp32": "0", "fp16": "0"}
    assert providers("cuda:0", "tf32", graphs=False)[0][1]["use_tf32"] == "1"


# graphs


@pytest.mark.parametrize(
    ("wanted", "device", "operators", "verdict"),
    [
        ("auto", "cuda:0", {"Conv", "Relu"}, "on"),
        (True, "cuda:0", {"Conv", "LSTM"}, "on"),
        ("auto", "cuda:0", set(), "on"),
        (False, "cuda:0", {"Conv"}, "off: graphs=False"),
        ("auto", "cpu", {"Conv"}, "off: device cpu"),
        (True, "cpu", {"Conv"}, "off: device cpu"),
        (True, "cuda:0", {"Loop", "If", "Conv"}, "off: control flow (If, Loop)"),
        (
            "auto",
            "cuda:0",
            {"LSTM", "Conv"},
            "off: recurrent operators (LSTM); graphs=True tries",
        ),
    ],
)
def test_whether_graphs_are_possible(
    wanted: str | bool, device: str, operators: set[str], verdict: str
) -> None:
    assert graphs_verdict(wanted, device, operators) == verdict  # type: ignore[arg-type]


@pytest.mark.parametrize("wanted", ["on", "", None, 2])
def test_graphs_is_one_of_three(wanted: object) -> None:
    with pytest.raises(ValueError, match="^graphs must be 'auto', True or False, not "):
        graphs_verdict(wanted, "cpu", set())  # type: ignore[arg-type]


# errors of onnxruntime, as it words them

NODE = "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running "
CUDA_CALL = (
    "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:129 std::conditional_t<THRW, "
    "void, onnxruntime::common::Status> onnxruntime::CudaCall(ERRTYPE, const char*, const char*, "
    "SUCCTYPE, const char*, const char*, int) [with ERRTYPE = cudaError; bool THRW = true; "
    "SUCCTYPE = cudaError; std::conditional_t<THRW, void, common::Status> = void] "
)
OUT_OF_MEMORY = [
    f"{NODE}Conv node. Name:'r_nchwc' Status Message: /onnxruntime_src/onnxruntime/core/framework/"
    "bfc_arena.cc:360 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, "
    "onnxruntime::Stream*) Failed to allocate memory for requested buffer of size 536870912\n",
    f"{NODE}Conv node. Status Message: Available memory of 17 is smaller than requested bytes of 9",
    f"{NODE}ReorderOutput node. Name:'ReorderOutput' Status Message: std::bad_alloc",
    f"{NODE}Conv node. Status Message: {CUDA_CALL}CUDA failure 2: out of memory ; GPU=0 ; "
    "hostname=h ; file=cuda_allocator.cc ; line=46 ; expr=cudaMalloc((void**)&p, size);",
    f"{NODE}Conv node. Status Message: CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED ; GPU=0 ; expr=x",
    f"{NODE}LSTM node. Status Message: CUDNN failure 5003: "
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ; GPU=0 ; hostname=h ; expr=x",
    f"{NODE}Gemm node. Status Message: CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0",
]
DRIVER = (
    "[ONNXRuntimeError] : 1 : FAIL : provider_options_utils.h:187 Parse Failed to parse provider "
    'option "device_id": CUDA failure 35: CUDA driver version is insufficient for CUDA runtime '
    "version ; GPU=-1 ; hostname=h ; line=70 ; expr=cudaGetDeviceCount(&num_devices);"
)
MENDS = [
    (DRIVER, "the NVIDIA driver is older than the CUDA libraries need: update the driver"),
    (
        f"{CUDA_CALL}CUDA failure 100: no CUDA-capable device is detected ; GPU=32 ; hostname=h",
        "no GPU can be seen: check nvidia-smi and CUDA_VISIBLE_DEVICES",
    ),
    (
        'Parse Failed to parse provider option "device_id": Invalid device ID: 7, must be between '
        "0 (inclusive) and 2 (exclusive).",
        "no such GPU, this machine has 2: nvidia-smi -L lists them, and the first is cuda:0",
    ),
    (
        f"{CUDA_CALL}CUDA failure 101: invalid device ordinal ; GPU=0 ; hostname=h",
        "no such GPU: nvidia-smi -L lists them, and the first is cuda:0",
    ),
    (
        f"{NODE}Cast node. CUDA failure 209: no kernel image is available for execution on the "
        "device ; GPU=0",
        "this onnxruntime-gpu has no kernels for this GPU: install another version of it",
    ),
]


@pytest.mark.parametrize("text", OUT_OF_MEMORY)
@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_out_of_memory_is_told_apart(text: str, device: str) -> None:
    error = explain(Exception(text), source="name", device=device, doing="failed")
    assert isinstance(error, OutOfMemoryError)
    assert isinstance(error, MemoryError)
    assert str(error).startswith(f"name: out of memory on {device}: use a smaller batch, or ")
    assert "\n" not in str(error)
    assert type(pickle.loads(pickle.dumps(error))) is OutOfMemoryError


@pytest.mark.parametrize(("text", "mend"), MENDS)
def test_the_mend_is_named(text: str, mend: str) -> None:
    error = explain(RuntimeError(text), source="name", device="cuda:0", doing="cannot run")
    assert type(error) is ProviderError
    assert str(error).startswith(f"name: cannot run on cuda:0: {mend}")
    assert "hostname" not in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Got invalid dimensions for input: x",
        f"{CUDA_CALL}CUDA failure 700: an illegal memory access was encountered ; GPU=0",
        f"{NODE}Reshape node. The input tensor cannot be reshaped to the requested shape",
        "",
    ],
)
def test_other_errors_are_passed_on(text: str) -> None:
    error = explain(Exception(text), source="name", device="cuda:0", doing="failed")
    assert type(error) is ProviderError
    assert str(error) == f"name: failed on cuda:0: {reason(Exception(text))}"
    assert not is_out_of_memory(Exception(text))


def test_a_reason_is_the_point_of_one_line() -> None:
    assert reason(RuntimeError("first\nsecond")) == "first"
    assert reason(RuntimeError("x" * 999)) == "x" * 300
    assert reason(RuntimeError()) == "RuntimeError()"
    text = f"{CUDA_CALL}CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; a=b"
    assert reason(Exception(text)) == "CUDA failure 700: an illegal memory access was encountered"


def test_pythons_own_memory_error() -> None:
    error = explain(MemoryError(), source="name", device="cpu", doing="failed")
    assert isinstance(error, OutOfMemoryError)


def test_why_a_library_does_not_load(tmp_path: Path) -> None:
    missing, broken = tmp_path / "libmissing.so", tmp_path / "libbroken.so"
    assert (
        load_failure(missing) == f"{missing}: cannot open shared object file: No such file or "
        "directory"
    )
    broken.write_bytes(b"no library")
    assert load_failure(broken).startswith(f"{broken}: ")
