"""Compressed files, told apart by their first bytes, unpacked ahead in a thread of their own.

Gzip is inflated by ISA-L (`isal`): 1.25 GB/s of FASTA where zlib-ng gave 0.84, libdeflate 0.74 and
zlib 0.43 (measured on one core). Bgzip files on disk do not come here: `_core` inflates their
blocks in parallel.
"""

from __future__ import annotations

import io
import os
import queue
import sys
import threading
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import Any, BinaryIO, cast

from . import _core
from .errors import FastaParseError

__all__ = ["compression_of", "unpacked"]

BLOCK = 1 << 20

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"PK\x03\x04": "zip",
}


def compression_of(start: bytes, name: str) -> str | None:
    """The compression of a file that begins with ``start`` (512 bytes), None for a plain one.

    Raises
    ------
    FastaParseError
        An archive, which is no single file.
    """
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            if kind == "zip":
                raise FastaParseError(name, "expected a FASTA file, found a zip archive: unzip it")
            return "bgzip" if kind == "gzip" and _core.is_bgzf(start) else kind
    return None


def unpacked(
    raw: BinaryIO,
    compression: str | None,
    name: str,
    observe: Callable[[bytes], object] | None = None,
) -> Generator[bytes, None, None]:
    """Blocks of at most 1 MiB of what a file holds, from where it stands.

    Parameters
    ----------
    raw
        The file; a plain one gives what it has at once (a pipe), not whole blocks.
    compression
        As `compression_of` tells.
    name
        Of the file, for errors.
    observe
        Called with every block as it is on disk: the checksum of an input that is read only once.

    Raises
    ------
    FastaParseError
        A file that is truncated or damaged.
    ImportError
        No library for zstandard.
    """
    if observe is not None:
        raw = cast(BinaryIO, io.BufferedReader(_Observed(raw, observe), BLOCK))
    if compression is None:
        read = cast(io.BufferedReader, raw).read1
        while block := read(BLOCK):
            yield block
        return
    file = _opener(compression)(raw)
    yield from _ahead(_blocks(file, compression, name))


def _opener(compression: str) -> Callable[[BinaryIO], BinaryIO]:
    # Imported when first needed: none of them costs an import that does not use it.
    if compression in ("gzip", "bgzip"):
        from isal.igzip import IGzipFile

        return lambda raw: cast(BinaryIO, cast(Any, IGzipFile)(fileobj=raw, mode="rb"))
    if compression == "bzip2":
        from bz2 import BZ2File

        return lambda raw: cast(BinaryIO, BZ2File(raw))
    if compression == "xz":
        from lzma import LZMAFile

        return lambda raw: cast(BinaryIO, LZMAFile(raw))
    try:
        if sys.version_info >= (3, 14):
            from compression.zstd import ZstdFile
        else:
            from backports.zstd import ZstdFile
    except ImportError:
        raise ImportError(
            "zstandard files need backports.zstd: pip install seqtile[zstd]"
        ) from None
    return lambda raw: cast(BinaryIO, ZstdFile(raw))


def _blocks(file: BinaryIO, compression: str, name: str) -> Iterator[bytes]:
    try:
        while block := file.read(BLOCK):
            yield block
    except EOFError:
        raise FastaParseError(
            name, f"truncated {compression} file, or other bytes after its end"
        ) from None
    except Exception as error:
        # ISA-L raises zlib.error and OSError, bz2 OSError, the others errors of their own.
        known = isinstance(error, (zlib.error, OSError)) and getattr(error, "errno", None) is None
        if not known and type(error).__name__ not in ("LZMAError", "ZstdError"):
            raise
        raise FastaParseError(name, f"damaged {compression} file: {error}") from None


def _ahead(blocks: Iterator[bytes], depth: int = 4) -> Generator[bytes, None, None]:
    """The same blocks, made in another thread, at most ``depth`` of them in advance."""
    ready: queue.Queue[bytes | BaseException | None] = queue.Queue(depth)
    stopped = threading.Event()

    def work() -> None:
        last: BaseException | None = None
        try:
            for block in blocks:
                ready.put(block)
                if stopped.is_set():
                    return
        except BaseException as error:
            last = error
        ready.put(last)

    worker = threading.Thread(target=work, name="seqtile-unpack", daemon=True)
    process = os.getpid()
    worker.start()
    try:
        while True:
            if os.getpid() != process:
                raise RuntimeError(
                    "a FASTA reader cannot be used on both sides of a fork: open the file in the "
                    "child process"
                )
            block = ready.get()
            if block is None:
                return
            if isinstance(block, BaseException):
                raise block
            yield block
    finally:
        if os.getpid() == process:
            stopped.set()
            while worker.is_alive():
                try:
                    ready.get(timeout=0.01)
                except queue.Empty:
                    continue
            worker.join()


class _Observed(io.RawIOBase):
    """Shows every byte read to an observer."""

    def __init__(self, file: BinaryIO, observe: Callable[[bytes], object]) -> None:
        self._file, self._observe = file, observe

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        block = self._file.read(len(buffer))
        buffer[: len(block)] = block
        self._observe(block)
        return len(block)
