"""What goes through a model, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Arrays", "Outputs", "Rows"]

Arrays: TypeAlias = Mapping[str, NDArray[Any]]
Outputs: TypeAlias = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Rows:
    """Items of one shape, known to be valid; any number of them.

    Attributes
    ----------
    items
        uint8, any strides: ASCII letters (n, L), or images (n, H, W) or (n, H, W, 3).
    extra
        Further inputs of the model by name, each of n rows.
    """

    items: NDArray[np.uint8]
    extra: Arrays = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, part: slice) -> Rows:
        return Rows(self.items[part], {name: values[part] for name, values in self.extra.items()})
