# The public names, a line each: what type checkers read, and what `__init__.py` imports on demand.

from .errors import *  # noqa: F403
from .example import example_path as example_path
from .fasta.faidx import Fasta as Fasta
from .fasta.reader import Record as Record
from .fasta.reader import read_fasta as read_fasta
from .images.finding import find_images as find_images
from .images.reading import open_image as open_image
from .images.reading import read_image as read_image
from .images.scaling import scale as scale
from .images.stitching import Stitcher as Stitcher
from .images.stitching import stitch as stitch
from .images.tiling import TilePlan as TilePlan
from .images.tiling import Tiles as Tiles
from .images.tiling import tile as tile
from .models.card import ModelCard as ModelCard
from .models.inputs import InputSpec as InputSpec
from .models.loading import load as load
from .models.prediction import Prediction as Prediction
from .models.predictor import Predictor as Predictor
from .models.zoo import card as card
from .models.zoo import list_models as list_models
from .scanning.block import ScanBlock as ScanBlock
from .scanning.scanner import Scan as Scan
from .scanning.scanner import scan as scan
from .segmenting.options import SegmentOptions as SegmentOptions
from .segmenting.segmentation import Segmented as Segmented
from .segmenting.segmentation import segment as segment
from .sequences.kmers import KmerCounter as KmerCounter
from .sequences.kmers import KmerTable as KmerTable
from .sequences.kmers import canonical_kmers as canonical_kmers
from .sequences.kmers import kmer_codes as kmer_codes
from .sequences.kmers import kmer_counts as kmer_counts
from .sequences.kmers import kmer_matrix as kmer_matrix
from .sequences.kmers import kmer_strings as kmer_strings
from .sequences.kmers import minimizers as minimizers
from .sequences.sequence import decode as decode
from .sequences.sequence import encode as encode
from .sequences.sequence import one_hot as one_hot
from .sequences.sequence import reverse_complement as reverse_complement
from .sequences.sequence import windows as windows
from .sequences.translation import translate as translate

__version__: str
