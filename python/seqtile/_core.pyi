from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

class ParseError(ValueError): ...

def isa() -> str: ...

class Layout:
    NCL: Layout
    NLC: Layout

class Reduce:
    mean: Reduce
    max: Reduce

class Pad:
    reflect: Pad
    edge: Pad
    constant: Pad

class Ramp:
    linear: Ramp
    hann: Ramp

class Alphabet:
    def __init__(self, letters: str, unknown: str) -> None: ...
    @property
    def size(self) -> int: ...

DNA: Alphabet
RNA: Alphabet
PROTEIN: Alphabet

Place: TypeAlias = tuple[int, int, int]  # sequence, position, byte

class Batch:
    def __init__(self, sequences: Any) -> None: ...
    def __len__(self) -> int: ...
    @property
    def single(self) -> bool: ...
    @property
    def width(self) -> int: ...
    @property
    def shortest(self) -> int: ...
    @property
    def longest(self) -> int: ...
    @property
    def not_ascii(self) -> Place | None: ...
    def lengths(self) -> NDArray[np.int64]: ...
    def find_above(self, alphabet: Alphabet, raise_unknown: bool) -> Place | None: ...
    def letters(self, rows: NDArray[np.int64], length: int) -> NDArray[np.uint8]: ...

def encode(
    batch: Batch, alphabet: Alphabet, raise_unknown: bool, out: NDArray[np.uint8], threads: int
) -> Place | None: ...
def one_hot(
    batch: Batch,
    alphabet: Alphabet,
    layout: Layout,
    raise_unknown: bool,
    on: Any,
    unknown: Any,
    length: int,
    out: NDArray[Any],
    threads: int,
) -> Place | None: ...
def decode(
    scores: NDArray[Any],
    letters: str,
    unknown: str,
    layout: Layout,
    length: int,
    out: NDArray[np.uint8],
) -> None: ...
def reverse_complement(batch: Batch, rna: bool) -> tuple[Place | None, list[Any]]: ...

class Format:
    ANY: Format
    FASTA: Format

class Record:
    """See the type's own documentation."""

    __slots__ = ("description", "name", "quality", "sequence")
    name: str
    description: str
    sequence: NDArray[np.uint8]
    quality: NDArray[np.uint8] | None
    def __init__(
        self,
        name: str,
        description: str,
        sequence: NDArray[np.uint8],
        quality: NDArray[np.uint8] | None = None,
    ) -> None: ...
    def __len__(self) -> int: ...

class RecordReader:
    @overload
    def __init__(
        self,
        descriptor: int,
        inflaters: int,
        alphabet: Alphabet | None,
        expected: str,
        format: Format,
        pieces: bool,
    ) -> None: ...
    @overload
    def __init__(
        self,
        blocks: Iterator[bytes],
        alphabet: Alphabet | None,
        expected: str,
        format: Format,
        pieces: bool,
    ) -> None: ...
    def records(self) -> list[Record]: ...
    def batch(self, least: int, most: int) -> tuple[Batch, Texts] | None: ...
    def pieces(
        self,
    ) -> list[tuple[str | None, int, NDArray[np.uint8], tuple[int, ...] | None]]: ...

def is_bgzf(start: bytes) -> bool: ...

class FetchPlan:
    def __len__(self) -> int: ...
    def offsets(self) -> NDArray[np.int64]: ...
    @property
    def letters(self) -> int: ...
    @property
    def unverified(self) -> list[int]: ...
    @property
    def odd_one(self) -> int: ...

class FastaReader:
    def __init__(self, descriptor: int, bgzf: bool, gzi: bytes | None) -> None: ...
    @property
    def size(self) -> int: ...
    @property
    def numbers(self) -> dict[str, int]: ...
    def gzi(self) -> bytes | None: ...
    def set_records(
        self, names: list[str], geometry: NDArray[np.int64], verified: bool
    ) -> None: ...
    def verified(self, number: int) -> bool: ...
    def verify(self, number: int) -> None: ...
    def read(self, offset: int, size: int) -> bytes: ...
    def fetch_into(self, number: int, start: int, end: int, out: NDArray[np.uint8]) -> bool: ...
    def plan(self, intervals: Sequence[tuple[Any, ...]], rna: bool) -> FetchPlan | int: ...
    def fetch_many(
        self, plan: FetchPlan, out: NDArray[np.uint8], threads: int
    ) -> tuple[int, int, int] | None: ...
    def close(self) -> None: ...

def fetcher(
    reader: FastaReader, careful: Callable[..., NDArray[np.uint8]]
) -> Callable[..., NDArray[np.uint8]]: ...
def unknown_counts(
    sequence: NDArray[np.uint8], window: int, stride: int, out: NDArray[np.uint32]
) -> int: ...
def reduce_windows(
    scores: NDArray[np.float32],
    first_window: int,
    window: int,
    stride: int,
    first_base: int,
    how: Reduce,
    out: NDArray[np.float32],
) -> None: ...

