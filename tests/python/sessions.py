"""Sessions that are watched, on a device that has the memory for so much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from seqtile.errors import OutOfMemoryError
from seqtile.execution.session import Session


def batch_sizes(monkeypatch: pytest.MonkeyPatch, most: float = float("inf")) -> list[int]:
    """Rows of every call of a session from now on; with more than ``most`` it fails."""
    sizes: list[int] = []
    run = Session.run

    def watched(
        session: Session, feeds: Mapping[str, Any], outputs: Sequence[str] | None = None, **how: Any
    ) -> Any:
        sizes.append(len(next(iter(feeds.values()))))
        if sizes[-1] > most:
            raise OutOfMemoryError(f"{session.source}: out of memory")
        return run(session, feeds, outputs, **how)

    monkeypatch.setattr(Session, "run", watched)
    return sizes
