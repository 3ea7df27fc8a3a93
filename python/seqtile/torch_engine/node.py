"""One node of an ONNX graph on its way to torch (see `torch_graph`); the table of operators.

A value of the graph is one of:

- ``torch.Tensor``: a constant; a node all of whose inputs are constants is computed at once;
- ``torch.fx.Proxy``: a tensor known at run time;
- `Sizes`: what Shape and arithmetic on it give, as Python integers (so that no graph breaks);
- ``None``: an optional input left out.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeAlias

import onnx
import torch
from torch import fx

from ..errors import UnsupportedOperatorError

__all__ = ["OPERATORS", "GraphState", "Node", "Sizes", "Value", "as_sizes", "operator"]

Value: TypeAlias = Any

UNSIGNED = {onnx.TensorProto.UINT8, onnx.TensorProto.UINT16, onnx.TensorProto.UINT32}
FLOATS = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE}
# Operators whose answer is made of their first input's values.
KEEPS_VALUES = {"Cast", "Expand", "Reshape", "Unsqueeze", "Squeeze", "Transpose", "Identity"}


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Integers on the host: Python ints, or proxies of them; of rank 0 if ``scalar``, else 1."""

    items: tuple[Any, ...]
    scalar: bool = False


def as_sizes(value: Value) -> Sizes | None:
    """A value as sizes: those it is, or a short constant of integers."""
    if isinstance(value, Sizes):
        return value
    integral = isinstance(value, torch.Tensor) and value.dtype in (torch.int64, torch.int32)
    if not integral or value.ndim > 1 or value.numel() > 16:
        return None
    return Sizes(tuple(int(item) for item in value.reshape(-1).tolist()), value.ndim == 0)


@dataclasses.dataclass
class GraphState:
    """What all nodes share while the torch graph is built."""

    model: onnx.GraphProto
    source: str
    kinds: Mapping[str, tuple[int, int | None]]  # element type and rank of each value
    float_dtype: torch.dtype
    device: str
    root: torch.nn.Module = dataclasses.field(default_factory=torch.nn.Module)
    graph: fx.Graph = dataclasses.field(default_factory=fx.Graph)
    values: dict[str, Value] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tracer = fx.proxy.GraphAppendingTracer(self.graph)
        self.producers = {name: node for node in self.model.node for name in node.output}
        self.consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.model.node:
            for name in node.input:
                self.consumers.setdefault(name, []).append(node)
        self.outputs = {output.name for output in self.model.output}
        self._attributes: dict[int, str] = {}
        self._names: dict[int, str] = {}

    def name_constant(self, name: str, tensor: torch.Tensor) -> None:
        """Remember what a constant is called, so that the module's parameter is called alike."""
        self._names[id(tensor)] = name

    def record(self, kind: str, target: Any, *args: Any, **options: Any) -> fx.Proxy:
        """Append an operation to the torch graph."""
        return self.tracer.create_proxy(kind, target, args, options)

    def add(self, item: torch.Tensor | torch.nn.Module, name: str) -> str:
        """Register a weight, a buffer or a module; its name in the module."""
        name = re.sub(r"\W", "_", name)
        name = f"_{name}" if not name or name[0].isdigit() else name
        taken, number = name, 1
        while hasattr(self.root, taken):
            number += 1
            taken = f"{name}_{number}"
        if isinstance(item, torch.nn.Module):
            self.root.add_module(taken, item)
        elif item.is_floating_point():
            self.root.register_parameter(taken, torch.nn.Parameter(item, requires_grad=False))
        else:
            self.root.register_buffer(taken, item)
        return taken

    def live(self, constant: torch.Tensor) -> fx.Proxy:
        """A constant as a parameter or buffer of the module."""
        if id(constant) not in self._attributes:
            name = self._names.get(id(constant), "constant")
            self._attributes[id(constant)] = self.add(constant, name)
            self._names[id(constant)] = name
            self.values[f"\0{len(self._attributes)}"] = constant  # alive, so that ids stay unique
        return self.record("get_attr", self._attributes[id(constant)])

    def nonnegative(self, name: str) -> bool:
        """Whether a value's numbers are proven to be at least 0, so that no index wraps."""
        if self.kinds.get(name, (0, None))[0] in UNSIGNED:
            return True
        node = self.producers.get(name)
        if node is None:
            return False
        if node.op_type == "Clip":
            low = self.values.get(node.input[1]) if len(node.input) > 1 else None
            return isinstance(low, torch.Tensor) and bool(low >= 0)
        return node.op_type in KEEPS_VALUES and self.nonnegative(node.input[0])


