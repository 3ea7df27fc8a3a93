"""Which buckets batches fall into: few shapes, whatever the sizes of the batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...errors import ProviderError

__all__ = ["Axes", "Bucketing", "Key", "Shape"]

Shape: TypeAlias = tuple[int, ...]
# Name to type and shape, as onnxruntime tells them.
Axes: TypeAlias = Mapping[str, tuple[str, Sequence[int | str | None]]]
# Rows of the bucket, shape of each input there, names of the outputs.
Key: TypeAlias = tuple[int, tuple[tuple[str, Shape], ...], tuple[str, ...]]

_DTYPES = {
    "tensor(bool)": np.dtype(np.bool_),
    "tensor(double)": np.dtype(np.float64),
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(int16)": np.dtype(np.int16),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(int8)": np.dtype(np.int8),
    "tensor(uint16)": np.dtype(np.uint16),
    "tensor(uint32)": np.dtype(np.uint32),
    "tensor(uint64)": np.dtype(np.uint64),
    "tensor(uint8)": np.dtype(np.uint8),
}


class Bucketing:
    """Buckets of one model, for one stream of batches.

    A bucket has the next power of two of rows, but no more than the largest batch so far; other
    axes are as they come. Only a model whose batch axis has a name, in the inputs and in the
    outputs wanted, is rounded up at all.

    Parameters
    ----------
    inputs, outputs
        Of the model.
    source
        Name of the model, for errors.

    Attributes
    ----------
    largest
        Rows of the largest batch that went through; kept by the caller.

    Raises
    ------
    ProviderError
        An input or output that is no tensor of numbers.
    """

    def __init__(self, inputs: Axes, outputs: Axes, source: str) -> None:
        for name, (type_name, _) in (*inputs.items(), *outputs.items()):
            if type_name not in _DTYPES:
                raise ProviderError(
                    f"{source}: {name!r} is a {type_name}, and only tensors of numbers can stay on "
                    "the device: use device='cpu'"
                )
        self.inputs = inputs
        self.outputs = outputs
        self.source = source
        self.largest = 0
        firsts = [shape[0] for _, shape in inputs.values() if shape]
        self._batch = next((first for first in firsts if isinstance(first, str)), None)

    def dtype(self, name: str) -> np.dtype[Any]:
        """Dtype of an input or output."""
        return _DTYPES[(self.inputs.get(name) or self.outputs[name])[0]]

    def batched(self, name: str) -> bool:
        """Whether the first axis of an input or output is that of the batch."""
        axes = (self.inputs.get(name) or self.outputs[name])[1]
        return self._batch is not None and bool(axes) and axes[0] == self._batch

    def key(self, feeds: Mapping[str, NDArray[Any]], names: tuple[str, ...]) -> tuple[int, Key]:
        """Rows of the batch (0 where the model names no batch axis), and its bucket.

        Raises
        ------
        ProviderError
            Inputs or outputs that the model lacks, a dtype or rank that it does not take, inputs
            whose shapes contradict each other.
        """
        if set(feeds) != set(self.inputs):
            raise ProviderError(
                f"{self.source}: takes the inputs {list(self.inputs)}, not {list(feeds)}"
            )
        if unknown := [name for name in names if name not in self.outputs]:
            raise ProviderError(
                f"{self.source}: has the outputs {list(self.outputs)}, not {unknown}"
            )
        for name, (type_name, axes) in self.inputs.items():
            feed = feeds[name]
            if feed.dtype != _DTYPES[type_name]:
                raise ProviderError(
                    f"{self.source}: input {name!r} takes a {type_name}, not {feed.dtype}"
                )
            if feed.ndim != len(axes):
                raise ProviderError(
                    f"{self.source}: input {name!r} takes the axes {list(axes)}, "
                    f"not shape {feed.shape}"
                )
        shapes = {name: feeds[name].shape for name in self.inputs}
        rows = bucket = self._sizes(shapes).get(self._batch or "", 0)
        if rows and all(map(self.batched, names)):
            bucket = min(1 << (rows - 1).bit_length(), max(self.largest, rows))
        there = tuple(
            (name, (bucket, *shape[1:]) if self.batched(name) else shape)
            for name, shape in shapes.items()
        )
        return rows, (bucket, there, names)

    def sizes(self, key: Key) -> dict[str, int]:
        """Sizes of the axes that the model names."""
        return self._sizes(dict(key[1]))

    def output_shape(self, key: Key, name: str) -> Shape | None:
        """Shape of an output, where the names of its axes tell it."""
        sizes = self.sizes(key)
        shape = [
            sizes.get(axis) if isinstance(axis, str) else axis for axis in self.outputs[name][1]
        ]
        known = tuple(size for size in shape if size is not None)
        return known if len(known) == len(shape) else None

    def _sizes(self, shapes: Mapping[str, Shape]) -> dict[str, int]:
        found: dict[str, int] = {}
        for name, shape in shapes.items():
            for axis, size in zip(self.inputs[name][1], shape, strict=True):
                if isinstance(axis, str) and found.setdefault(axis, size) != size:
                    raise ProviderError(
                        f"{self.source}: input {name!r} has shape {shape}, but {axis!r} is "
                        f"{found[axis]} in another input"
                    )
        return found
