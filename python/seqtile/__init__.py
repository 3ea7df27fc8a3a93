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
from .sequence import decode, encode, one_hot, reverse_complement, windows

if TYPE_CHECKING:
    from .cards import ModelCard
    from .example import example_path
    from .faidx import Fasta
    from .fasta import Record, read_fasta
    from .images import find_images, open_image, read_image
    from .inputs import InputSpec
    from .kmers import (
        KmerCounter,
        KmerTable,
        canonical_kmers,
        kmer_codes,
        kmer_counts,
        kmer_matrix,
        kmer_strings,
        minimizers,
    )
    from .loading import load
    from .predictor import Predictor
    from .scaling import scale
    from .scanner import ScanBlock, scan
    from .segment_options import SegmentOptions
    from .segmentation import Segmented, segment
    from .stitching import Stitcher, stitch
    from .tiling import TilePlan, Tiles, tile
    from .translation import translate
    from .zoo import card, list_models

__version__ = "0.1.0"

# Imported when first used, so that `import seqtile` costs next to nothing beside numpy.
_LAZY = {
    "Fasta": "faidx",
    "InputSpec": "inputs",
    "KmerCounter": "kmers",
    "KmerTable": "kmers",
    "ModelCard": "cards",
    "Predictor": "predictor",
    "Record": "fasta",
    "ScanBlock": "scanner",
    "SegmentOptions": "segment_options",
    "Segmented": "segmentation",
    "Stitcher": "stitching",
    "TilePlan": "tiling",
    "Tiles": "tiling",
    "canonical_kmers": "kmers",
    "card": "zoo",
    "example_path": "example",
    "find_images": "images",
    "kmer_codes": "kmers",
    "kmer_counts": "kmers",
    "kmer_matrix": "kmers",
    "kmer_strings": "kmers",
    "list_models": "zoo",
    "load": "loading",
    "minimizers": "kmers",
    "open_image": "images",
    "read_fasta": "fasta",
    "read_image": "images",
    "scale": "scaling",
    "scan": "scanner",
    "segment": "segmentation",
    "stitch": "stitching",
    "tile": "tiling",
    "translate": "translation",
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
