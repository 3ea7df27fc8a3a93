"""Objects in images of any size: tiles through a model, put together, labelled.

An image is read in strips of its rows, scaled to the contrast the model was trained on, cut into
tiles whose margin is at least the radius of the network's receptive field, and the tiles' answers
are put together and labelled strip by strip, so that memory follows the width of an image, not its
height. Tiles of several images go through the model together. The result is that of the whole
image, padded to a multiple of the network's stride: probabilities to rounding, and the labels that
follow from them exactly.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..closing import Closing
from ..errors import ShapeError
from ..execution.batching import BatchSize
from ..execution.executor import Arrays
from ..execution.pipeline import Lane, Profile, ordered
from ..images.reading import open_image, to_channels, to_grey
from ..images.scaling import GreyLevels
from ..images.stitching import Stitcher
from ..images.tiling import Strip, TilePlan
from ..models.card import ModelCard
from ..models.predictor import Predictor
from .labelling import LabelMap, StripLabeller
from .objects import ObjectTable
from .options import SegmentOptions

__all__ = ["Pixels", "Segmented", "Work", "card_of", "segment", "segmented"]

T = TypeVar("T")

# Pixels of tiles that a lane takes at a time; and images that are open meanwhile.
_GATHERED, _GATHERED_CUDA = 1 << 20, 1 << 25
_OPEN = 32
# Rows of an image that are read together where only its pixels are wanted.
_ROWS = 256
_LOOKED_UP = 16


class Pixels(Protocol):
    """An image that gives its rows: an opened file or an array."""

    height: int
    width: int
    channels: int
    dtype: np.dtype[Any]
    pixel_size: float | None
    levels: tuple[tuple[int, int], ...]

    def rows(self, begin: int, stop: int) -> NDArray[Any]:
        """Rows ``[begin, stop)``, shape (rows, W), or (rows, W, 3) in colour."""


class _Array:
    """An image in memory."""

    pixel_size: float | None = None

    def __init__(self, image: NDArray[Any]) -> None:
        if image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)) or 0 in image.shape:
            raise ShapeError(
                f"image must have the shape (H, W), grey, or (H, W, 3), RGB, not {image.shape}"
            )
        if image.dtype not in (np.uint8, np.uint16):
            raise ShapeError(f"image must be uint8 or uint16, not {image.dtype}")
        self._image = image
        self.height, self.width = image.shape[:2]
        self.channels = 3 if image.ndim == 3 else 1
        self.dtype = image.dtype
        self.levels: tuple[tuple[int, int], ...] = ((self.height, self.width),)

    def rows(self, begin: int, stop: int) -> NDArray[Any]:
        return self._image[begin:stop]


@dataclass(frozen=True, eq=False)
class Segmented:
    """What was found in an image.

    Attributes
    ----------
    labels
        uint32, shape (H, W): 0 is background, objects have the numbers 1 to n in raster order.
    probabilities
        The model's outputs by name, float32, shape (H, W).
    objects
        Columns of the table of objects by name, each of shape (n,); see `ObjectTable`.
    """

    labels: NDArray[np.uint32]
    probabilities: dict[str, NDArray[np.float32]]
    objects: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.objects["label"])


class Work(Closing):
    """One image on its way through a model.

    Attributes
    ----------
    name
        Of the image, for messages.
    image
        The image; there when its turn has come.
    labels
        What was found; there when all tiles have been through the model.
    levels
        The grey levels at the percentiles of its contrast.
    error
        What went wrong with this image; it is left out then.
    threads
        For what is not the model's.
    """

    def __init__(
        self,
        source: NDArray[Any] | str | PathLike[str],
        predictor: Predictor,
        options: SegmentOptions,
        keep: dict[str, NDArray[np.float32]] | None = None,
    ) -> None:
        self.name = "image" if isinstance(source, np.ndarray) else str(source)
        self.source = source
        self.image: Pixels
        self.labels: LabelMap
        self.levels: tuple[float, float]
        self.error: Exception | None = None
        self.left = -1  # strips that have not been through the model; -1: not cut yet
        self._card = card_of(predictor)
        self._options = options
        self._settings = options.settings(self._card)
        self._channels = predictor.image_input.channels
        self.threads = predictor.threads
        self._keep = keep
        self._stack = ExitStack()

    @property
    def mask(self) -> str:
        """Name of the output that is the mask."""
        return self._settings.mask

    @property
    def scale(self) -> tuple[float, float]:
        """Height and width of a pixel in those of the file's full resolution."""
        height, width = self.image.levels[0]
        return height / self.image.height, width / self.image.width

    @property
    def pixel_size(self) -> tuple[float, float] | None:
        """Height and width of a pixel in micrometres, None where unknown."""
        side = self.image.pixel_size
        return None if side is None else (side, side)

    def strips(self) -> Iterator[NDArray[np.uint8]]:
        """The tiles of each strip, uint8, shape (n, th, tw) or (n, th, tw, 3), from the top."""
        if isinstance(self.source, np.ndarray):
            if self._options.level:
                raise ValueError(f"level must be 0 for an array, not {self._options.level}")
            self.image = _Array(self.source)
        else:
            self.image = self._stack.enter_context(
                open_image(self.source, level=self._options.level)
            )
        plan = self._options.plan(self._card, self.image.height, self.image.width)
        self._plan = plan
        self._across = plan.grid[1]
        self._tiles: dict[str, NDArray[np.float32]] = {}  # answers for the tiles of a strip
        self._taken = 0  # of them
        self._stitchers: dict[str, Stitcher] = {}
        self._rows: dict[str, NDArray[np.float32]] = {}  # stitched: of a strip, or all to be kept
        self._labeller = self._stack.enter_context(
            StripLabeller(self.image.width, self._settings, threads=self.threads)
        )
        self._table = self._contrast()
        strips = list(plan.strips())
        self._written = (strip.write for strip in strips)
        self._most = max(strip.write[1] - strip.write[0] for strip in strips)
        self.left = len(strips)
        for strip in strips:
            yield self._cut(plan, strip)

    def _contrast(self) -> NDArray[np.uint8]:
        """What each grey level becomes, by the percentiles of the whole image."""
        levels = GreyLevels(self.image.dtype)
        for begin in range(0, self.image.height, _ROWS):
            levels.add(to_grey(self.image.rows(begin, min(begin + _ROWS, self.image.height))))
        self.levels = levels.percentiles(*self._settings.percentiles)
        return levels.table(*self._settings.percentiles, invert=self._options.invert)

    def _cut(self, plan: TilePlan, strip: Strip) -> NDArray[np.uint8]:
        rows = to_channels(self.image.rows(*strip.read), self._channels)
        scaled = np.empty(rows.shape, np.uint8)
        for begin in range(0, len(rows), _LOOKED_UP):  # numpy makes indices of 8 bytes first
            part = slice(begin, begin + _LOOKED_UP)
            np.take(self._table, rows[part], out=scaled[part], mode="clip")
        return plan.cut(scaled, strip, threads=self.threads)

    def take(self, outputs: Arrays, *, is_last: bool) -> None:
        """The model's answers for tiles of the next strip, its last ones or not.

        With the last ones of the last strip the labels are there.
        """
        first = self._taken
        for name, tiles in outputs.items():
            self._taken = first + len(tiles)
            if name not in self._tiles:
                self._tiles[name] = np.empty((self._across, *tiles.shape[1:]), np.float32)
            self._tiles[name][first : self._taken] = tiles
        if is_last:
            self._finish_strip()

    def _finish_strip(self) -> None:
        begin, stop = next(self._written)
        count, self._taken = self._taken, 0
        done: dict[str, NDArray[np.float32]] = {}
        for name, tiles in self._tiles.items():
            if name not in self._stitchers:
                self._stitchers[name] = Stitcher(self._plan, threads=self.threads)
                height = self._most if self._keep is None else self.image.height
                self._rows[name] = np.empty((height, self.image.width), np.float32)
            place = slice(0, stop - begin) if self._keep is None else slice(begin, stop)
            done[name] = self._stitchers[name].add(tiles[:count], out=self._rows[name][place])
        if self._keep is not None:
            self._keep.update(self._rows)
        settings = self._settings
        self._labeller.add(done[settings.mask], done[settings.marker] if settings.marker else None)
        self.left -= 1
        if self.left == 0:
            self.labels = self._labeller.finish()

    def close(self) -> None:
        """Close the image and remove temporary files."""
        self._stack.close()


