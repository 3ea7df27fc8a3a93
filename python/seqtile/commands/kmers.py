"""``seqtile kmers``: count the k-mers of FASTA files, print and write them."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from .. import _core, interrupts
from ..errors import AlphabetError
from ..fasta.fai import with_indices
from ..fasta.reader import Record, read_fasta
from ..machine.threads import thread_count
from ..outputs import (
    Outputs,
    check_suffix,
    check_targets,
    is_stdout,
    output_errors,
    refuse_overwrite,
)
from ..sequences.kmer_table import KmerTable, kmer_letters
from ..sequences.kmers import KmerCounter
from .printing import print_json, print_lines

__all__ = ["add_arguments", "run"]

_BATCH_LETTERS = 1 << 22  # counted in one call: records may be short
_ROWS = 1 << 20  # of a table written at a time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``kmers``."""
    parser.add_argument("fasta", nargs="+", help="FASTA, plain or gzip; - for standard input")
    parser.add_argument("-k", type=int, required=True, metavar="K", help="letters, 1 to 32")
    parser.add_argument(
        "--canonical", action="store_true", help="a k-mer and its reverse complement count as one"
    )
    parser.add_argument("--threads", type=int, help="CPU threads (default: what the job may use)")
    parser.add_argument("--top", type=int, default=10, help="most frequent to list (default: 10)")
    parser.add_argument(
        "--histogram", action="store_true", help="print how many k-mers occur how often instead"
    )
    parser.add_argument(
        "-o",
        "--output",
        action="append",
        default=[],
        metavar="FILE",
        help=".tsv, .parquet or .npz; - for tab-separated on standard output; repeatable",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def run(options: argparse.Namespace) -> None:
    """Count, write the table, print the totals.

    Raises
    ------
    AlphabetError, FastaParseError
        A byte that is no nucleotide letter; a file that is no FASTA.
    ValueError
        An option out of its range, a suffix that is not known, an output that is an input.
    ImportError
        Parquet without pyarrow.
    OutputError
        A file that cannot be written.
    """
    from .progress import progress

    refuse_overwrite(with_indices(*options.fasta), options.output)
    for output in options.output:
        check_suffix(output, _FORMATS, stream=".tsv")
    check_targets(options.output)
    if options.top < 0:
        raise ValueError(f"top must not be negative, not {options.top}")
    with progress("bases", None, quiet=options.quiet) as advance:
        counted = _count_files(
            options.fasta,
            options.k,
            canonical=options.canonical,
            threads=thread_count(options.threads),
            advance=advance,
        )
    _write_tables(counted.table, options.output)
    _print_counted(counted, options)


@dataclass(frozen=True)
class _Counted:
    """The k-mers of some files.

    Attributes
    ----------
    table
        Different k-mers and their counts.
    sequences, letters
        Number of records, and of their letters.
    seconds
        Wall time of reading and counting.
    """

    table: KmerTable
    sequences: int
    letters: int
    seconds: float


def _count_files(
    sources: Sequence[str],
    k: int,
    *,
    canonical: bool,
    threads: int,
    advance: Callable[[int], object],
) -> _Counted:
    """Count the k-mers of all records of all files, about 4 million letters at a time.

    Parameters
    ----------
    sources
        Paths of FASTA files, ``"-"`` for standard input.
    advance
        Called with the number of letters counted.

    Raises
    ------
    AlphabetError
        A byte that is no nucleotide letter; carries ``record`` and ``position``.
    FastaParseError
        A file that is no FASTA.
    """
    started = time.perf_counter()
    counter = KmerCounter(k, canonical=canonical, threads=threads)
    sequences = letters = 0
    for source in sources:
        for batch in _batches(read_fasta(source)):
            try:
                counter.add([record.sequence for record in batch])
            except AlphabetError as error:
                raise AlphabetError(
                    error.position,
                    error.byte,
                    expected=error.expected,
                    index=sequences + error.index,
                    record=batch[error.index].name,
                ) from None
            sequences += len(batch)
            letters += sum(len(record.sequence) for record in batch)
            advance(letters)
    table = counter._table(release=True)
    return _Counted(table, sequences, letters, time.perf_counter() - started)


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    letters = 0
    for record in records:
        batch.append(record)
        letters += len(record.sequence) + 1
        if letters >= _BATCH_LETTERS:
            yield batch
            batch, letters = [], 0
    if batch:
        yield batch


def _write_tables(table: KmerTable, outputs: Sequence[str]) -> None:
    """Write a table to files by their suffixes, all of them or none; ``"-"`` is standard output.

    ``.tsv``: k-mer, tab, count. ``.parquet``: kmer (string), code, count (uint64). ``.npz``: codes,
    counts (uint64), k, canonical.

    Raises
    ------
    OutputError
        A folder missing or not writable, a disk that is full; nothing is left behind.
    """
    with Outputs() as files:
        for output in outputs:
            suffix = check_suffix(output, _FORMATS, stream=".tsv")
            with output_errors(output):
                _FORMATS[suffix](table, files.open(output))


def _slices(table: KmerTable) -> Iterator[slice]:
    for begin in range(0, len(table), _ROWS):
        interrupts.check()
        yield slice(begin, begin + _ROWS)


def _write_tsv(table: KmerTable, file: BinaryIO) -> None:
    for rows in _slices(table):
        file.write(_core.kmer_lines(table.codes[rows], table.counts[rows], table.k))


def _write_parquet(table: KmerTable, file: BinaryIO) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("kmer", pa.string()), ("code", pa.uint64()), ("count", pa.uint64())])
    with pq.ParquetWriter(file, schema) as writer:
        for rows in _slices(table):
            codes = table.codes[rows]
            ends = np.arange(len(codes) + 1, dtype=np.int32) * np.int32(table.k)
            letters = kmer_letters(codes, table.k)
            names = pa.StringArray.from_buffers(
                len(codes), pa.py_buffer(ends), pa.py_buffer(letters)
            )
            columns = [names, pa.array(codes), pa.array(table.counts[rows])]
            writer.write_table(pa.table(columns, schema=schema))


