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
from collections.abc import Callable, Generator, Iterator
from typing import Any, BinaryIO, Protocol, TypeAlias, cast

from . import _core
from .errors import BedParseError, FastaParseError

__all__ = ["Refusal", "compression_of", "refuse_archive", "unpacked"]

Refusal: TypeAlias = type[FastaParseError] | type[BedParseError]

BLOCK = 1 << 20
_PACKED = 1 << 16  # read at a time, of a file that is not gzip

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"\x50\x2a\x4d\x18": "zstandard",  # a frame to be skipped, as pzstd writes first
}


def compression_of(start: bytes) -> str | None:
    """The compression of a file that begins with ``start`` (512 bytes), None for a plain one."""
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            return "bgzip" if kind == "gzip" and _core.is_bgzf(start) else kind
    return None


def refuse_archive(start: bytes, name: str, refusal: Refusal) -> None:
    """Raise ``refusal`` if an archive, which is no single file, begins with ``start``."""
    what = "BED" if refusal is BedParseError else "FASTA"
    if start.startswith(b"PK\x03\x04"):
        raise refusal(name, f"expected a {what} file, found a zip archive: unzip it")
    if start[257:263] in (b"ustar\0", b"ustar "):  # POSIX, GNU
        raise refusal(name, f"expected a {what} file, found a tar archive: unpack it (tar xf)")


def unpacked(
    raw: BinaryIO,
    compression: str | None,
    name: str,
    observe: Callable[[bytes], object] | None = None,
    refusal: Refusal = FastaParseError,
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
    refusal
        The error of a broken file of this kind.

    Raises
    ------
    FastaParseError, BedParseError
        A file that is truncated or damaged, or an archive.
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
    yield from _ahead(_blocks(raw, compression, name, refusal))


def _blocks(raw: BinaryIO, compression: str, name: str, refusal: Refusal) -> Iterator[bytes]:
    packed = compression in ("gzip", "bgzip")
    begun = False
    try:
        for block in _gunzip(raw) if packed else _streams(raw, _opener(compression)):
            if not begun:
                refuse_archive(block, name, refusal)
            begun = True
            yield block
    except EOFError:
        raise refusal(name, f"truncated {compression} file, or other bytes after its end") from None
    except Exception as error:
        ours = type(error).__name__ in ("IsalError", "LZMAError", "ZstdError", "error")
        if not ours and not (isinstance(error, OSError) and error.errno is None):
            raise
        raise refusal(name, f"damaged {compression} file: {error}") from None


def _gunzip(raw: BinaryIO) -> Iterator[bytes]:
    # Imported when first needed, as the others: no import costs who does not use it.
    from isal.igzip import IGzipFile

    file = cast(Any, IGzipFile)(fileobj=raw, mode="rb")
    while block := file.read(BLOCK):
        yield block


class _Decompressor(Protocol):
    """What those of bz2, lzma and zstd share; one serves one stream."""

    eof: bool
    needs_input: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def _opener(compression: str) -> Callable[[], _Decompressor]:
    if compression == "bzip2":
        from bz2 import BZ2Decompressor

        return cast(Callable[[], _Decompressor], BZ2Decompressor)
    if compression == "xz":
        from lzma import FORMAT_XZ, LZMADecompressor

        return lambda: cast(_Decompressor, LZMADecompressor(FORMAT_XZ))
    try:
        if sys.version_info >= (3, 14):
            from compression.zstd import ZstdDecompressor
        else:
            from backports.zstd import ZstdDecompressor
    except ImportError:
        raise ImportError(
            "zstandard files need backports.zstd: pip install seqtile[zstd]"
        ) from None
    return cast(Callable[[], _Decompressor], ZstdDecompressor)


def _streams(raw: BinaryIO, begin: Callable[[], _Decompressor]) -> Iterator[bytes]:
    """What streams one after another hold.

    Unlike `bz2.BZ2File` and `lzma.LZMAFile` it does not take a damaged stream for the file's end.
    """
    read = cast(io.BufferedReader, raw).read1
    data = read(_PACKED)
    while data:
        stream = begin()
        while not stream.eof:
            if stream.needs_input and not data and not (data := read(_PACKED)):
                raise EOFError
            block = stream.decompress(data, BLOCK)
            data = b""
            if block:
                yield block
        data = stream.unused_data or read(_PACKED)
        while data and not (data := data.lstrip(b"\0")):  # padding, which xz may have
            data = read(_PACKED)


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
