"""A model ready to predict: contract, session, and batches of sequences or images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from os import PathLike
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelIntegrityError, ShapeError
from ..execution.batching import Batches, BatchSize
from ..execution.engine import Engine
from ..execution.executor import Executor
from ..execution.limits import Limits
from ..execution.profile import Profile
from ..execution.rows import Arrays, Outputs, Rows
from ..fasta.reader import FastaSource
from .card import ModelCard
from .contract import Contract
from .inputs import ImageInput, Labels, Part, SequenceInput, input_of
from .prediction import Prediction, PredictionBlock
from .streams import Stream, chunks_of, fasta_chunks, image_reader, item_chunks

__all__ = ["Prediction", "Predictor"]


class Predictor:
    """A loaded model. Made by `load`; safe to share between threads.

    Attributes
    ----------
    name
        Of the model.
    contract
        What it takes and gives.
    card
        Its card, which has the contract and words and figures; None for a third-party model.
    sha256
        Checksum of the model file.
    engine
        Its sessions.
    executor
        Runs rows that are known to be valid.
    device
        Where it runs: ``"cpu"``, ``"cuda"`` (the first one) or ``"cuda:N"``.
    precision
        In what it computes: ``"fp32"``, ``"tf32"``, ``"fp16"`` or ``"int8"``.
    providers
        onnxruntime's execution providers of the session, in order.
    threads
        Threads used on the CPU.
    outputs
        Names of the outputs that `predict` gives, the model's answer first.
    embeds
        Whether the model has an embedding, which `embed` gives.
    """

    def __init__(self, engine: Engine, contract: Contract, *, sha256: str) -> None:
        self.name = contract.name
        self.card = contract if isinstance(contract, ModelCard) else None
        self.contract = self.card.contract() if self.card else contract
        self.sha256 = sha256
        self.engine = engine
        self.device = engine.device
        self.precision = engine.precision
        self.providers = tuple(engine.providers)
        self.threads = engine.threads
        embeddings = tuple(t.name for t in contract.outputs if t.kind == "embedding")
        answers = tuple(t.name for t in contract.outputs if t.kind != "embedding")
        self.embeds = len(embeddings) > 0
        self.outputs = answers or embeddings
        self._embedding = embeddings[:1]
        batch = engine.inputs[contract.first.name][1][0]
        self._input = input_of(contract, batch if isinstance(batch, int) else None)
        self._extra = [t.name for t in contract.inputs if t.kind == "number"]
        self.executor = Executor(
            engine,
            self._input.name,
            self._input.feed,
            self.outputs,
            batch=self._input.batch,
            key=f"{sha256[:16]} {engine.key}",
        )

    @property
    def limits(self) -> Limits:
        """Sizes of what is taken at once."""
        return self.engine.limits

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

    def batches(self, asked: BatchSize = "auto") -> Batches:
        """Sizes of the batches of one call; see `predict`.

        Raises
        ------
        ValueError
            Neither ``"auto"`` nor a number from 1.
        """
        return self.executor.batches(asked)

    def predict(
        self,
        x: Any,
        *,
        batch_size: BatchSize = "auto",
        profile: Profile | None = None,
        **inputs: NDArray[Any],
    ) -> Outputs:
        """Predict a batch of sequences or images.

        Parameters
        ----------
        x
            N sequences: str, bytes or uint8 arrays in a list or any other iterable, as a column
            of pandas, an Arrow array, a numpy array of str; or a uint8 array of shape (N, L). Or
            N images: a uint8 array of shape (N, H, W), grey, or (N, H, W, 3), RGB, or an iterable
            of arrays without that first axis. A single one counts as a batch of one.
        batch_size
            Items per call of a session; the result does not depend on it. ``"auto"``: the fastest
            of a few, measured on the first thousands of items and then remembered in the user's
            cache folder (``SEQTILE_CACHE``). A batch that the device has not the memory for is
            halved.
        profile
            Where to count the time of each stage.
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
            A further input missing or unknown; sequences without order, as in a set or dict.
        ValueError
            A further input that is not finite; names its row.
        """
        batch = self._input.batch_of(x)
        extra = self._check_extra(inputs, len(batch))
        _refuse_not_finite(extra)
        return self._predict(batch, self.batches(batch_size), extra, self.outputs, profile)

    def embed(
        self,
        x: Any,
        *,
        batch_size: BatchSize = "auto",
        profile: Profile | None = None,
        **inputs: NDArray[Any],
    ) -> NDArray[np.float32]:
        """The penultimate layer's activations of a batch.

        Parameters
        ----------
        x, batch_size, profile, **inputs
            As for `predict`.

        Returns
        -------
        float32, shape (N, D), or as the card says; in the order of ``x``.

        Raises
        ------
        TypeError
            The model has no embedding; and as `predict`.
        ShapeError, AlphabetError, ValueError
            As `predict`.
        """
        self.refuse_no_embedding()
        batch = self._input.batch_of(x)
        extra = self._check_extra(inputs, len(batch))
        _refuse_not_finite(extra)
        found = self._predict(batch, self.batches(batch_size), extra, self._embedding, profile)
        return found[self._embedding[0]]

    def _predict(
        self,
        batch: Any,
        batches: Batches,
        extra: Arrays,
        names: tuple[str, ...],
        profile: Profile | None,
    ) -> Outputs:
        def prepare(chunk: Part) -> tuple[list[Rows], NDArray[np.int64]]:
            places, items = chunk
            return [Rows(items, {n: values[places] for n, values in extra.items()})], places

        def finish(
            places: NDArray[np.int64], found: list[Outputs]
        ) -> tuple[NDArray[np.int64], Outputs]:
            return places, found[0]

        share = -(-len(batch) // (2 * self.threads))  # a lane's, so that all have work

        def size(item: tuple[int, ...]) -> int:
            most = self.limits.chunk_batches * batches.largest(item)
            return min(most, max(batches.size(item), share))

        chunks = self._input.parts(batch, size, Labels())
        results: Outputs = {}
        for places, outputs in self.executor.map(
            chunks, prepare, finish, names, batches=batches, profile=profile, peek=True
        ):
            for name, values in outputs.items():
                if name not in results:
                    results[name] = np.empty((len(batch), *values.shape[1:]), np.float32)
                if results[name].shape[1:] != values.shape[1:]:
                    raise ShapeError(
                        f"{self.name}: the shape of output {name!r} depends on that of the input: "
                        "predict inputs of one size at a time, or with predict_iter"
                    )
                results[name][places] = values
        return results or self._empty(names)

    def run_batch(
        self,
        items: NDArray[np.uint8],
        extra: Arrays | None = None,
        outputs: tuple[str, ...] | None = None,
    ) -> Outputs:
        """One call of the session, with all threads, on items that are known to be valid.

        Parameters
        ----------
        items
            uint8, any strides: ASCII letters (n, L), or images (n, H, W) or (n, H, W, 3).
        extra
            Further inputs by name.
        outputs
            Names of those wanted; default `outputs`.

        Returns
        -------
        dict from output name to float32 array of shape (n, ...).
        """
        return self.executor.run_batch(Rows(items, extra or {}), outputs)

    def predict_iter(
        self,
        items: Iterable[Any],
        *,
        batch_size: BatchSize = "auto",
        profile: Profile | None = None,
    ) -> Iterator[Outputs]:
        """Predict sequences or images one after another, with the memory of a few batches.

        ``items`` is read from other threads, one at a time, some batches ahead.

        Yields
        ------
        For each item, in order, a dict from output name to float32 array without batch axis.

        Raises
        ------
        ShapeError, AlphabetError
            As `predict`; the number in the message counts from the start of ``items``.
        """
        self.refuse_extra()
        stream = self._stream(batch_size, {}, profile, embed=False)
        if hasattr(items, "to_pylist"):  # Arrow's, which gives scalars of its own
            items = items.to_pylist()
        chunks = item_chunks(items, stream.chunk, stream.extent)
        for block in stream.answers(chunks, lambda chunk: chunk):
            yield from block.rows()

    def predict_fasta(
        self,
        source: FastaSource,
        *,
        batch_size: BatchSize = "auto",
        inputs: Mapping[str, Mapping[str, float]] | None = None,
        embed: bool = False,
        failed: Callable[[Exception], object] | None = None,
        profile: Profile | None = None,
    ) -> Iterator[Prediction]:
        """Predict every record of a FASTA file, with the memory of a few batches.

        Parameters
        ----------
        source
            As for `seqtile.read_fasta`.
        batch_size, profile
            As for `predict`.
        inputs
            Further inputs of the model: for each its value by the record's name.
        embed
            Give the embedding instead of the answers.
        failed
            Called with the error of a record that the model does not take, which is left out;
            without it that is raised, after the predictions of the records before.

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
            A record that a further input has no value for, or none that is finite.
        FastaParseError
            As `seqtile.read_fasta`.
        """
        for block in self.fasta_blocks(
            source,
            batch_size=batch_size,
            inputs=inputs,
            embed=embed,
            failed=failed,
            profile=profile,
        ):
            yield from block

    def fasta_blocks(
        self,
        source: FastaSource,
        *,
        batch_size: BatchSize = "auto",
        inputs: Mapping[str, Mapping[str, float]] | None = None,
        embed: bool = False,
        failed: Callable[[Exception], object] | None = None,
        profile: Profile | None = None,
    ) -> Iterator[PredictionBlock]:
        """As `predict_fasta`, many records at a time."""
        self._sequences("FASTA records to predict")
        values = inputs or {}
        self._check_names(values)
        stream = self._stream(batch_size, values, profile, embed=embed)
        chunks = fasta_chunks(source, stream.chunk)
        yield from stream.answers(chunks, lambda chunk: chunk, failed)

    def predict_images(
        self,
        paths: Iterable[str | PathLike[str]],
        *,
        batch_size: BatchSize = "auto",
        crop: int | None = None,
        resize: bool = False,
        embed: bool = False,
        failed: Callable[[Exception], object] | None = None,
        profile: Profile | None = None,
    ) -> Iterator[Prediction]:
        """Predict image files, with the memory of a few batches.

        Parameters
        ----------
        paths
            Image files, as `seqtile.find_images` finds them.
        batch_size, profile
            As for `predict`.
        crop, resize
            Keep the square of this side in the middle; then resize to what the model takes; see
            `seqtile.images.fitting.Fitting`.
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
        for block in self.image_blocks(
            paths,
            batch_size=batch_size,
            crop=crop,
            resize=resize,
            embed=embed,
            failed=failed,
            profile=profile,
        ):
            yield from block

    def image_blocks(
        self,
        paths: Iterable[str | PathLike[str]],
        *,
        batch_size: BatchSize = "auto",
        crop: int | None = None,
        resize: bool = False,
        embed: bool = False,
        failed: Callable[[Exception], object] | None = None,
        profile: Profile | None = None,
    ) -> Iterator[PredictionBlock]:
        """As `predict_images`, several files at a time."""
        from ..images.fitting import Fitting

        read = image_reader(Fitting(crop, resize), self.image_input, leave_out=failed is not None)
        self.refuse_extra()
        stream = self._stream(batch_size, {}, profile, embed=embed)
        found = chunks_of(paths, stream.chunk)
        yield from stream.answers(found, read, failed)

    def _stream(
        self,
        batch_size: BatchSize,
        values: Mapping[str, Mapping[str, float]],
        profile: Profile | None,
        *,
        embed: bool,
    ) -> Stream:
        if embed:
            self.refuse_no_embedding()
        wanted = self._embedding if embed else self.outputs
        batches = self.batches(batch_size)
        return Stream(
            self.executor,
            self._input,
            batches,
            wanted,
            values,
            profile,
            self.device,
            self.limits,
        )

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
        if odd := sorted(given.difference(self._extra)):
            there = f"it has {self._extra}" if self._extra else f"it takes {self.takes} alone"
            raise TypeError(f"{self.name} has no input {odd[0]!r}; {there}")
        if missing := [name for name in self._extra if name not in given]:
            raise TypeError(
                f"{self.name} also needs the input {missing[0]!r} "
                f"(on the command line --input {missing[0]}=FILE)"
            )

    def _check_extra(self, inputs: Arrays, n: int) -> dict[str, NDArray[Any]]:
        self._check_names(inputs)
        checked = {}
        for name, values in inputs.items():
            array = _numbers(name, values)
            wanted = [n, *self.engine.inputs[name][1][1:]]
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
        tails = (self.engine.outputs[name][1][1:] for name in names)
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
            An input or output is missing or has no rows, or an output differs by more than
            ``tolerance``; one so large that any output would do.
        """
        outputs = tuple(tensor.name for tensor in self.contract.outputs)
        wanted = {self._input.name, *self._extra, *outputs}
        if missing := sorted(wanted - golden.keys()):
            raise ModelIntegrityError(f"{self.name}: the golden arrays lack {missing[0]!r}")
        for name in sorted(wanted):
            if not np.size(golden[name]):
                raise ModelIntegrityError(f"{self.name}: the golden arrays of {name!r} are empty")
        batch = self._input.batch_of(golden[self._input.name])
        extra = self._check_extra({name: golden[name] for name in self._extra}, len(batch))
        results = self._predict(batch, self.batches(), extra, outputs, None)
        for name in outputs:
            found, expected = results[name], golden[name]
            if found.shape != expected.shape or expected.dtype.kind not in "fiu":
                raise ModelIntegrityError(
                    f"{self.name}: {name!r} has the shape {found.shape}, its golden array the "
                    f"shape {expected.shape} of {expected.dtype}"
                )
            error = float(np.max(np.abs(found - expected)))
            limit = tolerance[name] if isinstance(tolerance, Mapping) else tolerance
            scale = max(1.0, float(np.max(np.abs(expected))))
            if not 0 <= limit < scale:
                raise ModelIntegrityError(
                    f"{self.name}: golden outputs {name!r} of at most {scale:g} prove nothing with "
                    f"a tolerance of {limit:g}"
                )
            if not error <= limit:
                raise ModelIntegrityError(
                    f"{self.name}: self-test failed on {self.device}: {name!r} differs from the "
                    f"golden output by {error:.3g}, more than {limit:g}"
                )


def _numbers(name: str, values: Any) -> NDArray[np.float32]:
    given = list(values) if isinstance(values, Iterator) else values
    try:
        with np.errstate(over="ignore"):  # infinite then, which is refused
            return np.ascontiguousarray(given, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{name}: expected an array of numbers: {error}") from None


def _refuse_not_finite(inputs: Arrays) -> None:
    for name, values in inputs.items():
        if len(wrong := np.argwhere(~np.isfinite(values))):
            row, found = int(wrong[0, 0]), values[tuple(wrong[0])]
            raise ValueError(f"{name}: expected finite numbers, row {row} has {found}")
