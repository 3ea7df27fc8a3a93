"""A model ready to predict: card, session, and batches of sequences."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
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
BatchSize: TypeAlias = int | Literal["auto"]

# benches/bench_predict.py::test_batch_size, 2 cores: 128 is the fastest of 16 (0.86 of it) to 4096
# (0.50); larger batches leave the cache.
_CPU_BATCH = 128
_CUDA_BATCH = 8192


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
        Names of the outputs, the model's answer first.
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
        self.outputs = tuple(t.name for t in card.outputs) if card else tuple(session.outputs)
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
        return self._predict(batch, self.batch_size(batch_size), extra, Labels())

    def _predict(
        self,
        batch: SequenceBatch,
        size: int,
        extra: Mapping[str, NDArray[Any]],
        labels: Labels,
    ) -> Outputs:
        self._sequence.check_lengths(batch.lengths, labels)
        self._sequence.check_letters(batch, labels)
        results: Outputs = {}
        for rows, letters in _by_length(batch):
            for begin in range(0, len(letters), size):
                chosen = rows[begin : begin + size]
                feeds = {name: array[chosen] for name, array in extra.items()}
                outputs = self.run_batch(letters[begin : begin + size], feeds)
                for name, values in outputs.items():
                    if name not in results:
                        results[name] = np.empty((len(batch), *values.shape[1:]), np.float32)
                    if results[name].shape[1:] != values.shape[1:]:
                        raise ShapeError(
                            f"{self.name}: the shape of output {name!r} depends on the length: "
                            "predict sequences of one length at a time"
                        )
                    results[name][chosen] = values
        return results or self._empty()

    def run_batch(
        self, letters: NDArray[np.uint8], extra: Mapping[str, NDArray[Any]] | None = None
    ) -> Outputs:
        """One call of the session on letters that are known to be valid.

        Parameters
        ----------
        letters
            uint8, shape (n, L) of ASCII letters; any strides.
        extra
            Further inputs by name.

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
        values = self._session.run(feeds, self.outputs)
        return {
            name: np.asarray(value[:n], dtype=np.float32)
            for name, value in zip(self.outputs, values, strict=True)
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
            yield from _rows(self._predict(SequenceBatch(chunk), size, {}, Labels(first=first)))
            first += len(chunk)

    def predict_fasta(
        self, source: FastaSource, *, batch_size: BatchSize = "auto"
    ) -> Iterator[Prediction]:
        """Predict every record of a FASTA file, with the memory of one batch.

        Parameters
        ----------
        source
            As for `seqtile.read_fasta`.

        Yields
        ------
        `Prediction` of each record, in the file's order.

        Raises
        ------
        ShapeError, AlphabetError
            As `predict`, naming the record.
        FastaParseError
            As `seqtile.read_fasta`.
        """
        self.refuse_extra()
        size = self.batch_size(batch_size)
        records = read_fasta(source)
        while chunk := list(itertools.islice(records, size)):
            names = [record.name for record in chunk]
            batch = SequenceBatch([record.sequence for record in chunk])
            rows = _rows(self._predict(batch, size, {}, Labels(names=names)))
            yield from map(Prediction, names, rows)

    def refuse_extra(self) -> None:
        """Raise `TypeError` if the model needs more than sequences."""
        if self._extra:
            raise TypeError(f"{self.name} also needs the input {self._extra[0]!r}: use predict")

    def _check_extra(self, inputs: Mapping[str, NDArray[Any]], n: int) -> dict[str, NDArray[Any]]:
        if missing := [name for name in self._extra if name not in inputs]:
            raise TypeError(f"{self.name} also needs the input {missing[0]!r}")
        if odd := [name for name in inputs if name not in self._extra]:
            raise TypeError(f"{self.name} has no input {odd[0]!r}; it has {self._extra}")
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

    def _empty(self) -> Outputs:
        tails = (self._session.outputs[name][1][1:] for name in self.outputs)
        shapes = ([d if isinstance(d, int) else 0 for d in tail] for tail in tails)
        return {
            name: np.empty((0, *shape), np.float32)
            for name, shape in zip(self.outputs, shapes, strict=True)
        }

    def self_test(self, golden: Mapping[str, NDArray[Any]], tolerance: float) -> None:
        """Predict the golden inputs and compare with their recorded outputs.

        Raises
        ------
        ModelIntegrityError
            An input or output is missing, or an output differs by more than ``tolerance``.
        """
        wanted = {self._sequence.name, *self._extra, *self.outputs}
        if missing := sorted(wanted - golden.keys()):
            raise ModelIntegrityError(f"{self.name}: the golden arrays lack {missing[0]!r}")
        batch = SequenceBatch(golden[self._sequence.name])
        extra = self._check_extra({name: golden[name] for name in self._extra}, len(batch))
        results = self._predict(batch, self.batch_size(), extra, Labels())
        for name in self.outputs:
            error = float(np.max(np.abs(results[name] - golden[name]), initial=0))
            if not error <= tolerance:
                raise ModelIntegrityError(
                    f"{self.name}: self-test failed on {self.device}: {name!r} differs from the "
                    f"golden output by {error:.3g}, more than {tolerance:g}"
                )


def _rows(results: Outputs) -> Iterator[Outputs]:
    for i in range(len(next(iter(results.values())))):
        yield {name: values[i] for name, values in results.items()}


def _by_length(batch: SequenceBatch) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """The batch's rows grouped by length: their indices, and their letters as (n, L)."""
    lengths = batch.lengths
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        yield rows, batch.letters(rows, length)
