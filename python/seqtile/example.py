"""Real example inputs inside the package."""

from __future__ import annotations

from pathlib import Path

__all__ = ["example_path"]

_EXAMPLES = {"chr22": "chr22.fa.gz", "nuclei": "nuclei.png", "blood_cell": "blood_cell.jpg"}


def example_path(name: str) -> Path:
    """Path of an example file shipped with the package.

    Parameters
    ----------
    name
        ``"chr22"``: seven pieces of human chromosome 22 (hg19), 101,082 bases, gzipped FASTA;
        ``"nuclei"``: a fluorescence image of nuclei, 520 x 696, PNG; ``"blood_cell"``: a photograph
        of a lymphocyte in a blood smear, JPEG. ``data/README.md`` beside them tells their sources.

    Raises
    ------
    ValueError
        No example of this name.

    Examples
    --------
    >>> example_path("chr22").name
    'chr22.fa.gz'
    """
    if name not in _EXAMPLES:
        raise ValueError(f"no example {name!r}; there is {', '.join(map(repr, _EXAMPLES))}")
    return Path(__file__).parent / "data" / _EXAMPLES[name]
