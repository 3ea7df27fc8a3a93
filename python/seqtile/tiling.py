"""Overlapping tiles of an image: cut them out, put them together again, whole or strip by strip.

An image is an array (H, W) or (H, W, C); coordinates are 0-based, half-open and in its pixels.
Tiles begin at multiples of ``size - overlap``; the last one of each axis is shifted back so that it
ends where the image does, rounded up to ``multiple``. So every tile begins at a multiple of
``multiple``, and all tiles together cover the image padded to that multiple, no more (an image
smaller than a tile is padded to one tile). A network with zero padding, whose total stride divides
``multiple`` and whose receptive field has a radius of at most ``overlap // 2``, therefore gives the
same on tiles as on the whole padded image.

Each tile has a *read* region, its pixels, and a *write* region, those it alone answers for: the
boundary runs through the middle of what neighbours share, at least ``overlap // 2`` pixels from
either's edge. The write regions partition the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from . import _core
from .errors import ShapeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Stitcher", "Strip", "TilePlan", "Tiles", "stitch", "tile"]

Pad: TypeAlias = Literal["reflect", "edge", "constant"]
Blend: TypeAlias = Literal["linear", "hann"]

_PADS = {"reflect": _core.Pad.reflect, "edge": _core.Pad.edge, "constant": _core.Pad.constant}
_RAMPS = {"linear": _core.Ramp.linear, "hann": _core.Ramp.hann}


@dataclass(frozen=True)
class Strip:
    """Some rows of a plan's grid, and the rows of the image that belong to them.

    Attributes
    ----------
    rows
        Grid rows ``[first, stop)``.
    read
        Image rows that `TilePlan.cut` needs for them.
    write
        Image rows that their write regions cover; those of all strips partition the image.
    """

    rows: tuple[int, int]
    read: tuple[int, int]
    write: tuple[int, int]


@dataclass(frozen=True)
class TilePlan:
    """Where the tiles of an image lie; needs no pixels.

    Parameters
    ----------
    shape
        Height and width of the image, each at least 1.
    size
        Height and width of a tile, or one number for both.
    overlap
        Pixels that neighbours share, along each axis or one number for both;
        ``0 <= overlap < size``. The last tile may share more.
    multiple
        Number that the tiles' starts are multiples of; must divide ``size`` and ``overlap``.

    Raises
    ------
    ValueError
        A number out of its range.

    Examples
    --------
    >>> plan = TilePlan((100, 70), 64, overlap=16)
    >>> plan.grid, plan.write.tolist()
    ((2, 2), [[0, 50, 0, 35], [0, 50, 35, 70], [50, 100, 0, 35], [50, 100, 35, 70]])
    """

    shape: tuple[int, int]
    size: tuple[int, int]
    overlap: tuple[int, int]
    multiple: tuple[int, int]

    def __init__(
        self,
        shape: tuple[int, int],
        size: int | tuple[int, int],
        overlap: int | tuple[int, int] = 0,
        multiple: int | tuple[int, int] = 1,
    ) -> None:
        fields = {
            "shape": _pair("shape", shape, 1),
            "size": _pair("size", size, 1),
            "overlap": _pair("overlap", overlap, 0),
            "multiple": _pair("multiple", multiple, 1),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        for length, shared, step in zip(self.size, self.overlap, self.multiple, strict=True):
            if shared >= length:
                raise ValueError(
                    f"overlap must be smaller than size, not {self.overlap} with size {self.size}"
                )
            if length % step or shared % step:
                raise ValueError(
                    f"size and overlap must be multiples of multiple={self.multiple}, "
                    f"not {self.size} and {self.overlap}"
                )

    @cached_property
    def _grid(self) -> _core.TileGrid:
        return _core.TileGrid(
            *map(_core.TileAxis, self.shape, self.size, self.overlap, self.multiple)
        )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return self._grid.y.count, self._grid.x.count

    def __len__(self) -> int:
        """Number of tiles: they are counted row by row of the grid."""
        return self.grid[0] * self.grid[1]

    @property
    def padded_shape(self) -> tuple[int, int]:
        """Height and width of what the tiles cover together: at least that of the image."""
        return int(self._grid.y.read()[-1, 1]), int(self._grid.x.read()[-1, 1])

    @property
    def read(self) -> NDArray[np.int64]:
        """Box y0, y1, x0, x1 of each tile, (n, 4); may end behind the image, where it is padded."""
        return _boxes(self._grid.y.read(), self._grid.x.read())

    @property
    def write(self) -> NDArray[np.int64]:
        """Box y0, y1, x0, x1 of what each tile answers for, (n, 4): a partition of the image."""
        return _boxes(self._grid.y.write(), self._grid.x.write())

    def weights(self, blend: Blend) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Blending weights of the grid's rows, (rows, tile height), and columns, (columns, width).

        The weight of a tile's pixel is the product of the two; in each pixel of the image they sum
        to one over the tiles that read it. They are 0 outside the image.
        """
        ramp = _option("blend", blend, _RAMPS)
        return self._grid.y.weights(ramp), self._grid.x.weights(ramp)

    def strips(self, rows: int = 1) -> Iterator[Strip]:
        """The grid in strips of ``rows`` grid rows, from the top; the last may have fewer.

        Examples
        --------
        >>> for strip in TilePlan((100, 70), 64, overlap=16).strips():
        ...     print(strip)
        Strip(rows=(0, 1), read=(0, 64), write=(0, 50))
        Strip(rows=(1, 2), read=(36, 100), write=(50, 100))
        """
        if rows < 1:
            raise ValueError(f"rows must be at least 1, not {rows}")
        write = self._grid.y.write()
        for first in range(0, self.grid[0], rows):
            stop = min(first + rows, self.grid[0])
            written = int(write[first, 0]), int(write[stop - 1, 1])
            yield Strip((first, stop), self._grid.y.needed(first, stop), written)

    def cut(
        self,
        image: NDArray[Any],
        strip: Strip | None = None,
        *,
        first_row: int | None = None,
        pad: Pad = "reflect",
        out: NDArray[Any] | None = None,
        threads: int = 1,
    ) -> NDArray[Any]:
        """Cut the tiles of the whole image, or of a strip.

        Parameters
        ----------
        image
            The image, or with ``strip`` at least its rows ``strip.read``: shape (rows, W) or
            (rows, W, C), any number or bool. Rows may be any distance apart; an image whose pixels
            are not side by side within a row is copied first.
        strip
            One of `strips`.
        first_row
            Row of the whole image that ``image`` begins with; ``strip.read[0]`` (or 0) if None.
        pad, out, threads
            As for `tile`.

        Returns
        -------
        array of shape (n, th, tw) or (n, th, tw, C), of the image's dtype.

        Raises
        ------
        ShapeError
            ``image`` has another rank, width or kind of dtype, or lacks rows; ``out`` has another
            shape, dtype or memory order.
        """
        padding = _option("pad", pad, _PADS)
        _check_threads(threads)
        _check_image(image)
        rows, (begin, end) = (
            (strip.rows, strip.read) if strip else ((0, self.grid[0]), (0, self.shape[0]))
        )
        start = begin if first_row is None else first_row
        if start < 0 or start > begin or start + len(image) < end:
            raise ShapeError(
                f"image must hold the rows [{begin}, {end}), not [{start}, {start + len(image)})"
            )
        if image.shape[1] != self.shape[1]:
            raise ShapeError(
                f"image must be {self.shape[1]} pixels wide as planned, not {image.shape[1]}"
            )
        if not image[:1].flags.c_contiguous:
            image = np.ascontiguousarray(image)
        count = (rows[1] - rows[0]) * self.grid[1]
        out = _output(out, (count, *self.size, *image.shape[2:]), image.dtype, image)
        _core.cut_tiles(image, start, self._grid, rows, padding, out, threads)
        return out


