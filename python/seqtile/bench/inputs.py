"""What a benchmark feeds to a model: its golden inputs, a FASTA file's letters, or random ones."""

from __future__ import annotations

import io
import itertools
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelIntegrityError
from ..fasta.reader import read_fasta
from ..models.predictor import Predictor
from ..models.zoo import model_folder

__all__ = ["Batch", "Shape", "Source", "Workload", "model_file"]

Shape: TypeAlias = tuple[int, ...]

GOLDEN, RANDOM = "golden", "random"
_TOTAL_BYTES = 1 << 25  # of all batches of a workload
_MOST_BATCHES = 16


@dataclass(frozen=True)
class Batch:
    """Items of one shape, uint8 (n, L), (n, H, W) or (n, H, W, 3), and further inputs by name."""

    items: NDArray[np.uint8]
    extra: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.items)

    def head(self, count: int) -> Batch:
        """The first items."""
        return Batch(self.items[:count], {name: v[:count] for name, v in self.extra.items()})


@dataclass(frozen=True)
class Workload:
    """Batches of equal size that clients send in turn, so that none sees the same twice on end.

    Attributes
    ----------
    shape
        Size of an item without channels: (L,), or (H, W).
    batches
        At least one.
    """

    shape: Shape
    batches: tuple[Batch, ...]

    @property
    def unit(self) -> str:
        """What an item is made of: ``"bases"`` or ``"pixels"``."""
        return "pixels" if len(self.shape) == 2 else "bases"

    @property
    def units(self) -> int:
        """How many bases or pixels an item has."""
        return math.prod(self.shape)


def model_file(name_or_path: str) -> Path:
    """The ONNX file of a shipped model, a model folder, or the file itself."""
    path = Path(name_or_path)
    if path.suffix == ".onnx":
        return path
    return (path if path.is_dir() else model_folder(name_or_path)) / "model.onnx"


