"""Speed on a device: what stays on it, `predict` and `scan` end to end, with and without graphs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import seqtile
from benches.compare import seconds
from benches.gpu_inputs import (
    Feeds,
    is_dense,
    random_genome,
    rate,
    resident,
    scans,
    shuffled,
    times,
)
from benches.gpu_peak import flop, peak
from benches.gpu_report import Context, Section, in_time, item
from seqtile.execution.cuda.binding import BoundRunner
from seqtile.execution.profile import Profile
from seqtile.execution.session import Session
from seqtile.machine.nvml import Meter
from seqtile.models.loading import model_bytes
from seqtile.models.zoo import model_folder

TARGET = 0.9
MOST_WORK = 3e12  # flop of a batch: some 50 ms
UNKNOWN_WORK = 2e8  # of an item where it cannot be told
GENOME_TARGET_S = 60
HUMAN = 3_088_269_832  # bases of chromosomes 1 to 22, X and Y, GRCh38
STAGES = ("read", "encode", "h2d", "compute", "d2h")


def answers(name: str) -> tuple[str, ...]:
    """The outputs that `predict` gives."""
    return tuple(t.name for t in seqtile.card(name).outputs if t.kind != "embedding")


def session(context: Context, name: str, precision: str, graphs: Any = "auto") -> Session:
    return Session(
        model_bytes(model_folder(name), seqtile.card(name), precision),
        device=context.device,
        precision=precision,
        graphs=graphs,
        source=name,
    )


def sizes(context: Context, name: str) -> tuple[int, ...]:
    """Batch sizes of the sweep, smallest first: none of which a card takes seconds for."""
    tried = (1, 8, 32) if is_dense(name) else (256, 2048, 8192, 32_768)
    if context.quick:
        return tried[:1]
    one = {key: values.shape for key, values in shuffled(name, 1).items()}
    work = flop((model_folder(name) / "model.onnx").read_bytes(), one) or UNKNOWN_WORK
    return tuple(size for size in tried if size == tried[0] or size * work <= MOST_WORK)


def device_index(device: str) -> int:
    return int(device.partition(":")[2] or 0)


def least_s(context: Context) -> float:
    return 0.02 if context.quick else 0.2


def sweep(context: Context, section: Section) -> None:
    """`predict` by model, precision and batch size, beside the same batches left on the device."""
    section.head = (
        "model",
        "precision",
        "batch",
        "on the device, items/s",
        "without graphs, items/s",
        "Tflop/s",
        "of the card's",
        "graphs",
        "predict, items/s",
        f"of the device's (want {TARGET})",
        "lanes' time",
        "verdict",
    )
    for name in context.models:
        for precision in context.precisions:
            what = f"{name}, {precision}"
            if in_time(context, section, what):
                with item(section, what):
                    _sweep_one(context, section, name, precision)


def _sweep_one(context: Context, section: Section, name: str, precision: str) -> None:
    predictor = seqtile.load(name, device=context.device, precision=precision)
    bound = BoundRunner(session(context, name, precision))
    plain = BoundRunner(session(context, name, precision, graphs=False))
    first = seqtile.card(name).inputs[0].name
    with Meter(device_index(predictor.device)) as meter:
        card = meter.name
    # Other precisions at the largest size alone: what a size does is the same in all.
    chosen = (
        sizes(context, name) if precision == context.precisions[0] else sizes(context, name)[-1:]
    )
    for size in chosen:
        feeds = shuffled(name, size)
        on_device = resident(bound, feeds, answers(name), least_s=least_s(context))
        without = resident(plain, feeds, answers(name), least_s=least_s(context))
        copies = max(8, min(64, int(on_device * 2 * least_s(context) / size)))
        many = times(feeds, copies)
        items = many.pop(first)

        def predict(
            profile: Profile | None = None, items: Any = items, many: Any = many, size: int = size
        ) -> object:
            return predictor.predict(items, batch_size=size, profile=profile, **many)

        speed = rate(predict, len(items))
        profile = Profile()
        predict(profile)
        section.rows.append(
            (
                name,
                precision,
                size,
                on_device,
                without,
                *arithmetic(name, precision, feeds, on_device / size, card),
                bound.graphs,
                speed,
                speed / on_device,
                breakdown(profile),
                profile.verdict(),
            )
        )
    bound.close()
    plain.close()


def arithmetic(
    name: str, precision: str, feeds: Feeds, calls: float, card: str | None
) -> tuple[float | None, str | None]:
    """Tflop/s at so many calls a second, and their share of what the card can do."""
    model = (model_folder(name) / "model.onnx").read_bytes()
    work = flop(model, {key: values.shape for key, values in feeds.items()})
    if work is None:
        return None, None
    done, most = work * calls / 1e12, peak(card, precision)
    return done, None if most is None else f"{done / most:.0%}"


def breakdown(profile: Profile) -> str:
    """Share of each stage in the time of all."""
    total = sum(profile.seconds.get(stage, 0.0) for stage in STAGES) or 1.0
    shares = ((stage, profile.seconds.get(stage, 0.0) / total) for stage in STAGES)
    return ", ".join(f"{stage} {share:.0%}" for stage, share in shares if share >= 0.005)


def scan(context: Context, section: Section) -> None:
    """Stride 1, both strands, one random sequence: windows per second, energy, a human genome."""
    section.head = (
        "model",
        "precision",
        "batch",
        "windows/s",
        f"of the device's (want {TARGET})",
        "verdict",
        "GPU busy",
        "GPU memory, GB",
        "mean power, W",
        "J per million windows",
        f"human genome, s (want {GENOME_TARGET_S})",
    )
    with tempfile.TemporaryDirectory() as folder:
        for name in filter(scans, context.models):
            for precision in context.precisions:
                what = f"{name}, {precision}"
                if in_time(context, section, what):
                    with item(section, what):
                        section.rows.append(_scan_one(context, name, precision, Path(folder)))


def _scan_one(context: Context, name: str, precision: str, folder: Path) -> tuple[object, ...]:
    predictor = seqtile.load(name, device=context.device, precision=precision)
    bound = BoundRunner(session(context, name, precision))
    size = sizes(context, name)[-1]
    on_device = resident(bound, shuffled(name, size), answers(name), least_s=least_s(context))
    bound.close()
    # So many seconds of work if nothing but the device's own speed limited it.
    budget_s = 0.2 if context.quick else 4.0
    bases = int(min(40_000_000, max(20_000, on_device / 2 * budget_s)))
    genome = random_genome(folder / f"genome{bases}.fa", bases)

    def work(profile: Profile | None = None) -> int:
        blocks = seqtile.scan(predictor, genome, batch_size=size, profile=profile)
        return sum(len(block.scores) for block in blocks)

    windows = 2 * work()  # both strands; this one warms up
    profile = Profile()
    with Meter(device_index(predictor.device)) as meter, meter.watch() as watch:
        speed = windows / seconds(lambda: work(profile))
    usage = watch.usage
    energy = None if usage.energy is None else usage.energy / windows * 1e6
    return (
        name,
        precision,
        size,
        speed,
        speed / on_device,
        profile.verdict(),
        None if usage.utilization is None else f"{usage.utilization:.0f}%",
        None if usage.memory_peak is None else usage.memory_peak / 1e9,
        usage.power,
        energy,
        2 * HUMAN / speed,
    )
