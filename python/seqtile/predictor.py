"""A model ready to predict: card, session, and batches of sequences."""

from __future__ import annotations

import hashlib
import io
import itertools
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from . import _core
from .cards import METADATA_KEY, ModelCard, TensorSpec
from .errors import (
    AlphabetError,
    ModelCardError,
    ModelIntegrityError,
    ModelNotFoundError,
    ShapeError,
)
from .fasta import FastaSource, read_fasta
from .sequence import Alphabet, Batch, Layout, Letters, SequenceBatch, one_hot
from .session import Session, open_session
from .zoo import model_folder, read_card

__all__ = ["InputSpec", "Prediction", "Predictor", "load"]

Outputs: TypeAlias = dict[str, NDArray[np.float32]]
BatchSize: TypeAlias = int | Literal["auto"]

# benches/bench_predict.py::test_batch_size: throughput on the CPU is flat from 64 to 512.
_CPU_BATCH = 128
_CUDA_BATCH = 8192


@dataclass(frozen=True)
class InputSpec:
    """How a third-party model wants its sequences.

    Attributes
    ----------
    layout
        ``"NCL"`` or ``"NLC"``: float32 one-hot of shape (batch, channels, length) or
        (batch, length, channels); ``"bytes"``: uint8 letters of shape (batch, length).
    alphabet
        Channel order, as in `seqtile.one_hot`.
    unknown
        Column of an unknown letter: ``"zero"``, ``"uniform"`` or ``"raise"``.
    name
        Name of the graph's sequence input; default its first.
    length
        Sequence length where the graph leaves it open but the model does not.
    """

    layout: Layout | Literal["bytes"] = "NCL"
    alphabet: str = "dna"
    unknown: Literal["zero", "uniform", "raise"] = "zero"
    name: str | None = None
    length: int | None = None

    def __post_init__(self) -> None:
        if self.layout not in ("NCL", "NLC", "bytes"):
            raise ValueError(f"layout must be 'NCL', 'NLC' or 'bytes', not {self.layout!r}")
        if self.unknown not in ("zero", "uniform", "raise"):
            raise ValueError(f"unknown must be 'zero', 'uniform' or 'raise', not {self.unknown!r}")


class Prediction(NamedTuple):
    """Outputs of one FASTA record, by name; without the batch axis."""

    name: str
    outputs: Outputs


@dataclass(frozen=True)
class _Labels:
    """What errors call the sequences of a batch."""

    first: int = 0
    names: Sequence[str] = ()

    def __call__(self, index: int) -> str:
        return f"record {self.names[index]!r}" if self.names else f"sequence {self.first + index}"


