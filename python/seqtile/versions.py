"""Versions of what is installed, as pip knows them."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable

__all__ = ["installed", "version"]


def version(distribution: str) -> str | None:
    """Version of an installed distribution, None if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def installed(distributions: Iterable[str]) -> dict[str, str]:
    """Versions of those distributions that are installed, by name."""
    found = {name: version(name) for name in distributions}
    return {name: known for name, known in found.items() if known}
