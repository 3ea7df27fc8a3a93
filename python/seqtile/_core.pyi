from collections.abc import Callable, Sequence
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
    def plan(self, intervals: Sequence[tuple[Any, ...]]) -> FetchPlan | int: ...
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
