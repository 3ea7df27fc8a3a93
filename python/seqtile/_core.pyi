from typing import Any

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

class DenseKmers:
    def __init__(self, k: int, counts: NDArray[np.uint64]) -> None: ...
    def add(
        self, data: NDArray[np.uint8], offsets: NDArray[np.int64], check: bool, threads: int
    ) -> int: ...
    def flush(self) -> None: ...

class SparseKmers:
    def __init__(self, k: int, canonical: bool, round: int = ...) -> None: ...
    def add(self, data: NDArray[np.uint8], offsets: NDArray[np.int64], threads: int) -> int: ...
    def table(
        self, release: bool, threads: int
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]: ...

def kmer_codes(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    k: int,
    canonical: bool,
    codes: NDArray[np.uint64],
    valid: NDArray[np.bool_],
) -> int: ...
def kmer_rows(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    k: int,
    columns: NDArray[np.uint32],
    width: int,
    normalize: bool,
    out: NDArray[Any],
    threads: int,
) -> int: ...
def minimizers(
    data: NDArray[np.uint8], k: int, w: int, canonical: bool
) -> tuple[int, NDArray[np.int64], NDArray[np.uint64]]: ...
def fold_canonical(k: int, counts: NDArray[np.uint64]) -> None: ...
def kmer_letters(codes: NDArray[np.uint64], k: int, out: NDArray[np.uint8]) -> None: ...
def kmer_lines(codes: NDArray[np.uint64], counts: NDArray[np.uint64], k: int) -> bytes: ...
