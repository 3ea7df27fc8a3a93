"""Scan genomes: a model's score along every sequence of a FASTA file.

Coordinates are 0-based and half-open, on the ``+`` strand whatever strand is predicted. Window i of
a sequence covers ``[i * stride, i * stride + window)``; its score is written at the ``stride``
bases around the window's centre, so that a dense track has neither gaps nor overlap.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from os import PathLike, fsdecode
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..errors import AlphabetError, ShapeError
from ..execution.batching import BatchSize
from ..execution.profile import Profile
from ..execution.rows import Outputs, Rows
from ..fasta.contigs import open_contigs
from ..fasta.faidx import Fasta
from ..fasta.reader import FastaSource
from ..manifest import Unchanged
from ..models.predictor import Predictor
from ..regions.bed import read_bed
from ..regions.intervals import Interval, joined
from ..sequences.sequence import reverse_complement
from .block import ScanBlock

__all__ = ["Scan", "scan"]

Strand: TypeAlias = Literal["+", "-", "both"]

_NOTHING = np.empty(0, np.uint8)


class _Chunk(NamedTuple):
    """Consecutive windows of an interval, and the letters they cover."""

    interval: Interval
    windows: range
    letters: NDArray[np.uint8]


class _Scored(NamedTuple):
    """Scores and strands of a chunk's windows, and how many of them have none and why."""

    interval: Interval
    windows: range
    scores: NDArray[np.float32]
    strands: NDArray[np.int8]
    unknown: int
    not_finite: int


