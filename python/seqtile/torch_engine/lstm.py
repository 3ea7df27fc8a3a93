"""The ONNX operator LSTM as `torch.nn.LSTM`."""

from __future__ import annotations

import operator as python

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from .node import Node, Value, operator

_DEFAULT = ["Sigmoid", "Tanh", "Tanh"]


def reversed_sequences(x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Reverse the first ``lengths[n]`` steps of ``x`` (time, batch, channels) for each ``n``."""
    steps = torch.arange(x.size(0), device=x.device)[:, None]
    places = torch.where(steps < lengths, lengths - 1 - steps, steps)
    return x.gather(0, places[:, :, None].expand(x.shape))


def packed(x: torch.Tensor, lengths: torch.Tensor) -> torch.nn.utils.rnn.PackedSequence:
    """Steps of ``x`` (time, batch, channels) that are within each sequence."""
    return pack_padded_sequence(x, lengths.cpu().long(), enforce_sorted=False)


def unpacked(y: torch.nn.utils.rnn.PackedSequence, x: torch.Tensor) -> torch.Tensor:
    """Steps of ``y`` in as many as ``x`` has, zeros beyond each sequence."""
    return pad_packed_sequence(y, total_length=x.size(0))[0]


def split_directions(y: torch.Tensor, directions: int) -> torch.Tensor:
    """(time, batch, directions × hidden) as ONNX has it: (time, directions, batch, hidden)."""
    return y.unflatten(2, (directions, -1)).transpose(1, 2)


def gates_of_torch(weights: torch.Tensor) -> torch.Tensor:
    """Reorder rows of an ONNX weight or bias, gates i o f c, to torch's, i f g o (g is c)."""
    i, o, f, c = weights.chunk(4)
    return torch.cat([i, f, c, o])


def _module(
    weights: torch.Tensor, recurrent: torch.Tensor, bias: torch.Tensor | None
) -> torch.nn.LSTM:
    """One layer with weights (directions, 4 × hidden, channels), in the order of ONNX."""
    directions, rows, channels = weights.shape
    module = torch.nn.LSTM(
        channels, rows // 4, bias=bias is not None, bidirectional=directions == 2
    )
    for direction, suffix in enumerate(["", "_reverse"][:directions]):
        parts = {"weight_ih": weights[direction], "weight_hh": recurrent[direction]}
        if bias is not None:
            parts["bias_ih"], parts["bias_hh"] = bias[direction].chunk(2)
        for name, part in parts.items():
            getattr(module, f"{name}_l0{suffix}").data.copy_(gates_of_torch(part))
    return module.requires_grad_(False)


@operator("LSTM")
def _lstm(
    node: Node,
    x: Value,
    weights: Value,
    recurrent: Value,
    bias: Value = None,
    lengths: Value = None,
    first_hidden: Value = None,
    first_cell: Value = None,
    peepholes: Value = None,
) -> Value:
    direction = node.expect("direction", "forward", "reverse", "bidirectional")
    directions = 2 if direction == "bidirectional" else 1
    node.expect("input_forget", 0)
    names = [_text(name) for name in node.attribute("activations", _DEFAULT * directions)]
    if names != _DEFAULT * directions:
        node.refuse(f"it does not know the activations {names}")
    if peepholes is not None:
        node.refuse("peepholes")
    batch_first = bool(node.expect("layout", 0, 1))
    module = _module(
        node.constant(weights, "the weights"),
        node.constant(recurrent, "the recurrent weights"),
        None if bias is None else node.constant(bias, "the biases"),
    )
    if node.attribute("hidden_size", module.hidden_size) != module.hidden_size:
        node.refuse("a hidden_size that is not that of the weights")
    state = node.state
    node.folding = False  # a module's call is recorded even if all its inputs are constant
    x = node.tensor(x)
    starts = [node.tensor(start) for start in (first_hidden, first_cell)]
    if batch_first:
        x = node.call(torch.transpose, x, 0, 1)
        starts = [s if s is None else node.call(torch.transpose, s, 0, 1) for s in starts]
    lengths = node.tensor(lengths)
    backwards = direction == "reverse"

    def turned(steps: Value) -> Value:
        if lengths is None:
            return node.call(torch.flip, steps, [0])
        return node.call(reversed_sequences, steps, lengths)

    steps = turned(x) if backwards else x
    feed = steps if lengths is None else node.call(packed, steps, lengths)
    if starts[0] is None and starts[1] is None:
        arguments: tuple[Value, ...] = (feed,)
    else:
        shape = (directions, node.call(torch.Tensor.size, x, 1), module.hidden_size)
        zeros = node.call(torch.Tensor.new_zeros, x, shape)
        arguments = (feed, tuple(zeros if start is None else start for start in starts))
    result = state.record("call_module", state.add(module, "lstm"), *arguments)
    y, (hidden, cell) = (
        node.call(python.getitem, result, 0),
        (node.call(python.getitem, node.call(python.getitem, result, 1), i) for i in range(2)),
    )
    if lengths is not None:
        y = node.call(unpacked, y, x)
    y = node.call(split_directions, turned(y) if backwards else y, directions)
    if batch_first:
        y = node.call(torch.permute, y, (2, 0, 1, 3))
        hidden, cell = (node.call(torch.transpose, end, 0, 1) for end in (hidden, cell))
    return y, hidden, cell


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name
