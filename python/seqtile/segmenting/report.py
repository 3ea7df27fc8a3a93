"""What was found in an image."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["SegmentReport"]


@dataclass(frozen=True)
class SegmentReport:
    """What was found in one image.

    Attributes
    ----------
    image
        Its path.
    height, width
        In pixels.
    objects
        Number of objects.
    median_area
        Of the objects, in pixels; 0 without objects.
    covered
        Share of the image's pixels that are of an object.
    seconds
        Wall time since the image before.
    outputs
        Files written.
    output_sha256
        Of each output as it was written; empty for a pipe.
    sha256
        Of the image file.
    error
        What went wrong, empty if nothing; the other figures are 0 then.
    """

    image: str
    height: int = 0
    width: int = 0
    objects: int = 0
    median_area: float = 0.0
    covered: float = 0.0
    seconds: float = 0.0
    outputs: tuple[str, ...] = ()
    output_sha256: tuple[str, ...] = ()
    sha256: str = ""
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)