class _SequenceInput:
    """The sequence input of a graph: checks lengths and letters, turns bytes into feeds."""

    def __init__(self, name: str, spec: InputSpec, batch: int | None, length: int | None) -> None:
        self.name = name
        self.spec = spec
        self.alphabet = Alphabet(spec.alphabet)
        self.batch = batch
        self.length = length
        self.min_length = 1

    def check_letters(self, batch: SequenceBatch, labels: _Labels) -> None:
        strict = self.spec.unknown == "raise"
        codes = np.empty_like(batch.data)
        refused = _core.encode(batch.data, self.alphabet.core, strict, codes)
        if refused >= 0:
            error = batch.error(refused, self.alphabet, raised_unknown=strict)
            raise AlphabetError(
                error.position,
                error.byte,
                expected=error.expected,
                index=labels.first + error.index,
                record=labels.names[error.index] if labels.names else "",
            )

    def check_lengths(self, lengths: NDArray[np.int64], labels: _Labels) -> None:
        wrong = lengths < self.min_length if self.length is None else lengths != self.length
        if wrong.any():
            index = int(np.flatnonzero(wrong)[0])
            wanted = self.length or f"at least {self.min_length}"
            raise ShapeError(
                f"{labels(index)} has {lengths[index]} letters, the model takes {wanted}"
            )

    def feed(self, letters: NDArray[np.uint8]) -> NDArray[Any]:
        if self.spec.layout == "bytes":
            return letters
        return one_hot(
            letters,
            alphabet=self.spec.alphabet,
            layout=self.spec.layout,
            unknown=self.spec.unknown,
        )


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
        Where it runs: ``"cpu"`` or ``"cuda:N"``.
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
        sequence: _SequenceInput,
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
        return self._predict(batch, self.batch_size(batch_size), extra, _Labels())

    def _predict(
        self,
        batch: SequenceBatch,
        size: int,
        extra: Mapping[str, NDArray[Any]],
        labels: _Labels,
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
            yield from _rows(self._predict(SequenceBatch(chunk), size, {}, _Labels(first=first)))
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
            rows = _rows(self._predict(batch, size, {}, _Labels(names=names)))
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
        results = self._predict(batch, self.batch_size(), extra, _Labels())
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
    if len(batch) and (lengths == lengths[0]).all():
        yield np.arange(len(batch)), batch.data.reshape(len(batch), int(lengths[0]))
        return
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        index = batch.offsets[rows, None] + np.arange(length)
        yield rows, batch.data[index]


def load(
    name_or_path: str | PathLike[str],
    *,
    device: str = "auto",
    threads: int | None = None,
    input: InputSpec | None = None,
) -> Predictor:
    """Load a model and prove that it is the one its card describes.

    Parameters
    ----------
    name_or_path
        Name of a shipped model (`seqtile.list_models`), a model folder, or an ``.onnx`` file. Of a
        shipped model or a folder the checksum is verified and the golden inputs are predicted; a
        lone file exported by seqtile carries its card in its metadata.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:N"``, or ``"auto"``: CUDA where it runs, else the CPU
        (logged). The device asked for is the device used, or an error.
    threads
        Threads on the CPU; default: what affinity and cgroup grant this process.
    input
        For a third-party ``.onnx``: how it wants its sequences.

    Raises
    ------
    ModelNotFoundError
        No such name or path; suggests the nearest name.
    ModelIntegrityError
        A wrong checksum, a file that is no ONNX model, golden outputs that differ.
    ModelCardError
        A malformed card, or one that does not fit its model; a lone file without card or ``input``.
    ProviderError
        The device cannot run here; says what is missing and the mend.

    Examples
    --------
    >>> predictor = load("jund-cnn-seq", device="cpu")
    >>> predictor.predict(["ACGT" * 25 + "A"])["probability"].shape
    (1,)
    """
    path = Path(name_or_path)
    if path.suffix == ".onnx" and input is not None:
        return _load_foreign(path, device, threads, input)
    if path.suffix == ".onnx":
        return _load_file(path, device, threads)
    folder = path if path.is_dir() else model_folder(fspath(name_or_path))
    card = read_card(folder)
    model = _read_model(folder / "model.onnx")
    digest = hashlib.sha256(model).hexdigest()
    if digest != card.sha256:
        raise ModelIntegrityError(
            f"{folder / 'model.onnx'}: sha256 is {digest[:12]}…, the card says "
            f"{card.sha256[:12]}…: the file is corrupt or another model's; install seqtile again"
        )
    predictor = _with_card(model, card, digest, device, threads)
    predictor.self_test(_read_golden(folder / "golden.npz"), card.tolerance)
    return predictor


def _read_golden(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(path.read_bytes())) as golden:
            return dict(golden)
    except (OSError, EOFError, ValueError, BadZipFile, zlib.error) as error:
        raise ModelIntegrityError(f"{path}: no golden outputs to test: {error}") from None


def _read_model(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise ModelNotFoundError(f"no model file {path}") from None


def _with_card(
    model: bytes, card: ModelCard, digest: str, device: str, threads: int | None
) -> Predictor:
    session = open_session(model, device, threads=threads, source=card.name)
    _check_contract(session, card)
    first = card.inputs[0]
    spec = InputSpec(layout="bytes", alphabet=first.alphabet or "dna", name=first.name)
    sequence = _SequenceInput(first.name, spec, None, card.window)
    sequence.min_length = max(1, first.min_length)
    return Predictor(session, name=card.name, sha256=digest, sequence=sequence, card=card)


def _check_contract(session: Session, card: ModelCard) -> None:
    """Names, types and fixed axes of the graph must be the card's."""
    for kind, actual, tensors in (
        ("input", session.inputs, card.inputs),
        ("output", session.outputs, card.outputs),
    ):
        if set(actual) != {t.name for t in tensors}:
            raise ModelCardError(
                f"{card.name}: the card's {kind}s are {[t.name for t in tensors]}, the model's "
                f"{list(actual)}"
            )
        for tensor in tensors:
            _check_tensor(card.name, kind, tensor, *actual[tensor.name])


def _check_tensor(
    model: str, kind: str, tensor: TensorSpec, type_name: str, shape: list[int | str | None]
) -> None:
    wanted = {"uint8": "tensor(uint8)", "float32": "tensor(float)"}.get(tensor.dtype)
    fixed = [axis if isinstance(axis, int) else None for axis in tensor.shape]
    found = [axis if isinstance(axis, int) else None for axis in shape]
    if type_name != wanted or fixed != found:
        raise ModelCardError(
            f"{model}: {kind} {tensor.name!r} is {type_name} {shape} in the model, "
            f"{tensor.dtype} {list(tensor.shape)} in the card"
        )


def _load_file(path: Path, device: str, threads: int | None) -> Predictor:
    model = _read_model(path)
    text = Session(model, threads=1, source=str(path)).metadata.get(METADATA_KEY)
    if text is None:
        raise ModelCardError(
            f"{path}: not exported by seqtile (no card in its metadata): say how it takes its "
            "sequences with input=InputSpec(...)"
        )
    card = ModelCard.from_json(text, source=str(path))
    return _with_card(model, card, hashlib.sha256(model).hexdigest(), device, threads)


def _load_foreign(path: Path, device: str, threads: int | None, spec: InputSpec) -> Predictor:
    model = _read_model(path)
    session = open_session(model, device, threads=threads, source=str(path))
    name = spec.name or next(iter(session.inputs), "")
    if name not in session.inputs:
        raise ModelCardError(f"{path}: no input {name!r}; it has {list(session.inputs)}")
    type_name, shape = session.inputs[name]
    rank, wanted = (2, "tensor(uint8)") if spec.layout == "bytes" else (3, "tensor(float)")
    if type_name != wanted or len(shape) != rank:
        raise ModelCardError(
            f"{path}: layout {spec.layout!r} needs a {wanted} input of {rank} axes, {name!r} is "
            f"{type_name} {shape}"
        )
    axis = 2 if spec.layout == "NCL" else 1
    channels = shape[3 - axis] if rank == 3 else None
    letters = len(Alphabet(spec.alphabet).letters)
    swapped = rank == 3 and shape[axis] == letters
    if channels != letters and (isinstance(channels, int) or swapped):
        raise ModelCardError(
            f"{path}: {name!r} has {channels} channels, alphabet {spec.alphabet!r} has {letters}; "
            "is the layout right?"
        )
    fixed = [n if isinstance(n, int) else None for n in (shape[0], shape[axis])]
    sequence = _SequenceInput(name, spec, fixed[0], fixed[1] or spec.length)
    digest = hashlib.sha256(model).hexdigest()
    return Predictor(session, name=path.stem, sha256=digest, sequence=sequence, card=None)