@dataclass(frozen=True, eq=False)
class Tiles:
    """The tiles of an image.

    Attributes
    ----------
    array
        (n, th, tw) or (n, th, tw, C), row by row of the grid.
    plan
        Where they lie.
    """

    array: NDArray[Any]
    plan: TilePlan

    def __len__(self) -> int:
        return len(self.array)

    @property
    def read(self) -> NDArray[np.int64]:
        """As `TilePlan.read`."""
        return self.plan.read

    @property
    def write(self) -> NDArray[np.int64]:
        """As `TilePlan.write`."""
        return self.plan.write

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return self.plan.grid

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.plan.shape

    @property
    def overlap(self) -> tuple[int, int]:
        """Pixels that neighbours share, along each axis."""
        return self.plan.overlap


def tile(
    image: NDArray[Any],
    size: int | tuple[int, int],
    *,
    overlap: int | tuple[int, int] = 0,
    multiple: int | tuple[int, int] = 1,
    pad: Pad = "reflect",
    out: NDArray[Any] | None = None,
    threads: int = 1,
) -> Tiles:
    """Cut an image into overlapping tiles of one size.

    Parameters
    ----------
    image
        Shape (H, W) or (H, W, C), any number or bool. Rows may be any distance apart; an image
        whose pixels are not side by side within a row is copied first.
    size, overlap, multiple
        As for `TilePlan`, in pixels: for a network ``overlap`` is at least twice the radius of its
        receptive field and ``multiple`` its total stride.
    pad
        What a tile holds outside the image, as in `numpy.pad`: ``"reflect"``, ``"edge"`` or
        ``"constant"`` (zero).
    out
        Array to write the tiles to: C-contiguous, of their shape and dtype.
    threads
        Threads that share the tiles.

    Returns
    -------
    The tiles; ``.array`` has shape (n, th, tw) or (n, th, tw, C) and the image's dtype.

    Raises
    ------
    ShapeError
        ``image`` of another rank or kind of dtype, or without pixels; ``out`` of another shape,
        dtype or memory order.
    ValueError
        A number out of its range: an overlap that is not smaller than the tile is never clamped.

    Examples
    --------
    >>> tiles = tile(np.arange(12).reshape(3, 4), 2)
    >>> tiles.grid, tiles.array[-1].tolist()
    ((2, 2), [[6, 7], [10, 11]])
    >>> tiles.write[-1].tolist()
    [2, 3, 2, 4]
    """
    _check_image(image)
    height, width = image.shape[:2]
    plan = TilePlan((height, width), size, overlap, multiple)
    return Tiles(plan.cut(image, pad=pad, out=out, threads=threads), plan)


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
    >>> bool((stitch(tile(image, 2, overlap=1)) == image).all())
    True
    """
    if isinstance(tiles, Tiles):
        plan, tiles = plan or tiles.plan, tiles.array
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
        _check_threads(threads)
        self.plan = plan
        self.row = 0
        self._ramp = None if blend is None else _option("blend", blend, _RAMPS)
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
        first, columns = self._next, self.plan.grid[1]
        stop = first + self._check_tiles(tiles) // columns
        tiles = np.ascontiguousarray(tiles)
        rows = (self.row, self._finished(stop))
        shape = (rows[1] - rows[0], self.plan.shape[1], *tiles.shape[3:])
        out = _output(out, shape, tiles.dtype, tiles)
        parts, held = [*self._held, tiles], first - len(self._held)
        grid = self.plan._grid
        if rows[0] == rows[1]:
            pass
        elif self._ramp is None:
            pixel = tiles.itemsize * int(np.prod(tiles.shape[3:], dtype=np.int64))
            _core.stitch(parts, held, grid, pixel, rows, out, self._threads)
        else:
            channels = int(np.prod(tiles.shape[3:], dtype=np.int64))
            if self._weights is None:
                self._weights = _core.Blend(grid, self._ramp, channels)
            _core.stitch_blended(
                parts, held, grid, self._weights, channels, rows, out, self._threads
            )
        self.row, self._next = rows[1], stop
        self._hold(tiles, first)
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
        _check_dtype("tiles", tiles)
        kind = (tiles.shape[3:], tiles.dtype)
        if self._kind not in (None, kind):
            raise ShapeError(
                f"tiles must have the channels and dtype of those before, {self._kind}"
            )
        self._kind = kind
        return len(tiles)

    def _finished(self, stop: int) -> int:
        """Image rows that the grid rows before ``stop`` settle."""
        if stop == self.plan.grid[0]:
            return self.plan.shape[0]
        return int(self._write[stop, 0] if self._ramp is None else self._read[stop, 0])

    def _hold(self, tiles: NDArray[Any], first: int) -> None:
        """Keep copies of the grid rows that rows to come need: the caller may reuse its array."""
        if self._ramp is None:
            return
        if self._next == self.plan.grid[0]:
            self._held = []
            return
        columns = self.plan.grid[1]
        kept = first - len(self._held)
        rows = [*self._held]
        for row in range(first, self._next):
            part = tiles[(row - first) * columns : (row - first + 1) * columns]
            rows.append(part.copy() if self._read[row, 1] > self.row else part[:0])
        needed = int(np.searchsorted(self._read[: self._next, 1], self.row, side="right"))
        self._held = rows[needed - kept :]


def _pair(name: str, value: Any, least: int) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in pair)
    if len(pair) != 2 or not whole or min(pair) < least:
        raise ValueError(
            f"{name} must be a whole number, or two, of at least {least}, not {value!r}"
        )
    return int(pair[0]), int(pair[1])


def _option(name: str, value: str, options: dict[str, Any]) -> Any:
    if value not in options:
        raise ValueError(f"{name} must be {' or '.join(map(repr, options))}, not {value!r}")
    return options[value]


def _check_threads(threads: int) -> None:
    if threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")


def _check_dtype(name: str, array: NDArray[Any]) -> None:
    if array.dtype.kind not in "biufc":
        raise ShapeError(f"{name} must hold numbers or bool, not {array.dtype}")


def _check_image(image: NDArray[Any]) -> None:
    if not isinstance(image, np.ndarray):
        raise TypeError(f"image must be a numpy array, not {type(image).__name__}")
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ShapeError(
            f"image must have shape (H, W) or (H, W, C), none of them 0, not {image.shape}"
        )
    _check_dtype("image", image)


def _output(
    out: NDArray[Any] | None, shape: tuple[int, ...], kind: np.dtype[Any], source: NDArray[Any]
) -> NDArray[Any]:
    if out is None:
        return np.empty(shape, dtype=kind)
    if out.shape != shape or out.dtype != kind or not out.flags.c_contiguous:
        raise ShapeError(
            f"out must be C-contiguous {kind} of shape {shape}, not {out.dtype} of shape "
            f"{out.shape}" + ("" if out.flags.c_contiguous else " (not contiguous)")
        )
    if np.may_share_memory(out, source):
        raise ValueError("out must not share memory with the input")
    return out


def _boxes(down: NDArray[np.int64], across: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.hstack([np.repeat(down, len(across), axis=0), np.tile(across, (len(down), 1))])
