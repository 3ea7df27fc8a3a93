"""A model ready to predict: card, session, and batches of sequences or images."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike, fspath
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .cards import ModelCard
from .errors import IMAGE_FAILURES, ModelIntegrityError, ShapeError
from .fasta import FastaSource, read_fasta
from .inputs import ImageInput, Labels, Limit, ModelInput, SequenceInput
from .session import Session

__all__ = ["Prediction", "Predictor"]

Outputs: TypeAlias = dict[str, NDArray[np.float32]]
Arrays: TypeAlias = Mapping[str, NDArray[Any]]
BatchSize: TypeAlias = int | Literal["auto"]

# benches/bench_predict.py::test_batch_size, 2 cores: 128 is the fastest of 16 (0.86 of it) to 4096
# (0.50); larger batches leave the cache.
_CPU_BATCH = 128
_CUDA_BATCH = 8192
# Pixels of images that go through the session together, at most as many as above.
_CPU_PIXELS = 1 << 18
_CUDA_PIXELS = 1 << 25


EMBEDDING = "embedding"  # the output that `Predictor.embed` gives and `Predictor.predict` does not


class Prediction(NamedTuple):
    """Outputs of one FASTA record or image file, by name; without the batch axis."""

    name: str
    outputs: Outputs


class Predictor:
    """A loaded model. Made by `load`; safe to share between threads.

    Attributes
    ----------
    name
        Of the model.
    card
        Its card, None for a third-party model.
    sha256
        Checksum of the model file.
    device
        Where it runs: ``"cpu"``, ``"cuda"`` (the first one) or ``"cuda:N"``.
    providers
        onnxruntime's execution providers of the session, in order.
    threads
        Threads used on the CPU.
    outputs
        Names of the outputs that `predict` gives, the model's answer first.
    embeds
        Whether the model has an embedding, which `embed` gives.
    """

    def __init__(
        self,
        session: Session,
        *,
        name: str,
        sha256: str,
        takes: ModelInput,
        card: ModelCard | None,
    ) -> None:
        self.name = name
        self.card = card
        self.sha256 = sha256
        self.device = session.device
        self.providers = tuple(session.providers)
        self.threads = session.threads
        names = tuple(t.name for t in card.outputs) if card else tuple(session.outputs)
        self.embeds = card is not None and EMBEDDING in names
        self.outputs = tuple(n for n in names if not (self.embeds and n == EMBEDDING))
        self._session = session
        self._input = takes
        self._extra = [n for n in session.inputs if n != takes.name]

    @property
    def takes(self) -> Literal["sequences", "images"]:
        """What it predicts from."""
        return self._input.takes

    @property
    def window(self) -> int | None:
        """Sequence length the model takes, None if any from `min_length` on; None for images."""
        return self._input.length if isinstance(self._input, SequenceInput) else None

    @property
    def alphabet(self) -> str:
        """Letters that its sequence input tells apart, in the order of its channels."""
        return self._sequences("letters").alphabet.letters

    @property
    def min_length(self) -> int:
        """Shortest sequence the model takes."""
        given = self._sequences("a shortest length")
        return given.length or given.min_length

    @property
    def image_input(self) -> ImageInput:
        """Size and channels of the images that it takes.

        Raises
        ------
        TypeError
            It takes sequences.
        """
        if not isinstance(self._input, ImageInput):
            raise TypeError(f"{self.name} takes sequences, not images")
        return self._input

    def _sequences(self, what: str) -> SequenceInput:
        if not isinstance(self._input, SequenceInput):
            raise TypeError(f"{self.name} takes images, not sequences: it has not {what}")
        return self._input

    def batch_size(self, asked: BatchSize = "auto") -> int:
        """The number of sequences, or of small images, per call of the session.

        Raises
        ------
        ValueError
            Neither ``"auto"`` nor a number from 1.
        """
        if self._input.batch is not None:
            return self._input.batch
        if asked == "auto":
            return _CPU_BATCH if self.device == "cpu" else _CUDA_BATCH
        if not isinstance(asked, int) or asked < 1:
            raise ValueError(f"batch_size must be 'auto' or at least 1, not {asked!r}")
        return asked

    def _limit(self, asked: BatchSize) -> Limit:
        """How many items go through the session together."""
        size = self.batch_size(asked)
        if asked != "auto" or self.takes == "sequences":
            return lambda _: size
        pixels = _CPU_PIXELS if self.device == "cpu" else _CUDA_PIXELS
        return lambda each: max(1, min(size, pixels // each))

    def predict(self, x: Any, *, batch_size: BatchSize = "auto", **inputs: NDArray[Any]) -> Outputs:
        """Predict a batch of sequences or images.

        Parameters
        ----------
        x
            N sequences: a list of str, bytes or uint8 arrays, or a uint8 array of shape (N, L); or
            N images: a uint8 array of shape (N, H, W), grey, or (N, H, W, 3), RGB, or a list of
            arrays without that first axis. A single one counts as a batch of one.
        batch_size
            Items per call of the session; the result does not depend on it.
        **inputs
            Further inputs of the model by name, arrays whose first axis is N.

        Returns
        -------
        dict from output name to float32 array of shape (N, ...), in the order of ``x``; the
        model's answer first.

        Raises
        ------
        ShapeError
            A sequence of a length, or an image of a size or kind, that the model does not take; a
            further input of another size.
        AlphabetError
            A byte outside the model's alphabet.
        TypeError
            A further input missing or unknown.
        """
        batch = self._input.batch_of(x)
        extra = self._check_extra(inputs, len(batch))
        return self._predict(batch, self._limit(batch_size), extra, self.outputs)

    def embed(
        self, x: Any, *, batch_size: BatchSize = "auto", **inputs: NDArray[Any]
    ) -> NDArray[np.float32]:
        """The penultimate layer's activations of a batch.

        Parameters
        ----------
        x, batch_size, **inputs
            As for `predict`.

        Returns
        -------
        float32, shape (N, D), or as the card says; in the order of ``x``.

        Raises
        ------
        TypeError
            The model has no embedding; and as `predict`.
        ShapeError, AlphabetError
            As `predict`.
        """
        self.refuse_no_embedding()
        batch = self._input.batch_of(x)
        extra = self._check_extra(inputs, len(batch))
        names = (EMBEDDING,)
        return self._predict(batch, self._limit(batch_size), extra, names)[EMBEDDING]

    def _predict(self, batch: Any, limit: Limit, extra: Arrays, names: tuple[str, ...]) -> Outputs:
        results: Outputs = {}
        for rows, outputs in self._runs(batch, limit, extra, names, Labels()):
            for name, values in outputs.items():
                if name not in results:
                    results[name] = np.empty((len(batch), *values.shape[1:]), np.float32)
                if results[name].shape[1:] != values.shape[1:]:
                    raise ShapeError(
                        f"{self.name}: the shape of output {name!r} depends on that of the input: "
                        "predict inputs of one size at a time, or with predict_iter"
                    )
                results[name][rows] = values
        return results or self._empty(names)

    def _runs(
        self, batch: Any, limit: Limit, extra: Arrays, names: tuple[str, ...], labels: Labels
    ) -> Iterator[tuple[NDArray[np.int64], Outputs]]:
        """Rows of the batch that went through the session together, and their outputs."""
        for rows, chunk in self._input.chunks(batch, limit, labels):
            feeds = {name: array[rows] for name, array in extra.items()}
            yield rows, self.run_batch(chunk, feeds, names)

    def _each(
        self,
        items: Sequence[Any],
        limit: Limit,
        extra: Arrays,
        names: tuple[str, ...],
        labels: Labels,
    ) -> Iterator[Outputs]:
        """Outputs of each item, in order, without batch axis."""
        batch = self._input.batch_of(items)
        found: list[Outputs] = [{}] * len(batch)
        for rows, outputs in self._runs(batch, limit, extra, names, labels):
            for i, row in enumerate(rows.tolist()):
                found[row] = {name: values[i] for name, values in outputs.items()}
        return iter(found)

    def run_batch(
        self,
        chunk: NDArray[np.uint8],
        extra: Arrays | None = None,
        outputs: tuple[str, ...] | None = None,
    ) -> Outputs:
        """One call of the session on items that are known to be valid.

        Parameters
        ----------
        chunk
            uint8, any strides: ASCII letters (n, L), or images (n, H, W) or (n, H, W, 3).
        extra
            Further inputs by name.
        outputs
            Names of those wanted; default `outputs`.

        Returns
        -------
        dict from output name to float32 array of shape (n, ...).
        """
        n = len(chunk)
        feeds = {self._input.name: self._input.feed(np.ascontiguousarray(chunk))}
        feeds.update(extra or {})
        fixed = self._input.batch
        if fixed is not None and n < fixed:
            feeds = {k: np.concatenate([v, v[:1].repeat(fixed - n, 0)]) for k, v in feeds.items()}
        names = self.outputs if outputs is None else outputs
        values = self._session.run(feeds, names)
        return {
            name: np.asarray(value[:n], dtype=np.float32)
            for name, value in zip(names, values, strict=True)
        }

    def predict_iter(
        self, items: Iterable[Any], *, batch_size: BatchSize = "auto"
    ) -> Iterator[Outputs]:
        """Predict sequences or images one after another, with the memory of one batch.

        Yields
        ------
        For each item, in order, a dict from output name to float32 array without batch axis.

        Raises
        ------
        ShapeError, AlphabetError
            As `predict`; the number in the message counts from the start of ``items``.
        """
        self.refuse_extra()
        first = 0
        size, limit = self.batch_size(batch_size), self._limit(batch_size)
        left = iter(items)
        while chunk := list(itertools.islice(left, size)):
            yield from self._each(chunk, limit, {}, self.outputs, Labels(first=first))
            first += len(chunk)

    def predict_fasta(
        self,
        source: FastaSource,
        *,
        batch_size: BatchSize = "auto",
        inputs: Mapping[str, Mapping[str, float]] | None = None,
        embed: bool = False,
    ) -> Iterator[Prediction]:
        """Predict every record of a FASTA file, with the memory of one batch.

        Parameters
        ----------
        source
            As for `seqtile.read_fasta`.
        inputs
            Further inputs of the model: for each its value by the record's name.
        embed
            Give the embedding instead of the answers.

        Yields
        ------
        `Prediction` of each record, in the file's order.

        Raises
        ------
        ShapeError, AlphabetError
            As `predict`, naming the record.
        TypeError
            A further input missing or unknown; no embedding to give.
        ValueError
            A record that a further input has no value for.
        FastaParseError
            As `seqtile.read_fasta`.
        """
        self._sequences("FASTA records to predict")
        values = inputs or {}
        self._check_names(values)
        records = ((record.name, record.sequence) for record in read_fasta(source))
        yield from self._named(records, batch_size, values, embed=embed)

    def predict_images(
        self,
        paths: Iterable[str | PathLike[str]],
        *,
        batch_size: BatchSize = "auto",
        crop: int | None = None,
        resize: bool = False,
        embed: bool = False,
        failed: Callable[[Exception], object] | None = None,
    ) -> Iterator[Prediction]:
        """Predict image files, with the memory of one batch.

        Parameters
        ----------
        paths
            Image files, as `seqtile.find_images` finds them.
        crop, resize
            Keep the square of this side in the middle; then resize to what the model takes; see
            `Fitting`.
        embed
            Give the embedding instead of the answers.
        failed
            Called with the error of a file that cannot be read, which is left out; without it
            that is raised.

        Yields
        ------
        `Prediction` of each file, in order, named by its path.

        Raises
        ------
        ImageError
            A file that is damaged, or no image that the model takes.
        FileNotFoundError, IsADirectoryError, PermissionError
            A file that cannot be opened.
        TypeError
            The model takes sequences, or has no embedding to give.
        """
        from .image_items import Fitting

        wanted, fitting = self.image_input, Fitting(crop, resize)
        self.refuse_extra()

        def read() -> Iterator[tuple[str, NDArray[np.uint8]]]:
            for path in paths:
                try:
                    yield fspath(path), fitting.read(path, wanted)
                except IMAGE_FAILURES as error:
                    if failed is None:
                        raise
                    failed(error)

        yield from self._named(read(), batch_size, {}, embed=embed)

    def _named(
        self,
        items: Iterable[tuple[str, Any]],
        batch_size: BatchSize,
        values: Mapping[str, Mapping[str, float]],
        *,
        embed: bool,
    ) -> Iterator[Prediction]:
        if embed:
            self.refuse_no_embedding()
        wanted = (EMBEDDING,) if embed else self.outputs
        size, limit = self.batch_size(batch_size), self._limit(batch_size)
        left = iter(items)
        while chunk := list(itertools.islice(left, size)):
            names = [name for name, _ in chunk]
            extra = {name: _column(name, values[name], names) for name in self._extra}
            rows = self._each(
                [item for _, item in chunk], limit, extra, wanted, Labels(names=names)
            )
            yield from map(Prediction, names, rows)

    def refuse_no_embedding(self) -> None:
        """Raise `TypeError` if the model has no embedding."""
        if not self.embeds:
            raise TypeError(f"{self.name} has no embedding; its outputs are {list(self.outputs)}")

    def refuse_extra(self) -> None:
        """Raise `TypeError` if the model needs more than sequences or images."""
        if self._extra:
            raise TypeError(f"{self.name} also needs the input {self._extra[0]!r}: use predict")

    def _check_names(self, inputs: Iterable[str]) -> None:
        given = set(inputs)
        if missing := [name for name in self._extra if name not in given]:
            raise TypeError(
                f"{self.name} also needs the input {missing[0]!r} "
                f"(on the command line --input {missing[0]}=FILE)"
            )
        if odd := sorted(given.difference(self._extra)):
            raise TypeError(f"{self.name} has no input {odd[0]!r}; it has {self._extra}")

    def _check_extra(self, inputs: Arrays, n: int) -> dict[str, NDArray[Any]]:
        self._check_names(inputs)
        checked = {}
        for name, values in inputs.items():
            array = np.ascontiguousarray(values, dtype=np.float32)
            wanted = [n, *self._session.inputs[name][1][1:]]
            if array.ndim == len(wanted) - 1:
                array = array[..., None]
            if array.ndim != len(wanted) or any(
                isinstance(axis, int) and axis != size
                for axis, size in zip(wanted, array.shape, strict=True)
            ):
                raise ShapeError(f"{name}: expected shape {wanted}, not shape {np.shape(values)}")
            checked[name] = array
        return checked

    def _empty(self, names: tuple[str, ...]) -> Outputs:
        tails = (self._session.outputs[name][1][1:] for name in names)
        shapes = ([d if isinstance(d, int) else 0 for d in tail] for tail in tails)
        return {
            name: np.empty((0, *shape), np.float32)
            for name, shape in zip(names, shapes, strict=True)
        }

    def self_test(
        self, golden: Mapping[str, NDArray[Any]], tolerance: float | Mapping[str, float]
    ) -> None:
        """Predict the golden inputs and compare with their recorded outputs.

        Parameters
        ----------
        golden
            Inputs and outputs by name.
        tolerance
            What an output may differ by, absolutely; of all outputs or by name.

        Raises
        ------
        ModelIntegrityError
            An input or output is missing, or an output differs by more than ``tolerance``.
        """
        outputs = (*self.outputs, EMBEDDING) if self.embeds else self.outputs
        wanted = {self._input.name, *self._extra, *outputs}
        if missing := sorted(wanted - golden.keys()):
            raise ModelIntegrityError(f"{self.name}: the golden arrays lack {missing[0]!r}")
        batch = self._input.batch_of(golden[self._input.name])
        extra = self._check_extra({name: golden[name] for name in self._extra}, len(batch))
        results = self._predict(batch, self._limit("auto"), extra, outputs)
        for name in outputs:
            error = float(np.max(np.abs(results[name] - golden[name]), initial=0))
            limit = tolerance[name] if isinstance(tolerance, Mapping) else tolerance
            if not error <= limit:
                raise ModelIntegrityError(
                    f"{self.name}: self-test failed on {self.device}: {name!r} differs from the "
                    f"golden output by {error:.3g}, more than {limit:g}"
                )


def _column(name: str, values: Mapping[str, float], records: Sequence[str]) -> NDArray[np.float32]:
    """A further input's values of these records, shape (n, 1)."""
    if missing := [record for record in records if record not in values]:
        raise ValueError(f"input {name!r} has no value for record {missing[0]!r}")
    return np.array([[values[record]] for record in records], np.float32)
