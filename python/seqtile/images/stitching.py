"""Tiles of an image, or what a network made of each, put together: whole or strip by strip.

Where tiles lie is said in `tiling`. Channels, where tiles have any, are the last axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from ..errors import ShapeError
from .tiling import RAMPS, Blend, TilePlan, Tiles, check_dtype, check_threads, option, output

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Stitcher", "stitch"]


def stitch(
    tiles: NDArray[Any] | Tiles,
    plan: TilePlan | Tiles | None = None,
    *,
    blend: Blend | None = None,
    out: NDArray[Any] | None = None,
    threads: int = 1,
) -> NDArray[Any]:
    """Put tiles, or what a network made of each, together to an image.

    Parameters
    ----------
    tiles
        `Tiles`, or an array of shape (n, th, tw) or (n, th, tw, K), in the plan's order: dtype and
        number of channels need not be those of the image. Channels are last.
    plan
        Where the tiles lie: the plan, or the `Tiles` that the network was given. Not needed if
        ``tiles`` says it.
    blend
        None: each pixel comes from the tile that answers for it. ``"linear"``, ``"hann"``: it is
        the mean of all tiles that read it, with weights that fall over the overlap in a straight
        line or as half a cosine; float32 only.
    out
        Array to write to and return: C-contiguous, of the result's shape and dtype.
    threads
        Threads that share the rows of the image; their number does not change the result.

    Returns
    -------
    array of shape (H, W) or (H, W, K), of the tiles' dtype.

    Raises
    ------
    ShapeError
        Tiles or ``out`` of another shape, dtype or memory order.

    Examples
    --------
    >>> image = np.arange(12).reshape(3, 4)
    >>> bool((stitch(seqtile.tile(image, 2, overlap=1)) == image).all())
    True
    """
    if isinstance(tiles, Tiles):
        plan, tiles = tiles.plan if plan is None else plan, tiles.array
    if plan is None:
        raise TypeError("plan is needed where tiles is an array")
    if isinstance(plan, Tiles):
        plan = plan.plan
    if len(tiles) != len(plan):
        raise ShapeError(f"tiles must be the {len(plan)} of the plan, not {len(tiles)}")
    return Stitcher(plan, blend=blend, threads=threads).add(tiles, out=out)


class Stitcher:
    """Puts an image together strip by strip, from the tiles of one or more grid rows at a time.

    Holds no image, only the tiles that the rows to come still need: none without blending.

    Parameters
    ----------
    plan
        Where the tiles lie.
    blend, threads
        As for `stitch`.

    Attributes
    ----------
    row
        The image row that the next result begins with.

    Examples
    --------
    >>> image = np.arange(20, dtype=np.float32).reshape(5, 4)
    >>> plan = TilePlan(image.shape, 2, overlap=1)
    >>> stitcher = Stitcher(plan, blend="linear")
    >>> parts = [stitcher.add(plan.cut(image[slice(*s.read)], s)) for s in plan.strips()]
    >>> [len(part) for part in parts], bool(np.allclose(np.concatenate(parts), image))
    ([1, 1, 1, 2], True)
    """

    def __init__(self, plan: TilePlan, *, blend: Blend | None = None, threads: int = 1) -> None:
        check_threads(threads)
        self.plan = plan
        self.row = 0
        self._ramp = None if blend is None else option("blend", blend, RAMPS)
        self._weights: _core.Blend | None = None
        self._threads = threads
        self._read = plan._grid.y.read()
        self._write = plan._grid.y.write()
        self._next = 0  # grid row that comes next
        self._held: list[NDArray[Any]] = []  # one grid row each, the last ones before it
        self._kind: tuple[tuple[int, ...], np.dtype[Any]] | None = None

    def add(self, tiles: NDArray[Any], *, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Take the tiles of the next grid rows, return the next image rows.

        Parameters
        ----------
        tiles
            (n, th, tw) or (n, th, tw, K), n a multiple of the grid's columns.
        out
            As for `stitch`, of the shape of the result.

        Returns
        -------
        array of shape (rows, W) or (rows, W, K): the image rows from ``row`` on that no later tile
        changes. With the last grid row come all that are left.

        Raises
        ------
        ShapeError
            Tiles of another shape or dtype than planned, or than before; more than the grid has;
            ``out`` of another shape, dtype or memory order.
        """
        stop = self._next + self._check_tiles(tiles) // self.plan.grid[1]
        tiles = np.ascontiguousarray(tiles)
        rows = (self.row, self._finished(stop))
        out = output(
            out, (rows[1] - rows[0], self.plan.shape[1], *tiles.shape[3:]), tiles.dtype, tiles
        )
        parts, first, grid = [*self._held, tiles], self._next - len(self._held), self.plan._grid
        channels = int(np.prod(tiles.shape[3:], dtype=np.int64))
        if rows[0] == rows[1]:
            pass
        elif self._ramp is None:
            _core.stitch(parts, first, grid, channels * tiles.itemsize, rows, out, self._threads)
        else:
            if self._weights is None:
                self._weights = _core.Blend(grid, self._ramp, channels)
            _core.stitch_blended(
                parts, first, grid, self._weights, channels, rows, out, self._threads
            )
        self.row, self._next = rows[1], stop
        self._kind = (tiles.shape[3:], tiles.dtype)
        self._hold(tiles)
        return out

    def _check_tiles(self, tiles: NDArray[Any]) -> int:
        """Number of tiles."""
        size, columns = self.plan.size, self.plan.grid[1]
        if tiles.ndim not in (3, 4) or tiles.shape[1:3] != size or 0 in tiles.shape:
            raise ShapeError(
                f"tiles must have shape (n, {size[0]}, {size[1]}) or (n, {size[0]}, {size[1]}, K), "
                f"not {tiles.shape}"
            )
        if len(tiles) % columns:
            raise ShapeError(
                f"tiles must fill rows of {columns} tiles of the grid, not {len(tiles)} tiles"
            )
        left = len(self.plan) - self._next * columns
        if len(tiles) > left:
            raise ShapeError(f"tiles must be at most the {left} left of the plan, not {len(tiles)}")
        if self._ramp is not None and tiles.dtype != np.float32:
            raise ShapeError(f"tiles must be float32 to be blended, not {tiles.dtype}")
        check_dtype("tiles", tiles)
        kind = (tiles.shape[3:], tiles.dtype)
        if self._kind not in (None, kind):
            raise ShapeError(
                f"tiles must have the channels and dtype of those before, {self._kind}"
            )
        return len(tiles)

    def _finished(self, stop: int) -> int:
        """Image rows that the grid rows before ``stop`` settle."""
        if stop == self.plan.grid[0]:
            return self.plan.shape[0]
        return int(self._write[stop, 0] if self._ramp is None else self._read[stop, 0])

    def _hold(self, tiles: NDArray[Any]) -> None:
        """Keep copies of the grid rows that rows to come need: the caller may reuse its array."""
        if self._ramp is None:
            return
        columns = self.plan.grid[1]
        rows = [*self._held, *(tiles[i : i + columns] for i in range(0, len(tiles), columns))]
        done = self._next == self.plan.grid[0]
        needed = 0 if done else int((self._read[: self._next, 1] > self.row).sum())
        self._held = [row.copy() for row in rows[len(rows) - needed :]]