class TileAxis:
    def __init__(self, length: int, size: int, overlap: int, multiple: int) -> None: ...
    @property
    def count(self) -> int: ...
    def read(self) -> NDArray[np.int64]: ...
    def write(self) -> NDArray[np.int64]: ...
    def weights(self, ramp: Ramp) -> NDArray[np.float32]: ...
    def needed(self, begin: int, end: int) -> tuple[int, int]: ...

class TileGrid:
    def __init__(self, y: TileAxis, x: TileAxis) -> None: ...
    @property
    def y(self) -> TileAxis: ...
    @property
    def x(self) -> TileAxis: ...

class Blend:
    def __init__(self, grid: TileGrid, ramp: Ramp, channels: int) -> None: ...

def cut_tiles(
    image: NDArray[Any],
    first_row: int,
    grid: TileGrid,
    rows: tuple[int, int],
    pad: Pad,
    out: NDArray[Any],
    threads: int,
) -> None: ...
def stitch(
    parts: list[NDArray[Any]],
    first: int,
    grid: TileGrid,
    pixel_bytes: int,
    image_rows: tuple[int, int],
    out: NDArray[Any],
    threads: int,
) -> None: ...
def stitch_blended(
    parts: list[NDArray[Any]],
    first: int,
    grid: TileGrid,
    blend: Blend,
    channels: int,
    image_rows: tuple[int, int],
    out: NDArray[np.float32],
    threads: int,
) -> None: ...

UNCLAIMED: int

class Components:
    def __init__(self, width: int, mask_threshold: float, marker_threshold: float) -> None: ...
    def add(
        self,
        mask: NDArray[np.float32],
        marker: NDArray[np.float32] | None,
        out: NDArray[np.uint32],
    ) -> None: ...
    def numbers(self) -> NDArray[np.uint32]: ...

def grow(labels: NDArray[np.uint32], reach: int) -> None: ...
def add_run_levels(
    image: NDArray[Any],
    channel: int,
    runs: NDArray[np.int64],
    sum: NDArray[np.float64],
    smallest: NDArray[np.float64],
    largest: NDArray[np.float64],
) -> None: ...
def outlines(
    runs: NDArray[np.int32], first: NDArray[np.int64], scale_y: float, scale_x: float
) -> tuple[str, NDArray[np.int64]]: ...

GENETIC_CODES: tuple[tuple[int, bool], ...]

class CodonTable:
    def __init__(self, id: int) -> None: ...

def translate(
    batch: Batch,
    table: CodonTable,
    offset: int,
    reverse: bool,
    ends: NDArray[np.int64],
    out: NDArray[np.uint8],
    threads: int,
) -> Place | None: ...

class DenseKmers:
    def __init__(self, k: int, counts: NDArray[np.uint64]) -> None: ...
    def add(self, batch: Batch, check: bool, threads: int) -> Place | None: ...
    def flush(self) -> None: ...

class SparseKmers:
    def __init__(self, k: int, canonical: bool, round: int = ...) -> None: ...
    def add(self, batch: Batch, threads: int) -> Place | None: ...
    def table(
        self, release: bool, threads: int
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]: ...

def kmer_codes(
    batch: Batch,
    k: int,
    canonical: bool,
    codes: NDArray[np.uint64],
    valid: NDArray[np.bool_],
) -> Place | None: ...
def kmer_rows(
    batch: Batch,
    k: int,
    columns: NDArray[np.uint32],
    width: int,
    normalize: bool,
    out: NDArray[Any],
    threads: int,
) -> Place | None: ...
def minimizers(
    batch: Batch, k: int, w: int, canonical: bool
) -> tuple[Place | None, NDArray[np.int64], NDArray[np.uint64]]: ...
def fold_canonical(k: int, counts: NDArray[np.uint64]) -> None: ...
def kmer_letters(codes: NDArray[np.uint64], k: int, out: NDArray[np.uint8]) -> None: ...
def kmer_lines(codes: NDArray[np.uint64], counts: NDArray[np.uint64], k: int) -> bytes: ...

class RowField:
    TEXT: RowField
    QUOTED: RowField
    CELLS: RowField
    JSON: RowField

class Texts:
    def __init__(self, texts: list[str]) -> None: ...
    def __len__(self) -> int: ...
    def text(self, index: int) -> str: ...
    def slice(self, begin: int, end: int) -> Texts: ...

class RowFormat:
    def __init__(
        self, fields: list[tuple[bytes, RowField, int, int, list[int]]], end: bytes
    ) -> None: ...
    def rows(self, rows: int, texts: list[Texts], arrays: list[NDArray[np.float32]]) -> bytes: ...
