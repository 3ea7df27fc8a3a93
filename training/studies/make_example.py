"""Cut regions of the human reference out of an alignment, as gzipped FASTA.

    python make_example.py MAF.gz OUT.fa.gz --region chr22:START-END [--region ...]

The alignment is in the Multiple Alignment Format (MAF). Of each block only the
row of one species is read (``Hsap`` unless told otherwise): its gaps are taken
out, and blocks whose intervals abut are joined. A region is 0-based and
half-open, and must lie wholly within one joined run and hold only the letters
A, C, G and T, upper or lower case; otherwise nothing is written and the command
ends with status 1 and a message that names the first base that is missing.

Records follow the order of the regions and keep the letter case of the
alignment. The gzip header holds no time and no file name, so the same input
gives the same bytes (with the same zlib).
"""

import argparse
import gzip
import re
import sys
import zlib
from pathlib import Path
from typing import NamedTuple

LINE_LENGTH = 70


class Interval(NamedTuple):
    """Half-open interval of a chromosome, counted from 0."""

    chrom: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.chrom}:{self.start}-{self.end}"


def parse_region(text: str) -> Interval:
    """Read ``chr22:START-END``."""
    match = re.fullmatch(r"([^\s:]+):([0-9]+)-([0-9]+)", text)
    if match is None or int(match[2]) >= int(match[3]):
        raise argparse.ArgumentTypeError(f"{text!r} is not CHROM:START-END with START < END")
    return Interval(match[1], int(match[2]), int(match[3]))


def read_runs(maf: Path, species: str) -> list[tuple[Interval, str]]:
    """Read one species' row of every block, sorted, with abutting blocks joined."""
    blocks: list[tuple[Interval, str]] = []
    with gzip.open(maf, "rt", encoding="ascii") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.startswith(f"s {species}."):
                continue
            fields = line.split()
            if len(fields) != 7 or fields[4] != "+":
                raise ValueError(f"{maf}, line {number}: 7 fields expected, the strand '+'")
            _, source, start, size, _, _, text = fields
            bases = text.replace("-", "")
            if len(bases) != int(size):
                raise ValueError(f"{maf}, line {number}: {len(bases)} bases, {size} announced")
            chrom = "chr" + source.removeprefix(f"{species}.")
            blocks.append((Interval(chrom, int(start), int(start) + len(bases)), bases))

    runs: list[tuple[Interval, list[str]]] = []
    for interval, bases in sorted(blocks):
        last = runs[-1][0] if runs else None
        if last is not None and last.chrom == interval.chrom and interval.start < last.end:
            raise ValueError(f"{maf}: blocks {last} and {interval} overlap")
        if last is not None and last.chrom == interval.chrom and interval.start == last.end:
            runs[-1][1].append(bases)
            runs[-1] = (last._replace(end=interval.end), runs[-1][1])
        else:
            runs.append((interval, [bases]))
    return [(interval, "".join(parts)) for interval, parts in runs]


def cut(runs: list[tuple[Interval, str]], region: Interval) -> str:
    """Return the bases of a region, or raise ValueError where one is missing."""
    for run, bases in runs:
        if run.chrom != region.chrom or not run.start <= region.start < run.end:
            continue
        if region.end > run.end:
            raise ValueError(f"region {region} is not covered: base {run.end} is missing")
        piece = bases[region.start - run.start : region.end - run.start]
        unknown = re.search("[^ACGTacgt]", piece)
        if unknown is not None:
            at = region.start + unknown.start()
            raise ValueError(f"region {region}: base {at} is {unknown[0]!r}, not A, C, G or T")
        return piece
    raise ValueError(f"region {region} is not covered: base {region.start} is missing")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("maf", type=Path, metavar="MAF.gz", help="the alignment")
    parser.add_argument("out", type=Path, metavar="OUT.fa.gz", help="the file to write")
    parser.add_argument(
        "--region",
        dest="regions",
        type=parse_region,
        action="append",
        required=True,
        metavar="CHROM:START-END",
        help="may be repeated",
    )
    parser.add_argument("--species", default="Hsap", help="row to read (default: Hsap)")
    args = parser.parse_args()

    try:
        runs = read_runs(args.maf, args.species)
        fasta: list[str] = []
        for region in args.regions:
            bases = cut(runs, region)
            fasta.append(f">{region}")
            fasta += [bases[i : i + LINE_LENGTH] for i in range(0, len(bases), LINE_LENGTH)]
        text = "\n".join([*fasta, ""]).encode("ascii")
        with args.out.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
            packed.write(text)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        sys.exit(f"make_example.py: {error}")


if __name__ == "__main__":
    main()
