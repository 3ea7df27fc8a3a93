"""Tables and figure of a benchmark."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from msgspec.structs import replace
from rich.console import Console

from seqtile.bench.plot import draw_bench
from seqtile.bench.report import print_document
from seqtile.bench.rows import Document, Row
from tests.python.made_rows import DOCUMENT, ROW, arrivals, document, row

STAGES = {
    "lanes": 1,
    "seconds": {"encode": 1.0, "compute": 6.0, "write": 9.0},
    "shares": {},
    "verdict": "compute-limited",
    "other": 1.0,
}
GPU = {
    "name": "A GPU",
    "why": None,
    "seconds": 20.0,
    "samples": 9,
    "utilization": 87.4,
    "memory_peak": 3_000_000_000,
    "energy": 8000.0,
    "power": 400.0,
}


def printed(content: Document, *, width: int = 100, profile: bool = False) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO())
    print_document(content, console, profile=profile)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    return [" ".join(line.split()) for line in lines]


def test_one_row() -> None:
    assert printed(document(ROW)) == [
        "P, 2 of 2 cores",
        "seqtile 0.1.0, onnxruntime 1.31.1",
        "onnxruntime cpu fp32 2 threads a call; inputs: golden",
        "warm-up: none",
        "",
        "tiny, 12 bases; latency in ms",
        "batch load items/s ± Mbases/s p50 p90 p95 p99 p99.9 max",
        "8 c1 800 1.2% 0.0096 10.0 10.0 10.0 10.0 10.0 20.0",
        "",
        "batch load requests seconds warm-up s first call ms peak MB",
        "8 c1 2,000 20.0 1.00 50.0 12",
        "",
        "±: half of the bootstrap 95% interval over up to 20 windows of the measurement: noise "
        "inside this",
        "run, not between runs",
        "outputs of 1 engine equal onnxruntime's (fp32, CPU) before timing: at most 0.01 of the "
        "tolerance",
    ]


def test_columns_of_what_varies() -> None:
    torch = replace(ROW, engine="torch", threads=1, items_per_s=1234.5)
    cuda = replace(ROW, device="cuda", items_per_s=2.5e6, interval=None)
    lines = printed(document(ROW, torch, cuda))
    assert "fp32; inputs: golden" in lines
    head = lines.index("engine device batch load thr items/s ± Mbases/s p50 p90 p95 p99 p99.9 max")
    assert lines[head + 1].startswith("onnxruntime cpu 8 c1 2 800 1.2%")
    assert lines[head + 2].startswith("torch cpu 8 c1 1 1,234")
    assert lines[head + 3].startswith("onnxruntime cuda 8 c1 2 2.50M -")


def test_marks_and_their_meaning() -> None:
    unstable = replace(
        ROW,
        warm_up={"seconds": 10.0, "spread": 0.5, "stable": False},
        asked="auto",
        latency={**ROW.latency, "99.9": None},
        memory={"before": 1, "peak": 2e6, "reset": False},
    )
    late = arrivals(0.01, sustained=False)
    late.open["late_s"] = 0.0002  # type: ignore[index]
    rules = {**DOCUMENT.rules, "warm_up": "windows"}
    lines = printed(replace(document(unstable, late), rules=rules))
    text = "\n".join(lines)
    assert "8 auto c1 800~" in text
    assert "10.0 10.0 - 20.0" in text
    assert "8 100/s c1 800 1.2% 0.0096 >10.0" in text
    assert "10.0~ 50.0 2*" in text
    assert "50% 99 0.20" in text
    for mark in (
        "~: the warm-up did not become stable",
        "-: a percentile needs ten samples",
        ">: at least; at the end of a rate",
        "*: the peak since the process began",
        "busy: share of the servers' time",
    ):
        assert mark in text
    assert "~:" not in "\n".join(printed(document(ROW)))


def test_stages() -> None:
    rows = [replace(ROW, stages=STAGES), replace(ROW, engine="torch")]
    lines = printed(document(*rows), profile=True)
    head = lines.index("engine batch load limit stages")
    assert lines[head + 1] == (
        "onnxruntime 8 c1 compute-limited compute 75.0%, encode 12.5%, other 12.5%"
    )
    assert lines[head + 2] == "torch 8 c1 - -"
    assert "stages" not in "\n".join(printed(document(*rows)))


def test_gpu() -> None:
    rows = [
        replace(ROW, device="cuda", gpu=GPU, joules_per_item=0.5),
        replace(ROW, device="cuda:1", gpu={"why": "no NVML here", "name": None}),
    ]
    machine = {**DOCUMENT.machine, "gpus": ["A GPU"]}
    lines = printed(replace(document(*rows), machine=machine))
    assert lines[0] == "P, 2 of 2 cores, A GPU"
    assert any(line.endswith("peak MB GPU MB GPU % W mJ/item") for line in lines)
    assert any(line.endswith("12 3,000 87 400 500") for line in lines)
    assert any(line.endswith("12 - - - -") for line in lines)
    assert "GPU: no NVML here" in lines


def test_a_narrow_terminal() -> None:
    lines = printed(document(ROW), width=80)
    assert "batch load items/s ± Mbases/s p50 p99 p99.9 max" in lines


def test_what_was_not_measured() -> None:
    skipped = ({"what": "tiny torch", "why": "fp32 only"},)
    assert printed(replace(document(), skipped=skipped))[-1] == (
        "not measured: tiny torch: fp32 only"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.000012, "0.012"),
        (0.0123456, "12.3"),
        (0.123456, "123"),
        (12.3456, "12346"),
        (0.00099951, "1.00"),
        (0.0099951, "10.0"),
        (0.00000123, "0.0012"),
    ],
)
def test_three_digits(value: float, text: str) -> None:
    """Of a maximum of so many seconds, in milliseconds."""
    lines = printed(document(replace(ROW, latency={**ROW.latency, "max": value})))
    assert lines[7].split()[-1] == text


def many() -> list[Row]:
    """Two models, three engines, three batch sizes, two loads, arrivals, lanes."""
    found = []
    for model in ("tiny", "large"):
        for speed, engine in ((1, "torch"), (2, "onnxruntime")):
            for batch in (1, 8, 64):
                for clients in (1, 2):
                    latency = {**ROW.latency, "50": batch / speed / 1e3, "99": batch / speed / 400}
                    found.append(
                        replace(
                            ROW,
                            model=model,
                            engine=engine,
                            batch=batch,
                            asked=str(batch),
                            concurrency=clients,
                            latency=latency,
                            items_per_s=1000 * speed * clients * batch**0.5,
                        )
                    )
            found.append(replace(found[-1], loop="lanes", items_per_s=30_000.0 * speed))
        found += [arrivals(0.01), arrivals(0.01, sustained=False)]
    return found


def test_figure(tmp_path: Path) -> None:
    """Every engine's colour is in the picture; a figure of one engine lacks the other's."""
    both, one = tmp_path / "both.png", tmp_path / "one.png"
    draw_bench(both, document(*many()))
    draw_bench(one, document(*(r for r in many() if r.engine == "onnxruntime")))

    def colours(path: Path) -> set[int]:
        image = cv2.imread(str(path))
        assert image is not None
        assert image.shape[1] > image.shape[0] > 400
        return set(np.unique(image.astype(np.int32) @ [1, 1 << 8, 1 << 16]).tolist())

    first, second = 0x2A6F97, 0xC1440E
    assert {first, second} <= colours(both)
    assert first in colours(one)
    assert second not in colours(one)


def test_figure_of_many_models(tmp_path: Path) -> None:
    rows = [replace(ROW, model=f"model-{i}") for i in range(14)]
    draw_bench(tmp_path / "a.png", document(*rows))
    image = cv2.imread(str(tmp_path / "a.png"))
    assert image is not None
    assert image.shape[0] > 2000  # twelve panels, three in a row


def test_nothing_to_draw(tmp_path: Path) -> None:
    few = replace(ROW, latency={**ROW.latency, "50": None})
    with pytest.raises(ValueError, match="no row has the 20 samples"):
        draw_bench(tmp_path / "a.png", document(few, arrivals(0.1, sustained=False)))
    assert list(tmp_path.iterdir()) == []


def test_a_row_of_zeros_is_no_division_by_zero() -> None:
    assert printed(document(row(100, parity=())))[-1].endswith("at most 0 of the tolerance")
