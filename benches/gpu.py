"""Everything that needs a CUDA device, in one command:

    python benches/gpu.py

For every shipped model: the golden self-test on CUDA (made by `load`), its outputs against the
CPU's on 20,000 real windows, throughput of `predict` by batch size, and of a scan of the example.
Exits 1 where CUDA does not run, and says why.
"""

from __future__ import annotations

import statistics
import sys
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import seqtile
from benches.compare import seconds
from seqtile.session import check_cuda

BATCHES = (256, 1024, 4096, 16_384, 65_536)


def real_windows(window: int, count: int) -> np.ndarray:
    parts = [
        seqtile.windows(record.sequence, window)
        for record in seqtile.read_fasta(seqtile.example_path("chr22"))
    ]
    everything = np.concatenate(parts)
    return everything[np.linspace(0, len(everything) - 1, count).astype(np.int64)]


def rate(call, items: int, rounds: int = 5) -> float:
    call()
    return items / statistics.median(seconds(call) for _ in range(rounds))


def scan_all(predictor: seqtile.Predictor, genome: Path) -> int:
    return sum(len(block.scores) for block in seqtile.scan(predictor, genome))


def main() -> int:
    try:
        check_cuda()
    except seqtile.ProviderError as error:
        print(f"benches/gpu.py: {error}", file=sys.stderr)
        return 1
    failed = False
    for name in seqtile.list_models():
        cpu, cuda = seqtile.load(name, device="cpu"), seqtile.load(name, device="cuda")
        window = cuda.window or int(cuda.card.training["window"])
        print(f"{name}: {cuda.providers}")
        letters = real_windows(window, 20_000)
        pairs = zip(cpu.predict(letters).items(), cuda.predict(letters).values(), strict=True)
        for (output, expected), actual in pairs:
            error = float(np.abs(expected - actual).max())
            passed = error <= cuda.card.tolerance
            failed |= not passed
            print(
                f"  {output}: CUDA against CPU max abs {error:.3g}, {'ok' if passed else 'FAILED'}"
            )
        many = np.tile(letters, (10, 1))
        for size in BATCHES:
            speed = rate(partial(cuda.predict, many, batch_size=size), len(many))
            print(f"  predict, batch {size:>6}: {speed:>12,.0f} windows/s")
        genome = seqtile.example_path("chr22")
        both = 2 * seqtile.scan(cuda, genome).total_windows
        speed = rate(partial(scan_all, cuda, genome), both)
        print(f"  scan, stride 1, both strands: {speed:>12,.0f} windows/s")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
