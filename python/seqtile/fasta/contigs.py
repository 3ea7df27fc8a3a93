"""Random access to the letters of any FASTA input, indexed or not."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..spool import Spool
from .fai import Contig, index_beside, survey
from .faidx import Fasta
from .reader import FastaInput, FastaSource

__all__ = ["open_contigs"]

log = logging.getLogger(__name__)


def open_contigs(source: FastaSource, observe: Callable[[bytes], object] | None = None) -> Fasta:
    """Random access to any FASTA input, for readers that need lengths before letters.

    A plain or bgzip file with even lines is read in place, by its ``.fai`` (and ``.gzi``) where
    there is one. Ordinary gzip, standard input and uneven lines are first unpacked to an
    unnamed temporary file (in ``TMPDIR``) of one byte per base, which goes with the returned
    object.

    Parameters
    ----------
    source
        As for `read_fasta`.
    observe
        Called with every block of an input that is unpacked, as it is on disk.

    Raises
    ------
    FastaParseError, FastaIndexError
        As `read_fasta` and `Fasta`.
    """
    with FastaInput(source) as file:
        if file.on_disk:
            fai = index_beside(file.name)
            if fai is not None and fai.exists():
                return Fasta(file.name, write_index=False)
            contigs, uneven = survey(file)
            if not uneven:
                return Fasta._opened(file.name, contigs)
            log.info("%s: lines are not equally long, unpacking to a temporary file", file.name)
            file.rewind()
        file.observe = observe
        with Spool() as spool:
            contigs, _ = survey(file, lambda letters: spool.write(letters.data))
            descriptor = spool.descriptor()
        packed, offset = {}, 0
        for name, contig in contigs.items():
            packed[name] = Contig(contig.length, offset, contig.length, contig.length)
            offset += contig.length
        return Fasta._spooled(descriptor, packed, file.name)
