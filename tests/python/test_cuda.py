"""On a real GPU: the answers of the CPU, graphs, precisions, threads, memory that runs out.

Everything here is skipped, with the reason, where CUDA does not run.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import seqtile
from seqtile.errors import OutOfMemoryError, ProviderError
from seqtile.execution.cuda.binding import BoundRunner
from seqtile.execution.cuda.placement import OF_SHAPES
from seqtile.execution.limits import Limits
from seqtile.execution.session import Session
from tests.python.feeds import EXPORTED, SHIPPED, model_bytes, random_feeds


def why_not() -> str | None:
    try:
        Session(model_bytes("jund-cnn-seq"), device="cuda")
    except ProviderError as error:
        return str(error)
    return None


if REASON := why_not():
    pytest.skip(f"no CUDA: {REASON}", allow_module_level=True)


RECURRENT = ["dna-binding-bilstm", "jund-lstm", "rbp-bilstm"]
SIZES = [64, 3, 64, 17, 64, 1, 64, 64, 50]
# Error as part of the output's largest value, or of 1 where that is smaller.
TOLERANCE = {"fp32": 1e-4, "tf32": 1e-2, "fp16": 3e-2}
HALF = [name for name in SHIPPED if (EXPORTED / name / "model.fp16.onnx").exists()]


@cache
def on_cpu(name: str) -> Session:
    return Session(model_bytes(name), source=name)


def half_bytes(name: str) -> bytes:
    return (EXPORTED / name / "model.fp16.onnx").read_bytes()


def error(found: list[NDArray[Any]], expected: list[NDArray[Any]]) -> float:
    worst = 0.0
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
        assert np.isfinite(mine).all()
        reach = max(1.0, float(np.abs(theirs).max()))
        worst = max(worst, float(np.abs(mine - theirs).max()) / reach)
    return worst


def runner_of(session: Session) -> BoundRunner:
    return BoundRunner(session, limits=Limits(capture_s=0.0))


# the answers of the CPU


@pytest.mark.parametrize("name", SHIPPED)
def test_every_model_computes_on_the_gpu_alone(name: str) -> None:
    session = Session(model_bytes(name), device="cuda", source=name)
    assert session.providers[0] == "CUDAExecutionProvider"
    assert set(session.on_cpu) <= OF_SHAPES
    feeds = random_feeds(name, 16, size=64, seed=0)
    assert error(session.run(feeds), on_cpu(name).run(feeds)) < TOLERANCE["fp32"]


@pytest.mark.parametrize("graphs", [False, "auto"])
@pytest.mark.parametrize("name", SHIPPED)
def test_bound_batches_of_every_model(name: str, graphs: Any) -> None:
    session = Session(model_bytes(name), device="cuda", source=name, graphs=graphs)
    runner = runner_of(session)
    for step, n in enumerate(SIZES):
        feeds = random_feeds(name, n, size=64, seed=step)
        assert error(runner.run(feeds), on_cpu(name).run(feeds)) < TOLERANCE["fp32"], (step, n)
    if graphs is False:
        assert runner.graphs == "off: graphs=False"
    elif name in RECURRENT:
        assert runner.graphs == "off: recurrent operators (LSTM); graphs=True tries"
    else:
        assert runner.graphs == "on"


@pytest.mark.parametrize("name", RECURRENT)
def test_graphs_of_recurrent_models_are_right_or_refused(name: str) -> None:
    try:
        runner = runner_of(Session(model_bytes(name), device="cuda", source=name, graphs=True))
        runner.warm_up(random_feeds(name, 64, size=64, seed=0))
    except ProviderError as refused:
        assert str(refused).startswith(f"{name}: graphs=True, but ")  # noqa: PT017
        return
    for step, n in enumerate(SIZES):
        feeds = random_feeds(name, n, size=64, seed=step)
        assert error(runner.run(feeds), on_cpu(name).run(feeds)) < TOLERANCE["fp32"], (step, n)


@pytest.mark.parametrize("name", ["nuclei-unet", "codon-convnet", "rbp-cnn"])
def test_many_sizes_of_item(name: str) -> None:
    runner = runner_of(Session(model_bytes(name), device="cuda", source=name))
    for step in range(24):
        feeds = random_feeds(name, 1 + step % 5, size=32 + 8 * (step % 11), seed=step)
        assert error(runner.run(feeds), on_cpu(name).run(feeds)) < TOLERANCE["fp32"], step


# precisions


@pytest.mark.parametrize("name", SHIPPED)
def test_tf32(name: str) -> None:
    runner = runner_of(Session(model_bytes(name), device="cuda", source=name, precision="tf32"))
    for step in range(5):
        feeds = random_feeds(name, 32, size=64, seed=step)
        assert error(runner.run(feeds), on_cpu(name).run(feeds)) < TOLERANCE["tf32"]


def test_fp32_is_not_tf32() -> None:
    """onnxruntime multiplies in TF32 unless it is told not to."""
    feeds = random_feeds("nuclei-unet", 8, size=128, seed=0)
    expected = on_cpu("nuclei-unet").run(feeds)
    errors = {}
    for precision in ("fp32", "tf32"):
        session = Session(model_bytes("nuclei-unet"), device="cuda", precision=precision)
        errors[precision] = error(session.run(feeds), expected)
    assert errors["fp32"] < errors["tf32"] / 5


@pytest.mark.parametrize("name", HALF)
def test_fp16(name: str) -> None:
    session = Session(half_bytes(name), device="cuda", source=name, precision="fp16")
    assert session.inputs == on_cpu(name).inputs
    runner = runner_of(session)
    for step in range(5):
        feeds = random_feeds(name, 32, size=64, seed=step)
        assert error(runner.run(feeds), on_cpu(name).run(feeds)) < TOLERANCE["fp16"]


# threads


@pytest.mark.parametrize("graphs", [False, "auto"])
def test_runners_side_by_side(graphs: Any) -> None:
    """While one captures, the others must stand still, and go on with the right numbers."""
    names = ["jund-cnn", "mnist-convnet", "jund-cnn"]
    sessions = {n: Session(model_bytes(n), device="cuda", graphs=graphs) for n in set(names)}
    wrong: list[tuple[str, int, float]] = []

    def work(number: int, name: str) -> None:
        runner = runner_of(sessions[name])
        for step in range(40):
            feeds = random_feeds(name, 1 + (step * 7 + number) % 60, size=64, seed=step)
            found = error(runner.run(feeds), on_cpu(name).run(feeds))
            if found >= TOLERANCE["fp32"]:
                wrong.append((name, step, found))

    threads = [threading.Thread(target=work, args=job) for job in enumerate(names)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    expected = "on" if graphs == "auto" else "off: graphs=False"
    assert [session.graphs for session in sessions.values()] == [expected] * 2


@pytest.mark.parametrize("graphs", [False, True])
def test_a_runner_that_changes_threads(graphs: bool) -> None:
    runner = runner_of(Session(model_bytes("jund-cnn"), device="cuda", graphs=graphs))
    found: list[float] = []

    def work(step: int) -> None:
        feeds = random_feeds("jund-cnn", 32, size=101, seed=step)
        found.append(error(runner.run(feeds), on_cpu("jund-cnn").run(feeds)))

    for step in range(8):
        thread = threading.Thread(target=work, args=(step,))
        thread.start()
        thread.join()
    assert len(found) == 8
    assert max(found) < TOLERANCE["fp32"]


@pytest.mark.parametrize("graphs", [False, "auto"])
def test_replay_leaves_the_answers(graphs: Any) -> None:
    runner = runner_of(Session(model_bytes("mnist-convnet"), device="cuda", graphs=graphs))
    feeds = random_feeds("mnist-convnet", 256, size=28, seed=0)
    runner.warm_up(feeds)
    before = runner.run(feeds)
    assert 0 < runner.replay(5) < runner.replay(500)
    assert error(runner.run(feeds), before) < TOLERANCE["fp32"]


# what goes wrong


def test_a_device_out_of_range() -> None:
    with pytest.raises(ProviderError, match=r"cannot run on cuda:99: no such GPU, this machine ha"):
        Session(model_bytes("jund-cnn-seq"), device="cuda:99")


@pytest.mark.parametrize("graphs", [False, "auto"])
def test_memory_that_runs_out_and_comes_back(graphs: Any) -> None:
    session = Session(model_bytes("nuclei-unet"), device="cuda", source="nuclei", graphs=graphs)
    runner = runner_of(session)
    image = random_feeds("nuclei-unet", 1, size=1024, seed=0)["image"]

    def grow() -> None:
        for n in (64, 128, 256, 512, 1024, 2048):
            runner.run({"image": np.broadcast_to(image, (n, *image.shape[1:]))})

    with pytest.raises(OutOfMemoryError, match="^nuclei: out of memory on cuda:0: use a smaller b"):
        grow()
    feeds = random_feeds("nuclei-unet", 4, size=256, seed=1)
    assert error(runner.run(feeds), on_cpu("nuclei-unet").run(feeds)) < TOLERANCE["fp32"]


def test_a_predictor_backs_off() -> None:
    predictor = seqtile.load("nuclei-unet", device="cuda")
    image = random_feeds("nuclei-unet", 1, size=1024, seed=0)["image"][0]
    whole = predictor.predict([image] * 1024, batch_size=1024)["mask"]
    one = predictor.predict([image], batch_size=1)["mask"][0]
    for mask in (whole[0], whole[511], whole[1023]):
        np.testing.assert_allclose(mask, one, atol=TOLERANCE["fp32"])
