"""Items, records and image files that come one after another, through a model in order."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import closing
from dataclasses import dataclass, field
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import IMAGE_FAILURES
from ..execution.batching import Batches
from ..execution.executor import Execution
from ..execution.limits import Limits
from ..execution.pipeline import Lane, Runner, ordered
from ..execution.profile import Profile
from ..fasta.reader import FastaInput, FastaSource
from .inputs import ImageInput, Labels, ModelInput, SequenceInput
from .prediction import PredictionBlock, joined

if TYPE_CHECKING:
    from ..images.fitting import Fitting

__all__ = ["Piece", "Stream", "fasta_pieces", "image_reader", "item_pieces", "pieces_of"]

T = TypeVar("T")


@dataclass
class Piece:
    """Some consecutive items of a stream.

    Attributes
    ----------
    items
        What the model takes.
    names
        Of the items, or none.
    first
        Number of the first of them, where they have no names.
    failures
        Errors of those that were left out.
    """

    items: Any
    names: Sequence[str] = ()
    first: int = 0
    failures: list[Exception] = field(default_factory=list)


def pieces_of(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """So many items at a time."""
    left = iter(items)
    while piece := list(itertools.islice(left, size)):
        yield piece


def item_pieces(items: Iterable[Any], most: int, extent: float) -> Iterator[Piece]:
    """At most so many items at a time, fewer where they have that many letters or pixels."""
    piece: list[Any] = []
    first = total = 0
    for item in items:
        piece.append(item)
        if isinstance(item, Sized):
            total += item.size if isinstance(item, np.ndarray) else len(item)
        if len(piece) >= most or total >= extent:
            yield Piece(piece, first=first)
            first += len(piece)
            piece, total = [], 0
    if piece:
        yield Piece(piece, first=first)


def fasta_pieces(source: FastaSource, size: int) -> Iterator[Piece]:
    """At most so many records of a FASTA file at a time."""
    with FastaInput(source) as file:
        for batch in file.batches(least=size, most=size):
            yield Piece(batch, batch.names)


def image_reader(
    fitting: Fitting, wanted: ImageInput, *, leave_out: bool
) -> Callable[[Sequence[str | PathLike[str]]], Piece]:
    """A function that reads image files; with ``leave_out`` those that cannot be are failures."""

    def read(paths: Sequence[str | PathLike[str]]) -> Piece:
        images, names, failures = [], [], list[Exception]()
        for path in paths:
            try:
                images.append(fitting.read(path, wanted.shape, wanted.channels))
                names.append(fspath(path))
            except IMAGE_FAILURES as error:
                if not leave_out:
                    raise
                failures.append(error)
        return Piece(images, names, failures=failures)

    return read


@dataclass(frozen=True)
class Stream:
    """How one call takes its items through a model.

    Attributes
    ----------
    execution, takes, runners
        The model, its first input, its lanes.
    batches
        Sizes of batches.
    wanted
        Outputs.
    values
        Further inputs of the model: for each its value by an item's name.
    profile
        Where to count the time of each stage.
    device
        Where it runs.
    limits
        How much a lane takes at a time.
    """

    execution: Execution
    takes: ModelInput
    runners: Sequence[Runner]
    batches: Batches
    wanted: tuple[str, ...]
    values: Mapping[str, Mapping[str, float]]
    profile: Profile | None
    device: str
    limits: Limits

    @property
    def piece(self) -> int:
        """How many items a lane takes at a time: a batch, if it was said how large."""
        if self.batches.asked != "auto":
            return self.batches.asked
        if isinstance(self.takes, SequenceInput):
            return max(self.limits.chunk_records, self.batches.largest((self.takes.length or 1,)))
        height, width = self.takes.shape if isinstance(self.takes, ImageInput) else (None, None)
        return (
            self.batches.largest((height, width)) if height and width else self.limits.chunk_images
        )

    @property
    def extent(self) -> float:
        """After how many letters or pixels a lane takes no more items, unless it was said."""
        if self.batches.asked != "auto":
            return math.inf
        return self.limits.cpu_extent if self.device == "cpu" else self.limits.cuda_extent

    def answers(
        self,
        pieces: Iterable[T],
        read: Callable[[T], Piece],
        failed: Callable[[Exception], object] = lambda error: None,
    ) -> Iterator[PredictionBlock]:
        """Answers in the order of the items; ``failed`` gets the errors of those left out."""

        def work(given: T, lane: Lane) -> tuple[list[PredictionBlock], list[Exception]]:
            with lane.profile.stage("encode"):
                piece = read(given)
                batch = self.takes.batch_of(piece.items)
                extra = {n: _column(n, values, piece.names) for n, values in self.values.items()}
                labels = Labels(first=piece.first, names=piece.names)
                chunks = list(self.takes.chunks(batch, lambda _: len(batch), labels))
            parts = []
            for rows, items in chunks:
                feeds = {name: array[rows] for name, array in extra.items()}
                outputs = self.execution.run(items, feeds, self.wanted, lane, self.batches)
                parts.append((rows, outputs))
            return list(joined(piece.names, len(batch), parts)), piece.failures

        with closing(ordered(pieces, work, self.runners, profile=self.profile)) as found:
            for blocks, failures in found:
                for error in failures:
                    failed(error)
                yield from blocks


def _column(name: str, values: Mapping[str, float], records: Sequence[str]) -> NDArray[np.float32]:
    """A further input's values of these records, shape (n, 1)."""
    if missing := [record for record in records if record not in values]:
        raise ValueError(f"input {name!r} has no value for record {missing[0]!r}")
    return np.array([[values[record]] for record in records], np.float32)
