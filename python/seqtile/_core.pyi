from typing import Any, TypeAlias

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
