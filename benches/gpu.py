"""Everything that needs a CUDA device, in one command:

    python benches/gpu.py

First parity: every shipped model in every precision on CUDA against fp32 on the CPU, and the trap
of ``Transpose -> MatMul``. Then speed: batches that stay on the device, with CUDA graphs and
without; `predict` and `scan` end to end beside them, with their stages; letters made one-hot in the
graph and on the host; torch on the same weights, by the programs that ``python -m
training.export.program`` left in ``build/programs``. Writes ``benches/RESULTS-gpu.md`` after every
section. What fails is said there and the rest goes on; what has not begun when ``--budget`` is
spent is left out, and said to be. ``--certify`` puts parity rows into ``exported/*/parity.json``.
Exits 1 if something failed, or where CUDA does not run, and says why.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

import seqtile  # noqa: E402
from benches import gpu_engines, gpu_parity, gpu_speed, machine  # noqa: E402
from benches.gpu_report import Context, Measure, Section, document, guarded, write  # noqa: E402
from seqtile.machine.cuda import check_cuda  # noqa: E402
from seqtile.machine.nvml import Meter, read_management  # noqa: E402
from seqtile.models.certificate import ParityRow  # noqa: E402

PACKAGES = ["onnxruntime-gpu", "onnxruntime", "torch", "numpy"]


def sections(found: dict[str, list[ParityRow]]) -> list[tuple[str, str, Measure]]:
    """Title, text and work of each section, in order."""
    return [
        (
            "Parity",
            "Largest differences from fp32 on the CPU over batches of 1 to 64 and lengths or "
            "sizes, and from torch on the golden inputs, through the runner that `predict` uses.",
            partial(gpu_parity.parity, found=found),
        ),
        (
            "Transpose and MatMul",
            "`MatMul(Transpose(x), q)` with a 1-D q, which no shipped model has, against numpy.",
            gpu_parity.trap,
        ),
        (
            "Scan, end to end",
            "A random sequence, stride 1, both strands, scores in memory; the human genome is "
            f"extrapolated from it: {gpu_speed.HUMAN:,} bases on both strands.",
            gpu_speed.scan,
        ),
        (
            "Predict, end to end",
            "Arrays in memory to answers in memory, beside the same batches replayed on the device "
            "without copies. *Lanes' time*: what the threads that feed the device spent theirs on.",
            gpu_speed.sweep,
        ),
        (
            "One-hot in the graph or on the host",
            "fp32; the host's by seqtile.one_hot into a reused array, one thread.",
            gpu_engines.one_hot,
        ),
        (
            "torch beside it",
            "fp32, programs of the same weights; arrays in, arrays out; answers compared first.",
            gpu_engines.beside_torch,
        ),
    ]


def facts(device: str) -> list[str]:
    """The device, its driver, and the rest of the machine."""
    index = int(device.partition(":")[2] or 0)
    with Meter(index) as meter:
        total = meter.memory_total()
        memory = "" if total is None else f", {total / 2**30:.0f} GiB"
        card = f"{meter.name or device}{memory}" + (f" ({meter.why})" if meter.why else "")
    return [
        f"Device: {card}. {datetime.now(UTC):%Y-%m-%d}.",
        f"Driver: {read_management()}.",
        *machine.describe(),
        f"Versions: {machine.versions(PACKAGES)}.",
    ]


def measure(
    context: Context, output: Path, command: str, found: dict[str, list[ParityRow]]
) -> bool:
    """Run every section, write the file after each; whether none failed."""
    about, done = facts(context.device), list[Section]()
    for title, text, work in sections(found):
        print(f"{title} ...", flush=True)
        done.append(guarded(title, text, work, context))
        write(output, document("Results on a GPU", command, about, done))
        print(done[-1].markdown(), flush=True)
    return not any(section.failures for section in done)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Parity and speed on a CUDA device.")
    parser.add_argument("--device", default="cuda", help="cuda or cuda:N (default: cuda)")
    parser.add_argument("--models", nargs="+", metavar="NAME", help="default: all")
    parser.add_argument("--quick", action="store_true", help="few sizes, little work")
    parser.add_argument(
        "--budget", type=float, default=420, metavar="S", help="begin nothing later (default: 420)"
    )
    parser.add_argument("--certify", action="store_true", help="rows into exported/*/parity.json")
    parser.add_argument("--output", type=Path, default=FOLDER / "RESULTS-gpu.md")
    options = parser.parse_args(arguments)
    try:
        check_cuda()
    except seqtile.ProviderError as error:
        print(f"benches/gpu.py: {error}", file=sys.stderr)
        return 1
    given = arguments if arguments is not None else sys.argv[1:]
    context = Context(
        device=options.device,
        models=tuple(options.models or seqtile.list_models()),
        quick=options.quick,
        deadline=time.monotonic() + options.budget,
    )
    found: dict[str, list[ParityRow]] = {}
    command = shlex.join(["python", "benches/gpu.py", *given])
    passed = measure(context, options.output, command, found)
    if options.certify:
        for name, rows in found.items():
            gpu_parity.certify(FOLDER.parent / "exported" / name, rows)
    print(options.output)
    return int(not passed)


if __name__ == "__main__":
    raise SystemExit(main())