def card_of(predictor: Predictor) -> ModelCard:
    """The card of a model that segments.

    Raises
    ------
    TypeError
        A model that does not.
    """
    if predictor.card is None or predictor.card.segmentation is None:
        raise TypeError(
            f"{predictor.name} does not segment images: "
            + ("it takes sequences" if predictor.takes == "sequences" else "use predict")
        )
    return predictor.card


class _Part(NamedTuple):
    """Consecutive tiles of a strip; with the last of them the strip is whole."""

    work: Work
    tiles: NDArray[np.uint8]
    is_last: bool


def segmented(
    predictor: Predictor,
    works: Iterable[Work],
    batch_size: BatchSize = "auto",
    *,
    failures: tuple[type[Exception], ...] = (),
    progress: Callable[[int], object] = lambda pixels: None,
    profile: Profile | None = None,
) -> Iterator[Work]:
    """Take images through a model, the tiles of several together.

    Images are read and cut by the lanes that compute; the caller's thread puts tiles together and
    labels them meanwhile.

    Parameters
    ----------
    works
        Images; each is opened when its turn comes.
    batch_size
        Tiles per call of the session.
    failures
        Errors of one image that do not end the others: `Work.error` says which.
    progress
        Called with the number of pixels of tiles that have been through the model.
    profile
        Where to count the time of each stage.

    Yields
    ------
    The works in their order, with labels or an error. The caller closes them.
    """
    profile = Profile() if profile is None else profile
    opened: deque[Work] = deque()
    batches = predictor.batches(batch_size)
    ahead = 1
    together = max(1, _OPEN // (predictor.threads * (1 + ahead) + 1))

    def answer(parts: list[_Part], lane: Lane) -> list[tuple[_Part, Arrays]]:
        answers: dict[int, Arrays] = {}
        for shape in {part.tiles.shape[1:] for part in parts}:
            places = [i for i, part in enumerate(parts) if part.tiles.shape[1:] == shape]
            chosen = [parts[i].tiles for i in places]
            tiles = chosen[0] if len(chosen) == 1 else np.concatenate(chosen)
            outputs = predictor.run(tiles, lane, batches)
            first = 0
            for i, part in zip(places, chosen, strict=True):
                answers[i] = {n: values[first : first + len(part)] for n, values in outputs.items()}
                first += len(part)
        return [(part, answers[i]) for i, part in enumerate(parts)]

    with ExitStack() as ends:
        ends.callback(_close, opened)
        gathered = _GATHERED if predictor.device == "cpu" else _GATHERED_CUDA
        pieces = _pieces(works, opened, gathered, together, failures)
        with profile.stage("read"):
            head = list(itertools.islice(pieces, 2))
        runners = predictor.engine.lanes if len(head) > 1 else [predictor.engine.single]
        answered = ordered(_after(head, pieces), answer, runners, ahead=ahead, profile=profile)
        ends.callback(answered.close)
        done = 0
        for parts in answered:
            for part, outputs in parts:
                done += part.tiles.size
                if part.work.error is None:
                    part.work.take(outputs, is_last=part.is_last)
            progress(done)
            while opened and (opened[0].error is not None or opened[0].left == 0):
                yield opened.popleft()
        while opened:
            yield opened.popleft()


def _close(works: Iterable[Work]) -> None:
    for work in works:
        work.close()


def _pieces(
    works: Iterable[Work],
    opened: deque[Work],
    gathered: int,
    together: int,
    failures: tuple[type[Exception], ...],
) -> Generator[list[_Part], None, None]:
    """Tiles that go through the model together: parts of a strip, or strips of several images.

    So many that they have ``gathered`` pixels, or are of ``together`` images.
    """
    parts: list[_Part] = []
    waiting = 0  # images of these parts, and those that have none for they cannot be read
    for work in works:
        opened.append(work)
        waiting += 1
        try:
            for tiles in work.strips():
                step = max(1, gathered // tiles[0].size)
                for begin in range(0, len(tiles), step):
                    part = tiles[begin : begin + step]
                    parts.append(_Part(work, part, begin + step >= len(tiles)))
                    if sum(part.tiles.size for part in parts) >= gathered:
                        yield parts
                        parts, waiting = [], 1
        except failures as error:
            work.error = error
        if waiting >= together:
            yield parts
            parts, waiting = [], 0
    if parts:
        yield parts


def _after(head: list[T], rest: Generator[T, None, None]) -> Generator[T, None, None]:
    yield from head
    del head[:]
    yield from rest


def segment(
    predictor: Predictor,
    image: NDArray[Any] | str | PathLike[str],
    options: SegmentOptions | None = None,
    **changes: Any,
) -> Segmented:
    """Find the objects in one image, and keep everything in memory.

    `seqtile segment` does the same for files of any size, and writes as it goes.

    Parameters
    ----------
    predictor
        A model whose card has a `Segmentation`, as ``nuclei-unet``.
    image
        uint8 or uint16, shape (H, W), grey, or (H, W, 3), RGB (taken as grey if the model is of
        grey images); or an image file, see `seqtile.open_image`.
    options, **changes
        See `SegmentOptions`; by name, ``segment(predictor, image, tile=1024)``.

    Raises
    ------
    TypeError
        A model that does not segment.
    ShapeError
        An array of another shape or dtype.
    ImageError
        A file that cannot be read.
    ValueError
        An option out of its range.

    Examples
    --------
    >>> import seqtile
    >>> predictor = seqtile.load("nuclei-unet", device="cpu")
    >>> image = np.zeros((100, 130), np.uint8)
    >>> image[20:40, 30:50] = image[60:80, 90:110] = 200
    >>> found = seqtile.segment(predictor, image)
    >>> found.labels.shape, len(found)
    ((100, 130), 2)
    """
    options = replace(options or SegmentOptions(), **changes)
    card_of(predictor)
    probabilities: dict[str, NDArray[np.float32]] = {}
    source = image if isinstance(image, np.ndarray) else Path(image)
    with Work(source, predictor, options, keep=probabilities) as work:
        for _ in segmented(predictor, [work], options.batch_size):
            pass
        runs = work.labels.runs(0, work.image.height)
        table = ObjectTable(work.labels.count, pixel_size=work.pixel_size)
        mask = probabilities[work.mask]
        table.add(0, runs, work.image.rows(0, work.image.height), mask)
        return Segmented(runs.pixels(), probabilities, table.columns())
