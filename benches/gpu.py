"""Everything that needs a CUDA device, in one command:

    python benches/gpu.py

For every shipped model: the golden self-test on CUDA (made by `load`), its outputs against the
CPU's on 20,000 shuffles of the golden inputs (20 where every pixel has an answer), throughput of
`predict` by batch size, and of a scan of the example where the model can scan.
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
from seqtile.zoo import model_folder

BATCHES = (256, 1024, 4096, 16_384, 65_536)


def shuffled(name: str, count: int) -> dict[str, np.ndarray]:
    """The golden inputs again and again, letters or rows of pixels in a new order."""
    card = seqtile.card(name)
    with np.load(model_folder(name) / "golden.npz") as golden:
        inputs = {tensor.name: golden[tensor.name] for tensor in card.inputs}
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(golden_rows := inputs[card.inputs[0].name]), count)
    drawn = {name: values[rows] for name, values in inputs.items()}
    first = golden_rows[rows]
    for row in first:
        rng.shuffle(row)
    drawn[card.inputs[0].name] = first
    return drawn


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
        print(f"{name}: {cuda.providers}")
        dense = cuda.card.task == "segmentation"
        extra = shuffled(name, 20 if dense else 20_000)
        letters = extra.pop(cuda.card.inputs[0].name)
        expected_all = cpu.predict(letters, **extra)
        actual_all = cuda.predict(letters, **extra)
        pairs = [(output, expected_all[output], actual_all[output]) for output in cuda.outputs]
        if cuda.embeds:
            pairs.append(("embedding", cpu.embed(letters, **extra), cuda.embed(letters, **extra)))
        for output, expected, actual in pairs:
            error = float(np.abs(expected - actual).max())
            passed = error <= cuda.card.tolerance
            failed |= not passed
            print(
                f"  {output}: CUDA against CPU max abs {error:.3g}, {'ok' if passed else 'FAILED'}"
            )
        many = np.concatenate([letters] * 10)
        extra = {key: np.concatenate([values] * 10) for key, values in extra.items()}
        for size in (4, 16, 64) if dense else BATCHES:
            speed = rate(partial(cuda.predict, many, batch_size=size, **extra), len(many))
            print(f"  predict, batch {size:>6}: {speed:>12,.0f} {cuda.takes}/s")
        if extra or cuda.window is None or cuda.card.inputs[0].alphabet != "dna":
            continue
        genome = seqtile.example_path("chr22")
        both = 2 * seqtile.scan(cuda, genome).total_windows
        speed = rate(partial(scan_all, cuda, genome), both)
        print(f"  scan, stride 1, both strands: {speed:>12,.0f} windows/s")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
