"""Cards of before the contract: everything in one ``card.json``, and what a thing is in its name.

Shipped models had such a card until version 1.0.0; `upgraded` is the one place that knows it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

__all__ = ["METADATA_KEY", "implied", "upgraded"]

METADATA_KEY = "seqtile.card"
_POLICIES = ("zero", "uniform", "raise")


def implied(content: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Each tensor of a card, and the kind that its name, its place and the task give it."""
    rule = content.get("segmentation") or {}
    masks = {rule.get("mask", "mask"), rule.get("marker")} if rule else set()
    for i, tensor in enumerate(content.get("inputs", ())):
        first = "image" if tensor.get("name") == "image" else "letters"
        yield tensor, "number" if i else first
    for i, tensor in enumerate(content.get("outputs", ())):
        if tensor.get("name") == "embedding":
            kind = "embedding"
        elif tensor.get("name") in masks:
            kind = "mask"
        elif tensor.get("alphabet"):
            kind = "letters"
        else:
            kind = "score" if i or content.get("task") != "classification" else "classes"
        yield tensor, kind


def upgraded(content: Any) -> Any:
    """An old card's JSON types as a `ModelCard` has them; what is malformed stays as it is."""
    try:
        made = copy.deepcopy(content)
        for tensor, kind in implied(made):
            tensor.setdefault("kind", kind)
        for tensor in made.get("inputs", ()):
            _drop(tensor, "labels")
            if tensor["kind"] == "letters":
                tensor["alphabet"] = tensor.get("alphabet") or "dna"
                if tensor.get("unknown") not in _POLICIES:
                    tensor["unknown"] = "zero"
        for tensor in made.get("outputs", ()):
            _drop(tensor, "unknown", "min_length", "length_multiple")
        made.setdefault("training_window", made.get("training", {}).get("window", 0))
        return made
    except (AttributeError, TypeError):
        return content


def _drop(tensor: dict[str, Any], *names: str) -> None:
    """Remove fields that every old tensor has and that say nothing of this one."""
    for name in names:
        tensor.pop(name, None)