class Scan:
    """A scan that is under way: iterate over it once, for its blocks.

    Attributes
    ----------
    predictor, window, stride, strand, reduce, max_n, regions
        As given to `scan`, defaults filled in; of regions their number and source.
    fasta
        The sequences.
    total_windows, total_bases
        Windows the scan will look at, and bases it covers.
    done_windows, unknown_windows, not_finite
        Windows looked at so far, those of them left out for their non-ACGT letters, and those
        without a score since the model's answer is NaN or infinite, on either strand.
    profile
        Time spent on each stage so far.
    names
        Of the sequences it covers.
    short
        Name and length of the sequences shorter than the window: they have no score.
    """

    def __init__(
        self,
        predictor: Predictor,
        fasta: Fasta,
        *,
        window: int,
        stride: int,
        strand: Strand,
        reduce: Literal["mean", "max"] | None,
        max_n: int,
        batch_size: BatchSize,
        regions: str | None,
        intervals: list[Interval],
        profile: Profile,
        unchanged: Unchanged,
    ) -> None:
        self.predictor = predictor
        self.fasta = fasta
        self.window = window
        self.stride = stride
        self.strand = strand
        self.reduce = reduce
        self.max_n = max_n
        self.profile = profile
        self._unchanged = unchanged
        self._batches = predictor.batches(batch_size)
        self.regions = regions
        self._intervals = intervals
        self._offset = (window - stride) // 2
        self._output = predictor.outputs[0]
        self.total_windows = sum(len(self._window_range(interval)) for interval in intervals)
        self.total_bases = sum(end - start for _, start, end in intervals)
        self.done_windows = self.unknown_windows = self.not_finite = 0
        self.names = tuple(dict.fromkeys(chrom for chrom, _, _ in intervals))
        lengths = {name: fasta.lengths[name] for name in self.names}
        self.short = {name: length for name, length in lengths.items() if length < window}

    def __iter__(self) -> Iterator[ScanBlock]:
        scored = self.predictor.executor.map(
            self._chunks(),
            self._prepare,
            self._finish,
            (self._output,),
            batches=self._batches,
            profile=self.profile,
        )
        with closing(scored):
            for interval, chunks in itertools.groupby(scored, key=lambda chunk: chunk.interval):
                if self.reduce:
                    yield from self._reduced(interval, chunks)
                else:
                    yield from self._plain(chunks)
        self._unchanged.check()

    @property
    def batch_size(self) -> BatchSize:
        """Windows per call of the model: as given, or less where memory ran out."""
        return self._batches.asked

    def _window_range(self, interval: Interval) -> range:
        """The windows whose scores the bases of an interval need."""
        chrom, start, end = interval
        count = (self.fasta.lengths[chrom] - self.window) // self.stride + 1
        if self.reduce:
            first = -(-(start - self.window + 1) // self.stride)
            last = (end - 1) // self.stride + 1
        else:
            first = (start - self._offset) // self.stride
            last = -(-(end - self._offset) // self.stride)
        first = max(0, first)
        return range(first, max(first, min(count, last)))

    def _chunks(self) -> Iterator[_Chunk]:
        """Letters of consecutive windows; every interval has a chunk, if of no window."""
        batch = self._batches.largest((self.window,))
        small = self.batch_size == "auto" and self.predictor.device == "cpu"
        limits = self.predictor.limits
        most = limits.scan_windows
        if not small:
            most = min(max(most, batch), limits.scan_most_windows)
        size = max(1, min(most, limits.scan_bases // self.stride))
        for interval in self._intervals:
            windows = self._window_range(interval)
            for begin in range(windows.start, max(windows.stop, windows.start + 1), size):
                part = range(begin, min(begin + size, windows.stop))
                start, stop = part.start * self.stride, (part.stop - 1) * self.stride + self.window
                letters = self.fasta.fetch(interval[0], start, stop) if part else _NOTHING
                yield _Chunk(interval, part, letters)

    def _prepare(self, chunk: _Chunk) -> tuple[Iterator[Rows], tuple[_Chunk, NDArray[np.int64]]]:
        """The windows that have a score, on each strand wanted, and their numbers."""
        unknown = np.empty(len(chunk.windows), np.uint32)
        refused = _core.unknown_counts(chunk.letters, self.window, self.stride, unknown)
        if refused >= 0:
            expected = "a nucleotide letter (ACGTU or IUPAC)"
            raise AlphabetError(
                chunk.windows.start * self.stride + refused,
                int(chunk.letters[refused]),
                expected=expected,
                record=chunk.interval[0],
            )
        chosen = np.flatnonzero(unknown <= self.max_n)
        return self._rows(chunk.letters, chosen), (chunk, chosen)

    def _rows(self, letters: NDArray[np.uint8], chosen: NDArray[np.int64]) -> Iterator[Rows]:
        if not len(chosen):
            return
        for strand in "+-" if self.strand == "both" else self.strand:
            text = letters if strand == "+" else reverse_complement(letters)
            view = np.lib.stride_tricks.sliding_window_view(text, self.window)
            view = view[:: self.stride] if strand == "+" else view[:: -self.stride]
            yield Rows(view if len(chosen) == len(view) else view[chosen])

    def _finish(self, kept: tuple[_Chunk, NDArray[np.int64]], found: list[Outputs]) -> _Scored:
        """Scores of a chunk's windows, and the strand that gave them."""
        (interval, windows, _), chosen = kept
        scores = np.full(len(windows), np.nan, np.float32)
        strands = np.full(len(windows), -1 if self.strand == "-" else 1, np.int8)
        not_finite = 0
        if found:
            best, *minus = (outputs[self._output].reshape(len(chosen)) for outputs in found)
            finite = np.isfinite(best)
            if minus:
                finite &= np.isfinite(minus[0])
                better = minus[0] > best
                strands[chosen[better]] = -1
                best = np.where(better, minus[0], best)
            scores[chosen] = np.where(finite, best, np.nan)
            not_finite = len(chosen) - int(np.count_nonzero(finite))
        return _Scored(interval, windows, scores, strands, len(windows) - len(chosen), not_finite)

    def _count(self, chunk: _Scored) -> None:
        self.done_windows += len(chunk.windows)
        self.unknown_windows += chunk.unknown
        self.not_finite += chunk.not_finite

    def _plain(self, chunks: Iterable[_Scored]) -> Iterator[ScanBlock]:
        for chunk in chunks:
            self._count(chunk)
            (chrom, start, end), windows = chunk.interval, chunk.windows
            first = windows.start * self.stride + self._offset
            after = windows.stop * self.stride + self._offset
            if windows:
                yield ScanBlock(
                    chrom,
                    max(start, first),
                    min(end, after),
                    first,
                    self.stride,
                    chunk.scores,
                    chunk.strands,
                )

    def _reduced(self, interval: Interval, chunks: Iterable[_Scored]) -> Iterator[ScanBlock]:
        chrom, start, end = interval
        windows = self._window_range(interval)
        how, block = getattr(_core.Reduce, str(self.reduce)), self.predictor.limits.block_bases
        scores, kept_from, base = np.empty(0, np.float32), windows.start, start
        for chunk in chunks:
            self._count(chunk)
            if not chunk.windows:
                continue
            scores = np.concatenate([scores, chunk.scores])
            is_last = chunk.windows.stop == windows.stop
            stop = end if is_last else min(end, chunk.windows.stop * self.stride)
            for first in range(base, stop, block):
                base = min(first + block, stop)
                values = np.empty(base - first, np.float32)
                _core.reduce_windows(
                    scores, kept_from, self.window, self.stride, first, how, values
                )
                yield ScanBlock(chrom, first, base, first, 1, values, None)
            keep = max(kept_from, -(-(base - self.window + 1) // self.stride))
            scores, kept_from = scores[keep - kept_from :], keep


def scan(
    predictor: Predictor,
    fasta: Fasta | FastaSource,
    *,
    window: int | None = None,
    stride: int | None = None,
    strand: Strand = "both",
    regions: str | PathLike[str] | Iterable[tuple[str, int, int]] | None = None,
    reduce: Literal["mean", "max"] | None = None,
    max_n: int = 0,
    batch_size: BatchSize = "auto",
    profile: Profile | None = None,
    observe: Callable[[bytes], object] | None = None,
) -> Scan:
    """Scan every sequence of a FASTA file, or the regions of a BED file.

    Parameters
    ----------
    predictor
        A model whose first output is one number per sequence.
    fasta
        A `Fasta`, or path, ``"-"`` or open file as for `seqtile.read_fasta`. Memory is that of a
        block of a few MB, whatever the length of a sequence.
    window
        Bases per window; default: the length the model takes.
    stride
        Bases from one window to the next, at least 1; default: the contract's, else 1.
    strand
        ``"+"``, ``"-"`` (the window's reverse complement is predicted), or ``"both"``: the larger
        of the two scores, and which it was (``+`` if equal).
    regions
        BED file or (chrom, start, end) tuples: only these bases are written. Windows keep their
        places on the whole sequence, so that the result is the whole scan's, cut. Overlapping
        regions are joined.
    reduce
        ``"mean"`` or ``"max"`` over all windows that cover a base, instead of one window per base.
    max_n
        A window with more non-ACGT letters than this has no score.
    batch_size
        Windows per call of the model; see `Predictor.predict`.
    profile
        Where to count the time of each stage.
    observe
        Called with every block of an input that cannot be read in place (see
        `seqtile.fasta.contigs.open_contigs`).

    Returns
    -------
    `Scan`, an iterable of `ScanBlock` in the order of the FASTA file.

    Raises
    ------
    ValueError
        A parameter out of range.
    ShapeError
        A window the model does not take; a first output of more than one number.
    FastaParseError, FastaIndexError, BedParseError
        A broken FASTA or BED file.
    ContigNotFoundError, IntervalError
        A region outside the sequences, or an empty one; names the line of the BED file, or the
        number of the interval.
    TypeError
        An interval that is not (str, int, int).
    AlphabetError
        While iterating: a byte that is no nucleotide letter; names record and position.
    FastaParseError
        After the last block: the file was changed while it was read.
    """
    window = _check_window(predictor, window)
    if stride is None:
        stride = predictor.contract.stride or 1
    if stride < 1:
        raise ValueError(f"stride must be at least 1, not {stride}")
    if strand not in ("+", "-", "both"):
        raise ValueError(f"strand must be '+', '-' or 'both', not {strand!r}")
    if reduce not in (None, "mean", "max"):
        raise ValueError(f"reduce must be 'mean', 'max' or None, not {reduce!r}")
    if max_n < 0:
        raise ValueError(f"max_n must not be negative, not {max_n}")
    source = "intervals"
    place: Callable[[int], str] = "interval {}".format
    if isinstance(regions, (str, PathLike)):
        bed = read_bed(regions)
        source, place, regions = bed.path, bed.place, bed.intervals
    unchanged = Unchanged(_path_of(fasta))
    contigs = fasta if isinstance(fasta, Fasta) else open_contigs(fasta, observe)
    if regions is None:
        intervals = [Interval(name, 0, length) for name, length in contigs.lengths.items()]
    else:
        intervals = joined(regions, contigs, place)
    return Scan(
        predictor,
        contigs,
        window=window,
        stride=stride,
        strand=strand,
        reduce=reduce,
        max_n=max_n,
        batch_size=batch_size,
        regions=None if regions is None else f"{len(intervals)} from {source}",
        intervals=intervals,
        profile=Profile() if profile is None else profile,
        unchanged=unchanged,
    )


def _path_of(fasta: Fasta | FastaSource) -> str:
    """The file that is read, empty for a stream."""
    if isinstance(fasta, Fasta):
        return fasta.name
    return fsdecode(fasta) if isinstance(fasta, (str, bytes, PathLike)) else ""


def _check_window(predictor: Predictor, window: int | None) -> int:
    predictor.refuse_extra()
    if sorted(predictor.alphabet) not in (sorted("ACGT"), sorted("ACGU")):
        raise ValueError(
            f"a scan needs a model of nucleotides; the alphabet of {predictor.name} is "
            f"{predictor.alphabet!r}"
        )
    length = window if window is not None else predictor.window
    if length is None:
        length = predictor.contract.training_window
        if not length:
            raise ValueError(f"{predictor.name} takes any length: say which, with window=")
    if predictor.window not in (None, length) or length < predictor.min_length:
        wanted = predictor.window or f"at least {predictor.min_length}"
        raise ShapeError(f"{predictor.name} takes windows of {wanted} bases, not {length}")
    probe = predictor.run_batch(np.full((1, length), ord("A"), np.uint8))
    shape = probe[predictor.outputs[0]].shape
    if math.prod(shape) != 1:
        raise ShapeError(
            f"a scan needs one number per window, output {predictor.outputs[0]!r} of "
            f"{predictor.name} has the shape {shape}"
        )
    return length