def _write_npz(table: KmerTable, file: BinaryIO) -> None:
    np.savez(
        file,
        codes=table.codes,
        counts=table.counts,
        k=np.int64(table.k),
        canonical=np.bool_(table.canonical),
    )


_FORMATS: dict[str, Callable[[KmerTable, BinaryIO], None]] = {
    ".tsv": _write_tsv,
    ".parquet": _write_parquet,
    ".npz": _write_npz,
}


def _print_counted(counted: _Counted, options: argparse.Namespace) -> None:
    """Print the totals and the most frequent k-mers, or the abundance histogram.

    Data goes to standard output, unless the table itself was written there. With ``--histogram`` it
    is a line per count (count, tab, number of different k-mers) and the totals go to standard
    error.
    """
    out = sys.stderr if any(map(is_stdout, options.output)) else sys.stdout
    if options.json:
        print_json(_to_dict(counted, options), out)
        return
    lines = _summary(counted, options.output)
    if options.histogram:
        print_lines(*lines, file=sys.stderr)
        counts, sizes = counted.table.histogram()
        rows = zip(counts.tolist(), sizes.tolist(), strict=True)
        out.write("".join(f"{count}\t{size}\n" for count, size in rows))
        return
    print_lines(*lines, *_top_lines(counted.table, options.top), file=out)


def _to_dict(counted: _Counted, options: argparse.Namespace) -> dict[str, Any]:
    table, best = counted.table, counted.table.top(options.top)
    content: dict[str, Any] = {
        "k": table.k,
        "canonical": table.canonical,
        "sequences": counted.sequences,
        "letters": counted.letters,
        "total": table.total,
        "distinct": table.distinct,
        "seconds": counted.seconds,
        "top": [
            {"kmer": kmer, "count": count}
            for kmer, count in zip(best.strings(), best.counts.tolist(), strict=True)
        ],
        "outputs": list(options.output),
    }
    if options.histogram:
        counts, sizes = table.histogram()
        content["histogram"] = np.stack([counts, sizes], axis=1).tolist()
    return content


def _summary(counted: _Counted, outputs: Sequence[str]) -> list[str]:
    table = counted.table
    rate = counted.letters / counted.seconds / 1e6 if counted.seconds else 0
    return [
        f"read      {counted.letters:,} letters of {counted.sequences:,} sequences "
        f"in {counted.seconds:.1f} s ({rate:,.0f} Mbases/s)",
        f"{table.k}-mers".ljust(10)
        + f"{table.total:,}, {table.distinct:,} different"
        + (", canonical" if table.canonical else ""),
        *(f"wrote     {output}" for output in outputs if not is_stdout(output)),
    ]


def _top_lines(table: KmerTable, top: int) -> list[str]:
    best = table.top(top)
    if not len(best):
        return []
    total = table.total
    counts = [f"{count:,}" for count in best.counts.tolist()]
    width = max(table.k, len("k-mer"))
    columns = max(len("count"), *map(len, counts))
    return [
        f"  {'k-mer':<{width}}  {'count':>{columns}}    share",
        *(
            f"  {kmer:<{width}}  {text:>{columns}}  {count / total:7.3%}"
            for kmer, text, count in zip(best.strings(), counts, best.counts.tolist(), strict=True)
        ),
    ]
