"""Make ``torch.export`` programs of shipped models, for ``seqtile bench --engine torch``.

    python -m training.export.program [NAME ...] [-o build/programs]

The weights are those of ``model.onnx``, put back into the network that was trained. A program that
does not give the model's golden outputs within the card's tolerance, or not what onnxruntime gives
in other batches and sizes, is not written. It takes any batch, and any size from half the usual on
that the model takes; one with an LSTM takes the usual length alone.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from seqtile.errors import SeqtileError
from seqtile.execution.session import Session
from seqtile.models import parity
from seqtile.models.card import ModelCard
from seqtile.models.loading import model_bytes, read_golden
from seqtile.models.zoo import list_models, model_folder, read_card

from ..lab.letters import LetterTable
from .export import convert, sample
from .shipped import NETWORKS

__all__ = ["ProgramError", "make", "restore"]

Arrays = Mapping[str, NDArray[Any]]
_FIRST = 1 << 22  # of the numbers that stand for weights: no constant of a network is as large
_LAST = 1 << 24  # float32 holds every whole number up to it


class ProgramError(SeqtileError, ValueError):
    """A network that is not the exported model's; nothing was written."""


def make(name: str) -> torch.export.ExportedProgram:
    """The program of a shipped model: its inputs in order, all its outputs as a tuple.

    Raises
    ------
    ProgramError
        The network, restored, does not answer as the model does; says where.
    """
    folder = model_folder(name)
    card, golden = read_card(folder), read_golden(folder / "golden.npz")
    model = model_bytes(folder, card)
    network = NETWORKS[name]().eval()
    restore(network, card, golden, onnx.load_model_from_string(model))
    inputs = tuple(sample(tensor, golden[tensor.name]) for tensor in card.inputs)
    free = [[i for i, axis in enumerate(t.shape) if isinstance(axis, str)] for t in card.inputs]
    cases, first, usual = parity.cases(card, golden), card.inputs[0].name, inputs[0].shape[1:]
    if any(isinstance(module, nn.LSTM) for module in network.modules()):
        # torch.export fixes the steps of an LSTM: of any batch, but of the golden length alone.
        free = [[0]] * len(inputs)
        cases = [case for case in cases if case[first].shape[1:] == usual]
    # The least sizes it refuses: it takes sizes of 0 and 1 for special, wherever they arise.
    cases = [case for case in cases if all(np.array(case[first].shape[1:]) >= np.array(usual) // 2)]
    auto = tuple(dict.fromkeys(axes, torch.export.Dim.AUTO) for axes in free)
    program = torch.export.export(network, inputs, dynamic_shapes=auto)
    _prove(program.module(check_guards=False), card, model, [golden, *cases])
    return program


def restore(network: nn.Module, card: ModelCard, examples: Arrays, model: onnx.ModelProto) -> None:
    """Put an exported model's weights into a network of its architecture.

    The network's values are numbered, and it is exported: where a number comes to stand in that
    graph, its value stands in the model, whatever the exporter transposed, cut or joined. Norms
    that the exporter folded into the layer before them are taken out first.

    Raises
    ------
    ProgramError
        The graph is another one, or lacks a part of a tensor.
    """
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    _fold(network, held, tuple(sample(t, examples[t.name]) for t in card.inputs))
    places = _number(network)
    numbered = onnx.load_model_from_string(convert(network, card, examples)).graph
    size = max((place.stop for place in places.values()), default=_FIRST) - _FIRST
    values, known = np.zeros(size, np.float32), np.zeros(size, bool)
    for numbers, found in _pairs(numbered, model.graph, held):
        index = numbers.astype(np.int64) - _FIRST
        those = (index >= 0) & (index < size)
        values[index[those]], known[index[those]] = found[those], True
    with torch.no_grad():
        for key, tensor in network.state_dict(keep_vars=True).items():
            if key in places:
                place = slice(places[key].start - _FIRST, places[key].stop - _FIRST)
                if known[place].any() and not known[place].all():
                    raise ProgramError(f"the file holds only a part of {key}")
                tensor.copy_(torch.from_numpy(values[place]).reshape(tensor.shape))


def _fold(network: nn.Module, held: Mapping[str, object], inputs: tuple[Tensor, ...]) -> None:
    """Replace each norm that the file does not hold by a bias of the layer that feeds it."""
    norms = {
        module: name
        for name, module in network.named_modules()
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
        and f"{name}.running_mean" not in held
    }
    made: dict[int, tuple[Tensor, nn.Module]] = {}  # each result, by identity, with its layer
    feeds: dict[nn.Module, nn.Module] = {}

    def keep(module: nn.Module, _: object, result: Tensor) -> None:
        made[id(result)] = result, module

    def look(norm: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        if id(arguments[0]) in made:
            feeds[norm] = made[id(arguments[0])][1]

    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(keep) for layer in layers]
    hooks += [norm.register_forward_pre_hook(look) for norm in norms]
    with torch.no_grad():
        network(*inputs)
    for hook in hooks:
        hook.remove()
    for norm, layer in feeds.items():
        layer.bias = nn.Parameter(torch.zeros(layer.weight.shape[0]))
        network.set_submodule(norms[norm], nn.Identity())


def _number(network: nn.Module) -> dict[str, range]:
    """Set each value to a number of its own; the numbers of each tensor. Tables of letters stay."""
    tables = {name for name, module in network.named_modules() if isinstance(module, LetterTable)}
    places, begin = {}, _FIRST
    for key, tensor in network.state_dict().items():
        if tensor.is_floating_point() and key.rpartition(".")[0] not in tables:
            places[key] = range(begin, begin + tensor.numel())
            tensor.copy_(torch.arange(begin, places[key].stop).reshape(tensor.shape))
            begin = places[key].stop
    if begin > _LAST:
        raise ProgramError(f"{begin - _FIRST:,} weights, expected at most {_LAST - _FIRST:,}")
    return places


def _pairs(
    numbered: onnx.GraphProto,
    graph: onnx.GraphProto,
    held: Mapping[str, NDArray[Any]],
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """The float tables of both graphs that stand at the same input of the same node."""
    own = {tensor.name: numpy_helper.to_array(tensor) for tensor in numbered.initializer}
    if [node.op_type for node in numbered.node] != [node.op_type for node in graph.node]:
        raise ProgramError(
            f"torch {torch.__version__} exports the network as another graph than the "
            "file's: take the versions of .ci/constraints.txt"
        )
    for one, other in zip(numbered.node, graph.node, strict=True):
        for key, there in zip(one.input, other.input, strict=True):
            if key in own and own[key].dtype == np.float32:
                if there not in held or held[there].shape != own[key].shape:
                    raise ProgramError(f"{there} is not of the shape {own[key].shape}")
                yield own[key], held[there]


def _prove(run: Callable[..., Any], card: ModelCard, model: bytes, cases: Sequence[Arrays]) -> None:
    """Compare the program with the outputs that a case holds, or with onnxruntime's."""
    names = [tensor.name for tensor in card.outputs]
    session = Session(model, source=card.name)
    for case in cases:
        feeds = {tensor.name: case[tensor.name] for tensor in card.inputs}
        expected = [case[n] for n in names] if names[0] in case else session.run(feeds, names)
        tensors = [torch.from_numpy(np.ascontiguousarray(array)) for array in feeds.values()]
        with torch.inference_mode():
            answers = run(*tensors)
        for name, wanted, found in zip(names, expected, answers, strict=True):
            largest, _ = parity.difference(wanted, found.numpy())
            if not largest <= card.tolerance:
                raise ProgramError(
                    f"{name} of inputs {[t.shape for t in tensors]} is off by "
                    f"{largest:.2g}, more than {card.tolerance:g}"
                )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the programs of the models named, a line for each; 1 if one cannot be made."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: every shipped model")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/programs"))
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - NETWORKS.keys():
        parser.error(f"no shipped model {', '.join(sorted(unknown))}: {', '.join(NETWORKS)}")
    options.output.mkdir(parents=True, exist_ok=True)
    status = 0
    for name in options.names or list_models():
        path = options.output / f"{name}.pt2"
        try:
            with warnings.catch_warnings():  # torch's own code, of which it disapproves
                warnings.simplefilter("ignore")
                torch.export.save(make(name), path)
        except Exception as error:  # torch's own errors share no base but Exception
            print(f"program: error: {name}: {error}", file=sys.stderr)
            status = 1
        else:
            print(path)
    return status


if __name__ == "__main__":
    sys.exit(main())