class Node:
    """One ONNX node: its attributes, its inputs in the form an operator needs, its errors."""

    def __init__(self, state: GraphState, proto: onnx.NodeProto) -> None:
        self.state = state
        self.proto = proto
        self.op = proto.op_type
        self.inputs = [state.values[name] if name else None for name in proto.input]
        self.outputs = [name for name in proto.output if name]
        given = [value for value in self.inputs if value is not None]
        self.folding = all(isinstance(value, torch.Tensor) for value in given)
        self._attributes = {
            attribute.name: onnx.helper.get_attribute_value(attribute)
            for attribute in proto.attribute
        }

    def refuse(self, why: str) -> NoReturn:
        """Raise `UnsupportedOperatorError` that names this node."""
        name = self.proto.name or (self.outputs[0] if self.outputs else "")
        raise UnsupportedOperatorError(self.state.source, self.op, name, why)

    def translate(self) -> list[Value]:
        """The node's outputs."""
        handler = OPERATORS.get(self.op) if self.proto.domain in ("", "ai.onnx") else None
        if handler is None:
            domain = f" of domain {self.proto.domain!r}" if self.proto.domain else ""
            self.refuse(f"the operator{domain} is unknown to it")
        try:
            bound = inspect.signature(handler).bind(self, *self.inputs)
        except TypeError:
            self.refuse(f"it does not know the operator with {len(self.inputs)} inputs")
        result = handler(*bound.args)
        results = list(result) if isinstance(result, tuple) else [result]
        if self._attributes:
            name, value = next(iter(self._attributes.items()))
            self.refuse(f"it does not know the attribute {name}={_shown(value)}")
        if len(self.proto.output) > len(results) and any(self.proto.output[len(results) :]):
            self.refuse(f"it does not know the output {len(results) + 1}")
        return results

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute, bytes as text; each must be asked for, one left over is refused."""
        value = self._attributes.pop(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def expect(self, name: str, *allowed: Any) -> Any:
        """An attribute that must be one of some values, the first of them the default."""
        value = self.attribute(name, allowed[0])
        if value not in allowed:
            choice = " or ".join(repr(one) for one in allowed)
            self.refuse(f"it knows {name}={choice} only, not {_shown(value)}")
        return value

    def rank(self, index: int = 0) -> int:
        """Number of axes of an input."""
        value = self.inputs[index]
        if isinstance(value, torch.Tensor):
            return int(value.ndim)
        if isinstance(value, Sizes):
            return 0 if value.scalar else 1
        rank = self.state.kinds.get(self.proto.input[index], (0, None))[1]
        if rank is None:
            self.refuse(f"the rank of its input {self.proto.input[index]!r} is not known")
        return rank

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from 0."""
        if not -rank <= axis < rank:
            self.refuse(f"axis {axis} of an input of rank {rank}")
        return axis % rank

    def element_type(self, index: int = 0) -> int:
        """ONNX element type of an input, 0 if not known."""
        return self.state.kinds.get(self.proto.input[index], (0, None))[0]

    def integers(self) -> bool:
        """Whether the node computes on integers."""
        kind = self.element_type()
        if kind == 0:
            self.refuse(f"the element type of its input {self.proto.input[0]!r} is not known")
        return kind not in FLOATS

    def constant(self, value: Value, what: str) -> torch.Tensor:
        """An input that must be a constant."""
        if not isinstance(value, torch.Tensor):
            self.refuse(f"it needs {what} to be constant")
        return value

    def ints(self, value: Value, what: str) -> list[int]:
        """A constant input of integers, as a list."""
        if isinstance(value, Sizes) and all(isinstance(item, int) for item in value.items):
            return list(value.items)
        return [int(item) for item in self.constant(value, what).reshape(-1).tolist()]

    def sizes(self, value: Value, what: str) -> list[Any]:
        """An input of integers as a list of ints or proxies of ints."""
        if isinstance(value, Sizes):
            return list(value.items)
        return self.ints(value, what)

    def tensor(self, value: Value) -> Any:
        """An input as a tensor that torch functions take."""
        if isinstance(value, Sizes):
            options = {"dtype": torch.int64, "device": self.state.device}
            each = [self.call(torch.full, (), item, **options) for item in value.items]
            return each[0] if value.scalar else self.call(torch.stack, each)
        if isinstance(value, torch.Tensor) and not self.folding:
            return self.state.live(value)
        return value

    def operand(self, value: Value) -> Any:
        """An input as a tensor, or as a Python number if it is a constant of rank 0."""
        if isinstance(value, torch.Tensor) and not self.folding and value.ndim == 0:
            return value.item()
        return self.tensor(value)

    def call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call a function now, if all is constant, or record the call."""
        if self.folding:
            return function(*args, **options)
        return self.state.record("call_function", function, *args, **options)


Handler: TypeAlias = Callable[..., Value]
OPERATORS: dict[str, Handler] = {}


def operator(*names: str) -> Callable[[Handler], Handler]:
    """Enter a function of a `Node` and its inputs into the table of operators."""

    def enter(handler: Handler) -> Handler:
        OPERATORS.update(dict.fromkeys(names, handler))
        return handler

    return enter


def _shown(value: Any) -> str:
    return repr(value.decode() if isinstance(value, bytes) else value)[:60]
