"""Overlapping tiles of an image: where they lie, and cutting them out, whole or strip by strip.

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

from .. import _core
from ..errors import ShapeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Strip", "TilePlan", "Tiles", "tile"]

Pad: TypeAlias = Literal["reflect", "edge", "constant"]
Blend: TypeAlias = Literal["linear", "hann"]

_PADS = {"reflect": _core.Pad.reflect, "edge": _core.Pad.edge, "constant": _core.Pad.constant}
RAMPS = {"linear": _core.Ramp.linear, "hann": _core.Ramp.hann}


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
        ramp = option("blend", blend, RAMPS)
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
        padding = option("pad", pad, _PADS)
        check_threads(threads)
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
        out = output(out, (count, *self.size, *image.shape[2:]), image.dtype, image)
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
    [1, 3, 2, 4]
    """
    _check_image(image)
    height, width = image.shape[:2]
    plan = TilePlan((height, width), size, overlap, multiple)
    return Tiles(plan.cut(image, pad=pad, out=out, threads=threads), plan)


def _pair(name: str, value: Any, least: int) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in pair)
    if len(pair) != 2 or not whole or min(pair) < least:
        raise ValueError(
            f"{name} must be a whole number, or two, of at least {least}, not {value!r}"
        )
    return int(pair[0]), int(pair[1])


def option(name: str, value: str, options: dict[str, Any]) -> Any:
    if value not in options:
        raise ValueError(f"{name} must be {' or '.join(map(repr, options))}, not {value!r}")
    return options[value]


def check_threads(threads: int) -> None:
    if threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")


def check_dtype(name: str, array: NDArray[Any]) -> None:
    if array.dtype.kind not in "biufc":
        raise ShapeError(f"{name} must hold numbers or bool, not {array.dtype}")


def _check_image(image: NDArray[Any]) -> None:
    if not isinstance(image, np.ndarray):
        raise TypeError(f"image must be a numpy array, not {type(image).__name__}")
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ShapeError(
            f"image must have shape (H, W) or (H, W, C), none of them 0, not {image.shape}"
        )
    check_dtype("image", image)


def output(
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
