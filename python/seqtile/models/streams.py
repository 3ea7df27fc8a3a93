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

from ..errors import IMAGE_FAILURES, AlphabetError
from ..execution.batching import Batches
from ..execution.executor import Executor
from ..execution.limits import Limits
from ..execution.profile import Profile
from ..execution.rows import Outputs, Rows
from ..fasta.reader import FastaInput, FastaSource
from .inputs import ImageInput, Labels, ModelInput, SequenceInput
from .prediction import PredictionBlock, joined

if TYPE_CHECKING:
    from ..images.fitting import Fitting

__all__ = ["Chunk", "Stream", "chunks_of", "fasta_chunks", "image_reader", "item_chunks"]

T = TypeVar("T")


@dataclass
class Chunk:
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
    error
        What ends the stream after these.
    """

    items: Any
    names: Sequence[str] = ()
    first: int = 0
    failures: list[Exception] = field(default_factory=list)
    error: Exception | None = None


def chunks_of(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """So many items at a time."""
    left = iter(items)
    while chunk := list(itertools.islice(left, size)):
        yield chunk


def item_chunks(items: Iterable[Any], most: int, extent: float) -> Iterator[Chunk]:
    """At most so many items at a time, fewer where they have that many letters or pixels."""
    chunk: list[Any] = []
    first = total = 0
    for item in items:
        chunk.append(item)
        if isinstance(item, Sized):
            total += item.size if isinstance(item, np.ndarray) else len(item)
        if len(chunk) >= most or total >= extent:
            yield Chunk(chunk, first=first)
            first += len(chunk)
            chunk, total = [], 0
    if chunk:
        yield Chunk(chunk, first=first)


def fasta_chunks(source: FastaSource, size: int) -> Iterator[Chunk]:
    """At most so many records of a FASTA file at a time."""
    with FastaInput(source) as file:
        for batch in file.batches(least=size, most=size):
            yield Chunk(batch, batch.names)


def image_reader(
    fitting: Fitting, wanted: ImageInput, *, leave_out: bool
) -> Callable[[Sequence[str | PathLike[str]]], Chunk]:
    """A function that reads image files; with ``leave_out`` those that cannot be are failures."""

    def read(paths: Sequence[str | PathLike[str]]) -> Chunk:
        images, names, failures = [], [], list[Exception]()
        for path in paths:
            try:
                images.append(fitting.read(path, wanted.shape, wanted.channels))
                names.append(fspath(path))
            except IMAGE_FAILURES as error:
                if not leave_out:
                    raise
                failures.append(error)
        return Chunk(images, names, failures=failures)

    return read


@dataclass(frozen=True)
class Stream:
    """How one call takes its items through a model.

    Attributes
    ----------
    executor, takes
        The model, and its first input.
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

    executor: Executor
    takes: ModelInput
    batches: Batches
    wanted: tuple[str, ...]
    values: Mapping[str, Mapping[str, float]]
    profile: Profile | None
    device: str
    limits: Limits

    @property
    def chunk(self) -> int:
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
        chunks: Iterable[T],
        read: Callable[[T], Chunk],
        failed: Callable[[Exception], object] | None = None,
    ) -> Iterator[PredictionBlock]:
        """Answers in the order of the items.

        ``failed`` gets the errors of those that the model does not take, which are left out.
        Without it the first such error is raised, after the answers before it.
        """

        def prepare(given: T) -> tuple[list[Rows], tuple[Chunk, int, list[NDArray[np.int64]]]]:
            chunk = read(given)
            try:
                return self._rows(chunk)
            except ValueError:  # some item is to blame
                return self._rows(self._sound(chunk, leave_out=failed is not None))

        def finish(
            kept: tuple[Chunk, int, list[NDArray[np.int64]]], found: list[Outputs]
        ) -> tuple[list[PredictionBlock], Chunk]:
            chunk, count, places = kept
            return list(joined(chunk.names, count, zip(places, found, strict=True))), chunk

        answers = self.executor.map(
            chunks, prepare, finish, self.wanted, batches=self.batches, profile=self.profile
        )
        with closing(answers):
            for blocks, chunk in answers:
                for failure in chunk.failures:
                    if failed is not None:
                        failed(failure)
                yield from blocks
                if chunk.error is not None:
                    raise chunk.error

    def _rows(self, chunk: Chunk) -> tuple[list[Rows], tuple[Chunk, int, list[NDArray[np.int64]]]]:
        """A chunk's rows of one shape each, and their places in it."""
        batch = self.takes.batch_of(chunk.items)
        extra = {n: _column(n, values, chunk.names) for n, values in self.values.items()}
        labels = Labels(first=chunk.first, names=chunk.names)
        parts = list(self.takes.parts(batch, lambda _: len(batch), labels))
        rows = [
            Rows(items, {name: values[places] for name, values in extra.items()})
            for places, items in parts
        ]
        return rows, (chunk, len(batch), [places for places, _ in parts])

    def _sound(self, chunk: Chunk, *, leave_out: bool) -> Chunk:
        """A chunk without the items that the model does not take, or up to the first of them."""
        labels = Labels(first=chunk.first, names=chunk.names)
        last: Exception | None = None
        try:
            batch = self.takes.batch_of(chunk.items)
        except AlphabetError as error:  # no letters at all, which ends the gathering
            last = labels.of(error)
            batch = self.takes.batch_of(chunk.items[: error.index])
        refused, kept = dict(self.takes.refused(batch, labels)), list[int]()
        for i in range(len(batch)):
            if i in refused and leave_out:
                continue
            try:
                if i in refused:
                    raise refused[i]
                for name, values in self.values.items():
                    _column(name, values, chunk.names[i : i + 1])
            except ValueError as error:
                last = error
                break
            kept.append(i)
        items = [batch[i] for i in kept]
        names = [chunk.names[i] for i in kept] if chunk.names else ()
        failures = [*chunk.failures, *refused.values()] if leave_out else chunk.failures
        return Chunk(items, names, chunk.first, failures, last)


def _column(name: str, values: Mapping[str, float], records: Sequence[str]) -> NDArray[np.float32]:
    """A further input's values of these records, shape (n, 1)."""
    if missing := [record for record in records if record not in values]:
        raise ValueError(f"input {name!r} has no value for record {missing[0]!r}")
    column = np.array([[values[record]] for record in records], np.float32)
    if len(wrong := np.flatnonzero(~np.isfinite(column))):
        raise ValueError(
            f"input {name!r} of record {records[wrong[0]]!r} is {column[wrong[0], 0]}: "
            "expected a finite number"
        )
    return column
