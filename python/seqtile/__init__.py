"""Ready-trained predictors for DNA, RNA, protein and images, fast.

The data layer (`one_hot`, `read_fasta`, `Fasta`, `tile`, ...) needs numpy and the compiled core
alone. The runtime (`load`, `scan`, `segment`, ...) imports onnxruntime when first used, and what
reads images OpenCV, tifffile or libvips; torch is never imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

try:
    from . import _core  # noqa: F401
except ImportError as error:
    if "SEQTILE_ISA" in str(error):
        raise
    raise ImportError(
        f"seqtile's compiled core is missing ({error}): install the package with "
        "`pip install .` in its source folder (needs a C++20 compiler)"
    ) from error

from .errors import *  # noqa: F403
from .sequences.sequence import decode, encode, one_hot, reverse_complement, windows

if TYPE_CHECKING:
    from .example import example_path
    from .fasta.faidx import Fasta
    from .fasta.reader import Record, read_fasta
    from .images.reading import find_images, open_image, read_image
    from .images.scaling import scale
    from .images.stitching import Stitcher, stitch
    from .images.tiling import TilePlan, Tiles, tile
    from .models.card import ModelCard
    from .models.inputs import InputSpec
    from .models.loading import load
    from .models.predictor import Predictor
    from .models.zoo import card, list_models
    from .scanning.scanner import ScanBlock, scan
    from .segmenting.options import SegmentOptions
    from .segmenting.segmentation import Segmented, segment
    from .sequences.kmers import (
        KmerCounter,
        KmerTable,
        canonical_kmers,
        kmer_codes,
        kmer_counts,
        kmer_matrix,
        kmer_strings,
        minimizers,
    )
    from .sequences.translation import translate

__version__ = "0.1.0"

# Imported when first used, so that `import seqtile` costs next to nothing beside numpy.
_LAZY = {
    "Fasta": "fasta.faidx",
    "InputSpec": "models.inputs",
    "KmerCounter": "sequences.kmers",
    "KmerTable": "sequences.kmers",
    "ModelCard": "models.card",
    "Predictor": "models.predictor",
    "Record": "fasta.reader",
    "ScanBlock": "scanning.scanner",
    "SegmentOptions": "segmenting.options",
    "Segmented": "segmenting.segmentation",
    "Stitcher": "images.stitching",
    "TilePlan": "images.tiling",
    "Tiles": "images.tiling",
    "canonical_kmers": "sequences.kmers",
    "card": "models.zoo",
    "example_path": "example",
    "find_images": "images.reading",
    "kmer_codes": "sequences.kmers",
    "kmer_counts": "sequences.kmers",
    "kmer_matrix": "sequences.kmers",
    "kmer_strings": "sequences.kmers",
    "list_models": "models.zoo",
    "load": "models.loading",
    "minimizers": "sequences.kmers",
    "open_image": "images.reading",
    "read_fasta": "fasta.reader",
    "read_image": "images.reading",
    "scale": "images.scaling",
    "scan": "scanning.scanner",
    "segment": "segmenting.segmentation",
    "stitch": "images.stitching",
    "tile": "images.tiling",
    "translate": "sequences.translation",
}

__all__ = [
    "Fasta",
    "InputSpec",
    "KmerCounter",
    "KmerTable",
    "ModelCard",
    "Predictor",
    "Record",
    "ScanBlock",
    "SegmentOptions",
    "Segmented",
    "Stitcher",
    "TilePlan",
    "Tiles",
    "canonical_kmers",
    "card",
    "decode",
    "encode",
    "example_path",
    "find_images",
    "kmer_codes",
    "kmer_counts",
    "kmer_matrix",
    "kmer_strings",
    "list_models",
    "load",
    "minimizers",
    "one_hot",
    "open_image",
    "read_fasta",
    "read_image",
    "reverse_complement",
    "scale",
    "scan",
    "segment",
    "stitch",
    "tile",
    "translate",
    "windows",
]


def __getattr__(name: str) -> object:
    if name in _LAZY:
        value = getattr(import_module(f".{_LAZY[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