class Source:
    """Where the items of a benchmark of one model come from.

    Parameters
    ----------
    predictor
        Tells what the model takes.
    model
        Its name, folder or file; its golden inputs lie beside the file.
    data
        ``"golden"``: the model's golden inputs in random order, repeated; joined and cut where
        another length or size is asked for. ``"random"``: uniform letters or pixels. Else a FASTA
        file: its letters, record after record, cut into items, repeated if too few.
    seed
        For order and random values.

    Attributes
    ----------
    tolerance
        The contract's, None of a third-party model.

    Raises
    ------
    ValueError
        Golden inputs of a model that has none; a FASTA file for images, an empty one, or standard
        input.
    """

    def __init__(self, predictor: Predictor, model: str, data: str, seed: int) -> None:
        self._predictor = predictor
        self._data = data
        self._seed = seed
        self._images = predictor.takes == "images"
        golden = model_file(model).with_name("golden.npz")
        self._golden = _read(golden) if predictor.card and golden.is_file() else {}
        if data == GOLDEN and not self._golden:
            raise ValueError(f"{model}: has no golden inputs: --data random or --data FILE.fasta")
        if data == "-":
            raise ValueError("--data -: letters are read more than once: give a FASTA file")
        if self._images and data not in (GOLDEN, RANDOM):
            raise ValueError(f"{model} takes images: --data golden or random, not {data}")
        self._letters: NDArray[np.uint8] | None = None
        self.tolerance = predictor.card.tolerance if predictor.card else None

    def usual_shape(self) -> Shape:
        """Length, or height and width, if none is asked for: the model's, else that of golden data.

        Raises
        ------
        ValueError
            Neither is known.
        """
        if self._images:
            height, width = self._predictor.image_input.shape
            if height is not None and width is not None:
                return height, width
        elif self._predictor.window is not None:
            return (self._predictor.window,)
        if self._golden:
            return self._first().shape[1:3] if self._images else self._first().shape[1:2]
        raise ValueError(f"{self._predictor.name}: takes any length: say which, --length N")

    def workload(self, shape: Shape, batch: int) -> Workload:
        """Batches of so many items of this shape."""
        rng = np.random.default_rng(self._seed)
        count = min(_MOST_BATCHES, max(1, _TOTAL_BYTES // (batch * math.prod(shape))))
        items = (
            self._pictures(rng, batch * count, shape)
            if self._images
            else (self._sequences(rng, batch * count, *shape))
        )
        extra = self._extra(rng, batch * count)
        parts = [slice(begin, begin + batch) for begin in range(0, batch * count, batch)]
        return Workload(
            shape, tuple(Batch(items[p], {name: v[p] for name, v in extra.items()}) for p in parts)
        )

    def _first(self) -> NDArray[np.uint8]:
        name = self._predictor.contract.first.name
        if name not in self._golden:
            raise ModelIntegrityError(f"{self._predictor.name}: the golden arrays lack {name!r}")
        return self._golden[name]

    def _sequences(self, rng: np.random.Generator, count: int, length: int) -> NDArray[np.uint8]:
        if self._data == RANDOM:
            alphabet = np.frombuffer(self._predictor.alphabet.encode(), np.uint8)
            return rng.choice(alphabet, (count, length))
        if self._data == GOLDEN:
            rows = self._first()
            order = _shuffled(rng, len(rows), -(-count * length // rows.shape[1]))
            letters = rows[order].reshape(-1)
        else:
            letters = self._fasta(count * length)
        return np.resize(letters, (count, length))

    def _fasta(self, wanted: int) -> NDArray[np.uint8]:
        if self._letters is None or len(self._letters) < wanted:
            parts, have = [], 0
            for record in read_fasta(self._data):
                parts.append(record.sequence)
                have += len(record.sequence)
                if have >= wanted:
                    break
            if have == 0:
                raise ValueError(f"{self._data}: has no letters to predict")
            self._letters = np.concatenate(parts)
        return self._letters[:wanted]

    def _pictures(self, rng: np.random.Generator, count: int, shape: Shape) -> NDArray[np.uint8]:
        colours = (3,) if self._predictor.image_input.channels == 3 else ()
        if self._data == RANDOM:
            return rng.integers(0, 256, (count, *shape, *colours), np.uint8)
        images = self._first()
        down, across = (-(-n // size) for n, size in zip(shape, images.shape[1:3], strict=True))
        found = np.empty((count, *shape, *colours), np.uint8)
        order = iter(_shuffled(rng, len(images), count * down * across))
        for image in found:
            for y, x in itertools.product(range(down), range(across)):
                part = image[y * images.shape[1] :, x * images.shape[2] :]
                part = part[: images.shape[1], : images.shape[2]]
                part[:] = images[next(order)][: part.shape[0], : part.shape[1]]
        return found

    def _extra(self, rng: np.random.Generator, count: int) -> dict[str, NDArray[np.float32]]:
        found = {}
        for tensor in self._predictor.contract.inputs:
            if tensor.kind != "number":
                continue
            if tensor.name in self._golden:
                values = self._golden[tensor.name]
                found[tensor.name] = values[_shuffled(rng, len(values), count)]
            else:
                axes = [n if isinstance(n, int) else 1 for n in tensor.shape[1:]]
                found[tensor.name] = rng.random((count, *axes), np.float32)
        return found


def _shuffled(rng: np.random.Generator, n: int, count: int) -> NDArray[np.int64]:
    """So many numbers below ``n``: each once in random order, then again."""
    return rng.permuted(np.tile(np.arange(n), (-(-count // n), 1)), axis=1).reshape(-1)[:count]


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(path.read_bytes())) as golden:
            return dict(golden)
    except (OSError, EOFError, ValueError, BadZipFile, zlib.error) as error:
        raise ModelIntegrityError(f"{path}: no golden inputs to read: {error}") from None
