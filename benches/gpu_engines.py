"""The same weights otherwise: letters made one-hot on the host, and torch, plain and compiled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import seqtile
from benches.gpu_inputs import rate, shuffled
from benches.gpu_report import Context, Section, in_time, item
from benches.gpu_speed import answers, session, sizes
from seqtile.execution.cuda.binding import BoundRunner
from seqtile.execution.profile import Profile
from seqtile.execution.session import Session
from seqtile.models.loading import model_bytes
from seqtile.models.zoo import model_folder

ONE_HOT_MODELS = ("jund-cnn-seq", "liver-enhancer-cnn", "rbp-cnn")
PROGRAMS = Path(__file__).resolve().parents[1] / "build" / "programs"
TORCH_MODELS = (
    "jund-cnn-seq",
    "liver-enhancer-cnn",
    "dna-binding-bilstm",
    "bloodmnist-best",
    "nuclei-unet",
)


def cut_after_gather(model: bytes) -> tuple[bytes, Any]:
    """The model without its table of letters: it takes what the table would give.

    Returns
    -------
    bytes of the new model, whose input ``one_hot`` is float32 (batch, length, channels) in the
    place of ``sequence``; and the table, float32 (256, channels).

    Raises
    ------
    ValueError
        No Gather of a table of 256 rows by the letters.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    proto = onnx.load_model_from_string(model)
    graph = proto.graph
    tables = {t.name: t for t in graph.initializer if len(t.dims) == 2 and t.dims[0] == 256}
    gathers = [n for n in graph.node if n.op_type == "Gather" and n.input[0] in tables]
    if len(gathers) != 1:
        raise ValueError(f"expected one Gather of a table of 256 rows, found {len(gathers)}")
    (gather,) = gathers
    table = numpy_helper.to_array(tables[gather.input[0]])
    letters = graph.input[0]
    axes = [axis.dim_param or axis.dim_value for axis in letters.type.tensor_type.shape.dim]
    for node in graph.node:
        node.input[:] = ["one_hot" if name == gather.output[0] else name for name in node.input]
    graph.node.remove(gather)
    _drop_unused(graph)
    if letters.name in {name for node in graph.node for name in node.input}:
        raise ValueError("the letters are used beside the table")
    graph.input.remove(letters)
    graph.input.insert(
        0,
        helper.make_tensor_value_info("one_hot", TensorProto.FLOAT, [*axes, table.shape[1]]),
    )
    del graph.value_info[:]
    onnx.checker.check_model(proto)
    return proto.SerializeToString(), table


def _drop_unused(graph: Any) -> None:
    """Remove nodes and tables that nothing takes any more."""
    while True:
        used = {name for node in graph.node for name in node.input}
        used |= {output.name for output in graph.output}
        unused = [node for node in graph.node if not used & set(node.output)]
        for node in unused:
            graph.node.remove(node)
        if not unused:
            break
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def one_hot(context: Context, section: Section) -> None:
    """In-graph against host: a batch of letters in memory to answers in memory."""
    section.head = (
        "model",
        "batch",
        "in the graph, items/s",
        "made on the host, items/s",
        "in-graph over host",
        "host's time: one-hot, h2d, compute, d2h",
        "bytes to the device",
    )
    for name in [name for name in ONE_HOT_MODELS if name in context.models]:
        if in_time(context, section, name):
            for size in sizes(context, name)[-2:]:
                with item(section, f"{name}, batch {size}"):
                    section.rows.append(_one_hot_one(context, name, size))


def _one_hot_one(context: Context, name: str, size: int) -> tuple[object, ...]:
    card, names = seqtile.card(name), answers(name)
    cut, table = cut_after_gather(model_bytes(model_folder(name), card))
    inside = BoundRunner(session(context, name, "fp32"))
    outside = BoundRunner(Session(cut, device=context.device, source=f"{name}, without its table"))
    letters = shuffled(name, size)[card.inputs[0].name]
    out = np.empty((*letters.shape, table.shape[1]), np.float32)
    profile = Profile()

    def graph() -> Any:
        return inside.run({card.inputs[0].name: letters}, names)[0]

    def host(profile: Profile | None = None) -> Any:
        with (profile or Profile()).stage("one-hot"):
            seqtile.one_hot(letters, layout="NLC", alphabet=card.inputs[0].alphabet, out=out)
        return outside.run({"one_hot": out}, names, profile=profile)[0]

    np.testing.assert_allclose(graph(), host(), atol=1e-4)
    np.testing.assert_array_equal(out, table[letters])
    fast, slow = rate(graph, size, rounds=9), rate(host, size, rounds=9)
    host(profile)
    total = sum(profile.seconds.values())
    stages = ("one-hot", "h2d", "compute", "d2h")
    shares = ", ".join(f"{profile.seconds.get(stage, 0.0) / total:.0%}" for stage in stages)
    inside.close()
    outside.close()
    ratio = f"{letters.nbytes:,} and {out.nbytes:,}"
    return name, size, fast, slow, fast / slow, shares, ratio


def beside_torch(context: Context, section: Section) -> None:
    """Arrays in, arrays out, of the same weights: onnxruntime, torch, torch.compile."""
    section.head = (
        "model",
        "batch",
        "onnxruntime, items/s",
        "torch, items/s",
        "torch.compile, items/s",
        "over torch",
        "over torch.compile",
    )
    for name in [name for name in TORCH_MODELS if name in context.models]:
        if in_time(context, section, name):
            with item(section, name):
                _torch_one(context, section, name)


def _torch_one(context: Context, section: Section, name: str) -> None:
    from seqtile.bench.torch_program import TorchProgram

    path = PROGRAMS / f"{name}.pt2"
    if not path.exists():
        section.left_out.append(f"{name}: no {path}: python -m training.export.program {name}")
        return
    size = sizes(context, name)[-1]
    feeds = shuffled(name, size)
    bound = BoundRunner(session(context, name, "fp32"))
    expected = bound.run(feeds)
    ours = rate(lambda: bound.run(feeds), size)
    bound.close()
    speeds: list[float | None] = []
    for how, compiled in (("torch", False), ("torch.compile", True)):
        what, speed = f"{name}, {how}", None
        if compiled and context.quick:
            section.left_out.append(f"{what}: --quick")
        elif in_time(context, section, what):
            with item(section, what):
                program = TorchProgram(path, device=context.device, compile=compiled)
                speed = _checked(program, feeds, expected, size)
        speeds.append(speed)
    over = [speed and ours / speed for speed in speeds]
    section.rows.append((name, size, ours, *speeds, *over))


def _checked(
    program: Callable[..., list[Any]], feeds: dict[str, Any], expected: list[Any], size: int
) -> float:
    for found, wanted in zip(program(*feeds.values()), expected, strict=True):
        scale = max(1.0, float(np.abs(wanted).max(initial=0)))
        np.testing.assert_allclose(found, wanted, atol=1e-3 * scale)
    return rate(lambda: program(*feeds.values()), size)
