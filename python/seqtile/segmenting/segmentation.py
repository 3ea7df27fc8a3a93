"""Objects in images of any size: tiles through a model, put together, labelled.

An image is read in strips of its rows, scaled to the contrast the model was trained on, cut into
tiles whose margin is at least the radius of the network's receptive field, and the tiles' answers
are put together and labelled strip by strip, so that memory follows the width of an image, not its
height. Tiles of several images go through the model together. The result is that of the whole
image, padded to a multiple of the network's stride: probabilities to rounding, and the labels that
follow from them exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..execution.profile import Profile
from ..execution.rows import Outputs, Rows
from ..images.tiling import TilePlan
from ..models.contract import Contract
from ..models.predictor import Predictor
from .assembler import Assembler
from .labelled_image import FailedImage, LabelledImage
from .objects import ObjectTable
from .options import SegmentOptions
from .tile_source import ImageLike, TileSource

__all__ = ["Segmented", "contract_of", "segment", "segmented"]


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
        Columns of the table of objects by name, each of shape (n,); see
        `seqtile.segmenting.objects.ObjectTable`.
    """

    labels: NDArray[np.uint32]
    probabilities: dict[str, NDArray[np.float32]]
    objects: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.objects["label"])


def contract_of(predictor: Predictor) -> Contract:
    """The contract of a model that segments.

    Raises
    ------
    TypeError
        A model that does not.
    """
    if predictor.contract.segmentation is None:
        raise TypeError(
            f"{predictor.name} does not segment images: "
            + ("it takes sequences" if predictor.takes == "sequences" else "use predict")
        )
    return predictor.contract


class _Part(NamedTuple):
    """Consecutive tiles of a strip."""

    source: TileSource
    tiles: NDArray[np.uint8]


# What a lane takes at a time: parts of a strip, or strips of several images, and in their places
# the images that cannot be read. And what it gives: each with the model's answers for its tiles.
_Chunk: TypeAlias = list[_Part | FailedImage]
_Answers: TypeAlias = list[tuple[_Part | FailedImage, Outputs]]


