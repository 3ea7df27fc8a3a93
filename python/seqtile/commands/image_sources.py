"""The images that a command is given."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from .printing import print_lines

__all__ = ["images_of"]


def images_of(sources: Sequence[str]) -> list[Path]:
    """The images that files, folders and patterns name; says which files are passed over.

    A shell makes a pattern to names. So where there are several images, outputs of ``seqtile
    segment`` are left out although they are named.

    Raises
    ------
    ImageError
        A source that names no file, or a folder without images.
    """
    from ..images.finding import find_images, outputs_in

    images = find_images(sources, passed_over=_say)
    if len(images) > 1:
        outputs = {folder: outputs_in(folder) for folder in {image.parent for image in images}}
        others = [image for image in images if image.name not in outputs[image.parent]]
        if others and len(others) < len(images):
            left = len(images) - len(others)
            _say(f"passed over {left:,} outputs of seqtile segment among the images")
            images = others
    return images


def _say(line: str) -> None:
    print_lines(f"seqtile: {line}", file=sys.stderr)
