"""A model ready to predict: card, session, and batches of sequences."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .batch import Batch, Letters, SequenceBatch
from .cards import ModelCard
from .errors import ModelIntegrityError, ShapeError
from .fasta import FastaSource, read_fasta
from .inputs import Labels, SequenceInput
from .session import Session

__all__ = ["Prediction", "Predictor"]

Outputs: TypeAlias = dict[str, NDArray[np.float32]]
Arrays: TypeAlias = Mapping[str, NDArray[Any]]
BatchSize: TypeAlias = int | Literal["auto"]

# benches/bench_predict.py::test_batch_size, 2 cores: 128 is the fastest of 16 (0.86 of it) to 4096
# (0.50); larger batches leave the cache.
_CPU_BATCH = 128
_CUDA_BATCH = 8192


EMBEDDING = "embedding"  # the output that `Predictor.embed` gives and `Predictor.predict` does not


class Prediction(NamedTuple):
    """Outputs of one FASTA record, by name; without the batch axis."""

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
        sequence: SequenceInput,
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
        self._sequence = sequence
        self._extra = [n for n in session.inputs if n != sequence.name]

    @property
    def window(self) -> int | None:
        """Sequence length the model takes, None if any from `min_length` on."""
        return self._sequence.length

    @property
    def alphabet(self) -> str:
        """Letters that its sequence input tells apart, in the order of its channels."""
        return self._sequence.alphabet.letters

    @property
    def min_length(self) -> int:
        """Shortest sequence the model takes."""
        return self._sequence.length or self._sequence.min_length

    def batch_size(self, asked: BatchSize = "auto") -> int:
        """The number of sequences per call of the session.

        Raises
        ------
        ValueError
            Neither ``"auto"`` nor a number from 1.
        """
        if self._sequence.batch is not None:
            return self._sequence.batch
        if asked == "auto":
            return _CPU_BATCH if self.device == "cpu" else _CUDA_BATCH
        if not isinstance(asked, int) or asked < 1:
            raise ValueError(f"batch_size must be 'auto' or at least 1, not {asked!r}")
        return asked

    def predict(
        self, x: Batch, *, batch_size: BatchSize = "auto", **inputs: NDArray[Any]
    ) -> Outputs:
        """Predict a batch of sequences.

        Parameters
        ----------
        x
            N sequences: a list of str, bytes or uint8 arrays, or a uint8 array of shape (N, L).
            One sequence counts as a batch of one.
        batch_size
            Sequences per call of the session; the result does not depend on it.
        **inputs
            Further inputs of the model by name, arrays whose first axis is N.

        Returns
        -------
        dict from output name to float32 array of shape (N, ...), in the order of ``x``; the
        model's answer first.

        Raises
        ------
        ShapeError
            A sequence of a length the model does not take, a further input of another size.
        AlphabetError
            A byte outside the model's alphabet.
        TypeError
            A further input missing or unknown.
        """
        batch = SequenceBatch(x)
        extra = self._check_extra(inputs, len(batch))
        return self._predict(batch, self.batch_size(batch_size), extra, self.outputs)

    def embed(
        self, x: Batch, *, batch_size: BatchSize = "auto", **inputs: NDArray[Any]
    ) -> NDArray[np.float32]:
        """The penultimate layer's activations of a batch of sequences.

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
        batch = SequenceBatch(x)
        extra = self._check_extra(inputs, len(batch))
        names = (EMBEDDING,)
        return self._predict(batch, self.batch_size(batch_size), extra, names)[EMBEDDING]

    def _predict(
        self, batch: SequenceBatch, size: int, extra: Arrays, names: tuple[str, ...]
    ) -> Outputs:
        results: Outputs = {}
        for rows, outputs in self._runs(batch, size, extra, names, Labels()):
            for name, values in outputs.items():
                if name not in results:
                    results[name] = np.empty((len(batch), *values.shape[1:]), np.float32)
                if results[name].shape[1:] != values.shape[1:]:
                    raise ShapeError(
                        f"{self.name}: the shape of output {name!r} depends on the length: "
                        "predict sequences of one length at a time, or with predict_iter"
                    )
                results[name][rows] = values
        return results or self._empty(names)

    def _runs(
        self, batch: SequenceBatch, size: int, extra: Arrays, names: tuple[str, ...], labels: Labels
    ) -> Iterator[tuple[NDArray[np.int64], Outputs]]:
        """Rows of the batch of one length, as many as ``size``, and their outputs."""
        self._sequence.check_lengths(batch.lengths, labels)
        self._sequence.check_letters(batch, labels)
        for rows, letters in _by_length(batch):
            for begin in range(0, len(letters), size):
                chosen = rows[begin : begin + size]
                feeds = {name: array[chosen] for name, array in extra.items()}
                yield chosen, self.run_batch(letters[begin : begin + size], feeds, names)

    def _each(
        self, batch: SequenceBatch, size: int, extra: Arrays, names: tuple[str, ...], labels: Labels
    ) -> Iterator[Outputs]:
        """Outputs of each sequence, in order, without batch axis."""
        found: list[Outputs] = [{}] * len(batch)
        for rows, outputs in self._runs(batch, size, extra, names, labels):
            for i, row in enumerate(rows.tolist()):
                found[row] = {name: values[i] for name, values in outputs.items()}
        return iter(found)

    def run_batch(
        self,
        letters: NDArray[np.uint8],
        extra: Arrays | None = None,
        outputs: tuple[str, ...] | None = None,
    ) -> Outputs:
        """One call of the session on letters that are known to be valid.

        Parameters
        ----------
        letters
            uint8, shape (n, L) of ASCII letters; any strides.
        extra
            Further inputs by name.
        outputs
            Names of those wanted; default `outputs`.

        Returns
        -------
        dict from output name to float32 array of shape (n, ...).
        """
        n = len(letters)
        feeds = {self._sequence.name: self._sequence.feed(np.ascontiguousarray(letters))}
        feeds.update(extra or {})
        fixed = self._sequence.batch
        if fixed is not None and n < fixed:
            feeds = {k: np.concatenate([v, v[:1].repeat(fixed - n, 0)]) for k, v in feeds.items()}
        names = self.outputs if outputs is None else outputs
        values = self._session.run(feeds, names)
        return {
            name: np.asarray(value[:n], dtype=np.float32)
            for name, value in zip(names, values, strict=True)
        }

    def predict_iter(
        self, sequences: Iterable[Letters], *, batch_size: BatchSize = "auto"
    ) -> Iterator[Outputs]:
        """Predict sequences one after another, with the memory of one batch.

        Yields
        ------
        For each sequence, in order, a dict from output name to float32 array without batch axis.

        Raises
        ------
        ShapeError, AlphabetError
            As `predict`; the number in the message counts from the start of ``sequences``.
        """
        self.refuse_extra()
        first = 0
        size = self.batch_size(batch_size)
        items = iter(sequences)
        while chunk := list(itertools.islice(items, size)):
            yield from self._each(SequenceBatch(chunk), size, {}, self.outputs, Labels(first=first))
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
        values = inputs or {}
        self._check_names(values)
        if embed:
            self.refuse_no_embedding()
        wanted = (EMBEDDING,) if embed else self.outputs
        size = self.batch_size(batch_size)
        records = read_fasta(source)
        while chunk := list(itertools.islice(records, size)):
            names = [record.name for record in chunk]
            batch = SequenceBatch([record.sequence for record in chunk])
            extra = {name: _column(name, values[name], names) for name in self._extra}
            rows = self._each(batch, size, extra, wanted, Labels(names=names))
            yield from map(Prediction, names, rows)

    def refuse_no_embedding(self) -> None:
        """Raise `TypeError` if the model has no embedding."""
        if not self.embeds:
            raise TypeError(f"{self.name} has no embedding; its outputs are {list(self.outputs)}")

    def refuse_extra(self) -> None:
        """Raise `TypeError` if the model needs more than sequences."""
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

    def self_test(self, golden: Mapping[str, NDArray[Any]], tolerance: float) -> None:
        """Predict the golden inputs and compare with their recorded outputs.

        Raises
        ------
        ModelIntegrityError
            An input or output is missing, or an output differs by more than ``tolerance``.
        """
        outputs = (*self.outputs, EMBEDDING) if self.embeds else self.outputs
        wanted = {self._sequence.name, *self._extra, *outputs}
        if missing := sorted(wanted - golden.keys()):
            raise ModelIntegrityError(f"{self.name}: the golden arrays lack {missing[0]!r}")
        batch = SequenceBatch(golden[self._sequence.name])
        extra = self._check_extra({name: golden[name] for name in self._extra}, len(batch))
        results = self._predict(batch, self.batch_size(), extra, outputs)
        for name in outputs:
            error = float(np.max(np.abs(results[name] - golden[name]), initial=0))
            if not error <= tolerance:
                raise ModelIntegrityError(
                    f"{self.name}: self-test failed on {self.device}: {name!r} differs from the "
                    f"golden output by {error:.3g}, more than {tolerance:g}"
                )


def _column(name: str, values: Mapping[str, float], records: Sequence[str]) -> NDArray[np.float32]:
    """A further input's values of these records, shape (n, 1)."""
    if missing := [record for record in records if record not in values]:
        raise ValueError(f"input {name!r} has no value for record {missing[0]!r}")
    return np.array([[values[record]] for record in records], np.float32)


def _by_length(batch: SequenceBatch) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """The batch's rows grouped by length: their indices, and their letters as (n, L)."""
    lengths = batch.lengths
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        yield rows, batch.letters(rows, length)
