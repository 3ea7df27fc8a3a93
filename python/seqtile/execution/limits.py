"""Every size of execution, in one place, with what it was chosen by."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LIMITS", "Limits"]


@dataclass(frozen=True)
class Limits:
    """How much is taken at once, kept, or tried. Results do not depend on it.

    What is measured here was measured by the processor time of one thread of a Xeon; nothing has
    been measured on a GPU yet, and what is for CUDA was reckoned from its memory. The others bound
    memory, and say by how much.

    Attributes
    ----------
    cpu_batch, cuda_batch
        Items of a batch before anything is measured. Of windows of 101, ``jund-cnn-seq`` runs 128
        at 0.96 and ``dna-binding-bilstm`` at 0.84 of the rate of its best size.
    cpu_batches, cuda_batches
        Sizes that are tried (``benches/bench_predict.py::test_batch_size``). From 16 to 128 the
        rate of ``jund-cnn-seq`` differs by 5 %; at 512 it is half, as its activations leave the
        cache.
    cpu_letters, cuda_letters
        Letters of a batch of long sequences, at most: 128 KB fit into a core's cache.
    cpu_pixels, cuda_pixels
        Pixels of a batch of images, at most. ``nuclei-unet`` takes 130 to 270 bytes a pixel: up to
        70 MB a lane on the CPU, 9 GB on a GPU, where it is halved if that is not there.
    cpu_scales, cuda_scales
        Numbers of images that are tried, as powers of two of what those pixels make.
    timed_batches
        Batches of each size that are timed; the first is not counted.
    gain
        How many times faster than the first another size must be, so that noise changes nothing.
    cuda_lanes
        Lanes of a CUDA device: one copies in and another out while a third computes.
    ahead
        Chunks per lane that may wait, read or computed, for the caller.
    patience_s
        Seconds that closing waits for a lane that hangs on its input.
    idle_s
        Seconds after which a thread for requests that has nothing to do ends; the next request
        waits until another is started.
    chunk_batches
        Of an array in memory a lane takes at most so many batches at a time.
    chunk_records, chunk_images
        Records of a file, and images of unknown size, that a lane takes at a time: with 128 records
        of 101 letters ``predict`` has 0.9 of the rate that it has with 1,024, and with more no
        better one.
    cpu_extent, cuda_extent
        Letters or pixels after which a lane takes no more items of a stream: 4 and 32 MB a lane.
    scan_windows, scan_most_windows
        Windows of a scan that a lane takes at a time: 0.2 s of ``jund-cnn-seq``, so that progress
        is seen and an end is soon; where batches are larger so many windows, up to the second. The
        rate is the same from 256 to 32,768.
    scan_bases
        Bases that these windows cover, at most: 4 MB a lane, whatever the stride.
    block_bases
        Bases of a `ScanBlock` of reduced scores.
    cpu_tile_pixels, cuda_tile_pixels
        Pixels of tiles that a lane takes at a time.
    open_images
        Images that are open at once: each holds its decoder's memory and a file descriptor.
    contrast_rows
        Rows of an image that are read together where only its grey levels are counted.
    scaled_rows
        Rows that are scaled together: numpy first makes indices of 8 bytes a pixel, which stay in
        the cache; 256 rows of 8,192 pixels together take 2.2 times as long.
    strip_pixels
        Pixels of an image that are labelled, measured, drawn or outlined at a time: 16 MB of
        labels.
    label_bytes
        Bytes of an image's runs of labels that are kept in memory; more go to a temporary file.
    tiff_bytes
        Bytes of a TIFF's tiles that are compressed at a time.
    table_rows
        Rows of a table that are written at a time.
    buckets
        Shapes of batches that a lane on CUDA keeps memory for.
    capture_runs, capture_s
        A bucket is captured as a CUDA graph when it has run so often, a last batch or an odd image
        not, and computed for so many seconds: about what the capture costs.
    replays
        Runs until a replay is certain: onnxruntime takes one or two in the ordinary way first.
    """

    cpu_batch: int = 128
    cuda_batch: int = 8192
    cpu_batches: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    cuda_batches: tuple[int, ...] = (512, 2048, 8192, 32_768)
    cpu_letters: int = 1 << 17
    cuda_letters: int = 1 << 25
    cpu_pixels: int = 1 << 18
    cuda_pixels: int = 1 << 25
    cpu_scales: tuple[int, ...] = (-3, -2, -1, 0)
    cuda_scales: tuple[int, ...] = (-4, -2, 0, 1)
    timed_batches: int = 5
    gain: float = 1.03

    cuda_lanes: int = 3
    ahead: int = 2
    patience_s: float = 0.3
    idle_s: float = 10.0

    chunk_batches: int = 8
    chunk_records: int = 1024
    chunk_images: int = 8
    cpu_extent: int = 1 << 22
    cuda_extent: int = 1 << 25

    scan_windows: int = 1 << 13
    scan_most_windows: int = 1 << 16
    scan_bases: int = 1 << 22
    block_bases: int = 1 << 16

    cpu_tile_pixels: int = 1 << 20
    cuda_tile_pixels: int = 1 << 25
    open_images: int = 32
    contrast_rows: int = 256
    scaled_rows: int = 16
    strip_pixels: int = 1 << 22
    label_bytes: int = 1 << 24
    tiff_bytes: int = 1 << 24
    table_rows: int = 1 << 14

    buckets: int = 8
    capture_runs: int = 3
    capture_s: float = 0.5
    replays: int = 4


LIMITS = Limits()
