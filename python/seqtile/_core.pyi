from typing import Any

import numpy as np
from numpy.typing import NDArray

class ParseError(ValueError): ...

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

def encode(
    data: NDArray[np.uint8], alphabet: Alphabet, raise_unknown: bool, out: NDArray[np.uint8]
) -> int: ...
def one_hot(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    alphabet: Alphabet,
    layout: Layout,
    raise_unknown: bool,
    off: Any,
    on: Any,
    unknown: Any,
    length: int,
    out: NDArray[Any],
    threads: int,
) -> int: ...
def decode(
    scores: NDArray[Any],
    letters: str,
    unknown: str,
    layout: Layout,
    length: int,
    out: NDArray[np.uint8],
) -> None: ...
def reverse_complement(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], rna: bool, out: NDArray[np.uint8]
) -> int: ...

class FastaParser:
    def __init__(self) -> None: ...
    def feed(
        self, block: bytes
    ) -> tuple[
        NDArray[np.uint8], list[tuple[int, bytes, int]], list[tuple[int, int, int, int, int]]
    ]: ...
    def finish(
        self,
    ) -> tuple[
        NDArray[np.uint8], list[tuple[int, bytes, int]], list[tuple[int, int, int, int, int]]
    ]: ...

def line_span(start: int, end: int, line_bases: int, line_width: int) -> tuple[int, int]: ...
def unwrap(
    raw: bytes, column: int, line_bases: int, line_width: int, out: NDArray[np.uint8]
) -> bool: ...
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

GENETIC_CODES: tuple[tuple[int, bool], ...]

class CodonTable:
    def __init__(self, id: int) -> None: ...

def translate(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    table: CodonTable,
    offset: int,
    reverse: bool,
    out: NDArray[np.uint8],
    out_offsets: NDArray[np.int64],
    threads: int,
) -> int: ...
