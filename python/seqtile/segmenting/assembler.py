"""A model's answers for the tiles of an image, put together and labelled strip by strip."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..closing import Closing
from ..execution.limits import LIMITS, Limits
from ..images.stitching import Stitcher
from ..images.tiling import TilePlan
from ..models.contract import Segmentation
from .labelling import LabelMap, StripLabeller

__all__ = ["Assembler"]


class Assembler(Closing):
    """Takes the answers for the tiles of one image, and gives its labels.

    Belongs to the thread of the caller, who makes it when the image's first answers are there,
    adds those of all tiles in order, and finishes it. Holds the tiles and rows of one strip. The
    labels go out with `finish`; before, `close` removes its temporary files.

    Parameters
    ----------
    plan
        Where the tiles lie.
    settings
        Names of the outputs that are mask and marker, thresholds, reach and smallest area.
    keep
        Keep the model's answers for the whole image.
    threads
        That stitch and label; their number does not change the result.
    limits
        As for `StripLabeller`.

    Attributes
    ----------
    probabilities
        The model's outputs by name, float32, shape (H, W), where they are kept; else empty.
    """

    def __init__(
        self,
        plan: TilePlan,
        settings: Segmentation,
        *,
        keep: bool = False,
        threads: int = 1,
        limits: Limits = LIMITS,
    ) -> None:
        self.probabilities: dict[str, NDArray[np.float32]] = {}
        self._plan = plan
        self._settings = settings
        self._keep = keep
        self._threads = threads
        self._left = deque(strip.write for strip in plan.strips())
        self._highest = max(stop - begin for begin, stop in self._left)
        self._taken = 0  # tiles of the strip
        self._tiles: dict[str, NDArray[np.float32]] = {}
        self._rows: dict[str, NDArray[np.float32]] = {}
        self._stitchers: dict[str, Stitcher] = {}
        self._labeller = StripLabeller(plan.shape[1], settings, threads=threads, limits=limits)

    @property
    def is_whole(self) -> bool:
        """Whether the answers for all tiles are there."""
        return not self._left

    def add(self, answers: Mapping[str, NDArray[np.float32]]) -> None:
        """Take the answers for the next tiles, all of one strip.

        Parameters
        ----------
        answers
            By the output's name, float32, shape (n, th, tw).

        Raises
        ------
        ShapeError
            Answers of another shape.
        OutputError
            The temporary file of labels cannot be written.
        """
        first = self._taken
        for name, tiles in answers.items():
            if name not in self._stitchers:
                self._begin(name, tiles)
            self._taken = first + len(tiles)
            self._tiles[name][first : self._taken] = tiles
        if self._taken == self._plan.grid[1]:
            self._finish_strip()

    def _begin(self, name: str, tiles: NDArray[np.float32]) -> None:
        """Make room for an output: the tiles of a strip, and its rows or those of the image."""
        height, width = self._plan.shape
        self._stitchers[name] = Stitcher(self._plan, threads=self._threads)
        self._tiles[name] = np.empty((self._plan.grid[1], *tiles.shape[1:]), np.float32)
        rows = np.empty((height if self._keep else self._highest, width), np.float32)
        self._rows[name] = rows
        if self._keep:
            self.probabilities[name] = rows

    def _finish_strip(self) -> None:
        begin, stop = self._left.popleft()
        place = slice(begin, stop) if self._keep else slice(stop - begin)
        stitched = {
            name: stitcher.add(self._tiles[name], out=self._rows[name][place])
            for name, stitcher in self._stitchers.items()
        }
        marker = self._settings.marker
        self._labeller.add(stitched[self._settings.mask], stitched[marker] if marker else None)
        self._taken = 0

    def finish(self) -> LabelMap:
        """The labels of the image, which become the caller's to close.

        Raises
        ------
        OutputError
            The temporary file of labels cannot be written.
        """
        return self._labeller.finish()

    def close(self) -> None:
        """Remove the temporary files, and with them the labels."""
        self._labeller.close()