def segmented(
    predictor: Predictor,
    images: Iterable[ImageLike],
    options: SegmentOptions,
    *,
    keep: bool = False,
    failures: tuple[type[Exception], ...] = (),
    progress: Callable[[int], object] = lambda pixels: None,
    profile: Profile | None = None,
) -> Iterator[LabelledImage | FailedImage]:
    """Take images through a model, the tiles of several together.

    The lanes that compute read and cut as well, each image by a `TileSource`; the caller's thread
    puts the answers together and labels them meanwhile, by an `Assembler`.

    Parameters
    ----------
    images
        Files or arrays; each is asked for and opened when its turn comes.
    options
        Contrast, tiles, thresholds.
    keep
        Keep the model's answers for whole images.
    failures
        Errors of one image that do not end the others.
    progress
        Called with the number of pixels of tiles that have been through the model.
    profile
        Where to count the time of each stage.

    Yields
    ------
    Each image in order: labelled, and the caller's to close; or failed.

    Raises
    ------
    TypeError
        A model that does not segment.
    ValueError
        An option out of its range.
    """
    contract, threads, limits = contract_of(predictor), predictor.threads, predictor.limits
    settings = options.settings(contract)
    channels = predictor.image_input.channels
    ahead = 1
    together = max(1, limits.open_images // (threads * (1 + ahead) + 1))
    gathered = limits.cpu_tile_pixels if predictor.device == "cpu" else limits.cuda_tile_pixels
    underway: set[TileSource] = set()  # opened by a lane, and not yet given to the caller

    def read(image: ImageLike) -> Iterator[_Part | FailedImage]:
        source = None
        try:
            source = TileSource(
                image, contract, options, channels=channels, threads=threads, limits=limits
            )
            underway.add(source)
            for tiles in source.strips():
                step = max(1, gathered // tiles[0].size)
                for begin in range(0, len(tiles), step):
                    yield _Part(source, tiles[begin : begin + step])
        except failures as error:
            if source is not None:
                underway.discard(source)
                source.close()
            yield FailedImage("image" if isinstance(image, np.ndarray) else fspath(image), error)

    def assemble(plan: TilePlan) -> Assembler:
        return Assembler(plan, settings, keep=keep, threads=threads, limits=limits)

    with ExitStack() as ends:
        ends.callback(_close, underway)
        answered = predictor.executor.map(
            _chunks(map(read, images), gathered, together),
            _prepare,
            _finish,
            batches=predictor.batches(options.batch_size),
            profile=profile,
            ahead=ahead,
            peek=True,
            interruptible=True,
        )
        ends.callback(answered.close)
        yield from _assembled(answered, underway, assemble, failures, progress)


def _close(sources: set[TileSource]) -> None:
    while sources:
        sources.pop().close()


def _chunks(
    images: Iterable[Iterator[_Part | FailedImage]], pixels: int, most: int
) -> Generator[_Chunk, None, None]:
    """Tiles of so many ``pixels``, or of ``most`` images."""
    chunk: _Chunk = []
    size = count = 0
    for parts in images:
        count += 1
        for part in parts:
            chunk.append(part)
            size += 0 if isinstance(part, FailedImage) else part.tiles.size
            if size >= pixels:
                yield chunk
                chunk, size, count = [], 0, 1
        if count >= most:
            yield chunk
            chunk, size, count = [], 0, 0
    if chunk:
        yield chunk


def _prepare(chunk: _Chunk) -> tuple[list[Rows], _Chunk]:
    """Tiles of one shape together."""
    same: dict[tuple[int, ...], list[NDArray[np.uint8]]] = {}
    for part in chunk:
        if isinstance(part, _Part):
            same.setdefault(part.tiles.shape[1:], []).append(part.tiles)
    return [Rows(np.concatenate(tiles)) for tiles in same.values()], chunk


def _finish(chunk: _Chunk, found: list[Outputs]) -> _Answers:
    """What is found for tiles of one shape, dealt out again."""
    shapes = dict.fromkeys(part.tiles.shape[1:] for part in chunk if isinstance(part, _Part))
    left = dict(zip(shapes, found, strict=True))
    answers: _Answers = []
    for part in chunk:
        outputs: Outputs = {}
        if isinstance(part, _Part):
            shape, count = part.tiles.shape[1:], len(part.tiles)
            outputs = {name: values[:count] for name, values in left[shape].items()}
            left[shape] = {name: values[count:] for name, values in left[shape].items()}
        answers.append((part, outputs))
    return answers


def _is_of(part: _Part | FailedImage, source: TileSource) -> bool:
    if isinstance(part, FailedImage):
        return part.name == str(source.image.path)
    return part.source is source


def _assembled(
    answered: Iterable[_Answers],
    underway: set[TileSource],
    assemble: Callable[[TilePlan], Assembler],
    failures: tuple[type[Exception], ...],
    progress: Callable[[int], object],
) -> Iterator[LabelledImage | FailedImage]:
    """What is found, in order; takes the images from those under way."""
    done = 0
    assembler: Assembler | None = None
    given_up: TileSource | None = None  # its labels failed, and a lane may still read it
    try:
        for answers in answered:
            done += sum(part.tiles.size for part, _ in answers if isinstance(part, _Part))
            progress(done)
            for part, outputs in answers:
                if given_up is not None and _is_of(part, given_up):
                    continue
                if given_up is not None:
                    underway.discard(given_up)
                    given_up.close()
                    given_up = None
                if isinstance(part, FailedImage):
                    if assembler is not None:
                        assembler.close()
                        assembler = None
                    yield part
                    continue
                source = part.source
                try:
                    if assembler is None:
                        assembler = assemble(source.plan)
                    assembler.add(outputs)
                    if not assembler.is_whole:
                        continue
                    labels, kept = assembler.finish(), assembler.probabilities
                except failures as error:
                    if assembler is not None:
                        assembler.close()
                        assembler = None
                    given_up = source
                    yield FailedImage(str(source.image.path), error)
                    continue
                assembler = None
                underway.discard(source)
                yield LabelledImage(source.image, labels, source.levels, kept)
    finally:
        if assembler is not None:
            assembler.close()


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
        A model whose contract has a segmentation, as ``nuclei-unet``.
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
    settings = options.settings(contract_of(predictor))
    source = image if isinstance(image, np.ndarray) else Path(image)
    (found,) = segmented(predictor, [source], options, keep=True)
    assert isinstance(found, LabelledImage)
    with found:
        height = found.image.height
        runs = found.labels.runs(0, height)
        table = ObjectTable(found.labels.count, pixel_size=found.pixel_size)
        mask = found.probabilities[settings.mask]
        table.add(0, runs, found.image.rows(0, height), mask)
        return Segmented(runs.pixels(), dict(found.probabilities), table.columns())
